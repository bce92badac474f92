"""A job that waits for its time: ``{"class":"UserMail","args":[7],"queue":"send_mail"}``.

These items are resque-scheduler's: the payload, with the queue that it goes to as its last key.
In its queue the payload has no such key. The key is spliced in and cut off again; nothing of the
payload is encoded anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from .job import MOST_DECODED, Payload
from .unreadable import wrapped

BLANKS = b" \t\r\n"  # that JSON allows around a value


def delayed_item(payload: Payload, queue: str) -> bytes:
    """What waits for a payload of this queue.

    A payload that others cannot read waits in a form that they can: an item that is not
    JSON would keep every Ruby scheduler from running.
    """
    return item_of(payload.raw if payload.portable else wrapped(payload.raw), queue)


def item_of(raw: bytes, queue: str) -> bytes:
    """What waits for a payload that is a JSON object."""
    body = raw.strip(BLANKS).removesuffix(b"}").rstrip(BLANKS)
    name = json.dumps(queue, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return b'%b,"queue":%b}' % (body, name)


def job_digest(class_name: str, args: Sequence[Any]) -> str:
    """The same for all equal jobs, also after other languages have written their payloads anew."""
    job = [class_name, _as_others_write(list(args))]
    text = json.dumps(job, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return _sha1(text.encode("utf-8", "surrogatepass"))


def digest_of(payload: Payload) -> str:
    """`job_digest`, or, of a payload that a worker does not decode, one of its bytes."""
    if payload.decoded and len(payload.raw) <= MOST_DECODED:
        return job_digest(payload.class_name, payload.args)
    return _sha1(payload.raw.strip(BLANKS))


def _sha1(text: bytes) -> str:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def _as_others_write(value: Any) -> Any:
    """Numbers as JavaScript has them: it knows floats alone, and writes 1.0 as 1, 1e20 in full."""
    if isinstance(value, dict):
        return {key: _as_others_write(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_others_write(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        return int(float(value)) if float(value).is_integer() else value
    except OverflowError:
        return value
