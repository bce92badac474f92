"""Who asks, and what they may do: all, read, or nothing."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from starlette.requests import Request

from ..errors import SettingsError

Level = Literal["all", "read", "nothing"]
ALL: Level = "all"
READ: Level = "read"
NOTHING: Level = "nothing"


class Access(NamedTuple):
    """What somebody may do, and the name under which the log shows them.

    With a `challenge` the browser asks for a name and a password.
    """

    level: Level
    who: str = ""
    challenge: bool = False


# What an application says of a request: a level, or a level and a name; it may be asynchronous.
Answer = Level | tuple[Level, str]
AccessOf = Callable[[Request], Answer | Access | Awaitable[Answer | Access]]


def everybody(request: Request) -> Answer:
    """For a server on loopback: who reaches it is on this host."""
    return ALL


class Passwords:
    """Basic authentication by the ``name:password`` lines of a file. Raises SettingsError."""

    def __init__(self, file: Path) -> None:
        self._passwords = _read(file)

    def __call__(self, request: Request) -> Access:
        name, given = _given(request.headers.get("authorization", ""))
        expected = self._passwords.get(name)
        same = hmac.compare_digest((expected or "").encode(), given.encode("utf-8", "replace"))
        return Access(ALL, name) if expected and same else Access(NOTHING, challenge=True)


class TrustedHeader:
    """Whom a proxy in front of the dashboard has let in, by the header that it sets."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, request: Request) -> Access:
        who = request.headers.get(self._name, "").strip()
        return Access(ALL, who) if who else Access(NOTHING)


def _read(file: Path) -> Mapping[str, str]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"The password file {file} cannot be read: {reason}.") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.partition(":")
        if not (name.strip() and colon and password.strip()):
            raise SettingsError(f"{file}, line {number}: expected name:password.")
        found[name.strip()] = password.strip()
    if not found:
        raise SettingsError(f"The password file {file} is empty: it needs a line name:password.")
    return found


def _given(header: str) -> tuple[str, str]:
    """The name and password of a header; empty if it has none."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except ValueError:
        return "", ""
    return name, password
