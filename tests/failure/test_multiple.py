"""One backend or several, by name or by class: none keeps another from its failures."""

from typing import Any, ClassVar

import pytest

from resque_fork import Backend, LogBackend, RedisBackend, RedisMultiQueueBackend
from resque_fork.errors import SettingsError
from resque_fork.failure import Backends, ListBackend
from resque_fork.wire.keys import Keys


class Raising(Backend):
    def save(self) -> None:
        raise OSError("no network")


class Good(Backend):
    taken: ClassVar[list[Any]] = []

    def save(self) -> None:
        Good.taken.append(self.exception)


class OwnList(ListBackend):
    def list_of(self, keys: Keys, queue: str) -> tuple[str, str]:
        return keys.failed_list("my_failures"), ""


@pytest.fixture(autouse=True)
def forget() -> None:
    Good.taken.clear()


def test_backends_by_name() -> None:
    """Backends are named as settings name them, ours by a word, others by module and class."""
    assert isinstance(Backends.named(["redis"]).lists[0], RedisBackend)
    assert Backends.named(["log"]).savers == [LogBackend]
    several = Backends.named(["redis_multi_queue", "log", f"{__name__}:Good"])
    assert isinstance(several.lists[0], RedisMultiQueueBackend)
    assert several.savers == [LogBackend, Good]
    assert isinstance(Backends.named([f"{__name__}:OwnList"]).lists[0], OwnList)


class Plain:
    """No Backend, but of its shape."""

    def __init__(self, exception: BaseException, worker: str, queue: str, payload: Any) -> None:
        self.told = (exception, worker, queue, payload)

    def save(self) -> None:
        Good.taken.append(self.told)


def test_backend_that_inherits_from_nothing() -> None:
    """Any class with a save will do."""
    error = ValueError("x")
    assert Backends.named([f"{__name__}:Plain"]).save(error, "w", "q", b'{"class":"A"}')
    assert Good.taken == [(error, "w", "q", {"class": "A"})]


def test_backends_know_the_attempt() -> None:
    """A Backend has the number of the attempt; a class of another kind need not take it."""

    class Attempts(Backend):
        told: ClassVar[list[int]] = []

        def save(self) -> None:
            self.told.append(self.attempt)

    backends = Backends([Attempts, Plain])
    assert backends.save(ValueError(), "w", "q", b"{}")
    assert backends.save(ValueError(), "w", "q", b"{}", attempt=3)
    assert Attempts.told == [1, 3]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "There must be a failure backend, such as redis."),
        (
            ["sentry"],
            "No failure backend is called 'sentry': "
            "use redis, redis_multi_queue, log or MODULE:CLASS.",
        ),
        (
            ["no_such_module:X"],
            "The failure backend 'no_such_module:X' cannot be loaded: "
            "No module named 'no_such_module'.",
        ),
        (
            ["json:Nothing"],
            "The failure backend 'json:Nothing' cannot be loaded: "
            "module 'json' has no attribute 'Nothing'.",
        ),
        ([":X"], "The failure backend ':X' cannot be loaded: Empty module name."),
        (["json:dumps"], "The failure backend 'json:dumps' is not a class with a save method."),
        (["json:JSONEncoder"], "The failure backend 'json:JSONEncoder' is not a class with a "
         "save method."),
    ],
)  # fmt: skip
def test_backend_that_cannot_be_used(names: list[str], message: str) -> None:
    """A backend that is none is refused before any job fails, with what is wrong with it."""
    with pytest.raises(SettingsError) as caught:
        Backends.named(names)
    assert str(caught.value) == message


def test_module_that_raises(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend's module may raise anything when it is imported: the error says what, and where."""
    module = tmp_path / "broken_backend.py"
    module.write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError) as caught:
        Backends.named(["broken_backend:X"])
    assert str(caught.value) == (
        "The failure backend 'broken_backend:X' cannot be loaded: "
        f"ZeroDivisionError: division by zero ({module}, line 1)."
    )


def test_every_list_gets_its_entry() -> None:
    """Of several lists each gets the entry, whether others saved it or not."""
    backends = Backends([RedisBackend, RedisMultiQueueBackend, OwnList, Good])
    for saved in (True, False):
        entries = backends.entries(b"entry", Keys(), "email", saved)
        assert [(e.list_key, e.member) for e in entries] == [
            ("resque:failed", ""),
            ("resque:email_failed", "email_failed"),
            ("resque:my_failures", ""),
        ]


def test_one_that_raises_keeps_nobody_from_saving(caplog: pytest.LogCaptureFixture) -> None:
    """A backend that raises is logged; the others save, and the failure counts as not taken."""
    error = ValueError("x")
    assert not Backends([Raising, Good]).save(error, "w", "q", b"{}")
    assert Good.taken == [error]
    (record,) = caplog.records
    assert record.getMessage() == "The failure backend Raising raised OSError('no network')"


def test_all_took_it() -> None:
    """Where all saved, the failure is taken; with no savers there is nothing to refuse it."""
    assert Backends([Good, Good]).save(ValueError(), "w", "q", b"{}")
    assert Backends([RedisBackend]).save(ValueError(), "w", "q", b"{}")
    assert len(Good.taken) == 2
