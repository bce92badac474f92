"""`info`, `pause`, `resume` and `config`."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from resque_fork import settings
from resque_fork.cli import examples
from resque_fork.system import pinned_pages

CONF = Path(__file__).resolve().parent.parent.parent / "conf"


def test_info(run, redis: Redis, redis_url: str) -> None:
    """info shows the numbers, as text and as an object."""
    run("enqueue", "mail", "Job")
    run("enqueue", "low", "Job")
    redis.set("resque:stat:processed", 12)
    redis.rpush("resque:failed", "{}")
    redis.sadd("resque:workers", "vm:1:mail", "vm:2:mail")
    redis.set("resque:worker:vm:1:mail", "{}")
    numbers = json.loads(run("info", "--json").stdout)
    servers = numbers.pop("servers")
    assert numbers == {
        "pending": 2,
        "delayed": 0,
        "retrying": 0,
        "processed": 12,
        "failed": 1,
        "queues": 2,
        "workers": 2,
        "working": 1,
    }
    assert len(servers) == 1
    assert run("info").stdout.startswith("pending:    2\ndelayed:    0\nretrying:   0\n")


def test_pause_and_resume(run, redis: Redis) -> None:
    """pause sets the key that all workers heed, resume deletes it, info tells."""
    assert run("pause").stdout.startswith("Paused: no worker takes a new job until")
    assert redis.get("resque:pause-all-workers") == b"true"
    assert run("info").stdout.endswith("All workers are paused; resque-fork resume ends it.\n")
    assert run("resume").stdout == "Resumed: workers take jobs again.\n"
    assert redis.keys() == []
    assert "paused" not in run("info").stdout


def test_pause_and_resume_a_queue(run, redis: Redis) -> None:
    """pause and resume name queues, which need not exist; what is left paused is told."""
    run("enqueue", "mail", "Job")
    paused = run("pause", "mail", "mial")
    assert paused.stdout == (
        "Paused mail: its jobs wait until resque-fork resume mail.\n"
        "Paused mial: its jobs wait until resque-fork resume mial.\n"
    )
    assert paused.stderr == "There is no queue mial yet; did you mean 'mail'?\n"
    assert redis.smembers("resque:fork:queues:paused") == {b"mail", b"mial"}
    assert not redis.exists("resque:pause-all-workers")
    info = run("info").stdout
    assert info.endswith("Paused queues: mail, mial; resque-fork resume QUEUE ends it.\n")

    run("pause")
    resumed = run("resume", "mial")
    assert resumed.stdout == "Resumed mial: workers take its jobs again.\n"
    assert resumed.stderr == "All workers are still paused: resque-fork resume ends that.\n"
    still = "Not from the queues that are paused: resque-fork resume mail ends that.\n"
    assert run("resume").stderr == still
    assert run("resume", "mail").stderr == ""
    assert not redis.exists("resque:fork:queues:paused")


@pytest.mark.parametrize("name", ["mail*", "mail,low", "!mail"])
def test_pause_takes_names_of_queues(run, redis: Redis, name: str) -> None:
    """A pattern, or a list as --queues takes it, is refused; a queue may have such a name."""
    assert run("pause", "low", name, status=1).stderr == (
        f"resque-fork: {name!r} is not the name of a queue: name each queue that is to be paused, "
        "as in resque-fork pause mail low.\n"
    )
    assert not redis.exists("resque:fork:queues:paused")
    redis.sadd("resque:queues", name)
    run("pause", name)
    assert redis.smembers("resque:fork:queues:paused") == {name.encode()}


def test_resume_what_is_not_paused(run, redis: Redis) -> None:
    """resume of a queue that is not paused is an error, and resumes nothing."""
    run("pause", "mail", "low")
    said = run("resume", "low", "mial", status=1).stderr
    assert said == "resque-fork: The queue mial is not paused; did you mean 'mail'?\n"
    assert redis.scard("resque:fork:queues:paused") == 2


def test_config_names_every_source(run, tmp_path: Path) -> None:
    """config shows each setting with its value, and whether flag, environment, file or default."""
    file = tmp_path / "resque.toml"
    file.write_text('queues = ["a", "b"]\nmax_payload = "2M"\nterm-child = false\n')
    env = {"QUEUE": "c", "RESQUE_TERM_TIMEOUT": "9"}
    args = ("config", "--namespace", "n", "--config", str(file))
    rows = {row["name"]: row for row in json.loads(run(*args, "--json", env=env).stdout)}
    assert set(rows) == {setting.name for setting in settings.table()}
    told = {name: (row["value"], row["source"]) for name, row in rows.items()}
    assert told["namespace"] == ("n", "--namespace")
    assert told["queues"] == (["c"], "environment QUEUE")
    assert told["term_timeout"] == (9.0, "environment RESQUE_TERM_TIMEOUT")
    assert told["max_payload"] == (2 * 1024**2, f"file {file}")
    assert told["count"] == (1, "default")
    lines = [" ".join(line.split()) for line in run(*args, env=env).stdout.splitlines()]
    assert lines[0] == "SETTING VALUE FROM"
    assert f"max_payload 2M file {file}" in lines
    assert f"term_child false file {file}" in lines
    assert "interval 5 default" in lines
    assert "pidfile default" in lines


def test_config_marks_what_will_not_do(run, tmp_path: Path) -> None:
    """config shows all settings, the bad ones as they were given, with what is wrong with them."""
    file = tmp_path / "resque.toml"
    file.write_text("queues = [1]\n")
    args, env = ("config", "--config", str(file)), {"COUNT": "0", "INTERVAL": "3"}
    result = run(*args, "--json", env=env, status=2)
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert set(rows) == {setting.name for setting in settings.table()}
    count = "environment COUNT: '0' is not valid: expected a whole number, 1 or more."
    queues = f"file {file}, queues: [1] is not valid: expected names, separated by commas."
    assert {name: row["problem"] for name, row in rows.items() if row["problem"]} == {
        "count": count,
        "queues": queues,
    }
    assert (rows["count"]["value"], rows["queues"]["value"]) == ("0", [1])
    assert rows["interval"]["value"] == 3.0
    result = run(*args, env=env, status=2)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert f"count 0 {count}" in lines
    assert f"queues [1] {queues}" in lines
    assert result.stderr == "A command that uses a setting that is not valid does not run.\n"


def test_config_shows_values_of_any_kind(run, tmp_path: Path) -> None:
    """What TOML can say and JSON cannot is shown as text."""
    file = tmp_path / "resque.toml"
    file.write_text("on_lost = 2026-11-23\ntimeout = nan\nverbose = -3\n")
    rows = json.loads(run("config", "--config", str(file), "--json", status=2).stdout)
    wrong = {row["name"]: row["value"] for row in rows if row["problem"]}
    assert wrong == {"on_lost": "2026-11-23", "timeout": "nan", "verbose": -3}


def test_config_says_what_has_no_effect(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pages cannot be pinned, and only if they are to be."""
    monkeypatch.setattr(pinned_pages, "why_not", lambda: "Operation not permitted")
    note = "pin_pages has no effect here: Operation not permitted.\n"
    assert run("config").stderr == note
    assert run("config", env={"RESQUE_PIN_PAGES": "no"}).stderr == ""
    monkeypatch.setattr(pinned_pages, "why_not", lambda: None)
    assert run("config").stderr == ""


def test_config_names_contradictions(run) -> None:
    """Settings that are good alone but not together are told after the table."""
    result = run("config", env={"RESQUE_PRUNE_INTERVAL": "30"}, status=2)
    assert len(result.stdout.splitlines()) == len(settings.table()) + 1
    assert result.stderr == (
        "resque-fork: The prune interval must be longer than the heartbeat interval.\n"
    )


def test_config_hides_passwords(run) -> None:
    """Nobody learns a password from config, nor from an error."""
    url = "redis://user:secret@localhost:1/0"
    for args in (["config"], ["config", "--json"]):
        text = run(*args, "--redis", url).stdout
        assert "secret" not in text
        assert "redis://user:***@localhost:1/0" in text
    assert "secret" not in run("info", "--redis", url, status=1).stderr


@pytest.mark.parametrize(
    ("option", "file"), [("--example", "resque-fork.toml"), ("--procfile", "Procfile")]
)
def test_config_prints_a_file_to_begin_with(run, option: str, file: str) -> None:
    """config --example and --procfile print what conf/ has."""
    assert run("config", option).stdout == (CONF / file).read_text()


@pytest.mark.parametrize(
    ("option", "file"),
    [("--systemd", "resque-fork.service"), ("--systemd-template", "resque-fork@.service")],
)
def test_config_prints_a_unit_for_here(tmp_path: Path, option: str, file: str) -> None:
    """config --systemd and --systemd-template name this program, this directory and this user."""
    directory = tmp_path / "100% ours"
    directory.mkdir()
    script = directory / "resque-fork"
    script.write_text(f"#!{sys.executable}\nfrom resque_fork.cli import main\nmain()\n")
    script.chmod(0o755)
    done = subprocess.run(
        [script, "config", option], cwd=directory, capture_output=True, text=True, check=True
    )
    escaped = str(directory).replace("%", "%%")
    expected = (CONF / file).read_text()
    for ours, here in (
        ("User=app", f"User={pwd.getpwuid(os.getuid()).pw_name}"),
        ("/srv/app/.venv/bin/resque-fork", f'"{escaped}/resque-fork"'),
        ("/srv/app", escaped),
    ):
        expected = expected.replace(ours, here)
    assert done.stdout == expected
    root = "User=root: jobs would run as root. Change it to the user of the application.\n"
    assert done.stderr == (root if os.getuid() == 0 else "")


def test_a_unit_for_a_program_that_is_started_as_a_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It then starts the interpreter with the module."""
    monkeypatch.setattr(sys, "argv", ["/x/resque_fork/__main__.py"])
    assert f"\nExecStart={sys.executable} -m resque_fork work " in examples.unit_of_here()


def test_a_unit_for_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It then names the user by number."""
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999)
    assert "\nUser=3999999\n" in examples.unit_of_here()


def test_config_has_no_json_of_a_file(run) -> None:
    """A file to begin with is not a listing."""
    result = run("config", "--procfile", "--json", status=2)
    assert result.stderr == (
        "resque-fork: --procfile prints a file, which has no JSON. See resque-fork config --help.\n"
    )
