"""Chaos: many jobs, random kills, and every job accounted for at the end."""
