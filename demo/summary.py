"""What came of it all: what was done, what failed and why, and whether that is as it should be."""

import re
from collections import Counter
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import click

from resque_fork import FailedJob, Resque

HERE = Path(__file__).resolve().parent

# The jobs that fail: with which exception, by which signal, and what is behind it. A kernel may
# also use SIGXCPU against a process that uses too much of the CPU.
FAILURES: dict[str, tuple[str, set[object], str]] = {
    "charge": ("ChargeFailed", {None}, "raised it"),
    "os.system": ("ResqueFork::UnknownJob", {None}, "was never declared"),
    "spin": ("Resque::DirtyExit", {"SIGKILL", "SIGXCPU"}, "was killed by the kernel"),
    "crash": ("Resque::DirtyExit", {"SIGSEGV"}, "crashed in C"),
    "hang": ("Resque::TermException", {None}, "was stopped with USR1"),
}

RETRIES = 2  # attempts of the forecast that fail, and are no failures

LOOK_FURTHER = (
    ("bin/demo --web", "the same in a dashboard, in your browser"),
    ("bin/demo --stay", "server, worker and files stay, to try:"),
    ("bin/resque-fork failed", "the failed jobs"),
    ("bin/resque-fork failed show 3", "all that is known of the crash"),
    ("bin/resque-fork failed requeue 0", "let the first of them try again"),
    ("bin/resque-fork schedule", "the chart is also drawn once a day"),
    ("bin/resque-fork list", "the worker"),
    ("bin/resque-fork info", "the numbers"),
)


class Summary:
    """`problems` are sentences; without any, everything went as it should."""

    def __init__(self, resque: Resque, folder: Path, enqueued: dict[str, int]) -> None:
        self._folder = folder
        self._failed = list(resque.failed().each(newest_first=False))
        self._done = Counter(enqueued) - Counter(str(job.class_name) for job in self._failed)
        self._log = (folder / "worker.log").read_text(errors="replace").splitlines()
        self.problems = [*self._wrong_counts(resque, enqueued), *self._wrong_failures()]
        self.problems += self._wrong_files()

    def show(self, stayed: bool) -> None:
        self._show_done()
        self._show_returns()
        self._show_failed()
        self._show_memory()
        click.secho("\nTo look further", bold=True)
        for command, what in LOOK_FURTHER[2 * stayed :]:
            click.echo(f"  {command:<38}{what}")
        if stayed:
            click.echo(f"\nThe files are in {self._folder}, with the worker's log.")
        if self.problems:
            click.secho("\nThis is not as it should be:", fg="red", bold=True)
            click.echo("\n".join([*self.problems, "The worker's log ends:", *self._log[-5:]]))

    # --- what is shown

    def _show_done(self) -> None:
        _heading(f"{self._done.total()} jobs done", "green")
        files = {
            "send_mail": sorted(self._folder.glob("outbox/*.eml")),
            "chart": [self._folder / "sunspots.png"],
            "Report": [self._folder / "sunspots.html"],
            "leak": [self._folder / "memory.txt"],
            "forecast": [self._folder / "forecast.txt"],
            "remind": [self._folder / "reminder.txt"],
        }
        for name, count in self._done.items():
            found = [path for path in files.get(name, []) if path.exists()]
            size = sum(path.stat().st_size for path in found)
            if found:
                shown = str(found[0].relative_to(self._folder))
                shown += f" and {len(found) - 1} more" if len(found) > 1 else ""
                click.echo(f"  {count:>3}  {name:<16}{size / 1000:>7.1f} kB  {shown}")
        taken = next((line for line in self._log if "got: " in line), "")
        if taken:
            click.echo(f"  taken first, though queued late: {taken.partition('got: ')[2]}")

    def _show_returns(self) -> None:
        _heading("2 of them came back", "green")
        for line in self._log:
            if "forecast" in line and "Attempt" in line:
                click.echo(f"       {line.partition(' failed: ')[2].partition(' (')[0]}")
        click.echo(f"       remind {self._text_of('reminder.txt')}")

    def _show_failed(self) -> None:
        _heading(f"{len(self._failed)} jobs failed, and the worker went on", "red")
        for job in self._failed:
            name, exception = str(job.class_name), str(job.exception)
            why = FAILURES[name][2] if name in FAILURES else ""
            head = click.style(f"{name:<10}", bold=True) + click.style(f"{exception:<24}", fg="red")
            click.echo(f"  {job.index:>3}  {head}{why}")
            for line in _told(job):
                click.echo(f"         {line}")

    def _show_memory(self) -> None:
        _heading("The job that leaks ran twice, each time in a fresh child", "yellow")
        for line in self._memory():
            click.echo(f"       {line}")

    def _memory(self) -> list[str]:
        return self._text_of("memory.txt").splitlines()

    def _text_of(self, name: str) -> str:
        try:
            return (self._folder / name).read_text()
        except OSError:
            return ""

    # --- what should be

    def _wrong_counts(self, resque: Resque, enqueued: dict[str, int]) -> list[str]:
        info = resque.info()
        attempts = sum(enqueued.values()) + RETRIES
        expected = {"pending": 0, "delayed": 0, "processed": attempts, "failed": len(FAILURES)}
        return [
            f"{name} is {info[name]} instead of {number}."
            for name, number in expected.items()
            if info[name] != number
        ]

    def _wrong_failures(self) -> list[str]:
        found = {job.class_name: job for job in self._failed}
        return [
            f"{name} did not fail with {exception} and signal {signals}."
            for name, (exception, signals, _) in FAILURES.items()
            if name not in found
            or found[name].exception != exception
            or found[name].forensics.get("signal") not in signals
        ]

    def _wrong_files(self) -> list[str]:
        wrong = []
        for path in self._folder.glob("outbox/*.eml"):
            mail: Any = message_from_bytes(path.read_bytes(), policy=policy.default)
            attached = [part.get_content() for part in mail.iter_attachments()]
            if attached != [(self._folder / "sunspots.png").read_bytes()]:
                wrong.append(f"{path.name} has not the picture.")
        if len(list(self._folder.glob("outbox/*.eml"))) != self._done["send_mail"]:
            wrong.append("There is not a file for each mail.")
        if not (self._folder / "sunspots.html").exists():
            wrong.append("There is no report.")
        if not self._text_of("forecast.txt"):
            wrong.append("There is no forecast.")
        late = re.match(r"came (\d\.\d) s after", self._text_of("reminder.txt"))
        if late is None or float(late[1]) < 2:
            wrong.append("The reminder did not come two seconds later.")
        if len(self._memory()) != self._done["leak"]:
            wrong.append("memory.txt has not a line for each leak.")
        return wrong


def _heading(text: str, colour: str) -> None:
    click.secho(f"\n{text}", bold=True, fg=colour)


def _told(job: FailedJob) -> list[str]:
    """A failure in a few lines: the error, where it was, and the last that was heard."""
    told = [str(job.error)]
    told += [f"at {_short(line)}" for line in job.backtrace[:1]]
    frames = [line.strip() for line in job.forensics.get("stack", []) if "File" in line]
    told += [f"at {_short(line)}" for line in frames if str(HERE) in line][:1]
    told += [f"stderr: {line}" for line in job.forensics.get("stderr", [])[-1:]]
    if job.forensics.get("user_ms", 0) > 500:
        told.append(
            f"used {job.forensics['user_ms']} ms of the CPU in {job.forensics['wall_ms']} ms"
        )
    return told


def _short(line: str) -> str:
    """``jobs.py:91:in charge``, of a frame in either form."""
    frame = re.match(r'File "(.*)", line (\d+) in (.*)', line)
    if frame:
        line = f"{frame[1]}:{frame[2]}:in {frame[3]}"
    return line.removeprefix(f"{HERE}/")
