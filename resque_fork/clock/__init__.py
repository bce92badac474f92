"""What is due goes to its queue: delayed jobs, retries, and jobs on a schedule.

A clock runs in the workers of a fleet, or alone. One of them holds the lease and does the work.
The lease only saves work: each job is moved once, and each tick queues one job, however many
clocks there are.
"""
