"""The files that are made from the tables of settings and commands.

`bin/python tests/generated.py` writes them anew; tests hold them against the table.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from resque_fork.cli import program
from resque_fork.cli.options import shown
from resque_fork.settings import BOOLEAN, flag, table, variables

ROOT = Path(__file__).resolve().parent.parent

# What the config file shows for settings that have no value unless they are set.
EXAMPLES: dict[str, Any] = {
    "min_interval": 1.0,
    "max_interval": 30.0,
    "backoff_interval": 0.1,
    "timeout": 300.0,
    "memory": "512M",
    "cpu": 60.0,
    "pidfile": "/run/resque-fork/worker.pid",
    "logfile": "/var/log/resque-fork/worker.log",
}

CONFIG_HEAD = """\
# Settings of resque-fork, for resque-fork --config FILE or RESQUE_CONFIG=FILE.
#
# Flags and environment variables take precedence over this file. Each setting is shown with its
# default, or with an example if it has no default. Keep passwords of Redis in the environment
# instead (RESQUE_REDIS). Times are in seconds, or have a unit: "10m". resque-fork config shows the
# values in use.
"""

CONFIG_TAIL = """\
# A schedule, of which there may be any number. Each has a name of its own; see docs/schedules.md.
# [schedule.nightly]
# cron = "30 2 * * * Europe/Berlin"
# class = "Cleanup"
# queue = "low"
"""

SETTINGS_HEAD = """\
# Settings

A flag takes precedence over an environment variable, and a variable over the file that `--config`
or `RESQUE_CONFIG` names. A setting that none of them gives has its default. If a row has two
variables, the first takes precedence. `resque-fork config` prints every setting, its value and
where it came from.

- Times are seconds, and may have a fraction or a unit: `0.5`, `90`, `10m`, `2h`, `1h30m`.
- Sizes are bytes, or a number with K, M or G: `512K`, `8M`, `1G`.
- Names are separated by commas. In the file they may be an array.
- `--no-...` turns a switch off. In the environment `1`, `true`, `yes` and `on` are true; `0`,
  `false`, `no` and `off` are false. An empty variable counts as not set.
- Give `-v` once or twice. `VERBOSE=1` means `-v`, `VVERBOSE=1` means `-vv`. In the file, write
  `verbose = 1` or `verbose = 2`.
- In the file a setting has the name of its flag, with underscores or dashes.
  [conf/resque-fork.toml](../conf/resque-fork.toml) has all of them.

`--redis`, `--namespace`, `--config` and `-v` work with every command, before or after its name. The
others are for `work`; a few other commands take some of them.

The glossary explains the words in the table: [worker](glossary.md#worker),
[child](glossary.md#child), [fork ahead](glossary.md#fork-ahead), [lost](glossary.md#lost), [poison
pill](glossary.md#poison-pill) and [heartbeat](glossary.md#heartbeat).
"""


def config_file() -> str:
    """``conf/resque-fork.toml``."""
    parts = [CONFIG_HEAD]
    for setting in table():
        if setting.default is None:
            value, note = EXAMPLES[setting.name], " Not set by default."
        else:
            value, note = setting.default, ""
        line = f"# {setting.name} = {_toml(setting, value)}\n"
        parts.append(f"# {setting.metadata['help']}{note}\n{line}")
    return "\n".join([*parts, CONFIG_TAIL])


def settings_table() -> str:
    """All settings as a table of Markdown."""
    rows = [("Flag", "Environment", "Default", ""), ("---",) * 4]
    for setting in table():
        names = [*setting.metadata["flags"], flag(setting)]
        default = shown(setting, setting.default) if setting.name != "verbose" else ""
        rows.append(
            (
                ", ".join(f"`{name}`" for name in names),
                ", ".join(f"`{name}`" for name in variables(setting)),
                f"`{default}`" if default else "",
                setting.metadata["help"].replace("|", "\\|"),
            )
        )
    return "".join(f"| {' | '.join(row)} |\n".replace("|  |", "| |") for row in rows)


def settings_page() -> str:
    """``docs/settings.md``."""
    return f"{SETTINGS_HEAD}\n{settings_table()}"


def commands() -> dict[str, click.Command]:
    """Every command of the program by its name, those of groups as ``failed show``."""
    context = click.Context(program)
    found: dict[str, click.Command] = {}
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": inner for sub, inner in command.commands.items()}
    return found


def commands_table() -> str:
    """All commands as a table of Markdown."""
    rows = "".join(
        f"| `resque-fork {name}` | {command.get_short_help_str(limit=120)} |\n"
        for name, command in commands().items()
    )
    return f"| Command | |\n| --- | --- |\n{rows}"


def commands_page() -> str:
    """``docs/commands.md`` with its table between its marks."""
    text = (ROOT / "docs/commands.md").read_text("utf-8")
    head, mark, rest = text.partition("<!-- commands -->\n")
    _, end, tail = rest.partition("<!-- /commands -->\n")
    assert mark, "docs/commands.md has no <!-- commands -->"
    assert end, "docs/commands.md has no <!-- /commands -->"
    return f"{head}{mark}{commands_table()}{end}{tail}"


FILES: dict[str, Callable[[], str]] = {
    "conf/resque-fork.toml": config_file,
    "docs/commands.md": commands_page,
    "docs/settings.md": settings_page,
}


def _toml(setting: Any, value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    if isinstance(value, str):
        return f'"{value}"'
    if setting.metadata["kind"] is BOOLEAN or isinstance(value, float):
        return str(value).lower()
    text = shown(setting, value)
    return text if text.isdecimal() else f'"{text}"'


if __name__ == "__main__":
    for name, make in FILES.items():
        (ROOT / name).write_text(make(), "utf-8")
        print(f"wrote {name}", file=sys.stderr)
