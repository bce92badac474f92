"""What makes applications of other frameworks fit for forks: one module for each."""
