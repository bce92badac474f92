"""What one job may use: seconds of time, seconds of CPU, bytes of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..settings import parse
from ..text import shown_size

# A job is close to its limit of memory when a fourth of it or less is left. No nearer, for
# its growth is told too small: a child begins without the pages of files that its parent has.
CLOSE = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """None means no limit. Memory counts what the job adds to what it inherited."""

    timeout: float | None = None
    memory: int | None = None
    cpu: float | None = None

    @classmethod
    def declared(cls, timeout: Any = None, memory: Any = None, cpu: Any = None) -> Limits:
        """As a job declares them: seconds, and sizes such as ``"512M"``. Raises SettingsError."""
        given = {"timeout": timeout, "memory": memory, "cpu": cpu}
        return cls(**{k: None if v is None else parse(k, v, f"{k}=") for k, v in given.items()})

    def or_else(self, others: Limits) -> Limits:
        """These limits, and those of others where these say nothing."""
        return Limits(
            others.timeout if self.timeout is None else self.timeout,
            others.memory if self.memory is None else self.memory,
            others.cpu if self.cpu is None else self.cpu,
        )

    def out_of_time(self) -> str:
        return f"The job ran longer than its limit of {self.timeout:g} seconds"

    def out_of_cpu(self) -> str:
        return f"The job used more CPU than its limit of {self.cpu:g} seconds"

    def out_of_memory(self) -> str:
        return f"The job needed more memory than its limit of {shown_size(self.memory or 0)}"

    def near_memory(self, used: int) -> str:
        """Words about a job that died with so many bytes, if that is close to its limit.

        Code in C that is refused memory may crash of it; why it did cannot be told.
        """
        if self.memory is None or used < self.memory - self.memory // CLOSE:
            return ""
        return f"close to its limit of memory of {shown_size(self.memory)}"


NO_LIMITS = Limits()
