"""Hooks run in Resque's order, with Resque's exceptions, and are found by their names."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from resque_fork import DontPerform, HookError, Job, Resque, job
from resque_fork.errors import NoQueueError, TermException
from resque_fork.job.hooks import JOB_HOOKS, WORKER_HOOKS, WorkerHooks, job_hooks
from resque_fork.job.registry import declaration_of
from resque_fork.job.reservation import perform, run_failure_hooks

pytestmark = pytest.mark.usefixtures("own_jobs")


class Told:
    """What has been told, in order; a mix-in for jobs of these tests."""

    log: ClassVar[list[Any]] = []

    @classmethod
    def tell(cls, *words: Any) -> None:
        Told.log.append(words[0] if len(words) == 1 else words)


@pytest.fixture(autouse=True)
def told() -> list[Any]:
    Told.log = []
    return Told.log


def run(what: Any, *args: Any) -> bool:
    """Perform a job as a worker does: what it raises goes through its on_failure hooks."""
    declaration = declaration_of(what)
    try:
        return perform(declaration, args)
    except BaseException as error:
        raise run_failure_hooks(declaration, error, args) from None


class Quiet(Job, Told):
    """A job's hooks that tell of everything."""

    @classmethod
    def before_perform(cls, *args: Any) -> None:
        cls.tell("before", *args)

    @classmethod
    def around_perform(cls, call: Callable[[], Any], *args: Any) -> None:
        cls.tell("around in", *args)
        call()
        cls.tell("around out", *args)

    @classmethod
    def after_perform(cls, *args: Any) -> None:
        cls.tell("after", *args)

    @classmethod
    def on_failure(cls, error: BaseException, *args: Any) -> None:
        cls.tell("failed", type(error).__name__, *args)


def refuse(*args: Any) -> None:
    raise ValueError("refused")


def skip(*args: Any) -> None:
    raise DontPerform


# --- performing


def test_full_order(told: list[Any]) -> None:
    """Before, around, the job, around, after: each with the job's arguments; it reports True."""

    class Work(Quiet):
        @classmethod
        def perform(cls, number: int) -> None:
            cls.tell("work", number)

    assert run(Work, 7) is True
    assert told == [
        ("before", 7), ("around in", 7), ("work", 7), ("around out", 7), ("after", 7),
    ]  # fmt: skip


def test_full_order_with_late_failure(told: list[Any]) -> None:
    """A job whose after_perform raises has failed, and on_failure is the last to run."""

    class Work(Quiet):
        @classmethod
        def perform(cls) -> None:
            cls.tell("work")

        after_perform_z = staticmethod(refuse)

    with pytest.raises(ValueError, match="refused"):
        run(Work)
    assert told == ["before", "around in", "work", "around out", "after", ("failed", "ValueError")]


def test_before_perform_error_fails_without_performing(told: list[Any]) -> None:
    """An error in before_perform fails the job, whose body never runs."""

    class Work(Quiet):
        before_perform_z = staticmethod(refuse)

        @classmethod
        def perform(cls) -> None:
            cls.tell("work")

    with pytest.raises(ValueError, match="refused"):
        run(Work)
    assert told == ["before", ("failed", "ValueError")]


def test_dont_perform_skips_and_is_no_failure(told: list[Any]) -> None:
    """DontPerform from before_perform skips the job and all that follows, and is no failure."""

    class Work(Quiet):
        before_perform_a = staticmethod(skip)
        before_perform_b = staticmethod(refuse)

        @classmethod
        def perform(cls) -> None:
            cls.tell("work")

    assert run(Work) is False
    assert told == ["before"]


def test_dont_perform_elsewhere_is_failure(told: list[Any]) -> None:
    """DontPerform from anywhere else is a failure like others."""

    class Work(Quiet):
        perform = staticmethod(skip)

    class After(Quiet):
        after_perform_z = staticmethod(skip)

        @staticmethod
        def perform() -> None: ...

    class Around(Quiet):
        around_perform_z = staticmethod(skip)

        @staticmethod
        def perform() -> None: ...

    for kind in (Work, Around, After):
        with pytest.raises(DontPerform):
            run(kind)
        assert told[-1] == ("failed", "DontPerform")


def test_around_perform_error_before_calling(told: list[Any]) -> None:
    """An error in around_perform before it calls on fails the job, which never runs."""

    class Work(Quiet):
        around_perform_z = staticmethod(refuse)

        @classmethod
        def perform(cls) -> None:
            cls.tell("work")

    with pytest.raises(ValueError, match="refused"):
        run(Work)
    assert told == ["before", "around in", ("failed", "ValueError")]


def test_around_perform_cleanup_runs_when_job_raises(told: list[Any]) -> None:
    """If the job raises, around_perform cleans up, does not go on, and the job fails."""

    class Work(Told, Job):
        @classmethod
        def around_perform(cls, call: Callable[[], Any]) -> None:
            try:
                call()
                cls.tell("went on")
            finally:
                cls.tell("cleaned up")

        perform = staticmethod(refuse)

    with pytest.raises(ValueError, match="refused"):
        run(Work)
    assert told == ["cleaned up"]


def test_around_that_swallows_the_error(told: list[Any]) -> None:
    """An error that around_perform swallows is no failure, though nothing was performed."""

    class Work(Quiet):
        @classmethod
        def around_perform(cls, call: Callable[[], Any]) -> None:
            with pytest.raises(ValueError, match="refused"):
                call()

        perform = staticmethod(refuse)

    assert run(Work) is False
    assert told == ["before", "after"]


def test_after_perform_runs_though_not_performed(told: list[Any]) -> None:
    """An around_perform need not call on: not performed, no failure, and after_perform runs."""

    class Work(Quiet):
        @classmethod
        def around_perform(cls, call: Callable[[], Any]) -> None:
            cls.tell("no")

        perform = staticmethod(refuse)

    assert run(Work) is False
    assert told == ["before", "no", "after"]


def test_around_sees_return_value(told: list[Any]) -> None:
    """What the job returns comes back from the innermost call."""

    class Work(Told, Job):
        @classmethod
        def around_perform(cls, call: Callable[[], Any]) -> None:
            cls.tell(call())

        @staticmethod
        def perform() -> str:
            return "result"

    assert run(Work)
    assert told == ["result"]


def test_function_has_the_hooks_of_its_classes(told: list[Any]) -> None:
    """A function is a job with the hooks of the classes that it names."""

    class Audit(Told):
        @classmethod
        def before_perform_audit(cls, *args: Any) -> None:
            cls.tell("audit", *args)

    @job(hooks=[Audit])
    def work(number: int) -> None:
        Told.tell("work", number)

    assert run(work, 7)
    assert told == [("audit", 7), ("work", 7)]


# --- failing


def test_on_failure_silent_on_success(told: list[Any]) -> None:
    """on_failure does not run for a job that succeeds."""

    class Work(Quiet):
        @staticmethod
        def perform() -> None: ...

    run(Work)
    assert "failed" not in str(told)


def test_on_failure_gets_exception_and_args_then_reraises(told: list[Any]) -> None:
    """on_failure gets the exception first, then the arguments; then the exception goes on."""
    seen: list[Any] = []

    class Work(Job):
        @staticmethod
        def on_failure(error: BaseException, *args: Any) -> None:
            seen.append((error, args))

        perform = staticmethod(refuse)

    with pytest.raises(ValueError, match="refused") as caught:
        run(Work, 1, "x")
    assert seen == [(caught.value, (1, "x"))]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, TermException, GeneratorExit])
def test_on_failure_called_for_base_exceptions(kind: type[BaseException], told: list[Any]) -> None:
    """on_failure runs also for what `except Exception` does not catch."""

    class Work(Quiet):
        @staticmethod
        def perform() -> None:
            raise kind

    with pytest.raises(kind):
        run(Work)
    assert told[-1] == ("failed", kind.__name__)


def test_error_in_on_failure_keeps_original(caplog: pytest.LogCaptureFixture) -> None:
    """An error inside on_failure is reported and logged with the job and the original error."""

    class Work(Job):
        @staticmethod
        def on_failure_a(error: BaseException) -> None:
            raise KeyError("worse")

        @staticmethod
        def on_failure_b(error: BaseException) -> None:
            pytest.fail("the first has raised")

        perform = staticmethod(refuse)

    with pytest.raises(RuntimeError) as caught:
        run(Work)
    assert str(caught.value) == (
        "Additional error (KeyError: 'worse') occurred in running failure hooks for job Work\n"
        "Original error that caused job failure was ValueError: refused"
    )
    assert caught.traceback[-1].name == "refuse"
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "ERROR", str(caught.value).replace("\n", ". "),
    )  # fmt: skip


def test_on_failure_hooks_in_order(told: list[Any]) -> None:
    """Several on_failure hooks run in the order of their names, each with the exception."""

    class Work(Quiet):
        @classmethod
        def on_failure_b(cls, error: BaseException) -> None:
            cls.tell("b", str(error))

        @classmethod
        def on_failure_a(cls, error: BaseException) -> None:
            cls.tell("a", str(error))

        perform = staticmethod(refuse)

    with pytest.raises(ValueError, match="refused"):
        run(Work)
    assert told[-3:] == [("failed", "ValueError"), ("a", "refused"), ("b", "refused")]


# --- finding


@pytest.mark.parametrize("kind", JOB_HOOKS)
def test_hooks_are_found_and_sorted(kind: str) -> None:
    """Every method whose name begins like a hook is one, bare or not, sorted by name."""
    names = [f"{kind}_b", kind, f"{kind}_a", f"{kind}x", f"x{kind}"]
    owner = type("Owner", (), {name: staticmethod(lambda name=name: name) for name in names})
    assert [hook() for hook in job_hooks([owner], kind)] == [kind, f"{kind}_a", f"{kind}_b"]
    assert job_hooks([], kind) == job_hooks([Job], kind) == []


def test_mixins_run_alphabetically() -> None:
    """Hooks of the class and of all its mix-ins are sorted together by name."""

    class One:
        before_perform_c = staticmethod(lambda: "One.c")
        before_perform_a = staticmethod(lambda: "One.a")

    class Two:
        before_perform_b = staticmethod(lambda: "Two.b")
        before_perform_d = staticmethod(lambda: "Two.d")

    class Work(Job, Two, One):
        before_perform_bb = staticmethod(lambda: "Work.bb")

    found = [hook() for hook in job_hooks([Work], "before_perform")]
    assert found == ["One.a", "Two.b", "Work.bb", "One.c", "Two.d"]


def test_after_hooks_ascending_too(told: list[Any]) -> None:
    """after_perform hooks run in ascending order as well, not reversed."""

    class Work(Told, Job):
        after_perform_b = classmethod(lambda cls: cls.tell("b"))
        after_perform_a = classmethod(lambda cls: cls.tell("a"))

        @staticmethod
        def perform() -> None: ...

    run(Work)
    assert told == ["a", "b"]


def around(name: str, *, calls: bool = True) -> Any:
    def hook(cls: type[Told], call: Callable[[], Any]) -> None:
        cls.tell(f"{name} in")
        if calls:
            call()
            cls.tell(f"{name} out")

    return classmethod(hook)


def test_many_arounds_nest_in_order(told: list[Any]) -> None:
    """Of several around hooks the first by name is the outermost, mixed in or not."""

    class Mixin:
        around_perform_b = around("b")

    class Work(Told, Mixin, Job):
        around_perform_c = around("c")
        around_perform_a = around("a")

        @classmethod
        def perform(cls) -> None:
            cls.tell("work")

    assert run(Work)
    assert told == ["a in", "b in", "c in", "work", "c out", "b out", "a out"]


def test_chain_stops_at_around_that_does_not_call(told: list[Any]) -> None:
    """Behind an around hook that does not call on, neither others nor the job run."""

    class Work(Told, Job):
        around_perform_a = around("a")
        around_perform_b = around("b", calls=False)
        around_perform_c = around("c")

        @classmethod
        def perform(cls) -> None:
            cls.tell("work")

    assert run(Work) is False
    assert told == ["a in", "b in", "a out"]


def test_inherited_hook_can_be_switched_off() -> None:
    """A subclass sets an inherited hook to None to have none of it."""

    class Work(Quiet):
        before_perform = None

    assert job_hooks([Work], "before_perform") == []


def test_hook_must_not_take_self() -> None:
    """A hook that is an ordinary method is refused when it is declared: there is no self."""
    with pytest.raises(HookError) as caught:

        class Work(Job):
            def before_perform_x(self) -> None: ...

    assert str(caught.value).endswith(
        "Work.before_perform_x must be a @classmethod or @staticmethod: "
        "jobs are never instantiated."
    )

    class Hooks:
        def on_failure(self) -> None: ...

    with pytest.raises(HookError, match=r"Hooks\.on_failure must be a @classmethod"):
        job(hooks=[Hooks])(refuse)


def test_hook_that_a_call_would_not_run() -> None:
    """An async hook, or one that yields, would do nothing when called, and is refused."""

    async def awaited(*args: Any) -> None: ...

    def yielding(perform: Callable[[], Any], *args: Any) -> Iterator[None]:
        yield

    with pytest.raises(HookError) as caught:
        type("Work", (Job,), {"before_perform_a": staticmethod(awaited)})
    assert str(caught.value) == (
        "Work.before_perform_a cannot be a hook: it is async, and nothing would await it; "
        "call asyncio.run() in a plain function."
    )
    with pytest.raises(HookError) as caught:
        type("Work", (Job,), {"around_perform": staticmethod(yielding)})
    assert str(caught.value) == (
        "Work.around_perform cannot be a hook: it is a generator, and nothing would run it; "
        "it must not yield."
    )
    with pytest.raises(HookError) as caught:
        WorkerHooks().add("before_fork", awaited)
    assert str(caught.value) == (
        "test_hook_that_a_call_would_not_run.<locals>.awaited cannot be a before_fork hook: it is "
        "async, and nothing would await it; call asyncio.run() in a plain function."
    )


# --- enqueueing and dequeueing


class Queued(Told, Job):
    """A job that tells of its way in and out of the queue."""

    queue = "email"
    before_enqueue_a = classmethod(lambda cls, *args: cls.tell("before", *args))
    after_enqueue_a = classmethod(lambda cls, *args: cls.tell("after", *args))
    before_dequeue_a = classmethod(lambda cls, *args: cls.tell("before out", *args))
    after_dequeue_a = classmethod(lambda cls, *args: cls.tell("after out", *args))

    @classmethod
    def perform(cls, *args: Any) -> None:
        cls.tell("work", *args)


def test_enqueue_hooks_run_around_the_push(resque: Resque, told: list[Any]) -> None:
    """before_enqueue runs before the push, after_enqueue after it, each with the arguments."""

    class Watched(Queued):
        before_enqueue_z = classmethod(lambda cls: cls.tell(resque.size("email")))
        after_enqueue_z = classmethod(lambda cls: cls.tell(resque.size("email")))

    assert resque.enqueue(Watched) is True
    assert told == ["before", 0, "after", 1]
    assert resque.enqueue(Queued, 7)
    assert told[-2:] == [("before", 7), ("after", 7)]


@pytest.mark.parametrize(("answer", "stopped"), [(False, True), (None, False), (0, False)])
def test_only_false_stops_and_all_run(
    resque: Resque, told: list[Any], answer: Any, stopped: bool
) -> None:
    """Only False itself keeps a job from being queued or removed; all the hooks run anyway."""

    class Stopping(Queued):
        before_enqueue_0 = staticmethod(lambda: answer)
        before_dequeue_0 = staticmethod(lambda: answer)

    assert resque.enqueue(Stopping) is not stopped
    assert told == (["before"] if stopped else ["before", "after"])
    resque.push("email", {"class": "Stopping"})
    told.clear()
    assert bool(resque.dequeue(Stopping)) is not stopped
    assert told == (["before out"] if stopped else ["before out", "after out"])
    assert bool(resque.size("email")) is stopped


def test_after_dequeue_runs(resque: Resque, told: list[Any]) -> None:
    """The dequeue hooks run with the arguments, also if nothing was there to be removed."""
    assert resque.dequeue(Queued, 7) == 0
    assert told == [("before out", 7), ("after out", 7)]


def test_bulk_enqueue_runs_the_hooks_of_each(resque: Resque, told: list[Any]) -> None:
    """Jobs that are enqueued in bulk have their hooks run each, and stopped ones are left out."""

    class Odd(Queued):
        before_enqueue_z = staticmethod(lambda number: number % 2 == 1)

    assert resque.enqueue_many(Odd, [[n] for n in range(4)]) == 2
    assert resque.size("email") == 2
    assert [word for word in told if word[0] == "after"] == [("after", 1), ("after", 3)]


def test_inline_runs_hooks_on_json_args(resque: Resque, told: list[Any]) -> None:
    """Performed in place, a job has all its hooks run, the inner ones on arguments from JSON."""
    resque.inline = True

    class Work(Queued):
        before_perform = classmethod(lambda cls, *args: cls.tell("before perform", *args))

    assert resque.enqueue(Work, (1, 2))
    assert told == [
        ("before", (1, 2)), ("before perform", [1, 2]), ("work", [1, 2]), ("after", (1, 2)),
    ]  # fmt: skip


def test_plain_pushes_run_no_hooks(resque: Resque, told: list[Any]) -> None:
    """Only what is enqueued runs hooks: a push, a reserve, a requeue, and a name without code
    do not."""
    resque.push("email", {"class": "Queued"})
    resque.reserve("email")
    entry = b'{"payload":{"class":"Queued","args":[]},"queue":"email"}'
    resque.redis.rpush("resque:failed", entry)
    assert resque.failed().requeue(resque.failed().page()) == 1
    assert resque.size("email") == 1
    assert told == []
    with pytest.raises(NoQueueError):
        resque.enqueue("Unheard")
    assert told == []


# --- of the worker


def test_worker_hooks_run_in_the_order_of_registration(told: list[Any]) -> None:
    """A worker's hooks run in the order in which they were added, until one raises."""
    hooks = WorkerHooks()
    assert not hooks.any("before_fork")
    hooks.run("before_fork", "nothing happens")
    hooks.add("before_fork", lambda r: told.append(("one", r)))
    hooks.add("before_fork", lambda r: told.append(("two", r)))
    third = hooks.add("before_fork", refuse)
    hooks.add("before_fork", lambda r: told.append("never"))
    assert hooks.any("before_fork")
    with pytest.raises(ValueError, match="refused"):
        hooks.run("before_fork", "job")
    assert told == [("one", "job"), ("two", "job")]
    hooks.remove("before_fork", third)
    hooks.run("before_fork", "job")
    assert told[-1] == "never"


@pytest.mark.parametrize("name", WORKER_HOOKS)
def test_worker_hooks_are_decorators(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hook of the worker is a decorator that leaves the function as it is."""
    import resque_fork
    from resque_fork.job import hooks

    monkeypatch.setattr(hooks, "worker_hooks", WorkerHooks())

    @getattr(resque_fork, name)
    def hook() -> str:
        return "still a function"

    assert hook() == "still a function"
    assert hooks.worker_hooks.any(name)
