"""The worker and the client against real servers of every kind, and their troubles."""
