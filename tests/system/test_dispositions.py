"""How a process takes signals: put back after a job, and no more than that."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run(script: str) -> str:
    """In a process of its own, which may do to its signals what it likes."""
    beginning = """
        import os, signal, sys
        from resque_fork.system import process
        from resque_fork.system.dispositions import Dispositions
        def of_the_job(*_): raise TimeoutError
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(beginning) + textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return ran.stdout.strip()


def test_everything_is_put_back() -> None:
    """Handlers of all signals, the mask, the wake-up descriptor and the timers."""
    script = """
        def now():
            handlers = [process.get_handler(n) for n in signal.valid_signals()]
            timers = [signal.getitimer(n) for n in (0, 1, 2)]
            wakeup = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(wakeup)
            return handlers, timers, wakeup, signal.pthread_sigmask(signal.SIG_BLOCK, [])
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        before = now()
        with Dispositions():
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, of_the_job)
            for timer in (0, 1, 2):
                signal.setitimer(timer, 60)
            signal.set_wakeup_fd(writer)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            assert now() != before
        print(now() == before)
    """
    assert run(script) == "True"


def test_what_is_pending_is_dropped() -> None:
    """A signal that the job had blocked does not end the process when it is no more."""
    script = """
        with Dispositions():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGPROF])
            os.kill(os.getpid(), signal.SIGALRM)
            os.kill(os.getpid(), signal.SIGPROF)
        print("lives")
    """
    assert run(script) == "lives"


def test_a_stop_that_is_pending_is_not_dropped() -> None:
    """The worker's own signals are not the job's to lose."""
    script = """
        heard = []
        signal.signal(signal.SIGTERM, lambda *_: heard.append("TERM"))
        with Dispositions():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            os.kill(os.getpid(), signal.SIGTERM)
        print(heard)
    """
    assert run(script) == "['TERM']"


def test_a_handler_that_raises_meanwhile() -> None:
    """That is the job's error, and everything is put back nevertheless."""
    script = """
        for number in range(200):
            dispositions = Dispositions()
            try:
                with dispositions:
                    signal.signal(signal.SIGALRM, of_the_job)
                    signal.setitimer(signal.ITIMER_REAL, 0.00001 + number * 0.000001)
            except TimeoutError:
                dispositions.put_back()
            assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
            assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
        print("all of them")
    """
    assert run(script) == "all of them"


def test_system_calls_are_interrupted_again() -> None:
    """A handler that a job made restart them would keep TERM from one that waits."""
    script = """
        def leave(*_):
            print("heard", flush=True)
            os._exit(0)
        signal.signal(signal.SIGTERM, leave)
        with Dispositions():
            signal.siginterrupt(signal.SIGTERM, False)
        import threading, time
        main = threading.get_ident()
        def tell():
            while True:
                time.sleep(0.05)
                signal.pthread_kill(main, signal.SIGTERM)
        threading.Thread(target=tell, daemon=True).start()
        os.read(os.pipe()[0], 1)
    """
    assert run(script) == "heard"


def test_a_fork_has_the_systems_handlers() -> None:
    """One that is told to end right after the fork does, and the forking process has its own."""
    script = """
        signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"ours"))
        Dispositions().reset_in_forks()
        for _ in range(50):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(1)
            os.kill(pid, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        os.kill(os.getpid(), signal.SIGTERM)
    """
    assert run(script) == "ours"
