"""What the dashboard itself remembers: sizes of queues, the last minutes, the last check-up."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping

from ..errors import ResqueError
from ..ops.checkup import check_up
from ..ops.rows import Row
from ..ops.site import Site
from ..wire.times import run_time
from .minutes import Minutes

SAMPLE_SECONDS = 10  # between two samples of the queues
SAMPLES = 7  # so that the oldest is a minute old, while somebody looks
STALE_SECONDS = 300  # a sample that is older tells nothing
CHECK_SECONDS = 30  # between two check-ups
MOST_ASKED = 10  # workers of other hosts at a time: each answer takes one of the server's threads

log = logging.getLogger("resque_fork.web")


class Growth:
    """By how much queues have grown while somebody looked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, Mapping[str, int]]] = deque(maxlen=SAMPLES)

    def since(self, sizes: Mapping[str, int], now: float) -> tuple[float, Mapping[str, int]] | None:
        """Seconds since the oldest sample, and the sizes then; None while there is none."""
        samples = self._samples
        with self._lock:
            while samples and now - samples[0][0] > STALE_SECONDS:
                samples.popleft()
            oldest = samples[0] if samples else None
            if not samples or now - samples[-1][0] >= SAMPLE_SECONDS:
                samples.append((now, sizes))
        return None if oldest is None else (now - oldest[0], oldest[1])


class CheckUp:
    """What `doctor` finds of a site, looked at in a thread so that no page waits for it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._checked = float("-inf")
        self.findings: list[Row] | None = None
        self.checked_at: str | None = None

    def refresh(self) -> None:
        """Look again, unless that was done a moment ago."""
        with self._lock:
            if time.monotonic() - self._checked < CHECK_SECONDS:
                return
            self._checked = time.monotonic()
        threading.Thread(target=self._look, name="check-up", daemon=True).start()

    def _look(self) -> None:
        try:
            found = [vars(finding) for finding in check_up(self._site)]
        except ResqueError as error:
            log.warning("The check-up failed: %s", error)
            return
        self.findings, self.checked_at = found, run_time(time.time())


class Memory:
    """All of it, for one site."""

    def __init__(self, site: Site) -> None:
        self.growth = Growth()
        self.check_up = CheckUp(site)
        self.minutes = Minutes(site)
        self.asking = threading.BoundedSemaphore(MOST_ASKED)
