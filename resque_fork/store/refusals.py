"""redis-py's errors become ours here, as sentences that their readers can act on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from redis import exceptions
from redis.exceptions import ResponseError

from ..errors import (
    AccessRefused,
    RedisRefused,
    RedisUnavailable,
    ResqueError,
    SettingsError,
    WrongKeyType,
)
from ..wire.keys import to_text
from .redis_url import RedisURL

# The errors that redis-py raises; those of a Cluster are not among its RedisErrors.
REDIS_ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError)

# Refusals that may pass: the server is starting, has lost its primary, is full, or
# somebody put a key of the wrong type in the way. The command had no effect.
PASSING = (
    "LOADING", "BUSY", "READONLY", "MASTERDOWN", "NOREPLICAS", "MISCONF", "OOM", "CLUSTERDOWN",
    "TRYAGAIN", "MOVED", "ASK", "UNBLOCKED", "WRONGTYPE", "NOAUTH", "WRONGPASS", "NOPERM",
)  # fmt: skip
# Commands whose first argument is not a key; those of scripts have their keys later.
KEYLESS = (
    "ACL", "AUTH", "CLIENT", "COMMAND", "CONFIG", "EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO",
    "HELLO", "INFO", "KEYS", "PING", "SCAN", "SCRIPT", "SELECT", "TIME",
)  # fmt: skip
ELSEWHERE = ("READONLY", "MOVED", "ASK", "CLUSTERDOWN", "MASTERDOWN")  # look for the node anew


class OtherProtocol(exceptions.ConnectionError):
    """The server sent nothing that makes sense: perhaps only one side speaks TLS."""


@contextlib.contextmanager
def translated(server: RedisURL, command: Sequence[Any] = (), perhaps: str = "") -> Iterator[None]:
    """What is raised inside is ours; `perhaps` is what may have been done if no reply came."""
    try:
        yield
    except REDIS_ERRORS as error:
        problem = translate_error(error, server, command)
        if perhaps and not problem.had_no_effect:
            problem.add(perhaps)
        raise problem from error


def translate_error(error: Exception, server: RedisURL, command: Sequence[Any] = ()) -> ResqueError:
    """One of REDIS_ERRORS as one of ours, which says what became of the command."""
    problem = _problem(error, server, command)
    if isinstance(problem, RedisRefused | RedisUnavailable):
        if was_said(error):
            problem.code, problem.reason = code_of(error), str(error)
        problem.sent = not _never_sent(error)
        problem.had_no_effect = was_said(error) or not problem.sent
    return problem


def _problem(error: Exception, server: RedisURL, command: Sequence[Any]) -> ResqueError:
    text = str(error).rstrip(".")
    if text.startswith("WRONGTYPE") and (key := _key_at_fault(text, command)) is not None:
        return WrongKeyType(key)
    if isinstance(error, exceptions.RedisClusterException):
        return _of_a_cluster(error, server)
    if server.kind != "cluster" and isinstance(
        error, exceptions.AskError | exceptions.ClusterCrossSlotError
    ):
        return SettingsError(
            f"Redis at {server} is a node of a Redis Cluster: name it with a redis+cluster:// URL, "
            "and use a namespace in braces, such as {resque}."
        )
    if isinstance(error, exceptions.AuthenticationError) or text.startswith(
        ("NOAUTH", "WRONGPASS")
    ):
        return AccessRefused(f"Redis at {server} refused the credentials ({text}).")
    if is_of_acl(error):
        return AccessRefused(f"Redis at {server} does not allow what we need ({text}).")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return AccessRefused(
            f"The certificate of Redis at {server} cannot be trusted ({text}): name the authority "
            "that signed it with ?ssl_ca_certs=FILE in the URL, or trust whoever answers with "
            "?ssl_cert_reqs=none, which encrypts but keeps out nobody who can stand in between."
        )
    if isinstance(error, OtherProtocol) or "WRONG_VERSION_NUMBER" in text:
        return _of_another_protocol(text, server)
    if isinstance(error, exceptions.InvalidResponse):
        return RedisUnavailable(f"Redis at {server} sent something that is not a reply ({text}).")
    if was_said(error) and isinstance(error, exceptions.ConnectionError):
        return RedisUnavailable(f"Redis at {server} said: {text}.")
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | OSError):
        return RedisUnavailable(f"Redis at {server} does not answer ({text}).")
    return RedisRefused(f"Redis at {server} said: {text}.")


def _of_another_protocol(text: str, server: RedisURL) -> RedisUnavailable:
    if server.tls:
        other, which = server.scheme.replace("rediss", "redis", 1), "If it is not"
    else:
        other, which = server.scheme.replace("redis", "rediss", 1), "If it is"
    return RedisUnavailable(
        f"Redis at {server} cannot be used ({text}): is that port TLS? "
        f"{which}, the URL begins with {other}://."
    )


def _of_a_cluster(error: Exception, server: RedisURL) -> ResqueError:
    """redis-py wraps what happened to the last node that it asked."""
    cause = error.__cause__
    if isinstance(cause, Exception):
        return _problem(cause, server, ())
    if "not enabled" in str(error):
        return SettingsError(f"Redis at {server} is not a cluster: use a redis:// URL.")
    return RedisUnavailable(f"The Redis Cluster at {server} does not answer ({error}).")


# --- what an error of redis-py tells


def code_of(error: Exception) -> str:
    """The first word of a refusal, which redis-py takes off the text where it knows it."""
    code: str = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return code


def was_said(error: Exception) -> bool:
    """Whether the server refused: a command that it refuses has had no effect.

    redis-py has some refusals among the errors of connections, and in a Sentinel's client
    turns one into another.
    """
    return (
        isinstance(error, ResponseError)
        or getattr(error, "status_code", None) is not None
        or isinstance(error.__context__, exceptions.ReadOnlyError)
    )


def _never_sent(error: Exception) -> bool:
    """Whether the error came before the command could leave."""
    if isinstance(error, exceptions.RedisClusterException):  # it may have looked for a node anew
        return False
    return (
        getattr(error, "unsent", False)
        or isinstance(error, exceptions.MaxConnectionsError)
        or "connecting to" in str(error)
        or str(error) in ("Connection has data", "Connection not ready")  # of a pool
    )


def is_of_acl(error: Exception) -> bool:
    """Whether an access control list forbids the command, or one that a script came to."""
    return isinstance(error, exceptions.NoPermissionError) or (
        str(error).startswith("NOPERM") or "ACL failure in script" in str(error)
    )


def _key_at_fault(text: str, command: Sequence[Any]) -> str | None:
    """The key of the wrong type: our scripts name it; of plain commands it is the first."""
    if named := re.match(r"WRONGTYPE (.+) is a \w+, not a \w+$", text, re.DOTALL):
        return named[1]
    if len(command) < 2 or command[0].partition(" ")[0] in KEYLESS:  # CONFIG GET is one word
        return None
    return to_text(command[1])
