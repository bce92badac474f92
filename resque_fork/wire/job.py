"""A job in a queue: ``{"class":"UserMail","args":[7]}``.

The bytes of a payload that came from a queue are never encoded again: they are
spliced into records and failed entries as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentsError, UnreadablePayload
from ..text import a_or_an
from .json import DEPTH_FOR_OTHERS, MAX_DEPTH, decode, depth_of, encode
from .unreadable import UNREADABLE

MAX_PAYLOAD = 8 * 1024 * 1024
PASS_JSON = "pass strings, numbers, booleans, None, lists or dictionaries with string keys"
PASS_KEY = "pass its primary key, and load it in the job"
OF_MODEL = "which stands for a row of a database"
MARKS_OF_MODELS = ("_meta", "__mapper__")  # of Django's, of SQLAlchemy's
MOST_DECODED = 64 * 1024  # bytes that a parent decodes: reading JSON takes 24 times its size


@dataclass(frozen=True, slots=True)
class Payload:
    """One job as it stands in a queue: its bytes, and what they say.

    One that is not `decoded` is too large for a worker to read: its child does that. Until
    the child has told them, its class is empty and `vouched`, whether it is portable, None.
    """

    raw: bytes
    class_name: str
    args: list[Any]
    decoded: bool = True
    vouched: bool | None = None

    @classmethod
    def of(cls, class_name: str, args: Sequence[Any], job_id: str = "") -> Payload:
        """A new job's payload. Raises ArgumentsError, naming the argument that is not JSON.

        With `job_id` it is tracked.
        """
        check_arguments(class_name, args)
        tracked = {"id": job_id} if job_id else {}
        try:
            raw = encode({"class": class_name, "args": list(args), **tracked})
        except ValueError:
            raise ArgumentsError(_why_not_encoded(class_name, args)) from None
        return cls(raw, class_name, list(args))

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> Payload:
        """The payload of an object that has a ``class``; keys beside it and ``args`` are kept."""
        class_name, args = item["class"], item.get("args") or []
        if not isinstance(args, (list, tuple)):
            raise ArgumentsError(
                f"{class_name}: args must be a list of arguments, not {_a_type(args)}."
            )
        check_arguments(class_name, args)
        if found := _not_json({**item, "args": None}, "", 1):
            where, problem = found
            raise ArgumentsError(f"{class_name}: the payload{where} {problem}.")
        whole = {**item, "args": list(args)}
        try:
            raw = encode(whole)
        except ValueError:
            raise ArgumentsError(_why_not_encoded(class_name, args)) from None
        return cls(raw, class_name, whole["args"])

    @classmethod
    def parse(cls, raw: bytes, limit: int = MAX_PAYLOAD, *, vouch: bool = False) -> Payload:
        """What a payload from a queue says. Raises UnreadablePayload, saying why.

        Missing or null ``args`` mean none; keys beside ``class`` and ``args`` are kept in `raw`.
        With `vouch` it is found out at once whether it is portable, which takes its time.
        """
        if len(raw) > limit:
            raise _too_large(raw, limit)
        try:
            item = decode(raw)
        except ValueError as error:
            raise UnreadablePayload(f"The payload cannot be read: {error}.") from None
        if not isinstance(item, dict):
            raise UnreadablePayload("The payload cannot be read: it is not a JSON object.")
        class_name, args = item.get("class"), item.get("args")
        if class_name is not None and not isinstance(class_name, str):
            raise UnreadablePayload('The payload cannot be read: its "class" is not a string.')
        if not class_name:
            raise UnreadablePayload('The payload cannot be read: it has no "class".')
        if args is not None and not isinstance(args, list):
            raise UnreadablePayload('The payload cannot be read: its "args" are not an array.')
        vouched = _is_portable(raw, item) if vouch else None
        return cls(raw, class_name, args or [], vouched=vouched)

    @classmethod
    def take(cls, raw: bytes, limit: int = MAX_PAYLOAD) -> Payload:
        """As a worker takes it from a queue: `parse` if it is small, else left to the child.

        Raises UnreadablePayload.
        """
        if len(raw) <= MOST_DECODED:
            return cls.parse(raw, limit)
        if len(raw) > limit:
            raise _too_large(raw, limit)
        return cls.undecoded(raw)

    @classmethod
    def undecoded(cls, raw: bytes) -> Payload:
        """One of which only the bytes are known: it is not read here, or cannot be read."""
        return cls(raw, "", [], decoded=False)

    @property
    def portable(self) -> bool:
        """Whether other languages can read it and write it again.

        A lone surrogate is text, and 1e999 a number, to Python alone.
        """
        if self.vouched is not None or not self.decoded:
            return bool(self.vouched)
        try:
            return _is_portable(self.raw, decode(self.raw))
        except ValueError:
            return False


def _is_portable(raw: bytes, item: Any) -> bool:
    try:
        encode(item)
    except ValueError:
        return False
    return depth_of(raw) <= DEPTH_FOR_OTHERS and UNREADABLE.encode() not in raw


def _too_large(raw: bytes, limit: int) -> UnreadablePayload:
    return UnreadablePayload(
        f"The payload has {len(raw)} bytes, which is over the limit of {limit}."
    )


def check_arguments(class_name: str, args: Iterable[Any]) -> None:
    """Raises ArgumentsError for the first argument that JSON would lose or change."""
    for position, argument in enumerate(args, 1):
        where, problem = _not_json(argument, "", 3) or ("", "")  # in an array in an object
        if problem:
            inside = f" at {where}" if where else ""
            pass_this = PASS_KEY if problem.endswith(OF_MODEL) else PASS_JSON
            raise ArgumentsError(
                f"{class_name}: argument {position}{inside} {problem}; {pass_this}."
            )


def _why_not_encoded(class_name: str, args: Sequence[Any]) -> str:
    for position, argument in enumerate(args, 1):
        try:
            encode(argument)
        except UnicodeEncodeError:
            return (
                f"{class_name}: argument {position} holds a lone surrogate, "
                "which UTF-8 cannot carry."
            )
        except ValueError as error:  # an integer of thousands of digits
            return f"{class_name}: argument {position} cannot be written as JSON: {error}."
    return f"{class_name!r} holds a lone surrogate, which UTF-8 cannot carry."


def _not_json(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    if value is None or isinstance(value, (str, int)):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else (path, f"is {value}, which JSON cannot express")
    if depth > MAX_DEPTH:
        return "", f"refers to itself, or is nested more than {MAX_DEPTH - 2} levels deep"
    if isinstance(value, (list, tuple)):
        inside: Iterable[tuple[Any, Any]] = enumerate(value)
    elif isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return path, f"has the key {key!r}, {_a_type(key)} and not a string"
        inside = value.items()
    else:
        of_model = any(hasattr(value.__class__, mark) for mark in MARKS_OF_MODELS)
        return path, f"is {_a_type(value)}, {OF_MODEL if of_model else 'which is not JSON'}"
    for key, item in inside:
        found = _not_json(item, f"{path}[{key!r}]", depth + 1)
        if found:
            return found
    return None


def _a_type(value: Any) -> str:
    kind: type = value.__class__  # of a proxy that of what it stands for
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return a_or_an(module + kind.__qualname__)
