"""Calls of Linux where there is no Linux."""

from __future__ import annotations

import pytest

from resque_fork.system import libc


def test_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each does nothing, and says so."""
    monkeypatch.setattr(libc, "_libc", None)
    assert not libc.collapse(0, 4096)
    libc.trim_memory()
    assert libc.become_subreaper() == 0
    assert not libc.signal_at_death_of_parent(9)


def test_becoming_a_subreaper() -> None:
    """It can be switched on and off, and tells what it was."""
    before = libc.become_subreaper(1)
    try:
        assert libc.become_subreaper(0) == 1
        assert libc.become_subreaper(before) == 0
    finally:
        libc.become_subreaper(before)
