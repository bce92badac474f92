"""Installs the peers: Python's into an environment of their own, Node's into a folder.

Both are kept in the user's cache and made anew when what is to be installed
changes. What cannot be installed is left out of the comparison, with its reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent / "peers"


class NotInstalled(Exception):
    """A peer cannot be had here."""


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(home) / "resque-fork" / f"bench-{version}"


def python_environment(tell: Callable[[str], None]) -> Path:
    """The bin/ of an environment with the Python peers. Raises NotInstalled."""
    requirements = HERE / "requirements.txt"
    folder = cache() / "python"
    stamp = folder / "installed"
    if not _is_current(stamp, requirements):
        tell("installing the Python peers")
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "-qq", "--no-input"]
        _run([*pip, "--disable-pip-version-check", "install", "-r", str(requirements)])
        stamp.write_text(requirements.read_text())
    return folder / "bin"


def node_folder(tell: Callable[[str], None]) -> Path:
    """A folder in which node finds node-resque. Raises NotInstalled."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise NotInstalled("node and npm are not installed")
    package = HERE / "package.json"
    folder = cache() / "node"
    stamp = folder / "installed"
    if not _is_current(stamp, package):
        tell("installing the Node peer")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(package, folder)
        _run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        stamp.write_text(package.read_text())
    shutil.copy(HERE / "node_worker.js", folder)
    return folder


def ruby_folder() -> Path:
    """The folder of the worker for Ruby's Resque. Raises NotInstalled: it is not installed here.

    ``gem install resque`` does, or a copy of it in RUBYLIB.
    """
    if not shutil.which("ruby"):
        raise NotInstalled("ruby is not installed")
    _run(["ruby", "-e", "require 'resque'"])
    return HERE


def _is_current(stamp: Path, wanted: Path) -> bool:
    return stamp.exists() and stamp.read_text() == wanted.read_text()


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalled(lines[-1] if lines else f"{command[0]} failed")
