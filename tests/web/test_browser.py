"""The dashboard in a real browser."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from life.harness import Stage
from playwright.sync_api import Browser, Page, expect
from redis import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from resque_fork import Resque, embedded
from resque_fork.web import dashboard
from resque_fork.web.access import everybody
from resque_fork.web.dashboard import NAVIGATION

from .browser import NAMED, OTHER, Watched, axe, barriers, started
from .hostile import fill
from .pictures import PICTURES, SIZE, take
from .records import fail, known, queued
from .served import Served

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PATIENCE = 30_000  # milliseconds for what ought to be seen at once
expect.set_options(timeout=PATIENCE)

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for these tests; each page has a profile of its own.

    No longer: while it runs, no other test of this process can run an event loop.
    """
    with started() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, served: Served) -> Iterator[Open]:
    """Open a page of the dashboard; what goes wrong in it fails the test."""
    contexts, watched = [], []

    def open_page(
        path: str = "/", *, origin: str = "", expected: tuple[str, ...] = (), **options: Any
    ) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        origin = origin or served.url
        watch = Watched(page, origin)
        watch.expected = expected
        watched.append(watch)
        page.goto(f"{origin}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [problem for watch in watched for problem in watch.problems] == []


def press(page: Page, button: str, question: str | re.Pattern[str] | None = None) -> None:
    """Press a button, and say yes on the page that asks."""
    pressed = page.get_by_role("link", name=button, exact=True)
    pressed.or_(page.get_by_role("button", name=button, exact=True)).first.click()
    asked = page.get_by_text("Nothing was done yet.")
    expect(asked).to_be_visible()
    if question is not None:
        expect(page.get_by_role("heading", level=1)).to_have_text(question)
    page.locator("main button").click()
    expect(asked).not_to_be_visible()


def expect_said(page: Page, text: str) -> None:
    expect(page.locator("p.said")).to_have_text(text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_anybodys_way(
    open_page: Open, stage: Stage, resque: Resque, pytestconfig: pytest.Config, scheme: str
) -> None:
    """Every page can be read and used by everybody, in light and dark; axe-core finds nothing."""
    assert pytestconfig.cache is not None
    source = axe(pytestconfig.cache.mkdir("axe-core"))
    stage.holding()
    fail(stage.redis, 1, 2)
    stage.push("quick", queue="other")
    resque.enqueue_in_to("jobs", 3600, "quick")
    resque.set_schedule("hourly", "quick", every="1h", queue="other")
    known(stage.redis, 1, "working", num=1, total=3)
    resque.pause()
    page = open_page(color_scheme=scheme)
    for name, _ in NAVIGATION:
        page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        expect(page.locator("nav [aria-current=page]")).to_have_text(name)
        assert barriers(page, source) == [], name
        inner = page.locator("main tbody a").first
        if name != "Overview" and inner.count():
            inner.click()
            assert barriers(page, source) == [], page.url
            if page.locator("main .button").count():
                page.locator("main .button").last.click()
                assert barriers(page, source) == [], page.url
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]


def test_hostile_texts(open_page: Open, redis: Redis, served: Served) -> None:
    """Whatever others have written, pages show it, and nothing of it runs or loads."""
    fill(redis)
    page = open_page()
    for _, path in NAVIGATION:
        page.goto(f"{served.url}{path}")
        expect(page.get_by_text(re.compile("<(script|hostile)")).first).to_be_attached()
        inner = page.locator("main tbody th a", has_text="onerror")
        if path != "/jobs" and inner.count():  # from there it leads to the failed jobs of a class
            inner.last.click()
            expect(page).not_to_have_url(f"{served.url}{path}")
            expect(page.get_by_text("onerror=alert(2)").first).to_be_attached()


def test_follows_what_happens(open_page: Open, redis: Redis) -> None:
    """A page shows what has changed without being loaded again, and asks only for that."""
    page = open_page("/failed")
    expect(page.locator("#live")).to_have_text("Live")
    fail(redis, 1)
    expect(page.locator("table.entries tbody tr")).to_have_count(1)
    with page.expect_response(lambda answer: answer.status == 304):
        pass


def test_what_is_selected_stays(open_page: Open, redis: Redis) -> None:
    """While an entry is selected, its table is left alone; then it follows again."""
    fail(redis, 1)
    page = open_page("/failed")
    box = page.get_by_role("checkbox", name="Select Mail, 0")
    box.check()
    fail(redis, 2)
    expect(page.locator("#live")).to_have_text("Waiting: something is selected")
    expect(page.locator("table.entries tbody tr")).to_have_count(1)
    expect(box).to_be_checked()
    box.uncheck()
    page.locator("h1").click()
    expect(page.locator("table.entries tbody tr")).to_have_count(2)


def test_the_focus_stays(open_page: Open, resque: Resque) -> None:
    """Who has come to a link by keyboard stays there when its table is replaced."""
    resque.enqueue_to("mail", "Mail", 1)
    page = open_page("/queues")
    page.get_by_role("link", name="mail", exact=True).focus()
    resque.enqueue_to("other", "Mail", 1)
    expect(page.get_by_role("link", name="other", exact=True)).to_be_visible()
    assert page.evaluate("document.activeElement.textContent") == "mail"


@pytest.mark.parametrize("javascript", [True, False])
def test_queues(open_page: Open, resque: Resque, javascript: bool) -> None:
    """A queue is looked into, cleared and deleted, with and without JavaScript."""
    for n in range(60):
        resque.enqueue_to("mail", "Mail", n)
    page = open_page(java_script_enabled=javascript)
    page.get_by_role("link", name="mail", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Next").click()
    expect(page.locator("tbody tr")).to_have_count(10)
    press(page, "Clear", "Delete the 60 jobs of mail for good? The queue stays.")
    expect_said(page, "Removed 60 jobs from mail.")
    page.reload()
    expect(page.locator("p.said")).to_have_count(0)
    press(page, "Delete", "Delete the queue and the 0 jobs of mail for good?")
    expect_said(page, "Removed mail with 0 jobs.")
    assert resque.queues() == []


@pytest.mark.parametrize("javascript", [True, False])
def test_failed_jobs(open_page: Open, redis: Redis, javascript: bool) -> None:
    """Failed jobs are found, looked at, selected, queued again and removed."""
    fail(redis, 1, 2, 3)
    fail(redis, 4, class_name="Other")
    page = open_page("/failed", java_script_enabled=javascript)
    page.get_by_label("Class").fill("Mail*")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("table.entries tbody tr")).to_have_count(3)
    page.get_by_role("checkbox", name="Select Mail, 2").check()
    page.get_by_role("checkbox", name="Select Mail, 0").check()
    press(page, "Retry selected", "Queue these 2 failed jobs again?")
    expect_said(page, "Queued 2 failed jobs again.")
    assert sorted(queued(redis)) == [1, 3]
    page.get_by_role("row", name="e2").get_by_role("link").click()
    press(page, "Remove", "Remove Mail (ValueError) for good?")
    expect_said(page, "Removed 1 failed job.")
    press(page, "Remove all", "Remove all failed jobs in the list (of 3) for good?")
    expect_said(page, "Removed 3 failed jobs.")


@pytest.mark.parametrize("javascript", [True, False])
def test_many_failed_jobs(open_page: Open, redis: Redis, javascript: bool) -> None:
    """All are acted on in slices, which follow each other, or one press of a button each."""
    fail(redis, *range(1200))
    page = open_page("/failed", java_script_enabled=javascript)
    press(page, "Remove all")
    if not javascript:
        for number in ("500", "1,000"):
            expect(page.get_by_text(f"Looked at {number} of 1,200.")).to_be_visible()
            page.get_by_role("button", name="Go on").click()
    expect_said(page, "Removed 1200 failed jobs.")


def test_select_all(open_page: Open, redis: Redis) -> None:
    """One checkbox selects all entries of a page."""
    fail(redis, 1, 2, 3)
    page = open_page("/failed")
    page.get_by_role("checkbox", name="Select all on this page").check()
    press(page, "Retry selected", "Queue these 3 failed jobs again?")
    expect_said(page, "Queued 3 failed jobs again.")


def test_retries_delayed_and_schedules(open_page: Open, resque: Resque, stage: Stage) -> None:
    """What waits is run now or removed; a schedule is paused, run, resumed and removed."""
    worker = stage.idle(require="retrying")
    stage.push("patient", 1)
    page = open_page("/retries")
    press(page, "Run now")
    expect_said(page, "Queued 1 job.")
    worker.stop()
    resque.enqueue_in_to("mail", 3600, "Mail", 1)
    page.goto(page.url.replace("/retries", "/delayed"))
    page.locator("tbody a").last.click()
    press(page, "Remove", re.compile(r"^Remove the 1 job due at .* for good\?$"))
    expect_said(page, "Removed 1 delayed job.")
    resque.set_schedule("hourly", "Mail", 7, every="1h", queue="hours")
    page.get_by_role("link", name="Schedules").click()
    press(page, "Pause", "Let hourly queue nothing until it is resumed?")
    expect_said(page, "Paused hourly.")
    expect(page.get_by_role("row", name="hourly")).to_contain_text("paused")
    press(page, "Run now")
    press(page, "Resume")
    expect_said(page, "Resumed hourly.")
    press(page, "Remove", "Remove the schedule hourly for good?")
    expect_said(page, "Removed hourly.")
    assert queued(resque.redis, "hours") == [7]


def test_workers(open_page: Open, stage: Stage) -> None:
    """A job that hangs is found, looked into and killed; then its worker is stopped."""
    worker, child = stage.holding()
    page = open_page(expected=("404",))  # once it has ended
    expect(page.locator("[data-part=longest] tbody tr")).to_contain_text("hold")
    page.locator("[data-part=longest] tbody a").click()
    expect(page.get_by_role("row", name=f"{child} resque-")).to_contain_text("Processing jobs")
    page.get_by_role("button", name="Where is it?").click()
    expect(page.locator("pre").first).to_contain_text("wait_at_gate")
    page.get_by_role("link", name="Back to the worker").click()
    press(
        page,
        "Kill job",
        f"Stop the job of {stage.id_of(worker)}? The job fails, the worker goes on.",
    )
    stage.failed(1)
    expect(page.locator("[data-part=worker] .state").first).to_have_text("idle")
    press(page, "Stop")
    assert worker.ended() == 0


@pytest.mark.parametrize("javascript", [True, False])
def test_statuses(open_page: Open, resque: Resque, javascript: bool) -> None:
    """A tracked job is found, looked at and killed, with and without JavaScript."""
    known(resque.redis, 1, "failed")
    job_id = known(resque.redis, 2, "queued", num=1, total=4)
    page = open_page("/statuses", java_script_enabled=javascript)
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "25")
    page.get_by_label("State").select_option("queued")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name=job_id).click()
    press(
        page,
        "Kill",
        f"Kill the job {job_id} (Report), which is queued? "
        "It does not fail, and is not tried again.",
    )
    expect_said(page, f"The job {job_id} is to be killed: the worker that takes it ends it.")
    assert resque.redis.sismember("resque:_kill", job_id)


def test_progress_is_followed(open_page: Open, redis: Redis) -> None:
    """The page of a job shows how far it is, and its button goes when it has ended."""
    job_id = known(redis, 1, "working", num=1, total=4)
    page = open_page(f"/status?id={job_id}")
    expect(page.get_by_role("link", name="Kill")).to_be_visible()
    known(redis, 1, "completed", num=4, total=4)
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "100")
    expect(page.get_by_role("link", name="Kill")).to_have_count(0)


def test_keyboard_only(open_page: Open, resque: Resque) -> None:
    """Without a mouse one gets past the navigation, to a queue, and clears it."""
    resque.enqueue_to("mail", "Mail", 1)
    page = open_page("/queues", reduced_motion="reduce")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the page"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Pause all workers"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "mail"
    page.keyboard.press("Enter")
    page.wait_for_url("**/queue?name=mail")
    page.get_by_role("link", name="Clear").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Clear")).to_be_focused()
    page.keyboard.press("Enter")
    expect_said(page, "Removed 1 job from mail.")


def test_back(open_page: Open, resque: Resque) -> None:
    """The back button shows the page before, as it is now, and does nothing again."""
    resque.enqueue_to("mail", "Mail", 1)
    page = open_page("/queue?name=mail")
    press(page, "Clear")
    expect_said(page, "Removed 1 job from mail.")
    resque.enqueue_to("mail", "Mail", 2)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Delete the 1 job of mail")
    page.go_back()
    expect(page.locator("[data-part=queue]")).to_contain_text("1 job waits.")
    assert queued(resque.redis) == [2]


def test_redis_gone_while_open(open_page: Open, serve: Callable[..., Served]) -> None:
    """An open page says that Redis is away, keeps what it showed, and follows again later."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    resque = Resque(f"redis://127.0.0.1:{port}")
    served = serve(dashboard(resque, access=everybody))
    with embedded.Server(port=port):
        resque.enqueue_to("mail", "Mail", 1)
        page = open_page("/queues", origin=served.url, expected=("503",))
        expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#live")).to_contain_text("Not live: Redis at")
    expect(page.get_by_role("link", name="mail", exact=True)).to_be_visible()
    with embedded.Server(port=port):
        resque.enqueue_to("other", "Mail", 1)
        expect(page.get_by_role("link", name="other", exact=True)).to_be_visible()
        expect(page.locator("#live")).to_have_text("Live")
    resque.close()


def form_of_another(target: str) -> Starlette:
    """A page that sends a form to a dashboard."""
    form = f'<form method="post" action="{target}"><button>x</button></form>'

    def answer(request: Request) -> HTMLResponse:
        return HTMLResponse(form)

    return Starlette(routes=[Route("/", answer)])


@pytest.mark.parametrize("named", [False, True], ids=["on loopback", "by http and a name"])
def test_a_form_of_another_site(
    open_page: Open, resque: Resque, serve: Callable[..., Served], named: bool
) -> None:
    """A page of another site can press no button of the dashboard."""
    resque.enqueue_to("mail", "Mail", 1)
    served = serve(dashboard(resque, access=everybody, hosts=[NAMED]))
    origin = f"http://{NAMED}:{served.port}" if named else served.url
    other = serve(form_of_another(f"{origin}/queue/clear?name=mail"))
    page = open_page("/", origin=f"http://{OTHER}:{other.port}", expected=("40", origin))
    page.locator("button").click()
    expect(page.locator("body")).to_contain_text("Nothing was done: the request comes from another")
    assert resque.size("mail") == 1


def test_by_http_and_a_name(open_page: Open, resque: Resque, serve: Callable[..., Served]) -> None:
    """Over http and under a name, where browsers say no more than Origin, the buttons work."""
    resque.enqueue_to("mail", "Mail", 1)
    served = serve(dashboard(resque, access=everybody, hosts=[NAMED]))
    page = open_page("/queue?name=mail", origin=f"http://{NAMED}:{served.port}")
    press(page, "Clear")
    expect_said(page, "Removed 1 job from mail.")


def test_a_name_that_is_rebound(open_page: Open, served: Served) -> None:
    """A name of somebody else's that means this machine gets nothing."""
    page = open_page("/", origin=f"http://{OTHER}:{served.port}", expected=("400",))
    expect(page.locator("body")).to_contain_text("This dashboard is not known as")


def test_narrow(open_page: Open, redis: Redis, served: Served) -> None:
    """On a telephone no page is wider than the screen."""
    fill(redis)
    page = open_page(viewport={"width": 360, "height": 640})
    for _, path in NAVIGATION:
        page.goto(f"{served.url}{path}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, path


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    head = picture.read_bytes()[:24]
    assert head[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:])


def test_pictures(browser: Browser, pictures: Path) -> None:
    """Those of the documentation are made anew, each of its page, and are as large as they were."""
    take(browser, pictures)
    page = (DOCS / "dashboard.md").read_text("utf-8")
    assert re.findall(r"\((dashboard-.*?\.png)\)", page) == [*PICTURES]
    assert {path.name for path in DOCS.glob("dashboard-*.png")} == {*PICTURES}
    for name in PICTURES:
        assert size_of(pictures / name) == size_of(DOCS / name) == (SIZE["width"], SIZE["height"])
        assert (pictures / name).stat().st_size < 100_000
