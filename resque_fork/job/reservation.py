"""A job that has been taken from its queue, and how it is performed with its hooks."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import DontPerform, UnreadablePayload
from ..wire.job import Payload
from ..wire.status import id_of
from .hooks import job_hooks
from .redaction import is_redacted, redacted, shown, shown_args
from .registry import Declaration, registry
from .result import result_text
from .retry import Retry

log = logging.getLogger("resque_fork")


@dataclass(frozen=True, slots=True)
class Reservation:
    """Which queue a job came from, what it says, and when it was taken.

    `failures` is how often it has failed before, as far as that is known of a job that is
    retried, and `first_failed` when first, in seconds since the epoch. `declared` is how it is
    retried, if its class is not known here.
    """

    queue: str
    payload: Payload
    run_at: str = ""
    failures: int = 0
    first_failed: float = 0.0
    declared: Retry | None = None

    @property
    def class_name(self) -> str:
        return self.payload.class_name

    @property
    def args(self) -> list[Any]:
        return self.payload.args

    @property
    def id(self) -> str:
        """By which it is tracked; empty if it is not."""
        return id_of(self.payload.raw)

    @property
    def shown(self) -> bytes:
        """The payload as failed entries show it: a job that every language can read and write."""
        return shown(self.payload)

    @property
    def redacted(self) -> bytes:
        """The payload as failure backends of the application get it."""
        return redacted(self.payload.raw)

    @property
    def retry(self) -> Retry | None:
        """How it is retried; None if it is not."""
        declaration = registry.get(self.class_name)
        return declaration.retry if declaration else self.declared

    def option(self, name: str) -> Any:
        """What the job has declared for an option of a policy; None if nothing."""
        declaration = registry.get(self.class_name)
        return declaration.options.get(name) if declaration else None

    def read(self) -> Reservation:
        """The same with its payload decoded, however large it is. Raises UnreadablePayload."""
        if self.payload.decoded:
            return self
        payload = Payload.parse(self.payload.raw, limit=len(self.payload.raw), vouch=True)
        refuse_redacted(payload)
        return replace(self, payload=payload)

    def told(self, class_name: str, portable: bool) -> Reservation:
        """The same with what a child has told of a payload that is not decoded here."""
        payload = replace(self.payload, class_name=class_name, vouched=portable)
        return replace(self, payload=payload)

    def __str__(self) -> str:
        """As log lines show it: ``(Job{send_mail} | UserMailWorker | [7])``."""
        name = self.class_name or "(unreadable)"
        return f"(Job{{{self.queue}}} | {name} | {self._shown_args()})"

    def perform(self, keep: Callable[[str], object] | None = None) -> bool:
        """Perform it here and now with its hooks; False if a hook kept it from that.

        `keep` gets what it returns, if that is kept, as JSON. Raises UnknownJob if it is not
        declared here, and what the job raises, after its on_failure hooks.
        """
        declaration = registry.find(self.class_name)
        try:
            return perform(declaration, self.args, keep)
        except BaseException as error:
            raise run_failure_hooks(declaration, error, self.args) from None

    def _shown_args(self) -> str:
        declaration = registry.get(self.class_name)
        if declaration is not None and declaration.sensitive:
            return "[not shown]"
        if self.class_name and not self.payload.decoded:
            return f"[{len(self.payload.raw)} bytes]"
        args = self.args if declaration is None else shown_args(declaration, self.args)
        try:
            shown = repr(args)
        except RecursionError:
            return "[...]"
        return shown if len(shown) <= 2000 else shown[:2000] + "..."


def refuse_redacted(payload: Payload) -> None:
    """A dashboard may queue again what stands in a failed entry. Raises UnreadablePayload."""
    if is_redacted(payload.args):
        raise UnreadablePayload(
            "The payload cannot be performed: it was queued again from a failed entry in which "
            "arguments are redacted. Enqueue the job with its own arguments."
        )


def perform(
    declaration: Declaration, args: Sequence[Any], keep: Callable[[str], object] | None = None
) -> bool:
    """Perform a job with its hooks; False if a hook kept it from being performed.

    Of a job whose result is kept, `keep` gets that as JSON, once more if a hook calls the job
    once more. Raises ResultError if it is not JSON.

    1. before_perform hooks, in order; DontPerform from one of them ends it here.
    2. around_perform hooks, each around the next, and inside them the job.
    3. after_perform hooks, also when an around hook did not call the job.

    Whatever else is raised, raises: the caller runs `run_failure_hooks`.
    """
    try:
        for hook in job_hooks(declaration.hook_owners, "before_perform"):
            hook(*args)
    except DontPerform:
        return False

    performed = False

    def innermost() -> Any:
        nonlocal performed
        result = declaration.perform(*args)
        performed = True
        if keep is not None and declaration.result is not None:
            keep(result_text(declaration.wire_name, result))
        return result

    step = innermost
    for hook in reversed(job_hooks(declaration.hook_owners, "around_perform")):
        step = functools.partial(hook, step, *args)
    step()
    for hook in job_hooks(declaration.hook_owners, "after_perform"):
        hook(*args)
    return performed


def run_failure_hooks(
    declaration: Declaration, error: BaseException, args: Sequence[Any]
) -> BaseException:
    """Run the on_failure hooks; returns the error to record.

    That is the one that was passed in, unless a hook raised: then, as in
    Resque, a RuntimeError that tells of both, with the traceback of the first.
    The log has both too: of a job whose process died, the entry may be written.
    """
    try:
        for hook in job_hooks(declaration.hook_owners, "on_failure"):
            hook(error, *args)
    except Exception as second:
        return with_second_error(error, second, "running failure hooks", declaration.wire_name)
    return error


def run_retry_hooks(
    declaration: Declaration, error: BaseException, seconds: float, args: Sequence[Any]
) -> None:
    """Run the on_retry hooks of a job that is retried in so many seconds; errors are logged."""
    for hook in job_hooks(declaration.hook_owners, "on_retry"):
        try:
            hook(error, seconds, *args)
        except Exception as problem:
            name = getattr(hook, "__qualname__", repr(hook))
            log.error("The hook %s of %s raised %r", name, declaration.wire_name, problem)


def with_second_error(
    error: BaseException, second: Exception, doing: str, wire_name: str
) -> RuntimeError:
    """One error that tells of both, with the traceback of the first; it is logged too."""
    told = (
        f"Additional error ({type(second).__name__}: {second}) occurred in {doing} "
        f"for job {wire_name}",
        f"Original error that caused job failure was {type(error).__name__}: {error}",
    )
    log.error("%s. %s", *told)
    return RuntimeError("\n".join(told)).with_traceback(error.__traceback__)
