"""What a child starts with: a process of its own, whatever the job before it has done."""

from __future__ import annotations

import signal

from .harness import Stage


def test_what_a_child_starts_with(stage: Stage) -> None:
    """Its own session, no terminal, no blocked and no ignored signal but Python's, none of ours."""
    worker = stage.idle()
    stage.push("tell_surroundings")
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
    worker = stage.idle("--no-pin-pages")  # the first children of others also wait on a pipe
    stage.push("tell_surroundings")
    found = stage.told("found", by=worker)["fds"]
    assert not any(target.startswith("socket:") for target in found)
    assert not any("eventpoll" in target for target in found)
    pipes = {target for target in found if target.startswith("pipe:")}
    assert len(pipes) == 3, found  # its stdout and stderr, and what it tells its parent through
    assert worker.stop() == 0


def test_two_children_with_the_same_random_numbers(stage: Stage) -> None:
    """Fork duplicates a generator's state: each child has its own numbers all the same."""
    worker = stage.idle()
    for _ in range(5):
        stage.push("tell_surroundings")
    assert len({stage.told("found", by=worker)["random"] for _ in range(5)}) == 5
    assert worker.stop() == 0


def test_the_next_job_finds_a_clean_worker(stage: Stage) -> None:
    """Directory, environment, mask, handlers, path and umask are as they were."""
    worker = stage.idle("--no-fork-ahead")  # a child ahead has one more pipe
    stage.push("tell_surroundings")
    before = stage.told("found", by=worker)
    stage.push("spoil")
    stage.push("tell_surroundings")
    after = stage.told("found", by=worker)
    for found in (before, after):
        for changing in ("pid", "random", "group", "session"):
            del found[changing]
        found["fds"] = [target.partition("[")[0] for target in found["fds"]]
    assert after == before
    assert before["cwd"] == str(stage.directory)
    assert worker.stop() == 0
    assert stage.failed() == []
