"""The scripts: one file each, loaded by name, known to the server or sent along."""

import re
from importlib import resources
from typing import Any

import pytest
from redis.exceptions import ResponseError

from resque_fork.store.scripts import NamingKeys, run, script

LUA = resources.files("resque_fork.store") / "lua"
PARTS = {"prelude", "places"}  # of scripts
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


def test_unknown_script_is_sent_once(client: Any) -> None:
    """A script that the server does not know is sent with the command, and known from then on."""
    connection = Recorder(client)
    client.script_flush()
    for _ in range(2):
        assert run(connection, "remove_entries", ["x"], [9, 9, "LPOP", "m", 0, b"a"]) == [-1]
    assert connection.said == ["EVALSHA", "EVAL", "EVALSHA"]


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (["TIME"], None),
        (["PING"], None),
        (["DBSIZE"], None),
        (["INFO", "server"], None),
        (["CONFIG", "GET", "save"], None),
        (["CONFIG GET", "save"], None),
        (["SCRIPT LOAD", "return 1"], None),
        (["CLIENT", "TRACKING", "ON"], None),
        (["HELLO", 3], None),
        (["EVALSHA", "digest", 1, "k"], None),
        (["EVAL", "return 1", 0], None),
        (["GET", "k"], "k"),
        (["HGETALL", b"k"], "k"),
    ],
)
def test_a_refusal_names_the_key_if_there_is_one(command: list[Any], key: str | None) -> None:
    """A command without a key, or with other words in front, is refused like any other."""

    class Refuses:
        def execute_command(self, *command: Any) -> Any:
            raise ResponseError(f"unknown command {command[0]!r}")

    with pytest.raises(ResponseError, match="unknown command") as raised:
        NamingKeys(Refuses()).execute_command(*command)
    assert getattr(raised.value, "key", None) == key
