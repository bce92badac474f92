"""Tests of what becomes of a job."""
