"""How an application uses resque_fork, for mypy alone: nothing here is run.

`assert_type` holds what a name is. A `type: ignore` holds that a mistake is one:
mypy reports those that it does not need.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, assert_type

from redis import Redis, RedisCluster

from resque_fork import (
    Backend,
    DontPerform,
    FailedJob,
    FailedJobs,
    Filter,
    FunctionJob,
    Job,
    JobTimeout,
    ListBackend,
    LogBackend,
    Receipt,
    RedisBackend,
    RedisMultiQueueBackend,
    Reservation,
    Resque,
    ResqueError,
    Settings,
    Status,
    TermException,
    Worker,
    after_fork,
    after_pause,
    before_first_fork,
    before_fork,
    before_pause,
    job,
    keep,
    queue_empty,
    shutdown,
    worker_exit,
)
from resque_fork.embedded import Server
from resque_fork.testing import perform_queued, temporary_resque

# --- jobs that are functions


@job(queue="send_mail")
def send_mail(to: str, template: str = "welcome") -> bool:
    return bool(to and template)


@job
def bare(order: int) -> None: ...


class AuditHooks:
    @classmethod
    def before_perform_audit(cls, *args: object) -> None: ...


@job(
    queue="invoices",
    name="Billing::Invoice",
    hooks=[AuditHooks],
    sweep=False,
    timeout=30,
    cpu=1.5,
    memory="512M",
    sensitive=True,
    redact=["card"],
)
def invoice(order: int, *, card: str) -> None: ...


def a_function_job_keeps_its_signature() -> None:
    assert_type(send_mail("ada@example.com"), bool)
    assert_type(send_mail.enqueue("ada@example.com", template="bye"), Receipt | bool)
    assert_type(bare.enqueue(7), Receipt | bool)
    assert_type(invoice.enqueue(7, card="4111"), Receipt | bool)
    plain: FunctionJob[[int], None] = bare
    assert_type(plain(7), None)

    send_mail()  # type: ignore[call-arg]
    send_mail.enqueue()  # type: ignore[call-arg]
    send_mail.enqueue("ada@example.com", "bye", 3)  # type: ignore[call-arg]
    send_mail.enqueue("ada@example.com", tempalte="bye")  # type: ignore[call-arg]
    send_mail.enqueue(7)  # type: ignore[arg-type]
    bare.enqueue("7")  # type: ignore[arg-type]
    invoice.enqueue(7, "4111")  # type: ignore[call-arg]


def a_tracked_job_has_a_receipt() -> None:
    receipt = bare.enqueue(7)
    assert isinstance(receipt, Receipt)
    assert_type(receipt.id, str)
    assert_type(receipt.status(), Status)
    assert_type(receipt.wait(timeout=5).state, str)


def options_of_a_job_are_checked() -> None:
    job(timeuot=30)  # type: ignore[call-overload]
    job(timeout="30")
    job(timeout=[30])  # type: ignore[call-overload]
    job("send_mail")  # type: ignore[call-overload]


# --- jobs that are classes


class Mail(Job):
    queue = "send_mail"

    @classmethod
    def before_perform_check(cls, to: str, template: str) -> None:
        if not to:
            raise DontPerform

    @classmethod
    def around_perform_log(cls, perform: Callable[[], object], *args: object) -> None:
        perform()

    @classmethod
    def on_failure_tell(cls, error: BaseException, *args: object) -> None:
        if isinstance(error, JobTimeout | TermException):
            raise error

    @staticmethod
    def perform(to: str, template: str = "welcome") -> None: ...


class Report(Job, name="Daily::Report", timeout=600, redact=["password"]):
    queue: ClassVar[str | None] = None

    @classmethod
    def perform(cls, day: str) -> None: ...


class Mistyped(Job, tiemout=600):  # type: ignore[call-arg]
    queue = "mistakes"


class QueueOfANumber(Job):
    queue = 7  # type: ignore[assignment]


# --- the client


def a_client_enqueues() -> None:
    resque = Resque("redis://localhost:6379/0", namespace="shop", inline=False, timeout=0.5)
    assert_type(resque.enqueue(send_mail, "ada@example.com", template="bye"), Receipt | bool)
    assert_type(resque.enqueue_to("urgent", Mail, "ada@example.com"), Receipt | bool)
    assert_type(resque.enqueue_to("reports", "Daily::Report", "today"), Receipt | bool)
    assert_type(resque.enqueue_many(bare, ([order] for order in range(9)), queue="bulk"), int)
    assert_type(resque.dequeue(bare, 7), int)
    resque.push("reports", {"class": "Daily::Report", "args": ["today"]})

    Resque(Redis(decode_responses=True), namespace="shop")
    Resque(RedisCluster(host="localhost"))
    Resque(7)  # type: ignore[arg-type]
    Resque(timeuot=0.5)  # type: ignore[call-arg]
    Resque(timeout="0.5")  # type: ignore[arg-type]
    resque.enqueue_to(7, Mail)  # type: ignore[arg-type]
    resque.enqueue_many(bare, [7])  # type: ignore[list-item]


def a_client_looks() -> None:
    resque = Resque()
    assert_type(resque.reserve("send_mail"), Reservation | None)
    assert_type(resque.size("send_mail"), int)
    assert_type(resque.queues(), list[str])
    assert_type(resque.queue_sizes(), dict[str, int])
    assert_type(resque.workers(), list[str])
    assert_type(resque.info(), dict[str, Any])
    assert_type(resque.paused(), bool)
    resque.pause("send_mail")
    assert_type(resque.paused_queues(), list[str])
    resque.resume("send_mail")
    for record in resque.working().values():
        assert record is not None
        assert_type(record.queue, str)
        assert_type(record.raw, bytes)


def a_client_deals_with_failures() -> None:
    failed = Resque().failed("send_mail_failed")
    assert_type(failed, FailedJobs)
    for failure in failed.each(Filter(class_name="Mail*", older_than=3600.0)):
        assert_type(failure, FailedJob)
        assert_type(failure.class_name, str | None)
        assert_type(failure.args, list[Any])
        assert_type(failure.forensics, dict[str, Any])
    assert_type(failed.requeue([failed.at(0)]), int)
    assert_type(failed.remove(failed.page(0, 10)), int)
    try:
        failed.clear()
    except ResqueError as error:
        assert_type(str(error), str)

    Filter(klass="Mail")  # type: ignore[call-arg]
    failed.requeue([0])  # type: ignore[list-item]


# --- the worker


def a_worker_works() -> None:
    settings = Settings(on_lost="requeue", heartbeat_interval=10.0, failure_backend=("log",))
    worker = Worker("urgent", "*", resque=Resque(), settings=settings)
    assert_type(worker.id, str)
    assert_type(worker.work_one_job(), bool)
    assert_type(worker.work(interval=0), int)
    worker.shutdown()
    keep(4711)

    Worker(["urgent", "*"])  # type: ignore[arg-type]
    Worker("*", redis="redis://localhost")  # type: ignore[call-arg]
    Settings(on_lots="requeue")  # type: ignore[call-arg]
    settings.on_lost = "fail"  # type: ignore[misc]


@before_first_fork
@queue_empty
@worker_exit
def say_so() -> None: ...


@before_fork
@after_fork
def look_at(reservation: Reservation) -> None:
    assert_type(reservation.queue, str)
    assert_type(reservation.class_name, str)
    assert_type(reservation.args, list[Any])


@before_pause
@after_pause
@shutdown
def tell(worker: Worker) -> None: ...


def a_worker_hook_stays_what_it_was() -> None:
    assert_type(say_so(), None)
    look_at()  # type: ignore[call-arg]
    tell("worker")  # type: ignore[arg-type]
    before_fork("look_at")  # type: ignore[type-var]


# --- failure backends


class Alert(Backend):
    def save(self) -> None:
        assert_type(self.exception, BaseException)
        assert_type(self.worker, str)
        assert_type(self.queue, str)
        assert_type(self.payload, Mapping[str, Any])


class Silent(Backend): ...


class OwnList(RedisBackend): ...


def a_list_in_redis_is_a_backend(lists: list[type[ListBackend]]) -> None:
    lists += [RedisBackend, RedisMultiQueueBackend, OwnList]
    lists += [Alert]  # type: ignore[list-item]


def a_backend_must_save() -> None:
    error, payload = ValueError("x"), {"class": "Mail", "args": []}
    Alert(error, "vm:1:*", "send_mail", payload).save()
    for backend in (Alert, LogBackend):
        backend(error, "vm:1:*", "send_mail", payload).save()

    Silent(error, "vm:1:*", "send_mail", payload)  # type: ignore[abstract]
    Alert("x", "vm:1:*", "send_mail", payload)  # type: ignore[arg-type]


# --- tests of an application


def a_test_has_a_redis_of_its_own() -> None:
    with Server() as server:
        assert_type(server.url, str)
    with temporary_resque() as resque:
        assert_type(resque, Resque)
        assert_type(perform_queued(resque, "send_mail"), list[Reservation])
