"""Inputs that were worth keeping: a file of JSON for each target, a string of bytes a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent / "corpus"


def load(target: str) -> list[bytes]:
    path = HERE / f"{target}.json"
    return [text.encode("latin-1") for text in json.loads(path.read_text("ascii"))]


def save(target: str, inputs: Iterable[bytes]) -> None:
    texts = sorted({raw.decode("latin-1") for raw in inputs}, key=lambda text: (len(text), text))
    (HERE / f"{target}.json").write_text(json.dumps(texts, indent=0) + "\n", "ascii")
