"""node-resque, as it is installed from npm, and we work on the same Redis and do no harm."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from resque_fork import Resque

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIMEOUT = 60  # seconds for an answer

pytestmark = pytest.mark.timeout(300)

# Strings, numbers and nesting that both languages write the same way.
ARGS = [1, "ünï \u2028 </b>", {"k": [1.5, None, True], "": {}}, [], -(2**53), ""]


@pytest.fixture(scope="session")
def installed(pytestconfig: pytest.Config) -> Path:
    """A directory with the peer and what npm installs for it, kept in pytest's cache."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node is not installed: the foreign-peer test needs node and npm")
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("node-resque")
    lock = (HERE / "package-lock.json").read_text()
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"npm could not install the peer:\n{done.stderr}"
        stamp.write_text(lock)
    shutil.copy(HERE / "peer.js", folder)
    return folder


class Node:
    """A Node process with node-resque's queue, scheduler and worker."""

    def __init__(self, folder: Path, url: str) -> None:
        self._process = subprocess.Popen(
            ["node", "peer.js", url.removeprefix("unix://")],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def queue(self, call: str, *args: object) -> Any:
        return self._say(on="queue", call=call, args=args)

    def scheduler(self, call: str) -> Any:
        return self._say(on="scheduler", call=call)

    def start_worker(self, *queues: str, name: str | None = None) -> str:
        """Start a worker; its id as others see it."""
        named = {"name": name} if name else {}
        called = self._say(start={"queues": list(queues), **named})
        return f"{called}:{','.join(queues)}"

    def end_worker(self) -> None:
        self._say(on="worker", call="end")

    def complaints(self) -> list[str]:
        """What node-resque has emitted as errors since the last time."""
        found: list[str] = self._say(on="complaints")
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        with self._process:
            self._process.communicate()

    def _say(self, **command: object) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]


@pytest.fixture
def node(installed: Path, redis_url: str) -> Iterator[Node]:
    peer = Node(installed, redis_url)
    yield peer
    peer.close()


@pytest.fixture
def resque(redis_url: str) -> Iterator[Resque]:
    resque = Resque(redis_url)
    yield resque
    resque.close()


@pytest.fixture
def answers(redis: Redis) -> Callable[[], Any]:
    """Waits for the next thing that a job has to say, in either language."""

    def next_answer() -> Any:
        found = redis.blpop("peer:answers", timeout=TIMEOUT)
        assert found is not None, "no job has said anything"
        return json.loads(found[1])

    return next_answer


@pytest.fixture
def command_line(redis_url: str) -> Callable[..., str]:
    """Runs `resque-fork`, which must succeed; what it prints."""

    def run(*args: str) -> str:
        command = [sys.executable, "-m", "resque_fork", *args]
        done = subprocess.run(
            command, cwd=HERE, env=environment(redis_url), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def environment(url: str) -> dict[str, str]:
    return {**os.environ, "RESQUE_REDIS": url, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def our_worker(url: str, *options: str) -> Iterator[str]:
    """A worker of ours, from its registration until it has left, which must go well; its id."""
    command = [sys.executable, "-m", "resque_fork", "work", "--require=peer_jobs", *options]
    process = subprocess.Popen(
        [*command, "--queues=python"],
        cwd=HERE,
        env=environment(url),
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield f"{socket.gethostname()}:{process.pid}:python"
        finally:
            process.send_signal(signal.SIGQUIT)  # a job that has answered may still return
            _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr


# --- jobs


def test_node_enqueues_for_us(
    node: Node, redis_url: str, resque: Resque, answers: Callable[[], Any]
) -> None:
    """A job that node enqueues is performed by our worker with the arguments that were given."""
    with our_worker(redis_url):
        node.queue("enqueue", "python", "remember", ARGS)
        assert answers() == ARGS
    assert resque.stats.get("processed") == 1
    assert resque.failed().count() == 0


def test_we_enqueue_for_node(
    node: Node, resque: Resque, redis: Redis, answers: Callable[[], Any]
) -> None:
    """A job that we enqueue is performed by node's worker with the arguments that were given."""
    node.start_worker("node")
    resque.enqueue_to("node", "remember", *ARGS)
    assert answers() == ARGS
    resque.enqueue_to("node", "add", 1, 2)
    assert answers() == 3
    node.end_worker()
    assert resque.stats.get("processed") == 2
    assert node.complaints() == []


def test_queues_are_the_same(node: Node, resque: Resque) -> None:
    """Each sees the other's queues and jobs, and removes the other's jobs from them."""
    resque.enqueue_to("ours", "remember", 1)
    node.queue("enqueue", "theirs", "remember", [2])
    assert sorted(node.queue("queues")) == resque.queues() == ["ours", "theirs"]
    assert node.queue("length", "ours") == resque.size("theirs") == 1
    assert node.queue("queued", "ours", 0, -1) == [{"class": "remember", "args": [1]}]
    assert resque.peek("theirs") == {"class": "remember", "queue": "theirs", "args": [2]}
    assert resque.dequeue("remember", 2, queue="theirs") == 1
    assert node.queue("delByFunction", "ours", "remember") == 1
    assert resque.queue_sizes() == {"ours": 0, "theirs": 0}
    node.queue("delQueue", "ours")
    assert resque.remove_queue("theirs") == 0
    assert node.queue("queues") == []


def test_delayed_job_of_nodes_scheduler(
    node: Node, redis_url: str, answers: Callable[[], Any]
) -> None:
    """A job that node has delayed reaches our worker when node's scheduler queues it."""
    node.queue("enqueueAt", 1_000_000_000_000, "python", "remember", ["late"])
    with our_worker(redis_url) as worker_id:
        node.scheduler("poll")
        assert answers() == ["late"]
        # which has also looked for stuck workers, among which ours is not
        assert node.queue("workers") == {worker_id.removesuffix(":python"): "python"}
    assert node.complaints() == []


def test_delayed_job_of_node(node: Node, redis_url: str, answers: Callable[[], Any]) -> None:
    """Our worker moves what node has delayed, without node's scheduler; in its queue it is as node
    would have put it there."""
    node.queue("enqueueAt", 1_000_000_000_000, "python", "remember", ARGS)
    with our_worker(redis_url):
        assert answers() == ARGS
    assert node.queue("allDelayed") == {}
    assert node.complaints() == []


def test_our_delayed_job(
    node: Node, redis_url: str, resque: Resque, answers: Callable[[], Any]
) -> None:
    """Node shows a job that we have delayed, and its scheduler moves it."""
    resque.enqueue_in_to("python", 1, "remember", *ARGS)
    [[job]] = node.queue("allDelayed").values()
    assert job == {"class": "remember", "args": ARGS, "queue": "python"}
    with our_worker(redis_url, "--no-clock"):
        time.sleep(2)  # until it is due
        node.scheduler("poll")
        assert answers() == ARGS
    assert resque.info()["delayed"] == 0


def test_retry_moved_by_nodes_scheduler(
    node: Node, redis_url: str, resque: Resque, answers: Callable[[], Any]
) -> None:
    """It writes the job anew; how often it has failed is known all the same."""
    resque.enqueue_to("python", "third_time_lucky", 1.0, {"b": 1, "a": 1e20})
    with our_worker(redis_url, "--no-clock"):
        for number in (1, 2, 3):
            assert answers()[0] == number
            if number == 3:
                break
            wait_for(lambda: resque.info()["delayed"] == 1)
            time.sleep(2.1)  # until it is due
            node.scheduler("poll")
    numbers = resque.info()
    assert (numbers["failed"], numbers["retrying"], numbers["delayed"]) == (0, 0, 0)
    assert node.complaints() == []


def wait_for(condition: Callable[[], bool]) -> None:
    late = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < late, "nothing has happened"
        time.sleep(0.02)


# --- workers


def test_node_sees_our_worker(
    node: Node, redis_url: str, resque: Resque, redis: Redis, answers: Callable[[], Any]
) -> None:
    """Node's listings show our worker, what it is working on, and its numbers."""
    resque.enqueue_to("python", "remember")
    resque.enqueue_to("python", "wait", "ours")
    with our_worker(redis_url) as worker_id:
        assert [answers(), answers()] == [[], "waiting"]
        name = worker_id.removesuffix(":python")
        assert node.queue("workers") == {name: "python"}
        working = json.loads(node.queue("workingOn", name, "python"))
        assert (working["queue"], working["payload"]) == (
            "python",
            {"class": "wait", "args": ["ours"]},
        )
        stats = node.queue("stats")
        assert stats["processed"] == stats[f"processed:{worker_id}"] == "1"
        redis.rpush("peer:go:ours", "now")
        assert answers() == "waited"
    assert node.queue("workers") == {}
    assert node.queue("stats") == {"processed": "2"}


def test_we_see_nodes_worker(
    node: Node,
    resque: Resque,
    redis: Redis,
    answers: Callable[[], Any],
    command_line: Callable[..., str],
) -> None:
    """Our listings show node's worker, what it is working on, and its numbers."""
    worker_id = node.start_worker("node", "low")
    resque.enqueue_to("node", "wait", "theirs", [])
    assert answers() == "waiting"
    assert resque.workers() == [worker_id]
    record = resque.working()[worker_id]
    assert record is not None
    assert record.queue == "node"
    assert " GMT" in record.run_at  # a time as Date writes it
    info = json.loads(command_line("info", "--json"))
    assert (info["workers"], info["working"], info["pending"]) == (1, 1, 0)
    (row,) = json.loads(command_line("list", "--json"))
    assert (row["id"], row["pid"], row["queues"]) == (worker_id, node.pid, ["node", "low"])
    assert (row["state"], row["queue"], row["class"]) == ("working", "node", "wait")
    assert (row["process"], row["heartbeat_at"]) == ("alive", None)
    assert 0 <= row["running_seconds"] < TIMEOUT
    assert row["run_at"] is not None
    assert row["started_at"] is not None
    redis.rpush("peer:go:theirs", "now")
    assert answers() == "waited"
    node.end_worker()
    assert command_line("list", "--json") == "[]\n"


@pytest.mark.parametrize("name", [None, "custom-name"])
def test_nodes_worker_survives_ours(
    node: Node,
    redis_url: str,
    resque: Resque,
    redis: Redis,
    answers: Callable[[], Any],
    command_line: Callable[..., str],
    name: str | None,
) -> None:
    """Ours start, prune and leave beside a working one of node's, whatever its id looks like."""
    worker_id = node.start_worker("node", name=name)
    resque.enqueue_to("node", "wait", "theirs")
    assert answers() == "waiting"
    before = redis.get(f"resque:worker:{worker_id}")
    with our_worker(redis_url) as ours:
        resque.enqueue_to("python", "remember", 1)
        assert answers() == [1]
        assert command_line("prune", "--json") == "[]\n"
        assert resque.workers() == sorted([ours, worker_id])
        assert "custom-name" in command_line("list") or name is None
    assert resque.workers() == [worker_id]
    assert redis.get(f"resque:worker:{worker_id}") == before
    redis.rpush("peer:go:theirs", "now")
    assert answers() == "waited"
    node.end_worker()
    assert node.complaints() == []
    assert resque.stats.get("processed") == 2


def test_job_of_a_killed_node_worker(
    node: Node,
    resque: Resque,
    answers: Callable[[], Any],
    command_line: Callable[..., str],
    installed: Path,
    redis_url: str,
) -> None:
    """The job of a node worker that was killed is rescued by hand, and another performs it."""
    worker_id = node.start_worker("node")
    resque.enqueue_to("node", "wait", "theirs", {"deep": [1, None]})
    assert answers() == "waiting"
    node.kill()
    (row,) = json.loads(command_line("list", "--json"))
    assert row["process"] == "gone"
    assert command_line("prune", "--json") == "[]\n"  # it never had a heartbeat that could stop
    command_line("remove", worker_id)
    (failed,) = resque.failed().page()
    assert (failed.exception, failed.error) == ("Resque::DirtyExit", "Job still being processed")
    assert (failed.worker, failed.queue) == (worker_id, "node")
    assert (failed.class_name, failed.args) == ("wait", ["theirs", {"deep": [1, None]}])
    command_line("failed", "requeue", "0")
    another = Node(installed, redis_url)
    another.start_worker("node")
    assert answers() == "waiting"
    another.kill()
    another.close()


def test_node_cleans_old_workers(
    node: Node, redis_url: str, resque: Resque, redis: Redis, answers: Callable[[], Any]
) -> None:
    """Node's cleanOldWorkers leaves our worker and its job alone; all it does is count one more."""
    resque.enqueue_to("python", "wait", "ours")
    with our_worker(redis_url) as worker_id:
        assert answers() == "waiting"
        assert node.queue("cleanOldWorkers", -1) == {}
        assert resque.workers() == [worker_id]
        assert resque.failed().count() == 0
        redis.rpush("peer:go:ours", "now")
        assert answers() == "waited"
    assert resque.stats.get("processed") == 1
    assert resque.stats.get("failed") == 1
    assert node.complaints() == ["force-cleaning worker undefined, but cannot find queues"]


# --- failures


def test_node_handles_our_failures(
    node: Node, redis_url: str, resque: Resque, answers: Callable[[], Any]
) -> None:
    """Node reads our failed entries, queues them again and removes them."""
    resque.enqueue_to("python", "boom", *ARGS)
    resque.enqueue_to("python", "die")
    resque.enqueue_to("python", "unheard of", 1.5)
    with our_worker(redis_url) as worker_id:
        assert [answers(), answers()] == ["boom", "dying"]
        resque.enqueue_to("python", "remember", "after")
        assert answers() == ["after"]
        raised, died, unknown = node.queue("failed", 0, -1)
        assert node.queue("failedCount") == 3
        assert raised["payload"] == {"class": "boom", "args": ARGS}
        assert raised["exception"] == "ValueError"
        assert raised["worker"] == worker_id
        assert died["exception"] == "Resque::DirtyExit"
        assert died["forensics"]["signal"] == "SIGABRT"
        node.queue("retryAndRemoveFailed", raised)
        assert answers() == "boom"
        node.queue("retryAndRemoveFailed", died)
        assert answers() == "dying"
        assert node.queue("removeFailed", unknown) == 1
        node.queue("retryStuckJobs")
        resque.enqueue_to("python", "remember", "after")
        assert answers() == ["after"]
        again = node.queue("failed", 0, -1)
        assert [entry["payload"]["class"] for entry in again] == ["boom", "die"]
    assert resque.stats.get("failed") == 5
    assert resque.stats.get("processed") == 7


def test_we_handle_nodes_failures(
    node: Node,
    resque: Resque,
    answers: Callable[[], Any],
    command_line: Callable[..., str],
) -> None:
    """We read node's failed entries, queue them again and remove them; node still reads them."""
    worker_id = node.start_worker("node")
    node.queue("enqueue", "node", "boom", [7, "é"])
    resque.enqueue_to("node", "remember", "after")
    assert answers() == ["after"]
    (failed,) = json.loads(command_line("failed", "--json"))
    assert (failed["exception"], failed["error"]) == ("TypeError", 'bööm [7,"é"]')
    assert (failed["queue"], failed["class"], failed["args"]) == ("node", "boom", [7, "é"])
    assert failed["worker"] == worker_id.removesuffix(":node")
    assert failed["backtrace"][0].strip().startswith("at ")
    assert "TypeError" in command_line("failed")
    assert 'bööm [7,"é"]' in command_line("failed", "show", "0")
    assert len(json.loads(command_line("failed", "--newer-than=1h", "--json"))) == 1
    assert json.loads(command_line("failed", "--older-than=1h", "--json")) == []
    command_line("failed", "requeue", "--exception=TypeError")
    resque.enqueue_to("node", "remember", "again")
    assert answers() == ["again"]
    first, second = node.queue("failed", 0, -1)
    assert first["retried_at"].endswith(" UTC")
    assert second["payload"] == {"class": "boom", "args": [7, "é"]}
    assert node.queue("removeFailed", first) == 1
    command_line("failed", "remove", "0")
    assert resque.failed().count() == 0
    node.end_worker()


def test_doctor_names_what_breaks_ruby(
    node: Node, command_line: Callable[..., str], redis_url: str
) -> None:
    """`doctor` says that a worker of node's with a name of its own keeps Ruby's from starting."""
    node.start_worker("node", name="custom-name")
    command = [sys.executable, "-m", "resque_fork", "doctor", "--json"]
    done = subprocess.run(
        command, cwd=HERE, env=environment(redis_url), capture_output=True, text=True
    )
    findings = [f for f in json.loads(done.stdout) if f["check"] == "harmful records"]
    assert any("custom-name:node" in f["message"] for f in findings if f["result"] == "fail")
    assert done.returncode == 1
