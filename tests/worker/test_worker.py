"""The worker as a program has it: what it answers, in which order it starts, and what it logs."""

import re
import signal
import sys

from life.harness import Running, Stage, until

# A program of its own that works, and tells what its worker does.
PROGRAM = """
import signal

import jobs
from resque_fork import Resque, Worker, before_first_fork, worker_exit


class Telling(Worker):
    def work_one_job(self):
        answer = super().work_one_job()
        jobs.tell("work_one_job", answer=answer)
        return answer


class Broken(Worker):
    def perform(self, reservation):
        if WHEN == "after":
            super().perform(reservation)
        raise RuntimeError("out of the blue")


resque = Resque({url!r})
"""


BREAKS = "WHEN = {!r}\nraise SystemExit(Broken('jobs', resque=resque).work())\n"


def program(stage: Stage, text: str) -> Running:
    return stage.start(sys.executable, "-c", PROGRAM.replace("{url!r}", repr(stage.url)) + text)


def answers(stage: Stage) -> list[bool]:
    return [m["answer"] for m in stage.everything_told() if m["what"] == "work_one_job"]


def test_work_one_job_says_whether_there_was_one(stage: Stage) -> None:
    """True for each job, however it went, and the next is done; False when there is none."""
    stage.push("quick")
    stage.push("boom", "for a reason")
    stage.push("kill_self", 9)
    stage.push("quick")
    ended = program(stage, "assert Telling('jobs', resque=resque).work(0) == 0\n")
    assert ended.ended() == 0, ended.said
    assert answers(stage) == [True, True, True, True, False]
    assert [entry["exception"] for entry in stage.failed()] == ["ValueError", "Resque::DirtyExit"]
    assert (stage.stat("processed"), stage.stat("failed")) == (4, 2)


def test_work_one_job_takes_nothing_while_paused(stage: Stage) -> None:
    """A paused worker says False, and the job stays in its queue."""
    stage.push("quick")
    stage.redis.set("resque:pause-all-workers", "true")
    ended = program(stage, "assert Telling('jobs', resque=resque).work(0) == 0\n")
    assert ended.ended() == 0, ended.said
    assert answers(stage) == [False]
    assert len(stage.queue()) == 1


def test_work_can_be_called_again(stage: Stage) -> None:
    """One worker may work twice: before_first_fork runs once, and it registers and leaves twice."""
    stage.push("quick", 1)
    ended = program(
        stage,
        "before_first_fork(lambda: jobs.tell('first', workers=resque.workers()))\n"
        "worker_exit(lambda: jobs.tell('exit', workers=resque.workers()))\n"
        "worker = Worker('jobs', resque=resque)\n"
        "assert worker.work(0) == 0\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())\n"
        "resque.enqueue_to('jobs', 'quick', 2)\n"
        "assert worker.work(0) == 0\n",
    )
    assert ended.ended() == 0, ended.said
    told = stage.everything_told()
    assert [m["what"] for m in told] == ["first", "quick", "exit", "quick", "exit"]
    assert [m["args"] for m in told if m["what"] == "quick"] == [[1], [2]]
    assert all(m["workers"] == [] for m in told if m["what"] in ("first", "exit"))
    assert stage.stat("processed") == 2
    stage.assert_left(ended)


def test_order_of_the_start(stage: Stage) -> None:
    """Its title says Starting, signals are handled, the dead are rescued, before_first_fork runs,
    and then the worker registers."""
    dead, _ = stage.holding()
    dead.kill()
    (stage.directory / "first.py").write_text(
        "import signal, jobs\n"
        "from resque_fork import Resque, before_first_fork\n"
        "@before_first_fork\n"
        "def look():\n"
        "    resque = Resque()\n"
        "    jobs.tell('first', failed=resque.failed().count(), workers=resque.workers(),\n"
        "        handled=callable(signal.getsignal(signal.SIGTERM)),\n"
        "        title=open('/proc/self/cmdline').read().split(chr(0))[0])\n"
    )
    worker = stage.idle(require="first")
    first = stage.told("first", by=worker)
    assert first["title"].endswith("resque: Starting")
    assert first["handled"]
    assert (first["failed"], first["workers"]) == (1, [])
    assert stage.workers() == [stage.id_of(worker)]


def test_an_unexpected_error_leaves_the_record(stage: Stage) -> None:
    """A worker that ends by an error of its own exits 1, and its job is rescued as DirtyExit."""
    stage.push("quick")
    broken = program(stage, BREAKS.format("before"))
    assert broken.ended() == 1
    assert "The worker stops because of an error that it did not expect" in broken.said
    assert "RuntimeError: out of the blue" in broken.said
    assert stage.redis.exists(f"resque:worker:{stage.id_of(broken)}")
    assert stage.work("--interval", "0").ended() == 0
    [entry] = stage.failed()
    assert (entry["exception"], entry["error"]) == (
        "Resque::DirtyExit", "Job still being processed",
    )  # fmt: skip
    stage.assert_left(broken)


def test_an_unexpected_error_loses_no_outcome(stage: Stage) -> None:
    """What became of a job that has ended is written before the worker leaves."""
    stage.push("quick")
    broken = program(stage, BREAKS.format("after"))
    assert broken.ended() == 1
    assert "RuntimeError: out of the blue" in broken.said
    assert not stage.redis.exists(f"resque:worker:{stage.id_of(broken)}")
    assert (stage.stat("processed"), stage.failed()) == (1, [])


def lines(running: Running, text: str) -> list[str]:
    """The levels of the lines of its log that have this text, as Ruby writes them."""
    return re.findall(rf"^(\w), \[.*-- : .*{re.escape(text)}", running.said, re.MULTILINE)


def test_a_failure_is_logged_once_as_an_error(stage: Stage) -> None:
    """What went wrong with a job is one line at the level of errors, and on no other level."""
    stage.push("boom", "for a reason")
    worker = stage.work("--interval", "0", "-vv", "--log-format", "ruby")
    assert worker.ended() == 0
    assert lines(worker, "failed: ValueError: for a reason") == ["E"]
    assert lines(worker, "failed") == ["E"]
    assert lines(worker, "done: ") == []


def test_a_shutdown_is_logged_once(stage: Stage) -> None:
    """However often a worker is told to stop, it says so in one line, at the level info."""
    worker, _ = stage.holding("-vv", "--log-format", "ruby")
    worker.send(signal.SIGQUIT)
    worker.until_said("Exiting...")
    worker.send(signal.SIGQUIT, signal.SIGTERM)
    assert worker.ended() == 0
    assert lines(worker, "Exiting...") == ["I"]


def test_step_by_step(stage: Stage) -> None:
    """Without work(): it starts, takes jobs one by one, can be paused and stopped, and leaves."""
    for number in range(3):
        stage.push("quick", number)
    ended = program(
        stage,
        "worker = Worker('jobs', resque=resque)\n"
        "assert not resque.workers()\n"
        "worker.startup()\n"
        "assert resque.workers() == [worker.id]\n"
        "assert worker.work_one_job()\n"
        "worker.pause_processing()\n"
        "assert not worker.work_one_job()\n"
        "worker.unpause_processing()\n"
        "job = worker.reserve()\n"
        "worker.working_on(job)\n"
        "worker.perform_with_fork(job)\n"
        "worker.done_working()\n"
        "assert resque.info()['processed'] == 2\n"
        "worker.unregister_worker()\n"
        "assert not resque.workers()\n"
        "worker.register_worker()\n"
        "assert resque.workers() == [worker.id]\n"
        "worker.shutdown()\n"
        "assert not worker.work_one_job()\n"
        "worker.close()\n"
        "assert not resque.workers()\n"
        "assert resque.size('jobs') == 1\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "assert worker.work(0) == 0\n"
        "assert resque.size('jobs') == 0\n",
    )
    assert ended.ended() == 0, ended.said
    assert [m["args"] for m in stage.everything_told() if m["what"] == "quick"] == [[0], [1], [2]]
    stage.assert_left(ended)


def test_every_method_works_without_work(stage: Stage) -> None:
    """Also before the start: what stops, pauses or describes a worker, and a single job."""
    stage.push("quick", 1)
    ended = program(
        stage,
        "worker = Worker('jobs', '*', resque=resque)\n"
        "assert str(worker) == worker.id and worker.queues() == ['jobs']\n"
        "worker.pause_processing()\n"
        "worker.unpause_processing()\n"
        "worker.kill_child()\n"
        "worker.reopen_logs()\n"
        "worker.prune_dead_workers()\n"
        "worker.done_working()\n"
        "assert worker.work_one_job()\n"
        "worker.done_working()\n"
        "assert resque.info()['processed'] == 1\n"
        "worker.unregister_worker()\n"
        "worker.shutdown_now()\n"
        "worker.shutdown()\n"
        "assert worker.stopping and worker.reserve() is None\n"
        "worker.close()\n",
    )
    assert ended.ended() == 0, ended.said
    stage.assert_left(ended)


def test_program_is_left_as_it_was(stage: Stage) -> None:
    """Whatever is raised: its signals, its title and its orphans are its own."""
    ended = program(
        stage,
        "import ctypes, setproctitle, sys\n"
        "def state():\n"
        "    handlers = [signal.getsignal(n) for n in signal.valid_signals()]\n"
        "    subreaper = ctypes.c_int()\n"
        "    ctypes.CDLL(None).prctl(37, ctypes.byref(subreaper), 0, 0, 0)\n"
        "    return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, ()), subreaper.value\n"
        "signal.signal(signal.SIGUSR1, lambda *_: None)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])\n"
        "setproctitle.setproctitle('mine')\n"
        "before = state()\n"
        "assert Worker('jobs', resque=resque).work(0) == 0\n"
        "assert state() == before\n"
        "before_first_fork(sys.exit)\n"
        "assert Worker('jobs', resque=resque).work(0) == 1\n"
        "assert state() == before\n"
        "class Interrupted(Worker):\n"
        "    def work_one_job(self):\n"
        "        raise KeyboardInterrupt\n"
        "try:\n"
        "    Interrupted('jobs', resque=resque).work(0)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
        "assert state() == before\n"
        "assert setproctitle.getproctitle() == 'mine'\n",
    )
    assert ended.ended() == 0, ended.said


def test_which_tasks_run_while_a_job_runs(stage: Stage) -> None:
    """However long a job takes: heartbeats are sent, and the job of a dead worker is rescued."""
    worker, _ = stage.holding("--heartbeat-interval", "0.3")
    dead, _ = stage.holding("--heartbeat-interval", "0.3")
    beats = {stage.redis.hget("resque:fork:" + stage.id_of(worker), "beat")}
    until(lambda: beats.add(stage.redis.hget("resque:fork:" + stage.id_of(worker), "beat"))
          or len(beats) > 3)  # fmt: skip
    dead.kill()
    assert len(stage.failed(1)) == 1
    stage.open_gate()
    assert worker.stop() == 0
