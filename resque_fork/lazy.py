"""What an object makes when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Made = TypeVar("Made")


class shared_property(Generic[Made]):  # it is used as `property` is
    """A property that is made once and kept; all threads get the same object.

    Threads that ask at the same time may each make one. The first that is kept is everybody's,
    and nobody has used the others. functools.cached_property gives each thread its own in such a
    moment, and before Python 3.12 takes a lock, which a fork may copy while it is held.
    """

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self.__doc__ = make.__doc__
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Made:
        if instance is None:
            return self  # type: ignore[return-value]
        kept: Made = instance.__dict__.setdefault(self._name, self._make(instance))
        return kept  # from now on it is found in the instance itself
