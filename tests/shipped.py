"""What conf/ and docs/deploying.md ship, as those read it who run it."""

import configparser
import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
UNITS = ("resque-fork.service", "resque-fork@.service")


class Unit:
    """A systemd unit; `instance` stands for its %i."""

    def __init__(self, name: str, instance: str = "mail") -> None:
        # a key may come more than once: all of its values are kept
        self._lines = [
            line.replace("%i", instance).partition("=")
            for line in (CONF / name).read_text().splitlines()
            if re.match(r"\w+=", line)
        ]

    def __getitem__(self, key: str) -> str:
        """The only value of a key."""
        (value,) = self.all(key)
        return value

    def all(self, key: str) -> list[str]:
        return [value for found, _, value in self._lines if found == key]

    @property
    def command(self) -> list[str]:
        return shlex.split(self["ExecStart"])

    @property
    def environment(self) -> dict[str, str]:
        return _variables(self.all("Environment"))


def procfile() -> dict[str, str]:
    """Each command by its name."""
    lines = (CONF / "Procfile").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if not line.startswith("#"))


def dockerfile() -> dict[str, str]:
    """The last value of each instruction."""
    lines = (CONF / "Dockerfile").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True)
class Platform:
    """How one starts a worker, and stops it: by a signal, and after `grace` seconds by KILL."""

    command: list[str]
    environment: dict[str, str]
    signal: str
    grace: float


def docker() -> Platform:
    """A container of the image, with the grace that `docker stop` has by default."""
    image = dockerfile()
    environment = _variables(image["ENV"].split())
    return Platform(json.loads(image["CMD"]), environment, image["STOPSIGNAL"], 10)


def compose() -> Platform:
    """The service of the page."""
    image, service = docker(), yaml.safe_load(block("yaml"))["services"]["worker"]
    grace = float(service["stop_grace_period"].removesuffix("s"))
    return replace(image, environment=image.environment | service["environment"], grace=grace)


def kubernetes() -> Platform:
    """The container of the deployment."""
    image, (container,) = docker(), pod()["containers"]
    environment = image.environment | {one["name"]: one["value"] for one in container["env"]}
    grace = float(pod()["terminationGracePeriodSeconds"])
    return Platform(container["args"], environment, image.signal, grace)


def supervisord() -> Platform:
    """The program of the page."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block("ini", "[program:"))
    program = parser["program:resque-fork"]
    return Platform(
        shlex.split(program["command"]),
        _variables(shlex.split(program["environment"])),
        f"SIG{program['stopsignal']}",
        float(program["stopwaitsecs"]),
    )


PLATFORMS = (docker, compose, kubernetes, supervisord)


def block(language: str, beginning: str = "") -> str:
    """The only code block of the page in this language that begins so."""
    page = (ROOT / "docs" / "deploying.md").read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)
    (code,) = (code for code in found if code.startswith(beginning))
    return str(code)


def deployment() -> dict[str, Any]:
    """The only document of the manifest for Kubernetes."""
    document: dict[str, Any] = yaml.safe_load((CONF / "kubernetes.yaml").read_text())
    return document


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = deployment()["spec"]["template"]["spec"]
    return spec


def _variables(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)
