"""Applications with a database, and what becomes of their connections in workers and children."""
