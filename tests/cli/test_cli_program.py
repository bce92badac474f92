"""What all commands have in common."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from redis import Redis

from resque_fork import embedded
from resque_fork.cli import program
from resque_fork.cli.app import App
from resque_fork.cli.program import COMMANDS, _report
from resque_fork.version import __version__

COMMON = ["--redis", "--namespace", "--config", "-v", "--verbose"]

# Every command, and the options that are its own.
SURFACE = {
    "enqueue": ["--stdin", "--in", "--at"],
    "list": ["--json"],
    "status": ["--follow", "--json"],
    "top": [],
    "kill": ["--on-lost", "--max-attempts", "--max-payload", "--failure-backend"],
    "remove": ["--force", "--on-lost", "--max-attempts", "--failure-backend", "--prune-interval"],
    "queues": ["--json"],
    "queues peek": ["--start", "--count", "--json"],
    "queues remove": [],
    "queues clear": [],
    "dequeue": [],
    "failed": [
        *("--class", "--queue", "--exception", "--older-than", "--newer-than"),
        *("--start", "--count", "--list", "--json"),
    ],
    "failed show": ["--list", "--json"],
    "failed requeue": ["--yes", "--all", "--queue", "--class", "--exception", "--again", "--list"],
    "failed remove": ["--yes", "--all", "--queue", "--class", "--exception", "--list"],
    "failed clear": ["--yes", "--list"],
    "retries": ["--class", "--queue", "--start", "--count", "--json"],
    "retries show": ["--json"],
    "retries now": ["--class", "--queue", "--all"],
    "retries remove": ["--class", "--queue", "--all"],
    "delayed": ["--start", "--count", "--json"],
    "delayed show": ["--start", "--count", "--json"],
    "delayed now": [],
    "delayed remove": [],
    "delayed clear": ["--yes"],
    "schedule": ["--json"],
    "schedule next": ["--until", "--start", "--count", "--json"],
    "schedule check": ["--require", "-r"],
    "schedule run": [],
    "schedule pause": [],
    "schedule resume": [],
    "schedule remove": [],
    "clock": ["--scheduler-lock-prefix", "--failure-backend", "--log-format"],
    "info": ["--json"],
    "metrics": [],
    "health": ["--pidfile", "--heartbeat-interval"],
    "pause": [],
    "resume": [],
    "prune": ["--json", "--on-lost", "--prune-interval", "--heartbeat-interval"],
    "stacks": ["--json"],
    "config": ["--json", "--example", "--systemd", "--systemd-template", "--procfile"],
    "redis": ["--port"],
    "web": [
        *("--host", "--port", "--allow-host", "--password-file", "--trusted-header"),
        *("--read-only", "--prune-interval", "--scheduler-lock-prefix", "--log-format"),
    ],
    "doctor": ["--json", "--require", "-r"],
    "work": [
        *("-q", "--queues", "-r", "--require", "--interval", "--min-interval", "--max-interval"),
        *("--backoff-interval", "--count", "--fork-per-job", "--no-fork-per-job"),
        *("--jobs-per-fork", "--term-timeout", "--pre-shutdown-timeout"),
        *("--term-child", "--no-term-child", "--graceful-term", "--run-at-exit-hooks"),
        *("--on-lost", "--on-term", "--max-attempts", "--max-payload", "--heartbeat-interval"),
        *("--prune-interval", "--pidfile", "--daemon", "--failure-backend", "--procline-prefix"),
        *("-v", "--log-format", "--reload"),
    ],
}


def find(path: str) -> click.Command:
    command: click.Command = program
    for name in path.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None, path
        command = found
    return command


def options(command: click.Command) -> set[str]:
    params = command.get_params(click.Context(command))
    return {name for param in params for name in (*param.opts, *param.secondary_opts)}


@pytest.mark.parametrize("path", SURFACE)
def test_every_command_has_its_options(path: str) -> None:
    """Each command exists, has help, and takes its own options and those of the program."""
    command = find(path)
    assert command.help
    common = set(COMMON) - ({"-v"} if path in ("enqueue", "dequeue") else set())
    assert options(command) >= {*SURFACE[path], *common}


def test_there_are_no_other_commands(run) -> None:
    """The help of the program lists every command, and no test forgets one."""
    assert list(COMMANDS) == program.list_commands(click.Context(program))
    assert set(COMMANDS) == {path.split()[0] for path in SURFACE}
    help = run("--help").stdout
    assert all(f"\n  {name} " in help for name in COMMANDS)


def test_misspelt_option(run) -> None:
    """The error names those that are alike, and where to read on."""
    error = run("work", "--queue=mail", status=2).stderr
    assert error == (
        "resque-fork: No such option '--queue'. Did you mean one of: '--queues', '--require'? "
        "See resque-fork work --help.\n"
    )


def test_values_of_options_are_words(run) -> None:
    """What the help writes behind an option is a name or a choice, and no phrase."""
    help = run("schedule", "next", "--help").stdout
    assert "--until TIME " in help


def test_environment_variables_are_in_the_help(run) -> None:
    """The help of `work` names for each option its environment variable and default."""
    help = " ".join(run("work", "--help").stdout.split())
    for variable in ("QUEUES, QUEUE", "INTERVAL", "RESQUE_TERM_TIMEOUT", "RESQUE_ON_LOST"):
        assert f"[{variable}" in help
    assert "default: 8M]" in help


def test_says_its_version(run) -> None:
    """--version prints the version and nothing else."""
    assert run("--version").stdout == f"resque-fork {__version__}\n"


def test_runs_as_a_module(call) -> None:
    """`python -m resque_fork` is the same program."""
    assert call("--version").stdout == f"resque-fork {__version__}\n"


def test_without_a_command_it_shows_help(run) -> None:
    """Without a command it shows its help, on stderr, as wrong usage."""
    result = run(status=2)
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: resque-fork [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["wrok"], "No such command 'wrok'; did you mean work? See resque-fork --help."),
        (["xyz"], "No such command 'xyz'. See resque-fork --help."),
        (["queues", "xyz"], "No such command 'xyz'. See resque-fork queues --help."),
        (["kill"], "Missing argument 'WORKER'. See resque-fork kill --help."),
        (["list", "x"], "Got unexpected extra argument (x). See resque-fork list --help."),
        (["work", "-q"], "Option '-q' requires an argument. See resque-fork work --help."),
        (
            ["failed", "--list"],
            "Option '--list' requires an argument. See resque-fork failed --help.",
        ),
        (
            ["--redis", f"redis://{'a' * 70}", "info"],
            "The host name in the Redis URL is not valid: a part of it is empty or too long.",
        ),
    ],
)
def test_wrong_usage(run, args: list[str], sentence: str) -> None:
    """Wrong usage ends with status 2 and one sentence that says where to look."""
    result = run(*args, status=2)
    assert result.stderr == f"resque-fork: {sentence}\n"
    assert result.stdout == ""


def test_options_stand_before_and_after_the_command(run, redis_url: str) -> None:
    """The program's options are taken on either side of the command; -v adds up."""
    before = run("--namespace", "x", "-v", "config", "--json").stdout
    after = run("config", "--namespace=x", "-v", "--json").stdout
    assert before == after
    values = {row["name"]: row["value"] for row in json.loads(before)}
    assert (values["namespace"], values["verbose"]) == ("x", 1)
    both = run("-v", "config", "-v", "--json").stdout
    row = {"name": "verbose", "value": 2, "source": "--verbose", "problem": None}
    assert row in json.loads(both)
    deep = run("--redis=redis://localhost:1", "queues", "peek", "q", "--redis", redis_url)
    assert deep.stderr == "There is no queue q; resque-fork queues shows those there are.\n"


def test_wrong_setting_names_its_source(run, tmp_path: Path) -> None:
    """A setting that is not valid is wrong usage, wherever it came from."""
    result = run("work", "--queues=q", env={"INTERVAL": "soon"}, status=2)
    assert result.stderr == (
        "resque-fork: environment INTERVAL: 'soon' is not valid: "
        "expected a time such as 30, 10m, 6h or 2d.\n"
    )
    result = run("--redis", "http://x", "info", status=2)
    assert result.stderr.startswith("resque-fork: The Redis URL 'http://x' must begin with")
    result = run("--config", str(tmp_path / "absent"), "info", status=2)
    assert result.stderr.startswith("resque-fork: The config file cannot be read:")


@pytest.mark.parametrize(
    "args",
    [
        ["info"], ["list"], ["queues"], ["failed"], ["stacks", "x"], ["pause"], ["resume"],
        ["enqueue", "q", "Job"], ["dequeue", "q", "Job"], ["delayed"], ["retries"],
    ],
)  # fmt: skip
def test_only_settings_that_a_command_uses_stop_it(run, tmp_path: Path, args: list[str]) -> None:
    """A worker's setting that is not valid is no reason for another command to fail."""
    file = tmp_path / "resque.toml"
    file.write_text('on_lost = "perhaps"\n')
    result = run(
        *("--config", str(file), *args),
        env={"COUNT": "0", "RESQUE_HEARTBEAT_INTERVAL": "900", "RESQUE_PRUNE_INTERVAL": "1"},
        status=1 if args[0] in ("stacks", "dequeue") else 0,
    )
    assert "is not valid" not in result.stderr


@pytest.mark.parametrize("args", [["kill", "x"], ["remove", "x"], ["prune"]])
def test_what_rescues_heeds_the_settings_of_rescue(run, args: list[str]) -> None:
    """What removes a worker has to know where its job goes."""
    result = run(*args, env={"RESQUE_ON_LOST": "perhaps"}, status=2)
    assert result.stderr == (
        "resque-fork: environment RESQUE_ON_LOST: 'perhaps' is not valid: "
        "expected one of fail, requeue.\n"
    )


def test_config_file_may_be_named_by_the_environment(run, tmp_path: Path) -> None:
    """RESQUE_CONFIG names the config file, unless --config does."""
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text('namespace = "one"')
    second.write_text('namespace = "two"')
    env = {"RESQUE_CONFIG": str(first)}
    assert '"one"' in run("config", "--json", env=env).stdout
    assert '"two"' in run("config", "--json", "--config", str(second), env=env).stdout


@pytest.mark.parametrize("command", ["info", "list", "queues", "failed", "prune", "pause"])
def test_absent_redis_is_one_sentence(run, command: str) -> None:
    """Where no Redis answers each command ends with status 1 and says which one it tried."""
    result = run(command, "--redis", "redis://localhost:1", status=1)
    assert result.stderr.startswith("resque-fork: Redis at redis://localhost:1 does not answer (")
    assert "Start it, or name another with --redis or RESQUE_REDIS." in result.stderr
    assert result.stderr.count("\n") == 1


def test_traceback_only_if_asked_for(run) -> None:
    """-vv shows the traceback in front of the sentence, also if the environment says so."""
    away = ("info", "--redis", "redis://localhost:1")
    assert "Traceback" not in run(*away, "-v", status=1).stderr
    assert "Traceback" in run(*away, "-vv", status=1).stderr
    assert "Traceback" in run(*away, env={"VVERBOSE": "1"}, status=1).stderr
    bad = {"RESQUE_PROCLINE_PREFIX": "x", "RESQUE_PRUNE_INTERVAL": "x"}
    assert "Traceback" in run("-vv", "doctor", env=bad, status=2).stderr


def test_unexpected_error_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Even a mistake of ours ends as a sentence, which tells how to see more."""
    assert _report(KeyError("x"), App()) == 1
    sentence = "resque-fork: Unexpected KeyError: 'x'. The option -vv shows where.\n"
    assert capsys.readouterr().err == sentence


def test_wrong_credentials(run) -> None:
    """Credentials that Redis refuses end any command at once."""
    with embedded.Server(config={"requirepass": "right"}) as server:
        url = server.url.replace("unix://", "unix://:wrong@")
        result = run("info", "--redis", url, status=1)
    assert "refused the credentials" in result.stderr
    assert "wrong" not in result.stderr


@pytest.mark.parametrize(
    ("key", "args"),
    [
        ("failed", ["failed"]),
        ("failed", ["failed", "clear"]),
        ("mail_failed", ["failed", "--list", "mail_failed"]),
        ("workers", ["list"]),
        ("workers", ["info"]),
        ("queues", ["info"]),
        ("failed", ["info"]),
        ("stat:processed", ["info"]),
        ("queue:q", ["queues", "peek", "q"]),
        ("queue:q", ["enqueue", "q", "Job"]),
        ("delayed:1000", ["delayed", "show", "1000"]),
        ("queues", ["enqueue", "q", "Job"]),
        ("queues", ["queues", "remove", "q"]),
        ("workers", ["prune"]),
        ("workers:heartbeat", ["prune"]),
        ("workers:heartbeat", ["list"]),
        ("fork:workers", ["prune"]),
        ("fork:workers", ["list"]),
        ("workers", ["doctor"]),
    ],
)
def test_key_of_the_wrong_type_is_named(run, redis: Redis, key: str, args: list[str]) -> None:
    """A key that holds something else is named in the error."""
    redis.zadd(f"resque:{key}", {"x": 1})
    assert f"'resque:{key}' does not hold what Resque keeps there" in run(*args, status=1).output


def test_control_characters_are_shown_escaped(run, redis: Redis) -> None:
    """Names that would command the terminal, or are not UTF-8, are shown as escapes."""
    run("enqueue", "\x1b[31mred", "Job\x07")
    redis.sadd("resque:queues", b"caf\xe9")
    assert "\\x1b[31mred     1\n" in run("queues").stdout
    assert "caf\\xe9" in run("queues").stdout
    assert "Job\\x07" in run("queues", "peek", "\x1b[31mred").stdout
    assert "\x1b" not in run("queues", "--json").stdout
    assert run("remove", "\x1b", status=1).stderr.startswith(
        "resque-fork: No worker is registered as \\x1b:"
    )


def test_interrupt_says_what_was_done(start, redis: Redis) -> None:
    """Ctrl-C ends it with status 130, and a sentence where there is something to say."""
    process = start("enqueue", "q", "Job", "--stdin")
    process.stdin.write("[1]\n" * 2000)
    process.stdin.flush()
    while redis.llen("resque:queue:q") < 2000:  # it is in the second batch, or reads on
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    told = process.stderr.read().strip()
    assert re.fullmatch("Interrupted: at least [12]000 jobs had been queued.", told)


def test_closed_pipe_is_quiet(start) -> None:
    """Whoever reads the output may stop reading, as `head` does."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start("queues", "--json", stdout=writer)
    os.close(writer)
    assert process.wait(30) == 141
    assert process.stderr.read() == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_long_listing_into_a_closed_pipe_is_quiet(
    start, redis: Redis, form: list[str], unbuffered: str
) -> None:
    """Also when the pipe is closed in the middle of what is printed, buffered or not."""
    redis.rpush("resque:queue:q", *(b'{"class":"%d"}' % n for n in range(20_000)))
    process = start(
        "queues", "peek", "q", "--count", "20000", *form, env={"PYTHONUNBUFFERED": unbuffered}
    )
    assert process.stdout.readline().split() == (["["] if form else ["INDEX", "CLASS", "ARGS"])
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(redis: Redis, closed: str) -> None:
    """Started with closed standard streams it does its work, and uses them for nothing else."""
    redis.sadd("resque:queues", "q")
    told = subprocess.run(
        ["sh", "-c", f'"$0" -m resque_fork enqueue q Job {closed}', sys.executable],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == (
        "" if ">&- " in f"{closed} " and closed != "2>&-" else "Queued Job on q.\n"
    )
    assert redis.llen("resque:queue:q") == 1


def test_full_disk_is_a_sentence(start) -> None:
    """Output that cannot be written is an error."""
    with open("/dev/full", "w") as full:
        process = start("queues", "--json", stdout=full)
    assert process.wait(30) == 1
    assert process.stderr.read() == "resque-fork: No space left on device.\n"


def test_terminal_gets_colour_and_fitting_lines(run, in_terminal) -> None:
    """In a terminal heads are bold and lines fit; elsewhere text is plain and whole."""
    run("enqueue", "mail", "Job", "x" * 200)
    plain, pretty = run("queues", "peek", "mail").stdout, in_terminal("queues", "peek", "mail")
    assert "x" * 200 in plain
    assert "\x1b" not in plain
    assert pretty.startswith("\x1b[1mINDEX  CLASS  ARGS\x1b[0m\n")
    assert len(pretty.splitlines()[1]) == 80
    assert pretty.splitlines()[1].endswith("xxx...")
    assert "\x1b" not in in_terminal("queues", env={"NO_COLOR": "1"})


def test_progress_is_shown_in_a_terminal(run, in_terminal) -> None:
    """Work on many jobs shows a progress bar in a terminal, and nothing of it elsewhere."""
    assert "Requeueing" not in run("failed", "requeue", "--all").stderr
    assert "Requeueing" in in_terminal("failed", "requeue", "--all")


def complete(*words: str, **env: str) -> list[str]:
    """What the shell is offered for the last of the words."""
    asked = {"COMP_WORDS": " ".join(["resque-fork", *words]), "COMP_CWORD": str(len(words))}
    return subprocess.run(
        [sys.executable, "-m", "resque_fork"],
        env={**os.environ, **asked, "_RESQUE_FORK_COMPLETE": "bash_complete", **env},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def test_shell_completion(run, redis: Redis) -> None:
    """The shell completes commands, options, choices, and names that Redis knows."""
    run("enqueue", "mail", "Job")
    redis.sadd("resque:workers", "vm:1:mail")
    redis.sadd("resque:failed_queues", "mail_failed")
    assert complete("fai") == ["plain,failed"]
    assert complete("work", "--on-lost", "") == ["plain,fail", "plain,requeue"]
    assert "plain,--no-term-child" in complete("work", "--no-")
    assert complete("queues", "peek", "m") == ["plain,mail"]
    assert complete("work", "-q", "") == ["plain,mail"]
    assert complete("enqueue", "m") == ["plain,mail"]
    assert complete("enqueue", "mail", "--st") == ["plain,--stdin"]
    assert complete("kill", "") == ["plain,vm:1:mail"]
    assert complete("failed", "--list", "") == ["plain,failed", "plain,mail_failed"]


def test_shell_completion_keeps_quiet(redis_url: str) -> None:
    """Where Redis does not answer nothing is offered; options typed before are heeded."""
    away = "redis://localhost:1"
    assert complete("queues", "peek", "", RESQUE_REDIS=away) == []
    Redis.from_url(redis_url).sadd("resque:queues", "mail")
    found = complete("--redis", redis_url, "queues", "peek", "", RESQUE_REDIS=away)
    assert found == ["plain,mail"]
