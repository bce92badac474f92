"""Values that JSON carries, and payloads of any depth."""

from hypothesis import strategies as st

MOMENT = 1795416710  # 2026-11-23 06:51:50 UTC

text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
finite = scalars.filter(lambda v: not isinstance(v, float) or abs(v) != float("inf"))
values = st.recursive(
    finite, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=15
)


def nested(depth: int) -> bytes:
    """A job's payload of just so many levels."""
    inner = depth - 1
    return b'{"class":"A","args":' + b"[" * inner + b"]" * inner + b"}"
