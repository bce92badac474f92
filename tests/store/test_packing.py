"""Commands travel as redis-py would send them."""

from typing import Any

import pytest

from resque_fork.store.packing import Packed, packed
from resque_fork.store.redis_py import PACKER

WORDS: list[list[Any]] = [
    ["PING"],
    ["SET", "größe\udcff", b"raw\xff", 7, ""],
    ["EVALSHA", "f" * 40, 3, "a", "b", "c", b""],
]


@pytest.mark.parametrize("command", WORDS)
def test_as_redis_py_does(command: list[Any]) -> None:
    """Byte for byte, whatever the words are."""
    assert packed(command) == b"".join(PACKER.pack(*command))
    assert packed(command) == packed(command)  # what was remembered is the same


def test_words_in_one_piece() -> None:
    """Words that were packed before count as so many words, also if they are none."""
    whole = packed(["EVALSHA", "sha", 2, "größe", "b", "more"])
    assert packed(["EVALSHA", "sha", 2, Packed.of(["größe", "b"]), "more"]) == whole
    assert packed(["PING", Packed.of([])]) == packed(["PING"])
