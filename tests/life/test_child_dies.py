"""A child dies, or does what no child should: it is explained, and the next job is not harmed."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import Any

import psutil
import pytest

from .harness import Stage, is_alive, title_of, until


def fate(stage: Stage, name: str, *args: Any, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """The failed entry of a job; the same worker then performs the next one."""
    worker = stage.idle(*options)
    stage.push(name, *args)
    stage.push("quick", "next")
    assert stage.told("quick", by=worker)["parent"] == worker.pid
    [entry] = stage.failed(1)
    assert (entry["queue"], entry["worker"]) == ("jobs", stage.id_of(worker))
    assert entry["payload"] == {"class": name, "args": list(args)}
    assert worker.stop() == 0
    assert (stage.stat("processed"), stage.stat("failed")) == (2, 1)
    assert "Traceback" not in worker.said
    return entry


# --- how it is told


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, signal.SIGABRT, signal.SIGFPE, signal.SIGXCPU, signal.SIGPIPE],
    ids=lambda number: number.name,
)
def test_killed_child_explained(stage: Stage, number: signal.Signals) -> None:
    """A child killed by a signal fails as DirtyExit in Ruby's words, with the signal's name."""
    if number == signal.SIGPIPE:  # Python ignores it, so it takes another to die of it
        entry = fate(stage, "die_of_sigpipe")
    else:
        entry = fate(stage, "kill_self", int(number))
    assert entry["exception"] == "Resque::DirtyExit"
    assert re.fullmatch(
        rf"Child process received unhandled signal pid \d+ {number.name} \(signal {int(number)}\)",
        entry["error"],
    )
    assert entry["backtrace"] == []
    assert (stage.stat("processed"), stage.stat("failed")) == (2, 1)  # with that of fate
    assert entry["forensics"]["signal"] == number.name
    assert "exit_status" not in entry["forensics"]


def test_killed_by_a_realtime_signal(stage: Stage) -> None:
    """It has no name of its own, only a number."""
    entry = fate(stage, "kill_self", int(signal.SIGRTMIN) + 3)
    assert entry["forensics"]["signal"] in ("SIGRTMIN+3", f"SIG{int(signal.SIGRTMIN) + 3}")


@pytest.mark.parametrize("status", [0, 1, 3, 70, 255])
def test_leaving_without_a_word_is_a_failure(stage: Stage, status: int) -> None:
    """``os._exit`` in a job, or a library's ``exit``: no word, no success, 0 included."""
    entry = fate(stage, "leave", status)
    assert entry["exception"] == "Resque::DirtyExit"
    assert re.fullmatch(
        rf"Child process exited without finishing its job pid \d+ exit {status}", entry["error"]
    )
    assert entry["forensics"]["exit_status"] == status
    assert "signal" not in entry["forensics"]


@pytest.mark.parametrize("status", [0, 3, "no"])
def test_sys_exit_fails_as_system_exit(stage: Stage, status: object) -> None:
    """As in Resque, whatever the status."""
    entry = fate(stage, "exit_with", status)
    assert entry["exception"] == "SystemExit"
    assert entry["error"] == str(status)
    assert entry["backtrace"][0].startswith(os.path.dirname(__file__))


def test_a_base_exception_is_a_failure(stage: Stage) -> None:
    """Recorded under its own name like any other."""
    entry = fate(stage, "raise_base_exception")
    assert (entry["exception"], entry["error"]) == ("Unusual", "not an Exception")


def test_an_exception_has_its_backtrace(stage: Stage) -> None:
    """Innermost first, without our frames, with what the job used."""
    entry = fate(stage, "boom", "böom\nsecond line")
    assert (entry["exception"], entry["error"]) == ("ValueError", "böom\nsecond line")
    assert re.fullmatch(r".*/tests/life/jobs/everyday\.py:\d+:in boom", entry["backtrace"][0])
    assert not any("/resque_fork/" in line for line in entry["backtrace"])
    assert set(entry["forensics"]) == {"rss_growth_kb", "user_ms", "system_ms", "wall_ms"}
    assert all(type(value) is int for value in entry["forensics"].values())


def test_a_segfault_names_the_python_line(stage: Stage) -> None:
    """The stack of the crash, from faulthandler, down to the job's own frame and no further."""
    entry = fate(stage, "segfault")
    assert entry["forensics"]["signal"] == "SIGSEGV"
    stack = entry["forensics"]["stack"]
    assert stack[0] == "Fatal Python error: Segmentation fault"
    assert any(re.search(r'dying\.py", line \d+ in segfault', line) for line in stack)
    assert not any("/resque_fork/" in line for line in stack)
    assert "stderr" not in entry["forensics"]


def test_a_stack_is_not_told_twice(stage: Stage) -> None:
    """What one child left is forgotten when the next one dies of something else."""
    worker = stage.idle()
    stage.push("segfault")
    stage.push("kill_self", 9)
    first, second = stage.failed(2)
    assert "stack" in first["forensics"]
    assert "stack" not in second["forensics"]
    assert worker.stop() == 0


def test_last_lines_of_stderr(stage: Stage) -> None:
    """The last twenty lines, and all of it on the worker's own stderr."""
    worker = stage.idle()
    stage.push("last_words", 50)
    stage.push("kill_self", 9)
    first, second = stage.failed(2)
    lines = first["forensics"]["stderr"]
    assert lines[:2] == ["line 31", "line 32"]
    assert lines[-1] == "and bytes \ufffd\x1b[31m"
    assert len(lines) == 20
    assert "stderr" not in second["forensics"]
    assert all(f"line {number}\n" in worker.said for number in range(50))
    assert worker.stop() == 0


def test_the_last_lines_are_those_of_this_job(stage: Stage) -> None:
    """However much the job before it has written to the end."""
    for _ in range(10):
        stage.push("shout", 60)
        stage.push("leave", 3)
    stage.work()
    assert [entry for entry in stage.failed(10) if "stderr" in entry["forensics"]] == []


def test_a_flood_on_stderr(stage: Stage) -> None:
    """Megabytes pass through; what is kept is small; nothing is stuck."""
    entry = fate(stage, "flood_stderr", 8)
    assert entry["forensics"]["exit_status"] == 1
    assert len(json.dumps(entry)) < 50_000


def is_waiting(pid: int) -> bool:
    """Whether a process uses no processor any more."""
    before = psutil.Process(pid).cpu_times()
    time.sleep(0.1)
    process = psutil.Process(pid)
    return process.cpu_times() == before and process.status() == psutil.STATUS_SLEEPING


def test_a_flood_when_nobody_reads_our_stderr(stage: Stage) -> None:
    """If our own stderr is stuck the child waits; the worker still obeys."""
    reader, writer = os.pipe()
    worker = stage.start(*stage.command(), stderr=writer, stdout=writer)
    os.close(writer)
    stage.push("flood_stderr", 8)
    worker.until_title("Forked")
    child = int(worker.title.split()[2])
    until(lambda: is_waiting(child))
    worker.send(signal.SIGTERM)
    try:
        assert worker.ended() == 0
    finally:
        os.close(reader)
    stage.assert_left(worker)
    assert len(stage.failed()) == 1


def test_nobody_reads_our_stderr_at_all(stage: Stage) -> None:
    """A closed pipe as stderr does not stop a worker, nor a job that writes to it."""
    reader, writer = os.pipe()
    worker = stage.start(*stage.command(), stderr=writer, stdout=writer)
    os.close(writer)
    worker.until_idle()
    os.close(reader)
    stage.push("last_words", 5)
    stage.push("quick")
    stage.told("quick", by=worker)
    assert stage.failed(1)[0]["forensics"]["stderr"][0] == "line 0"
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_the_wall_clock_is_told(stage: Stage) -> None:
    """What the kernel knows of the dead child: times in milliseconds."""
    worker, child = stage.holding()
    began = time.monotonic()
    time.sleep(0.2)  # not to synchronise: to be measured
    os.kill(child, signal.SIGKILL)
    [entry] = stage.failed(1)
    lasted = (time.monotonic() - began) * 1000
    told = entry["forensics"]
    assert 200 <= told["wall_ms"] <= lasted + 1000
    assert told["user_ms"] >= 0
    assert told["system_ms"] >= 0
    assert worker.stop() == 0


# --- after its word


@pytest.mark.parametrize(("how", "told"), [("kill", "SIGKILL"), ("exit", 7)])
def test_a_death_after_performed_is_a_failure(stage: Stage, how: str, told: object) -> None:
    """Performed, and then dead before it had flushed: that is not done."""
    entry = fate(stage, "die_while_leaving", how)
    assert entry["exception"] == "Resque::DirtyExit"
    assert told in (entry["forensics"].get("signal"), entry["forensics"].get("exit_status"))


def test_a_child_that_does_not_leave_is_killed_and_done(stage: Stage) -> None:
    """Performed, and then dawdling: after the deadline it is killed, with a warning."""
    worker = stage.idle(env=stage.environment(LIFE_LEAVE_SECONDS="0.3"), require="impatient")
    stage.push("leave_late")
    child = stage.told("flushing", by=worker)["pid"]
    stage.push("quick")
    stage.told("quick", by=worker)
    assert f"Child {child} was killed after its job was done" in worker.said
    assert not is_alive(child)
    assert stage.failed() == []
    assert worker.stop() == 0
    assert stage.stat("processed") == 2


def test_a_stop_does_not_wait_for_a_dawdler_for_ever(stage: Stage) -> None:
    """Told to stop meanwhile, the worker still leaves in order."""
    worker = stage.idle(env=stage.environment(LIFE_LEAVE_SECONDS="0.5"), require="impatient")
    stage.push("leave_late")
    stage.told("flushing", by=worker)
    assert worker.stop() == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 1


def test_exit_hooks_skipped_by_default(stage: Stage) -> None:
    """atexit functions are the parent's business."""
    worker = stage.idle()
    stage.push("register_exit_hook")
    stage.push("quick")
    messages = []
    until(lambda: messages.extend(stage.everything_told()) or "quick" in str(messages))
    assert "at exit" not in str(messages)
    assert worker.stop() == 0


def test_exit_hooks_run_when_asked(stage: Stage) -> None:
    """With --run-at-exit-hooks they run in the child, and are no failure."""
    worker = stage.idle("--run-at-exit-hooks")
    stage.push("register_exit_hook")
    message = stage.told("at exit", by=worker)
    assert message["parent"] == worker.pid
    worker.until_idle()
    until(lambda: stage.stat("processed") == 1)
    assert worker.stop() == 0
    assert stage.failed() == []


def test_an_exit_hook_that_raises_is_no_failure(stage: Stage) -> None:
    """The job had been performed; what its exit hooks do is shown, and that is all."""
    worker = stage.idle("--run-at-exit-hooks")
    stage.push("register_exit_hook", "raise")
    stage.told("at exit", by=worker)
    until(lambda: stage.stat("processed") == 1)
    assert worker.stop() == 0
    assert stage.failed() == []


# --- what no job should do


@pytest.mark.parametrize("name", ["close_everything", "close_everything_and_open"])
def test_a_job_that_closes_every_descriptor(stage: Stage, name: str) -> None:
    """It can say nothing any more, so it has failed, and disturbs nobody."""
    entry = fate(stage, name)
    assert entry["exception"] == "Resque::DirtyExit"
    junk = stage.directory / "junk"
    assert not junk.exists() or junk.read_bytes() == b""


def test_a_job_that_forks_and_returns_twice(stage: Stage) -> None:
    """One job, one outcome: the copy has nothing to say."""
    worker = stage.idle()
    stage.push("return_twice")
    until(lambda: stage.stat("processed") == 1)
    stage.push("quick")
    stage.told("quick", by=worker)
    until(lambda: stage.stat("processed") == 2)
    assert worker.stop() == 0
    assert (stage.stat("processed"), stage.failed()) == (2, [])


def test_what_a_copy_of_the_child_says_does_not_count(stage: Stage) -> None:
    """Only the process that was forked for a job can say how it went."""
    entry = fate(stage, "copy_fails")
    assert entry["exception"] == "Resque::DirtyExit"
    assert entry["forensics"]["signal"] == "SIGKILL"


@pytest.mark.parametrize("leaves_session", [False, True], ids=["grandchild", "setsid"])
def test_what_a_job_leaves_behind_is_swept(stage: Stage, leaves_session: bool) -> None:
    """Also what made itself a session of its own; the job itself is done."""
    worker = stage.idle()
    stage.push("daemon", leaves_session)
    daemon = stage.told("daemon", by=worker)["pid"]
    stage.push("quick")
    stage.told("quick", by=worker)
    assert not is_alive(daemon)
    worker.until_idle()
    assert worker.children == []
    assert worker.stop() == 0
    assert stage.failed() == []


def test_sweeping_is_not_put_off(stage: Stage) -> None:
    """Also without a next job, what is left behind goes at once."""
    worker = stage.idle()
    stage.push("daemon", True)
    daemon = stage.told("daemon", by=worker)["pid"]
    until(lambda: not is_alive(daemon))
    until(lambda: worker.children == [])
    assert worker.stop() == 0


def test_sweep_false_is_spared(stage: Stage) -> None:
    """A job that means to leave a daemon says so; later jobs are swept, the daemon is not."""
    worker = stage.idle()
    stage.push("lasting_daemon")
    lasting = stage.told("daemon", by=worker)["pid"]
    stage.push("daemon", True)
    other = stage.told("daemon", by=worker)["pid"]
    stage.push("quick")
    stage.told("quick", by=worker)
    until(lambda: not is_alive(other))
    assert is_alive(lasting)
    assert worker.stop() == 0
    assert is_alive(lasting)
    os.kill(lasting, signal.SIGKILL)


def test_what_the_application_has_started_is_spared(stage: Stage) -> None:
    """A process that the worker had before the job is none of the job's."""
    (stage.directory / "sidecar.py").write_text(
        "import subprocess, jobs\n"
        "from resque_fork import before_first_fork\n"
        "@before_first_fork\n"
        "def start():\n"
        "    global sidecar\n"
        "    sidecar = subprocess.Popen(['sleep', '600'])\n"
        "    jobs.tell('sidecar', started=sidecar.pid)\n"
    )
    worker = stage.idle(require="sidecar")
    sidecar = stage.told("sidecar", by=worker)["started"]
    for _ in range(2):
        stage.push("daemon", True)
        stage.told("daemon", by=worker)
        until(lambda: worker.children == [sidecar])
    assert is_alive(sidecar)


def test_what_a_killed_child_leaves_is_swept_too(stage: Stage) -> None:
    """A job that is stopped does not go on in its helpers."""
    stage.push("helper")
    worker = stage.work()
    helper = stage.told("helper", by=worker)["pid"]
    worker.until_title("Forked")
    assert worker.stop(signal.SIGTERM) == 0
    assert not is_alive(helper)


def test_the_next_job_finds_a_clean_worker(stage: Stage) -> None:
    """Directory, environment, mask, handlers, path and umask are as they were."""
    worker = stage.idle("--no-fork-ahead")  # a child ahead has one more pipe
    stage.push("look_around")
    before = stage.told("found", by=worker)
    stage.push("spoil")
    stage.push("look_around")
    after = stage.told("found", by=worker)
    for found in (before, after):
        for changing in ("pid", "random", "group", "session"):
            del found[changing]
        found["fds"] = [target.partition("[")[0] for target in found["fds"]]
    assert after == before
    assert before["cwd"] == str(stage.directory)
    assert worker.stop() == 0
    assert stage.failed() == []


def test_what_a_child_starts_with(stage: Stage) -> None:
    """Its own session, no terminal, no blocked and no ignored signal but Python's, none of ours."""
    worker = stage.idle()
    stage.push("look_around")
    found = stage.told("found", by=worker)
    assert found["group"] == found["session"] == found["pid"]
    assert found["stdin"] == "/dev/null"
    assert found["blocked"] == []
    assert found["threads"] == 1
    ignored = {n for n in range(1, 32) if found["ignored"] >> (n - 1) & 1}
    assert ignored <= {signal.SIGPIPE, signal.SIGXFSZ}
    with open(f"/proc/{worker.pid}/oom_score_adj") as file:
        assert found["oom"] == min(1000, int(file.read()) + 200)
    assert worker.stop() == 0


def test_parent_socket_dropped(stage: Stage) -> None:
    """The child has none of the parent's connection to Redis, its wake-up pipe, its selector."""
    worker = stage.idle()
    stage.push("look_around")
    found = stage.told("found", by=worker)["fds"]
    assert not any(target.startswith("socket:") for target in found)
    assert not any("eventpoll" in target for target in found)
    pipes = {target for target in found if target.startswith("pipe:")}
    assert len(pipes) == 3, found  # its stdout and stderr, and what it tells its parent through
    assert worker.stop() == 0


def test_a_job_that_leaves_a_thread_behind(stage: Stage) -> None:
    """A thread does not keep the child from leaving."""
    worker = stage.idle()
    stage.push("with_threads")
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 2


def test_a_job_that_stops_itself_can_be_ended(stage: Stage) -> None:
    """SIGSTOP sent by a job to itself: it hangs, and USR1 ends it."""
    worker = stage.idle()
    stage.push("kill_self", int(signal.SIGSTOP))
    worker.until_title("Forked")
    child = int(worker.title.split()[2])
    until(lambda: psutil.Process(child).status() == psutil.STATUS_STOPPED)
    worker.send(signal.SIGUSR1)
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    assert worker.stop() == 0


def test_two_children_with_the_same_random_numbers(stage: Stage) -> None:
    """Fork duplicates a generator's state: each child has its own numbers all the same."""
    worker = stage.idle()
    for _ in range(5):
        stage.push("look_around")
    assert len({stage.told("found", by=worker)["random"] for _ in range(5)}) == 5
    assert worker.stop() == 0


def test_the_title_of_a_dead_child_is_not_shown_for_long(stage: Stage) -> None:
    """When the outcome is written, the child has been reaped."""
    worker, child = stage.holding()
    os.kill(child, signal.SIGKILL)
    stage.failed(1)
    assert title_of(child) == ""
    assert worker.stop() == 0


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"report":"performed"}',
        '{"report":"failed","final":true,"leaving":false,"used":{},"exception":5}',
        '{"report":"handled","saved":true,"exception":"E","error":"e","backtrace":[[]]}',
        '{"report":["performed"]}',
    ],
)
def test_a_word_that_is_none(stage: Stage, text: str) -> None:
    """A job that speaks for its child, but not its language, dies, and its worker does not."""
    stage.push("babble", text)
    stage.push("quick")
    worker = stage.work(require="more_jobs")
    assert stage.told("quick", by=worker)["parent"] == worker.pid
    assert "sent something that is no report: not" in worker.said
    (entry,) = stage.failed(1)
    assert entry["forensics"]["signal"] == "SIGKILL"
    assert re.fullmatch(
        r"Child process \d+ was killed: what it sent to its worker is not a report \(not .*\)",
        entry["error"],
    )
    assert worker.stop() == 0


USED = {"rss_growth_kb": 0, "user_ms": 0, "system_ms": 0, "wall_ms": 0}
PERFORMED = json.dumps({"report": "performed", "used": USED})
SKIPPED = json.dumps({"report": "skipped", "used": USED})
FAILED = json.dumps(
    {
        "report": "failed",
        "final": False,
        "leaving": False,
        "after_term": False,
        "action": "",
        "exception": "E",
        "error": "e",
        "used": USED,
        "backtrace": [],
    }
)
HANDLED = json.dumps(
    {"report": "handled", "saved": True, "exception": "E", "error": "e", "backtrace": []}
)
READ = json.dumps({"report": "read", "class": "quick", "portable": True})


@pytest.mark.parametrize(
    "bodies",
    [
        [PERFORMED, PERFORMED],
        [PERFORMED, SKIPPED],
        [PERFORMED, "garbage"],
        [PERFORMED, FAILED],
        [PERFORMED, HANDLED],
        [HANDLED],
        [READ, PERFORMED],
        ["garbage", PERFORMED],
    ],
    ids=lambda bodies: " ".join(body[12:21] for body in bodies),
)
def test_words_that_do_not_follow(stage: Stage, bodies: list[str]) -> None:
    """A second outcome, or one of another job: killed and failed, whatever was said before."""
    stage.push("frames", *bodies)
    stage.push("quick")
    worker = stage.work("--on-lost", "requeue", require="more_jobs")
    stage.told("quick", by=worker)
    (entry,) = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    assert "what it sent to its worker is not a report" in entry["error"]
    assert worker.stop() == 0
    assert stage.stat("processed") == 2


def test_words_between_two_jobs(stage: Stage) -> None:
    """A child that performs many and says more than it should performs no other job."""
    stage.push("frames", PERFORMED, "garbage")
    stage.push("quick")
    worker = stage.work("--jobs-per-fork", "9", require="more_jobs")
    first = stage.told("begun", by=worker)["pid"]
    assert stage.told("quick", by=worker)["pid"] != first
    worker.until_said("sent something that is no report: ")
    assert worker.stop() == 0


def test_failure_that_was_told_stays(stage: Stage) -> None:
    """Garbage behind it does not make it another one."""
    stage.push("frames", FAILED, FAILED)
    worker = stage.work(require="more_jobs")
    (entry,) = stage.failed(1)
    assert (entry["exception"], entry["error"]) == ("E", "e")
    assert worker.stop() == 0


def test_beginning_of_a_message(stage: Stage) -> None:
    """Bytes that are no message, in front of the child's own word, make it none."""
    stage.push("unfinished_frame")
    stage.push("quick")
    worker = stage.work(require="more_jobs")
    stage.told("quick", by=worker)
    (entry,) = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    assert worker.stop() == 0


@pytest.mark.parametrize("stop", [signal.SIGQUIT, signal.SIGTERM, None])
def test_who_goes_on_talking_is_stopped(stage: Stage, stop: int | None) -> None:
    """It escapes neither its limit of time nor the worker's end, however often it says "done"."""
    stage.push("talk_on")
    worker = stage.work("--timeout", "60", "--term-timeout", "30", require="more_jobs")
    stage.told("begun", by=worker)
    (entry,) = stage.failed(1)
    assert (
        "what it sent to its worker is not a report ('performed' after 'performed')"
        in entry["error"]
    )
    assert worker.stop(stop or signal.SIGQUIT) == 0
