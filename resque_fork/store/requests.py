"""Asks a worker on any host to do something, and waits for its answer."""

from __future__ import annotations

import os
import time
from typing import Any

from ..errors import ResqueError
from ..wire.keys import Keys
from ..wire.request import Answer, Request
from . import scripts
from .scripts import Commands

PATIENCE = 30  # seconds
TURN = 1  # second that one command waits: clients have a limit for the time of a reply
NO_ANSWER = (
    "{} has not answered within {} seconds. It may be gone, or be of a version that takes no "
    "requests: see its heartbeat in resque-fork list."
)


class Requests:
    """An idle worker answers at once, a busy one when it next looks around: within seconds, in
    a fleet of five hundred within a quarter of a minute."""

    def __init__(self, redis: Commands, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def ask(self, worker_id: str, action: str, patience: int = PATIENCE) -> Any:
        """What the action has found. Raises ResqueError without an answer, or with a refusal."""
        request = Request(action, os.urandom(8).hex())
        scripts.run(self._redis, "post", [self._keys.ask(worker_id)], [request.to_json(), patience])
        key, late = self._keys.answer(request.token), time.monotonic() + patience
        while (popped := self._redis.execute_command("BLPOP", key, TURN)) is None:
            if time.monotonic() > late:
                raise ResqueError(NO_ANSWER.format(worker_id, patience))
        try:
            answer = Answer.parse(popped[1])
        except (ValueError, RecursionError):
            raise ResqueError(f"The answer of {worker_id} cannot be read.") from None
        if answer.problem:
            raise ResqueError(answer.problem)
        return answer.found
