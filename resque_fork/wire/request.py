"""What operators ask of a worker through Redis, and what it answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Self

from .json import decode, encode

LONGEST = 1024  # bytes of a request
_TOKEN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Request:
    """`action` is a method of a worker; the answer goes to ``fork:answer:<token>``."""

    action: str
    token: str

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Raises ValueError for what is not a request."""
        found = decode(raw) if len(raw) <= LONGEST else None
        match found:
            case {"action": str(action), "token": str(token)} if _TOKEN.fullmatch(token):
                return cls(action, token)
        raise ValueError("This is not a request.")

    def to_json(self) -> bytes:
        return encode({"action": self.action, "token": self.token})


@dataclass(frozen=True, slots=True)
class Answer:
    """`found` is what the action has found, if it finds anything; `problem` why it was not done."""

    found: Any = None
    problem: str = ""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Raises ValueError for what is not an answer."""
        match json.loads(raw):
            case {"found": found, "problem": str(problem)}:
                return cls(found, problem)
        raise ValueError("This is not an answer.")

    def to_json(self) -> bytes:
        return encode({"found": self.found, "problem": self.problem})
