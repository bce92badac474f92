"""A run that is cut off says how many of its tests did not run."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


class NotRun:
    """A plugin for pytest, with and without xdist."""

    def __init__(self) -> None:
        self._collected: set[str] = set()
        self._ended: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collected.update(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Iterable[str]) -> None:
        self._collected.update(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self._ended.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        missing = self._collected - self._ended
        if missing and not terminalreporter.config.option.collectonly:
            terminalreporter.section("tests that did not run", red=True)
            terminalreporter.write_line(f"{len(missing)} of {len(self._collected)} did not run")
