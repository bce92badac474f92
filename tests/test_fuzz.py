"""What was worth keeping of the fuzzing, and some chance; a long run is made with bin/fuzz."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import corpus
from fuzz.targets import TARGETS

pytestmark = pytest.mark.usefixtures("own_jobs")


def test_every_target_has_its_inputs() -> None:
    """A target without any would start from nothing, and one that is gone keeps none."""
    assert sorted(TARGETS) == sorted(path.stem for path in corpus.HERE.glob("*.json"))
    assert all(corpus.load(name) for name in TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_that_were_worth_keeping(name: str) -> None:
    """Every reader of what others wrote keeps its promise with all of them."""
    for raw in corpus.load(name):
        TARGETS[name](raw)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_other_inputs(name: str, data: st.DataObject) -> None:
    """And with any bytes, and with those inputs after something has happened to them."""
    raw = data.draw(st.binary() | st.sampled_from(corpus.load(name)))
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 4)))
    TARGETS[name](raw[:start] + data.draw(st.binary(max_size=4)) + raw[end:])
