"""Pictures without a drawing library: letters of three by five dots, and PNG files."""

from __future__ import annotations

import struct
import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Ink = tuple[int, int, int]

SIZE = 2
"""Pixels a dot."""
LETTER_WIDTH, LETTER_HEIGHT = 4 * SIZE, 5 * SIZE

# A column a letter: its five rows from the top, the left dot of each the highest bit.
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789_.+-:"
_ROWS = (
    "26367735715456262637555557727757777700000",
    "55454445215475555542555551561154415500202",
    "76456657216475565622557222527777727700770",
    "55454455255455546512557524524111525100202",
    "56367435725755243562725527777717727772000",
)


@cache
def _letter(letter: str) -> NDArray[np.bool_]:
    """Where the ink of a letter is `[LETTER_HEIGHT, 3 SIZE]`."""
    rows = [f"{int(row[_ALPHABET.index(letter)]):03b}" for row in _ROWS]
    dots = np.array([[dot == "1" for dot in row] for row in rows])
    return dots.repeat(SIZE, axis=0).repeat(SIZE, axis=1)


def write(picture: Pixels, text: str, top: int, left: int, ink: Ink) -> None:
    """Put words on a picture `[height, width, 3]`, as far as there is room for them.

    Letters are small ones; what there is no letter for is a gap.
    """
    for place, letter in enumerate(text.lower()):
        at = left + place * LETTER_WIDTH
        if letter not in _ALPHABET or at + 3 * SIZE > picture.shape[1]:
            continue
        picture[top : top + LETTER_HEIGHT, at : at + 3 * SIZE][_letter(letter)] = ink


def png(picture: Pixels) -> bytes:
    """A picture `[height, width, 3]` as a PNG file, eight bits a channel."""
    height, width, _ = picture.shape
    # Each line begins with the number of its filter, 2: what differs from the line above.
    lines = np.full((height, 1 + 3 * width), 2, np.uint8)
    lines[:, 1:] = np.diff(picture.reshape(height, -1), axis=0, prepend=np.uint8(0))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + check
