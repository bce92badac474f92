"""The parent: reserve a job, fork, wait for the child, write the outcome, again."""
