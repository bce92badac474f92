"""Tests of the numbers, one file per module."""
