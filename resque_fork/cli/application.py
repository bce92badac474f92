"""The application that declares the jobs: made importable, told which Redis, and loaded."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from ..errors import ResqueError
from ..settings import Settings
from ..system.loop import new_poll

PACKAGE = str(Path(__file__).parent.parent) + os.sep
OF_DJANGO = "resque_fork.contrib.django"
LIBRARY = str(Path(os.__file__).parent) + os.sep
INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def check_directory() -> None:
    """Raises ResqueError if the working directory, where applications are looked for, is gone."""
    if problem := directory_problem():
        raise ResqueError(problem)


def directory_problem() -> str:
    """What is wrong with the working directory; empty if nothing is.

    A shell goes on in a directory that was removed. So the text names it, as the kernel or the
    shell does.
    """
    try:
        os.getcwd()
    except OSError as error:
        try:
            here = os.readlink("/proc/self/cwd").removesuffix(" (deleted)")
        except OSError:
            here = os.environ.get("PWD", "")
        where = f"The working directory {here}".rstrip()
        return (
            f"{where} cannot be used: {error.strerror}. It may have been removed: "
            "change to a directory that exists, and start again."
        )
    return ""


def prepare(settings: Settings) -> None:
    """Let the application import from here, and let its ``Resque()`` be the same as ours.

    Raises ResqueError if the working directory is gone, and there is something to import.
    """
    if settings.require:
        check_directory()
    with contextlib.suppress(OSError):
        here = os.getcwd()
        if here not in sys.path:
            sys.path.insert(0, here)
    os.environ["RESQUE_REDIS"] = settings.redis
    os.environ["RESQUE_NAMESPACE"] = settings.namespace


def load(modules: Iterable[str]) -> None:
    """Import the modules. Raises ResqueError that says what is wrong, and where."""
    for name in modules:
        _load(name)
    if new_poll and not hasattr(select, "poll"):
        # eventlet has taken it away from redis-py, which has seen it and goes on to use it
        select.poll = new_poll  # type: ignore[misc]


def _load(name: str) -> None:
    if name.endswith(".py") or "/" in name or name.startswith("."):
        module = name.removesuffix(".py").strip("./").replace("/", ".")
        raise ResqueError(f"--require takes the name of a module: {module}, not {name}.")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ResqueError(_not_found(name, error)) from error
    # an application may do anything while it is imported, and leaving is an error too
    except (Exception, SystemExit) as error:
        kind = "" if isinstance(error, ResqueError) else f"{type(error).__name__}: "
        told = str(error).strip().partition("\n")[0].removesuffix(".")
        place, hint = _where(error), _hint(name, error)
        raise ResqueError(f"{name} cannot be loaded: {kind}{told}{place}.{hint}") from error


def _not_found(name: str, error: ModuleNotFoundError) -> str:
    missing = error.name or ""
    if name == missing or name.startswith(f"{missing}."):
        here = os.getcwd()
        hidden = _hidden(here)
        return (
            f"There is no module {missing} to --require: it is neither in {here} "
            f"{hidden}nor installed."
        )
    return f"{name} cannot be loaded: it needs {missing}, which is not installed{_where(error)}."


def _hint(module: str, error: BaseException) -> str:
    unready = type(error).__name__ in ("AppRegistryNotReady", "ImproperlyConfigured")
    if not unready or module == OF_DJANGO or OF_DJANGO in sys.modules:
        return ""
    return f" Django is set up by --require={OF_DJANGO}, which also loads each app's jobs."


def _hidden(directory: str) -> str:
    """Why the directory cannot be searched, which Python passes over in silence; else empty."""
    try:
        os.listdir(directory)
        os.stat(os.path.join(directory, os.curdir))
    except OSError as error:
        return f"(which cannot be read: {error.strerror}) "
    return ""


def _where(error: BaseException) -> str:
    """The innermost line of the application that was being run, or else of what is installed."""
    if isinstance(error, SyntaxError):  # says so itself
        return ""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", PACKAGE))
        and frame.filename != importlib.__file__
    ]
    frames = [frame for frame in frames if not _is_installed(frame.filename)] or frames
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _is_installed(path: str) -> bool:
    return path.startswith(LIBRARY) or any(part in path for part in INSTALLED)
