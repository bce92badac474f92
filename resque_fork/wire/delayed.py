"""A job that waits for its time: ``{"class":"UserMail","args":[7],"queue":"send_mail"}``.

These items are resque-scheduler's: the payload, with the queue that it goes to as its last key.
In its queue the payload has no such key. The key is spliced in and cut off again; nothing of the
payload is encoded anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import UnreadablePayload
from .job import MOST_DECODED, Payload
from .json import decode
from .unreadable import unwrapped, wrapped

BLANKS = b" \t\r\n"  # that JSON allows around a value
LONGEST_SECOND = 15  # digits
LONGEST_NAME = 64 * 1024  # bytes of a queue's name, as JSON, that are looked at
_QUEUE = b',"queue":"'


def is_second(moment: str) -> bool:
    """Whether this is a time at which jobs may be due: whole seconds since the epoch."""
    return moment.isascii() and moment.isdecimal() and len(moment) <= LONGEST_SECOND


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


class Due(NamedTuple):
    """Where an item goes: its queue, and how many of its bytes, closed by ``}``, are the payload.

    With a `size` of None all of them are: its queue does not stand at the end.
    """

    queue: str
    size: int | None


def due_of(item: bytes) -> Due:
    """Where an item goes. Raises UnreadablePayload for one that is no job or names no queue.

    One that is too large for a worker to decode is taken by its end alone, if its queue stands
    there; `is_cut_by_its_end` says so beforehand.
    """
    at_end = due_at_end(item)
    if at_end is not None and len(item) > MOST_DECODED:
        return at_end
    try:
        job = decode(item)
    except ValueError as error:
        raise UnreadablePayload(f"The delayed job cannot be read: {error}.") from None
    if not isinstance(job, dict):
        raise UnreadablePayload("The delayed job cannot be read: it is not a JSON object.")
    queue = job.get("queue")
    if not isinstance(queue, str) or not queue:
        raise UnreadablePayload("The delayed job names no queue.")
    return at_end if at_end is not None and at_end.queue == queue else Due(queue, None)


def is_cut_by_its_end(item: bytes) -> bool:
    """Whether nothing of an item need be decoded to tell where it goes, but its end."""
    return due_at_end(item) is not None


def payload_of(item: bytes, due: Due) -> bytes:
    """The payload as it goes to its queue."""
    return item if due.size is None else item[: due.size] + b"}"


def due_at_end(item: bytes) -> Due | None:
    """Where an item goes whose queue stands at its end, as in ours; None for others."""
    start = item.rfind(_QUEUE)
    if start <= 0 or not item.endswith(b'"}') or len(item) - start > LONGEST_NAME:
        return None
    try:
        queue = json.loads(item[start + len(_QUEUE) - 1 : -1])
    except ValueError:
        return None
    return Due(queue, start) if isinstance(queue, str) and queue else None


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


def digest_of_item(item: bytes) -> str:
    """That of the job that waits; empty if it cannot be read."""
    try:
        return digest_of(Payload.take(unwrapped(payload_of(item, due_of(item)))))
    except UnreadablePayload:
        return ""


def _sha1(text: bytes) -> str:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def _as_others_write(value: Any) -> Any:
    """Numbers as JavaScript has them: it knows floats alone, and writes 1.0 as 1, 1e20 in full.

    Nothing but one call of itself stands on the stack for each level: comprehensions would be
    another, and what is nested as deep as may be would run out of it.
    """
    if isinstance(value, dict):
        return dict(zip(value, map(_as_others_write, value.values()), strict=True))
    if isinstance(value, list):
        return [*map(_as_others_write, value)]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        return int(float(value)) if float(value).is_integer() else value
    except OverflowError:
        return value
