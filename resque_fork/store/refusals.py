"""What Redis refuses: which of it passes by itself, and what is at fault."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoPermissionError, ReadOnlyError, ResponseError

from ..wire.keys import to_text

# Refusals that pass: the server is starting, has lost its primary, is full, or
# somebody put a key of the wrong type in the way. The command had no effect.
PASSING = (
    "LOADING", "BUSY", "READONLY", "MASTERDOWN", "NOREPLICAS", "MISCONF", "OOM", "CLUSTERDOWN",
    "TRYAGAIN", "MOVED", "ASK", "UNBLOCKED", "WRONGTYPE", "NOAUTH", "WRONGPASS", "NOPERM",
)  # fmt: skip
# Commands whose first argument is no key; those of scripts come later.
KEYLESS = (
    "ACL", "AUTH", "CLIENT", "COMMAND", "CONFIG", "EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO",
    "HELLO", "INFO", "KEYS", "PING", "SCAN", "SCRIPT", "SELECT", "TIME",
)  # fmt: skip
ELSEWHERE = ("READONLY", "MOVED", "ASK", "CLUSTERDOWN", "MASTERDOWN")  # look for the node anew


def code_of(error: Exception) -> str:
    """The first word of a refusal, which redis-py takes off the text where it knows it."""
    code: str = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return code


def was_said(error: Exception) -> bool:
    """Whether the server refused: a command that it refuses has had no effect.

    redis-py has some refusals among the errors of connections, and in a Sentinel's client
    turns one into another.
    """
    return (
        isinstance(error, ResponseError)
        or getattr(error, "status_code", None) is not None
        or isinstance(error.__context__, ReadOnlyError)
    )


def passes(error: Exception, passing: Sequence[str]) -> bool:
    return code_of(error) in passing or is_of_acl(error)


def key_at_fault(error: Exception, command: Sequence[Any]) -> str | None:
    """The key of the wrong type: our scripts name it; of plain commands it is the first."""
    if named := key_named_by(error):
        return named
    return first_key(command)


def first_key(command: Sequence[Any]) -> str | None:
    """The key that a plain command names; None for a script, and for a command without keys."""
    if len(command) < 2 or command[0].partition(" ")[0] in KEYLESS:  # CONFIG GET is one word
        return None
    return to_text(command[1])


def key_named_by(error: Exception) -> str | None:
    """The key of the wrong type that one of our scripts names."""
    named = re.match(r"WRONGTYPE (.+) is a \w+, not a \w+$", str(error), re.DOTALL)
    return named[1] if named else None


def is_of_acl(error: Exception) -> bool:
    """Whether an access control list forbids the command, or one that a script came to."""
    return isinstance(error, NoPermissionError) or (
        str(error).startswith("NOPERM") or "ACL failure in script" in str(error)
    )


def is_too_large(error: Exception) -> bool:
    """Whether an argument was larger than the server's ``proto-max-bulk-len``."""
    return "Protocol error: invalid bulk length" in str(error)
