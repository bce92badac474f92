"""Tests of the failure backends."""
