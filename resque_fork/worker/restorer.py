"""Application code runs in the worker too: hooks, and jobs without a fork. What the worker stands
on is put back after it."""

from __future__ import annotations

from ..system.loop import Loop
from ..system.shield import Shield
from ..system.signals import Signals
from ..system.surroundings import Surroundings


class Restorer:
    """Puts back signal handlers, the working directory and the umask, as they are now."""

    def __init__(self, loop: Loop, signals: Signals) -> None:
        self.signals = signals
        self._loop = loop
        self._shield = Shield()
        self._surroundings = Surroundings()

    def after(self, who: str) -> None:
        """`who` has run in this process."""
        with self._shield("putting back what the application has changed"):
            self.signals.reinstate()
            self._surroundings.put_back(who)

    def after_job(self) -> None:
        """Also has signals that came meanwhile take their effect."""
        self.after("A job")
        self._loop.poll()
