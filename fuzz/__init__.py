"""Fuzzing: everything that reads what others wrote, fed with whatever breaks it."""
