"""The scripts: one file each, loaded by name, known to the server or sent along."""

import re
from importlib import resources
from typing import Any

import pytest

from resque_fork.metrics.names import MOST_NAMES
from resque_fork.store.delayed_jobs import LONGEST_INDEXED
from resque_fork.store.schedules import RENEWED_SECONDS
from resque_fork.store.scripts import run, script

LUA = resources.files("resque_fork.store") / "lua"
PARTS = {  # of scripts
    *("counting", "marks", "prelude", "places", "retry", "status", "ticks", "tracking", "waiting"),
}
NAMES = sorted({file.name.removesuffix(".lua") for file in LUA.iterdir()} - PARTS)


class Recorder:
    """A connection that remembers which commands went over it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.said: list[str] = []

    def execute_command(self, *command: Any) -> Any:
        self.said.append(command[0])
        return self.client.execute_command(*command)


def test_there_are_scripts() -> None:
    """The scripts are found where the package is."""
    assert "step" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_server_understands_every_script(client: Any, name: str) -> None:
    """Each script, with the prelude before it, is Lua that the server takes, under our digest."""
    sha, source = script(name)
    assert client.script_load(source) == sha
    assert source.startswith("-- In front of every script")


@pytest.mark.parametrize("name", NAMES)
def test_every_script_says_what_it_takes(name: str) -> None:
    """Each script begins with what it does, its keys, its arguments and what it returns."""
    text = (LUA / f"{name}.lua").read_text()
    header = text[: re.search(r"^(?!--)", text, re.MULTILINE).start()]  # type: ignore[union-attr]
    for part in ("KEYS", "ARGV", "Returns"):
        assert re.search(rf"^-- {part}", header, re.MULTILINE), f"{name}.lua does not say {part}"


def test_both_sides_know_how_long_a_declared_schedule_lasts() -> None:
    """The clock reads it as the scripts do."""
    assert f"local FRESH = {RENEWED_SECONDS} " in (LUA / "ticks.lua").read_text()


def test_both_sides_know_how_many_names_are_counted() -> None:
    """What is beyond that many is ``other`` in Redis as in what is read."""
    assert f"local MOST_NAMES = {MOST_NAMES}\n" in (LUA / "counting.lua").read_text()


def test_both_sides_know_which_items_have_an_index() -> None:
    """Where scripts may not be run, Python does what they do."""
    assert f"local LONGEST_INDEXED = {LONGEST_INDEXED}\n" in (LUA / "waiting.lua").read_text()


def test_unknown_script_is_sent_once(client: Any) -> None:
    """A script that the server does not know is sent with the command, and known from then on."""
    connection = Recorder(client)
    client.script_flush()
    for _ in range(2):
        assert run(connection, "remove_entries", ["x"], [9, 9, "LPOP", "m", 0, b"a"]) == [-1]
    assert connection.said == ["EVALSHA", "EVAL", "EVALSHA"]
