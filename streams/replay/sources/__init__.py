"""The sources of a replay: one reader for each format; all give records for the same decoder.

A source can be read from its beginning repeatedly, always in the same order, so a position (line, row, event or offset)
means the same each time; a continued replay relies on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from streams.errors import InputError

Note = int | InputError | None
"""When a record came in (microseconds), where the source knows; or why the record is refused."""

Record = tuple[int, bytes, Note]
"""Position, the event in the wire format (or the original bytes, where it is refused), and the note."""


class Source(Protocol):
    """One file, or one partition of a topic."""

    @property
    def name(self) -> str:
        """The file's name, or ``topic/partition``."""

    @property
    def size(self) -> int | None:
        """The sum of the records' lengths in bytes; ``None`` where it is unknown."""

    def records(self) -> Iterator[Record]:
        """Every record, in order.

        Raises:
            ConfigError: where it cannot be read, with the place.
        """
