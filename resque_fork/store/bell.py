"""The bell: an idle worker has the server tell it that something was pushed.

Redis' client tracking, in broadcast mode, announces every change of a key
under our prefixes on the very connection that sends the commands, whoever made
the change. A ring is a hint, never truth: look, and be ready to find nothing.

Each armed connection gets a message for every push and every pop of the whole
fleet, so a worker that is busy is armed only until the first of them.
"""

from __future__ import annotations

from ..keys import Keys, to_bytes
from .line import Line


class Bell:
    """`rung` is set by a ring, and by losing the connection that would have carried one.

    `queues_changed` is set along with it if it may be that the set of known
    queues has changed; whoever reads that set anew clears it. While it is `hushed`,
    because there is a job to do, a ring disarms it.
    """

    def __init__(self, line: Line, keys: Keys) -> None:
        self.rung = False
        self.hushed = False
        self.queues_changed = True
        self._line = line
        self._queues_key = to_bytes(keys.queues)
        self._armed_on: object = None
        prefixes = [part for prefix in keys.bell_prefixes for part in ("PREFIX", prefix)]
        self._arm = ("CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP", *prefixes)
        line.on_ring = self._ring

    @property
    def armed(self) -> bool:
        return self._armed_on is not None and self._armed_on is self._line.session

    def arm(self) -> bool:
        """Have the bell rung from now on; False if the server cannot or will not.

        What was pushed before is not announced: look once more after arming.
        """
        if not self.armed:
            if not self._line.try_command(*self._arm):
                return False
            self._armed_on = self._line.session if self._line.bell_supported else None
        self.rung = False
        return self.armed

    def disarm(self) -> None:
        """Be deaf from now on."""
        self.rung = False
        self.queues_changed = True
        if self.armed:
            self._line.send("CLIENT", "TRACKING", "OFF")
        self._armed_on = None

    def _ring(self, keys: list[bytes] | None) -> None:
        if self.hushed:
            self.disarm()
            return
        self.rung = True
        if keys is None or self._queues_key in keys:
            self.queues_changed = True
