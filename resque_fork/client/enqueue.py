"""How jobs are queued: bound to their signature, past their hooks, and pushed or delayed."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import MaybeEnqueued, NoQueueError, ResqueError, WrongKeyType
from ..job.hooks import job_hooks
from ..job.registry import Declaration
from ..job.reservation import Reservation
from ..job.retry import Time
from ..store.delayed_jobs import DelayedJobs
from ..store.queues import Queues
from ..store.redis_url import PUSHED_A_SECOND
from ..store.statuses import Statuses
from ..wire.job import Payload
from ..wire.status import COMPLETED, DELAYED, QUEUED, Status, new_id, status_text
from .killing import kill
from .later import When, moment_of, new_item, seconds_of
from .receipt import Receipt

if TYPE_CHECKING:
    from ..store.client import Client

BULK = 1000  # payloads a round trip
BULK_BYTES = 4 * 1024 * 1024
NOTHING = "Nothing was queued."
PERHAPS = "It broke during the push: what was pushed to {!r} may or may not be queued."


class Enqueuer:
    """Queues jobs, and waits for Redis for so many seconds at most.

    With `inline` jobs are performed where they are queued.
    """

    def __init__(
        self,
        client: Client,
        queues: Queues,
        delayed: DelayedJobs,
        statuses: Statuses,
        timeout: float,
    ) -> None:
        self._client = client
        self._queues = queues
        self._delayed = delayed
        self._statuses = statuses
        self._timeout = timeout

    def enqueue(
        self,
        queue: str,
        declaration: Declaration,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        inline: bool,
    ) -> Receipt | bool:
        """Queue one job; see `Resque.enqueue_to`."""
        bound = declaration.bind(args, kwargs)
        if not all_agree(job_hooks(declaration.hook_owners, "before_enqueue"), bound):
            return False
        job_id = new_id() if declaration.track else ""
        payload = Payload.of(declaration.wire_name, bound, job_id)
        receipt: Receipt | bool = True
        if inline:
            receipt = _perform(queue, payload, job_id)
        elif job_id:
            text = status_text(job_id, QUEUED, payload.class_name, queue)
            with self._sending(len(payload.raw), NOTHING, PERHAPS.format(queue)):
                self._statuses.enqueue(job_id, text, queue, payload.raw)
            receipt = self._receipt(job_id)
        else:
            self.push(queue, payload.raw)
        for hook in job_hooks(declaration.hook_owners, "after_enqueue"):
            hook(*bound)
        return receipt

    def enqueue_many(
        self,
        queue: str,
        declaration: Declaration,
        many_args: Iterable[Sequence[Any]],
        progress: Callable[[int], None] | None,
        *,
        inline: bool,
    ) -> int:
        """Queue one job for each sequence of arguments; see `Resque.enqueue_many`."""
        before = job_hooks(declaration.hook_owners, "before_enqueue")
        after = job_hooks(declaration.hook_owners, "after_enqueue")
        enqueued = 0
        try:
            for batch in _bulks(declaration, many_args, before):
                if inline:
                    for payload, _ in batch:
                        _perform(queue, payload)
                else:
                    self.push(queue, *(payload.raw for payload, _ in batch), before=enqueued)
                enqueued += len(batch)
                for _, args in batch:
                    for hook in after:
                        hook(*args)
                if progress:
                    progress(len(batch))
        except Exception as error:
            error.enqueued = enqueued  # type: ignore[attr-defined]
            raise
        return enqueued

    def delay(
        self,
        queue: str,
        declaration: Declaration,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        when: When | None = None,
        delay: Time = 0,
        inline: bool,
    ) -> Receipt | bool:
        """Queue one job later; see `Resque.enqueue_at_to`."""
        moment = None if when is None else moment_of(when)
        seconds = seconds_of(delay)
        if inline or (seconds == 0 if moment is None else moment <= time.time()):
            return self.enqueue(queue, declaration, args, kwargs, inline=inline)
        bound = declaration.bind(args, kwargs)
        if not all_agree(job_hooks(declaration.hook_owners, "before_schedule"), bound):
            return False
        job_id = new_id() if declaration.track else ""
        payload = Payload.of(declaration.wire_name, bound, job_id)
        item = new_item(payload, queue)
        text = status_text(job_id, DELAYED, payload.class_name, queue) if job_id else b""
        perhaps = "It broke meanwhile: the job may or may not be delayed."
        with self._sending(len(item), "Nothing was delayed.", perhaps):
            self._delayed.add(item, moment, seconds, job_id, text)
        for hook in job_hooks(declaration.hook_owners, "after_schedule"):
            hook(*bound)
        return self._receipt(job_id) if job_id else True

    def push(self, queue: str, *payloads: bytes, before: int = 0) -> None:
        """Push payloads; an error says what has become of them.

        `before` is how many were pushed before them, in the same call.
        """
        nothing = f"Nothing was queued after the first {before} jobs." if before else NOTHING
        with self._sending(sum(map(len, payloads)), nothing, PERHAPS.format(queue)):
            unknown = self._queues.push(queue, *payloads)
        if unknown is not None:
            unknown.add(
                f"All jobs were pushed to {queue!r}, but it may be missing from the list of queues."
            )
            raise unknown

    def _receipt(self, job_id: str) -> Receipt:
        return Receipt(
            job_id,
            self._statuses.get,
            partial(kill, statuses=self._statuses, queues=self._queues, delayed=self._delayed),
        )

    @contextlib.contextmanager
    def _sending(self, size: int, nothing: str, perhaps: str) -> Iterator[None]:
        """Within the timeout. An error says what has come of it: nothing, or perhaps all."""
        try:
            with self._client.within(self._timeout + size / PUSHED_A_SECOND):
                yield
        except WrongKeyType:
            raise  # it names the key that stands where the queue would be
        except ResqueError as error:
            if error.had_no_effect:
                error.add(nothing)
                raise
            raise MaybeEnqueued(f"{error} {perhaps}") from error.__cause__


def _perform(queue: str, payload: Payload, job_id: str = "") -> Receipt | bool:
    """Perform a job where it is queued, on arguments that went through JSON."""
    results: list[str] = []
    Reservation(queue, Payload.parse(payload.raw)).perform(results.append)
    if not job_id:
        return True
    more = {"result": json.loads(results[-1])} if results else {}
    done = status_text(job_id, COMPLETED, payload.class_name, queue, **more)

    def ended(job_id: str) -> Status:
        return Status.parse(job_id, done, time.time())

    return Receipt(job_id, ended, ended)


def _bulks(
    declaration: Declaration,
    many_args: Iterable[Sequence[Any]],
    before: Sequence[Callable[..., Any]],
) -> Iterator[list[tuple[Payload, Sequence[Any]]]]:
    batch: list[tuple[Payload, Sequence[Any]]] = []
    size = 0
    for args in many_args:
        if before and not all_agree(before, args):
            continue
        payload = Payload.of(declaration.wire_name, args)
        batch.append((payload, args))
        size += len(payload.raw)
        if len(batch) == BULK or size >= BULK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def all_agree(hooks: Sequence[Callable[..., Any]], args: Sequence[Any]) -> bool:
    """Run hooks that may say no by returning False; all of them run."""
    answers = [hook(*args) for hook in hooks]
    return not any(answer is False for answer in answers)


def own_queue(declaration: Declaration) -> str:
    """The queue that a job has declared. Raises NoQueueError."""
    if declaration.queue is None:
        raise NoQueueError(
            f'{declaration.wire_name} has no queue: declare it with queue="...", '
            "or use enqueue_to(queue, ...)."
        )
    return declaration.queue


def queue_name(queue: Any, declaration: Declaration | None = None) -> str:
    """The queue that was named, or else the one that the job has declared. Raises NoQueueError."""
    if queue is None and declaration is not None:
        queue = declaration.queue
        if queue is None:
            raise NoQueueError(f'{declaration.wire_name} has no queue: name one with queue="...".')
    if isinstance(queue, str) and queue.strip():
        return queue
    raise NoQueueError(f"Jobs must be placed onto a queue, and {queue!r} does not name one.")
