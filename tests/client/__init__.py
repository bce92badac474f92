"""Tests of what an application imports."""
