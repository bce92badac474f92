"""Where failures go: one module for each kind of backend.

A backend that keeps a list in Redis is data in the worker's own step, written
in the same instant in which the job leaves the worker's record. Any other
backend's `save` runs in the child.
"""

from .base import Backend, Failure, ListBackend
from .entries import FailedEntries
from .log import LogBackend
from .multiple import Backends
from .redis import RedisBackend
from .redis_multi_queue import RedisMultiQueueBackend

__all__ = [
    "Backend",
    "Backends",
    "FailedEntries",
    "Failure",
    "ListBackend",
    "LogBackend",
    "RedisBackend",
    "RedisMultiQueueBackend",
]
