"""JSON is written as Ruby writes it, and read strictly."""

from typing import Any

import pytest
from hypothesis import given

from resque_fork.wire.json import MAX_DEPTH, decode, depth_of, encode
from wire.examples import nested, values


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ({"class": "A", "args": [1, "ünï", {"k": [1.5, None, True]}]}, None),
        ("a/b", b'"a/b"'),
        ("\u2028\x7f", b'"\xe2\x80\xa8\x7f"'),
        ("\b\t\n\f\r\x00\x1f", b'"\\b\\t\\n\\f\\r\\u0000\\u001f"'),
        (1.0, b"1.0"),
        (2**80, b"1208925819614629174706176"),
    ],
)
def test_json_is_rubys(value: Any, raw: bytes | None) -> None:
    """JSON is compact UTF-8, with nothing escaped that Ruby does not escape."""
    if raw is None:
        raw = '{"class":"A","args":[1,"ünï",{"k":[1.5,null,true]}]}'.encode()
    assert encode(value) == raw


@given(values)
def test_json_reads_back(value: Any) -> None:
    """What was written reads back as the same value."""
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b'{"a":', "it is not JSON (Expecting value: line 1 column 6 (char 5))"),
        (b"NaN", "it is not JSON (NaN is not a number)"),
        (b"[-Infinity]", "it is not JSON (-Infinity is not a number)"),
        (b'"\xff"', "it is not UTF-8 (byte 1)"),
        (b"[" * 10_000, f"it is nested more than {MAX_DEPTH} levels deep"),
    ],
)
def test_bad_json_raises_our_error(raw: bytes, reason: str) -> None:
    """JSON that is none is refused with a reason that can be shown."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        decode(raw)
    assert str(caught.value) == reason


def test_depth_is_counted_outside_of_strings() -> None:
    """Brackets in strings are text, however many, and however the quotes are escaped."""
    assert depth_of(encode(["[" * 1000 + '\\"' + "{" * 1000])) == 1
    assert decode(encode(["[" * 2000])) == ["[" * 2000]
    assert depth_of(nested(300)) == 300
