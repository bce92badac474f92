"""JSON as Resque writes it, and as strictly as every language reads it."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

MAX_DEPTH = 500  # levels; every Python reads them without running out of stack
DEPTH_FOR_OTHERS = 99  # Ruby's JSON reads 100, and a record or a failed entry adds one

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# a string, or what is left of one that does not end: the search must not begin anew behind it
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
# one level down for each opening bracket, one up for each closing one, nothing for the rest
_LEVELS = bytes.maketrans(b"[{]}", b"\1\1\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it is not JSON ({name} is not a number)")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def encode(value: Any) -> bytes:
    """`value` as Resque writes JSON. Raises ValueError for what JSON cannot say."""
    return _ENCODER.encode(value).encode("utf-8")


def decode(raw: bytes) -> Any:
    """The value of strict JSON. Raises ValueError, with a reason that can be shown."""
    if depth_of(raw) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    except RecursionError:
        raise ValueError("it is nested too deep to be read") from None
    except ValueError as error:
        if str(error).startswith("it is not JSON"):
            raise
        raise ValueError("it has a number of too many digits") from None


def depth_of(raw: bytes) -> int:
    """How many levels deep JSON is nested; told exactly only where it could matter."""
    most = raw.count(b"[") + raw.count(b"{")
    if most <= DEPTH_FOR_OTHERS:
        return most
    brackets = _STRING.sub(b"", raw).translate(_LEVELS, _NO_BRACKETS)
    return max(itertools.accumulate(memoryview(brackets).cast("b")), default=0)


def sayable(text: str) -> str:
    """Text that UTF-8 can carry: what it cannot is shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
