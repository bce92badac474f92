"""The names of keys are Resque's, byte for byte, and every name of a queue survives as text."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.store.workers import WorkerId
from resque_fork.wire.keys import Keys, to_bytes, to_text

ID = "vm:22916:email,low"


def test_names_are_resques() -> None:
    """Every shared key has the name that Ruby, Node and the dashboards know it by."""
    keys = Keys()
    assert keys.queues == "resque:queues"
    assert keys.queue("email") == "resque:queue:email"
    assert keys.workers == "resque:workers"
    assert keys.worker(ID) == "resque:worker:vm:22916:email,low"
    assert keys.started(ID) == "resque:worker:vm:22916:email,low:started"
    assert keys.heartbeats == "resque:workers:heartbeat"
    assert keys.stat("processed") == "resque:stat:processed"
    assert keys.stat("failed", ID) == "resque:stat:failed:vm:22916:email,low"
    assert keys.failed == "resque:failed"
    assert keys.failed_queues == "resque:failed_queues"
    assert keys.failed_list("email_failed") == "resque:email_failed"
    assert keys.pruning_lock == "resque:pruning_dead_workers_in_progress"
    assert keys.pause == "resque:pause-all-workers"


def test_own_names_stay_out_of_the_way() -> None:
    """Our own keys all begin with `fork:`, which no other implementation looks at."""
    keys = Keys("ours")
    own = [keys.attempts, keys.own_workers, keys.fork(ID), keys.unread(ID), keys.ask(ID)]
    assert all(name.startswith("ours:fork:") for name in own)


def test_namespace_is_the_prefix() -> None:
    """Another namespace shares no key with ours, except for none."""
    ours, theirs = Keys("a"), Keys("b:c")
    assert theirs.queue("x") == "b:c:queue:x"
    assert theirs.prefix == "b:c:"
    plain = [n for n in vars(ours) if isinstance(vars(ours)[n], str)]
    assert all(vars(ours)[n] != vars(theirs)[n] for n in plain)


def test_notifications_cover_queues_and_pause() -> None:
    """Notifications cover all queues, their set, the pause and requests, and no worker."""
    keys = Keys()
    for key in (keys.queues, keys.queue("x"), keys.pause, keys.ask(ID)):
        assert key.startswith(keys.listener_prefixes)
    for key in (keys.workers, keys.worker(ID), keys.failed, keys.fork(ID)):
        assert not key.startswith(keys.listener_prefixes)


@given(st.binary())
def test_every_name_survives_as_text(name: bytes) -> None:
    """A name that Redis returns comes back as the same bytes, whatever they are."""
    assert to_bytes(to_text(name)) == name


def test_text_stays_text() -> None:
    """A name that is text already is left alone."""
    assert to_text("ünï") == "ünï"


@pytest.mark.parametrize(
    ("text", "host", "pid", "queues"),
    [
        ("vm:22916:email,low", "vm", 22916, ("email", "low")),
        ("vm:1:*", "vm", 1, ("*",)),
        ("vm:1:a:b,c", "vm", 1, ("a:b", "c")),  # split at the first two colons only
        ("vm:123-0:email", "vm", None, ("email",)),  # goworker
        ("vm:77-5:JAVA_DYNAMIC_QUEUES,q", "vm", None, ("JAVA_DYNAMIC_QUEUES", "q")),  # jesque
        ("custom-name:email", "custom-name", None, ()),  # node
        ("vm:\u0661:q", "vm", None, ("q",)),  # a digit, but not of a pid
        ("vm:1:", "vm", 1, ()),
        ("", "", None, ()),
    ],
)
def test_id_with_colon_in_queue(
    text: str, host: str, pid: int | None, queues: tuple[str, ...]
) -> None:
    """An id of any implementation is taken apart at its first two colons, and never raises."""
    found = WorkerId.parse(text)
    assert (found.text, found.host, found.pid, found.queues) == (text, host, pid, queues)


@given(
    st.text(string.ascii_letters + "-.", min_size=1),
    st.integers(1, 2**22),
    st.lists(st.text(string.ascii_letters + ":*_", min_size=1), min_size=1),
)
def test_worker_id(host: str, pid: int, queues: list[str]) -> None:
    """A worker's id is host, pid and queues, joined by colons and commas."""
    found = WorkerId.parse(f"{host}:{pid}:{','.join(queues)}")
    assert (found.host, found.pid, list(found.queues)) == (host, pid, queues)
