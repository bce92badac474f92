"""``doctor`` looks at the server: its version, and whether it keeps what it is given."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..clock.known import WRONG_CLOCK
from ..store.about import config, info, types_of
from ..store.client import Client
from ..store.worker_connection import WorkerConnection
from ..system.loop import Loop
from ..text import counted
from .checks import FAIL, OK, WARN, Finding, Judgement, looked_at
from .site import Site

SKEW = 2.0  # seconds by which clocks may differ unnoticed


def look_at_redis(site: Site) -> Iterator[Finding]:
    """Raises our errors if the server does not answer."""
    redis = site.resque.client
    about = info(redis)
    yield Finding("server", *_version(site, about))
    yield Finding("pick-up", *_pick_up(site))
    yield Finding("namespace", OK, f"Keys begin with {site.resque.key_names.prefix}")
    yield Finding("eviction", *_eviction(redis, about))
    yield Finding("persistence", *_persistence(redis, about))
    yield from looked_at("clock", lambda: [Finding("clock", *_clock(site))])
    yield from looked_at("keys", lambda: _keys(site))
    yield from looked_at("pause", lambda: _pause(site))


def _version(site: Site, about: dict[str, Any]) -> Judgement:
    server = site.resque.server
    version = str(about.get("redis_version", ""))
    name = "Redis"
    if "valkey_version" in about:
        name = f"Valkey {about['valkey_version']}, which is like Redis"
    if not version.partition(".")[0].isdecimal():
        return WARN, f"{server} answers, but does not tell its version (INFO)."
    return OK, f"{server} is {name} {version}."


def _pick_up(site: Site) -> Judgement:
    """Connects as a worker does."""
    connection = WorkerConnection(site.resque.server, Loop(), site.resque.key_names.queues)
    try:
        connection.try_command("PING")
        if connection.can_notify:
            return OK, "The server can tell idle workers of new jobs at once."
    finally:
        connection.close()
    return WARN, (
        "The server knows no HELLO 3, as those before Redis 6 and some proxies: an idle worker "
        "sees a new job only when its --interval is over."
    )


def _eviction(redis: Client, about: dict[str, Any]) -> Judgement:
    policy = about.get("maxmemory_policy") or config(redis, "maxmemory-policy")
    if policy is None:
        return WARN, (
            "The server does not tell its maxmemory-policy: make sure that it is noeviction."
        )
    if policy == "noeviction":
        return OK, "The policy is noeviction: a full server drops no jobs."
    advice = "full server drops jobs. Set maxmemory-policy noeviction."
    if int(about.get("maxmemory", 0)) > 0:
        return FAIL, f"The policy is {policy}: a {advice}"
    return WARN, f"The policy is {policy}: once it has a maxmemory, a {advice}"


def _persistence(redis: Client, about: dict[str, Any]) -> Judgement:
    if about.get("aof_last_write_status") == "err" or about.get("rdb_last_bgsave_status") == "err":
        return FAIL, "The server fails to write to its disk: see its log."
    fsync, save = config(redis, "appendfsync"), config(redis, "save")
    if "aof_enabled" not in about and save is None:
        return WARN, "The server does not tell whether it saves its data."
    if about.get("aof_enabled"):
        if fsync == "always":
            return OK, "Every write is on disk before it is acknowledged."
        if fsync == "no":
            return WARN, "A crash of the machine may lose jobs: set appendfsync always."
        return OK, (
            "Writes are appended to disk; a crash may lose the last second, "
            "unless you set appendfsync always."
        )
    advice = "set appendonly yes, and appendfsync always to lose none."
    if save:
        return WARN, f"A crash loses jobs since the last snapshot: {advice}"
    if save is None:
        return WARN, f"There is no append-only file: {advice}"
    return WARN, f"A restart of the server loses all jobs: {advice}"


def _clock(site: Site) -> Judgement:
    before = time.time()
    server = site.workers.now()
    skew = server - (before + time.time()) / 2
    if abs(skew) <= SKEW:
        return OK, "The clocks here and of the server agree."
    way = "ahead of" if skew > 0 else "behind"
    return FAIL if abs(skew) > WRONG_CLOCK else WARN, (
        f"The server's clock is {abs(skew):.0f} seconds {way} the one here: "
        "let NTP set both, or times of jobs cannot be compared."
    )


def _pause(site: Site) -> Iterator[Finding]:
    if site.resque.paused():
        yield Finding("pause", WARN, "All workers are paused: resque-fork resume ends it.")
    for queue in site.resque.paused_queues():
        jobs = counted(site.resque.size(queue), "job")
        text = f"{queue} is paused, with {jobs}: resque-fork resume {queue} ends it."
        yield Finding("pause", WARN, text)


def _keys(site: Site) -> Iterator[Finding]:
    """Those that somebody has put in the way."""
    redis, keys = site.resque.client, site.resque.key_names
    kinds = {
        keys.queues: "set",
        keys.workers: "set",
        keys.heartbeats: "hash",
        keys.failed: "list",
        keys.failed_queues: "set",
        keys.stat("processed"): "string",
        keys.stat("failed"): "string",
        keys.delayed_times: "zset",
        keys.retries: "zset",
        keys.jobs: "hash",
        keys.paused_queues: "set",
    }
    if types_of(redis, [keys.queues]) == ["set"]:
        kinds |= {keys.queue(name): "list" for name in site.resque.queues()}
    for (key, kind), found in zip(kinds.items(), types_of(redis, [*kinds]), strict=True):
        if found not in (kind, "none"):
            yield Finding(
                "keys",
                FAIL,
                f"{key} is a {found} and not a {kind}: rename or delete it.",
            )
