"""The pages, and the blocks of code that they show."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Code in a fence; `language` is what stands behind its backquotes."""

    language: str
    code: str

    @property
    def name(self) -> str | None:
        """The file that the code is for, if its first line says so: ``# app.py``."""
        found = re.match(r"# (\S+\.py)\n", self.code)
        return found and found[1]


def all_blocks(page: Path) -> list[Block]:
    """All blocks of code of a page, those in lists too."""
    found = FENCE.findall(page.read_text("utf-8"))
    return [Block(language, textwrap.dedent(code)) for _, language, code in found]


def blocks(page: Path, language: str) -> list[str]:
    """The code of one language."""
    return [block.code for block in all_blocks(page) if block.language == language]


def access_rules() -> dict[str, str]:
    """Of docs/redis.md, the command that makes each user."""
    page = (ROOT / "docs" / "redis.md").read_text("utf-8")
    return dict(re.findall(r"<!-- acl (\w+) -->\n```text\n(.*?)^```$", page, re.M | re.S))
