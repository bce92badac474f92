"""Tests of the parent's parts."""
