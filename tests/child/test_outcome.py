"""What became of a job, told from what its child said and how it ended."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from resque_fork.child.outcome import ChildEnd, outcome_of
from resque_fork.child.report import Done, Failed, Handled
from resque_fork.failure import Failure
from resque_fork.policies import Outcome
from resque_fork.system.process import KILL_SIGNAL, LIMIT_SIGNAL, End

PID = 23312
USED = {"rss_growth_kb": 1, "user_ms": 2, "system_ms": 3, "wall_ms": 4}
PERFORMED = Done(USED)


def failed(exception: str = "ValueError", *, final: bool = True) -> Failed:
    return Failed(Failure(exception, "why", ["a.py:1:in f"]), USED, final=final)


def handled(exception: str = "ValueError", saved: bool = True) -> Handled:
    return Handled(Failure(exception, "both", []), saved)


def exited(status: int = 0) -> End:
    return End(status << 8, 0.0, 0.0, 0)


def killed(number: int) -> End:
    return End(number, 0.0, 0.0, 0)


def outcome(
    report: Done | Failed | None = None,
    end: End | None = None,
    handled: Handled | None = None,
    **more: Any,
) -> Outcome:
    status = end.wait_status if end else 0
    return outcome_of(ChildEnd(pid=PID, report=report, handled=handled, wait_status=status, **more))


# --- success


@pytest.mark.parametrize("end", [exited(0), None], ids=["left", "waits for another job"])
def test_performed_and_left_is_done(end: End | None) -> None:
    """It counts as processed, not as failed."""
    assert outcome(PERFORMED, end) == Outcome("done", used=PERFORMED.used)


@pytest.mark.parametrize("stopped", [False, True])
def test_performed_and_killed_by_us_is_done(stopped: bool) -> None:
    """With a warning: we were impatient, or stopped it just then; the job had been performed."""
    told = outcome(PERFORMED, killed(signal.SIGKILL), killed=True, stopped=stopped)
    assert told.kind == "done"
    assert told.failure is None
    assert told.warning == f"Child {PID} was killed after its job was done"


@pytest.mark.parametrize("stopped", [False, True])
def test_performed_although_it_was_to_stop_is_done(stopped: bool) -> None:
    """A job that swallows TermException and returns, or was just about to."""
    assert outcome(PERFORMED, exited(0), stopped=stopped).kind == "done"


def test_performed_although_it_was_sent_term() -> None:
    """Done, with a warning that names the job."""
    told = outcome(
        PERFORMED, exited(0), stopped=True, stop_signals=["TERM"], job="(Job{a} | main | [])"
    )
    assert told.kind == "done"
    assert told.warning == "(Job{a} | main | []) was sent TERM and returned: it is done"


@pytest.mark.parametrize("exceeded", ["", "The job ran longer than its limit of 1 seconds"])
def test_performed_although_it_went_over_a_limit_is_done(exceeded: str) -> None:
    """It finished before anything came of it."""
    assert outcome(PERFORMED, exited(0), exceeded=exceeded).kind == "done"


# --- without a report


@pytest.mark.parametrize("status", [0, 1, 70, 255])
def test_without_a_report_the_job_is_lost(status: int) -> None:
    """Whatever the exit status."""
    told = outcome(None, exited(status))
    assert told.kind == "lost"
    assert told.failure is not None
    assert told.failure.exception == "Resque::DirtyExit"
    assert told.failure.error == (
        f"Child process exited without finishing its job pid {PID} exit {status}"
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
@pytest.mark.parametrize("report", [None, PERFORMED], ids=["silent", "performed"])
def test_killed_by_others_is_lost(report: Done | None, number: signal.Signals) -> None:
    """Also after its report: what it had not flushed may be missing."""
    told = outcome(report, killed(number), killed=number != signal.SIGKILL)
    assert told.kind == "lost"
    assert told.error is not None
    assert str(told.error) == (
        f"Child process received unhandled signal pid {PID} {number.name} (signal {number})"
    )


def test_lost_carries_an_exception() -> None:
    """One that stands for the death, for hooks and backends that want a live one."""
    told = outcome(None, killed(signal.SIGKILL))
    assert type(told.error).__name__ == "DirtyExit"
    assert told.saved is False


# --- ends that are not known

UNKNOWN = End(None, 0.0, 0.0, 0)


def test_performed_and_an_unknown_end_is_done() -> None:
    """It had said so, and something else in the worker's process waited for it."""
    assert outcome(PERFORMED, UNKNOWN) == Outcome("done", used=PERFORMED.used)


def test_no_word_and_an_unknown_end_is_lost() -> None:
    """What it died of is not made up."""
    told = outcome(None, UNKNOWN)
    assert told.kind == "lost"
    assert told.failure is not None
    assert "exit status is not known" in told.failure.error


def test_an_unknown_end_after_what_we_did() -> None:
    """What we did to it explains it: a stop, a limit, our impatience."""
    assert outcome(None, UNKNOWN, stopped=True).kind == "stopped"
    assert (
        outcome(None, UNKNOWN, exceeded="over", limit_signals=["JobTimeout", "TERM"]).kind
        == "failed"
    )
    assert "was killed" in outcome(PERFORMED, UNKNOWN, killed=True).warning


# --- failure


def test_a_failure_that_was_told() -> None:
    """In the child's words, with what the job used."""
    told = outcome(failed(), exited(0))
    assert told.kind == "failed"
    assert told.error is None
    assert told.failure is not None
    assert (told.failure.exception, told.failure.error) == ("ValueError", "why")
    assert list(told.failure.backtrace) == ["a.py:1:in f"]
    assert told.failure.forensics == USED


@pytest.mark.parametrize(
    "more",
    [
        {"end": killed(signal.SIGSEGV)},
        {"end": exited(70)},
        {"end": killed(signal.SIGKILL), "killed": True},
        {"end": killed(signal.SIGKILL), "stopped": True, "stop_signals": ["TERM", "KILL"]},
        {"end": None},
    ],
    ids=["crash", "status", "exit timed out", "stopped", "goes on"],
)
def test_a_failure_that_was_told_holds(more: dict[str, Any]) -> None:
    """Whatever came after it."""
    told = outcome(failed(final=False), **more)
    assert told.failure is not None
    assert (told.kind, told.failure.exception) == ("failed", "ValueError")
    assert told.saved is False  # its hooks and backends may not have had it


@pytest.mark.parametrize("saved", [False, True])
def test_what_the_hooks_made_of_it(saved: bool) -> None:
    """After settling, the error that counts is the one that then stood, and who has it."""
    told = outcome(failed(final=False), exited(0), handled("RuntimeError", saved))
    assert told.failure is not None
    assert (told.failure.exception, told.failure.error) == ("RuntimeError", "both")
    assert told.saved is saved


# --- stopped


def test_stopped_by_its_exception() -> None:
    """TERM raised TermException in the job."""
    told = outcome(failed("Resque::TermException"), exited(0), stopped=True)
    assert told.kind == "stopped"
    assert told.error is None


def test_a_term_that_others_sent_is_a_failure() -> None:
    """The job was not stopped by us, so it does not go back to its queue."""
    assert outcome(failed("Resque::TermException"), exited(0)).kind == "failed"


def test_another_exception_while_stopped_is_a_failure() -> None:
    """Clean-up that fails is told as such."""
    assert outcome(failed("OSError"), exited(0), stopped=True).kind == "failed"


def test_killed_after_the_grace() -> None:
    """Told like the stop that it is, with the grace in the text."""
    told = outcome(
        None, killed(signal.SIGKILL), stopped=True, stop_signals=["TERM", "KILL"], term_timeout=4.0
    )
    assert told.kind == "stopped"
    assert told.failure is not None
    assert told.failure.exception == "Resque::TermException"
    assert told.failure.error == "SIGTERM (killed: it was still running 4 seconds later)"


def test_died_of_term() -> None:
    """Before the job had begun, or after it had restored the default."""
    told = outcome(None, killed(signal.SIGTERM), stopped=True)
    assert told.kind == "stopped"
    assert told.failure is not None
    assert (told.failure.exception, told.failure.error) == ("Resque::TermException", "SIGTERM")


def test_killed_outright() -> None:
    """Without a TERM before it: DirtyExit, as in Resque, and still a stop."""
    told = outcome(None, killed(signal.SIGKILL), stopped=True, term_child=False)
    assert told.kind == "stopped"
    assert told.failure is not None
    assert told.failure.exception == "Resque::DirtyExit"


@pytest.mark.parametrize("end", [exited(0), exited(3), killed(signal.SIGSEGV)])
def test_died_of_something_else_while_stopped(end: End) -> None:
    """Our stop does not explain that."""
    assert outcome(None, end, stopped=True).kind == "lost"


# --- limits

OVER = "The job ran longer than its limit of 2 seconds"


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        (["JobTimeout"], killed(LIMIT_SIGNAL)),
        (["JobTimeout", "TERM"], killed(signal.SIGTERM)),
        (["JobTimeout", "TERM", "KILL"], killed(signal.SIGKILL)),
    ],
)
def test_died_of_a_limit(sent: list[str], end: End) -> None:
    """JobTimeout, with the limit and all that was sent."""
    told = outcome(None, end, exceeded=OVER, limit_signals=sent)
    assert told.kind == "failed"
    assert told.failure is not None
    assert told.failure.exception == "ResqueFork::JobTimeout"
    assert told.failure.error == f"{OVER} (sent: {', '.join(sent)})"


def test_the_term_after_a_limit() -> None:
    """A job that swallowed JobTimeout and fell to TERM has failed of its limit."""
    told = outcome(
        failed("Resque::TermException"),
        exited(0),
        exceeded=OVER,
        limit_signals=["JobTimeout", "TERM"],
    )
    assert told.failure is not None
    assert told.failure.exception == "ResqueFork::JobTimeout"


def test_the_term_after_a_limit_is_handled_once() -> None:
    """What its hooks and backends have had, they are not given again."""
    told = outcome(
        failed("Resque::TermException", final=False),
        exited(0),
        handled("Resque::TermException"),
        exceeded=OVER,
        limit_signals=["JobTimeout", "TERM"],
    )
    assert told.error is None
    assert told.saved is True
    assert told.failure is not None
    assert told.failure.error == f"{OVER} (sent: JobTimeout, TERM)"


def test_a_job_that_minded_no_limit_has_failed() -> None:
    """It was sent TERM for it, and returned all the same."""
    told = outcome(PERFORMED, exited(0), exceeded=OVER, limit_signals=["JobTimeout", "TERM"])
    assert told.kind == "failed"
    assert told.failure is not None
    assert told.failure.exception == "ResqueFork::JobTimeout"


def test_a_limit_is_never_a_stop() -> None:
    """Or --on-term=requeue would try it again for ever."""
    for end in (killed(signal.SIGTERM), killed(signal.SIGKILL)):
        assert (
            outcome(None, end, exceeded=OVER, limit_signals=["JobTimeout"], stopped=True).kind
            == "failed"
        )


@pytest.mark.parametrize("stopped", [False, True])
def test_killed_for_memory(stopped: bool) -> None:
    """MemoryError, which was not raised in the job; also while the worker was stopping."""
    exceeded = "The job needed more memory than its limit of 64M"
    told = outcome(
        None, killed(signal.SIGKILL), exceeded=exceeded, limit_signals=["KILL"], stopped=stopped
    )
    assert told.kind == "failed"
    assert told.failure is not None
    assert told.failure.exception == "MemoryError"
    assert told.failure.error == f"{exceeded} (sent: KILL)"
    assert isinstance(told.error, MemoryError)


def test_a_crash_over_a_limit_is_a_crash() -> None:
    """What killed it is told first."""
    assert (
        outcome(None, killed(signal.SIGSEGV), exceeded=OVER, limit_signals=["JobTimeout"]).kind
        == "lost"
    )


@pytest.mark.parametrize("report", [None, PERFORMED], ids=["silent", "performed"])
def test_a_crash_close_to_a_limit_of_memory(report: Done | None) -> None:
    """Still a crash, for nobody knows why; one that left by itself had its own reasons."""
    near = "close to its limit of memory of 64M"
    told = outcome(report, killed(signal.SIGSEGV), near_limit=near)
    assert told.kind == "lost"
    assert str(told.error) == (
        f"Child process received unhandled signal pid {PID} SIGSEGV (signal 11), {near}"
    )
    assert near not in str(outcome(None, exited(1), near_limit=near).error)


# --- forensics


def test_explained_adds_to_what_is_known() -> None:
    """And leaves the rest as it was; a success has nothing to explain."""
    told = outcome(failed(), exited(0)).explained({"stack": ["line"]})
    assert told.failure is not None
    assert told.failure.forensics == {**USED, "stack": ["line"]}
    assert told.kind == "failed"
    assert Outcome("done").explained({"signal": "SIGKILL"}) == Outcome("done")


# --- what the process died of


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (outcome(PERFORMED, exited(0)), ""),
        (outcome(failed(), exited(0)), ""),
        (outcome(None, exited(3)), "exit"),
        (outcome(None, killed(signal.SIGSEGV)), "SIGSEGV"),
        (outcome_of(ChildEnd(pid=PID, wait_status=None)), "unknown"),
        (outcome(None, killed(signal.SIGKILL)).explained({"oom": "probably"}), "oom"),
        (outcome(None, killed(signal.SIGKILL), stopped=True), "stopped"),
        (outcome(None, killed(signal.SIGKILL), broken="x"), "broken"),
        (
            outcome(None, killed(LIMIT_SIGNAL), exceeded="It", limit_signals=["JobTimeout"]),
            "timeout",
        ),
        (outcome(None, killed(signal.SIGKILL), exceeded="It", limit_signals=["KILL"]), "memory"),
    ],
)
def test_cause_of_a_death(told: Outcome, cause: str) -> None:
    """By it deaths are counted; a process that has reported how its job ended did not die of it."""
    assert told.cause == cause


# --- killed on request

KILLED_WORDS = "The job was killed on request"


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        (["JobKilled"], killed(KILL_SIGNAL)),
        (["JobKilled", "TERM"], killed(signal.SIGTERM)),
        (["JobKilled", "TERM", "KILL"], killed(signal.SIGKILL)),
    ],
)
def test_died_of_being_killed(sent: list[str], end: End) -> None:
    """It has not failed; all that was sent is told."""
    told = outcome(None, end, exceeded=KILLED_WORDS, limit_signals=sent)
    assert (told.kind, told.cause) == ("killed", "killed")
    assert told.failure is not None
    assert told.failure.exception == "ResqueFork::JobKilled"
    assert told.failure.error == f"{KILLED_WORDS} (sent: {', '.join(sent)})"


def test_raised_by_being_killed() -> None:
    """The exception that its child reports is enough."""
    told = outcome(failed("ResqueFork::JobKilled"), exited(0), exceeded=KILLED_WORDS)
    assert (told.kind, told.cause) == ("killed", "")


def test_the_term_after_being_killed() -> None:
    """A job that swallowed JobKilled and fell to TERM was killed."""
    told = outcome(
        failed("Resque::TermException"),
        exited(0),
        exceeded=KILLED_WORDS,
        limit_signals=["JobKilled", "TERM"],
    )
    assert told.kind == "killed"
    assert told.failure is not None
    assert told.failure.error == f"{KILLED_WORDS} (sent: JobKilled, TERM)"


def test_an_error_while_it_is_killed() -> None:
    """Its own error stands."""
    told = outcome(
        failed("ValueError"), exited(0), exceeded=KILLED_WORDS, limit_signals=["JobKilled"]
    )
    assert told.kind == "failed"
    assert told.failure is not None
    assert told.failure.exception == "ValueError"


def test_died_of_itself_while_it_is_killed() -> None:
    """That is a loss like any other."""
    end = killed(signal.SIGSEGV)
    assert outcome(None, end, exceeded=KILLED_WORDS, limit_signals=["JobKilled"]).kind == "lost"
