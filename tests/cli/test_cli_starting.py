"""Signals before there is a worker: which are kept for it, and which of the program they end."""

import signal
from collections.abc import Iterator

import pytest

from resque_fork.cli import program
from resque_fork.cli.starting import SIGNALS, Starting, Stopped

TERM, USR1, USR2 = signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2
CONT, HUP = signal.SIGCONT, signal.SIGHUP


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Nothing stays blocked, pending or handled."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([HUP, HUP, USR1], {HUP}),
        ([USR2, CONT], {CONT}),
        ([CONT, USR2], {USR2}),
        ([USR2, HUP], {USR2, HUP}),
        ([], set()),
    ],
)
def test_what_the_worker_finds(sent: list[int], kept: set[int]) -> None:
    """Each once, of USR2 and CONT the last; they wait until the worker handles them."""
    with Starting() as starting:
        for number in sent:
            signal.raise_signal(number)
        assert signal.sigpending() & set(SIGNALS) == set()
        starting.hand_over()
        assert signal.sigpending() & set(SIGNALS) == kept


def test_what_comes_after_the_handing_over_waits_too() -> None:
    """There is no gap."""
    with Starting() as starting:
        starting.hand_over()
        signal.raise_signal(TERM)
        assert TERM in signal.sigpending()


def test_a_stop_waits_where_it_may_not_interrupt() -> None:
    """It is obeyed at the next place where it may."""
    done = []
    with Starting() as starting:
        signal.raise_signal(TERM)
        done.append("careful")
        with starting.interruptible():
            done.append("interrupted")
        done.append("never")
    assert done == ["careful"]


def test_a_stop_interrupts_once() -> None:
    """Whoever cleans up after it is left in peace, and the error that comes of it is not one."""
    cleaned = []
    with Starting() as starting, starting.interruptible():
        try:
            signal.raise_signal(TERM)
        except Stopped:
            signal.raise_signal(TERM)
            cleaned.append("whole")
            raise RuntimeError from None
    assert cleaned == ["whole"]


def test_handlers_are_put_back() -> None:
    """Also after an error, which stays one."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with pytest.raises(KeyError), Starting():
        raise KeyError
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (["work", "-q", "a"], "work"),
        (["--redis", "work", "-v", "work"], "work"),
        (["--namespace=work", "enqueue", "work", "Job"], "enqueue"),
        (["--namespace", "work"], ""),
        (["--redis"], ""),
        (["--nosuch", "list"], ""),
        ([], ""),
    ],
)
def test_which_command_is_called(args: list[str], name: str) -> None:
    """Known before anything is done, as click will find it: only `work` changes its title."""
    assert program.named_by(args) == name
