"""Hooks run around a job in Resque's order, and are told of its failure."""

from collections.abc import Callable
from typing import Any

import pytest
from told import Told

from resque_fork import DontPerform, Job, job
from resque_fork.errors import TermException
from resque_fork.job.registry import declaration_of
from resque_fork.job.reservation import perform, run_failure_hooks

pytestmark = pytest.mark.usefixtures("own_jobs")


def run(what: Any, *args: Any) -> bool:
    """Perform a job as a worker does: what it raises goes through its on_failure hooks."""
    declaration = declaration_of(what)
    try:
        return perform(declaration, args)
    except BaseException as error:
        raise run_failure_hooks(declaration, error, args) from None


class Telling(Job, Told):
    """A job with one hook of each kind, which tells that it runs."""

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


def test_full_order(told: list[Any]) -> None:
    """Before, around, the job, around, after: each with the job's arguments; it reports True."""

    class Work(Telling):
        @classmethod
        def perform(cls, number: int) -> None:
            cls.tell("work", number)

    assert run(Work, 7) is True
    assert told == [
        ("before", 7), ("around in", 7), ("work", 7), ("around out", 7), ("after", 7),
    ]  # fmt: skip


def test_full_order_with_late_failure(told: list[Any]) -> None:
    """A job whose after_perform raises has failed, and on_failure is the last to run."""

    class Work(Telling):
        @classmethod
        def perform(cls) -> None:
            cls.tell("work")

        after_perform_z = staticmethod(refuse)

    with pytest.raises(ValueError, match="refused"):
        run(Work)
    assert told == ["before", "around in", "work", "around out", "after", ("failed", "ValueError")]


def test_before_perform_error_fails_without_performing(told: list[Any]) -> None:
    """An error in before_perform fails the job, whose body never runs."""

    class Work(Telling):
        before_perform_z = staticmethod(refuse)

        @classmethod
        def perform(cls) -> None:
            cls.tell("work")

    with pytest.raises(ValueError, match="refused"):
        run(Work)
    assert told == ["before", ("failed", "ValueError")]


def test_dont_perform_skips_and_is_no_failure(told: list[Any]) -> None:
    """DontPerform from before_perform skips the job and all that follows, and is no failure."""

    class Work(Telling):
        before_perform_a = staticmethod(skip)
        before_perform_b = staticmethod(refuse)

        @classmethod
        def perform(cls) -> None:
            cls.tell("work")

    assert run(Work) is False
    assert told == ["before"]


def test_dont_perform_elsewhere_is_failure(told: list[Any]) -> None:
    """DontPerform from anywhere else is a failure like others."""

    class Work(Telling):
        perform = staticmethod(skip)

    class After(Telling):
        after_perform_z = staticmethod(skip)

        @staticmethod
        def perform() -> None: ...

    class Around(Telling):
        around_perform_z = staticmethod(skip)

        @staticmethod
        def perform() -> None: ...

    for kind in (Work, Around, After):
        with pytest.raises(DontPerform):
            run(kind)
        assert told[-1] == ("failed", "DontPerform")


def test_around_perform_error_before_calling(told: list[Any]) -> None:
    """An error in around_perform before it calls on fails the job, which never runs."""

    class Work(Telling):
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

    class Work(Telling):
        @classmethod
        def around_perform(cls, call: Callable[[], Any]) -> None:
            with pytest.raises(ValueError, match="refused"):
                call()

        perform = staticmethod(refuse)

    assert run(Work) is False
    assert told == ["before", "after"]


def test_after_perform_runs_though_not_performed(told: list[Any]) -> None:
    """An around_perform need not call on: not performed, no failure, and after_perform runs."""

    class Work(Telling):
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


# --- several of one kind


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


# --- failing


def test_on_failure_silent_on_success(told: list[Any]) -> None:
    """on_failure does not run for a job that succeeds."""

    class Work(Telling):
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

    class Work(Telling):
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

    class Work(Telling):
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
