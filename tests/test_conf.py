"""The examples in conf/ are what the program takes."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import shipped
from shipped import CONF

from resque_fork.cli.app import App
from resque_fork.cli.work import work
from resque_fork.settings import Settings, load, schedules_in, table
from resque_fork.text import parse_size


def settings_of(command: list[str], env: dict[str, str]) -> Settings:
    """The settings that a command line of `work` gives; it must be one that is understood."""
    name, *args = command
    assert Path(name).name == "resque-fork"
    args.remove("work")
    app = App()
    with work.make_context("work", args, obj=app):
        settings, _ = load(app.flags, env)
    assert settings.queues
    assert settings.require
    return settings


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


def seconds_to_stop(settings: Settings) -> float:
    """How long a stop takes at most while Redis answers."""
    return settings.pre_shutdown_timeout + settings.term_timeout


def test_procfile_commands_are_understood() -> None:
    """Each line is a command of ours without a shell in between, and stops before it is killed."""
    commands = shipped.procfile()
    assert set(commands) == {"urgent", "worker"}
    for name, command in commands.items():
        first, *words = shlex.split(command)
        assert first == "exec"
        settings = settings_of(words, {})
        assert settings.queues == {"urgent": ("urgent",), "worker": ("urgent", "*")}[name]
        assert settings.on_term == "requeue"
        assert seconds_to_stop(settings) < 5  # when honcho kills


@pytest.mark.parametrize("name", shipped.UNITS)
def test_unit_is_understood(name: str) -> None:
    """A unit starts a command of ours, has no quotes for a shell, and gives it time to stop."""
    unit = shipped.Unit(name)
    settings = settings_of(unit.command, unit.environment)
    assert settings.queues == (("mail",) if "@" in name else ("urgent", "*"))
    assert "'" not in unit["ExecStart"]
    assert unit["SendSIGKILL"] == "yes"
    assert float(unit["TimeoutStopSec"]) >= 300
    # the stop of a job, and the wait for a Redis that is away
    assert float(unit["TimeoutAbortSec"]) > seconds_to_stop(settings) + settings.term_timeout
    assert all(file.startswith("-") for file in unit.all("EnvironmentFile"))


@pytest.mark.parametrize("name", shipped.UNITS)
def test_systemd_takes_the_unit(name: str, tmp_path: Path) -> None:
    """systemd has nothing to say against any line of it, as far as this version knows it."""
    verify = shutil.which("systemd-analyze")
    if verify is None:
        missing = "NOT TESTED for want of systemd-analyze: apt-get install systemd"
        if os.environ.get("CI") and sys.platform == "linux":
            pytest.fail(missing)
        pytest.skip(missing)
    program = shipped.Unit(name).command[0]
    text = (CONF / name).read_text().replace(program, "/bin/true")
    (tmp_path / name).write_text(text)
    path = tmp_path / name.replace("@", "@mail")
    done = subprocess.run([verify, "verify", path], capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("platform", shipped.PLATFORMS, ids=lambda one: one.__name__)
def test_platforms_are_understood(platform: Callable[[], shipped.Platform]) -> None:
    """Each starts a command of ours, and gives it time to stop."""
    ours = platform()
    assert seconds_to_stop(settings_of(ours.command, ours.environment)) < ours.grace


def test_image_is_not_for_root() -> None:
    """It runs as a user that it makes, and with no program in front of the worker."""
    image = shipped.dockerfile()
    assert "ENTRYPOINT" not in image
    assert int(image["USER"]) > 0
    assert f"--uid {image['USER']} " in image["RUN"]


def test_kubernetes_manifest_fits_the_image() -> None:
    """Its pods have the user of the image, and a job's limit of memory below the container's."""
    document, pod = shipped.deployment(), shipped.pod()
    assert (document["apiVersion"], document["kind"]) == ("apps/v1", "Deployment")
    labels = document["spec"]["template"]["metadata"]["labels"]
    assert document["spec"]["selector"]["matchLabels"] == labels
    settings = settings_of(shipped.kubernetes().command, shipped.kubernetes().environment)
    assert pod["securityContext"]["runAsUser"] == int(shipped.dockerfile()["USER"])
    memory = pod["containers"][0]["resources"]["limits"]["memory"]
    assert settings.memory is not None
    assert settings.memory < parse_size(memory.removesuffix("i"))


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
    """Each example begins with a comment that says where it goes; JSON has a description."""
    if path.suffix == ".json":
        assert json.loads(path.read_text())["description"]
    else:
        assert path.read_text().startswith("# ")
