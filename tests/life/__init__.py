"""Tests with real workers and a real Redis, each file named by the accident."""
