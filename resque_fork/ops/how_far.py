"""How far something came before an error, in words."""

from __future__ import annotations

from collections.abc import Callable

from ..text import counted

Words = Callable[[BaseException], str]


def of_changes(noun: str, what: str, before: int = 0) -> Words:
    """Words for an error's ``done`` and ``perhaps``, such as ``3 jobs had been removed.``

    `before` had been changed by others than those that the error counts.
    """

    def words(error: BaseException) -> str:
        done, perhaps = before + getattr(error, "done", 0), getattr(error, "perhaps", 0)
        more = f", and {perhaps} more may have been" if perhaps else ""
        return f"{counted(done, noun)} had been {what}{more}."

    return words
