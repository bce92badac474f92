"""Arguments that a job declares secret: what is shown in their place, and what is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork import Job, job
from resque_fork.job.redaction import REDACTED, is_redacted, redacted
from resque_fork.job.redaction import shown as shown_payload
from resque_fork.wire.job import Payload
from resque_fork.wire.json import encode
from resque_fork.wire.unreadable import unwrapped

pytestmark = pytest.mark.usefixtures("own_jobs")

HIDDEN = f'"{REDACTED}"'.encode()


def shown(name: str, *args: Any) -> Any:
    """The arguments that remain."""
    return Payload.parse(redacted(Payload.of(name, args).raw)).args


def test_by_the_parameter_that_takes_it() -> None:
    """Its value is replaced, whatever it is; the other arguments are as they were."""

    @job(redact=["password", "pin"])
    def login(user: str, password: str, host: str = "", pin: int = 0) -> None: ...

    assert shown("login", "ada", "hunter2", "vm") == ["ada", REDACTED, "vm"]
    assert shown("login", "ada", None, "vm", [1]) == ["ada", REDACTED, "vm", REDACTED]


def test_by_the_key_of_an_object() -> None:
    """Resque's users pass one object: its keys are meant too, those of objects inside are not."""

    class Login(Job, redact=["password"]):
        queue = "login"

        @staticmethod
        def perform(params: Any, more: Any = None) -> None: ...

    nested = {"password": "deeper"}
    assert shown("Login", {"user": "ada", "password": "hunter2", "nested": nested}) == [
        {"user": "ada", "password": REDACTED, "nested": nested}
    ]
    assert shown("Login", [nested], 7) == [[nested], 7]


def test_one_name_need_not_be_in_a_list() -> None:
    """A string is one name, and not the names of its letters."""

    @job(redact="pw")
    def login(p: str, w: str, pw: str) -> None: ...

    assert shown("login", "a", "b", "c") == ["a", "b", REDACTED]


def test_many_arguments_under_one_name() -> None:
    """With ``*args`` a name stands for all that it takes."""

    @job(redact=["secrets"])
    def keep(where: str, *secrets: str) -> None: ...

    assert shown("keep", "here", "a", "b") == ["here", REDACTED, REDACTED]


def test_arguments_that_do_not_fit_are_not_shown() -> None:
    """A call that fails for too many arguments shows none of those that nothing takes."""

    @job(redact=["password"])
    def login(user: str, password: str) -> None: ...

    assert shown("login", "ada", "x", "hunter2") == ["ada", REDACTED, REDACTED]


def test_a_builtin_without_a_signature_shows_nothing() -> None:
    """Nobody can tell which of its arguments is which."""
    job(name="built in", redact=["x"])(min)
    assert shown("built in", 1, 2) == [REDACTED, REDACTED]


def test_arguments_that_are_no_array_are_not_shown() -> None:
    """Such a payload is no job of ours, but we know whose secrets it may hold."""
    job(name="login", redact=["password"])(lambda password: None)
    raw = b'{"class":"login","args":{"password":"hunter2"}}'
    assert redacted(raw) == b'{"class":"login","args":' + HIDDEN + b"}"


@pytest.mark.parametrize(
    "raw",
    [
        b'{ "class":"login", "args":["ada"],"n":1.0 }',
        b'{"class":"login"}',
        b'{"class":"login","args":null}',
        b'{"class":"plain","args":[{"password":1e2}]}',
        b'{"class":"elsewhere","args":[{"password":"x"}]}',
        b'{"class":["login"],"args":["ada","x"]}',
        b'["login"]',
        b"\xff",
        b"[" * 10_000,
    ],
)
def test_bytes_with_nothing_to_hide_stay(raw: bytes) -> None:
    """Jobs that hide nothing, or have been given nothing to hide, keep every byte."""
    job(name="login", redact=["password"])(lambda user, password=None: None)
    job(name="plain")(lambda params: None)
    assert redacted(raw) == raw


def test_the_rest_of_a_payload_stays() -> None:
    """Order of keys, other keys, large integers and other alphabets."""
    job(name="login", redact=["password"])(lambda user, password: None)
    raw = '{"id":12345678901234567890,"class":"login","args":["é",{"a":[]}],"x":{"b":1.0}}'.encode()
    assert redacted(raw) == raw.replace(b'{"a":[]}', HIDDEN)


@pytest.mark.parametrize("other", [b'"\\ud800"', b"1e999"])
def test_payloads_that_only_python_reads(other: bytes) -> None:
    """They hide what they are to hide, and remain unreadable to others, as they were."""
    job(name="login", redact=["password"])(lambda user, password: None)
    raw = redacted(b'{"class":"login","args":[' + other + b',"hunter2"]}')
    assert b"hunter2" not in raw
    assert HIDDEN in raw
    assert not Payload(raw, "login", []).portable


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text() | st.just("password"), inside),
    max_leaves=5,
)


@given(st.lists(json_values))
def test_what_is_hidden_is_known_as_hidden(args: list[Any]) -> None:
    """A payload that was changed is known as such, and changing it again changes nothing."""
    job(name="login", redact=["password"])(lambda user=0, password=0, *more: None)
    raw = encode({"class": "login", "args": args})
    once = redacted(raw)
    assert redacted(once) == once
    assert is_redacted(json.loads(once)["args"]) == (once != raw)


# --- in a failed entry


def test_shown_as_it_is() -> None:
    """A job that every language reads keeps every byte."""
    raw = b'{ "class":"plain", "args":[1.0] }'
    assert shown_payload(Payload.parse(raw)) == raw


def test_shown_if_nobody_reads_it() -> None:
    """What is no job is shown as one that holds the bytes."""
    raw = b"oops\xff"
    payload = shown_payload(Payload(raw, "", [], decoded=False))
    assert json.loads(payload) == {"class": "ResqueFork::Unreadable", "args": ["b29wc/8="]}
    assert unwrapped(payload) == raw


def test_shown_if_only_python_reads_it() -> None:
    """Class and arguments can be seen, and the bytes come back."""
    raw = b'{"class":"Mail","args":["\\ud83d",1e400]}'
    payload = shown_payload(Payload.parse(raw))
    item = json.loads(payload)
    assert item["class"] == "Mail"
    assert item["args"][0] == '["\\ud83d",Infinity]'
    assert unwrapped(payload) == raw


def test_shown_if_only_a_child_has_read_it() -> None:
    """A large payload is shown as it is if its child has said that others can read it."""
    raw = b'{"class":"Mail","args":["%b"]}' % (b"x" * 70_000)
    payload = Payload(raw, "Mail", [], decoded=False, vouched=True)
    assert shown_payload(payload) == raw
    unfit = shown_payload(Payload(raw, "Mail", [], decoded=False, vouched=False))
    assert json.loads(unfit)["args"][0] == f"({len(raw)} bytes)"
    assert unwrapped(unfit) == raw
    job(name="Mail", redact=["text"])(lambda text: None)
    assert shown_payload(payload) == b'{"class":"Mail","args":[' + HIDDEN + b"]}"


@pytest.mark.parametrize("other", [b'"\\ud800"', b"1e999"])
def test_shown_with_secrets_that_only_python_reads(other: bytes) -> None:
    """No byte of a secret is kept, so nothing but the class can be."""
    job(name="login", redact=["password"])(lambda user, password: None)
    payload = Payload.parse(b'{"class":"login","args":[' + other + b',"hunter2"]}')
    assert shown_payload(payload) == b'{"class":"login","args":[' + HIDDEN + b"]}"
