"""Events to entries of the ordered log: one for each subject that the event concerns, in the partition of that subject.

Natively a record becomes its entries in one step, where it is one plain JSON object about a few subjects; the bytes are
the same. All others are decoded first.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from streams.core.alerts import Subject
from streams.core.event import Event
from streams.core.rulebook import Rulebook
from streams.engine.clocks import NativeClocks, PlainRecord, Routed
from streams.errors import InputError
from streams.wire.state_rows import entry_to_bytes

MAX_RECORD: Final = 400_000
"""Bytes of entries after which a log record is closed; one entry more still fits a default broker."""

MAX_FAN_OUT: Final = 16 * 1024 * 1024
"""Bytes of all entries of one event: a notice of 20,000 meters has some 4 MB."""

Placed = list[tuple[int, bytes]]
"""Entries, each with its partition of the log."""


def partition_of(subject: Subject, partitions: int) -> int:
    """The log partition of a subject; the same in every process and version."""
    return zlib.crc32(f"{subject[0]}/{subject[1]}".encode()) % partitions


class Router:
    """Routes events by one rulebook to a log of so many partitions."""

    def __init__(self, rulebook: Rulebook, partitions: int, native: NativeClocks | None = None) -> None:
        self.partitions = partitions
        self._rulebook = rulebook
        self._native = native

    @property
    def is_native(self) -> bool:
        """Whether ``route`` knows any record."""
        return self._native is not None

    def entries_of(self, event: Event, origin: str) -> Placed:
        """The entries of an event; none where no rule watches it.

        Raises:
            InputError: where they are together more than ``MAX_FAN_OUT`` bytes.
        """
        own: Placed = []
        size = 0
        copies = self._rulebook.copies_of(event)
        for subject, copy in copies:
            entry = entry_to_bytes(subject, copy, origin)
            own.append((partition_of(subject, self.partitions), entry))
            size += len(entry)
            if size > MAX_FAN_OUT:
                raise InputError(
                    "too_large", None, f"{len(copies)} subjects: their copies would be more than {MAX_FAN_OUT} bytes"
                )
        return own

    def route(self, records: list[PlainRecord], first: int, source: str, entries: list[list[bytes]]) -> Routed | None:
        """Append the entries of records, from the first on, to those of their partitions of the log.

        For records whose decoder keeps all as it is. ``source`` is the partition from which they are, as it is named in
        their origin. ``None`` where the first must be decoded by Python; other such records end it.
        """
        return None if self._native is None else self._native.route(records, first, source, entries)


def split(entries: Sequence[bytes]) -> list[list[bytes]]:
    """Entries in chunks of bounded size; at least one chunk, possibly empty."""
    if sum(map(len, entries)) <= MAX_RECORD:  # the usual case
        return [list(entries)]
    chunks: list[list[bytes]] = [[]]
    size = 0
    for entry in entries:
        if size + len(entry) > MAX_RECORD and chunks[-1]:
            chunks.append([])
            size = 0
        chunks[-1].append(entry)
        size += len(entry)
    return chunks
