"""Each error of redis-py becomes one of ours: a sentence that names server or key."""

from typing import Any

import pytest
from redis import exceptions

from resque_fork.errors import (
    AccessRefused,
    RedisRefused,
    RedisUnavailable,
    ResqueError,
    WrongKeyType,
)
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.refusals import translate_error

SERVER = RedisURL("redis://:pw@h:1/0")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            exceptions.ConnectionError("Error 111 connecting to h:1. Connection refused."),
            RedisUnavailable,
            "Redis at redis://:***@h:1/0 does not answer "
            "(Error 111 connecting to h:1. Connection refused).",
        ),
        (TimeoutError("slow"), RedisUnavailable, "Redis at {} does not answer (slow)."),
        (
            exceptions.TimeoutError("Timeout reading from socket"),
            RedisUnavailable,
            "Redis at {} does not answer (Timeout reading from socket).",
        ),
        (
            exceptions.AuthenticationError("Authentication required."),
            AccessRefused,
            "Redis at {} refused the credentials (Authentication required).",
        ),
        (
            exceptions.NoPermissionError("no permissions to run the 'lpop' command"),
            AccessRefused,
            "Redis at {} does not allow what we need (no permissions to run the 'lpop' command).",
        ),
        (
            exceptions.ResponseError("WRONGTYPE Operation against a key"),
            WrongKeyType,
            "The Redis key 'k' does not hold what Resque keeps there; rename or delete it.",
        ),
        (
            exceptions.ReadOnlyError("You can't write against a read only replica."),
            RedisRefused,
            "Redis at {} said: You can't write against a read only replica.",
        ),
    ],
)
def test_errors_are_sentences(error: Exception, kind: type[ResqueError], message: str) -> None:
    """Each of redis-py's errors becomes one of ours that says where and what, and no password."""
    ours = translate_error(error, SERVER, ("LPOP", "k"))
    assert type(ours) is kind
    assert str(ours) == message.format("redis://:***@h:1/0")


def test_no_key_no_blame() -> None:
    """Without a key to name, a wrong type is what the server said of it."""
    error = exceptions.ResponseError("WRONGTYPE Operation against a key")
    assert str(translate_error(error, SERVER)) == (
        "Redis at redis://:***@h:1/0 said: WRONGTYPE Operation against a key."
    )


@pytest.mark.parametrize(
    ("error", "sent", "had_no_effect"),
    [
        (
            exceptions.ConnectionError("Error 111 connecting to h:1. Connection refused."),
            False,
            True,
        ),
        (exceptions.ConnectionError("Connection closed by server."), True, False),
        (exceptions.TimeoutError("Timeout reading from socket"), True, False),
        (exceptions.BusyLoadingError("Redis is loading", status_code="LOADING"), True, True),
        (exceptions.OutOfMemoryError("used memory", status_code="OOM"), True, True),
        (exceptions.RedisClusterException("no node"), True, False),
    ],
)
def test_what_the_command_has_done(error: Exception, sent: bool, had_no_effect: bool) -> None:
    """An error says whether the command may have been sent, and may have had an effect."""
    ours: Any = translate_error(error, SERVER)
    assert (ours.sent, ours.had_no_effect) == (sent, had_no_effect)


def test_a_refusal_has_its_code() -> None:
    """The first word of a refusal and its text are told apart from our sentence."""
    error = exceptions.OutOfMemoryError("used memory", status_code="OOM")
    ours = translate_error(error, SERVER)
    assert isinstance(ours, RedisRefused)
    assert (ours.code, ours.reason, ours.is_too_large) == ("OOM", "used memory", False)
    assert str(ours) == "Redis at redis://:***@h:1/0 said: used memory."


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
    error = exceptions.ResponseError("WRONGTYPE Operation against a key")
    ours = translate_error(error, SERVER, command)
    assert getattr(ours, "key", None) == key
