"""Every signal, to the worker and to its child, at every moment."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from .harness import Stage, is_alive, until

TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
USR1, USR2, CONT, HUP = signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGHUP
STOPPING = pytest.mark.parametrize("number", [TERM, INT, QUIT], ids=["TERM", "INT", "QUIT"])
STOPPING_NOW = pytest.mark.parametrize("number", [TERM, INT], ids=["TERM", "INT"])


# --- to an idle worker


@STOPPING
def test_an_idle_worker_leaves(stage: Stage, number: int) -> None:
    """TERM, INT or QUIT: exit 0, and nothing of the worker is left in Redis."""
    worker = stage.idle()
    assert stage.workers() == [stage.id_of(worker)]
    assert worker.stop(number) == 0
    stage.assert_left(worker)
    assert "Exiting..." in worker.said


@STOPPING
def test_a_starting_worker_leaves(stage: Stage, number: int) -> None:
    """A stop that comes as soon as signals are handled is obeyed like any other."""
    worker = stage.work("-vv")
    worker.until_said("is starting")
    assert worker.stop(number) == 0
    stage.assert_left(worker)


def test_usr1_to_an_idle_worker_does_nothing(stage: Stage) -> None:
    """Without a child there is nothing to stop: the worker goes on."""
    worker = stage.idle()
    worker.send(USR1)
    stage.push("quick")
    assert stage.told("quick")["parent"] == worker.pid
    assert worker.stop() == 0
    assert stage.failed() == []


def test_hup_to_an_idle_worker_only_reopens_logs(stage: Stage) -> None:
    """It does not end the worker, as it would by default."""
    worker = stage.idle()
    worker.send(HUP)
    stage.push("quick")
    assert stage.told("quick")["parent"] == worker.pid
    assert worker.stop() == 0


def test_usr2_takes_no_new_job_until_cont(stage: Stage) -> None:
    """A paused worker leaves jobs where they are; CONT has it go on at once."""
    worker = stage.idle()
    worker.send(USR2)
    worker.until_title("Paused")
    assert "USR2 received; pausing job processing" in worker.said
    stage.push("quick")
    worker.send(USR1, HUP)  # these wake the worker, and must not make it forget
    worker.send(USR2)
    until(lambda: worker.said.count("pausing job processing") == 2)
    assert len(stage.queue()) == 1
    assert stage.nothing_told("quick")
    worker.send(CONT)
    stage.told("quick", by=worker)
    worker.until_title("Waiting for jobs")
    assert "CONT received; resuming job processing" in worker.said
    assert worker.stop() == 0


@STOPPING
def test_a_paused_worker_leaves(stage: Stage, number: int) -> None:
    """Told to stop while paused, it leaves, and the queue as it is."""
    worker = stage.idle()
    worker.send(USR2)
    worker.until_title("Paused")
    stage.push("quick")
    assert worker.stop(number) == 0
    stage.assert_left(worker)
    assert len(stage.queue()) == 1


# --- to a worker with a job


@STOPPING_NOW
def test_term_lets_cleanup_finish(stage: Stage, number: int) -> None:
    """The job sees TermException; clean-up within the grace completes, and the job has failed."""
    stage.push("clean_up", 0.1)
    worker = stage.work()
    stage.told("begun", by=worker)
    assert worker.stop(number) == 0
    stage.told("cleaned")
    [entry] = stage.failed()
    assert entry["exception"] == "Resque::TermException"
    assert entry["error"] == "SIGTERM"
    assert entry["payload"] == {"class": "clean_up", "args": [0.1]}
    assert entry["worker"] == stage.id_of(worker)
    assert any("stopping.py" in line and "in clean_up" in line for line in entry["backtrace"])
    stage.assert_left(worker)
    assert (stage.stat("processed"), stage.stat("failed")) == (1, 1)


@STOPPING_NOW
def test_term_timeout_then_kill(stage: Stage, number: int) -> None:
    """Clean-up that outlasts the grace is cut off by KILL, and the failed entry says so."""
    stage.push("clean_up", 60)
    worker = stage.work("--term-timeout", "0.3")
    child = stage.told("begun", by=worker)["pid"]
    assert worker.stop(number) == 0
    assert not is_alive(child)
    assert stage.nothing_told("cleaned")
    [entry] = stage.failed()
    assert entry["exception"] == "Resque::TermException"
    assert entry["error"] == "SIGTERM (killed: it was still running 0.3 seconds later)"
    assert entry["forensics"]["signal"] == "SIGKILL"
    stage.assert_left(worker)


def test_a_job_that_blocks_signals_is_killed(stage: Stage) -> None:
    """TERM does not reach it, KILL does."""
    worker, child = stage.holding(job="deaf")
    assert worker.stop(TERM) == 0
    assert not is_alive(child)
    assert "killed: it was still running" in stage.failed(1)[0]["error"]


@STOPPING_NOW
def test_no_term_child_kills_outright(stage: Stage, number: int) -> None:
    """With --no-term-child the job's own clean-up does not run, and it fails as DirtyExit."""
    worker, child = stage.holding("--no-term-child", job="hold")
    assert worker.stop(number) == 0
    assert not is_alive(child)
    assert stage.nothing_told("stopped")
    [entry] = stage.failed()
    assert entry["exception"] == "Resque::DirtyExit"
    assert entry["error"] == (
        f"Child process received unhandled signal pid {child} SIGKILL (signal 9)"
    )
    stage.assert_left(worker)


def test_quit_finishes_the_job(stage: Stage) -> None:
    """QUIT lets the running job end, takes no other, and leaves."""
    worker, _ = stage.holding()
    stage.push("quick")
    worker.send(QUIT)
    worker.until_said("Exiting...")
    assert worker.popen.poll() is None
    stage.open_gate()
    stage.told("done")
    assert worker.ended() == 0
    assert stage.failed() == []
    assert len(stage.queue()) == 1
    assert stage.stat("processed") == 1
    stage.assert_left(worker)


def test_graceful_term_acts_as_quit(stage: Stage) -> None:
    """With --graceful-term TERM lets the job finish."""
    worker, _ = stage.holding("--graceful-term")
    worker.send(TERM)
    worker.until_said("Exiting...")
    stage.open_gate()
    stage.told("done")
    assert worker.ended() == 0
    assert stage.failed() == []


def test_graceful_term_changes_term_only(stage: Stage) -> None:
    """INT stops the job even so."""
    worker, _ = stage.holding("--graceful-term")
    assert worker.stop(INT) == 0
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"


@STOPPING_NOW
def test_term_after_quit_stops_the_job(stage: Stage, number: int) -> None:
    """Whoever grows tired of waiting for a job to finish can still stop it."""
    worker, _ = stage.holding()
    worker.send(QUIT)
    worker.until_said("Exiting...")
    assert worker.stop(number) == 0
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    assert worker.said.count("Exiting...") == 1


def test_pre_shutdown_lets_job_finish(stage: Stage) -> None:
    """A job that ends within pre_shutdown_timeout never notices that it was to be stopped."""
    worker, _ = stage.holding("--pre-shutdown-timeout", "30")
    worker.send(TERM)
    worker.until_said("Exiting...")
    stage.open_gate()
    stage.told("done")
    assert worker.ended() == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 1


def test_pre_shutdown_then_term(stage: Stage) -> None:
    """A job that takes longer gets TermException after that time, not before."""
    worker, _ = stage.holding("--pre-shutdown-timeout", "0.3")
    asked = time.monotonic()
    worker.send(TERM)
    stage.told("stopped", by=worker)
    assert time.monotonic() - asked >= 0.3
    assert worker.ended() == 0
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"


def test_a_job_that_swallows_the_exception_is_done(stage: Stage) -> None:
    """It was asked to stop, and returned: that is success."""
    worker, _ = stage.holding(job="swallow")
    assert worker.stop(TERM) == 0
    stage.told("swallowed")
    assert stage.failed() == []
    assert (stage.stat("processed"), stage.stat("failed")) == (1, 0)


def test_term_raises_only_once_in_a_job(stage: Stage) -> None:
    """A second TERM does not disturb the clean-up of the first."""
    worker, child = stage.holding("--term-timeout", "30", job="swallow_once")
    worker.send(TERM)
    stage.told("swallowed", by=worker)
    worker.send(TERM)
    os.kill(child, TERM)
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.ended() == 0
    assert stage.failed() == []


def test_on_term_requeue_puts_the_job_back_once(stage: Stage) -> None:
    """With --on-term=requeue a stopped job is again the first of its queue, and did not fail."""
    stage.push("hold", 1)
    stage.push("hold", 2)
    worker = stage.work("--on-term", "requeue")
    stage.told("begun", by=worker)
    assert worker.stop(TERM) == 0
    stage.told("stopped")
    assert stage.queue() == [b'{"class":"hold","args":[1]}', b'{"class":"hold","args":[2]}']
    assert stage.failed() == []
    assert (stage.stat("processed"), stage.stat("failed")) == (0, 0)
    stage.assert_left(worker)


def test_on_term_requeue_also_after_kill(stage: Stage) -> None:
    """Also a job that had to be killed after the grace goes back."""
    worker, _ = stage.holding("--on-term", "requeue", job="deaf")
    assert worker.stop(TERM) == 0
    assert stage.queue() == [b'{"class":"deaf","args":[]}']
    assert stage.failed() == []


def test_on_term_requeue_if_the_child_gets_term_first(stage: Stage) -> None:
    """Where a platform sends TERM to all processes, the job goes back too."""
    worker, child = stage.holding("--on-term", "requeue")
    os.kill(child, TERM)
    until(lambda: not is_alive(child))
    assert worker.stop(TERM) == 0
    assert stage.queue() == [b'{"class":"hold","args":[]}']
    assert stage.failed() == []


def test_usr1_stops_the_job_and_the_worker_goes_on(stage: Stage) -> None:
    """USR1: the job fails with TermException, whatever --on-term says; the next one begins."""
    worker, child = stage.holding("--on-term", "requeue")
    stage.push("quick")
    worker.send(USR1)
    stage.told("stopped", by=worker)
    assert stage.told("quick", by=worker)["parent"] == worker.pid
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    assert not is_alive(child)
    assert worker.stop() == 0
    assert stage.queue() == []


def test_usr1_kills_what_does_not_stop(stage: Stage) -> None:
    """USR1 goes the same way as TERM: after the grace the child is killed."""
    worker, _ = stage.holding(job="deaf")
    stage.push("quick")
    worker.send(USR1)
    stage.told("quick", by=worker)
    assert "killed: it was still running" in stage.failed(1)[0]["error"]
    assert worker.stop() == 0


def test_usr2_lets_the_running_job_finish(stage: Stage) -> None:
    """A pause begins after the running job."""
    worker, _ = stage.holding()
    stage.push("quick")
    worker.send(USR2)
    worker.until_said("pausing job processing")
    stage.open_gate()
    stage.told("done", by=worker)
    worker.until_title("Paused")
    assert len(stage.queue()) == 1
    assert stage.stat("processed") == 1  # the outcome does not wait for the end of the pause
    worker.send(CONT)
    stage.told("quick", by=worker)
    assert worker.stop() == 0


def test_hup_does_not_disturb_the_job(stage: Stage) -> None:
    """Neither the worker's HUP nor one that reaches the child ends anything."""
    worker, child = stage.holding()
    worker.send(HUP)
    os.kill(child, HUP)
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.stop() == 0
    assert stage.failed() == []


# --- to the child


def test_term_to_child_leaves_parent(stage: Stage) -> None:
    """TERM sent straight to the child stops the job; the worker goes on."""
    worker, child = stage.holding()
    stage.push("quick")
    os.kill(child, TERM)
    stage.told("stopped", by=worker)
    assert stage.told("quick", by=worker)["parent"] == worker.pid
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    assert worker.stop() == 0


@pytest.mark.parametrize("number", [INT, QUIT, HUP, USR1, USR2], ids=lambda n: n.name)
def test_the_parents_signals_do_nothing_in_the_child(stage: Stage, number: int) -> None:
    """A terminal's Ctrl-C or a careless ``pkill -USR1`` does not disturb a job."""
    worker, child = stage.holding()
    os.kill(child, number)
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.stop() == 0
    assert stage.failed() == []


def test_a_stopped_child_can_be_killed(stage: Stage) -> None:
    """A child that somebody froze with STOP does not keep its worker from leaving."""
    worker, child = stage.holding()
    os.kill(child, signal.SIGSTOP)
    assert worker.stop(TERM) == 0
    assert not is_alive(child)
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"


# --- while the child leaves


@STOPPING
def test_a_stop_while_the_child_leaves(stage: Stage, number: int) -> None:
    """The job is done, its process only flushes: the stop is obeyed and the job stays done."""
    stage.push("flush_at_gate")
    worker = stage.work()
    stage.told("flushing", by=worker)
    worker.send(number)
    worker.until_said("Exiting...")
    stage.open_gate()
    assert worker.ended() == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 1
    stage.assert_left(worker)


# --- in bursts


def test_any_number_of_stops_at_any_moment(stage: Stage) -> None:
    """However often and whenever TERM, INT and QUIT come: exit 0, nothing left, nothing lost."""
    chance = random.Random(20)
    rounds = 40
    for batch in range(0, rounds, 4):
        for _ in range(40):
            stage.push("nothing")
        workers = [stage.work("--on-term", "requeue") for _ in range(4)]
        for worker in workers:
            until(lambda worker=worker: stage.id_of(worker) in stage.workers())
        time.sleep(chance.random() * 0.05)  # not to synchronise: to hit them anywhere
        while any(worker.popen.poll() is None for worker in workers):
            for worker in workers:
                if worker.popen.poll() is None:
                    worker.send(chance.choice([TERM, INT, QUIT]))
            time.sleep(chance.random() * 0.004)
        for worker in workers:
            assert worker.ended() == 0, (batch, worker.said)
            stage.assert_left(worker)
    assert stage.failed() == []
    assert stage.stat("processed") + len(stage.queue()) == rounds // 4 * 40
