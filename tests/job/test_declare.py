"""How jobs are declared: a function is a job, or a class is, with a name, a queue and options."""

import asyncio
import functools
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from resque_fork import FunctionJob, Job, Resque, SettingsError, default_resque, job
from resque_fork import job as job_decorator
from resque_fork.errors import DuplicateJobError, NoClassError, NoQueueError
from resque_fork.job.limits import Limits
from resque_fork.job.registry import declaration_of, registry

pytestmark = pytest.mark.usefixtures("own_jobs")


def test_a_queue_that_is_no_option() -> None:
    """As in other systems."""
    told = '@job("mail") names no option: write @job(queue="mail").'
    with pytest.raises(NoQueueError, match=f"^{re.escape(told)}$"):
        job("mail")  # type: ignore[call-overload]


def test_options_that_there_are_not() -> None:
    """Each is named, with the one that is alike."""
    told = "send: a job has no option 'timeuot'; did you mean 'timeout'?"
    with pytest.raises(SettingsError, match=f"^{re.escape(told)}$"):

        @job(queue="mail", timeuot=5)  # type: ignore[call-overload]
        def send() -> None: ...

    with pytest.raises(SettingsError, match=r"^Send: a job has no option 'x'\.$"):

        class Send(Job, x=5):  # type: ignore[call-arg]
            queue = "mail"

            @staticmethod
            def perform() -> None: ...


def test_times_with_units() -> None:
    """As on the command line."""

    @job(queue="mail", timeout="1m30s", cpu="2m")
    def timed() -> None: ...

    assert timed.declaration.limits == Limits(90.0, None, 120.0)


def test_function_is_a_job() -> None:
    """A decorated function is a job under its own name, and still a function."""

    @job(queue="send_mail")
    def send_mail(to: str, template: str = "welcome") -> str:
        """Sends."""
        return f"{template} to {to}"

    assert isinstance(send_mail, FunctionJob)
    assert send_mail("ada", template="bye") == "bye to ada"
    assert (send_mail.__name__, send_mail.__doc__) == ("send_mail", "Sends.")
    assert repr(send_mail) == "<job send_mail>"
    declaration = registry.find("send_mail")
    assert declaration is send_mail.declaration
    assert (declaration.queue, declaration.sweep, declaration.sensitive) == (
        "send_mail", True, False,
    )  # fmt: skip


def test_decorator_without_parentheses() -> None:
    """A bare @job declares a job that has no queue of its own."""

    @job
    def bare() -> None: ...

    assert registry.find("bare").queue is None


def test_name_on_the_wire() -> None:
    """A job may have any name, such as one that Ruby knows it by."""

    @job(name="Billing::Invoice")
    def invoice() -> None: ...

    class Report(Job, name="Billing::Report"):
        @staticmethod
        def perform() -> None: ...

    assert {"Billing::Invoice", "Billing::Report"} <= set(registry.names())
    assert registry.get("invoice") is registry.get("Report") is None


def test_class_is_a_job() -> None:
    """A subclass of Job with a perform is a job under its class's name."""

    class UserMailWorker(Job):
        queue = "send_mail"

        @staticmethod
        def perform(params: Any) -> None: ...

    declaration = registry.find("UserMailWorker")
    assert declaration.queue == "send_mail"
    assert declaration.hook_owners == (UserMailWorker,)


def test_class_without_perform_is_a_base() -> None:
    """A subclass without a perform is no job, but a base for jobs, and cannot be enqueued."""

    class Base(Job):
        queue = "reports"

    class Monthly(Base):
        @staticmethod
        def perform() -> None: ...

    assert registry.get("Base") is None
    assert registry.find("Monthly").queue == "reports"
    with pytest.raises(NoClassError, match=r"Base'> is not a job: pass a function decorated"):
        Resque("unix:///nowhere").enqueue(Base)


async def fetch() -> None: ...


async def stream() -> AsyncIterator[int]:
    yield 1


def count() -> Iterator[int]:
    yield 1


class AsyncCallable:
    async def __call__(self) -> None: ...


AWAITED = "it is async, and nothing would await it; call asyncio.run() in a plain function"
YIELDED = "it is a generator, and nothing would run it; it must not yield"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (fetch, AWAITED),
        (functools.partial(fetch), AWAITED),
        (AsyncCallable(), AWAITED),
        (stream, AWAITED),
        (count, YIELDED),
    ],
)
def test_what_a_call_would_not_run(function: Any, reason: str) -> None:
    """What does nothing when called, async functions and generators, is refused as a job."""
    message = f"work cannot be a job: {reason}."
    with pytest.raises(NoClassError) as caught:
        job(name="work")(function)
    assert str(caught.value) == message
    with pytest.raises(NoClassError) as caught:
        type("Work", (Job,), {"perform": staticmethod(function)}, name="work")
    assert str(caught.value) == message
    assert registry.get("work") is None


def test_wrapper_that_runs_an_async_function() -> None:
    """A plain function around an async one is a job like others."""

    @job(name="fetched")
    @functools.wraps(fetch)
    def fetched() -> None:
        asyncio.run(fetch())

    assert registry.find("fetched").perform() is None


def test_perform_must_not_take_self() -> None:
    """A perform that is an ordinary method is refused: there is no self. Without one it will do."""
    with pytest.raises(NoClassError) as caught:

        class Work(Job):
            def perform(self, number: int) -> None: ...

    assert str(caught.value) == (
        "test_perform_must_not_take_self.<locals>.Work.perform must be a @classmethod or "
        "@staticmethod: jobs are never instantiated."
    )

    class Plain(Job):
        def perform(number: int) -> None: ...  # type: ignore[misc]

    assert declaration_of(Plain).bind([7], {}) == [7]


def test_queue_from_a_method() -> None:
    """A class may answer its queue through a method, as in Resque."""

    class Work(Job):
        @classmethod
        def queue(cls) -> str:
            return f"of_{cls.__name__}"

        @staticmethod
        def perform() -> None: ...

    assert registry.find("Work").queue == "of_Work"


def test_options() -> None:
    """A job says what it may use, whether it is swept and whether its arguments are shown."""

    @job(timeout=30, memory="512M", cpu=5, sweep=False, sensitive=True, redact=["a"])
    def small() -> None: ...

    class Small(Job, timeout=1, memory=1024):
        @staticmethod
        def perform() -> None: ...

    declaration = registry.find("small")
    assert (declaration.sweep, declaration.sensitive) == (False, True)
    assert declaration.redact == ("a",)
    limits = declaration.limits
    assert (limits.timeout, limits.memory, limits.cpu) == (30.0, 512 * 1024**2, 5.0)
    assert registry.find("Small").limits.timeout == 1.0
    with pytest.raises(SettingsError) as caught:
        job(timeout=-1)(lambda: None)
    assert str(caught.value) == (
        "timeout=: -1 is not valid: expected a time such as 30, 10m, 6h or 2d."
    )


def test_two_jobs_of_one_name() -> None:
    """A second job of the same name is an error where it is declared."""

    @job(name="same")
    def one() -> None: ...

    with pytest.raises(DuplicateJobError, match=r"^Two jobs are called 'same': .*one in .* and "):

        @job(name="same")
        def two() -> None: ...


def test_module_run_as_main_is_seen_twice(tmp_path: Path) -> None:
    """A module that is run and imported too declares its jobs twice, which is no error."""
    (tmp_path / "app.py").write_text(
        "from resque_fork import Job, job\n"
        "@job\n"
        "def one(): pass\n"
        "class Two(Job):\n"
        "    @staticmethod\n"
        "    def perform(): pass\n"
        "if __name__ == '__main__':\n"
        "    import app\n"
        "    from resque_fork.job.registry import declaration_of, registry\n"
        "    print(registry.names())\n"
    )
    root = str(Path(__file__).resolve().parent.parent.parent)
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("['Two', 'one']\n", "")


def test_enqueue_goes_to_the_redis_of_the_environment(
    redis_url: str, resque: Resque, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function's own enqueue takes its signature, and goes where the environment says."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.delenv("RESQUE_REDIS", raising=False)

    @job_decorator(queue="send_mail")
    def send_mail(to: str, template: str = "welcome") -> None: ...

    assert send_mail.enqueue("ada", template="bye") is True
    default_resque().close()
    assert resque.pop("send_mail") == {"class": "send_mail", "args": ["ada", "bye"]}
