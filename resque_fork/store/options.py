"""What may stand behind the ``?`` of a Redis URL: each option is read and checked, or refused.

An option that redis-py knows is not always one that we can live with: some change what it
returns, and some have it repeat commands.
"""

from __future__ import annotations

import math
import os
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

LONGEST_WAIT = 86_400.0  # seconds; more does not fit into what the kernel takes
LARGEST_READ = 16 * 1024 * 1024  # bytes, which redis-py sets aside for each connection

TRUE, FALSE = ("true", "yes", "on", "1", "t", "y"), ("false", "no", "off", "0", "f", "n")


def _truth(text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        raise ValueError("true or false")
    return text.lower() in TRUE


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    limits = f"a whole number from {least} on" if most is None else f"one from {least} to {most}"

    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else -1
        if number < least or (most is not None and number > most):
            raise ValueError(limits)
        return number

    return read


def as_seconds(value: Any) -> float:
    """A time to wait, above 0 and not for ever. Raises ValueError that says so."""
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds <= LONGEST_WAIT:
        raise ValueError(f"a number of seconds above 0 and up to {LONGEST_WAIT:.0f}")
    return seconds


def _matching(
    pattern: str, expected: str, kind: Callable[[str], Any] = str
) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if not re.fullmatch(pattern, text):
            raise ValueError(expected)
        return kind(text)

    return read


def _verify_flags(text: str) -> list[ssl.VerifyFlags]:
    try:
        return [ssl.VerifyFlags[name.strip()] for name in text.strip("[]").split(",")]
    except KeyError:
        raise ValueError(f"names such as {ssl.VerifyFlags.VERIFY_X509_STRICT.name}") from None


# The options that may be given, each with its reader: it raises ValueError with what is valid.
OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "db": _whole(0),
    "username": str,
    "password": str,
    "client_name": _matching(r"[!-~]+", "a name without spaces"),
    "socket_timeout": as_seconds,
    "socket_connect_timeout": as_seconds,
    "socket_keepalive": _truth,
    "socket_read_size": _whole(1, LARGEST_READ),
    "health_check_interval": _whole(0),
    "max_connections": _whole(1),
    "ssl_cert_reqs": _matching("none|optional|required", "none, optional or required"),
    "ssl_check_hostname": _truth,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_ca_data": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_min_version": _matching("771|772", "771 (TLS 1.2) or 772 (TLS 1.3)", int),
    "ssl_ciphers": str,
    "ssl_include_verify_flags": _verify_flags,
    "ssl_exclude_verify_flags": _verify_flags,
}
FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
SECRET = ("username", "password", "ssl_password")

_REPLIES = "would change what Redis returns to resque-fork"
_REPEATS = "would repeat commands, and a job whose push is repeated is queued twice"
_OBJECT = "is an object of Python's, which no URL can hold"
_ELSEWHERE = "has its place in front of the question mark"

# Options of redis-py that are refused: the values that do no harm, and the reason.
REFUSED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "decode_responses": (FALSE, _REPLIES),
    "encoding": (("utf-8", "utf8"), _REPLIES),
    "encoding_errors": (("strict", "surrogateescape"), _REPLIES),
    "legacy_responses": (TRUE, _REPLIES),
    "protocol": (("2",), "is agreed upon with the server by resque-fork itself"),
    "retry_on_timeout": (FALSE, _REPEATS),
    "retry_on_error": ((), _REPEATS),
    "retry": ((), _REPEATS),
    "lib_name": ((), "is not sent by resque-fork"),
    "lib_version": ((), "is not sent by resque-fork"),
    "timeout": ((), "is for pools that wait; socket_timeout says how long to wait for Redis"),
    "ssl": ((), "is said by a URL that begins with rediss"),
    "host": ((), _ELSEWHERE),
    "port": ((), _ELSEWHERE),
    "path": ((), _ELSEWHERE),
    "socket_type": ((), "has one value only"),
    "ssl_validate_ocsp": (FALSE, "is not supported"),
    "ssl_validate_ocsp_stapled": (FALSE, "is not supported"),
    "ssl_ocsp_expected_cert": ((), "is not supported"),
    **dict.fromkeys(
        (
            *("cache", "cache_config", "cache_factory", "command_packer"),
            *("connection_class", "credential_provider", "driver_info", "event_dispatcher"),
            *("himport_registry", "maint_notifications_config", "parser_class"),
            *("redis_connect_func", "socket_keepalive_options", "ssl_ocsp_context"),
        ),
        ((), _OBJECT),
    ),
}


def read_options(query: str, tls: bool) -> dict[str, Any]:
    """The options of a query, as redis-py takes them; those for Sentinels keep ``sentinel_``.

    Raises ValueError for one that is not known, is refused, or has a value that is not valid.
    """
    found: dict[str, Any] = {}
    for name, text in parse_qsl(query):
        own = name.removeprefix("sentinel_")
        if own in REFUSED:
            harmless, why = REFUSED[own]
            if text.lower() not in harmless:
                raise ValueError(
                    f"its option {name} {why}: leave it out, or give resque-fork a URL of its own "
                    "(RESQUE_REDIS)"
                )
        elif own not in OPTIONS:
            raise ValueError(f"there is no option {name}")
        elif own.startswith("ssl") and not tls:
            raise ValueError(f"its option {name} is for TLS, for which a URL begins with rediss")
        else:
            try:
                found.setdefault(name, OPTIONS[own](text))
            except ValueError as expected:
                raise ValueError(f"{name} is {expected}, not {text!r}") from None
    return found


def check_tls(options: Mapping[str, Any]) -> None:
    """Load what TLS will use. Raises ValueError for a file that cannot be used."""
    for name in FILES:
        if name in options and not os.path.exists(options[name]):
            raise ValueError(f"there is no file {options[name]}")
    given = [name for name in (*FILES, "ssl_ca_data", "ssl_ciphers") if name in options]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if given else None
    for name in given:
        try:
            _try(context, name, options)
        except (OSError, ValueError, TypeError) as error:  # among them ssl.SSLError
            why = getattr(error, "reason", None) or getattr(error, "strerror", None)
            told = str(why or error.args[0]).rstrip(".")
            raise ValueError(f"its option {name} cannot be used: {told}") from None


def _try(context: Any, name: str, options: Mapping[str, Any]) -> None:
    if name == "ssl_ciphers":
        context.set_ciphers(options[name])
    elif name == "ssl_certfile":
        context.load_cert_chain(
            options[name], options.get("ssl_keyfile"), lambda: options.get("ssl_password", "")
        )
    elif name == "ssl_keyfile":
        if "ssl_certfile" not in options:
            raise ValueError("its certificate is named by ssl_certfile")
    else:
        context.load_verify_locations(
            **{{"certs": "cafile", "path": "capath", "data": "cadata"}[name[7:]]: options[name]}
        )
