"""What a command knows of its call: the settings that were given, and the Resque they name."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..settings import FoundSetting, Settings, find, load, table

if TYPE_CHECKING:
    from ..client.resque import Resque
    from ..ops.site import Site
    from ..store.workers import Workers


class App:
    """One call of the program. `flags` holds what was given, by setting.

    What needs redis is imported when a command asks for it, and not to show help.
    `uses` are the settings that the command has options for: only those are taken
    from the environment and the file, and only those are checked. `preloaded` are
    modules of an application that is loaded already, at least in part: they are
    required before those that the settings name.
    """

    def __init__(self, preloaded: Sequence[str] = ()) -> None:
        self.preloaded = tuple(preloaded)
        self.flags: dict[str, Any] = {}
        self.uses = {s.name for s in table() if s.metadata["group"] == "common"}
        self.config: Path | None = None
        self.json = False

    @functools.cached_property
    def _loaded(self) -> tuple[Settings, dict[str, str]]:
        settings, sources = load(self.flags, os.environ, self.config, self.uses)
        require = tuple(dict.fromkeys([*self.preloaded, *settings.require]))
        return dataclasses.replace(settings, require=require), sources

    @property
    def settings(self) -> Settings:
        """Raises SettingsError, as does everything that needs them."""
        return self._loaded[0]

    def all_settings(self) -> dict[str, FoundSetting]:
        """Every setting by its name, whether the command uses it or not, and good or bad."""
        return find(self.flags, os.environ, self.config)

    @property
    def sources(self) -> dict[str, str]:
        """Where each setting came from, in words."""
        return self._loaded[1]

    @functools.cached_property
    def resque(self) -> Resque:
        from ..client.resque import Resque
        from ..store.redis_url import ANSWER_SECONDS

        settings = self.settings
        return Resque(
            settings.redis, namespace=settings.namespace, inline=False, timeout=ANSWER_SECONDS
        )

    def close(self) -> None:
        """Hang up, if there is a connection."""
        if "resque" in self.__dict__:
            self.resque.close()

    @functools.cached_property
    def site(self) -> Site:
        from ..ops.site import Site

        return Site(self.resque, self.settings)

    @property
    def workers(self) -> Workers:
        return self.site.workers

    def wants_tracebacks(self) -> bool:
        try:
            return self.settings.verbose >= 2
        except Exception:  # the settings may be what went wrong
            return bool(self.flags.get("verbose", 0) >= 2)


pass_app = click.make_pass_decorator(App)


def completing(names: Callable[[Resque], list[str]]) -> Any:
    """Shell completion by what Redis knows; nothing is offered if it does not answer."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        app = ctx.find_object(App)
        try:
            found = names(app.resque) if app else []
        except Exception:  # no error may appear while somebody is typing
            return []
        return [name for name in found if name.startswith(incomplete)]

    return complete


complete_queue = completing(lambda resque: resque.queues())
complete_paused = completing(lambda resque: resque.paused_queues())
complete_worker = completing(lambda resque: resque.workers())
complete_failed_list = completing(lambda resque: resque.failed().names())
