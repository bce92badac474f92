"""Puts the dashboard together: pages, actions, files and the guard in front of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from ..client.resque import Resque
from ..errors import RedisRefused, RedisUnavailable, ResqueError, SettingsError
from ..logs import lifecycle
from ..ops.rows import Row, to_json
from ..ops.site import Site
from ..settings import Settings
from ..text import printable
from ..version import __version__
from ..wire.json import sayable
from . import delayed, failed, jobs, overview, queues, retries, schedules, show, statuses, workers
from .access import AccessOf
from .ask import Action, Ask, BadRequest, Fields, NotFound, Page, Partly, Shown, fields_of, query_of
from .guard import Guard
from .memory import Memory
from .prometheus import metrics

Endpoint = Callable[[Request], Response]

PAGES = (
    *overview.PAGES,
    *queues.PAGES,
    *workers.PAGES,
    *failed.PAGES,
    *retries.PAGES,
    *delayed.PAGES,
    *schedules.PAGES,
    *jobs.PAGES,
    *statuses.PAGES,
)
ACTIONS = (
    *queues.ACTIONS,
    *workers.ACTIONS,
    *failed.ACTIONS,
    *retries.ACTIONS,
    *delayed.ACTIONS,
    *schedules.ACTIONS,
    *statuses.ACTIONS,
)
# What the pages are called in the navigation.
NAVIGATION = (
    ("Overview", "/"),
    ("Queues", "/queues"),
    ("Workers", "/workers"),
    ("Failed", "/failed"),
    ("Retries", "/retries"),
    ("Delayed", "/delayed"),
    ("Schedules", "/schedules"),
    ("Jobs", "/jobs"),
    ("Statuses", "/statuses"),
)
FILES = {"style.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
SAID = "resque_fork_said"  # the cookie that takes what was done to the next page
LONGEST_SAID = 500  # characters
LARGEST_FORM = 256 * 1024  # bytes
NO_FIELDS: Fields = {}
HTTP_STATUSES = {NotFound: 404, BadRequest: 400, RedisUnavailable: 503, RedisRefused: 500}  # or 409
FOREVER = {"cache-control": "max-age=31536000, immutable"}


def dashboard(
    resque: Resque,
    *,
    access: AccessOf | None = None,
    hosts: Collection[str] = (),
    read_only: bool = False,
    settings: Settings | None = None,
) -> Starlette:
    """The dashboard as an ASGI application, to run or to mount.

    `access` is asked of every request what it may do: ``"all"``, ``"read"`` or ``"nothing"``, or
    one of these and a name for the log. It takes a starlette Request and may be asynchronous.
    `hosts` are the names under which browsers reach it, beside localhost and addresses.
    With `read_only` there is nothing in it that changes anything. Raises SettingsError without
    `access`.
    """
    if access is None:
        raise SettingsError(
            "The dashboard needs to know who may use it: pass access=, a function that takes a "
            'request and returns "all", "read" or "nothing".'
        )
    site = Site(resque, settings or Settings())
    served = _Served(site, read_only=read_only)
    routes = [Route("/healthz", served.healthz), Route("/metrics", metrics(resque))]
    for name in FILES:
        routes.append(Route(show.static(name)[1], _file(name)))
    for page in PAGES:
        routes.append(Route(page.path, served.html(page), name=page.path))
        routes.append(Route(page.as_json, served.json(page), name=page.as_json))
    if not read_only:
        for action in ACTIONS:
            if action.question:
                routes.append(Route(action.path, served.question(action), methods=["GET"]))
            routes.append(Route(action.path, served.action(action), methods=["POST"]))
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(GZipMiddleware, compresslevel=6),
            Middleware(Guard, access=access, hosts=hosts),
        ],
        exception_handlers={404: served.no_such_page},
    )


class _Served:
    """Answers requests with pages."""

    def __init__(self, site: Site, *, read_only: bool) -> None:
        self._site = site
        self._memory = Memory(site)
        self._read_only = read_only

    def html(self, page: Page) -> Endpoint:
        """An endpoint that answers with the page."""

        def answer(request: Request) -> Response:
            try:
                found = show.bounded(page.find(self._ask(request)))
            except ResqueError as error:
                return self._problem(request, error)
            return self._rendered(request, page.template, found, page=page.path)

        return answer

    def json(self, page: Page) -> Endpoint:
        """An endpoint that answers with what the page shows, as JSON."""

        def answer(request: Request) -> Response:
            status = 200
            try:
                found = show.bounded(page.find(self._ask(request)))
            except ResqueError as error:
                found, status = {"error": str(error)}, _status_of(error)
            return Response(to_json(found) + "\n", status, media_type="application/json")

        return answer

    def question(self, action: Action) -> Endpoint:
        """An endpoint that asks whether to do it."""

        def answer(request: Request) -> Response:
            try:
                ask = self._ask(request)
                asked = action.asked(ask)
            except ResqueError as error:
                return self._problem(request, error)
            asking = {
                "question": asked,
                "button": action.button,
                "path": action.path,
                "fields": ask.query,
            }
            return self._rendered(request, "confirm.html", asking)

        return answer

    def action(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that does it, and leads to the page that says what was done."""

        async def answer(request: Request) -> Response:
            body = b""
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_FORM:
                    return PlainTextResponse("The form is too large.\n", 413)
            return await run_in_threadpool(self._act, request, action, body.decode("latin-1"))

        return answer

    def _act(self, request: Request, action: Action, body: str) -> Response:
        try:
            ask = self._ask(request, fields_of(body))
            done = action.do(ask)
        except ResqueError as error:
            who, what = printable(request.state.who), printable(str(error))
            lifecycle.info("%s: %s failed: %s", who, action.path, what)
            return self._problem(request, error)
        lifecycle.info("%s: %s", printable(ask.who), printable(done.said))
        if isinstance(done, Shown):
            return self._rendered(request, done.template, done.values)
        root = request.scope.get("root_path", "")
        query = query_of(done.fields)
        answer = RedirectResponse(f"{root}{done.path}{'?' if query else ''}{query}", 303)
        said = quote(sayable(done.said[:LONGEST_SAID]))
        answer.set_cookie(SAID, said, 60, path=root or "/", httponly=True, samesite="strict")
        return answer

    def healthz(self, request: Request) -> Response:
        """For probes: whether Redis answers."""
        try:
            self._site.resque.client.execute_command("PING")
        except ResqueError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse("ok\n")

    async def no_such_page(self, request: Request, error: Exception) -> Response:
        problem = NotFound("There is no such page.")
        return await run_in_threadpool(self._problem, request, problem)

    def _ask(self, request: Request, form: Fields = NO_FIELDS) -> Ask:
        query = fields_of(request.url.query)
        return Ask(self._site, self._memory, query, form, request.state.who)

    def _problem(self, request: Request, error: ResqueError) -> Response:
        found = {"problem": str(error)}
        return self._rendered(request, "problem.html", found, status=_status_of(error))

    def _rendered(
        self, request: Request, template: str, found: Row, *, page: str = "", status: int = 200
    ) -> Response:
        """What was found, as HTML; `page` is the path that the navigation marks."""
        body = show.render(
            template,
            request.scope.get("root_path", ""),
            navigation=NAVIGATION,
            server=str(self._site.resque.server),
            namespace=self._site.resque.key_names.namespace,
            version=__version__,
            said=unquote(request.cookies.get(SAID, "")),
            who=request.state.who,
            may_change=request.state.may_change and not self._read_only,
            page=page,
            **found,
        )
        tag = show.etag(body)
        headers = {"etag": tag, "cache-control": "no-store"}
        if status == 200 and request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        answer = Response(body, status, headers, "text/html")
        if SAID in request.cookies:
            answer.delete_cookie(SAID, path=request.scope.get("root_path", "") or "/")
        return answer


def _file(name: str) -> Endpoint:
    def answer(request: Request) -> Response:
        return Response(show.static(name)[0], 200, FOREVER, FILES[name])

    return answer


def _status_of(error: ResqueError) -> int:
    if isinstance(error, Partly) and isinstance(error.__cause__, ResqueError):
        error = error.__cause__
    return next((status for kind, status in HTTP_STATUSES.items() if isinstance(error, kind)), 409)
