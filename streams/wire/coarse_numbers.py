"""Numbers of 32 and 16 bits in tables: those that may be rounded are marked, wherever in a column they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streams.wire.cells import Coarse

Read = Callable[[Any], Any]


def coarse_number(bits: int) -> Read:
    """Marks numbers of more than so many bits: smaller whole ones are kept exactly."""
    exact = 2**bits
    return lambda value: value if value is None or abs(value) < exact else Coarse(value)


def coarse_members(members: Mapping[str, Read | None]) -> Read | None:
    """Reads those members of a struct that have such numbers; ``None`` where none has."""
    inner = {name: read for name, read in members.items() if read is not None}
    if not inner:
        return None
    return lambda row: row and {name: inner[name](one) if name in inner else one for name, one in row.items()}


def coarse_elements(read: Read | None) -> Read | None:
    """Reads each element of a list; ``None`` where they have no such numbers."""
    return None if read is None else lambda several: several and [read(one) for one in several]
