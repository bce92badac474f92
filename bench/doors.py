"""Count the functions of the package that one no-op job enters, in parent and child.

A real worker with default settings performs no-op jobs, one job per fork. More jobs are always
waiting, so it forks the child of the next job while one runs: fork_ahead is on by default.
-o --no-fork-ahead counts without that. In the parent, a job lasts from one call of
Worker.work_one_job to the next; in the child, from the fork to the exit.

A function counts if more than half of the jobs enter it. The others, such as heartbeats, are
listed below the sums. A comprehension is part of the function around it.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

import click

from .arena import Arena
from .entered import FOLDER, Function
from .lane import Failed

WARM_UP = 5  # jobs
JOBS = 20  # that are looked at
AFTER = 5  # jobs that are still waiting when the last of those ends
USERS = ("enqueueing", "parent", "child")


@dataclass(frozen=True)
class Sum:
    functions: int
    files: int

    def __str__(self) -> str:
        return f"{self.functions} functions in {self.files} files"

    @classmethod
    def of(cls, entered: Iterable[Function]) -> Sum:
        distinct = set(entered)
        return cls(len(distinct), len({file for file, _ in distinct}))


# tests/test_doors.py fails if a job enters more. Lower them when it enters less.
CEILINGS = {
    "parent": Sum(118, 36),
    "child": Sum(56, 15),
    "parent and child": Sum(161, 42),
    "enqueueing": Sum(29, 11),
    "with enqueueing": Sum(189, 48),
}


@dataclass
class Doors:
    """The functions that are entered, in the order in which each is entered first.

    `rare` are those that do not count, by process, with the number of jobs that entered them.
    """

    parent: list[Function]
    child: list[Function]
    enqueueing: list[Function] = field(default_factory=list)
    rare: dict[str, dict[Function, int]] = field(default_factory=dict)

    def sums(self) -> dict[str, Sum]:
        sums = {
            "parent": Sum.of(self.parent),
            "child": Sum.of(self.child),
            "parent and child": Sum.of(self.parent + self.child),
        }
        if self.enqueueing:
            sums["enqueueing"] = Sum.of(self.enqueueing)
            sums["with enqueueing"] = Sum.of(self.enqueueing + self.parent + self.child)
        return sums

    def by_file(self) -> dict[str, dict[str, list[str]]]:
        """For each file its functions, and for each function those of USERS that enter it."""
        found: dict[str, dict[str, list[str]]] = {}
        for who in USERS:
            for file, function in getattr(self, who):
                found.setdefault(file, {}).setdefault(function, []).append(who)
        return found


def count(worker_options: Sequence[str] = (), *, enqueueing: bool = False) -> Doors:
    """Have a worker perform jobs, and count what some of them enter. Raises Failed."""
    with (
        tempfile.TemporaryDirectory(prefix="resque-fork-bench-") as name,
        Arena(Path(name), worker_options) as arena,
    ):
        folder = arena.folder / "entered"
        folder.mkdir()
        jobs = WARM_UP + JOBS + AFTER
        arena.fill(jobs, jobs)
        process = arena.work(app="bench.observed", **{FOLDER: str(folder)})
        arena.until_idle(process.pid)
        arena.end(process, signal.SIGTERM)
        parent, rare = usual(_read(folder, "parent"))
        child, rare_in_child = usual(_read(folder, "child"))
        doors = Doors(parent, child, rare={"parent": rare, "child": rare_in_child})
        if enqueueing:
            said = arena.output([sys.executable, "-m", "bench.enqueueing", arena.url])
            doors.enqueueing = _functions(said)
        return doors


def _read(folder: Path, who: str) -> list[list[Function]]:
    """For each job that is looked at, the functions that it entered."""
    files = [folder / f"{who}-{number}" for number in range(WARM_UP + 1, WARM_UP + 1 + JOBS)]
    found = [_functions(file.read_text()) for file in files if file.exists()]
    if not found:
        raise Failed(f"No job was observed in the {who}")
    return found


def _functions(text: str) -> list[Function]:
    return [(file, name) for file, name in json.loads(text)]


def usual(jobs: Sequence[Sequence[Function]]) -> tuple[list[Function], dict[Function, int]]:
    """The functions that more than half of the jobs entered; the others, with how many did."""
    times = Counter(chain.from_iterable(jobs))
    most = [function for function, number in times.items() if number > len(jobs) / 2]
    return most, {f: number for f, number in times.items() if number <= len(jobs) / 2}


def table(doors: Doors) -> str:
    """The files with their functions, in the order in which they are first entered; the sums."""
    lines = []
    for file, functions in doors.by_file().items():
        lines.append(file)
        for who in USERS:
            names = [name for name, users in functions.items() if who in users]
            if names:
                text = f"{who} {len(names)}: {', '.join(names)}"
                lines += textwrap.wrap(text, 100, initial_indent=" " * 4, subsequent_indent=" " * 8)
    lines.append("")
    for what, found in doors.sums().items():
        lines.append(f"{what}: {found} (ceiling: {CEILINGS[what]})")
    for who, rare in doors.rare.items():
        for (file, name), number in rare.items():
            jobs = "1 job" if number == 1 else f"{number} jobs"
            lines.append(f"not counted in the {who}, entered by {jobs} only: {name} ({file})")
    return "\n".join(lines)


def to_json(doors: Doors) -> str:
    whole = {
        "sums": {what: asdict(found) for what, found in doors.sums().items()},
        "files": doors.by_file(),
        "not counted": {
            who: [[*function, number] for function, number in functions.items()]
            for who, functions in doors.rare.items()
        },
    }
    return json.dumps(whole, indent=1)


@click.command(help=__doc__)
@click.option("--enqueueing", is_flag=True, help="Count what enqueues the job, too.")
@click.option(
    "-o", "--worker-options", default="", metavar="WORDS", help="For the worker's command line."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all of it here.")
def main(enqueueing: bool, worker_options: str, json_file: Path | None) -> None:
    try:
        doors = count(shlex.split(worker_options), enqueueing=enqueueing)
    except Failed as problem:
        raise click.ClickException(str(problem)) from None
    if json_file:
        json_file.write_text(to_json(doors) + "\n")
    click.echo(table(doors))
