"""The sources of a replay's events: one reader per format, all giving records for the one decoder.

A source can be read from its beginning repeatedly, always in the same order, so that a position in it (a line, row,
event or offset) is stable: an interrupted replay continues by it. Positions never decrease; the events of one row have
the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from schemas.limits import DAY
from streams.core.event import Event
from streams.errors import InputError
from streams.wire.decoder import Arrival, Decoder
from streams.wire.mapping import MappedEvent, Skipped

MAX_AHEAD = 366 * DAY
"""How far (microseconds) past the moment of reading an event in a file may lie before it counts as stamped by a wrong
clock: simulated files may run into next year.
"""

Note = Arrival | InputError | Skipped | MappedEvent | None
"""The arrival time of a record, if known; the error of a refused one; a part that is skipped and only counted; or a
mapping's result of a row.
"""

Record = tuple[int, bytes, Note]
"""Position, the event in the wire format (or the original bytes, where it is refused), and the note."""


class Source(Protocol):
    """One file, or one partition of a topic."""

    @property
    def name(self) -> str:
        """The file's name, or ``topic/partition``."""

    @property
    def size(self) -> int | None:
        """Bytes, the sum of the records' lengths; ``None`` where it is not known."""

    def records(self) -> Iterator[Record]:
        """Every record, in order.

        Raises:
            ConfigError: where it cannot be read, with the place.
        """


def event_of(decoder: Decoder, raw: bytes, note: Note, received: int) -> Event | Skipped:
    """The event of a record, or the skipped part; ``received`` (microseconds) is the time of reading of files.

    Raises:
        InputError: naming column, value and key of the mapping where there is one.
    """
    if note is None:
        return decoder.decode(raw, received=received, max_ahead=MAX_AHEAD)
    if isinstance(note, Arrival):
        return decoder.decode(raw, received=note.received, max_ahead=note.max_ahead)
    if isinstance(note, InputError):
        raise note
    if isinstance(note, Skipped):
        return note
    if isinstance(note.note, InputError):
        raise note.note
    if isinstance(note.note, Skipped):
        return note.note
    came, ahead = note.arrival or (received, MAX_AHEAD)
    try:
        return decoder.decode(raw, received=came, max_ahead=ahead)
    except InputError as error:
        raise note.error_at(error) from None
