"""What a failure is, and the two shapes of backends that take one."""

from __future__ import annotations

import json
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..store.worker_store import FailedEntry
from ..wire.failed import failed_entry
from ..wire.json import sayable
from ..wire.keys import Keys

LONGEST_ERROR = 10_000  # characters
LONGEST_LINE = 1_000
MOST_LINES = 200
OUR_FOLDER = str(Path(__file__).parent.parent) + "/"


@dataclass(frozen=True)
class Failure:
    """Why a job failed, in words that can be written down.

    `exception` is a class name, `backtrace` innermost first and without our
    own frames, `forensics` holds integers, strings and lists of strings.
    """

    exception: str
    error: str
    backtrace: Sequence[str] = ()
    forensics: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Of any exception, however badly it behaves."""
        kind = type(error)
        name = getattr(kind, "wire_name", None)
        if not isinstance(name, str):
            name = kind.__name__
        return cls(sayable(shortened(name, LONGEST_LINE)), _text_of(error), _backtrace(error))

    def explained(self, forensics: Mapping[str, Any]) -> Failure:
        """The same failure with what is known of the process that failed."""
        return replace(self, forensics={**self.forensics, **forensics})

    def entry(self, *, failed_at: float, payload: bytes, worker: str, queue: str) -> bytes:
        """Its bytes for a list of failed jobs; `payload` is a job that all languages can read."""
        return failed_entry(
            failed_at=failed_at,
            payload=payload,
            exception=self.exception,
            error=self.error,
            backtrace=self.backtrace,
            worker=worker,
            queue=queue,
            forensics=self.forensics,
        )


class ListBackend(ABC):
    """A backend that is a list in Redis. It only says which: the worker writes the entry."""

    @abstractmethod
    def list_of(self, keys: Keys, queue: str) -> tuple[str, str]:
        """The list's key, and its name in ``failed_queues`` (empty if it is not listed there)."""

    def entry(self, entry: bytes, keys: Keys, queue: str) -> FailedEntry:
        key, member = self.list_of(keys, queue)
        return FailedEntry(key, entry, member)


class Backend(ABC):
    """A backend of another kind; define `save`.

    One is made for each failure: in the child that failed, with the live exception, or if the
    child has died, in a short-lived process of the worker, with the exception that explains the
    death. What `save` raises is logged. If no backend that is a list has the failure, it goes
    to the list ``failed``.

    `attempt` is 1 unless the job was retried before.
    """

    attempt = 1

    def __init__(
        self, exception: BaseException, worker: str, queue: str, payload: Mapping[str, Any]
    ) -> None:
        self.exception = exception
        self.worker = worker
        self.queue = queue
        self.payload = payload

    @abstractmethod
    def save(self) -> None:
        """Take the failure. The worker ends a process that takes too long over it."""


def _text_of(error: BaseException) -> str:
    try:
        text = "\n".join([str(error), *getattr(error, "__notes__", ())])
    except BaseException as worse:  # a job's exception may do anything when asked for its text
        text = f"(its text cannot be shown: str() raised {type(worse).__name__})"
    return sayable(shortened(text, LONGEST_ERROR))


def shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}... (shortened, {len(text)} characters in all)"


def _backtrace(error: BaseException) -> list[str]:
    """``/app/jobs.py:17:in perform``, in the form that Ruby has for it, innermost first.

    What the error was caused by follows, each behind a line that names it.
    """
    lines = _frames(error)
    seen = {id(error)}
    while (cause := _cause_of(error)) is not None and id(cause) not in seen:
        seen.add(id(cause))
        named = f"caused by {type(cause).__name__}: {_text_of(cause)}"
        lines += [shortened(named, LONGEST_LINE), *_frames(cause)]
        error = cause
    if len(lines) > MOST_LINES:
        left_out = len(lines) - MOST_LINES
        lines[MOST_LINES // 2 : -MOST_LINES // 2] = [f"... {left_out} more"]
    return lines


def _cause_of(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(error: BaseException) -> list[str]:
    try:
        frames = traceback.extract_tb(error.__traceback__)
    except Exception:  # a traceback can be broken by what the job did to its modules
        return []
    return [
        shortened(f"{frame.filename}:{frame.lineno}:in {frame.name}", LONGEST_LINE)
        for frame in reversed(frames)
        if not frame.filename.startswith(OUR_FOLDER)
    ]


def payload_object(raw: bytes) -> Mapping[str, Any]:
    """The payload as user backends get it; what cannot be read is shown as text."""
    try:
        item = json.loads(raw)
    except (ValueError, RecursionError):
        item = None
    if isinstance(item, dict):
        return item
    return {"class": None, "args": [], "raw": raw.decode("utf-8", "backslashreplace")}
