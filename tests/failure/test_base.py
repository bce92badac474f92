"""A failure is told in words that can be written down, whatever the exception does."""

import sys
from typing import Any

import pytest

from resque_fork.errors import DirtyExit, TermException, UnreadablePayload
from resque_fork.failure.base import (
    LONGEST_ERROR,
    LONGEST_LINE,
    MOST_LINES,
    Backend,
    Failure,
    ListBackend,
    payload_object,
    shortened,
)
from resque_fork.job.registry import Declaration
from resque_fork.job.reservation import perform
from resque_fork.wire.json import decode


def raised(act: Any) -> Failure:
    """The failure of what this raises."""
    try:
        act()
    except BaseException as error:
        return Failure.of(error)
    raise AssertionError("nothing was raised")


def fail(error: BaseException) -> Any:
    def act() -> None:
        raise error

    return act


def test_exception_and_message() -> None:
    """A job's own exception is told by its Python class name and its text."""
    failure = raised(fail(KeyError("x")))
    assert (failure.exception, failure.error) == ("KeyError", "'x'")
    assert raised(fail(SystemExit(3))).exception == "SystemExit"
    assert raised(fail(SystemExit(3))).error == "3"


def test_notes_are_part_of_the_message() -> None:
    """What was added to an exception on its way is told after its text."""
    error = ValueError("why")
    error.add_note("when")
    error.add_note("where")
    assert Failure.of(error).error == "why\nwhen\nwhere"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (DirtyExit("x"), "Resque::DirtyExit"),
        (TermException("SIGTERM"), "Resque::TermException"),
        (UnreadablePayload("x"), "ResqueFork::UnreadablePayload"),
    ],
)
def test_own_exceptions_have_their_wire_names(error: BaseException, name: str) -> None:
    """Our own exceptions are told by the names that dashboards know."""
    assert Failure.of(error).exception == name


def test_backtrace_is_innermost_first() -> None:
    """The backtrace has file, line and function, the innermost first, in Ruby's form."""

    def inner() -> None:
        raise ValueError

    def outer() -> None:
        inner()

    first, second, third = raised(outer).backtrace
    assert first == f"{__file__}:{inner.__code__.co_firstlineno + 1}:in inner"
    assert second == f"{__file__}:{outer.__code__.co_firstlineno + 1}:in outer"
    assert third.endswith(":in raised")


def test_backtrace_is_without_our_frames() -> None:
    """How the job came to be called is none of its reader's business."""
    declaration = Declaration("job", None, fail(ValueError()))
    lines = raised(lambda: perform(declaration, [])).backtrace
    assert [line.rpartition(" ")[2] for line in lines] == ["act", "<lambda>", "raised"]


def test_endless_backtrace_is_shortened() -> None:
    """Of a backtrace without end both ends are told, and how much is left out."""

    def deeper() -> None:
        deeper()

    lines = raised(deeper).backtrace
    assert len(lines) == MOST_LINES + 1
    assert lines[MOST_LINES // 2].startswith("... ")
    assert lines[MOST_LINES // 2].endswith(" more")
    assert lines[-1].endswith(":in raised")


def test_endless_message_is_shortened() -> None:
    """A message of megabytes is shortened, and says so."""
    failure = raised(fail(ValueError("x" * 50_000_000)))
    assert failure.error == (f"{'x' * LONGEST_ERROR}... (shortened, 50000000 characters in all)")
    assert shortened("abc", 3) == "abc"


class Rude(Exception):
    """An exception that will not be shown."""

    wire_name = 7

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Quitter(Exception):
    def __str__(self) -> str:
        sys.exit(1)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Rude, "(its text cannot be shown: str() raised RuntimeError)"),
        (Quitter, "(its text cannot be shown: str() raised SystemExit)"),
        (type("Nöt", (Exception,), {}), ""),
    ],
)
def test_exceptions_that_cannot_be_shown(kind: type[BaseException], text: str) -> None:
    """An exception that raises when it is asked for its text is a failure like others."""
    failure = raised(fail(kind()))
    assert failure.error == text
    assert failure.exception in ("Rude", "Quitter", "Nöt")
    entry = failure.entry(failed_at=0, payload=b'{"class":"A"}', worker="w", queue="q")
    assert decode(entry)["error"] == text


def test_long_lines_are_shortened() -> None:
    """A file whose name is a page long does not fill the entry."""
    code = compile("def f(): raise ValueError", "x" * 5000, "exec")
    space: dict[str, Any] = {}
    exec(code, space)
    line = raised(space["f"]).backtrace[0]
    assert len(line) < LONGEST_LINE + 60


def test_explained() -> None:
    """What is known of the dead process is added to what was known before."""
    failure = Failure("E", "e", (), {"signal": "SIGSEGV"})
    assert failure.explained({"oom": "probably"}).forensics == {
        "signal": "SIGSEGV", "oom": "probably",
    }  # fmt: skip
    assert failure.forensics == {"signal": "SIGSEGV"}


def test_payload_for_backends() -> None:
    """A backend gets the payload as an object; what cannot be read is shown as text."""
    assert payload_object(b'{"class":"A","id":1}') == {"class": "A", "id": 1}
    for raw in (b"[1]", b"oops", b"\xff", b"[" * 100_000):
        shown = payload_object(raw)
        assert shown["class"] is None
        assert shown["args"] == []
        assert shown["raw"] == raw.decode("utf-8", "backslashreplace")


def test_backends_must_be_complete() -> None:
    """A backend without its one method is an error when it is made, not when a job fails."""
    with pytest.raises(TypeError, match="save"):
        type("Bare", (Backend,), {})(ValueError(), "w", "q", {})
    with pytest.raises(TypeError, match="list_of"):
        type("Bare", (ListBackend,), {})()
