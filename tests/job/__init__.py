"""Tests of declaring and performing jobs."""
