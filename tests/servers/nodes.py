"""Redis servers of every kind that a URL can name, all from the binary of the embedded server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

from life.harness import until
from redis import Redis
from redis.connection import Connection
from redis.exceptions import RedisError

from resque_fork import embedded

PRIMARY = "mymaster"


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Node:
    """A server on a TCP port."""

    def __init__(self, config: Mapping[str, str] | None = None, port: int | None = None) -> None:
        self.port = port or free_ports(1)[0]
        self.server = embedded.Server(port=self.port, config=config)
        self.redis = Redis(port=self.port, password=(config or {}).get("requirepass"))

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.redis.close()
        self.server.stop()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


class Sentinels:
    """A primary, a replica, and three Sentinels that watch them: `url` is that of the primary."""

    def __init__(self, directory: Path, password: str = "") -> None:
        self._directory = directory
        self._password = password
        self._stack = ExitStack()
        self.ports = free_ports(3)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        query = f"?sentinel_password={self._password}" if self._password else ""
        return f"redis+sentinel://{hosts}/{PRIMARY}/0{query}"

    def __enter__(self) -> Self:
        quick = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}
        self.primary = self._stack.enter_context(Node(quick))
        source = f"127.0.0.1 {self.primary.port}"
        self.replica = self._stack.enter_context(Node({**quick, "replicaof": source}))
        until(lambda: self.replica.redis.info()["master_link_status"] == "up")
        self._processes = [self._start(port) for port in self.ports]
        self.talk = [Redis(port=port, password=self._password or None) for port in self.ports]
        for sentinel in self.talk:
            until(partial(_answers, sentinel))
            # everything ten times as often as it is done in earnest
            sentinel.execute_command(
                *[
                    "SENTINEL",
                    "DEBUG",
                    "INFO-PERIOD",
                    "200",
                    "PING-PERIOD",
                    "100",
                    "ASK-PERIOD",
                    "100",
                ],
                *["PUBLISH-PERIOD", "200", "ELECTION-TIMEOUT", "1000"],
            )
        for sentinel in self.talk:
            until(partial(self._knows_all, sentinel), lambda: self.said)
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill_sentinels()
        for sentinel in self.talk:
            sentinel.close()
        self._stack.close()

    def kill_sentinels(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def addresses(self) -> set[tuple[str, int]]:
        """Where the Sentinels say that the primary is."""
        found: list[Any] = [
            sentinel.sentinel_get_master_addr_by_name(PRIMARY) for sentinel in self.talk
        ]
        return {(host.decode(), port) for host, port in found}

    @property
    def said(self) -> str:
        return "\n".join(file.read_text() for file in self._directory.glob("sentinel-*.log"))

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        file = self._directory / f"sentinel-{port}.conf"
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self._directory}",
            f"sentinel monitor {PRIMARY} 127.0.0.1 {self.primary.port} 2",
            f"sentinel down-after-milliseconds {PRIMARY} 500",
            f"sentinel failover-timeout {PRIMARY} 1000",
        ]
        if self._password:
            lines += [f"requirepass {self._password}", f"sentinel sentinel-pass {self._password}"]
        file.write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-ISc", embedded.DIE_WITH_PARENT, str(os.getpid())]
        command += [embedded.find_binary(), str(file), "--sentinel"]
        with file.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _knows_all(self, sentinel: Redis) -> bool:
        masters: Any = sentinel.sentinel_masters()
        state = masters[PRIMARY]
        return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)


class Cluster:
    """Three nodes that share the slots."""

    SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.nodes: list[Node] = []

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def __enter__(self) -> Self:
        ports = free_ports(6)
        for port, bus in zip(ports[:3], ports[3:], strict=True):
            config = {
                "cluster-enabled": "yes",
                "cluster-port": str(bus),
                "cluster-node-timeout": "1000",
            }
            self.nodes.append(self._stack.enter_context(Node(config, port)))
        first, *others = self.nodes
        for number, (node, slots) in enumerate(zip(self.nodes, self.SLOTS, strict=True), 1):
            node.redis.execute_command("CLUSTER SET-CONFIG-EPOCH", number)
            node.redis.execute_command("CLUSTER ADDSLOTSRANGE", *slots)
        for node, bus in zip(others, ports[4:], strict=True):
            first.redis.execute_command("CLUSTER MEET", "127.0.0.1", node.port, bus)
        for node in self.nodes:
            until(partial(self._is_ready, node))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def flush(self) -> None:
        for node in self.nodes:
            node.redis.flushall()

    def slot(self, key: str) -> int:
        return int(self.nodes[0].redis.execute_command("CLUSTER KEYSLOT", key))

    def owner(self, slot: int) -> Node:
        """The node that has the slot now."""
        port = _owner_port(self.nodes[0], slot)
        return next(node for node in self.nodes if node.port == port)

    def move(self, slot: int, target: Node) -> None:
        """Move a slot with its keys to another node, as ``valkey-cli --cluster reshard`` does."""
        source = self.owner(slot)
        set_slot = "CLUSTER SETSLOT", slot
        target.redis.execute_command(*set_slot, "IMPORTING", _name(source))
        source.redis.execute_command(*set_slot, "MIGRATING", _name(target))
        while keys := source.redis.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            source.redis.execute_command(
                *("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            )
        target.redis.execute_command(*set_slot, "NODE", _name(target))
        source.redis.execute_command(*set_slot, "NODE", _name(target))
        until(lambda: all(_owner_port(node, slot) == target.port for node in self.nodes))

    def _is_ready(self, node: Node) -> bool:
        state = node.redis.execute_command("CLUSTER INFO")
        return bool(state["cluster_state"] == "ok" and state["cluster_known_nodes"] == "3")


def _owner_port(node: Node, slot: int) -> int:
    raw = Connection(port=node.port, protocol=2)
    raw.send_command("CLUSTER", "SLOTS")
    ranges: Any = raw.read_response()
    raw.disconnect()
    return next(int(primary[1]) for first, last, primary, *_ in ranges if first <= slot <= last)


def _name(node: Node) -> str:
    name: bytes = node.redis.execute_command("CLUSTER MYID")
    return name.decode() if isinstance(name, bytes) else name


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False
