"""Does what operators on any host ask of this worker, and answers. A task of the loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ResqueError
from ..logs import lifecycle
from ..store.queue_listener import QueueListener
from ..store.worker_store import WorkerStore
from ..system.shield import Shield
from ..text import printable
from ..wire.request import Answer, Request

log = logging.getLogger("resque_fork")


class RequestDesk:
    """`actions` are the methods that may be called, by name; what one returns is the answer.

    An idle worker is told of a request at once. A busy one finds it when it looks for dead
    workers, in the same command.
    """

    def __init__(
        self,
        store: WorkerStore,
        listener: QueueListener,
        actions: Mapping[str, Callable[[], Any]],
    ) -> None:
        self._store = store
        self._listener = listener
        self._actions = actions
        self._shield = Shield()

    @property
    def due(self) -> float:
        """When there is something to do, by the loop's clock."""
        return -math.inf if self._listener.asked or self._store.requests else math.inf

    def run(self) -> None:
        """Do what is asked, in the order of asking."""
        with self._shield("answering requests"):
            if self._listener.asked:
                self._listener.asked = False
                self._store.look()
            while self._store.requests:
                self._handle(self._store.requests.pop(0))

    def _handle(self, raw: bytes) -> None:
        try:
            request = Request.parse(raw)
        except ValueError:
            log.warning("A request that cannot be read is ignored")
            return
        self._store.answer(request.token, self._answer(request.action))

    def _answer(self, name: str) -> Answer:
        action = self._actions.get(name)
        if action is None:
            return Answer(problem=f"{self._store.worker_id} has no action {printable(name)!r}.")
        lifecycle.info("Asked for %s", name)
        try:
            return Answer(action())
        except ResqueError as error:
            return Answer(problem=str(error))
