"""The applications that pages show, as files."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def files_of(page: str) -> dict[str, str]:
    """The pieces of Python whose first line is a path, by their paths."""
    text = (DOCS / page).read_text("utf-8")
    return dict(re.findall(r"^```py(?:thon)?\n# (\S+)\n(.*?)^```$", text, re.M | re.S))


def write(directory: Path, page: str) -> None:
    """Write all of them."""
    for path, text in files_of(page).items():
        file = directory / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
