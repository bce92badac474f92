"""What may be a secret in a Redis URL is never shown."""

from __future__ import annotations

import itertools
import subprocess
import sys
from urllib.parse import quote

import pytest

from resque_fork import Resque, SettingsError
from resque_fork.store.client import Client
from resque_fork.store.masking import without_secrets
from resque_fork.store.redis_url import RedisURL

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://hunter2@h:1/0", "redis://***@h:1/0"),
        ("rediss://hunter2@h", "rediss://***@h"),
        ("unix://hunter2@/tmp/s", "unix://***@/tmp/s"),
        ("unix:///tmp/a@b.sock?db=1", "unix:///tmp/a@b.sock?db=1"),
        ("redis+sentinel://hunter2@a,b:7/p", "redis+sentinel://***@a,b:7/p"),
        ("redis://ada:hunter2@h", "redis://ada:***@h"),
        ("redis://ada:@h", "redis://ada:***@h"),
        ("redis://a@hunter2@h", "redis://***@h"),
        ("redis://:hunter2", "redis://:***"),
        ("redis://:6379/0", "redis://:6379/0"),
        ("redis://h:1/0?db=2&ssl_cert_reqs=none", "redis://h:1/0?db=2&ssl_cert_reqs=none"),
        ("redis://h?passw%6frd=hunter2", "redis://h?passw%6frd=***"),
        ("redis://h?%70assword=hunter2&db=1", "redis://h?%70assword=***&db=1"),
        ("redis://h?PASSWORD=hunter2", "redis://h?PASSWORD=***"),
        ("redis://h?username=hunter2", "redis://h?username=***"),
        ("redis://h?passwrod=hunter2", "redis://h?passwrod=***"),
        ("redis://h?ssl_password=hunter2", "redis://h?ssl_password=***"),
        ("redis://h?db=1;password=hunter2", "redis://h?db=1;password=***"),
        ("redis://h#password=hunter2", "redis://h#password=***"),
        ("redis://h:1?password=hunter2@x", "redis://h:1?password=***"),
        ("redis+sentinel://a/p?sentinel_password=x@hunter2", "redis+sentinel://a/p?sentinel_password=***"),
        ("redis+sentinel://a/p?sentinel%5Fpassword=hunter2", "redis+sentinel://a/p?sentinel%5Fpassword=***"),
        ("redis://ada:hunter2?x=1@h", "redis://ada:***"),
        ("redis://h?client_name=redis%3A%2F%2F%3Ahunter2%40k", "redis://h?client_name=***"),
        ("redis://h?url=redis://:hunter2@k/0", "redis://h?url=***"),
        ("redis://ada:hunter2@h?url=redis://:hunter2@k/0", "redis://ada:***@h?url=***"),
        ("hunter2@h", "***@h"),
        ("redis:/hunter2@h", "redis:***@h"),
    ],
)  # fmt: skip
def test_what_is_shown(url: str, shown: str) -> None:
    """All that is known to be none of it, and nothing else."""
    assert without_secrets(url) == shown


PLACES = (
    "redis://{}@h:1/0",
    "redis://:{}@h:1/0",
    "redis://ada:{}@h:1/0",
    "rediss://{}@h:1/0?ssl_cert_reqs=none",
    "unix://{}@/tmp/s",
    "unix://:{}@/tmp/s?db=1",
    "redis+sentinel://{}@a,b/p",
    "redis+sentinel://ada:{}@a,b/p?sentinel_username=x",
    "redis+cluster://:{}@a:1,b:2",
    "http://{}@h",
)
QUERIES = ("password", "PassWord", "pass%77ord", "sentinel_password", "username", "pasword", "auth")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("secret", ["hunter2", *(f"hun{c}ter2" for c in "/?#[]:@%&=;+! ")])
@pytest.mark.parametrize("encoded", [True, False])
def test_no_place_shows_it(place: str, secret: str, encoded: bool) -> None:
    """Neither as a user nor as a password, encoded or not, of a URL that can be used or not."""
    if ":" in secret and not encoded and ":{}" not in place:
        secret = "hunter2"  # what stands in front of a colon is the name of a user
    assert_hidden(place.format(quote(secret, safe="") if encoded else secret))


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("secret", ["hunter2", *(f"hun{c}ter2" for c in "/?@%")])
@pytest.mark.parametrize("encoded", [True, False])
def test_no_option_shows_it(name: str, secret: str, encoded: bool) -> None:
    """By whatever name it is given."""
    value = quote(secret, safe="") if encoded else secret
    for front in ("redis://h:1/0", "redis://ada:pw@h:1/0", "redis+sentinel://a,b:1/p"):
        assert_hidden(f"{front}?{name}={value}&db=1")


def assert_hidden(url: str) -> None:
    told = [without_secrets(url)]
    try:
        server = RedisURL(url)
        told += [str(server), repr(Resque(url, namespace="{r}")), repr(Client(server))]
    except SettingsError as error:
        told += [str(error), repr(error)]
    for part, text in itertools.product(("hun", "ter2"), told):
        assert part not in text


@pytest.mark.parametrize(
    "url",
    [
        "redis://hunter2@127.0.0.1:1/0",
        "redis://127.0.0.1:1/0?passw%6frd=hunter2",
        "redis+sentinel://127.0.0.1:1/p?sentinel_password=hunter2",
        "redis://hunter2@127.0.0.1:1/0?decode_responses=true",
        "rediss://hunter2@127.0.0.1:1/0?ssl_cert_reqs=CERT_NONE",
    ],
)
@pytest.mark.parametrize("command", [["info", "-vv"], ["doctor", "--json"], ["config", "--json"]])
def test_the_program_does_not_show_it(url: str, command: list[str]) -> None:
    """Neither its errors, with tracebacks, nor what it prints for people and programs."""
    done = subprocess.run(
        [sys.executable, "-m", "resque_fork", "--redis", url, *command],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
