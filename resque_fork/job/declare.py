"""How an application declares jobs.

@job(queue="send_mail")
def send_mail(to: str, template: str = "welcome") -> None: ...

class UserMailWorker(Job):
    queue = "send_mail"

    @staticmethod
    def perform(params): ...
"""

from __future__ import annotations

import datetime
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, TypeVar, Unpack, overload

from ..errors import NoClassError, NoQueueError
from .hooks import check_job_hooks
from .registry import Declaration, JobOptions, check_options, declare
from .retry import Time

if TYPE_CHECKING:
    from ..client.receipt import Receipt

P = ParamSpec("P")
R = TypeVar("R")


class Job:
    """Base of jobs that are classes: give it a `queue` and a static or class method `perform`.

    It is known on the wire by its class name, or by ``class Invoice(Job,
    name="Billing::Invoice")``. Methods whose names begin like a hook are its
    hooks. A subclass without a `perform` is a base for others, and not a job.
    ``class Report(Job, timeout=30)`` sets options; see `JobOptions`.
    """

    queue: ClassVar[str | None] = None
    declaration: ClassVar[Declaration]

    def __init_subclass__(cls, *, name: str | None = None, **options: Unpack[JobOptions]) -> None:
        super().__init_subclass__()
        check_job_hooks(cls)
        perform = getattr(cls, "perform", None)
        if perform is None:
            return
        if _takes_self(perform):
            raise NoClassError(
                f"{cls.__qualname__}.perform must be a @classmethod or @staticmethod: "
                "jobs are never instantiated."
            )
        queue: Any = cls.queue
        queue = queue() if callable(queue) else queue  # Resque takes a method too
        wire_name = name or cls.__name__
        check_options(wire_name, options)
        cls.declaration = declare(wire_name, queue, perform, (cls,), owner=cls, **options)


def _takes_self(perform: Any) -> bool:
    return inspect.isfunction(perform) and perform.__code__.co_varnames[:1] == ("self",)


class FunctionJob(Generic[P, R]):
    """A function that is a job. Calling it calls the function, here and now."""

    def __init__(self, function: Callable[P, R], declaration: Declaration) -> None:
        functools.update_wrapper(self, function)
        self.declaration = declaration
        self._function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<job {self.declaration.wire_name}>"

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Receipt | bool:
        """Queue it with the Redis of the environment; see `Resque.enqueue`."""
        from ..client.default import default_resque

        return default_resque().enqueue(self, *args, **kwargs)

    def enqueue_in(self, delay: Time, /, *args: P.args, **kwargs: P.kwargs) -> Receipt | bool:
        """Queue it after a delay; see `Resque.enqueue_in`."""
        from ..client.default import default_resque

        return default_resque().enqueue_in(delay, self, *args, **kwargs)

    def enqueue_at(
        self, when: datetime.datetime | float, /, *args: P.args, **kwargs: P.kwargs
    ) -> Receipt | bool:
        """Queue it when a time has come; see `Resque.enqueue_at`."""
        from ..client.default import default_resque

        return default_resque().enqueue_at(when, self, *args, **kwargs)


@overload
def job(function: Callable[P, R], /) -> FunctionJob[P, R]: ...
@overload
def job(
    *,
    queue: str | None = None,
    name: str | None = None,
    hooks: Sequence[type] = (),
    **options: Unpack[JobOptions],
) -> Callable[[Callable[P, R]], FunctionJob[P, R]]: ...
def job(
    function: Callable[..., Any] | None = None,
    /,
    *,
    queue: str | None = None,
    name: str | None = None,
    hooks: Sequence[type] = (),
    **options: Unpack[JobOptions],
) -> Any:
    """Declare a function as a job.

    `queue` is where it goes unless a call names another; `name` is its class
    name in Redis, by default that of the function; `hooks` are classes whose
    methods are its hooks; `options` are those of `JobOptions`. Raises
    DuplicateJobError if another job has the name, SettingsError for an option
    that makes no sense, NoClassError for a function that is async or yields.
    """

    def decorate(function: Callable[P, R]) -> FunctionJob[P, R]:
        for owner in hooks:
            check_job_hooks(owner)
        wire_name = name or function.__name__
        check_options(wire_name, options)
        return FunctionJob(function, declare(wire_name, queue, function, tuple(hooks), **options))

    if function is None:
        return decorate
    if isinstance(function, str):
        raise NoQueueError(f'@job("{function}") names no option: write @job(queue="{function}").')
    return decorate(function)
