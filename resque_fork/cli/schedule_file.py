"""The schedules of a config file: a table ``[schedule.NAME]`` for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..job.registry import registry
from ..job.schedule import CATCH_UP, Schedule
from ..settings import SCHEDULE, refuse_unknown, schedules_in

KEYS = ("cron", "every", "class", "queue", "args", "description", "catch_up", "enabled")


def declare_schedules(path: Path | None) -> None:
    """Declare those of the file beside those of jobs, which have been loaded.

    Raises SettingsError that names the file.
    """
    if path:
        for name, table in schedules_in(path).items():
            registry.add_schedule(_schedule(path, name, table))


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
