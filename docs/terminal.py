"""Makes docs/terminal.svg, the README's picture: a terminal in which a job crashes.

`bin/test tests/test_pictures.py --pictures` runs it. What the picture shows is what the programs
printed; only the directories of this machine are replaced.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from rich.console import Console
from rich.text import Text

from resque_fork import Resque
from resque_fork.embedded import Server

COLUMNS = 100

# The job says through a FIFO that it runs, and waits until somebody has looked at it.
APP = """\
import ctypes
import sys

from resque_fork import job


@job(queue="reports")
def report(month):
    open("running").read()
    print(f"No template for {month}", file=sys.stderr)
    ctypes.string_at(0)
"""
WORK = ["work", "--queues=mail,reports", "--require=app", "--interval=0"]
SHOW = ["failed", "show", "0"]


def main(picture: Path) -> None:
    with Server() as server, tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "app.py").write_text(APP)
        fifo = Path(directory, "running")
        os.mkfifo(fifo)
        Resque(server.url).enqueue_to("reports", "report", "2026-11")
        environment = {**os.environ, "RESQUE_REDIS": server.url, "COLUMNS": str(COLUMNS)}

        def start(arguments: list[str]) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-m", "resque_fork", *arguments],
                cwd=directory,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

        with start(WORK) as worker:
            with open(fifo, "w"):  # once the job has opened it too
                processes = titles(worker.pid)
            worker.communicate()
        with start(SHOW) as show:
            entry = show.communicate()[0]
    screen = Console(record=True, width=COLUMNS, file=io.StringIO())
    for command, output in (
        (f"resque-fork {' '.join(WORK[:-1])} &", ""),
        ("ps -e -o pid,ppid,command | grep '[r]esque-'", processes),
        (f"resque-fork {' '.join(SHOW)}", without_places(entry, directory)),
    ):
        screen.print(Text.assemble((f"$ {command}\n", "bold"), output), soft_wrap=True, end="")
    screen.print("$", style="bold")
    picture.write_text(without_fonts(screen.export_svg(title="resque-fork")), "utf-8")


def titles(pid: int) -> str:
    """What ps shows of a worker and its child."""
    pids = [str(process.pid) for process in psutil.Process(pid).children()]
    command = ["ps", "-o", "pid=,ppid=,command=", "-p", ",".join([str(pid), *pids])]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def without_places(text: str, directory: str) -> str:
    """As if the application were in /srv/app, and Python where a system has it."""
    return text.replace(directory, "/srv/app").replace(sys.base_prefix, "/usr")


def without_fonts(svg: str) -> str:
    """No font is loaded from elsewhere: whatever the reader has is good enough."""
    return re.sub(r"\s*@font-face \{.*?\}\n", "\n", svg, flags=re.DOTALL).replace(
        "Fira Code", "ui-monospace"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
