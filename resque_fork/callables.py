"""Functions that an application hands over to be called later."""

from __future__ import annotations

import inspect
from typing import Any


def does_nothing_when_called(function: Any) -> str | None:
    """Why a call would run none of the function's own code, or None if it would.

    A wrapper counts as itself: one that runs an async function is fine.
    """
    for called in (function, inspect.getattr_static(type(function), "__call__", None)):
        if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
            return "it is async, and nothing would await it; call asyncio.run() in a plain function"
        if inspect.isgeneratorfunction(called):
            return "it is a generator, and nothing would run it; it must not yield"
    return None
