"""Texts for people: made safe to show, and sizes as they are written."""

from __future__ import annotations

UNITS = {"G": 1024**3, "M": 1024**2, "K": 1024}  # the largest first


def printable(text: str) -> str:
    """The text with control characters and undecodable bytes shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def parse_size(text: str) -> int:
    """``8M`` in bytes. Raises ValueError, with what it expects, unless it is a size above zero."""
    text = text.strip().upper().removesuffix("B")
    number = text[:-1] if text[-1:] in UNITS else text
    if not number.isdecimal() or int(number) < 1:
        raise ValueError("a size such as 512K, 8M or 1G")
    return int(number) * UNITS.get(text[-1:], 1)


def shown_size(size: int) -> str:
    """``8M`` for so many bytes, or ``1500 bytes`` where no unit fits."""
    for unit, factor in UNITS.items():
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size} bytes"
