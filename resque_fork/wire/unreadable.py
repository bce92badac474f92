"""Payloads that other languages cannot read or write, in a form that survives their dashboards.

A dashboard queues a failed job again by writing its class and arguments anew. So a failed entry
shows such a payload as a job whose arguments hold the exact bytes in base64. Our workers and
``failed requeue`` turn it back into these bytes:

    {"class":"ResqueFork::Unreadable","args":["<base64>"]}
        nobody could read it
    {"class":"Mail","args":["[\\"\\\\ud83d\\"]",{"ResqueFork::Unreadable":"<base64>"}]}
        Python can, others cannot: the arguments as text for people, then the bytes
    {"class":"ResqueFork::Unreadable","args":[{"key":"resque:fork:kept:5f1c09ab"}]}
        the bytes are too many for an entry: they stand under this key of ours
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

UNREADABLE = "ResqueFork::Unreadable"
LONGEST_TEXT = 1000  # characters of arguments that are shown as text
LONGEST_FRAME = 16 * 1024  # bytes around the base64 of a payload

WRAPPED = UNREADABLE.encode()
_BASE64 = re.compile(
    rb'(?<=\[)\s*"([A-Za-z0-9+/=\\]*+)"(?=\s*\])|"ResqueFork::Unreadable"\s*:\s*"([A-Za-z0-9+/=\\]*+)"'
)


def wrapped(raw: bytes) -> bytes:
    """A payload for bytes that nobody could read."""
    return b'{"class":"%b","args":["%b"]}' % (WRAPPED, base64.b64encode(raw))


def wrapped_job(class_name: str, args: Sequence[Any] | None, raw: bytes) -> bytes:
    """A payload for a job that Python can read and others cannot; without `args` none are shown."""
    if len(class_name) > LONGEST_TEXT:
        return wrapped(raw)
    text = f"({len(raw)} bytes)" if args is None else json.dumps(args, separators=(",", ":"))
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "..."
    name = class_name.encode("utf-8", "backslashreplace").decode()
    shown = [text, {UNREADABLE: base64.b64encode(raw).decode("ascii")}]
    return json.dumps(
        {"class": name, "args": shown}, ensure_ascii=False, separators=(",", ":")
    ).encode()


def reference(key: str) -> bytes:
    """A payload for bytes that stand under a key of their own."""
    return json.dumps({"class": UNREADABLE, "args": [{"key": key}]}, separators=(",", ":")).encode()


def unwrapped(raw: bytes) -> bytes:
    """The bytes that `wrapped` or `wrapped_job` hold, unwrapped once; other payloads stay."""
    if WRAPPED not in raw:
        return raw
    found = _BASE64.search(raw)
    if found is None or len(raw) - len(found[0]) > LONGEST_FRAME:
        return raw
    held = found[1] if found[1] is not None else found[2]
    frame = raw[: found.start()] + (b'""' if found[2] is None else b'"%b":""' % WRAPPED)
    item = _object(frame + raw[found.end() :])
    args = item.get("args")
    whole = item.get("class") == UNREADABLE and args == [""]
    if not whole and not (isinstance(args, list) and args[1:] == [{UNREADABLE: ""}]):
        return raw
    try:
        return base64.b64decode(held.replace(b"\\/", b"/"), validate=True)
    except binascii.Error:
        return raw


def key_of(raw: bytes) -> str | None:
    """The key that a `reference` names; None for other payloads."""
    if WRAPPED not in raw or len(raw) > LONGEST_FRAME:
        return None
    item = _object(raw)
    args = item.get("args")
    if item.get("class") != UNREADABLE or not isinstance(args, list) or len(args) != 1:
        return None
    key = args[0].get("key") if isinstance(args[0], dict) and len(args[0]) == 1 else None
    return key if isinstance(key, str) else None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        item = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return item if isinstance(item, dict) else {}
