"""The examples in conf/ are what the program takes."""

import configparser
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import generated
import pytest

from resque_fork.cli.app import App
from resque_fork.cli.work import work
from resque_fork.settings import Settings, load, schedules_in, table

CONF = Path(__file__).resolve().parent.parent / "conf"


def check_command(command: str) -> dict[str, object]:
    """The settings that a command line of `work` gives; it must be one that is understood."""
    name, *args = shlex.split(command.removeprefix("exec "))
    assert Path(name).name == "resque-fork"
    args.remove("work")
    app = App()
    with work.make_context("work", args, obj=app):
        assert app.settings.queues
        assert app.settings.require
    return app.flags


def test_config_file_is_current() -> None:
    """The config file has every setting with its default and its help, in the table's order."""
    stale = "bin/python tests/generated.py writes it anew"
    assert (CONF / "resque-fork.toml").read_text() == generated.config_file(), stale


def test_config_file_loads(tmp_path: Path) -> None:
    """As it is, the config file sets nothing; uncommented, it sets everything to its default."""
    path = CONF / "resque-fork.toml"
    settings, sources = load({}, {}, path)
    assert settings == Settings()
    assert set(sources.values()) == {"default"}

    uncommented = tmp_path / "all.toml"
    uncommented.write_text(re.sub(r"^# (\w+ = |\[)", r"\1", path.read_text(), flags=re.MULTILINE))
    settings, sources = load({}, {}, uncommented)
    assert set(sources.values()) == {f"file {uncommented}"}
    assert list(schedules_in(uncommented)) == ["nightly"]
    for setting in table():
        value = getattr(settings, setting.name)
        if setting.default is None:
            assert value is not None, setting.name
        else:
            assert value == setting.default, setting.name


def test_procfile_commands_are_understood() -> None:
    """Each line of the Procfile is a name and a command of ours, run without a shell in between."""
    lines = (CONF / "Procfile").read_text().splitlines()
    commands = dict(line.split(": ", 1) for line in lines if not line.startswith("#"))
    assert set(commands) == {"urgent", "worker"}
    for command in commands.values():
        assert command.startswith("exec ")
        check_command(command)
    assert check_command(commands["worker"])["queues"] == ("urgent,*",)


def test_unit_is_understood() -> None:
    """The systemd unit starts a command of ours, and leaves it time for both of its timeouts."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(CONF / "resque-fork.service")
    service = unit["Service"]
    flags = check_command(service["ExecStart"].replace("/etc/resque-fork", str(CONF)))
    assert flags["queues"] == ("urgent,*",)
    assert "'" not in service["ExecStart"]
    settings, _ = load(flags, {})
    assert service["KillMode"] == "mixed"
    assert float(service["TimeoutStopSec"]) > settings.term_timeout + settings.pre_shutdown_timeout


def test_logrotate_sends_hup(tmp_path: Path) -> None:
    """After a rotation every worker with a pidfile gets HUP; without workers nothing is done."""
    text = (CONF / "logrotate").read_text()
    script = text.partition("postrotate\n")[2].partition("    endscript")[0]
    assert "/run/resque-fork/*.pid" in script
    script = script.replace("/run/resque-fork", str(tmp_path))
    subprocess.run(["sh", "-euc", script], check=True)

    waits = "import signal; print(signal.sigwait([signal.SIGHUP]).name)"
    block = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP]); print(1)"
    command = [sys.executable, "-uc", f"{block}; {waits}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        worker.stdout.readline()
        (tmp_path / "worker.pid").write_text(f"{worker.pid}\n")
        subprocess.run(["sh", "-euc", script], check=True)
        assert worker.communicate(timeout=10)[0] == f"{signal.SIGHUP.name}\n"


@pytest.mark.parametrize("path", sorted(CONF.iterdir()), ids=lambda path: path.name)
def test_says_what_it_is(path: Path) -> None:
    """Each example begins with a comment that says where it goes."""
    assert path.read_text().startswith("# ")
