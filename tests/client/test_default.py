"""Where jobs go when nobody names a Resque."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from resque_fork import Resque, SettingsError, default_resque, job, set_default_resque

pytestmark = pytest.mark.usefixtures("own_jobs")


@pytest.fixture(autouse=True)
def reset() -> Iterator[None]:
    yield
    set_default_resque(None)


def test_it_follows_the_environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is now, and not as it was at the first job: tests change it."""
    monkeypatch.setenv("RESQUE_REDIS", "redis://localhost:1")
    assert str(default_resque().server) == "redis://localhost:1"
    monkeypatch.setenv("RESQUE_REDIS", redis_url)
    monkeypatch.setenv("RESQUE_NAMESPACE", "mine")
    resque = default_resque()
    assert (str(resque.server), resque.key_names.namespace) == (redis_url, "mine")
    assert default_resque() is resque  # with its connections


def test_it_can_be_set(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And reset; a job's own enqueue goes there."""

    @job(queue="mail")
    def greet(name: str) -> None: ...

    monkeypatch.setenv("RESQUE_REDIS", "redis://localhost:1")
    resque = Resque(redis_url, namespace="chosen")
    set_default_resque(resque)
    assert default_resque() is resque
    assert greet.enqueue("Ada")
    assert greet.enqueue_in(600, "Ada")
    assert (resque.size("mail"), resque.info()["delayed"]) == (1, 1)
    set_default_resque(None)
    assert str(default_resque().server) == "redis://localhost:1"
    resque.close()


def test_inline_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are performed where they are enqueued, and no Redis is needed."""
    told: list[str] = []
    greet = job(queue="mail", name="greet")(told.append)
    monkeypatch.setenv("RESQUE_REDIS", "redis://localhost:1")
    monkeypatch.setenv("RESQUE_INLINE", "1")
    assert greet.enqueue("Ada")
    assert Resque().enqueue(greet, "Bob")
    assert told == ["Ada", "Bob"]
    assert not Resque(inline=False).inline
    monkeypatch.setenv("RESQUE_INLINE", "perhaps")
    told_of = "environment RESQUE_INLINE: 'perhaps' is not valid: expected true or false."
    with pytest.raises(SettingsError, match=f"^{re.escape(told_of)}$"):
        greet.enqueue("Eve")
