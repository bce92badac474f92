"""What a worker adds up of its jobs, and sends once a second at the most."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import RedisRefused
from ..logs import Once
from ..system.loop import Loop
from ..system.shield import Shield
from .names import SCALES, SUM, label

SECONDS = 1.0  # between the first of what is added up and its sending
USED = ("wall_ms", "rss_growth_kb", "user_ms", "system_ms")
MOST_CLASSES = 50  # that are sent at once, so that no script takes long
LARGEST = 2**50  # a job may make its process say anything


class Tally:
    """A task of the loop, due only while there is something to send.

    `send` takes JSON as ``add_up.lua`` does, and returns whether it was counted.
    """

    def __init__(self, loop: Loop, send: Callable[[str], bool]) -> None:
        self.due = math.inf
        self._loop = loop
        self._send = send
        self._sums: dict[str, dict[str, dict[str, int]]] = {}
        self._shield = Shield()
        self._errors = Once(logging.ERROR)

    def note_job(self, class_name: str, usage: Mapping[str, Any]) -> None:
        """A job has ended that has used so much, as far as it is known."""
        name = label(class_name)
        used = {what: min(max(0, usage[what]), LARGEST) for what in USED if what in usage}
        for measured, what in (("duration", "wall_ms"), ("growth", "rss_growth_kb")):
            if what in used:
                self._note(measured, name, used[what])
        for mode in ("user", "system"):
            self._add("cpu", name, mode, used.get(f"{mode}_ms", 0))

    def note_wait(self, queue: str, milliseconds: int) -> None:
        """A job of this queue was taken that had waited for so long."""
        self._note("wait", label(queue), milliseconds)

    def run_if_due(self) -> None:
        """Jobs may follow each other so that the loop runs no task for long, or be very many."""
        full = len(self._sums.get("duration", ())) >= MOST_CLASSES
        if full or self.due <= self._loop.clock():
            self.run()

    def run(self) -> None:
        """Send what there is. That it cannot be counted must not stop a worker."""
        if not self._sums:
            return
        self.due = self._loop.clock() + SECONDS  # should it not be counted
        try:
            with self._shield("sending numbers"):
                if self._send(json.dumps(self._sums)):
                    self._sums, self.due = {}, math.inf
        except RedisRefused as problem:
            self._errors.log("%s", problem)

    def _note(self, measured: str, name: str, number: int) -> None:
        self._add(measured, name, SCALES[measured].bucket(number), 1)
        self._add(measured, name, SUM, number)

    def _add(self, measured: str, name: str, what: str, number: int) -> None:
        if not number:
            return
        if not self._sums:
            self.due = self._loop.clock() + SECONDS
        sums = self._sums.setdefault(measured, {}).setdefault(name, {})
        sums[what] = sums.get(what, 0) + number
