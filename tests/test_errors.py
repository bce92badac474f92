"""Every error says what went wrong in a sentence, and those that others read speak Ruby's words."""

import inspect
import signal

import pytest

from resque_fork import errors
from resque_fork.errors import (
    DirtyExit,
    GaveUpWaiting,
    JobKilled,
    JobLost,
    JobTimeout,
    MaybeEnqueued,
    NameTaken,
    PoisonPill,
    PruneDeadWorkerDirtyExit,
    RedisUnavailable,
    ResqueError,
    TermException,
    UnknownJob,
    UnreadablePayload,
    WrongKeyType,
    signal_name,
)

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
]


def killed_by(number: int) -> int:
    """The wait status of a process that a signal ended."""
    return number


def exited_with(status: int) -> int:
    """The wait status of a process that exited."""
    return status << 8


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_is_in_the_tree_of_the_module(kind: type[BaseException]) -> None:
    """Each error stands in the tree that the module begins with, and has a sentence of its own."""
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__
    assert kind.__doc__.strip().endswith(".")


def test_class_docstring_is_the_default_message() -> None:
    """An error without a message of its own says its class' sentence; one with says that."""
    assert str(errors.NoClassError()) == errors.NoClassError.__doc__
    assert str(errors.NoClassError("mine")) == "mine"
    assert 'declare one with @job(queue="...")' in str(errors.NoQueueError())


def test_job_cannot_swallow_being_stopped() -> None:
    """What is raised in a job to stop it passes through `except Exception`; nothing else does."""
    base = {kind.__name__ for kind in ALL if not issubclass(kind, Exception)}
    assert base == {"JobKilled", "JobTimeout", "TermException"}


@pytest.mark.parametrize("kind", [TermException, JobTimeout, JobKilled])
def test_being_stopped_passes_through_event_loops(kind: type[SystemExit]) -> None:
    """As a SystemExit does, which no loop swallows; its code is a text, so no exit with 0."""
    assert issubclass(kind, SystemExit)
    assert kind("why").code == str(kind("why")) == "why"
    assert kind().code
    assert isinstance(kind().code, str)


def _raised_in_clean_up() -> RuntimeError:
    try:
        try:
            raise TermException
        finally:
            raise RuntimeError("in clean-up")
    except RuntimeError as error:
        return error


def _in_circles() -> ValueError:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    return first


@pytest.mark.parametrize(
    ("error", "comes"),
    [
        (TermException(), True),
        (_raised_in_clean_up(), True),
        (BaseExceptionGroup("tasks", [ValueError(), TermException()]), True),
        (JobTimeout(), False),
        (SystemExit(0), False),
        (_in_circles(), False),
    ],
)
def test_what_comes_of_a_stop(error: BaseException, comes: bool) -> None:
    """A TermException, and what was raised while it was handled, or together with it."""
    assert errors.comes_of_term(error) is comes


def test_wire_names_are_rubys() -> None:
    """What Resque knows has Resque's name in the failed list, and the rest is visibly ours."""
    assert DirtyExit.wire_name == "Resque::DirtyExit"
    assert PruneDeadWorkerDirtyExit.wire_name == "Resque::PruneDeadWorkerDirtyExit"
    assert TermException.wire_name == "Resque::TermException"
    assert PoisonPill.wire_name == "ResqueFork::PoisonPill"
    assert UnreadablePayload.wire_name == "ResqueFork::UnreadablePayload"
    assert UnknownJob.wire_name == "ResqueFork::UnknownJob"
    lost = [kind for kind in ALL if issubclass(kind, JobLost)]
    assert len({kind.wire_name for kind in lost}) == len(lost)


def test_dirty_exit_of_an_unknown_status() -> None:
    """It says so, and why, and makes up no number."""
    assert str(DirtyExit.of(23312, None)) == (
        "Child process exited without finishing its job pid 23312, its exit status is not known: "
        "something else in the worker's process waited for it"
    )


def test_dirty_exit_by_signal_in_rubys_words() -> None:
    """A child that a signal killed is told of exactly as Resque tells of it."""
    error = DirtyExit.of(23312, killed_by(signal.SIGKILL))
    assert str(error) == ("Child process received unhandled signal pid 23312 SIGKILL (signal 9)")


def test_dirty_exit_by_status() -> None:
    """A child that left without a report is told of with its exit status, 0 included."""
    for status in (0, 3):
        error = DirtyExit.of(7, exited_with(status))
        assert str(error) == f"Child process exited without finishing its job pid 7 exit {status}"


def test_pruned_worker_in_rubys_words() -> None:
    """A pruned worker is told of with its id and its job, known or not."""
    error = PruneDeadWorkerDirtyExit.by("otherhost:99:email,x", "SleepJob")
    assert str(error) == (
        "Worker otherhost:99:email,x did not gracefully exit while processing SleepJob"
    )
    assert str(PruneDeadWorkerDirtyExit.by("h:1:q", None)) == (
        "Worker h:1:q did not gracefully exit while processing <Unknown Job>"
    )


def test_errors_carry_what_they_know() -> None:
    """An error about a key or a worker names it, in the text and as an attribute."""
    wrong = WrongKeyType("resque:queue:x")
    assert wrong.key == "resque:queue:x"
    assert str(wrong) == (
        "The Redis key 'resque:queue:x' does not hold what Resque keeps there; rename or delete it."
    )
    taken = NameTaken("vm:1:q")
    assert taken.worker_id == "vm:1:q"
    assert str(taken) == (
        "Another process has taken the worker id 'vm:1:q': two containers share a host name. "
        "Give each its own host name."
    )


def test_redis_being_away_is_one_kind_of_error() -> None:
    """Whoever catches RedisUnavailable catches a push in doubt and a worker's giving up too."""
    assert issubclass(MaybeEnqueued, RedisUnavailable)
    assert issubclass(GaveUpWaiting, RedisUnavailable)
    assert issubclass(RedisUnavailable, ResqueError)


def test_signals_without_a_name() -> None:
    """A realtime signal has a number for a name."""
    assert signal_name(15) == "SIGTERM"
    assert signal_name(40) == "SIG40"
