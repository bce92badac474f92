"""Jobs that are queued once the database has what they need."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from ...client.default import default_resque
from ...client.enqueue import own_queue
from ...job.registry import declaration_of
from ...wire.job import Payload


def enqueue_on_commit(job: Any, /, *args: Any, using: str | None = None, **kwargs: Any) -> None:
    """Queue a job on its own queue when the transaction commits; not if it is rolled back.

    `using` is the alias of the database. Outside of a transaction the job is queued at once.
    Arguments are checked and encoded now, so what becomes of them until the commit is of no
    account. Raises ArgumentsError and NoQueueError now. At the commit, when all that the
    transaction wrote is safe, Redis may raise: see `Resque.enqueue`.
    """
    declaration = declaration_of(job)
    own_queue(declaration)
    payload = Payload.of(declaration.wire_name, declaration.bind(args, kwargs))
    encoded = Payload.parse(payload.raw, limit=len(payload.raw))
    transaction.on_commit(lambda: default_resque().enqueue(job, *encoded.args), using=using)
