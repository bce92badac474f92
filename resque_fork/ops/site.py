"""What is looked at: a Resque, its workers, and the settings by which they are judged."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ..client.resque import Resque
from ..settings import Settings
from ..store.workers import Workers


@dataclass(frozen=True)
class Site:
    """One Resque as its operator sees it."""

    resque: Resque
    settings: Settings

    @functools.cached_property
    def workers(self) -> Workers:
        return Workers(self.resque.client, self.resque.key_names)
