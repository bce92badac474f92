"""What an application imports: jobs are enqueued, and a Resque is looked at."""
