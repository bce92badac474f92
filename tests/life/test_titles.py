"""What ``ps`` and ``top`` show: Resque's own words, at once, in whatever environment."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from .harness import TITLE, Running, Stage, is_alive, title_of, until

# exactly as Ruby Resque looks for live workers, before it removes the records of the rest
RUBYS_LOOK = (
    r'ps -A -o pid,command | grep -E "[r]esque:work|[r]esque:\sStarting|[r]esque-[0-9]"'
    ' | grep -v "resque-web"'
)


def ps(pid: int, what: str = "args") -> str:
    command = ["ps", "-ww", "-o", f"{what}=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def recognised_by_ruby() -> set[int]:
    out = subprocess.run(RUBYS_LOOK, shell=True, capture_output=True, text=True).stdout
    return {int(line.split()[0]) for line in out.splitlines()}


def starting(stage: Stage, *options: str) -> Running:
    """A worker that is kept at its start, before it registers, by a hook of its application."""
    (stage.directory / "slow_start.py").write_text(
        "import jobs\nfrom resque_fork import before_first_fork\n"
        "@before_first_fork\ndef wait():\n    jobs.tell('starting')\n    jobs.wait_at_gate()\n"
    )
    worker = stage.work(*options, require="slow_start")
    stage.told("starting", by=worker)
    return worker


# --- the words


def test_starting_title(stage: Stage) -> None:
    """``resque: Starting``, without prefix and version, as Ruby has it."""
    worker = starting(stage, "--procline-prefix", "mine: ")
    assert worker.title == "resque: Starting"
    assert ps(worker.pid) == "resque: Starting"
    stage.open_gate()
    until(lambda: worker.title == f"mine: {TITLE}Waiting for jobs")


def test_waiting_title(stage: Stage) -> None:
    """``resque-<version>: Waiting for a,b,c``, in ``ps`` and for the kernel."""
    worker = stage.idle(queues="high, low,high")
    assert worker.title == f"{TITLE}Waiting for high,low"
    assert ps(worker.pid) == f"{TITLE}Waiting for high,low"
    assert re.match(r"resque-\d", worker.title)


def test_forked_and_processing_titles(stage: Stage) -> None:
    """The parent says which child, the child which queue and class, both since when."""
    before = int(time.time())
    worker, child = stage.holding(job="Billing::Invoice")
    after = int(time.time())
    match = re.fullmatch(rf"{re.escape(TITLE)}Forked (\d+) at (\d+)", ps(worker.pid))
    assert match, ps(worker.pid)
    assert int(match[1]) == child
    assert before <= int(match[2]) <= after
    match = re.fullmatch(
        rf"{re.escape(TITLE)}Processing jobs since (\d+) \[Billing::Invoice\]", ps(child)
    )
    assert match, ps(child)
    assert before <= int(match[1]) <= after
    stage.open_gate()
    worker.until_title("Waiting for jobs")
    assert not is_alive(child)


def test_title_while_a_queue_is_paused(stage: Stage) -> None:
    """A worker waits for its other queues, and is ``Paused`` if it has none."""
    worker = stage.idle("--interval", "60", queues="high,low")
    stage.run("pause", "high")
    until(lambda: worker.title == f"{TITLE}Waiting for low")
    stage.run("pause", "low")
    until(lambda: worker.title == f"{TITLE}Paused")
    stage.run("resume", "low", "high")
    until(lambda: worker.title == f"{TITLE}Waiting for high,low")


def test_paused_title(stage: Stage) -> None:
    """``Paused``, by USR2 as by the key that pauses all workers."""
    worker = stage.idle()
    worker.send(signal.SIGUSR2)
    until(lambda: worker.title == f"{TITLE}Paused")
    worker.send(signal.SIGCONT)
    until(lambda: worker.title == f"{TITLE}Waiting for jobs")
    stage.redis.set("resque:pause-all-workers", "true")
    until(lambda: worker.title == f"{TITLE}Paused")
    stage.redis.delete("resque:pause-all-workers")
    until(lambda: worker.title == f"{TITLE}Waiting for jobs")


def test_globs_are_expanded(stage: Stage) -> None:
    """The title names the queues that exist, as they appear; the id keeps the glob."""
    stage.redis.sadd("resque:queues", "b", "a", "secret")
    worker = stage.idle(queues="first,*,!secret")
    assert worker.title == f"{TITLE}Waiting for first,a,b"
    assert stage.workers() == [stage.id_of(worker, "first,*")]
    stage.push("quick", queue="c")
    stage.told("quick", by=worker)
    until(lambda: worker.title == f"{TITLE}Waiting for first,a,b,c")


def test_a_long_list_is_shown_as_given(stage: Stage) -> None:
    """Beyond 200 bytes the globs stand for what they match."""
    names = [f"mail{number:03}" for number in range(25)]  # 8 bytes each with a comma, but one
    stage.redis.sadd("resque:queues", *names)
    worker = stage.idle(queues="*")
    assert worker.title == f"{TITLE}Waiting for {','.join(names)}"
    stage.push("quick", queue="z")
    stage.told("quick", by=worker)
    until(lambda: worker.title == f"{TITLE}Waiting for *")


def test_a_long_list_that_was_given_is_shown(stage: Stage) -> None:
    """There is no other way to name two hundred queues than by their names."""
    names = ",".join(f"queue{number:03}" for number in range(40))
    worker = stage.idle(queues=names)
    assert ps(worker.pid) == f"{TITLE}Waiting for {names}"


def test_prefix_and_version(stage: Stage) -> None:
    """The prefix comes first, unchanged, from the environment as Ruby reads it."""
    worker = stage.work(env=stage.environment(RESQUE_PROCLINE_PREFIX="[shop] "))
    until(lambda: worker.title == f"[shop] {TITLE}Waiting for jobs")
    assert worker.pid in recognised_by_ruby()


def test_control_characters_are_escaped(stage: Stage) -> None:
    """A queue or class cannot write to the terminal of whoever looks."""
    stage.redis.sadd("resque:queues", "red\x1b[31m\nline", b"raw\xff", "öl")
    worker = stage.idle(queues="*")
    assert worker.title == TITLE + r"Waiting for raw\xff,red\x1b[31m\nline,öl"
    (stage.directory / "odd.py").write_text(
        "import jobs\nfrom resque_fork import job\n"
        "@job(name='Odd\\x1b]0;title\\x07')\ndef odd():\n    jobs.tell('begun')\n"
        "    jobs.wait_at_gate()\n"
    )
    assert worker.stop() == 0
    worker = stage.work(queues="*", require="odd")
    stage.push("Odd\x1b]0;title\x07", queue="bell\x07")
    child = stage.told("begun", by=worker)["pid"]
    title = title_of(child)
    assert title.startswith(TITLE + r"Processing bell\x07 since ")
    assert title.endswith(r" [Odd\x1b]0;title\x07]")


def test_arguments_never_in_a_title(stage: Stage) -> None:
    """Titles are readable to every user of the host; arguments are not for them."""
    stage.push("hold", "sesame")
    worker = stage.work()
    child = stage.told("begun", by=worker)["pid"]
    worker.until_title("Forked")
    for pid in (worker.pid, child):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            assert b"sesame" not in file.read()


def test_nothing_of_the_command_line_is_left(stage: Stage) -> None:
    """The title replaces all of the command, passwords in the URL included."""
    worker = stage.idle()
    with open(f"/proc/{worker.pid}/cmdline", "rb") as file:
        shown = file.read()
    assert shown.rstrip(b"\0").decode() == f"{TITLE}Waiting for jobs"


@pytest.mark.parametrize("count", ["1", "2"])
def test_nothing_of_it_while_the_application_is_loaded(stage: Stage, count: str) -> None:
    """That may take long, and the password would be there for all to see."""
    (stage.directory / "slow.py").write_text(
        "import jobs\njobs.tell('loading')\njobs.wait_at_gate()"
    )
    worker = stage.work("--count", count, require="slow")
    stage.told("loading", by=worker)
    with open(f"/proc/{worker.pid}/cmdline", "rb") as file:
        assert file.read().rstrip(b"\0") == b"resque: Starting"
    stage.open_gate()
    until(lambda: worker.title.startswith(TITLE))
    assert stage.redis.ping()


def test_the_supervisor_has_a_title(stage: Stage) -> None:
    """It is recognised, and told from its workers."""
    pool = stage.work("--count", "2")
    until(lambda: pool.title == f"{TITLE}Supervising 2 workers")
    until(lambda: [title_of(pid) for pid in pool.children] == [f"{TITLE}Waiting for jobs"] * 2)


# --- where it is looked at


def test_ruby_recognises_us_in_every_state(stage: Stage) -> None:
    """Ruby removes the records of what it does not recognise, however alive that is."""
    worker = starting(stage)
    assert worker.pid in recognised_by_ruby()
    stage.open_gate()
    worker.until_idle()
    assert worker.pid in recognised_by_ruby()
    stage.push("hold")
    child = stage.told("begun", by=worker)["pid"]
    worker.until_title("Forked")
    assert {worker.pid, child} <= recognised_by_ruby()
    stage.open_gate()
    worker.until_idle()
    worker.send(signal.SIGUSR2)
    worker.until_title("Paused")
    assert worker.pid in recognised_by_ruby()


def test_top_shows_it_too(stage: Stage) -> None:
    """``top`` shows the first 15 bytes by default, which tell a worker from other Pythons."""
    worker, child = stage.holding()
    for pid in (worker.pid, child):
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            assert file.read().rstrip("\n") == title_of(pid)[:15]
        assert re.match(r"resque-\d", ps(pid, "comm"))


SMALL = pytest.mark.parametrize("extra", [{}, {"LANG": "C"}], ids=["empty", "LANG=C"])


@SMALL
def test_titles_in_a_small_environment(stage: Stage, extra: dict[str, str]) -> None:
    """Started by systemd or with ``env -i`` there is no room for a title; we make some."""
    (stage.directory / "run.py").write_text(
        "import sys\n"
        f"sys.path[:0] = {stage.environment()['PYTHONPATH'].split(os.pathsep)!r}\n"
        "from resque_fork.cli import main\nmain()\n"
    )
    names = ",".join(f"queue{number:02}" for number in range(20))
    worker = stage.start(
        *(sys.executable, "run.py", "--redis", stage.url, "work", "-q", names, "-r", "jobs"),
        env=extra,
    )
    worker.until_idle()
    assert ps(worker.pid) == f"{TITLE}Waiting for {names}"
    stage.push("hold", queue="queue07")
    child = stage.told("begun", by=worker)["pid"]
    assert re.fullmatch(rf"{re.escape(TITLE)}Processing queue07 since \d+ \[hold\]", ps(child)), ps(
        child
    )
    # what made the room is not handed on to the jobs
    stage.open_gate()
    stage.push("tell_environment", queue="queue07")
    found = stage.told("environment", by=worker)["names"]
    assert "RESQUE_TITLE_ROOM" not in found
    assert worker.stop() == 0
