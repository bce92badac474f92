"""``--jobs-per-fork N``: one child performs several jobs, each accounted for on its own."""

from __future__ import annotations

import os
import signal

import pytest

from .harness import Stage, is_alive, title_of, until


def test_one_child_for_several_jobs(stage: Stage) -> None:
    """Three jobs to a child; then another child."""
    for number in range(7):
        stage.push("quick", number)
    worker = stage.work("--jobs-per-fork", "3")
    told = [stage.told("quick", by=worker) for _ in range(7)]
    assert [message["args"] for message in told] == [[number] for number in range(7)]
    pids = [message["pid"] for message in told]
    assert pids[0:3] == [pids[0]] * 3
    assert pids[3:6] == [pids[3]] * 3
    assert len(set(pids)) == 3
    until(lambda: stage.stat("processed") == 7)
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_an_idle_worker_has_no_child(stage: Stage) -> None:
    """A child that could perform more is let go when there is nothing to do."""
    worker = stage.idle("--jobs-per-fork", "100")
    stage.push("quick")
    child = stage.told("quick", by=worker)["pid"]
    worker.until_idle()
    until(lambda: worker.children == [])
    assert not is_alive(child)
    assert stage.stat("processed") == 1


def test_one_job_on_record_at_a_time(stage: Stage) -> None:
    """The record, the counters and the titles follow each job."""
    for number in range(3):
        stage.push("hold", number)
    worker = stage.work("--jobs-per-fork", "3")
    for number in range(3):
        begun = stage.told("begun", by=worker)
        assert begun["args"] == [number]
        record = stage.redis.get(f"resque:worker:{stage.id_of(worker)}")
        assert record is not None
        assert f'"args":[{number}]'.encode() in record
        assert stage.stat("processed") == number
        assert title_of(begun["pid"]).endswith("[hold]")
        stage.open_gate()
    until(lambda: stage.stat("processed") == 3)


def test_a_failure_does_not_end_the_child(stage: Stage) -> None:
    """An ordinary exception is reported, and the same child goes on."""
    stage.push("quick")
    stage.push("boom")
    stage.push("quick")
    worker = stage.work("--jobs-per-fork", "10")
    first = stage.told("quick", by=worker)
    assert stage.told("quick", by=worker)["pid"] == first["pid"]
    [entry] = stage.failed(1)
    assert entry["exception"] == "ValueError"
    assert set(entry["forensics"]) == {"rss_growth_kb", "user_ms", "system_ms", "wall_ms"}


@pytest.mark.parametrize("name", ["raise_base_exception", "exit_with"])
def test_what_is_no_ordinary_exception_ends_the_child(stage: Stage, name: str) -> None:
    """After a SystemExit or worse the next job has another child."""
    stage.push("quick")
    stage.push(name, *([3] if name == "exit_with" else []))
    stage.push("quick")
    worker = stage.work("--jobs-per-fork", "10")
    first = stage.told("quick", by=worker)
    assert stage.told("quick", by=worker)["pid"] != first["pid"]
    assert len(stage.failed(1)) == 1


def test_a_death_costs_only_its_own_job(stage: Stage) -> None:
    """The jobs before were done, those after have another child."""
    for name, args in (("quick", [1]), ("kill_self", [9]), ("quick", [2])):
        stage.push(name, *args)
    worker = stage.work("--jobs-per-fork", "10")
    first = stage.told("quick", by=worker)
    second = stage.told("quick", by=worker)
    assert first["pid"] != second["pid"]
    [entry] = stage.failed(1)
    assert entry["payload"]["class"] == "kill_self"
    assert str(first["pid"]) in entry["error"]
    until(lambda: stage.stat("processed") == 3)
    assert worker.stop() == 0


def test_each_job_is_charged_for_itself(stage: Stage) -> None:
    """CPU time of the jobs before is not this one's."""
    stage.push("burn", 0.3)
    stage.push("boom")
    stage.push("kill_self", 9)
    stage.work("--jobs-per-fork", "10")
    raised, killed = stage.failed(2)
    assert raised["forensics"]["user_ms"] < 150
    assert killed["forensics"]["user_ms"] < 150
    assert killed["forensics"]["wall_ms"] < 250


def test_a_stop_puts_nothing_at_risk(stage: Stage) -> None:
    """TERM in the second of three jobs: the first is done, the second failed, the third waits."""
    for number in range(3):
        stage.push("hold", number)
    worker = stage.work("--jobs-per-fork", "3")
    stage.told("begun", by=worker)
    stage.open_gate()
    child = stage.told("begun", by=worker)["pid"]
    assert worker.stop(signal.SIGTERM) == 0
    assert not is_alive(child)
    [entry] = stage.failed()
    assert entry["payload"]["args"] == [1]
    assert stage.queue() == [b'{"class":"hold","args":[2]}']
    stage.assert_left(worker)


def test_a_job_can_be_stopped_whatever_the_one_before_it_did(stage: Stage) -> None:
    """Signals that it has blocked or ignored reach the next job in the same process."""
    stage.push("stop_listening")
    stage.push("hold")
    worker = stage.work("--jobs-per-fork", "5", require="more_jobs")
    stage.told("begun", by=worker)
    worker.send(signal.SIGUSR1)
    [entry] = stage.failed(1)
    assert (entry["exception"], entry["error"]) == ("Resque::TermException", "SIGTERM")


def test_usr1_between_jobs_does_not_matter(stage: Stage) -> None:
    """The next job simply has another child, if need be."""
    worker = stage.idle("--jobs-per-fork", "5")
    for number in range(20):
        stage.push("quick", number)
        worker.send(signal.SIGUSR1)
    until(lambda: stage.stat("processed") == 20)
    failed = stage.failed()
    assert {entry["exception"] for entry in failed} <= {"Resque::TermException"}
    assert worker.stop() == 0


def test_a_child_that_is_killed_between_jobs(stage: Stage) -> None:
    """Nobody had asked it for anything: the next job has another child and is done."""
    worker, first = stage.holding("--jobs-per-fork", "5")
    worker.send(signal.SIGUSR2)  # no job follows for the moment
    worker.until_said("pausing job processing")
    stage.open_gate()
    stage.told("done", by=worker)
    worker.until_title("Paused")
    assert not is_alive(first)
    stage.push("quick")
    worker.send(signal.SIGCONT)
    assert stage.told("quick", by=worker)["pid"] != first
    assert worker.stop() == 0
    assert stage.failed() == []


def test_large_jobs_travel_whole(stage: Stage) -> None:
    """Megabytes, and bytes that no pipe takes at once."""
    stage.push("quick")
    for _ in range(3):
        stage.push_raw(b'{"class":"measure","args":["' + b"\xc3\xa4" * 500_000 + b'"]}')
    stage.push("quick")
    worker = stage.work("--jobs-per-fork", "10")
    first = stage.told("quick", by=worker)["pid"]
    for number in range(3):
        told = stage.told("measured", by=worker)
        assert (told["pid"], told["length"]) == (first, 500_000), number
    assert stage.told("quick", by=worker)["pid"] == first
    assert worker.stop() == 0


def test_what_is_left_behind_is_swept_with_the_child(stage: Stage) -> None:
    """At the latest when the child goes."""
    worker = stage.idle("--jobs-per-fork", "2")
    stage.push("daemon", True)
    daemon = stage.told("daemon", by=worker)["pid"]
    worker.until_idle()
    until(lambda: not is_alive(daemon))
    assert worker.stop() == 0
    assert stage.failed() == []


def test_a_failing_hook_of_one_job_does_not_end_the_others(stage: Stage) -> None:
    """A failure is handled before the next job is sent."""
    stage.push("FailureHook", "raise")
    stage.push("quick")
    worker = stage.work("--jobs-per-fork", "5")
    on_failure = stage.told("on_failure", by=worker)
    assert on_failure["error"] == "ValueError: for a reason"
    assert stage.told("quick", by=worker)["pid"] == on_failure["pid"]
    assert len(stage.failed(1)) == 1
    assert worker.stop() == 0


def test_many_jobs_by_few_children(stage: Stage) -> None:
    """Two hundred jobs, ten to a child: all counted, twenty children, none left."""
    for number in range(200):
        stage.push("quick", number)
    worker = stage.work("--jobs-per-fork", "10")
    pids = [stage.told("quick", by=worker)["pid"] for _ in range(200)]
    assert len(set(pids)) == 20
    until(lambda: stage.stat("processed") == 200)
    assert worker.stop() == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in set(pids))
