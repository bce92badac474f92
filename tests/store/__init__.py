"""Tests of what is said to Redis."""
