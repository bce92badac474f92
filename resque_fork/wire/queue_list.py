"""The queues that a worker serves: names, globs and exclusions, in order of priority."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..errors import NoQueueError
from .keys import to_bytes

GLOB = re.compile(r"[*?\[\]]")


class QueueList:
    """A list as it was given, to be laid over the queues that exist.

    A plain name is served whether it exists or not; a glob stands for the
    known queues that it matches, alphabetically; ``!name`` and ``!glob``
    exclude, wherever they stand. Globs are Ruby's: ``*`` and ``?`` do not match
    a leading dot, ``[^a]`` and ``[!a]`` negate, braces mean themselves.
    Raises NoQueueError if nothing is included. `named` are the plain names among them, those of
    excluded queues too.
    """

    def __init__(self, given: Sequence[str]) -> None:
        names = [name.strip() for name in given if name.strip()]
        excluded = [name[1:].strip() for name in names if name.startswith("!")]
        self.named = {
            name for name in (n.removeprefix("!").strip() for n in names) if not GLOB.search(name)
        }
        self.included = tuple(dict.fromkeys(n for n in names if not n.startswith("!")))
        if not self.included:
            hint = (
                f"--queues='*,{','.join(names)}'"
                if excluded
                else "--queues=mail,low or --queues='*'"
            )
            raise NoQueueError(f"Give each worker at least one queue, for example {hint}.")
        self.is_dynamic = any(GLOB.search(name) for name in self.included)
        self._excluded = [_pattern(name) for name in excluded]
        self._patterns = {n: _pattern(n) for n in self.included if GLOB.search(n)}

    def __str__(self) -> str:
        """As it stands in a worker's id: globs as they are, exclusions left out."""
        return ",".join(self.included)

    def over(self, known: Iterable[str]) -> list[str]:
        """The queues to look at, in order, when `known` exist."""
        names = sorted(known, key=to_bytes)  # as Ruby does
        queues: dict[str, None] = {}
        for item in self.included:
            pattern = self._patterns.get(item)
            found = [n for n in names if pattern.fullmatch(n)] if pattern else [item]
            queues.update(dict.fromkeys(found))
        return [q for q in queues if not any(pattern.fullmatch(q) for pattern in self._excluded)]


_BRACKET = re.compile(r"(?P<negated>[!^]?)(?P<chars>(?:\\.|[^\]\\])*)\]", re.DOTALL)
_RANGE = re.compile(r"\\?+(.)-\\?+(.)|\\?+(.)", re.DOTALL)


def _one_of(chars: str, negated: bool) -> str:
    """What stands between brackets: characters and ranges; a range may be empty."""
    members = "".join(
        f"{re.escape(low)}-{re.escape(high)}"
        if low and low <= high
        else re.escape(low + high + one)
        for low, high, one in _RANGE.findall(chars)
    )
    if not members:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{members}]"


def _pattern(glob: str) -> re.Pattern[str]:
    """Ruby's File.fnmatch without flags, as a regular expression."""
    pieces = [""]  # what stands between the stars
    i = 0
    while i < len(glob):
        char = glob[i]
        i += 1
        hidden = "(?!\\.)" if i == 1 else ""
        if char == "*":
            pieces[-1] += hidden
            pieces.append("")
        elif char == "?":
            pieces[-1] += f"{hidden}."
        elif char == "\\" and i < len(glob):
            pieces[-1] += re.escape(glob[i])
            i += 1
        elif char == "[" and (bracket := _BRACKET.match(glob, i)):
            pieces[-1] += hidden + _one_of(bracket["chars"], bool(bracket["negated"]))
            i = bracket.end()
        else:
            pieces[-1] += re.escape(char)
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    first, *middle, last = pieces
    # The first place that fits is as good as any: never to look for another one keeps a name,
    # which anybody can make up, from being divided in every way there is.
    found = "".join(f"(?>.*?{piece})" for piece in middle if piece)
    return re.compile(f"{first}{found}.*{last}", re.DOTALL)
