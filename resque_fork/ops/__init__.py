"""What operators look at and act on, whether by the command line or by the dashboard."""
