"""The numbers: what is measured of jobs, queues and workers, and how Prometheus reads it."""
