"""Measure what a job costs, beside the bare fork loop and other systems.

ROWS are numbers, 1 to 12; all of them unless told. Every contestant of a row runs in
each round, one after the other; a figure is the median of the rounds.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from . import doors, tables, web
from .arena import Arena
from .figures import Result
from .lane import ROOT, Failed
from .plan import PLANS, Bench, Plan
from .rows import ROWS

PAGE = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "performance.png"
OTHERS = (
    "bin/bench doors counts the functions that a job enters, bin/bench web measures the dashboard."
)


def measure(numbers: list[int], plan: Plan, options: list[str]) -> tuple[list[Result], Any]:
    """Measure these rows; a row that cannot be measured says why."""
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="resque-fork-bench-") as name,
        Arena(Path(name), options) as arena,
    ):
        where = tables.machine(arena.server_name())
        if options:
            where["worker options"] = " ".join(options)
        for number in numbers:
            results.append(_row(number, Bench(arena, plan, _teller(number))))
    return results, where


def _row(number: int, bench: Bench) -> Result:
    start = time.monotonic()
    try:
        result = ROWS[number](bench)
    except Failed as problem:
        result = Result(number, "not measured", notes=[str(problem)])
    bench.tell("")
    result.notes.append(f"measured in {time.monotonic() - start:.0f} s")
    _say_at_once(result)
    return result


def _say_at_once(result: Result) -> None:
    for line in tables.goals([result]):
        click.echo("  ".join(line), err=True)
    for line in tables.details([result]):
        click.echo("      " + "  ".join(line[1:]), err=True)
    for note in result.notes:
        click.echo(f"      {note}", err=True)


def _teller(number: int) -> Any:
    def tell(text: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{f'row {number}: {text}' if text else ''}", err=True, nl=False)

    return tell


@click.command(help=__doc__, epilog=OTHERS)
@click.argument("rows", nargs=-1, type=click.IntRange(1, max(ROWS)))
@click.option(
    "--quick", "size", flag_value="quick", help="The rows with goals in about two minutes."
)
@click.option("--tiny", "size", flag_value="tiny", help="Only to see that it runs.")
@click.option("--rounds", type=click.IntRange(min=1), help="Repetitions of each row.")
@click.option("--turn", type=float, help="Seconds that a contestant runs before the next one.")
@click.option("--no-peers", is_flag=True, help="Leave other systems out.")
@click.option(
    "-o",
    "--worker-options",
    default="",
    metavar="WORDS",
    help="For the command line of every worker of ours.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all of it here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Write a PNG here.")
@click.option("--markdown", is_flag=True, help="Print the tables as docs/benchmarks.md has them.")
@click.option("--docs", is_flag=True, help="Write tables and plot into docs/.")
@click.option(
    "--from",
    "from_file",
    type=click.Path(path_type=Path, exists=True),
    help="Measure nothing; take what --json wrote.",
)
def main(
    rows: tuple[int, ...],
    size: str | None,
    rounds: int | None,
    turn: float | None,
    no_peers: bool,
    worker_options: str,
    json_file: Path | None,
    plot_file: Path | None,
    markdown: bool,
    docs: bool,
    from_file: Path | None,
) -> None:
    plan = PLANS[size or "full"]
    plan = dataclasses.replace(
        plan,
        rounds=rounds or plan.rounds,
        turn=turn or plan.turn,
        peers=plan.peers and not no_peers,
    )
    if from_file:
        read = json.loads(from_file.read_text())
        results, where = [Result.from_dict(row) for row in read["rows"]], read["machine"]
    else:
        results, where = measure(list(rows or plan.rows), plan, shlex.split(worker_options))
    if json_file:
        whole = {"machine": where, "rows": [result.to_dict() for result in results]}
        json_file.write_text(json.dumps(whole, indent=1) + "\n")
    if plot_file:
        _plot(results, plot_file)
    if docs:
        tables.write_page(PAGE, results, where)
        _plot(results, PICTURE)
    show = tables.markdown if markdown else tables.terminal
    click.echo(show(results, where))


def _plot(results: list[Result], file: Path) -> None:
    try:
        from . import plot

        plot.save(results, file)
    except ImportError as problem:
        raise click.ClickException(f"The plot needs matplotlib: {problem}") from None


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # leave, and leave nothing running
    if sys.argv[1:2] == ["doors"]:
        doors.main(sys.argv[2:], "bin/bench doors")
    if sys.argv[1:2] == ["web"]:
        web.main(sys.argv[2:], "bin/bench web")
    main()
