"""Lines with some bytes changed."""

from __future__ import annotations

import os
import random
from typing import Final

SEEDS: Final = range(*map(int, os.environ.get("GRIDCLOCK_MUTATED", "0-6").split("-")))
"""``1000-2000``: seeds of the tests of mutated bytes from the first (inclusive) to the last (exclusive)."""


def mutated(line: bytes, chance: random.Random) -> bytes:
    """The line, with up to three changes."""
    changed = bytearray(line)
    for _ in range(chance.choice((0, 0, 1, 3))):
        place = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                del changed[place : place + chance.randrange(1, 12)]
            case 2:
                changed[place:place] = chance.choice((b'"', b"{", b",", b"null", b"\\u0041", b" ", b"0", b"[]"))
            case _:
                changed[place:place] = changed[max(0, place - 30) : place]
    return bytes(changed).replace(b"\n", b" ")
