"""The application of these tests: jobs that say what they do, and wait until they may go on.

It is loaded by workers, never by the tests themselves.
"""

from . import dying, errors, everyday, leaving, printing, processes, stopping, surroundings  # noqa: F401
from .speaking import tell, wait_at_gate

__all__ = ["tell", "wait_at_gate"]
