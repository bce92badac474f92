"""The jobs of the demo: ordinary functions, and one class.

A worker gets to know them with ``resque-fork work --require=jobs``. They write
to the directory that it was started in.
"""

import ctypes
import html
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import localtime
from pathlib import Path

import psutil
import sunspots
from picture import Picture

from resque_fork import Job, job

MEGABYTE = 1024 * 1024


def write(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it, should the job die on the way."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


# --- work that succeeds


@job(queue="mail")
def send_mail(to: str, subject: str = "Three centuries of sunspots") -> None:
    """Write a mail with the chart, as a file that any mail program opens."""
    message = EmailMessage()
    message["From"] = "Observatory <observatory@example.org>"
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = localtime()
    message.set_content(f"Dear {to.partition('@')[0].title()},\n\nthe chart is attached.\n")
    chart = Path("sunspots.png").read_bytes()
    message.add_attachment(chart, maintype="image", subtype="png", filename="sunspots.png")
    write(Path("outbox", f"{to}.eml"), message.as_bytes())


@job(queue="reports", every="1d")
def chart(width: int = 960, height: int = 320) -> None:
    """Draw the number of sunspots of each year as a PNG."""
    numbers = sunspots.by_year()
    high = max(numbers.values())
    picture = Picture(width, height, background=(16, 20, 36))
    for level in range(50, int(high), 50):
        picture.box(0, height - int(height * level / high), width, 1, (48, 56, 80))
    bar = width / len(numbers)
    for i, number in enumerate(numbers.values()):
        tall = int(height * number / high)
        warmth = number / high
        colour = (255, int(120 + 110 * warmth), int(40 + 80 * warmth))
        picture.box(int(i * bar), height - tall, max(1, int(bar) - 1), tall, colour)
    write(Path("sunspots.png"), picture.png())


class Report(Job):
    """Work out the length of the sun's cycle, and write it up as a page."""

    queue = "reports"

    @staticmethod
    def around_perform_timed(perform: Callable[[], None], *args: object) -> None:
        """A hook: what a job writes to stderr is in the worker's log."""
        started = time.monotonic()
        perform()
        print(f"The report took {time.monotonic() - started:.2f} s", file=sys.stderr)

    @staticmethod
    def perform(title: str) -> None:
        numbers = sunspots.by_year()
        maxima = sunspots.maxima(numbers)
        period = sunspots.strongest_period(numbers)
        rows = "\n".join(
            f"<tr><td>{year}<td>{numbers[year]:.1f}<td>{year - before if before else ''}"
            for before, year in zip([0, *maxima], maxima, strict=False)
        )
        page = f"""<!DOCTYPE html>
<meta charset="utf-8">
<title>{html.escape(title)}</title>
<h1>{html.escape(title)}</h1>
<p><img src="sunspots.png" alt="Sunspots by year">
<p>The sun's activity comes and goes every {period:.1f} years: no other period explains
as much of the {len(numbers)} yearly numbers from {min(numbers)} to {max(numbers)}.
<table><tr><th>Maximum<th>Sunspots<th>Years since the last
{rows}
</table>
"""
        write(Path("sunspots.html"), page.encode())


# --- work that comes back


@job(queue="reports", retry=[0, 1])
def forecast() -> None:
    """Ask an observatory that is busy twice: the job is tried again until there is an answer."""
    attempts = Path("attempts.txt")
    with attempts.open("a") as file:
        file.write("asked\n")
    if attempts.read_text().count("asked") < 3:
        raise ConnectionError("the observatory is busy")
    write(Path("forecast.txt"), b"The next maximum is in some eleven years.\n")


@job(queue="mail")
def remind(queued_at: float) -> None:
    """Be performed at a time: it was queued two seconds before."""
    write(
        Path("reminder.txt"), f"came {time.time() - queued_at:.1f} s after it was queued".encode()
    )


# --- work that fails, each in its own way


class ChargeFailed(Exception):
    """A customer could not be charged."""


PRICES = {"print": 12, "poster": 30}


@job(queue="urgent")
def charge(customer: int, article: str) -> None:
    """Fail as most jobs do: with an exception that another one has caused."""
    try:
        price = PRICES[article]
    except KeyError as error:
        raise ChargeFailed(f"customer {customer}: there is no price for {article!r}") from error
    print(f"Customer {customer} has paid {price}")


@job(queue="trouble")
def spin() -> None:
    """Be killed by the kernel, for having used up the CPU time that the process may have."""
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    print("Counting, for one second of CPU time at most", file=sys.stderr, flush=True)
    number = 0
    while True:
        number += 1


@job(queue="trouble")
def crash() -> None:
    """Take down the interpreter, as a C library with a mistake in it would: read address 0."""
    ctypes.string_at(0)


@job(queue="trouble")
def hang() -> None:
    """Hang, until the worker is sent USR1."""
    ours, _theirs = socket.socketpair()
    ours.recv(1)


leaked: list[bytes] = []


@job(queue="trouble")
def leak(megabytes: int) -> None:
    """Keep memory that is never given back, until the child ends, and all of it goes."""
    before = psutil.Process().memory_info().rss
    leaked.append(b"x" * megabytes * MEGABYTE)
    after = psutil.Process().memory_info().rss
    line = (
        f"child {os.getpid()}: {before // MEGABYTE} MB at first, {after // MEGABYTE} MB at last\n"
    )
    with Path("memory.txt").open("a") as file:
        file.write(line)
