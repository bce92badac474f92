"""Failed entries have Resque's keys in Resque's order."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from resque_fork.wire.failed import entry_with, failed_entry
from resque_fork.wire.json import decode, encode, sayable
from wire.examples import MOMENT, values


def entry(raw: bytes, **more: Any) -> bytes:
    """A failed entry of this payload."""
    told: dict[str, Any] = {
        "failed_at": MOMENT,
        "exception": "ValueError",
        "error": "böom",
        "backtrace": ["/app/jobs.py:17:in perform"],
        "worker": "vm:22916:email,low",
        "queue": "email",
    }
    return failed_entry(payload=raw, **{**told, **more})


def test_seven_keys_in_order() -> None:
    """A failed entry has Resque's seven keys in Resque's order, and the payload's own bytes."""
    assert (
        entry(b'{"class":"A","args":[1.0,12345678901234567890]}')
        == (
            '{"failed_at":"2026/11/23 06:51:50 UTC",'
            '"payload":{"class":"A","args":[1.0,12345678901234567890]},'
            '"exception":"ValueError","error":"böom","backtrace":["/app/jobs.py:17:in perform"],'
            '"worker":"vm:22916:email,low","queue":"email"}'
        ).encode()
    )


def test_forensics_come_last() -> None:
    """What we know beside Resque's seven keys comes after them."""
    item = json.loads(entry(b'{"class":"A"}', forensics={"signal": "SIGSEGV", "stderr": ["x"]}))
    assert list(item)[-2:] == ["queue", "forensics"]
    assert item["forensics"] == {"signal": "SIGSEGV", "stderr": ["x"]}


@given(st.text(), st.lists(values))
def test_entry_with_another_payload(error: str, args: list[Any]) -> None:
    """Only the payload is exchanged, whatever stands around it."""
    long, short = encode({"class": ',"exception":', "args": args}), b'{"class":"B"}'
    assert entry_with(entry(long, error=error), short) == entry(short, error=error)


@given(st.text(), st.text())
def test_failed_entry_says_unsayable_text(error: str, line: str) -> None:
    """Text that UTF-8 cannot carry is shown as escapes, so that the list can be read back."""
    told = {"stderr": [line], "signal": "SIGSEGV"}
    item = decode(entry(b'{"class":"A"}', error=error, backtrace=[line], forensics=told))
    assert item["error"] == sayable(error)
    assert item["backtrace"] == item["forensics"]["stderr"] == [sayable(line)]


def test_sayable_shows_escapes() -> None:
    """A lone surrogate is shown as an escape; all other text is left alone."""
    assert sayable("a\ud800ü") == "a\\ud800ü"
