"""Where all of it happens: one Redis server, and lanes on it."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resque_fork.embedded import Server

from .lane import Lane


@dataclass(frozen=True)
class Traffic:
    """Redis' own counters at one moment."""

    cpu: float  # seconds
    reads: int  # from sockets: the round trips of clients that wait for each reply
    writes: int
    sent: int  # bytes

    def since(self, before: Traffic) -> Traffic:
        return Traffic(
            self.cpu - before.cpu,
            self.reads - before.reads,
            self.writes - before.writes,
            self.sent - before.sent,
        )


class Arena(Lane):
    """The server, and the lane of whoever is measured alone; a race makes more of them."""

    def __init__(self, folder: Path, worker_options: Sequence[str] = ()) -> None:
        self.port = _free_port()
        self._server = Server(port=self.port)
        self._lanes: list[Lane] = []
        self._modules: dict[str, Path] = {}
        super().__init__(folder, f"redis://127.0.0.1:{self.port}/0", worker_options)

    def __enter__(self) -> Arena:
        self._server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for lane in self._lanes:
            lane.close()
        self.close()
        self._server.stop()

    def lane(self, number: int) -> Lane:
        """One of up to fifteen others, empty."""
        while len(self._lanes) < number:
            url = f"redis://127.0.0.1:{self.port}/{len(self._lanes) + 1}"
            folder = self.folder / f"lane-{len(self._lanes) + 1}"
            self._lanes.append(Lane(folder, url, self.worker_options))
        lane = self._lanes[number - 1]
        lane.empty()
        return lane

    def modules(self, app: str) -> Path:
        """A file that names what a worker with this application has imported."""
        if app not in self._modules:
            path = self.folder / f"modules-{app}"
            self.empty()
            self.push("modules", str(path))
            with self.working(app=app) as process:
                self.next_mark(process)
            self._modules[app] = path
        return self._modules[app]

    def server_name(self) -> str:
        info = self.redis.info("server")
        version = info.get("valkey_version", info["redis_version"])
        return f"{info.get('server_name', 'redis')} {version}"

    def traffic(self) -> Traffic:
        info = self.redis.info()
        cpu = info["used_cpu_user"] + info["used_cpu_sys"]
        return Traffic(
            cpu,
            info["total_reads_processed"],
            info["total_writes_processed"],
            info["total_net_output_bytes"],
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def memory_of(pid: int | str) -> Mapping[str, float]:
    """Megabytes of a process: rss, pss, uss."""
    kilobytes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        kilobytes[name.rstrip(":")] = int(value)
    own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"rss": kilobytes["Rss"] / 1024, "pss": kilobytes["Pss"] / 1024, "uss": own / 1024}
