"""The Resque that jobs go to when nobody names one, as in ``job.enqueue()``."""

from __future__ import annotations

import functools
import os

from ..settings import value_of
from .resque import Resque, inline_of_environment

_chosen: Resque | None = None


def default_resque() -> Resque:
    """The Resque of ``job.enqueue()``: the one that was set, or that of the environment now."""
    if _chosen is not None:
        return _chosen
    redis = value_of("redis", None, os.environ)
    namespace = value_of("namespace", None, os.environ)
    return _of(redis, namespace, inline_of_environment())


def set_default_resque(resque: Resque | None) -> None:
    """Send ``job.enqueue()`` to this one, in all threads; with None to that of the environment."""
    global _chosen
    _chosen = resque


@functools.lru_cache(maxsize=4)
def _of(redis: str, namespace: str, inline: bool) -> Resque:
    return Resque(redis, namespace=namespace, inline=inline)
