"""The benchmark runs, and says what it measured. How fast anything is, no test asks."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import install
from bench.figures import Samples, at_least, at_most, interleaved, of_ratio, one

ROOT = Path(__file__).parent.parent


def bench(*options: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *map(str, options)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What it printed of some rows at their smallest, and the file that it wrote."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    return bench("--tiny", "--json", file, 1, 3, 4, 7), file


def test_the_dashboard_is_measured() -> None:
    """Bytes of the first load and of a refresh, and the time of each page, are printed."""
    said = bench("web", "--failed=60", "--workers=4", "--tracked=60")
    assert re.search(r"^ *[\d,]+ bytes  first load, compressed$", said, re.MULTILINE)
    assert re.search(r"^ *0 bytes  refresh of one that has not$", said, re.MULTILINE)
    assert len(re.findall(r"^ *\d+\.\d ms ", said, re.MULTILINE)) == 14


def test_rows_are_printed_with_their_goals(measured: tuple[str, Path]) -> None:
    """Each row that was asked for stands there with goal, figure and whether it holds."""
    said, _ = measured
    goals, figures, *_ = said.split("\n\n")
    lines = [line.split() for line in goals.splitlines()[1:]]
    assert {line[0] for line in lines} == {"1", "3", "4", "7"}
    assert {line[-1] for line in lines} <= {"yes", "no"}
    assert all(" at least " in line or " at most " in line for line in goals.splitlines()[1:])
    for figure in ("bare loop, modules of our worker", "resque-fork, 500 jobs per fork"):
        assert figure in figures
    assert "all of it, from fork to fork" in figures
    assert "left out" not in said
    assert "not measured" not in said


def test_figures_are_written_for_machines(measured: tuple[str, Path]) -> None:
    """The JSON has every goal with its figure and whether it holds, and the machine."""
    figures = json.loads(measured[1].read_text())
    assert [row["number"] for row in figures["rows"]] == [1, 3, 4, 7]
    for row in figures["rows"]:
        assert row["checks"], row["title"]
        for check in row["checks"]:
            assert check["value"] >= 0, check
            assert check["holds"] in (True, False)
            assert check["low"] <= check["value"] <= check["high"]
    assert {"python", "cores", "server"} <= set(figures["machine"])


def test_one_command_and_one_round_trip_are_counted(measured: tuple[str, Path]) -> None:
    """Of the counts, which are the same on any machine: one script a job, beside the clock's, which
    is one a second."""
    rows = {row["number"]: row for row in json.loads(measured[1].read_text())["rows"]}
    assert any(re.search(r"2[1-9] EVALSHA", note) for note in rows[4]["notes"])
    assert all(1 <= check["value"] < 1.5 for check in rows[4]["checks"])  # and a look around


def test_tables_for_the_documents_come_from_the_file(measured: tuple[str, Path]) -> None:
    """Without measuring anew, the same rows as Markdown."""
    said = bench("--from", measured[1], "--markdown")
    assert said.startswith("| # | measure | goal | reached | spread | holds |\n")
    assert "| 4 | A busy worker: commands per job | at most 1 |" in said


def test_what_is_shown_decides_whether_a_goal_holds() -> None:
    """At least and at most, to two digits: 1.002 commands a job are one."""
    assert at_most(1, "commands", one(1.002)).holds
    assert not at_most(1, "commands", one(1.02)).holds
    assert at_least(0.7, "of the loop", one(0.7)).holds
    assert not at_least(0.7, "of the loop", one(0.69)).holds


def test_a_ratio_is_of_medians_and_spreads_over_rounds() -> None:
    """Rounds are compared with themselves: what slows all of one round changes no ratio."""
    ratio = of_ratio(Samples([10, 2, 30]), Samples([20, 4, 60]))
    assert (ratio.low, ratio.median, ratio.high) == (0.5, 0.5, 0.5)
    ratio = of_ratio(Samples([1, 2, 6]), Samples([1, 1, 2]))
    assert (ratio.low, ratio.median, ratio.high) == (1, 2, 3)


def test_all_contestants_have_turns_in_each_round() -> None:
    """Interleaved: nobody is measured twice before all others were."""
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    contestants = {name: functools.partial(measure, name) for name in "abc"}
    found = interleaved(contestants, 3, lambda text: None)
    assert order == list("abcbcacab")
    assert {name: len(samples.values) for name, samples in found.items()} == dict.fromkeys("abc", 3)


def test_a_peer_that_cannot_be_had_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without node there is no node-resque, and that is what the table's notes say."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(install.NotInstalled, match=r"^node and npm are not installed$"):
        install.node_folder(lambda text: None)
