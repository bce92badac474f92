"""Both ends of one pipe: the worker forks a child, which performs a job and reports."""
