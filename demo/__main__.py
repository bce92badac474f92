"""See a worker at work: jobs of several kinds, some of which take their process down.

Starts a Redis server of its own, queues the jobs, runs a worker, shows the
processes as ps shows them until all is done, then tells what came of it.
"""

import argparse
import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import jobs
import view
from summary import RETRIES, Summary

from resque_fork import Resque
from resque_fork.embedded import Server
from resque_fork.settings import table, variables

HERE = Path(__file__).resolve().parent
WORK = ["work", "--queues=urgent,reports,*", "--require=jobs", "-v"]
TIMEOUT = 60.0  # seconds for everything
HANGING = 1.5  # seconds after which the job that hangs is stopped

READERS = (
    *("galileo", "scheiner", "fabricius", "harriot", "hevelius", "cassini", "flamsteed", "derham"),
    *("staudacher", "horrebow", "herschel", "schwabe", "wolf", "carrington", "spoerer", "secchi"),
    *("tacchini", "maunder", "russell", "hale", "wolfer", "brunner", "waldmeier", "koeckert"),
)


def enqueue_everything(resque: Resque) -> dict[str, int]:
    """Queue the jobs; how many of each there are."""
    resque.enqueue_many(jobs.send_mail, [[f"{name}@example.org"] for name in READERS])
    resque.enqueue(jobs.chart, width=960)
    resque.enqueue(jobs.Report, "Three centuries of sunspots")
    resque.enqueue(jobs.leak, 100)
    resque.enqueue(jobs.spin)
    resque.enqueue(jobs.crash)
    resque.enqueue(jobs.hang)
    resque.enqueue(jobs.leak, 100)
    resque.enqueue(jobs.forecast)
    resque.enqueue_in(2, jobs.remind, time.time())
    # Last in, first out: the queue `urgent` is looked at first. The second is a job that nobody
    # has declared, so nobody will run it.
    resque.enqueue(jobs.charge, 42, article="teapot")
    resque.enqueue_to("urgent", "os.system", "echo this is never run")
    singles = ("charge", "os.system", "spin", "crash", "hang", "forecast", "remind")
    several = {"send_mail": len(READERS), "chart": 1, "Report": 1, "leak": 2}
    return several | dict.fromkeys(singles, 1)


@contextmanager
def dashboard() -> Iterator[str]:
    """The address of a dashboard, which runs as its own program until we leave."""
    process = subprocess.Popen(
        [sys.executable, "-m", "resque_fork", "web", "--port=0"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    try:
        said = process.stderr.readline()
        yield "".join(word for word in said.split() if word.startswith("http"))
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def worker(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as its own program, in `folder`; stopped when we leave, however we leave."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    with open(folder / "worker.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "resque_fork", *WORK],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def watch(resque: Resque, process: subprocess.Popen[bytes], total: int) -> bool:
    """Show what happens until every job is done or has failed; False if it never comes to that."""
    late = time.monotonic() + TIMEOUT
    hung_at = None
    with view.of_this_terminal(total) as screen:
        while process.poll() is None and time.monotonic() < late:
            done, failed = resque.stats.get("processed"), resque.failed().count()
            family = view.family(process.pid)
            screen.show(family, done, failed)
            if done == total:
                return True
            if hung_at is None and any("[hang]" in shown.title for shown in family):
                hung_at = time.monotonic()
            elif hung_at and time.monotonic() > hung_at + HANGING:
                process.send_signal(signal.SIGUSR1)  # stop this job, go on with the next
                hung_at = float("inf")
            time.sleep(0.04)
    return False


def run(folder: Path, stay: bool, web: bool) -> int:
    """The exit status: 1 if anything went otherwise than it should."""
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        os.environ["RESQUE_REDIS"] = server.url  # for the worker, and for Resque() here
        resque = Resque()
        if web:
            address = stack.enter_context(dashboard())
            click.echo(f"The dashboard is at {click.style(address, bold=True)}\n")
        enqueued = enqueue_everything(resque)
        count = sum(enqueued.values())
        click.echo(f"{count} jobs are queued. Some crash, hang, leak memory or are retried.")
        click.echo("One worker forks a child for each; this is what ps shows of them:\n")
        click.secho(f"$ resque-fork {shlex.join(WORK)}\n", bold=True)
        with worker(folder) as process:
            if watch(resque, process, count + RETRIES) and not stay:
                process.send_signal(signal.SIGQUIT)
                process.wait(TIMEOUT)
            summary = Summary(resque, folder, enqueued)
            if process.returncode:
                summary.problems.append(f"The worker has left with status {process.returncode}.")
            summary.show(stay)
            if stay:
                if web:
                    click.echo(f"The dashboard is at {address}")
                click.echo("Server and worker run until Ctrl-C. In another terminal, first:")
                click.secho(f"  export RESQUE_REDIS={server.url}", bold=True)
                signal.pause()
    return 1 if summary.problems else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/demo", description=__doc__)
    parser.add_argument(
        "--stay", action="store_true", help="keep server and worker running until Ctrl-C"
    )
    parser.add_argument(
        "--web", action="store_true", help="also serve the dashboard; implies --stay"
    )
    options = parser.parse_args()
    for setting in table():  # the demo is the same whatever the environment says
        for name in variables(setting):
            os.environ.pop(name, None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace", line_buffering=True)
    folder = Path(tempfile.mkdtemp(prefix="resque-fork-demo-"))
    try:
        return run(folder, options.stay or options.web, options.web)
    except KeyboardInterrupt:
        click.echo("Stopped: worker, server and files are gone.")
        return 130
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
