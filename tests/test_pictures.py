"""The README's picture; those of the dashboard are made in `web/test_browser.py`."""

import html
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
PICTURE = DOCS / "terminal.svg"


def shown(picture: Path) -> list[str]:
    """The lines of a picture of a terminal, without what differs from run to run."""
    lines = re.findall(r"<text [^>]*-r\d[^>]*>(.*?)</text>", picture.read_text("utf-8"))
    texts = (" ".join(html.unescape(line).split()) for line in lines)
    return [re.sub(r"\b[0-9a-f]{8}\b|[\d.]+|(?<=^worker: ).*", "7", text) for text in texts]


def before_stack(lines: list[str]) -> list[str]:
    """Each Python writes the stack of a crash in words of its own."""
    return lines[: lines.index("stack:")]


def test_terminal(pictures: Path) -> None:
    """It shows three commands of today's resque-fork, and is what the README has."""
    before = shown(PICTURE)
    made = pictures / PICTURE.name
    subprocess.run([sys.executable, DOCS / "terminal.py", made], check=True, timeout=60)
    now = shown(made)
    commands = [line for line in now if line.startswith("$")]
    assert commands[0].startswith("$ resque-fork work")
    assert commands[1:] == [
        "$ ps -e -o pid,ppid,command | grep '[r]esque-'",
        "$ resque-fork failed show 7",
        "$",
    ]
    assert any("Processing reports since" in line for line in now)
    assert any("Resque::DirtyExit" in line for line in now)
    assert before_stack(now) == before_stack(before), (
        "run: bin/test tests/test_pictures.py --pictures"
    )
    assert f"({PICTURE.parent.name}/{PICTURE.name})" in (DOCS.parent / "README.md").read_text(
        "utf-8"
    )
