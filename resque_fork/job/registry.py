"""The jobs that an application has declared, by the name they have on the wire.

A payload's ``class`` is looked up here and nowhere else: what was not declared
cannot be run, imported or called by anything that stands in a queue.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from ..callables import does_nothing_when_called
from ..errors import (
    ArgumentsError,
    DuplicateJobError,
    NoClassError,
    NoQueueError,
    SettingsError,
    UnknownJob,
)
from ..text import did_you_mean
from .limits import NO_LIMITS, Limits
from .result import seconds_kept
from .retry import Retry, Time
from .schedule import CATCH_UP, Schedule


class JobOptions(TypedDict, total=False):
    """What a declaration may say beside name, queue and hooks.

    With ``sweep=False`` processes that the job leaves behind live on. `timeout`
    and `cpu` (seconds, or as in ``"10m"``) and `memory` (bytes, or as in ``"512M"``) limit what
    it may use. The arguments of a `sensitive` job are not logged. `redact` names
    arguments, or keys of arguments that are objects, whose values are replaced
    in failed entries and logs. A job with `retry` is performed again when it has failed: so
    many times, or once after each of these delays, or as a `Retry` says. With `cron` or `every`
    it is queued on a schedule, with these `args`; see `Schedule`. With `track` enqueueing returns
    a `Receipt`, which tells what becomes of the job, and for so long as `result` says, what it
    has returned. `options` are those of the application's policies.
    """

    sweep: bool
    timeout: Time
    cpu: Time
    memory: int | str
    sensitive: bool
    redact: Sequence[str]
    retry: Retry | int | Sequence[Time] | None
    cron: str | None
    every: Time | None
    args: Sequence[Any]
    catch_up: Time
    track: bool
    result: Time | None
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Declaration:
    """One declared job: its name on the wire, its queue, and what to call.

    `hook_owners` are the classes whose methods are its hooks, `owner` is the
    class that is the job, if it is not a function; `result` is in seconds. For the rest see
    `JobOptions`.
    """

    wire_name: str
    queue: str | None
    perform: Callable[..., Any]
    hook_owners: tuple[type, ...] = ()
    sweep: bool = True
    limits: Limits = NO_LIMITS
    sensitive: bool = False
    redact: Sequence[str] = ()
    owner: type | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry | None = None
    schedule: Schedule | None = None
    track: bool = False
    result: float | None = None

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The arguments by position, as they travel. Raises ArgumentsError if they do not fit."""
        try:
            signature = inspect.signature(self.perform)
        except ValueError:  # some builtins have none
            signature = inspect.Signature([_ANY_POSITIONAL])
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentsError(f"{self.wire_name}: {error}.") from None
        if bound.kwargs:
            bound = self._fill_gaps(bound)
        return list(bound.args)

    def _fill_gaps(self, bound: inspect.BoundArguments) -> inspect.BoundArguments:
        """Defaults for what was skipped before the last argument given by keyword."""
        given = [name for name in bound.signature.parameters if name in bound.arguments]
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
                if name in bound.arguments:
                    raise ArgumentsError(
                        f"{self.wire_name}: {name!r} can only be given by keyword, "
                        "and arguments travel by position."
                    )
            elif name == given[-1]:
                break
            elif name not in bound.arguments and parameter.default is not parameter.empty:
                bound.arguments[name] = parameter.default
        return bound


_ANY_POSITIONAL = inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)


class Registry:
    """Declared jobs by wire name, and the options that policies have for them."""

    def __init__(self) -> None:
        self._jobs: dict[str, Declaration] = {}
        self._options: dict[str, Callable[[Any], Any]] = {}
        self._schedules: dict[str, Schedule] = {}

    def declare(self, declaration: Declaration) -> None:
        """Raises DuplicateJobError if another job has the name.

        The same function or class seen twice (a module that is also run as
        ``__main__``, or loaded anew) is not another job; the later one counts.
        """
        name = declaration.wire_name
        other = self._jobs.get(name)
        if other is not None and _origin(other) != _origin(declaration):
            raise DuplicateJobError(
                f"Two jobs are called {name!r}: {_place(other)} and {_place(declaration)}. "
                "Give one of them another name=."
            )
        self._jobs[name] = declaration

    def add_options(self, options: Mapping[str, Callable[[Any], Any]]) -> None:
        """Options that jobs may have, with what checks them. Raises SettingsError."""
        for name in options:
            if name in self._options:
                raise SettingsError(f"Two policies have an option {name!r}: rename one of them.")
        self._options |= options

    def checked(self, wire_name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of one job. Raises SettingsError for one that no policy has or takes."""
        found = {}
        for name, value in options.items():
            if name not in self._options:
                known = ", ".join(sorted(self._options)) or "none"
                raise SettingsError(
                    f"{wire_name}: no policy has the option {name!r} (there are: {known}). "
                    "Add the policy before the job is declared."
                )
            try:
                found[name] = self._options[name](value)
            except ValueError as expected:
                raise SettingsError(f"{wire_name}: {name} {expected}, not {value!r}.") from None
        return found

    def find(self, name: str) -> Declaration:
        """Raises UnknownJob, naming the known jobs that look alike."""
        try:
            return self._jobs[name]
        except KeyError:
            raise UnknownJob(self._unknown(name)) from None

    def get(self, name: str) -> Declaration | None:
        return self._jobs.get(name)

    def names(self) -> list[str]:
        return sorted(self._jobs)

    def queues(self) -> set[str]:
        """The queues of all jobs that have one."""
        return {job.queue for job in self._jobs.values() if job.queue is not None}

    def retries(self) -> dict[str, Retry | None]:
        """How each job is retried; None for those that are not."""
        return {name: declared.retry for name, declared in self._jobs.items()}

    def add_schedule(self, schedule: Schedule) -> None:
        """One that is declared apart from its job. Raises SettingsError if there is another."""
        if self._schedules.get(schedule.name, schedule) != schedule:
            raise SettingsError(f"Two schedules are called {schedule.name!r}: rename one of them.")
        self._schedules[schedule.name] = schedule

    def schedules(self) -> list[Schedule]:
        """All schedules, those of jobs too, sorted by name. Raises SettingsError."""
        found = dict(self._schedules)
        for declared in self._jobs.values():
            schedule = declared.schedule
            if schedule and found.setdefault(schedule.name, schedule) != schedule:
                raise SettingsError(
                    f"The job {schedule.name} declares a schedule, and there is another of that "
                    "name: rename it."
                )
        return [found[name] for name in sorted(found)]

    def forget(self, name: str) -> None:
        self._jobs.pop(name, None)

    def _unknown(self, name: str) -> str:
        shown = name if len(name) <= 200 else name[:200] + "..."
        try:
            import difflib  # not for every worker: it costs memory, and so makes every fork slower

            alike = difflib.get_close_matches(shown, self._jobs, 3, cutoff=0.5)
        except ImportError:  # no descriptor to read it with
            alike = []
        if alike:
            return f"No job is registered as {shown!r}; similar: {', '.join(alike)}."
        if not self._jobs:
            return (
                f"No job is registered as {shown!r}, nor any other: "
                "give the worker the application with --require."
            )
        return f"No job is registered as {shown!r}."


def _origin(declaration: Declaration) -> tuple[str, str]:
    """The file that declares it, and its name there."""
    what = declaration.owner or inspect.unwrap(declaration.perform)
    try:
        filename = os.path.realpath(inspect.getfile(what))
    except (TypeError, OSError):  # it comes from no file
        filename = ""
    return filename, getattr(what, "__qualname__", type(what).__qualname__)


def _place(declaration: Declaration) -> str:
    filename, name = _origin(declaration)
    return f"{name} in {filename}" if filename else name


registry = Registry()


def check_options(wire_name: str, options: Collection[str]) -> None:
    """Raises SettingsError for what is no option of a job."""
    known = [*JobOptions.__annotations__, "queue", "name", "hooks"]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known)
            raise SettingsError(f"{wire_name}: a job has no option {option!r}{hint}")


def declare(
    wire_name: str,
    queue: str | None,
    perform: Callable[..., Any],
    hook_owners: tuple[type, ...],
    *,
    sweep: bool = True,
    timeout: Time | None = None,
    cpu: Time | None = None,
    memory: int | str | None = None,
    sensitive: bool = False,
    redact: Sequence[str] = (),
    retry: Retry | int | Sequence[Time] | None = None,
    cron: str | None = None,
    every: Time | None = None,
    args: Sequence[Any] = (),
    catch_up: Time = CATCH_UP,
    track: bool = False,
    result: Time | None = None,
    options: Mapping[str, Any] | None = None,
    owner: type | None = None,
) -> Declaration:
    """Make a job known to this process.

    Raises DuplicateJobError, SettingsError, NoClassError for a function that would do nothing
    when called, and NoQueueError or ArgumentsError for a schedule that could not queue it.
    """
    if result is not None and not track:
        raise SettingsError(f"{wire_name}: only a tracked job can keep its result: add track=True.")
    if reason := does_nothing_when_called(perform):
        raise NoClassError(f"{wire_name} cannot be a job: {reason}.")
    limits = Limits.declared(timeout, memory, cpu)
    secret = (redact,) if isinstance(redact, str) else tuple(redact)
    declaration = Declaration(
        wire_name,
        queue,
        perform,
        hook_owners,
        sweep,
        limits,
        sensitive,
        secret,
        owner,
        registry.checked(wire_name, options or {}),
        Retry.declared(retry),
        track=track,
        result=None if result is None else seconds_kept(wire_name, result),
    )
    if cron is not None or every is not None:
        if queue is None:
            raise NoQueueError(f'{wire_name} has a schedule and no queue: declare queue="...".')
        declaration.bind(args, {})
        schedule = Schedule(wire_name, wire_name, queue, cron, every, args, catch_up=catch_up)
        declaration = replace(declaration, schedule=schedule)
    elif args:
        raise SettingsError(f"{wire_name}: args are those of a schedule: declare cron or every.")
    registry.declare(declaration)
    return declaration


def declaration_of(what: Any) -> Declaration:
    """The declaration of a job however it is named: a function, a class, or its wire name.

    A name that is not declared here is fine: a producer need not have the
    code. Raises NoClassError for what cannot be a job.
    """
    if isinstance(what, str) and what:
        return registry.get(what) or Declaration(what, None, _not_here)
    declaration = getattr(what, "declaration", None)
    if not isinstance(declaration, Declaration):
        raise NoClassError(
            f"{what!r} is not a job: pass a function decorated with @job, a subclass of Job "
            "with a perform method, or the name its workers know it by."
        )
    return declaration


def _not_here(*args: Any) -> None:
    raise NoClassError("Only the name of this job is known here, so it cannot be performed here.")
