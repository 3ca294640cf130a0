"""Where a replay's events come from: one reader a format, all of them giving records for the one decoder.

A source is read from its beginning as often as asked, in one order, so that a position in it (a line, row, event
or offset) means the same each time: an interrupted replay finds its place again by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from streams.errors import InputError

Note = int | InputError | None
"""When a record came in (microseconds), where the source knows; or why it cannot be a record at all."""

Record = tuple[int, bytes, Note]
"""Position, the event in the wire format (or the original bytes, where it is refused), and the note."""


class Source(Protocol):
    """One file, or one partition of a topic."""

    @property
    def name(self) -> str:
        """The file's name, or ``topic/partition``."""

    @property
    def size(self) -> int | None:
        """Bytes, as the records' lengths add up to; ``None`` where that cannot be told."""

    def records(self) -> Iterator[Record]:
        """Every record, in order.

        Raises:
            ConfigError: where it cannot be read, with the place.
        """
