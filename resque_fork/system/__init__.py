"""What the kernel offers: processes, signals, descriptors, memory. Nothing here knows a job."""
