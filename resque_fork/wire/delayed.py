"""A job that waits for its time: ``{"class":"UserMail","args":[7],"queue":"send_mail"}``.

These items are resque-scheduler's: the payload with the queue that it goes to as its last key.
What the payload is in its queue has no such key. It is spliced in and cut off again, and nothing
of the payload is encoded anew. Only Python makes items; the scripts cut.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from .job import Payload
from .unreadable import wrapped

BLANKS = b" \t\r\n"  # that JSON allows around a value


def delayed_item(payload: Payload, queue: str) -> bytes:
    """What waits for a payload of this queue.

    A payload that others cannot read waits in a form that they can: an item that is not
    JSON would keep every Ruby scheduler from running.
    """
    raw = payload.raw if payload.portable else wrapped(payload.raw)
    body = raw.strip(BLANKS).removesuffix(b"}").rstrip(BLANKS)
    name = json.dumps(queue, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return b'%b,"queue":%b}' % (body, name)


def job_digest(class_name: str, args: Sequence[Any]) -> str:
    """The same for all equal jobs, also after other languages have written their payloads anew."""
    text = json.dumps(
        [class_name, list(args)], ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
