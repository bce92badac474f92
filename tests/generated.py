"""The files that are made from the tables of settings and commands, and what `config` prints.

`bin/python tests/generated.py` writes them anew; tests hold them against the table.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from resque_fork.cli import examples, program
from resque_fork.cli.options import shown
from resque_fork.settings import flag, table, variables

ROOT = Path(__file__).resolve().parent.parent

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
    "conf/Procfile": lambda: examples.PROCFILE,
    "conf/resque-fork.service": examples.unit,
    "conf/resque-fork@.service": lambda: examples.unit(template=True),
    "conf/resque-fork.toml": examples.config_file,
    "docs/commands.md": commands_page,
    "docs/settings.md": settings_page,
}


if __name__ == "__main__":
    for name, make in FILES.items():
        (ROOT / name).write_text(make(), "utf-8")
        print(f"wrote {name}", file=sys.stderr)
