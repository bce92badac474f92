"""Everything public is importable from resque_fork itself, and a producer pays for no worker."""

import inspect
import subprocess
import sys

import pytest

import resque_fork
from resque_fork import errors
from resque_fork.client import resque
from resque_fork.worker import worker

ASK = """
import sys
from resque_fork import Job, job, queue_empty
unwanted = {"resque_fork.worker.worker", "resque_fork.system.process", "resque_fork.cli"}
unwanted |= {"psutil", "click", "redis", "asyncio"}
print(sorted((unwanted | {"ssl"}) & set(sys.modules)))
from resque_fork import Resque
resque = Resque("redis+sentinel://127.0.0.1:1/primary")
print(resque, sorted(unwanted & set(sys.modules)))
try:
    resque.size("email")
except Exception as error:
    print(type(error).__name__, "redis" in sys.modules)
"""


@pytest.mark.parametrize("name", resque_fork.__all__)
def test_everything_public_has_a_docstring(name: str) -> None:
    """Each public name can be imported and says what it is."""
    thing = getattr(resque_fork, name)
    if name != "__version__":
        assert inspect.getdoc(thing), f"{name} has no docstring"


def test_every_name_is_listed_once_and_in_order() -> None:
    """The list of public names is sorted."""
    assert resque_fork.__all__ == sorted(set(resque_fork.__all__))


def test_every_exception_is_public() -> None:
    """What can be raised can be caught by a name from resque_fork."""
    raised = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    }
    assert sorted(raised - set(resque_fork.__all__)) == []


@pytest.mark.parametrize(
    "kind", ["Resque", "Job", "FunctionJob", "FailedJobs", "Filter", "Reservation", "Worker"]
)
def test_public_methods_have_docstrings(kind: str) -> None:
    """Public methods of the classes that applications use say what they do, or are evident."""
    owner = getattr(resque_fork, kind)
    bare = [
        name
        for name, method in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_") and len(inspect.signature(method).parameters) > 1
        if not inspect.getdoc(method)
    ]
    assert bare == [], f"{kind} has methods without a docstring"


def test_importing_costs_little() -> None:
    """Only to connect takes redis, and to enqueue takes neither the worker nor click."""
    asked = subprocess.run(
        [sys.executable, "-c", ASK], check=True, capture_output=True, text=True, timeout=60
    )
    assert asked.stdout == (
        "[]\n"
        "<Resque redis+sentinel://127.0.0.1:1/primary namespace 'resque'> []\n"
        "RedisUnavailable True\n"
    )


NO_FORK = """
import os, signal, sys
del os.fork, signal.SIGUSR1, signal.SIGHUP, signal.SIGCHLD
sys.modules.update(dict.fromkeys(["fcntl", "resource", "pwd", "grp", "termios"]))
import resque_fork
from resque_fork import Resque, job
print(Resque("redis://example.com"))
try:
    from resque_fork import Worker
except ImportError as error:
    print(error)
from resque_fork.cli import program
program.main(["work"])
"""


def test_where_there_is_no_fork() -> None:
    """Applications can enqueue where there is no fork; a worker says what it lacks."""
    asked = subprocess.run(
        [sys.executable, "-c", NO_FORK], capture_output=True, text=True, timeout=60
    )
    lacks = "This system cannot fork, so it runs no worker; applications can enqueue from here.\n"
    assert asked.stdout == f"<Resque redis://example.com namespace 'resque'>\n{lacks}"
    assert (asked.stderr, asked.returncode) == (f"resque-fork: {lacks}", 1)


def test_help_takes_no_redis() -> None:
    """The program's help and version, and wrong usage, are shown without importing redis."""
    program = "import sys\nfrom resque_fork.cli import program\n"
    ask = "print({'redis', 'asyncio'} & set(sys.modules), file=sys.stderr)"
    for args in ([], ["--help"], ["--version"], ["wrok"], ["enqueue", "--help"]):
        call = f"try: program.main({args!r})\nexcept SystemExit: pass\n"
        asked = subprocess.run(
            [sys.executable, "-c", program + call + ask], capture_output=True, text=True, timeout=60
        )
        assert asked.stderr.endswith("set()\n"), args


def test_every_public_name_is_shown() -> None:
    """What is loaded only when it is asked for is listed, and is what its module has."""
    assert set(resque_fork.__all__) <= set(dir(resque_fork))
    assert resque_fork.Resque is resque.Resque
    assert resque_fork.Worker is worker.Worker


def test_a_name_that_is_none_says_so() -> None:
    """A name that does not exist is an AttributeError, as with any module."""
    with pytest.raises(AttributeError) as caught:
        _ = resque_fork.Wroker
    assert str(caught.value) == "module 'resque_fork' has no attribute 'Wroker'"
