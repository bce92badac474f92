"""Every page, as HTML and as JSON, whatever Redis holds."""

import html
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from pages import access_rules
from redis import Redis

from resque_fork import Resque, embedded
from resque_fork.web import overview, search, show
from resque_fork.web.access import everybody
from resque_fork.web.dashboard import PAGES, dashboard

from .hostile import TEXTS, fill
from .records import fail, known
from .served import Answer, Served

EVERY = [
    page for page in PAGES if page.path not in ("/queue", "/worker", "/failure", "/due", "/status")
]


def links(page: str) -> set[str]:
    """The addresses that a page links to."""
    return {html.unescape(found) for found in re.findall(r'href="([^"]*)"', page)}


@pytest.mark.parametrize("page", EVERY, ids=lambda page: page.path)
def test_empty(served: Served, page: object) -> None:
    """Of an empty Redis every page can be shown."""
    answer = served.get(page.path)  # type: ignore[attr-defined]
    assert answer.status == 200
    assert "<h1>" in answer.text
    assert isinstance(served.get(page.as_json).json, dict)  # type: ignore[attr-defined]


def every_linked(served: Served) -> Iterator[tuple[str, Answer]]:
    """Each address that a page links to, from the overview on, and what stands there."""
    todo, seen = {"/"}, set[str]()
    while todo:
        path = todo.pop()
        seen.add(path)
        answer = served.get(path)
        yield path, answer
        if answer.headers.get_content_type() == "text/html":
            new = {urldefrag(urljoin(path, link)).url for link in links(answer.text)}
            todo |= {link for link in new if urlsplit(link).path != "/static"} - seen


def test_every_page_that_is_linked(served: Served, redis: Redis) -> None:
    """Whatever stands in Redis, every link of every page leads to a page, and nothing is HTML."""
    fill(redis)
    kinds = set()
    for path, answer in every_linked(served):
        assert answer.status in (200, 404, 409), (path, answer.text[-1000:])
        if answer.headers.get_content_type() == "text/html":
            check(answer.text)
        kinds.add(urlsplit(path).path)
    assert kinds >= {page.path for page in PAGES}
    assert kinds >= {page.as_json for page in PAGES}


def write(redis: Redis, resque: Resque) -> None:
    """What buttons act on."""
    for number in range(2):
        fail(redis, number)
        known(redis, number, "queued", queue="mail")
        resque.enqueue_to("mail", "Mail", number)
        resque.enqueue_at_to("mail", 2_000_000_000 + number, "Mail", number)
    resque.set_schedule("hourly", "Mail", 7, every="1h", queue="mail")


def test_access_rules_are_enough(serve: Callable[..., Served]) -> None:
    """With the rules that docs/redis.md has for people, every page and button works."""
    with embedded.Server() as server, Redis.from_url(server.url) as redis:
        resque = Resque(server.url)
        write(redis, resque)
        redis.execute_command(*access_rules()["operator"].split())
        url = server.url.replace("unix://", "unix://operator:secret@")
        served = serve(dashboard(Resque(url), access=everybody))
        pages = list(every_linked(served))
        assert [path for path, answer in pages if answer.status != 200] == []
        buttons = {path for path, answer in pages if "Nothing was done yet." in answer.text}
        for path in sorted(buttons):
            write(redis, resque)
            done = served.post(path)
            assert done.status in (200, 303), done.text
        resque.close()
    pressed = {urlsplit(path).path for path in buttons}
    assert pressed >= {"/pause", "/queue/clear", "/failed/remove", "/delayed/now", "/status/kill"}


class Checked(HTMLParser):
    """Fails for what no template has."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert not tag.startswith(("hostile", "img")), tag
        assert tag != "script" or str(values["src"]).startswith("/static/")
        assert not [name for name in values if name.startswith("on") or name == "style"]
        assert str(values.get("href", "/")).startswith(("/", "#"))


def check(page: str) -> None:
    Checked().feed(page)
    assert "1337" not in page
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\u2066\u2028]", page)
    assert len(page) < 1_000_000


def test_texts_are_shown(served: Served, redis: Redis) -> None:
    """What is escaped can still be read."""
    fill(redis)
    page = html.unescape(served.get("/failed").text)
    for text in TEXTS[:5]:
        assert text in page
    assert r"\u202egnp.exe\u2066" in page
    assert r"\x00\x1b[31m" in page


def test_an_address_that_is_none(served: Served) -> None:
    """A page that does not exist, and fields that are missing or wrong, are named."""
    cases = {
        "/nope": (404, "There is no such page."),
        "/queue": (400, "The address lacks name=..."),
        "/queue?name=x": (404, "There is no queue 'x'."),
        "/queue?name=x&start=-1": (400, "start='-1' is not a number."),
        "/worker?id=h:1:q": (
            404,
            "No worker is registered as h:1:q: it has ended, or was removed.",
        ),
        "/failed?list=x": (404, "There is no list of failed jobs 'x'."),
        "/failed?newer=soon": (
            400,
            "newer='soon' is not valid: expected a time such as 30, 10m, 6h or 2d.",
        ),
        "/failure?index=3&id=0": (
            404,
            "The failed job 3:0 is no longer as it was shown: it was removed or queued again, or "
            "has moved. Look for it in the list.",
        ),
        "/due?time=x": (400, "time='x' is not a time: expected seconds since the epoch."),
        "/due?time=1": (404, "No job is due at 1970-01-01T00:00:01Z any more."),
        "/statuses?state=lost": (
            400,
            "state='lost' is not valid: expected one of queued, working, delayed, completed, "
            "failed, killed, unknown.",
        ),
        "/status?id=x": (
            404,
            "Nothing is known of a job x: it is not tracked, or it has ended and its status has "
            "expired.",
        ),
        "/failed?" + "a&" * 3000: (400, "There are too many fields."),
    }
    for path, (status, sentence) in cases.items():
        answer = served.get(path)
        assert answer.status == status, path
        assert sentence in html.unescape(answer.text)
    answer = served.get("/queue.json?name=x")
    assert (answer.status, answer.json) == (404, {"error": "There is no queue 'x'."})


def test_a_key_of_another_type(served: Served, redis: Redis) -> None:
    """A key that holds something else is named, and keeps no other part from being shown."""
    redis.set("resque:workers", "text")
    redis.rpush("resque:queue:mail", "{}")
    redis.sadd("resque:queues", "mail")
    sentence = "The Redis key 'resque:workers' does not hold what Resque keeps there"
    page = html.unescape(served.get("/").text)
    assert sentence in page
    assert ">mail</a>" in page
    assert "<b>1</b> pending" in page
    assert "<b>?</b> running" in page
    assert "No job runs." not in page
    assert served.get("/workers").status == 500
    assert sentence in html.unescape(served.get("/workers").text)


def test_queues_that_cannot_be_read(served: Served, redis: Redis) -> None:
    """Nobody is told that there are none."""
    redis.set("resque:queues", "text")
    page = served.get("/").text
    assert "<b>?</b> pending" in page
    assert "There are no queues." not in page
    assert served.get("/overview.json").json["numbers"]["pending"] is None


def test_delayed_jobs_that_cannot_be_counted(
    served: Served, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are many, or it is not known how many."""
    monkeypatch.setattr(overview, "MOST_TIMES", 1)
    redis.zadd("resque:delayed_queue_schedule", {"2000000000": 2e9, "2000000001": 2e9})
    assert "<b>many</b> delayed" in served.get("/").text
    redis.delete("resque:delayed_queue_schedule")
    redis.set("resque:delayed_queue_schedule", "text")
    assert "<b>?</b> delayed" in served.get("/").text


def test_json_of_a_page(served: Served, redis: Redis) -> None:
    """The link to JSON leads to the rows that the page shows."""
    redis.sadd("resque:queues", "mail")
    redis.rpush("resque:queue:mail", *range(120))
    redis.zadd("resque:delayed_queue_schedule", {"2000000000": 2e9})
    redis.rpush("resque:delayed:2000000000", *range(120))
    for path in ("/queue?name=mail&start=50", "/due?time=2000000000&start=50"):
        [link] = [link for link in links(served.get(path).text) if ".json" in link]
        assert [row["index"] for row in served.get(link).json["jobs"]] == [*range(50, 100)]


def test_the_etag_is_that_of_what_is_shown(served: Served, resque: Resque) -> None:
    """A page that has not changed, but for ages, is not sent again; one that has is."""
    resque.enqueue_to("mail", "Mail", 1)
    resque.enqueue_in_to("mail", 3600, "Mail", 2)
    tag = served.get("/delayed").headers["etag"]
    answer = served.get("/delayed", {"If-None-Match": tag})
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    resque.enqueue_in_to("mail", 7200, "Mail", 3)
    assert served.get("/delayed", {"If-None-Match": tag}).status == 200


def test_ages_are_no_change() -> None:
    """The tag is made of what lasts: not of how long ago something was, but of when it was."""

    def page(time: str, age: str) -> bytes:
        return f'<p>7 <time datetime="{time}" data-since>{age}</time></p>'.encode()

    assert show.etag(page("2026-11-27", "3s")) == show.etag(page("2026-11-27", "5s"))
    assert show.etag(page("2026-11-27", "3s")) != show.etag(page("2026-11-28", "3s"))
    assert show.etag(b"<p>7</p>") != show.etag(b"<p>8</p>")


def test_files_are_kept_for_ever(served: Served) -> None:
    """Style and script have addresses that change with them, and are asked for once."""
    page = served.get("/").text
    for name in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        answer = served.get(name)
        assert (answer.status, answer.headers["cache-control"]) == (
            200,
            "max-age=31536000, immutable",
        )


def test_the_first_load_is_small(
    served: Served, record_property: Callable[[str, object], None]
) -> None:
    """The first page with all its files is at most 30 kB, compressed."""
    packed = {"Accept-Encoding": "gzip"}
    page = served.get("/").text
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(files) == 3
    sizes = [len(served.get(path, packed).body) for path in ("/", *files)]
    record_property("bytes of the first load", sum(sizes))
    assert sum(sizes) <= 30_000


def test_redis_away(serve: Callable[..., Served]) -> None:
    """If Redis does not answer, every page and the probe say so."""
    served = serve(dashboard(Resque("redis://127.0.0.1:1"), access=everybody))
    sentence = "Redis at redis://127.0.0.1:1 does not answer"
    assert served.get("/healthz").status == 503
    assert sentence in served.get("/healthz").text
    for page in EVERY:
        answer = served.get(page.path)
        assert (answer.status, sentence in answer.text) == (503, True), answer.text
        assert sentence in served.get(page.as_json).json["error"]


def test_a_failed_job(served: Served, resque: Resque, redis: Redis) -> None:
    """One failed job is shown with its error, backtrace, stack, and last lines."""
    entry = {
        "failed_at": "2026/11/23 06:51:55 UTC",
        "payload": {"class": "Mail", "args": [7, {"to": "ada"}]},
        "exception": "ValueError",
        "error": "no such\naddress",
        "backtrace": ["a.py:1 in f", "b.py:2 in g"],
        "worker": "h:1:mail",
        "queue": "mail",
        "forensics": {"signal": "SIGSEGV", "stack": ["c.py:3 in h"], "stderr": ["last line"]},
    }
    redis.rpush("resque:failed", "{}", json.dumps(entry))
    [job] = resque.failed().page(1, 1)
    page = served.get(f"/failure?index=0&id={job.id}").text
    for text in ("Mail", "ValueError", "no such\naddress", "b.py:2 in g", "SIGSEGV", "c.py:3 in h"):
        assert text in page
    assert "last line" in page
    shown = served.get(f"/failure.json?index=1&id={job.id}").json["job"]
    assert (shown["index"], shown["args"]) == (1, [7, {"to": "ada"}])


def test_filters(served: Served, resque: Resque, redis: Redis) -> None:
    """Failed jobs are found by class, queue, exception, text and age, and grouped."""
    for n in range(60):
        entry = {
            "failed_at": "2020/01/01 00:00:00 UTC",
            "payload": {"class": f"Mail{n % 2}[x]", "args": [f"number {n}"]},
            "exception": "ValueError",
            "error": f"error of {n}",
            "queue": "mail",
        }
        redis.rpush("resque:failed", json.dumps(entry))

    def found(query: str) -> list[str]:
        return [job["error"] for job in served.get(f"/failed.json?{query}").json["jobs"]]

    first = served.get("/failed.json").json
    assert [job["index"] for job in first["jobs"]] == [*range(59, 9, -1)]
    assert [job["index"] for job in served.get("/failed.json?before=10").json["jobs"]] == [
        *range(9, -1, -1)
    ]
    assert first["go_on_before"] == 10
    assert found("text=NUMBER+7") == ["error of 7"]
    assert len(found("class=Mail1*")) == 30
    assert len(found("queue=mail&exception=Value*&older=1d")) == 50
    assert found("newer=1d") == []
    assert found("queue=other") == []
    groups = first["groups"]
    assert [group["jobs"] for group in groups] == [30, 30]
    link = next(link for link in links(served.get("/failed").text) if "class=Mail" in link)
    assert len(served.get(link.replace("/failed", "/failed.json")).json["jobs"]) == 30


def test_a_search_among_many(served: Served, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request looks at so many failed jobs only, and says where to go on."""
    monkeypatch.setattr(search, "MOST_LOOKED_AT", 500)
    fail(redis, 7)
    fail(redis, *range(1000, 2200), class_name="Other")
    page = served.get("/failed?class=Mail&text=e7").text
    assert "1,201 failed jobs in the list." in page
    assert "Searched 500 of them, the newest first." in page
    assert "None so far." in page
    link = "/failed?before=701&amp;class=Mail&amp;text=e7"
    assert f'href="{link}">Go on searching</a>' in page
    found = served.get("/failed.json?before=201&class=Mail&text=e7").json
    assert [job["index"] for job in found["jobs"]] == [0]
    assert found["go_on_before"] is None
