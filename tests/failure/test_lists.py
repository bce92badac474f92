"""Backends that are lists in Redis: what fails in a worker's step can be found and dealt with."""

import json
from typing import Any

import pytest

from resque_fork import FailedJobs, Filter, RedisBackend, Resque
from resque_fork.failure import Backends, Failure, ListBackend, RedisMultiQueueBackend
from resque_fork.store.worker_store import NOTHING, Finish, WorkerStore
from resque_fork.wire.job import Payload
from resque_fork.wire.json import decode

WORKER = "vm:22916:email,low"
MOMENT = 1795416710  # 2026-11-23 06:51:50 UTC


class ListContract:
    """What every such backend must pass."""

    kind: type[ListBackend]

    @pytest.fixture(autouse=True)
    def worker(self, resque: Resque) -> None:
        """A worker whose jobs all fail."""
        self.resque = resque
        self.keys = resque.key_names
        self.backends = Backends([self.kind])
        self.store = WorkerStore(resque.client, self.keys, WORKER, {})
        self.store.heartbeat()

    def fail(
        self, *class_names: str, queue: str = "email", error: BaseException | None = None
    ) -> None:
        """One job of each class has been taken from the queue and failed."""
        for name in class_names:
            self.resque.enqueue_to(queue, name, 7, {"a": "é"})
            step = self.store.step(NOTHING, [queue])
            entry = Failure.of(error or ValueError("böom")).entry(
                failed_at=MOMENT, payload=step.raw, worker=WORKER, queue=queue
            )
            entries = self.backends.entries(entry, self.keys, queue, saved=False)
            assert self.store.step(Finish("failed", entries), None).finish == "failed"

    def list_of(self, queue: str = "email") -> FailedJobs:
        """The list that this queue's failures are in."""
        key, member = self.kind().list_of(self.keys, queue)
        assert member in ("", key.removeprefix(self.keys.prefix))
        return self.resque.failed(key.removeprefix(self.keys.prefix))

    def each(self, **which: Any) -> list[Any]:
        return list(self.list_of().each(**which))

    # --- what is there

    def test_each_of_none(self) -> None:
        """Nothing failed: nothing listed."""
        assert self.each() == self.list_of().page() == []
        assert self.list_of().count() == self.list_of().clear() == 0

    def test_each_of_one(self) -> None:
        """One failure is listed as one, with all that is known of it."""
        self.fail("Foo")
        (job,) = self.each()
        assert (job.index, job.queue, job.class_name) == (0, "email", "Foo")
        assert (job.args, job.worker) == ([7, {"a": "é"}], WORKER)
        assert (job.exception, job.error, job.backtrace) == ("ValueError", "böom", [])
        assert job.failed_at == "2026/11/23 06:51:50 UTC"
        assert (job.retried_at, job.forensics, job.raw) == (None, {}, None)

    def test_each_of_two(self) -> None:
        """Two failures are listed as two, newest first."""
        self.fail("Foo", "Bar")
        assert [job.class_name for job in self.each()] == ["Bar", "Foo"]

    def test_list_ten(self) -> None:
        """Ten failures are listed at once, and counted by the worker and the fleet."""
        self.fail(*"abcdefghij")
        assert len(self.list_of().page(0, 10)) == self.list_of().count() == 10
        assert self.resque.stats.get("failed") == self.resque.stats.get("processed") == 10

    def test_newest_first_with_list_index(self) -> None:
        """Read from the newest, each failure still shows its place in the list."""
        self.fail(*"abcdef")
        assert [(job.index, job.class_name) for job in self.each()] == [
            (5, "f"), (4, "e"), (3, "d"), (2, "c"), (1, "b"), (0, "a"),
        ]  # fmt: skip

    def test_oldest_first_pages(self) -> None:
        """Pages are read from the oldest, with true indexes, and from the end if negative."""
        self.fail(*"abcdef")
        pages = [self.list_of().page(0, 2), self.list_of().page(2, 2), self.list_of().page(-1, 5)]
        assert [[job.index for job in page] for page in pages] == [[0, 1], [2, 3], [5]]
        assert [job.index for job in self.each(newest_first=False)] == [0, 1, 2, 3, 4, 5]

    def test_filter_counts_matches(self) -> None:
        """Filtered by class, as many are found as there are that match."""
        self.fail("Foo", "Bar", "Foo", "Foo")
        jobs = self.each(which=Filter(class_name="Foo"))
        assert [job.index for job in jobs] == [3, 2, 0]

    def test_seven_keys_in_order(self) -> None:
        """An entry has Resque's seven keys, in its order, around the payload's own bytes."""
        self.fail("Foo")
        raw = self.list_of().page()[0].entry.raw
        assert list(json.loads(raw)) == [
            "failed_at", "payload", "exception", "error", "backtrace", "worker", "queue",
        ]  # fmt: skip
        assert b'"payload":' + Payload.of("Foo", [7, {"a": "é"}]).raw + b"," in raw

    def test_unprintable_message_is_stored_readable(self) -> None:
        """A message that UTF-8 cannot carry, or that speaks to terminals, can be read back."""
        self.fail("Foo", error=ValueError("\ud800 \x00\x1b[2J é"))
        (job,) = self.each()
        assert job.error == "\\ud800 \x00\x1b[2J é"

    # --- what can be done with it

    def test_requeue(self) -> None:
        """A failed job is queued again as it was; its entry stays and is marked, last of all."""
        self.fail("Foo", "Bar")
        jobs = self.list_of()
        assert jobs.requeue([jobs.at(1)]) == 1
        assert self.resque.pop("email") == {"class": "Bar", "args": [7, {"a": "é"}]}
        item = decode(jobs.at(1).entry.raw)
        assert list(item)[-1] == "retried_at"
        assert [job.retried_at is None for job in jobs.page()] == [True, False]

    def test_requeue_all_and_already_retried(self) -> None:
        """Everything can be queued again, also what was before; each entry is marked once."""
        self.fail("Foo", "Bar")
        for _ in range(2):
            assert self.list_of().requeue(self.each()) == 2
        assert self.resque.size("email") == 4
        assert all(j.entry.raw.count(b"retried_at") == 1 for j in self.each())

    def test_requeue_one_class_only(self) -> None:
        """Requeueing some leaves the others as they were."""
        self.fail("Foo", "Bar", "Foo")
        self.list_of().requeue(self.each(which=Filter(class_name="Foo")))
        assert [job.retried_at is None for job in self.list_of().page()] == [False, True, False]
        assert self.resque.size("email") == 2

    def test_remove(self) -> None:
        """Removed are just the entries that were meant, however many."""
        self.fail("Foo", "Bar", "Foo", "Baz")
        jobs = self.list_of()
        assert jobs.remove(self.each(which=Filter(class_name="Foo"))) == 2
        assert [job.class_name for job in jobs.page()] == ["Bar", "Baz"]

    def test_clear(self) -> None:
        """A cleared list is empty, and says how many it had."""
        self.fail("Foo", "Bar")
        assert self.list_of().clear() == 2
        assert self.each() == []

    def test_clear_retried(self) -> None:
        """What was queued again can be removed alone."""
        self.fail("Foo", "Bar")
        jobs = self.list_of()
        jobs.requeue([jobs.at(0)])
        assert jobs.remove([job for job in self.each() if job.retried_at]) == 1
        assert [job.class_name for job in self.each()] == ["Bar"]


class TestRedis(ListContract):
    kind = RedisBackend

    def test_all_queues_in_one_list(self) -> None:
        """Failures of all queues stand in the list `failed`, and each can be told by its queue."""
        self.fail("Foo")
        self.fail("Bar", queue="low")
        assert self.list_of("low").name == "failed"
        assert [job.class_name for job in self.each(which=Filter(queue="low"))] == ["Bar"]
        jobs = self.list_of()
        assert jobs.requeue(self.each(which=Filter(queue="low"))) == 1
        assert self.resque.queue_sizes() == {"email": 0, "low": 1}
        assert jobs.remove(self.each(which=Filter(queue="low"))) == 1
        (other,) = self.each()
        assert (other.class_name, other.retried_at) == ("Foo", None)


class TestRedisMultiQueue(ListContract):
    kind = RedisMultiQueueBackend

    def test_list_and_set_names(self) -> None:
        """A failure of queue q is in the list q_failed, which is named in failed_queues."""
        self.fail("Foo")
        self.fail("Bar", queue="low_failed")
        redis = self.resque.redis
        assert redis.smembers("resque:failed_queues") == {b"email_failed", b"low_failed_failed"}
        assert redis.llen("resque:email_failed") == redis.llen("resque:low_failed_failed") == 1
        assert redis.llen("resque:failed") == 0
        assert self.list_of().names() == ["failed", "email_failed", "low_failed_failed"]

    def test_clear_forgets_the_list(self) -> None:
        """A cleared list is no longer named; the others stay as they were."""
        self.fail("Foo")
        self.fail("Bar", queue="low")
        self.list_of().clear()
        assert self.list_of().names() == ["failed", "low_failed"]
        assert self.list_of("low").count() == 1
