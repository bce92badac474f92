"""What may be shown of a job's arguments: those that it declares secret are replaced.

So it is in failed entries, in what failure backends get, and in logs. The job
and its hooks get the arguments as they are, and so do its queue and its
worker's record, where they are needed.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any

from ..wire.job import MOST_DECODED, Payload
from ..wire.json import decode, encode
from ..wire.unreadable import wrapped, wrapped_job
from .registry import Declaration, registry

REDACTED = "[redacted by resque-fork]"
MARK = REDACTED.encode()  # is in each payload in which something is replaced


def shown(payload: Payload) -> bytes:
    """A payload as a failed entry shows it: a job that every language can read and write.

    These are its own bytes wherever that is possible. What is secret is replaced.
    """
    name, raw = payload.class_name, payload.raw
    declaration = registry.get(name)
    if not payload.decoded and declaration is not None and declaration.redact:
        return encode({"class": name, "args": [REDACTED]})
    hidden = redacted(raw) if len(raw) <= MOST_DECODED or payload.decoded else raw
    if hidden != raw:
        return (
            hidden
            if Payload(hidden, name, []).portable
            else encode({"class": name, "args": [REDACTED]})
        )
    if payload.portable:
        return raw
    if not name:
        return wrapped(raw)
    return wrapped_job(name, payload.args if payload.decoded else None, raw)


def redacted(raw: bytes) -> bytes:
    """A payload as it may be written down: the same bytes if there is nothing to hide.

    What is not JSON, or no job that is declared here, is left as it is: nobody
    knows what is secret in it.
    """
    try:
        item = decode(raw)
    except ValueError:
        return raw
    name = item.get("class") if isinstance(item, dict) else None
    declaration = registry.get(name) if isinstance(name, str) else None
    if declaration is None:
        return raw
    args = item.get("args")
    shown = shown_args(declaration, args)
    if shown == args:
        return raw
    item["args"] = shown
    try:
        return encode(item)
    except ValueError:  # a lone surrogate, or 1e999, which others could not read before
        return json.dumps(item, separators=(",", ":")).encode("ascii")


def shown_args(declaration: Declaration, args: Any) -> Any:
    """Arguments as they may be shown, those that the job declares secret replaced.

    An argument is known by the parameter that takes it, or, in an argument that
    is an object, by its key. What no parameter takes is not shown either.
    """
    secret = declaration.redact
    if not secret or args is None:
        return args
    if not isinstance(args, list):
        return REDACTED
    names = _names_of_positions(declaration.perform, len(args))
    return [
        REDACTED if name is None or name in secret else _without(secret, arg)
        for name, arg in zip(names, args, strict=True)
    ]


def is_redacted(args: Any) -> bool:
    """Whether something in these arguments has been replaced, so that they are of no use."""
    return any(
        arg == REDACTED or (isinstance(arg, dict) and REDACTED in arg.values())
        for arg in (args if isinstance(args, list) else [args])
    )


def _without(secret: Sequence[str], arg: Any) -> Any:
    if not isinstance(arg, dict):
        return arg
    return {key: REDACTED if key in secret else value for key, value in arg.items()}


def _names_of_positions(perform: Callable[..., Any], count: int) -> list[str | None]:
    """The parameter that takes each of so many arguments; None where there is none."""
    try:
        parameters = inspect.signature(perform).parameters.values()
    except ValueError:  # some builtins have none
        return [None] * count
    names: list[str | None] = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    return (names + [rest] * count)[:count]
