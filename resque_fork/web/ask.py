"""A request as pages see it, and what they make of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote

from ..errors import ResqueError
from ..ops.how_far import Words
from ..ops.rows import Row
from ..ops.site import Site
from .memory import Memory

PAGE = 50  # rows of a page
LONGEST_NUMBER = 15  # digits


class NotFound(ResqueError):
    """What the address names is not there."""


class BadRequest(ResqueError):
    """The address or the form says something that is not valid."""


class Partly(ResqueError):
    """Something was done before the error that is its cause."""


@contextlib.contextmanager
def saying_how_far(words: Words) -> Iterator[None]:
    """An error says what was done before it. Raises Partly."""
    try:
        yield
    except ResqueError as error:
        raise Partly(f"{error} Before that, {words(error)}") from error


Fields = Mapping[str, Sequence[str]]


KEPT = "kept"  # the field that holds a query: a form loses that of its address when it is sent


def fields_of(text: str) -> Fields:
    """Of a query or a form. Names of queues may hold bytes that are not UTF-8."""
    fields = _parsed(text)
    kept = fields.pop(KEPT, [""])[0]
    return {**_parsed(kept), **fields}


def _parsed(text: str) -> dict[str, list[str]]:
    try:
        return parse_qs(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=2000)
    except ValueError:
        raise BadRequest("There are too many fields.") from None


def query_of(fields: Mapping[str, Any]) -> str:
    """A query with those fields that have a value, or a list of values."""
    return "&".join(
        f"{_quoted(key)}={_quoted(value)}"
        for key, values in fields.items()
        for value in (values if isinstance(values, list) else [values])
        if value is not None
    )


def _quoted(value: Any) -> str:
    try:
        name = str(value).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which JSON can hold: no key is called so
        name = str(value).encode("utf-8", "backslashreplace")
    return quote(name, safe="")


@dataclass(frozen=True)
class Ask:
    """What is asked of which site, and by whom."""

    site: Site
    memory: Memory
    query: Fields
    form: Fields = field(default_factory=dict)
    who: str = ""

    def text(self, name: str) -> str:
        """A field of the query; empty if it is not there."""
        return self.query.get(name, [""])[0]

    def named(self, name: str) -> str:
        """A field without which there is no page. Raises BadRequest."""
        if name not in self.query:
            raise BadRequest(f"The address lacks {name}=...")
        return self.text(name)

    def filled(self, names: Iterable[str]) -> dict[str, str]:
        """Those fields of the query that are not empty."""
        return {name: text for name in names if (text := self.text(name))}

    def number(self, name: str, default: int = 0) -> int:
        """Raises BadRequest."""
        return _number(self.query, name, default)

    def sent(self, name: str, default: int = 0) -> int:
        """A number of the form. Raises BadRequest."""
        return _number(self.form, name, default)


def _number(fields: Fields, name: str, default: int) -> int:
    text = fields.get(name, [""])[0]
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER):
        raise BadRequest(f"{name}={text!r} is not a number.")
    return int(text)


@dataclass(frozen=True)
class Page:
    """A page: its path, its template, and what it shows; ``<path>.json`` is the same as JSON."""

    path: str
    template: str
    find: Callable[[Ask], Row]
    json_path: str = ""

    @property
    def as_json(self) -> str:
        return self.json_path or f"{self.path}.json"


@dataclass(frozen=True)
class Done:
    """What was done, in a sentence for the person and the log, and the page to go on with."""

    said: str
    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """A page that an action answers with; the log gets `said`."""

    said: str
    template: str
    values: Row


def no_name(ask: Ask) -> str:
    """For a question that names nothing."""
    return ""


def named(field: str) -> Callable[[Ask], str]:
    """For a question about what a field of the address names."""
    return lambda ask: ask.named(field)


@dataclass(frozen=True)
class Action:
    """What a button does: a GET of its path asks the question, a POST does it.

    In the question ``{}`` stands for what it is `about`. An action without one changes nothing.
    """

    path: str
    button: str
    do: Callable[[Ask], Done | Shown]
    question: str = ""
    about: Callable[[Ask], str] = no_name

    def asked(self, ask: Ask) -> str:
        """The question. Raises ResqueError if there is nothing to ask."""
        return self.question.format(self.about(ask))


def slice_of(start: int, *, more: bool, page: int = PAGE) -> Row:
    """Where a page of rows begins, and where those before and behind it do."""
    return {
        "start": start,
        "next": start + page if more else None,
        "previous": max(0, start - page) if start else None,
    }
