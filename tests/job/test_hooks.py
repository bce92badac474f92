"""Hooks of jobs are found by their names, hooks of the worker as they are registered."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resque_fork import HookError, Job, job
from resque_fork.job.hooks import JOB_HOOKS, WORKER_HOOKS, WorkerHooks, job_hooks

pytestmark = pytest.mark.usefixtures("own_jobs")


# --- of jobs


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


def test_inherited_hook_can_be_switched_off() -> None:
    """A subclass sets an inherited hook to None to have none of it."""

    class Parent(Job):
        before_perform = staticmethod(lambda: None)

    class Work(Parent):
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
        job(hooks=[Hooks])(lambda: None)


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


# --- of the worker


def test_worker_hooks_run_in_the_order_of_registration() -> None:
    """A worker's hooks run in the order in which they were added, until one raises."""
    told: list[Any] = []

    def refuse(reservation: Any) -> None:
        raise ValueError("refused")

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
