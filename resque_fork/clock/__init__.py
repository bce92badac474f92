"""What is due goes to its queue: delayed jobs and retries.

A clock runs in the workers of a fleet, or alone. One of them holds the lease and does the work.
The lease only saves work: each job is moved once, however many clocks move.
"""
