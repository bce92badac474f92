"""`work`, up to where the worker takes over."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from resque_fork import embedded

DRAIN = ("work", "-q", "mail", "--interval", "0")


def sentence(ended) -> str:
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()[-1].removeprefix("resque-fork: ")


def said(redis: Redis) -> list[bytes]:
    return redis.lrange("said", 0, -1)


def test_performs_jobs_of_the_application(call, run, redis: Redis, application: str) -> None:
    """The application is found in the current directory, and its Resque() is the worker's."""
    run("--namespace", "other", "enqueue", "mail", "say", "hello")
    env = {"RESQUE_REDIS": "redis://localhost:1"}
    url = os.environ["RESQUE_REDIS"]
    ended = call(*DRAIN, "-r", application, "--redis", url, "--namespace", "other", env=env)
    assert ended.returncode == 0, ended.stderr
    assert said(redis) == [b"hello"]
    assert redis.get("other:stat:processed") == b"1"
    assert redis.get("other:stat:said") == b"1"


def test_stops_at_a_signal(start, redis: Redis, application: str) -> None:
    """A worker that is told to stop ends with status 0."""
    worker = start("work", "--queues=*", "-r", application)
    with redis.monitor() as monitor:
        for command in monitor.listen():
            if "CLIENT TRACKING" in command["command"]:  # it is about to sleep
                break
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def test_no_queue(call) -> None:
    """Without a queue it shows how to give one, in quotes that any shell takes."""
    ended = call("work")
    assert ended.returncode == 2
    assert sentence(ended) == (
        "Give each worker at least one queue, for example --queues=mail,low or --queues='*'. "
        "See resque-fork work --help."
    )
    assert "--queues='*,!mail'" in call("work", "-q", "!mail").stderr


def test_a_shell_that_expands_a_star(call, tmp_path: Path) -> None:
    """`--queues *` serves files, and says so, however many there are."""
    (tmp_path / "app.py").touch()
    hint = "If the shell has made files of a star, quote it: --queues='*'."
    ended = call("work", "--queues", "app.py", "--interval=0")
    assert f"The only queue is named like the only file here, app.py. {hint}" in ended.stderr
    (tmp_path / "b.py").touch()
    ended = call("work", "--queues", "app.py", "b.py")
    assert ended.returncode == 2
    assert f"Got unexpected extra argument (b.py). {hint}" in sentence(ended)
    ended = call("work", "--queues", "mail", "low")
    assert hint not in ended.stderr


def test_no_redis_was_named(run) -> None:
    """Where none was named and none is there, it says how to start one."""
    with socket.socket() as default:
        try:
            default.bind(("127.0.0.1", 6379))  # and nobody listens
        except OSError:
            pytest.skip("somebody has a Redis at the default address")
        result = run("work", "-q", "mail", env={"RESQUE_REDIS": None}, status=1)
    assert result.stderr == (
        "resque-fork: There is no Redis at redis://localhost:6379/0: start one "
        "(resque-fork redis --port 6379 runs one for trying things out), "
        "or name yours with --redis or RESQUE_REDIS.\n"
    )


def test_redis_that_was_named_is_waited_for(start, application: str) -> None:
    """A server that was named may start after the worker."""
    with embedded.Server() as server:
        url = server.url
        server.kill()
        worker = start(*DRAIN, "-r", application, "--redis", url)
        for line in worker.stderr:
            if "Trying again" in line:
                break
        server.start()
        assert worker.wait(60) == 0


def test_wrong_credentials_end_it_at_once(call) -> None:
    """A server that refuses us is not waited for."""
    with embedded.Server(config={"requirepass": "right"}) as server:
        ended = call("work", "-q", "mail", "--redis", server.url.replace("//", "//:wrong@", 1))
    assert ended.returncode == 1
    assert "refused the credentials" in sentence(ended)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "import nmpy",
            "broken cannot be loaded: it needs nmpy, which is not installed ({}, line 1).",
        ),
        (
            "import json.nothing",
            "broken cannot be loaded: it needs json.nothing, and json has no such module "
            "({}, line 1).",
        ),
        (
            "x = 1\n1 / 0",
            "broken cannot be loaded: ZeroDivisionError: division by zero ({}, line 2).",
        ),
        (
            "from resque_fork import job\n\n@job\nasync def fetch(): ...",
            "broken cannot be loaded: fetch cannot be a job: it is async, and nothing would await "
            "it; call asyncio.run() in a plain function ({}, line 3).",
        ),
        ("def f(:", "broken cannot be loaded: SyntaxError: invalid syntax ({}, line 1)."),
        ("raise SystemExit(3)", "broken cannot be loaded: SystemExit: 3 ({}, line 1)."),
        (
            "import json\njson.loads('{')",
            "broken cannot be loaded: JSONDecodeError: Expecting property name enclosed in "
            "double quotes: line 1 column 2 (char 1)",
        ),
    ],
)
def test_application_that_cannot_be_loaded(call, tmp_path: Path, source: str, reason: str) -> None:
    """What is wrong with the application is said in a sentence, with the line."""
    file = tmp_path / "broken.py"
    file.write_text(source)
    ended = call(*DRAIN, "-r", "broken")
    assert ended.returncode == 1
    assert sentence(ended).startswith(reason.format(file))


def test_two_jobs_of_one_name(call, tmp_path: Path) -> None:
    """Two jobs with one name are told apart by their places."""
    (tmp_path / "double.py").write_text(
        "from resque_fork import job\n"
        "@job(name='same')\ndef one(): ...\n"
        "@job(name='same')\ndef two(): ...\n"
    )
    assert "Two jobs are called 'same': one in" in sentence(call(*DRAIN, "-r", "double"))


@pytest.mark.parametrize("name", ["aplication", "application.absent"])
def test_application_that_does_not_exist(call, application: str, tmp_path: Path, name: str) -> None:
    """A module that was misspelt is told apart from one that cannot be loaded."""
    ended = call(*DRAIN, "-r", application, "-r", name)
    assert ended.returncode == 1
    assert sentence(ended) == (
        f"There is no module {name} to --require: it is neither in {tmp_path} nor installed."
    )


@pytest.mark.parametrize(
    ("given", "module"), [("app.py", "app"), ("./jobs/app.py", "jobs.app"), (".app", "app")]
)
def test_application_given_as_a_file(call, given: str, module: str) -> None:
    """Who gives a file is told the module's name."""
    expected = f"--require takes the name of a module: {module}, not {given}."
    assert sentence(call(*DRAIN, "-r", given)) == expected


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("namespace", "shop", "resque"),
        ("redis", "redis://user:***@elsewhere/1", "redis://localhost:6379/0"),
    ],
)
def test_application_that_goes_elsewhere(
    run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, theirs: str, ours: str
) -> None:
    """An application that brings a Redis of its own, say in a .env file, is not served by another.

    What was given to the worker holds for the application too.
    """
    variable, value = f"RESQUE_{name.upper()}", theirs.replace("***", "hunter2")
    source = f"import os\nos.environ.setdefault({variable!r}, {value!r})\n"
    module = f"goes_elsewhere_{name}"
    (tmp_path / f"{module}.py").write_text(source)
    (tmp_path / "none.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(variable, "gone after the test")
    monkeypatch.delenv(variable)
    result = run("schedule", "check", "-r", module, "none.toml", status=1)
    assert result.stderr.endswith(
        f"resque-fork: The application's {name} is {theirs}, and this program's is {ours}. "
        f"Name the application's with --{name} or {variable}.\n"
    )
    sys.modules.pop(module)
    monkeypatch.delenv(variable)
    run("schedule", "check", "-r", module, f"--{name}", "redis://given/2", "none.toml")
    assert os.environ[variable] == "redis://given/2"


def test_application_without_jobs(call) -> None:
    """A worker that knows no job says so at the start."""
    assert "No job is declared, so every job will fail" in call(*DRAIN).stderr


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--interval", "soon"], "--interval: 'soon' is not valid: expected a time such as 30"),
        (["--heartbeat-interval", "300"], "The heartbeat interval must be under 300 seconds"),
        (["--on-lost", "maybe"], "--on-lost: 'maybe' is not valid: expected one of fail, requeue"),
        (["--failure-backend", "paper"], "No failure backend is called 'paper': use redis,"),
        (["--failure-backend", "a:B"], "The failure backend 'a:B' cannot be loaded: No module"),
    ],
)
def test_wrong_setting(call, args: list[str], reason: str) -> None:
    """A setting that makes no sense is wrong usage."""
    ended = call(*DRAIN, *args)
    assert ended.returncode == 2
    assert sentence(ended).startswith(reason)


def test_settings_from_all_over(start, run, redis: Redis, application: str, tmp_path: Path) -> None:
    """Flags, environment and config file together make a worker."""
    (tmp_path / "resque.toml").write_text(f'require = "{application}"\ninterval = 0\n')
    run("enqueue", "mail", "say", "hello")
    worker = start("-v", "work", "--config", "resque.toml", env={"QUEUES": "low, mail"})
    _, stderr = worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert said(redis) == [b"hello"]
    assert "got: (Job{mail} | say | ['hello'])" in stderr


def test_log_format(call, run, application: str) -> None:
    """Log lines look as they were asked for."""
    run("enqueue", "mail", "say", "hello")
    ended = call(*DRAIN, "-r", application, "-vv", "--log-format", "json")
    messages = [json.loads(line)["message"] for line in ended.stderr.splitlines()]
    assert "got: (Job{mail} | say | ['hello'])" in messages


def test_pidfile(start, call, run, redis: Redis, application: str, tmp_path: Path) -> None:
    """The pidfile names the worker while it runs; a second worker refuses to share it."""
    pidfile = tmp_path / "worker.pid"
    worker = start("work", "-q", "mail", "-r", application, "--pidfile", "worker.pid")
    run("enqueue", "mail", "block")
    assert redis.blpop(["blocked"], timeout=30)
    assert pidfile.read_text() == f"{worker.pid}\n"
    second = call(*DRAIN, "--pidfile", "worker.pid")
    assert second.returncode == 1
    assert sentence(second) == (
        f"The pidfile {pidfile} names process {worker.pid}, which is alive: "
        "stop that one first, or use another pidfile."
    )
    assert call(*DRAIN, "--daemon", "--pidfile", "worker.pid").stderr.endswith(second.stderr)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert not pidfile.exists()


def test_pidfile_is_removed_after_an_error(call, tmp_path: Path) -> None:
    """A worker that cannot start leaves no pidfile, and says if it cannot write one."""
    call(*DRAIN, "-r", "absent", "--pidfile", "worker.pid")
    assert list(tmp_path.iterdir()) == []
    ended = call(*DRAIN, "--pidfile", "absent/worker.pid")
    assert sentence(ended) == (
        f"The pidfile {tmp_path}/absent/worker.pid cannot be written: No such file or directory."
    )


def test_daemon(call, run, redis: Redis, application: str, tmp_path: Path) -> None:
    """--daemon returns at once and works on in the background, with pidfile and log."""
    files = ("--logfile", "log", "--pidfile", "worker.pid")
    ended = call("work", "-q", "mail", "-r", application, "--daemon", "-v", *files)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    run("enqueue", "mail", "block")
    assert redis.blpop(["blocked"], timeout=30)
    pid = int((tmp_path / "worker.pid").read_text())
    watch = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while (tmp_path / "worker.pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if watch is not None:
        os.close(watch)
    assert "got: (Job{mail} | block | [])" in (tmp_path / "log").read_text()


def test_errors_are_said_before_it_goes_to_the_background(call, tmp_path: Path) -> None:
    """What is wrong from the start is seen in the terminal, also with --daemon."""
    ended = call("work", "-q", "mail", "--daemon", "--logfile", "absent/log")
    refused = "The logfile absent/log cannot be written: No such file or directory."
    assert (ended.returncode, sentence(ended)) == (1, refused)
    assert call("work", "--daemon").returncode == 2
    ended = call("work", "-q", "nothing", "--interval", "0", "--daemon")
    assert ended.returncode == 0
    assert ended.stderr.startswith(
        "In the background nothing that goes wrong can be seen: give it a --logfile.\n"
    )
    ended = call("work", "-q", "mail", "-r", "nosuch", "--daemon", "--logfile", "log")
    assert ended.returncode == 1
    assert "There is no module nosuch to --require" in ended.stderr
    ended = call("work", "-q", "mail", "--failure-backend", "nope", "--daemon", "--logfile", "log")
    assert ended.returncode == 1
    assert "No failure backend is called 'nope'" in ended.stderr


def test_an_error_of_many_lines_is_told_by_its_first(call, tmp_path: Path) -> None:
    """The rest is for -vv."""
    (tmp_path / "broken.py").write_text("raise RuntimeError('first\\nsecond')")
    ended = call("work", "-q", "mail", "-r", "broken")
    where = f"({tmp_path}/broken.py, line 1)"
    assert sentence(ended) == f"broken cannot be loaded: RuntimeError: first {where}."


def test_several_workers(call, run, redis: Redis, application: str) -> None:
    """With --count there is a supervisor, and the queue is drained too."""
    for n in range(10):
        run("enqueue", "mail", "say", str(n))
    ended = call(*DRAIN, "-r", application, "--count", "2")
    assert ended.returncode == 0, ended.stderr
    everything = [str(n).encode() for n in range(10)]
    assert sorted(said(redis)) == everything
    assert "Supervising 2 workers" in ended.stderr
