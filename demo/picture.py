"""A picture of coloured boxes, written as PNG with nothing but the standard library."""

import struct
import zlib

Colour = tuple[int, int, int]


class Picture:
    """`width` x `height` pixels; 0, 0 is at the top left."""

    def __init__(self, width: int, height: int, background: Colour) -> None:
        self.width = width
        self.height = height
        self._rows = [bytearray(bytes(background) * width) for _ in range(height)]

    def box(self, left: int, top: int, width: int, height: int, colour: Colour) -> None:
        """Fill a box, which must be inside of the picture."""
        for row in self._rows[top : top + height]:
            row[left * 3 : (left + width) * 3] = bytes(colour) * width

    def png(self) -> bytes:
        """The file's bytes: 8 bits for each of red, green and blue."""
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        pixels = b"".join(b"\0" + row for row in self._rows)
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(pixels))
            + _chunk(b"IEND", b"")
        )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
