"""What every request has to pass, and what every answer carries.

A page of another site can make a browser send requests here, with the password or the cookies
that the browser keeps for us. So

- the Host must be an address, localhost, or a name that was given: a name of somebody else's
  that suddenly means this machine (DNS rebinding) is refused;
- what changes something is a POST, and comes from a page of ours: ``Sec-Fetch-Site`` says so, or
  where a browser sends none, over http to a host that is not loopback, ``Origin`` does.
"""

from __future__ import annotations

import inspect
import ipaddress
import logging
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..text import printable
from .access import ALL, READ, Access, AccessOf

log = logging.getLogger("resque_fork.web")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    # with no-referrer, a browser that sends no Sec-Fetch-Site would send us Origin: null
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
CHALLENGE = {"www-authenticate": 'Basic realm="resque-fork", charset="UTF-8"'}
OPEN_TO_ALL = ("/healthz",)


class Guard:
    """Lets requests through to the pages, and says in ``scope["state"]`` whose they are."""

    def __init__(self, app: ASGIApp, access: AccessOf, hosts: Collection[str]) -> None:
        self._app = app
        self._access = access
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the server's lifespan; there is no page for a websocket
            await self._app(scope, receive, send)
            return

        async def carry(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        request = Request(scope)
        refused = self._wrong_host(request) or await self._not_let_in(request)
        await (refused or self._app)(scope, receive, carry)

    def _wrong_host(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if (name := _name_of(host)) in self._hosts or _is_address(name) or name == "localhost":
            return None
        return PlainTextResponse(
            f"This dashboard is not known as {name!r}. If that is its name, say so where it is "
            f"started: --allow-host {name}, or hosts=[{name!r}].\n",
            400,
        )

    async def _not_let_in(self, request: Request) -> Response | None:
        if _path_of(request.scope) in OPEN_TO_ALL:
            return None
        access = await self._access_of(request)
        client = request.client.host if request.client else "?"
        request.state.who = access.who or client
        request.state.may_change = access.level == ALL
        if access.level not in (ALL, READ):  # an application may have said anything
            if access.challenge:
                if "authorization" in request.headers:
                    log.warning("%s: wrong name or password", client)
                return PlainTextResponse("A name and a password are needed.\n", 401, CHALLENGE)
            return PlainTextResponse("You may not see this dashboard.\n", 403)
        if request.method in ("GET", "HEAD"):
            return None
        if access.level != ALL:
            return PlainTextResponse("You may look at this dashboard, and change nothing.\n", 403)
        if problem := _foreign(request.headers):
            refused = (request.state.who, request.url.path, problem)
            log.warning("%s: refused %s: %s", *map(printable, refused))
            return PlainTextResponse(f"Nothing was done: {problem}\n", 403)
        return None

    async def _access_of(self, request: Request) -> Access:
        answer: Any = await run_in_threadpool(self._access, request)
        return _access(await answer if inspect.isawaitable(answer) else answer)


def _access(answer: Any) -> Access:
    """What the application has said: a level, or a level and a name."""
    if isinstance(answer, Access):
        return answer
    level, who = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, "")
    return Access(level, str(who or ""))


def _foreign(headers: Headers) -> str | None:
    """Why a request that changes something is refused; None if it comes from a page of ours."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        if site == "same-origin":
            return None
        return f"the request comes from another site (Sec-Fetch-Site: {site})."
    if origin is None:
        return "the request does not say which site it comes from (Sec-Fetch-Site or Origin)."
    if _is_ours(origin, headers.get("host", "")):
        return None
    return f"the request comes from another site (Origin: {origin})."


def _is_ours(origin: str, host: str) -> bool:
    """A proxy may speak https for us, so schemes are not compared, but the ports they stand for."""
    try:
        theirs = urlsplit(origin)
        ours = urlsplit(f"{theirs.scheme}://{host}")
        ports = {"http": 80, "https": 443}
        port = ports.get(theirs.scheme)
        return bool(theirs.hostname) and (theirs.hostname, theirs.port or port) == (
            ours.hostname,
            ours.port or port,
        )
    except ValueError:
        return False


def _path_of(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _name_of(host: str) -> str:
    """A Host without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """No DNS answers for an address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
