"""`doctor`."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from store.conftest import over

from resque_fork import embedded
from resque_fork.cli.checks_of_host import _host_name, _pinned_pages
from resque_fork.store.worker_store import WorkerStore
from resque_fork.system.identity import Identity
from resque_fork.wire.keys import Keys

HOST = socket.gethostname()

Diagnose = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def diagnose(call) -> Diagnose:
    """Each check's result and message; `status` is what the program must end with."""

    def diagnose(*args: str, status: int = 0, **how: object) -> dict[str, tuple[str, str]]:
        ended = call("doctor", "--json", *args, **how)
        assert ended.returncode == status, ended
        return {row["check"]: (row["result"], row["message"]) for row in json.loads(ended.stdout)}

    return diagnose


def test_healthy(diagnose: Diagnose, redis: Redis, call) -> None:
    """Where all is well each check is ok, and says what it found."""
    redis.config_set("appendonly", "no")
    found = diagnose()
    assert list(found) == [
        *("server", "pick-up", "namespace", "eviction", "persistence", "clock", "stale workers"),
        *("host name", "title", "room for titles", "pinned pages"),
        *("threads at fork", "connections at fork"),
    ]
    assert {check for check, (result, _) in found.items() if result != "ok"} <= {"persistence"}
    assert found["title"][1].startswith("ps shows a worker as 'resque-")
    assert found["stale workers"][1] == "0 workers, none of them dead."
    lines = call("doctor").stdout.splitlines()
    assert lines[0].split() == ["RESULT", "CHECK"]
    assert lines[1].startswith("ok      server ")


def test_pinned_pages() -> None:
    """Whether they are possible, or why not; either is well."""
    yes = "Memory pages can be pinned, so that forks are faster (--pin-pages)."
    no = "Memory pages cannot be pinned (Not allowed): forks are slower, and nothing else."
    together = (
        " A worker pins some 4 MB, and all processes of this user may lock 8 MB together "
        "(ulimit -l)."
    )
    assert _pinned_pages(None, None) == ("ok", yes)
    assert _pinned_pages(None, 8 << 20) == ("ok", yes + together)
    assert _pinned_pages("Not allowed", 8 << 20) == ("ok", no)


def test_no_server(diagnose: Diagnose) -> None:
    """A server that cannot be reached fails, and the host is still looked at."""
    found = diagnose("--redis", "redis://localhost:1", status=1)
    assert found["server"][0] == "fail"
    assert "does not answer" in found["server"][1]
    assert found["title"][0] == "ok"
    assert "eviction" not in found


@pytest.mark.parametrize(
    ("config", "check", "result", "message"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "eviction", "warn", "once it has a maxmemory"),
        (
            {"maxmemory-policy": "allkeys-lru", "maxmemory": "50mb"},
            "eviction",
            "fail",
            "The policy is allkeys-lru: a full server drops jobs. Set maxmemory-policy noeviction.",
        ),
        ({}, "persistence", "warn", "A restart of the server loses all jobs: set appendonly yes"),
        ({"save": "900 1"}, "persistence", "warn", "A crash loses jobs since the last snapshot"),
        ({"appendonly": "yes"}, "persistence", "ok", "a crash may lose the last second"),
        (
            {"appendonly": "yes", "appendfsync": "no"},
            "persistence",
            "warn",
            "A crash of the machine may lose jobs: set appendfsync always.",
        ),
        (
            {"appendonly": "yes", "appendfsync": "always"},
            "persistence",
            "ok",
            "Every write is on disk before it is acknowledged.",
        ),
    ],
)
def test_servers_configuration(
    diagnose: Diagnose, config: dict[str, str], check: str, result: str, message: str
) -> None:
    """What the server would do to jobs is told, with what to set."""
    with embedded.Server(config=config) as server:
        found = diagnose("--redis", server.url, status=int(result == "fail"))
    assert found[check][0] == result
    assert message in found[check][1]


def test_server_that_keeps_to_itself(diagnose: Diagnose) -> None:
    """What a managed server does not tell is a warning, not a failure."""
    with embedded.Server() as server:
        rules = ("on", ">pw", "~resque:*", "+@all", "-config", "-info")
        Redis.from_url(server.url).execute_command("ACL", "SETUSER", "bob", *rules)
        found = diagnose("--redis", server.url.replace("unix://", "unix://bob:pw@"))
    assert found["server"][0] == found["eviction"][0] == found["persistence"][0] == "warn"
    assert found["server"][1].endswith("answers, but does not tell its version (INFO).")
    assert "make sure that it is noeviction" in found["eviction"][1]
    assert found["persistence"][1] == "The server does not tell whether it saves its data."


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        ("TIME", {"clock", "workers", "schedules"}),
        ("PING", set()),
        ("INFO", {"server"}),
        ("CONFIG", set()),
        ("HELLO", {"pick-up"}),
        ("TYPE", {"keys", "schedules"}),
        ("GET", {"pause", "workers"}),
        ("SMEMBERS", {"pause", "workers"}),
        ("HGETALL", {"workers", "delayed jobs"}),
        ("HSCAN", {"schedules"}),
        ("TTL", {"delayed jobs"}),
        ("CLIENT", set()),
    ],
)
def test_command_that_is_refused(diagnose: Diagnose, command: str, refused: set[str]) -> None:
    """What it takes to look may be refused by the server or to the user: all else is shown."""
    for config in ({"rename-command": f'{command} ""'}, {}):
        with embedded.Server(config=config) as server:
            url = server.url
            if not config:
                rules = ("on", ">pw", "~*", "+@all", f"-{command.lower()}")
                Redis.from_url(url).execute_command("ACL", "SETUSER", "bob", *rules)
                url = url.replace("unix://", "unix://bob:pw@")
                refused = refused - {"pick-up"}  # logging in takes HELLO along
            found = diagnose("--redis", url)
        assert {"server", "pick-up", "namespace", "eviction", "persistence", "title"} <= set(found)
        assert found["title"][0] == "ok"
        unseen = {check for check, row in found.items() if row[0] == "warn"} - {"persistence"}
        assert unseen == refused
        for check in refused - {"server", "eviction", "pick-up"}:
            assert found[check][1].startswith("The server does not allow what it takes to look (")
            named = command.lower() in found[check][1].lower()
            assert named or "called from script" in found[check][1]


def test_database_that_does_not_exist(diagnose: Diagnose, redis_url: str) -> None:
    """That is no refusal of one command: nothing would work."""
    found = diagnose("--redis", f"{redis_url}?db=99", status=1)
    assert found["server"] == (
        "fail",
        f"Redis at {redis_url}?db=99 said: DB index is out of range.",
    )


@pytest.mark.parametrize(
    ("key", "kind"),
    [("failed", "list"), ("stat:processed", "string"), ("queue:mail", "list"), ("queues", "set")],
)
def test_a_key_in_the_way(diagnose: Diagnose, redis: Redis, key: str, kind: str) -> None:
    """What is not of the type that Resque gives it is named, with what to do."""
    redis.sadd("resque:queues", "mail")
    redis.delete(f"resque:{key}")
    redis.zadd(f"resque:{key}", {"x": 1})
    assert diagnose(status=1)["keys"] == (
        "fail",
        f"resque:{key} is a zset and not a {kind}: rename or delete it.",
    )


def test_pause_is_told(diagnose: Diagnose, redis: Redis) -> None:
    """A pause that was forgotten is found."""
    redis.set("resque:pause-all-workers", "true")
    assert diagnose()["pause"] == (
        "warn",
        "All workers are paused: resque-fork resume ends it.",
    )
    redis.sadd("resque:fork:queues:paused", "mail")
    redis.rpush("resque:queue:mail", "{}")
    assert diagnose()["pause"] == (
        "warn",
        "mail is paused, with 1 job: resque-fork resume mail ends it.",
    )


def test_stale_workers(diagnose: Diagnose, redis: Redis) -> None:
    """Dead workers are named."""
    redis.sadd("resque:workers", f"{HOST}:999999999:mail")
    result, message = diagnose()["stale workers"]
    assert result == "warn"
    assert message.startswith(f"{HOST}:999999999:mail is dead: resque-fork prune rescues")


def test_workers_of_other_implementations(diagnose: Diagnose, redis: Redis) -> None:
    """Other implementations are fine, unless they serve our queues."""
    redis.sadd("resque:workers", "other:1:images")
    ours = f"{HOST}:{os.getpid()}:mail"
    WorkerStore(over(redis), Keys(), ours, Identity.here().to_fields()).heartbeat()
    assert diagnose()["foreign workers"] == ("ok", "other:1:images is of another implementation.")
    redis.sadd("resque:workers", "other:2:mail")
    result, message = diagnose()["foreign workers"]
    assert result == "warn"
    assert "are of another implementation; queues shared with ours: mail." in message


@pytest.mark.parametrize(
    ("foreign", "warned"),
    [
        *((f"{HOST}:1:images", True), ("other:1:*", True), ("other:1:images,*", True)),
        ("other:1:images", False),
    ],
)
def test_ruby_workers_and_retries(
    diagnose: Diagnose, redis: Redis, foreign: str, warned: bool
) -> None:
    """Those that may fail the job of a dead worker of ours, which knows how to be retried."""
    redis.sadd("resque:workers", foreign)
    ours = f"{HOST}:{os.getpid()}:mail"
    WorkerStore(over(redis), Keys(), ours, Identity.here().to_fields()).heartbeat()
    assert "retries" not in diagnose()
    redis.hset(Keys().jobs, "Mail", '{"attempts":1}')
    told = (
        f"{foreign} is of another implementation, and may fail the job of a dead worker of ours, "
        "which is not retried then. Give them other host names and queues than *."
    )
    assert diagnose().get("retries") == (("warn", told) if warned else None)


def test_queues_that_nobody_serves(diagnose: Diagnose, redis: Redis) -> None:
    """Jobs wait in them, and no worker of any language will take them."""
    redis.sadd("resque:workers", "other:1:mail,im*")
    redis.sadd("resque:queues", "mail", "low", "images", "empty")
    for queue in ("mail", "low", "low", "images"):
        redis.rpush(f"resque:queue:{queue}", "{}")
    told = "Jobs wait in low (2), which no worker serves: start one with --queues=low."
    assert diagnose()["queues"] == ("warn", told)
    redis.sadd("resque:workers", "other", "other:3:!low")
    assert diagnose(status=1)["queues"] == ("warn", told)
    redis.srem("resque:workers", "other", "other:3:!low")
    redis.sadd("resque:workers", "other:2:*")
    assert "queues" not in diagnose()


def test_strict(diagnose: Diagnose, redis: Redis) -> None:
    """A warning is no failure, unless it is asked for."""
    redis.config_set("appendonly", "yes")
    redis.sadd("resque:workers", f"{HOST}:999999999:mail")
    diagnose(status=0)
    diagnose("--strict", status=1)


def test_advice_is_not_cut(in_terminal, redis: Redis) -> None:
    """In a terminal it goes on in the next line."""
    redis.sadd("resque:workers", f"{HOST}:999999999:mail")
    shown = " ".join(in_terminal("doctor").split())
    assert "resque-fork prune rescues what a dead worker leaves" in shown
    assert "..." not in shown.replace("'...", "")


def test_workers_that_break_ruby(diagnose: Diagnose, redis: Redis) -> None:
    """Ids and heartbeats that Ruby workers and dashboards break on fail."""
    redis.sadd("resque:workers", "two:parts", "vm:1:")
    redis.hset("resque:workers:heartbeat", "vm:2:q", "garbage")
    result, message = diagnose(status=1)["harmful records"]
    assert result == "fail"
    assert message.startswith("vm:2:q, two:parts, vm:1: are registered in a form that Ruby")
    assert message.endswith("resque-fork remove WORKER removes such a record.")


def test_containers_that_share_a_host_name(diagnose: Diagnose, redis: Redis) -> None:
    """Workers of another machine with our host name are found."""
    identity = Identity("another boot", "pid:[1]", "1")
    WorkerStore(over(redis), Keys(), f"{HOST}:7:mail", identity.to_fields()).heartbeat()
    result, message = diagnose()["foreign workers"]
    assert result == "warn"
    assert message.startswith(f"{HOST}:7:mail is of another machine or container with the host")


def test_title_that_ruby_would_not_recognise(diagnose: Diagnose) -> None:
    """A prefix that hides a worker from Ruby workers fails."""
    result, message = diagnose("--procline-prefix", "resque-web ", status=1)["title"]
    assert result == "fail"
    assert "which Ruby workers on this host do not recognise" in message


def test_titles_without_ps(diagnose: Diagnose, tmp_path: Path) -> None:
    """Without ps titles are looked at in /proc."""
    result, message = diagnose(env={"PATH": str(tmp_path)})["title"]
    assert (result, message) == (
        "warn",
        "Titles are right, but there is no ps here, with which Ruby workers look.",
    )


@pytest.mark.parametrize(
    ("name", "result"), [("web1", "ok"), ("localhost", "warn"), ("fe80::1", "fail")]
)
def test_host_name(name: str, result: str) -> None:
    """A host name that workers' ids cannot carry fails, one that every host has is a warning."""
    assert _host_name(name)[0] == result


def test_threads_of_the_application(diagnose: Diagnose, tmp_path: Path, application: str) -> None:
    """Threads that an application starts at import are named; else its jobs are counted."""
    assert diagnose("--require", application)["threads at fork"] == (
        "ok",
        "application declares 2 jobs, starts no thread.",
    )
    (tmp_path / "threaded.py").write_text(
        "import threading\n"
        "wait = threading.Event().wait\n"
        "threading.Thread(target=wait, daemon=True, name='poller').start()\n"
    )
    result, message = diagnose("-r", "threaded")["threads at fork"]
    assert result == "warn"
    assert message.startswith("The application has threads (poller): a child gets none of them")


def test_application_that_cannot_be_loaded(diagnose: Diagnose) -> None:
    """An application that cannot be loaded fails with the reason."""
    result, message = diagnose("-r", "absent", status=1)["threads at fork"]
    assert result == "fail"
    assert message.startswith("There is no module absent to --require")


CONNECTED = """
import socket

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
print(*listener.getsockname(), sep=":", file=open("address", "w"))
"""


def test_connections_of_the_application(
    diagnose: Diagnose, tmp_path: Path, application: str
) -> None:
    """Connections that an application has open once it is loaded are named, with what to do."""
    check = "connections at fork"
    assert diagnose()[check] == ("ok", "None; --require an application to look at that.")
    found = diagnose("--require", application)
    assert found[check] == ("ok", "application has no connection open.")
    (tmp_path / "connected.py").write_text(CONNECTED)
    result, message = diagnose("-r", "connected")[check]
    address = (tmp_path / "address").read_text().strip()
    assert (result, message) == (
        "warn",
        "The application has connections open that all children would share: "
        f"{address}. Close them in before_first_fork, and open others in after_fork or in the job.",
    )


def test_connections_that_a_hook_may_close(diagnose: Diagnose, tmp_path: Path) -> None:
    """Hooks that are for workers do not run here, and that is said."""
    hook = "from resque_fork import before_first_fork\nbefore_first_fork(client.close)\n"
    (tmp_path / "connected.py").write_text(CONNECTED + hook)
    result, message = diagnose("-r", "connected")["connections at fork"]
    assert result == "warn"
    assert message.endswith("(Its before_first_fork hooks may do so: they have not run here.)")
