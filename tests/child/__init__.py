"""Tests of what the worker makes of a child."""
