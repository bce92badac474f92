"""What a check of ``doctor`` finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..errors import RedisRefused, WrongKeyType

OK, WARN, FAIL = "ok", "warn", "fail"

Judgement = tuple[str, str]  # result and message of a finding


@dataclass(frozen=True)
class Finding:
    """One line of the report; `message` says what to do unless the result is ok."""

    check: str
    result: str
    message: str


def looked_at(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What a look finds. If the server refuses it, that is a finding too.

    Raises our errors if the server does not answer, or does not let us in.
    """
    try:
        yield from look()
    except WrongKeyType as error:
        yield Finding(check, FAIL, str(error))
    except RedisRefused as error:
        if not error.sent:
            raise
        text = error.reason.rstrip(". ")
        yield Finding(check, WARN, f"The server does not allow what it takes to look ({text}).")
