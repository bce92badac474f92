"""A real PostgreSQL server, on a socket in a directory of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from life.harness import until

TIMEOUT = 60  # seconds for the server to start
INSTALL = "install it, on Debian with: apt-get install --no-install-recommends postgresql"

CONFIGURATION = {
    "listen_addresses": "",
    "max_connections": "60",
    "fsync": "off",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",
}


def find_programs(
    path: str | None = None, debian: Path = Path("/usr/lib/postgresql")
) -> Path | None:
    """The directory of initdb and postgres: one on the PATH, or the newest of Debian's."""
    if found := shutil.which("initdb", path=path):
        return Path(found).resolve().parent
    versions = {float(file.parts[-3]): file.parent for file in debian.glob("*/bin/initdb")}
    return versions[max(versions)] if versions else None


class Postgres:
    """A server while it is entered, with a database ``shop`` that everybody here may use."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # not a directory of pytest's: the path of a socket is short
        self.directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # which the server refuses to be
            who = _unprivileged()
            os.chown(self.directory, who.pw_uid, who.pw_gid)
            self._user = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}

    @property
    def socket(self) -> str:
        """The address of the server, as a worker names it."""
        return f"{self.directory}/.s.PGSQL.5432"

    @property
    def environment(self) -> dict[str, str]:
        """By which programs find the database."""
        return {"PGHOST": str(self.directory), "PGUSER": "resque", "PGDATABASE": "shop"}

    def connect(self, database: str = "shop") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.directory), user="resque", dbname=database, autocommit=True
        )

    def rows(self, query: str) -> list[Any]:
        with self.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def empty(self) -> None:
        """As if nobody had ever used the database."""
        with self.connect("postgres") as connection:
            connection.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
            connection.execute("CREATE DATABASE shop")

    def __enter__(self) -> Postgres:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(TIMEOUT)
        shutil.rmtree(self.directory)

    def _start(self) -> None:
        data = self.directory / "data"
        self._run("initdb", "-D", data, "-U", "resque", "--auth=trust", "--no-sync", "-E", "UTF8")
        settings = [f"--{name}={value}" for name, value in CONFIGURATION.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", data, "-k", self.directory, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C in a terminal is not for it
                **self._user,
            )
        until(self._answers, self._log.read_text, TIMEOUT)
        self.empty()

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *args: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *args],
            capture_output=True,
            text=True,
            cwd=self.directory,
            env={**os.environ, "LC_ALL": "C"},
            **self._user,
        )
        assert done.returncode == 0, done.stderr


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
