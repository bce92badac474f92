"""The schedules of a config file: a table ``[schedule.NAME]`` for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..job.registry import registry
from ..job.schedule import CATCH_UP, Schedule
from ..settings import SCHEDULE, refuse_unknown, schedules_in

KEYS = ("cron", "every", "class", "queue", "args", "description", "catch_up", "enabled")


def read_schedules(path: Path) -> list[Schedule]:
    """All of them. Raises SettingsError that names the file."""
    return [_schedule(path, name, table) for name, table in schedules_in(path).items()]


def declare_schedules(path: Path | None) -> None:
    """Declare those of the file beside those of jobs, which have been loaded.

    Raises SettingsError.
    """
    for schedule in read_schedules(path) if path else ():
        registry.add_schedule(schedule)


def _schedule(path: Path, name: str, table: dict[str, Any]) -> Schedule:
    refuse_unknown(table, KEYS, f"The config file {path}, [{SCHEDULE}.{name}]")
    declared = registry.get(str(table.get("class")))
    try:
        return Schedule(
            name,
            table.get("class", ""),
            table.get("queue") or (declared and declared.queue) or "",
            table.get("cron"),
            table.get("every"),
            table.get("args", ()),
            table.get("description", ""),
            table.get("catch_up", CATCH_UP),
            table.get("enabled", True),
        )
    except SettingsError as error:
        raise SettingsError(f"The config file {path}: {error}") from None
