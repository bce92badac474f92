"""Whether the kernel has killed something because memory ran out.

Its counters are aggregates, of a control group or of the whole machine: one
that has risen since the last look makes a SIGKILL that nobody here sent
probably, and not surely, such a kill.
"""

from __future__ import annotations

import os
from pathlib import Path


class OomCounters:
    """Every counter of such kills that can be read under `root`, at their last look."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._files = counter_files(root)
        self._seen = self._read()

    def look(self) -> bool:
        """Look again: whether one of them has risen since the last look."""
        before, self._seen = self._seen, self._read()
        return any(count > before.get(path, count) for path, count in self._seen.items())

    def _read(self) -> dict[Path, int]:
        counts = {path: read_counter(path) for path in self._files}
        return {path: count for path, count in counts.items() if count is not None}


def counter_files(root: Path) -> list[Path]:
    """The files that count out-of-memory kills of this process's groups and machine.

    cgroup v2 (``memory.events``), cgroup v1 (``memory.oom_control``), ``/proc/vmstat``.
    """
    files = [root / "proc/vmstat"]
    try:
        groups = (root / "proc/self/cgroup").read_text(errors="surrogateescape").splitlines()
    except OSError:
        groups = []
    for line in groups:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            folder, name = root / "sys/fs/cgroup", "memory.events"
        elif "memory" in controllers.split(","):
            folder, name = root / "sys/fs/cgroup/memory", "memory.oom_control"
        else:
            continue
        # inside a container the path may be the host's, and the group be mounted at the top
        files += [folder / path.lstrip("/") / name, folder / name]
    return list(dict.fromkeys(file for file in files if os.path.exists(file)))


def read_counter(path: Path) -> int | None:
    """The count after ``oom_kill``, or None if there is none."""
    try:
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    except (OSError, ValueError):
        pass
    return None
