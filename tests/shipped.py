"""What conf/ ships, as those read it who run it."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).resolve().parent.parent / "conf"
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


class Container:
    """How the image, or the deployment with it, starts and ends a container."""

    def __init__(self, pod: dict[str, Any] | None = None) -> None:
        image = dockerfile()
        self.command: list[str] = json.loads(image["CMD"])
        self.environment = _variables(image["ENV"].split())
        self.stop_signal = image["STOPSIGNAL"]
        self.grace = 10.0  # Docker's own
        if pod is not None:
            (container,) = pod["containers"]
            self.command = container["args"]
            self.environment |= {one["name"]: one["value"] for one in container["env"]}
            self.grace = pod["terminationGracePeriodSeconds"]


def deployment() -> dict[str, Any]:
    """The only document of the manifest for Kubernetes."""
    document: dict[str, Any] = yaml.safe_load((CONF / "kubernetes.yaml").read_text())
    return document


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = deployment()["spec"]["template"]["spec"]
    return spec


def _variables(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)
