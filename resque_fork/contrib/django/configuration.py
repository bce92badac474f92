"""RESQUE_FORK in a project's settings: which Redis, which namespace, whether jobs run inline.

They are put into the environment of this process, where everything looks for them: `Resque()`,
``job.enqueue()`` and the command line. What stands there already comes first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ...client.resque import INLINE, Resque
from ...errors import SettingsError
from ...settings import DEFAULT_URL, refuse_unknown
from ...text import a_or_an
from ...wire.keys import DEFAULT_NAMESPACE

# Each key: the variable that it stands for, and what its value must be.
KEYS: dict[str, tuple[str, type, str]] = {
    "REDIS": ("RESQUE_REDIS", str, f"a URL such as {DEFAULT_URL}"),
    "NAMESPACE": ("RESQUE_NAMESPACE", str, "text"),
    "INLINE": (INLINE, bool, "True or False"),
}


class Configuration:
    """What has been put into the environment, so that it can be taken out again."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}

    def apply(self) -> None:
        """Follow the settings as they are now. Raises ImproperlyConfigured."""
        for variable, text in self._ours.items():
            if os.environ.get(variable) == text:
                del os.environ[variable]
        try:
            given = _read(getattr(settings, "RESQUE_FORK", None) or {})
        except SettingsError as error:
            raise ImproperlyConfigured(str(error)) from None
        self._ours = {name: text for name, text in given.items() if not os.environ.get(name)}
        os.environ.update(self._ours)

    def on_change(self, *, setting: str, **more: Any) -> None:
        """A test has overridden a setting, or ends."""
        if setting == "RESQUE_FORK":
            self.apply()


def _read(given: Any) -> dict[str, str]:
    """The variables with their texts. Raises SettingsError."""
    if not isinstance(given, Mapping):
        raise SettingsError(
            f'RESQUE_FORK must be a dictionary, such as {{"REDIS": "{DEFAULT_URL}"}}.'
        )
    refuse_unknown(given, KEYS, "RESQUE_FORK")
    texts: dict[str, str] = {}
    for key, value in given.items():
        variable, kind, expected = KEYS[key]
        if value is not None and not isinstance(value, kind):
            # without the value, which may hold a password
            raise SettingsError(
                f'RESQUE_FORK["{key}"] must be {expected}, not {a_or_an(type(value).__name__)}.'
            )
        if value:  # as an empty variable is one that is not set
            texts[variable] = str(value)
    Resque(
        texts.get("RESQUE_REDIS", DEFAULT_URL),
        namespace=texts.get("RESQUE_NAMESPACE", DEFAULT_NAMESPACE),
        inline=False,
    )
    return texts


configuration = Configuration()
