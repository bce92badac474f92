"""Which functions of the package are entered, in the order in which each is entered first."""

from __future__ import annotations

import os
from types import CodeType, FrameType

import resque_fork

FOLDER = "BENCH_ENTERED"  # environment variable: where processes write it down
PACKAGE = os.path.dirname(os.path.abspath(resque_fork.__file__)) + os.sep
# Newer Pythons run most of these in the function that they stand in.
COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")

Function = tuple[str, str]  # its file below the package, its qualified name


class Entered:
    """A profile function. What has no file, as a dataclass's ``__init__``, does not count."""

    def __init__(self, package: str = PACKAGE) -> None:
        self._package = package
        self._functions: dict[Function, None] = {}

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            self.note(frame.f_code)

    def note(self, code: CodeType) -> None:
        file = code.co_filename
        if file.startswith(self._package) and code.co_name not in COMPREHENSIONS:
            self._functions[file.removeprefix(self._package), code.co_qualname] = None

    def take(self) -> list[Function]:
        """The functions that were entered since the last time."""
        functions, self._functions = self._functions, {}
        return list(functions)
