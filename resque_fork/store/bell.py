"""The bell: an idle worker has the server tell it that something was pushed.

Redis' client tracking, in broadcast mode, announces every change of a key
under our prefixes on the very connection that sends the commands, whoever made
the change. A ring is a hint, never truth: look, and be ready to find nothing.

Each armed connection gets a message for every push and every pop on all hosts.
A busy worker stays subscribed for its first ten messages: unsubscribing around
each short job would cost two commands.
"""

from __future__ import annotations

from ..wire.keys import Keys, to_bytes
from .line import Line

BUSY_RINGS = 10  # that a worker overhears, busy with one job or many, before it is disarmed


class Bell:
    """Rings for what is pushed, and for losing the connection that would have carried a ring.

    `queues_changed` is set along with it if it may be that the set of known
    queues has changed; whoever reads that set anew clears it.
    """

    def __init__(self, line: Line, keys: Keys) -> None:
        self.queues_changed = True
        self._rung = self._hushed = False
        self._overheard = 0
        self._line = line
        self._queues_key = to_bytes(keys.queues)
        self._armed_on: object = None
        prefixes = [part for prefix in keys.bell_prefixes for part in ("PREFIX", prefix)]
        self._arm = ("CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP", *prefixes)
        line.on_ring = self._ring

    @property
    def armed(self) -> bool:
        return self._armed_on is not None and self._armed_on is self._line.session

    @property
    def rung(self) -> bool:
        """Whether it has rung since `begin_look`; never while it is hushed."""
        return self._rung and not self._hushed

    def begin_look(self) -> bool:
        """Somebody looks now; whether it had rung. What rings from now on wants another look."""
        rung, self._rung = self._rung and not self._hushed, False
        return rung

    def hush(self, busy: bool) -> None:
        """While there is a job to do, it rings for nobody, and before long not at all."""
        if busy and not self._hushed:
            self._overheard = 0
        self._hushed = busy

    def arm(self) -> bool:
        """Have the bell rung from now on; False if the server cannot or will not.

        What was pushed before is not announced: look once more after arming.
        """
        if not self.armed:
            self._line.rings = True
            if not self._line.try_command(*self._arm):
                return False
            self._armed_on = self._line.session if self._line.bell_supported else None
        self._rung = False
        return self.armed

    def disarm(self) -> None:
        """Be deaf from now on."""
        self._rung = False
        self.queues_changed = True
        if self.armed:
            self._line.send("CLIENT", "TRACKING", "OFF")
        self._line.rings = False
        self._armed_on = None

    def _ring(self, keys: list[bytes] | None) -> None:
        self._rung = True
        if self._hushed:
            self._overheard += 1
            if self._overheard > BUSY_RINGS:
                self.disarm()
                return
        if keys is None or self._queues_key in keys:
            self.queues_changed = True
