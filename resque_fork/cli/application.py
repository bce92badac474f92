"""The application that declares the jobs: made importable, told which Redis, and loaded."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import sys
import traceback
from pathlib import Path

from ..errors import ResqueError
from ..settings import Settings, value_of
from ..store.masking import without_secrets
from ..system.loop import new_poll

PACKAGE = str(Path(__file__).parent.parent) + os.sep
OF_DJANGO = "resque_fork.contrib.django"
BY_MANAGE = ", or start it by manage.py resque_fork"
SHARED = ("redis", "namespace")  # what an application and its workers have in common
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

    A variable that says the same already, or would say the default, is left as it is: the
    application may come with settings of its own, and `load` compares them.

    Raises ResqueError if the working directory is gone, and there is something to import.
    """
    if settings.require:
        check_directory()
    with contextlib.suppress(OSError):
        here = os.getcwd()
        if here not in sys.path:
            sys.path.insert(0, here)
    for name in SHARED:
        if value_of(name, None, os.environ) != getattr(settings, name):
            os.environ[f"RESQUE_{name.upper()}"] = getattr(settings, name)


def load(settings: Settings) -> None:
    """Import the modules to require. Raises ResqueError that says what is wrong, and where."""
    for name in settings.require:
        _load(name)
    for name in SHARED:
        theirs, ours = value_of(name, None, os.environ), getattr(settings, name)
        if theirs != ours:
            raise ResqueError(
                f"The application's {name} is {without_secrets(theirs)}, and this program's is "
                f"{without_secrets(ours)}. Name the application's with --{name} or "
                f"RESQUE_{name.upper()}{BY_MANAGE if OF_DJANGO in sys.modules else ''}."
            )
    if new_poll and not hasattr(select, "poll"):
        # eventlet has taken it away from redis-py, which has seen it and goes on to use it
        select.poll = new_poll  # type: ignore[misc]


def _load(name: str) -> None:
    if name.endswith(".py") or "/" in name or name.startswith("."):
        module = name.removesuffix(".py").strip("./").replace("/", ".")
        raise ResqueError(f"--require takes the name of a module: {module}, not {name}.")
    try:
        loaded = importlib.import_module(name)
        if name == OF_DJANGO:
            loaded.load_jobs()  # not by its import: views import it too
    except ModuleNotFoundError as error:
        raise ResqueError(_not_found(name, error)) from error
    # an application may do anything while it is imported, and leaving is an error too
    except (Exception, SystemExit) as error:
        place = _where(error)
        if _needs_django(error):
            raise ResqueError(
                f"{name} needs Django, which is not set up{place}. Use manage.py resque_fork, or "
                f"--require={OF_DJANGO}: both set it up, and load the jobs of all apps."
            ) from error
        kind = "" if isinstance(error, ResqueError) else f"{type(error).__name__}: "
        # that of a SyntaxError has the place too, but no folder
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        told = text.strip().partition("\n")[0].removesuffix(".")
        raise ResqueError(f"{name} cannot be loaded: {kind}{told}{place}.") from error


def _not_found(name: str, error: ModuleNotFoundError) -> str:
    missing = error.name or ""
    if name == missing or name.startswith(f"{missing}."):
        here = os.getcwd()
        hidden = _hidden(here)
        return (
            f"There is no module {missing} to --require: it is neither in {here} "
            f"{hidden}nor installed."
        )
    package = missing.rpartition(".")[0]
    why = (
        f"and {package} has no such module" if package in sys.modules else "which is not installed"
    )
    return f"{name} cannot be loaded: it needs {missing}, {why}{_where(error)}."


def _needs_django(error: BaseException) -> bool:
    """Whether this is what Django says if it has not been set up."""
    kind = type(error).__name__
    unready = kind == "ImproperlyConfigured" and "settings are not configured" in str(error)
    return OF_DJANGO not in sys.modules and (unready or kind == "AppRegistryNotReady")


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
    if isinstance(error, SyntaxError):
        return f" ({error.filename}, line {error.lineno})" if error.filename else ""
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
