"""What a job is: how it is declared, found, limited and performed with its hooks."""
