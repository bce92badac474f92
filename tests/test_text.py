"""Texts for people: nothing that a terminal obeys, and sizes as they were given."""

import pytest

from resque_fork.text import parse_size, printable, shown_size


def test_printable_leaves_text_alone() -> None:
    """What can be printed is left as it is."""
    assert printable("ünï [x]") == "ünï [x]"
    assert printable("\ud800") == "\\ud800"


@pytest.mark.parametrize(
    ("size", "shown"),
    [(1024**3, "1G"), (1536 * 1024**2, "1536M"), (8 * 1024, "8K"), (1000, "1000 bytes")],
)
def test_shown_size(size: int, shown: str) -> None:
    """A size is shown in the largest unit that says it exactly."""
    assert shown_size(size) == shown


@pytest.mark.parametrize("size", ["1G", "1536M", "8K"])
def test_shown_sizes_can_be_given_again(size: str) -> None:
    """What is shown in a unit is read as the same size."""
    assert shown_size(parse_size(size)) == size


@pytest.mark.parametrize("text", ["", "M", "0", "-1", "1.5M", "1T", "\u00bd"])
def test_no_sizes(text: str) -> None:
    """What is no size is refused with examples of sizes."""
    with pytest.raises(ValueError, match=r"^a size such as 512K, 8M or 1G$"):
        parse_size(text)
