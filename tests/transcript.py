"""A page's transcript of a terminal: the commands, what they print, and whether they still do."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

ROWS, COLUMNS = 50, 100

# What varies from one run to the next.
VARIES = (
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),  # colours
    (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ?", "TIME"),
    (r"\[\d+\] (?=[A-Z]+:)", "[PID] "),
    (r"\bpid \d+", "pid PID"),
    (r"[\w.-]+:\d+:(?=\S)", "HOST:PID:"),
    (r"resque-fork \d\S*", "resque-fork VERSION"),
    (r"\S+://\S+", "URL"),
    (r"\bin \d+\.\d+ s\b", "in SECONDS"),
    (r"\b[0-9a-f]{8}\b", "ID"),
    (r"(?m)^.*\[[#-]{36}\].*\n", ""),  # a bar of progress
    (r"\b\d+[dhms](?: \d+[hms])?\b", "SPAN"),
    (r"[ \t]+", " "),  # columns are as wide as what stands in them
)


def commands_of(code: str) -> list[tuple[str, list[str]]]:
    """Each command behind a ``$``, and the lines that are printed beneath it."""
    found: list[tuple[str, list[str]]] = []
    for line in code.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def normal(text: str) -> list[str]:
    """The lines without what varies."""
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return [line.strip() for line in text.splitlines()]


def is_as_printed(printed: list[str], shown: str) -> bool:
    """Whether a terminal has shown what a page prints; ``...`` stands for any lines."""
    wanted = normal("\n".join(printed))
    pattern = "".join(r"(?:.*\n)*" if w == "..." else re.escape(w) + "\n" for w in wanted)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in normal(shown))) is not None


@contextlib.contextmanager
def in_terminal(
    command: str, directory: Path, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[str]]]:
    """A command in a terminal of its own, and the lines that it shows, as they come."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    with os.fdopen(ours, encoding="utf-8", newline="") as screen:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=directory,
            env={**environment, "TERM": "xterm", "COLUMNS": str(COLUMNS)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        with process:
            yield process, _lines(screen)


def _lines(screen: TextIO) -> Iterator[str]:
    """Until nobody has the terminal open any more, which Linux reports as an error."""
    with contextlib.suppress(OSError):
        # not `from screen`, which would close the terminal when nobody reads on
        yield from iter(screen.readline, "")
