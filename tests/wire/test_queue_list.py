"""Queues to serve: in the order given, as Ruby's globs say, less what is excluded."""

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.errors import NoQueueError
from resque_fork.wire.queue_list import QueueList

KNOWN = ["mail", "low", "high", "mail_eu", ".hidden", "a[1]", "low.2"]


@pytest.mark.parametrize(
    ("queues", "served"),
    [
        ("mail", "mail"),
        ("low,mail", "low mail"),  # the order given is the order of priority
        ("never_seen", "never_seen"),  # a name is served whether it exists or not
        ("never_seen,*", "never_seen a[1] high low low.2 mail mail_eu"),
        ("*", "a[1] high low low.2 mail mail_eu"),  # and a glob stands for what exists, sorted
        (".*", ".hidden"),
        ("mail,*", "mail a[1] high low low.2 mail_eu"),
        ("*,mail", "a[1] high low low.2 mail mail_eu"),  # each once, where it stands first
        ("m*,low", "mail mail_eu low"),
        ("low?2,l??", "low.2 low"),
        ("*,!mail", "a[1] high low low.2 mail_eu"),
        ("!mail*,*", "a[1] high low low.2"),
        ("mail,low,!low", "mail"),
        ("*,! mail ", "a[1] high low low.2 mail_eu"),
        ("mail,!*", ""),
        ("[lh]*", "high low low.2"),
        ("[^lh]*", "a[1] mail mail_eu"),
        ("[!lh]*", "a[1] mail mail_eu"),
        ("[a-l]*", "a[1] high low low.2"),
        ("a\\[1\\]*", "a[1]"),
        ("none*", ""),
        ("{mail,low}", "{mail low}"),  # braces mean themselves
        ("mail, low ,,mail", "mail low"),
    ],
)
def test_served(queues: str, served: str) -> None:
    """Names, globs and exclusions are laid over the queues that exist."""
    assert QueueList(queues.split(",")).over(KNOWN) == served.split()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ([], "--queues=mail,low or --queues='*'"),
        (["", " "], "--queues=mail,low or --queues='*'"),
        (["!low"], "--queues='*,!low'"),
        (["!low", " !mail*"], "--queues='*,!low,!mail*'"),
    ],
)
def test_nothing_included(given: list[str], hint: str) -> None:
    """A worker without a queue is refused, and told how to give it one."""
    with pytest.raises(NoQueueError) as caught:
        QueueList(given)
    assert str(caught.value) == f"Give each worker at least one queue, for example {hint}."


def test_text_is_that_of_the_workers_id() -> None:
    """As text it is what was given, less blanks, repetitions and exclusions."""
    assert str(QueueList([" high", "m*", "!mail", "high", "*"])) == "high,m*,*"


def test_dynamic_only_with_a_glob() -> None:
    """A list without a glob never changes with the queues that exist."""
    assert not QueueList(["a", "b", "!c*"]).is_dynamic
    for item in ("*", "a?", "[ab]"):
        assert QueueList(["a", item]).is_dynamic


globs = st.text(st.sampled_from("ab*?[]!^-\\.{},x"), min_size=1, max_size=8)


@given(globs.map(lambda g: f"*{g}"), st.lists(st.text(st.sampled_from("ab-.[]x\\\n"), max_size=6)))
def test_any_glob_can_be_laid_over_any_names(glob: str, known: list[str]) -> None:
    """Whatever is given, it serves known queues at most, each once, and hidden ones never."""
    served = QueueList([glob.replace(",", "")]).over(known)
    assert set(served) <= set(known)
    assert len(served) == len(set(served))
    assert not any(name.startswith(".") for name in served)


@given(
    st.text(st.sampled_from("ab*?"), min_size=1, max_size=6),
    st.lists(st.text(st.sampled_from("ab"), max_size=6), unique=True),
)
def test_plain_globs_are_everybodys(glob: str, known: list[str]) -> None:
    """Stars and question marks mean what they mean everywhere."""
    if not re.search(r"[*?]", glob):
        glob += "*"
    wanted = sorted(name for name in known if fnmatch.fnmatchcase(name, glob))
    assert QueueList([glob]).over(known) == wanted


# --- the dialect of globs

GLOBBED = ["a", "b/c", ".hid", ".x", "no.t", "[x]", "{a,b}"]


@pytest.mark.parametrize(
    ("glob", "matched"),
    [
        ("*", "[x] a b/c no.t {a,b}"),  # a star crosses slashes, but shows nothing hidden
        ("?", "a"),
        (".*", ".hid .x"),
        ("*.*", "no.t"),
        ("{a,b}*", "{a,b}"),  # braces mean themselves
        ("[^a]", ""),
        ("[!b]", "a"),
        ("[z-a]", "a"),  # an empty range: only its ends
        ("[a-]", "a"),
        ("[!]", "a"),
        ("[]*", ""),
        ("[[]x]", "[x]"),
        (r"\[x?", "[x]"),
        (r"[\]a]*", "a"),
        (r"[!\-b]", "a"),
        ("a\\*", ""),
        ("[.]*", ""),
    ],
)
def test_glob_dialect(glob: str, matched: str) -> None:
    """Globs are Ruby's, as Resque has them."""
    assert QueueList([glob]).over(GLOBBED) == matched.split()


def test_many_stars_stay_fast() -> None:
    """A glob of many stars is matched without trying every way to divide the name."""
    assert QueueList(["*a*a*a*a*a*b"]).over(["a" * 10_000]) == []
    assert QueueList(["a*-*-*?*-*b"]).over(["a" + "-" * 10_000]) == []
    assert QueueList(["x" + "*" * 30 + "[ab]"]).over(["x" * 10_000]) == []


def ruby_fnmatch(pattern: str, text: str) -> bool:
    """File.fnmatch without flags, as Ruby's dir.c has it: the reference."""
    if text.startswith(".") and not pattern.removeprefix("\\").startswith("."):
        return False
    return _match(pattern, text)


def _match(p: str, s: str) -> bool:
    if not p:
        return not s
    if p[0] == "*":
        return any(_match(p[1:], s[i:]) for i in range(len(s) + 1))
    if not s:
        return False
    if p[0] == "?":
        return _match(p[1:], s[1:])
    if p[0] == "[":
        closed, found, rest = _bracket(p[1:], s[0])
        if closed:
            return found and _match(rest, s[1:])
        return s[0] == "[" and _match(p[1:], s[1:])  # ours: an open bracket means itself
    if p[0] == "\\" and len(p) > 1:
        p = p[1:]
    return p[0] == s[0] and _match(p[1:], s[1:])


def _bracket(p: str, c: str) -> tuple[bool, bool, str]:
    """Whether it is closed, whether `c` is in it, and what follows it."""
    negated = p[:1] in ("!", "^")
    p, found = p[negated:], False
    while p:
        if p[0] == "]":
            return True, found != negated, p[1:]
        low, p = _one(p)
        high = low
        if p[:1] == "-" and p[1:2] not in ("]", ""):
            high, p = _one(p[1:])
        if low is None or high is None:
            break
        found = found or c in (low, high) or low <= c <= high
    return False, False, ""


def _one(p: str) -> tuple[str | None, str]:
    if p[0] == "\\":
        p = p[1:]
    return (p[0], p[1:]) if p else (None, "")


names = st.text("ab.[]!^-\\{}/01", min_size=1, max_size=6)


def test_alphabetical_is_by_bytes() -> None:
    """Queues of one glob stand in the order of their bytes: capitals first, other letters last."""
    known = ["b", "é", "B", "a", "Z", "\udcff", "\U0001f600", "\uffff"]
    assert QueueList(["*"]).over(known) == sorted(
        known, key=lambda name: name.encode("utf-8", "surrogateescape")
    )


@given(st.text("ab.*?[]!^-\\{}/", min_size=1, max_size=8), st.lists(names, max_size=6))
def test_globs_match_what_rubys_match(glob: str, known: list[str]) -> None:
    """Whatever the glob, it matches what Ruby's function matches."""
    if glob.startswith("!"):
        glob = f"\\{glob}*"
    queue_list = QueueList([glob])
    if queue_list.is_dynamic:
        expected = sorted({name for name in known if ruby_fnmatch(glob, name)})
        assert queue_list.over(known) == expected
    else:
        assert queue_list.over(known) == [glob]
