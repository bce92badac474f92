"""The documents name all there is and nothing else; tests/test_pages.py runs what they show."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import generated
import pytest
from pages import PAGES, ROOT, access_rules
from redis import Redis

import resque_fork
from resque_fork import Resque, errors
from resque_fork.cli import program
from resque_fork.embedded import Server
from resque_fork.job.hooks import JOB_HOOKS, WORKER_HOOKS
from resque_fork.job.registry import JobOptions
from resque_fork.wire.keys import Keys
from resque_fork.worker.worker import Worker

TIMEOUT = 60  # seconds for a worker to register

# Options in the documents that are other programs'.
FOREIGN_OPTIONS = {
    *("--app", "--appendonly", "--data", "--deploy", "--kill-who"),
    *("--max-tasks-per-child", "--no-block", "--now", "--pool", "--stop-timeout", "--tag"),
    *("--time", "--with-scheduler"),
}

# Those of the project's own programs, of which importing one would declare its jobs.
PROGRAMS = ("bench/__main__.py", "bench/doors.py", "demo/__main__.py", "tests/conftest.py")


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def first_cells(text: str) -> set[str]:
    """What stands in backquotes in the first column of any table."""
    rows = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return {cell for row in rows for cell in re.findall(r"`([^`]+)`", row)}


def anchors(page: Path) -> set[str]:
    """The names by which the headings of a page can be linked."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- what there is, and what is documented


@pytest.mark.parametrize("name", generated.FILES)
def test_generated_files_are_current(name: str) -> None:
    """What is made from tables is what the tables say now."""
    assert text_of(name) == generated.FILES[name](), "bin/python tests/generated.py writes it anew"


def test_options_exist() -> None:
    """No page names an option that no command has."""
    known = {
        option
        for command in (program, *generated.commands().values())
        for param in command.get_params(click.Context(command))
        if isinstance(param, click.Option)
        for option in [*param.opts, *param.secondary_opts]
    }
    known |= {o for name in PROGRAMS for o in re.findall(r'"(--[a-z-]+)"', text_of(name))}
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", page.read_text("utf-8")))
        assert named - known - FOREIGN_OPTIONS - {"--no"} == set(), page.name


def test_hooks_are_documented() -> None:
    """The page on hooks has a row for each hook and for nothing else."""
    rows = re.findall(r"^\| `(\w+)` \|", text_of("docs/hooks.md"), re.MULTILINE)
    assert sorted(rows) == sorted([*JOB_HOOKS, *WORKER_HOOKS])


def test_signals_are_documented() -> None:
    """The page on signals has a row for each that a worker handles."""
    handled = re.findall(r"^ *((?:[A-Z]+[0-9]?, )*[A-Z]+[0-9]?)  ", signal_table(), re.MULTILINE)
    names = {name for line in handled for name in line.split(", ")}
    assert {"TERM", "QUIT", "USR1", "HUP", "CHLD"} <= names
    assert all(hasattr(signal, f"SIG{name}") for name in names)
    rows = re.findall(r"^\| ([A-Z][A-Z0-9, ]+) \|", text_of("docs/signals.md"), re.MULTILINE)
    assert set(rows) == names


def signal_table() -> str:
    table = Worker._signal_table.__doc__
    assert table
    return table


def test_keys_are_documented() -> None:
    """The page on keys has a row for each key in Redis and for nothing else."""
    keys = Keys("ns")
    found = {value for value in vars(keys).values() if isinstance(value, str)}
    found -= {keys.namespace, keys.prefix, keys.kept_prefix, keys.retry_prefix}
    found -= {keys.delayed_prefix, keys.timestamps_prefix, keys.ask_prefix, keys.marks_prefix}
    found.remove(keys.status_prefix)
    found |= {
        keys.stat(name, whose) for name in ("processed", "failed") for whose in (None, "<id>")
    }
    found |= {keys.queue("<queue>"), keys.failed_list("<queue>_failed")}
    methods = {name for name in vars(Keys) if not name.startswith("_")}
    found |= {
        keys.rescued("<token>"),
        keys.answer("<token>"),
        keys.kept("<name>"),
        keys.retry("<digest>"),
    }
    found |= {f"{keys.delayed_prefix}<time>", f"{keys.timestamps_prefix}<job>"}
    found.add(keys.scheduler_lock().replace("ns:ns:", "ns:<namespace>:"))
    found |= {f"{keys.metrics}:<minute>", keys.marks("<queue>"), keys.status("<job>")}
    named = {"stat", "queue", "failed_list", "rescued", "answer", "kept", "retry"}
    named |= {"metrics_of", "marks", "status"}
    for name in methods - named - {"delayed", "timestamps", "scheduler_lock"}:
        found.add(getattr(keys, name)("<id>"))
    assert first_cells(text_of("docs/keys.md")) == {key.removeprefix("ns:") for key in found}


def test_failures_are_documented() -> None:
    """The page on failures explains each exception that we write to the list in our own name."""
    names = {
        error.wire_name
        for error in vars(errors).values()
        if isinstance(error, type) and hasattr(error, "wire_name")
    }
    names -= {errors.JobLost.wire_name}  # the base of others
    names -= {errors.JobKilled.wire_name}  # of which a job does not fail
    assert {cell for cell in first_cells(text_of("docs/failures.md")) if "::" in cell} == names


def test_reference_is_whole() -> None:
    """The reference shows every public name, and has a row for each option of a job."""
    page = text_of("docs/reference.md")
    shown = set(re.findall(r"^\.\. auto\w+:: resque_fork\.(\w+)\b(?!\.)", page, re.MULTILINE))
    assert shown >= {*resque_fork.__all__} - {"__version__"}
    assert "`resque_fork.__version__`" in page
    assert first_cells(page) == {"queue", "name", "hooks", *JobOptions.__annotations__}


def test_messages_are_ours() -> None:
    """What the page on troubleshooting quotes from a worker's log is in the code."""
    trees = [ast.parse(path.read_text("utf-8")) for path in ROOT.glob("resque_fork/**/*.py")]
    constants = (node for tree in trees for node in ast.walk(tree) if type(node) is ast.Constant)
    said = "\n".join(node.value for node in constants if isinstance(node.value, str))
    table = text_of("docs/troubleshooting.md").partition("| In the log |")[2]
    quoted = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    assert len(quoted) > 10
    for line in quoted:
        assert [part for part in line.split("...") if part.strip() not in said] == [], line


def test_readme_begins_with_code() -> None:
    """The README shows code by its fifth line."""
    assert "```python" in text_of("README.md").splitlines()[:5]


def test_pages_are_linked() -> None:
    """Every page under docs/ is linked from the README or from another page."""
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    }
    assert [page.name for page in ROOT.glob("docs/*.md") if page not in linked] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that exists, and a heading in it if it names one."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


# --- what is promised, done


IN_A_WORKER = {"add_up", "describe", "heartbeat", "keep", "note_status", "redeem", "restore"}


@pytest.mark.parametrize(
    ("user", "not_run"),
    [
        ("worker", {"places", "remove_entries", "requeue_entries"}),
        ("operator", {*IN_A_WORKER, "step", "unregister"}),
    ],
)
def test_access_rules_have_the_commands_of_scripts(user: str, not_run: set[str]) -> None:
    """The rules allow every command that a script may come to, run by the tests or not."""
    scripts = [
        path for path in ROOT.glob("resque_fork/store/lua/*.lua") if path.stem not in not_run
    ]
    assert len(scripts) > 3
    used = {
        command.lower()
        for path in scripts
        for command in re.findall(r"redis\.p?call\('(\w+)'", path.read_text("utf-8"))
    }
    assert used - set(re.findall(r"\+(\S+)", access_rules()[user])) == set()


@pytest.mark.timeout(300)
def test_access_rules_are_enough(tmp_path: Path) -> None:
    """With the rules that are given, a worker, a producer and a person are refused nothing."""
    rules = access_rules()
    (tmp_path / "app.py").write_text(
        "import os\n"
        "from resque_fork import job\n"
        "@job(queue='q')\n"
        "def succeed(): ...\n"
        "@job(queue='q')\n"
        "def die(): os.abort()\n"
        "@job(queue='q', retry=[0, 1])\n"
        "def fail(): 1 / 0\n"
    )
    with Server() as server, Redis.from_url(server.url) as admin:
        for name, rule in rules.items():
            assert rule.split()[:3] == ["ACL", "SETUSER", name]
            admin.execute_command(*rule.split())

        def command(user: str, *args: str) -> list[str]:
            url = server.url.replace("unix://", f"unix://{user}:secret@")
            return [sys.executable, "-m", "resque_fork", "--redis", url, *args]

        def run(user: str, *args: str) -> str:
            done = subprocess.run(
                command(user, *args),
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert "NOPERM" not in done.stderr
            assert done.returncode == 0, done.stderr
            return done.stdout

        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        drain = ("work", "--queues=*", "--require=app", "--interval=0", "--on-lost=requeue")
        for name in ("succeed", "die", "unheard-of", "fail"):
            run("producer", "enqueue", "q", name)
        run("producer", "enqueue", "q", "succeed", "--in", "1h")
        run("worker", *drain)
        assert Resque(server.url).info()["failed"] == 2
        run("operator", "enqueue", "q", "succeed")
        for args in (
            *(["info"], ["queues"], ["queues", "peek", "q"], ["dequeue", "q", "succeed"]),
            *(["failed"], ["failed", "show", "0"], ["failed", "requeue", "0"]),
            *(["failed", "remove", "0"], ["failed", "clear", "--yes"]),
            *(["queues", "clear", "q"], ["queues", "remove", "q"]),
            *(["retries"], ["retries", "now", "--all"], ["retries", "remove", "--all"]),
            *(["delayed"], ["delayed", "show", "1000"], ["delayed", "clear", "--yes"]),
            *(["pause"], ["resume"], ["prune"], ["doctor"], ["config"], ["metrics"]),
        ):
            run("operator", *args)
        env_of_worker = {**env, "INTERVAL": "60"}
        idle = command("worker", "work", "--queues=q,*", "--require=app", "-v")
        for verb in (["kill"], ["remove", "--force"]):
            with subprocess.Popen(idle, cwd=tmp_path, env=env_of_worker) as process:
                late = time.monotonic() + TIMEOUT
                while not (workers := Resque(server.url).workers()) and time.monotonic() < late:
                    time.sleep(0.02)
                assert workers[0] in run("operator", "list")
                run("operator", *verb, workers[0])
                process.kill()
            run("operator", "prune")
        assert admin.acl_log() == []
        assert list(rules) == ["worker", "producer", "operator"]


def test_behaviours_are_held_by_tests() -> None:
    """Each behaviour of Resque's that is ours names a file of tests; the others say no."""
    page = text_of("docs/resque-behaviours.md")
    rows = re.findall(r"^\| .+\. \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) > 150
    for here, held_by in rows:
        if held_by == "-":
            assert here.startswith("no: "), here
            continue
        for name in held_by.split(", "):
            assert re.fullmatch(r"`tests/([a-z]+/)?test_\w+\.py`", name), held_by
            assert (ROOT / name.strip("`")).is_file(), f"{name} is not there"


def test_folders_are_described() -> None:
    """CONTRIBUTING.md says what every folder of the package is for, and of nothing else."""
    section = (
        text_of("CONTRIBUTING.md").partition("\n## Where things are\n")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| (`.+`) \|", section, re.MULTILINE)
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)}
    package = ROOT / "resque_fork"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert folders - named == set()
    assert {name for name in named if not (package / name).is_dir()} <= {
        path.stem for path in package.glob("*.py")
    }
