"""The command of the project: ``manage.py resque_fork``."""
