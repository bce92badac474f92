"""What the pages say of code in a child, and of jobs that deploys stop, is so."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from .harness import Running, Stage, until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "jobs.md"
SHOWN = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
SEEDED = next(code for code in SHOWN if "def seed(" in code)
MANAGED = next(code for code in SHOWN if "Manager" in code)


def serving(stage: Stage, code: str, *options: str, queues: str = "jobs") -> Running:
    """A worker of an application of this code."""
    (stage.directory / "shown.py").write_text(f"import jobs\n{code}")
    return stage.work(*options, queues=queues, require="shown")


def job(body: str, before: str = "") -> str:
    """An application of one job, ``run``."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{before}\nfrom resque_fork import job\n@job(queue='jobs')\ndef run():\n{lines}"


@pytest.mark.parametrize("seeded", [True, False])
def test_random_numbers(stage: Stage, seeded: bool) -> None:
    """The generator of an application repeats itself in each job, unless it is seeded."""
    code = SEEDED if seeded else SEEDED.replace("@after_fork\n", "")
    for _ in range(3):
        stage.push("token", queue="tokens")
    worker = serving(stage, code, "--interval", "0", queues="tokens")
    assert worker.ended() == 0
    tokens = re.findall(r"^token (\d+)$", worker.said, re.M)
    assert len(tokens) == 3
    assert len(set(tokens)) == (3 if seeded else 1)


def test_a_manager_of_the_job(stage: Stage) -> None:
    """One that is made in the job works there."""
    stage.push("report", queue="reports")
    worker = serving(stage, MANAGED, "--interval", "0", queues="reports")
    assert worker.ended() == 0
    assert "the answer is 42" in worker.said
    assert stage.failed() == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_where_the_worker_has_a_forkserver(stage: Stage, method: str) -> None:
    """The child starts its own, and the worker's goes on."""
    before = (
        "import multiprocessing, time\n"
        "manager = multiprocessing.get_context('forkserver').Manager()"
    )
    body = (
        f"process = multiprocessing.get_context('{method}').Process(target=time.sleep, args=(0,))\n"
        "process.start()\nprocess.join()\n"
        "jobs.tell('ended', code=process.exitcode)"
    )
    worker = serving(stage, job(body, before))
    for _ in range(2):
        stage.push("run")
        assert stage.told("ended", by=worker)["code"] == 0
    until(lambda: stage.stat("processed") == 2)
    assert stage.failed() == []
    assert worker.stop() == 0


@pytest.mark.parametrize("daemon", [True, False])
def test_a_thread_ends_with_its_job(stage: Stage, daemon: bool) -> None:
    """The child does not wait for it."""
    body = (
        "def go_on():\n    jobs.wait_at_gate()\n    jobs.tell('went on')\n"
        f"threading.Thread(target=go_on, daemon={daemon}).start()\n"
        "jobs.tell('returned')"
    )
    stage.push("run")
    worker = serving(stage, job(body, "import threading"))
    stage.told("returned", by=worker)
    until(lambda: stage.stat("processed") == 1)
    worker.until_idle()
    stage.open_gate()
    assert worker.stop() == 0
    assert stage.nothing_told("went on")
    assert stage.failed() == []


def test_a_thread_runs_beside_the_next_job_of_its_process(stage: Stage) -> None:
    """With --jobs-per-fork the process lives on, and the thread with it."""
    body = (
        "if met:\n    met[0].set()\n    return jobs.wait_at_gate()\n"
        "met.append(threading.Event())\n"
        "def go_on():\n    met[0].wait()\n    jobs.tell('met the next job')\n"
        "threading.Thread(target=go_on, daemon=True).start()"
    )
    for _ in range(2):
        stage.push("run")
    worker = serving(stage, job(body, "import threading\nmet = []"), "--jobs-per-fork", "2")
    stage.told("met the next job", by=worker)
    stage.open_gate()
    until(lambda: stage.stat("processed") == 2)
    assert worker.stop() == 0


def test_a_session_of_its_own(stage: Stage) -> None:
    """The job cannot have one, but a program that it starts can."""
    body = (
        "command = [sys.executable, '-c', 'import os; print(os.getsid(0) == os.getpid())']\n"
        "said = subprocess.run(command, start_new_session=True, capture_output=True).stdout\n"
        "jobs.tell('leads', said=said.decode())\n"
        "os.setsid()"
    )
    stage.push("run")
    worker = serving(stage, job(body, "import os, subprocess, sys"))
    assert stage.told("leads", by=worker)["said"] == "True\n"
    assert stage.failed(1)[0]["exception"] == "PermissionError"


@pytest.mark.parametrize("on_lost", ["fail", "requeue"])
def test_closing_all_descriptors(stage: Stage, on_lost: str) -> None:
    """The job has returned, but its worker cannot know: it counts as lost."""
    stage.push("run")
    body = "jobs.tell('performed')\nos.closerange(3, 65536)"
    worker = serving(stage, job(body, "import os"), "--on-lost", on_lost, "--max-attempts", "2")
    times = 1 if on_lost == "fail" else 2
    for _ in range(times):
        stage.told("performed", by=worker)
    [entry] = stage.failed(1)
    expected = "Resque::DirtyExit" if on_lost == "fail" else "ResqueFork::PoisonPill"
    assert entry["exception"] == expected
    assert entry["error"].endswith("exit 70")
    assert "the job has closed descriptors that are not its own" in entry["forensics"]["stderr"][-1]


def test_programs_inherit_none_of_our_descriptors(stage: Stage) -> None:
    """Those that are started by subprocess have the three standard ones."""
    body = (
        "done = subprocess.run('ls /proc/self/fd', shell=True, capture_output=True, text=True)\n"
        "jobs.tell('listed', fds=done.stdout.split())"
    )
    stage.push("run")
    worker = serving(stage, job(body, "import subprocess"))
    assert stage.told("listed", by=worker)["fds"] == ["0", "1", "2", "3"]  # 3 is the directory


def test_deploys_that_stop_a_long_job_again_and_again(stage: Stage) -> None:
    """It goes back to the front, more often than it might be lost, and those behind it wait."""
    stage.push("hold")
    stage.push("quick")
    for _ in range(3):
        worker = stage.work("--on-term", "requeue", "--max-attempts", "2")
        stage.told("begun", by=worker)
        worker.until_title("Forked")
        assert worker.stop(signal.SIGTERM) == 0
        classes = [json.loads(raw)["class"] for raw in stage.queue()]
        assert classes == ["hold", "quick"]
    assert stage.failed() == []
    assert stage.stat("processed") == 0


@pytest.mark.parametrize("options", [(signal.SIGQUIT,), (signal.SIGTERM, "--graceful-term")])
def test_deploys_that_wait(stage: Stage, options: tuple[int, *tuple[str, ...]]) -> None:
    """QUIT, and TERM with --graceful-term, let it finish."""
    number, *more = options
    worker, _ = stage.holding("--on-term", "requeue", *more)
    worker.send(number)
    worker.until_said("Exiting...")
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.ended() == 0
    assert (stage.stat("processed"), stage.queue()) == (1, [])


def test_vars_of_jesque(stage: Stage) -> None:
    """They do not reach the job; its failed entry has them, and queued again it has none."""
    raw = b'{"class":"boom","args":["x"],"vars":{"retries":3}}'
    stage.push_raw(raw)
    worker = stage.work()
    [entry] = stage.failed(1)
    assert (entry["error"], entry["exception"]) == ("x", "ValueError")
    assert entry["payload"]["vars"] == {"retries": 3}
    assert worker.stop() == 0
    requeue = [*stage.command()[:5], "failed", "requeue", "0"]
    assert stage.start(*requeue).ended() == 0
    assert stage.queue() == [b'{"class":"boom","args":["x"]}']
