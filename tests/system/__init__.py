"""Tests of what the kernel offers."""
