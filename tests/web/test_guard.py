"""Who gets in, from where, and with what answers are sent."""

import base64
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from resque_fork import Resque, SettingsError
from resque_fork.web import dashboard
from resque_fork.web.access import Access, Passwords, TrustedHeader, everybody

from .served import Served

Serve = Callable[..., Served]


def test_is_not_built_without_access(resque: Resque) -> None:
    """Who mounts the dashboard has to say who may use it."""
    with pytest.raises(SettingsError) as caught:
        dashboard(resque)
    assert str(caught.value) == (
        "The dashboard needs to know who may use it: pass access=, a function that takes a "
        'request and returns "all", "read" or "nothing".'
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "[::1]:80", "localhost", "ops.test"])
def test_hosts_that_are_known(resque: Resque, serve: Serve, host: str) -> None:
    """Addresses, localhost and names that were given are served."""
    served = serve(dashboard(resque, access=everybody, hosts=["Ops.test"]))
    assert served.get("/queues", {"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:80", "127.0.0.1.nip.io", ""]
)
def test_hosts_that_are_not(served: Served, host: str) -> None:
    """A name that was not given is refused, on every path, and how to give it is said."""
    for path in ("/", "/healthz", "/nope", "/queues.json"):
        answer = served.get(path, {"Host": host})
        assert answer.status == 400
    name = host.removesuffix(":80")
    assert answer.text == (
        f"This dashboard is not known as {name!r}. If that is its name, say so where it is "
        f"started: --allow-host {name}, or hosts=[{name!r}].\n"
    )


@pytest.mark.parametrize("path", ["/", "/queues.json", "/nope", "/healthz"])
def test_what_every_answer_carries(served: Served, path: str) -> None:
    """Nothing is kept, framed, guessed at, or loaded from elsewhere."""
    headers = served.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_nothing_for_those_who_may_nothing(resque: Resque, serve: Serve) -> None:
    """Whom the application does not let in gets no page; what it says may be asynchronous."""

    async def access(request: object) -> str:
        return "nothing"

    served = serve(dashboard(resque, access=access))  # type: ignore[arg-type]
    answer = served.get("/queues")
    assert (answer.status, answer.text) == (403, "You may not see this dashboard.\n")
    assert served.get("/healthz").text == "ok\n"


def test_an_answer_that_is_none(resque: Resque, serve: Serve) -> None:
    """If the application's function returns something else, nobody is let in."""
    for nonsense in (None, "ALL", True, (), ("all",), (["all"], "ada"), Access("ALL")):  # type: ignore[arg-type]
        served = serve(dashboard(resque, access=lambda request, n=nonsense: n))  # type: ignore[misc]
        assert served.get("/queues").status == 403, nonsense


def test_functions_of_any_kind(resque: Resque, serve: Serve) -> None:
    """What is called may be a function, a method or an object, and may return an awaitable."""

    async def late(request: object) -> tuple[str, str]:
        return "all", "ada"

    class Door:
        async def __call__(self, request: object) -> tuple[str, str]:
            return await late(request)

    for access in (late, lambda request: late(request), Door(), Door().__call__):
        served = serve(dashboard(resque, access=access))  # type: ignore[arg-type]
        assert "You are ada." in served.get("/queues").text


def test_without_a_name(resque: Resque, serve: Serve) -> None:
    """Whom the application does not name is shown by the address."""
    for nameless in ("all", ("all", ""), ("all", None)):
        served = serve(dashboard(resque, access=lambda request, n=nameless: n))  # type: ignore[misc]
        assert "You are 127.0.0.1." in served.get("/queues").text


def test_passwords(resque: Resque, serve: Serve, tmp_path: Path) -> None:
    """A name and its password from the file are let in, anything else is asked for them."""
    file = tmp_path / "passwords"
    file.write_text("# who may\nada:a:b\n\nbob: secret\n")
    served = serve(dashboard(resque, access=Passwords(file)))

    def get(text: str, scheme: str = "Basic") -> int:
        token = base64.b64encode(text.encode()).decode()
        return served.get("/queues", {"Authorization": f"{scheme} {token}"}).status

    assert (get("ada:a:b"), get("bob:secret")) == (200, 200)
    wrong = ("ada:a", "ada:", ":", "eve:a:b", "ada", "")
    assert {get(text) for text in wrong} == {401}
    assert get("ada:a:b", "Bearer") == 401
    assert served.get("/queues", {"Authorization": "Basic \u00e9"}).status == 401
    answer = served.get("/queues")
    assert (answer.status, answer.text) == (401, "A name and a password are needed.\n")
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "The password file {} cannot be read: No such file or directory."),
        (b"\xff", "The password file {} cannot be read: it is not UTF-8."),
        (b"# nobody\n", "The password file {} is empty: it needs a line name:password."),
        (b"ada:x\nbob\n", "{}, line 2: expected name:password."),
        (b"ada:\n", "{}, line 1: expected name:password."),
    ],
)
def test_password_files_that_are_none(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """A file that lets nobody in is an error, and says what it needs."""
    file = tmp_path / "passwords"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        Passwords(file)
    assert str(caught.value) == sentence.format(file)


def test_trusted_header(resque: Resque, serve: Serve) -> None:
    """Whom the proxy names is let in by that name; without a name nobody is."""
    served = serve(dashboard(resque, access=TrustedHeader("X-User")))
    assert "You are ada" in served.get("/", {"X-User": "ada"}).text
    assert served.get("/", {"X-User": " "}).status == 403
    assert served.get("/").status == 403


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        (
            {"Sec-Fetch-Site": "cross-site"},
            "the request comes from another site (Sec-Fetch-Site: cross-site).",
        ),
        (
            {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1"},
            "the request comes from another site (Sec-Fetch-Site: same-site).",
        ),
        (
            {"Sec-Fetch-Site": "none"},
            "the request comes from another site (Sec-Fetch-Site: none).",
        ),
        (
            {"Origin": "http://evil.example"},
            "the request comes from another site (Origin: http://evil.example).",
        ),
        ({"Origin": "null"}, "the request comes from another site (Origin: null)."),
        ({"Origin": "http://[x"}, "the request comes from another site (Origin: http://[x)."),
        (
            {},
            "the request does not say which site it comes from (Sec-Fetch-Site or Origin).",
        ),
    ],
)
def test_requests_of_other_sites(
    served: Served, caplog: pytest.LogCaptureFixture, headers: dict[str, str], problem: str
) -> None:
    """What may change something is refused unless a page of ours sent it, and the log says so."""
    answer = served.post("/queues", headers=headers)
    assert (answer.status, answer.text) == (403, f"Nothing was done: {problem}\n")
    assert (logging.WARNING, f"ada: refused /queues: {problem}") in [
        record[1:] for record in caplog.record_tuples
    ]


def test_what_is_logged_of_a_path(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody can write into the log what a terminal obeys."""
    served.post("/queues%1b[31m%0a", headers={"Origin": "null"})
    [line] = [message for message in caplog.messages if "refused" in message]
    assert line.startswith(r"ada: refused /queues\x1b[31m: the request comes")


def test_requests_of_our_own(served: Served) -> None:
    """Where a browser says no more than Origin, ours is taken, with and without the usual port."""
    ours = f"http://127.0.0.1:{served.port}"
    assert served.post("/queues", headers={"Origin": ours}).status == 405
    headers = {"Origin": "https://localhost", "Host": "localhost:443"}
    assert served.post("/queues", headers=headers).status == 405
    assert served.post("/queues", headers={"Sec-Fetch-Site": "same-origin"}).status == 405


def test_who_may_only_read(resque: Resque, serve: Serve) -> None:
    """Who may read sees the pages, which say so, and can send nothing that changes something."""
    served = serve(dashboard(resque, access=lambda request: ("read", "eve")))
    assert "You are eve, and may look, not change" in " ".join(served.get("/").text.split())
    answer = served.post("/queues")
    assert (answer.status, answer.text) == (
        403,
        "You may look at this dashboard, and change nothing.\n",
    )


def test_access_is_a_value() -> None:
    """Without a name, nobody is named, and nobody is asked for a password."""
    assert Access("all") == ("all", "", False)
