"""What the native engine has read beyond the memory, on disk: each line once for each of its subjects, by partition.

Events that Python has read lie between them, in the order of arrival. See ``spill`` for partitions and files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Final

import msgspec

from streams.core.alerts import Subject
from streams.core.event import Event
from streams.engine.judged import Line
from streams.replay.judging import Arrived
from streams.replay.reading import Scope
from streams.replay.sources import MAX_AHEAD
from streams.replay.spill import Partitions, SpillFile, SpillWriter, part_of
from streams.wire.decoder import encode_json

AT_ONCE: Final = 50_000
"""Rows that are held to be sorted by partition."""

Row = tuple[int, int, str, str, bool, msgspec.Raw]
"""Number of arrival and origin of an event, type and id of a subject, and the event as JSON: its line (true), or as
Python has it.
"""

_number = itemgetter(0)
_decode_rows: Final = msgspec.json.Decoder(Row).decode_lines
_read_event: Final = msgspec.json.Decoder(Event, float_hook=Decimal).decode


def line_rows(routed: Iterable[tuple[Line, int, Subject]]) -> Iterator[tuple[Row, int]]:
    """The rows of lines, each with the instant of its event."""
    for (number, origin, line), at, subject in routed:
        yield (number, origin, *subject, True, msgspec.Raw(line)), at


def event_rows(arrived: Iterable[Arrived]) -> Iterator[tuple[Row, int]]:
    """The rows of events that Python has read, each with its instant."""
    for _, number, event, origin, copies in arrived:
        encoded = msgspec.Raw(encode_json(event))
        for subject, _ in copies:
            yield (number, origin, *subject, False, encoded), event.at


class LineSpill:
    """Rows in a file, in the order of arrival within each partition; ``path`` gives the file."""

    def __init__(self, path: Callable[[], Path]) -> None:
        self.count = 0
        """Events, those too that concern nobody."""
        self._writer = SpillWriter(path)

    def add(self, *kinds: Iterable[tuple[Row, int]]) -> None:
        """Add rows of each kind, whose numbers rise from 0; they are numbered on from those of earlier calls."""
        first = self.count
        rows = merge(*kinds, key=lambda pair: pair[0][0])
        while some := list(islice(rows, AT_ONCE)):
            for (number, origin, kind, name, is_line, raw), at in some:
                row = first + number, origin, kind, name, is_line, raw
                self._writer.put(part_of((kind, name)), encode_json(row), at)
            self._writer.spill()
            self.count = first + some[-1][0][0] + 1

    def store(self) -> SpillFile:
        """What was written; no more rows are added."""
        return self._writer.store(self.count)


class LinePartitions(Partitions):
    """The rows of a replay, by partition."""

    def __init__(self, scope: Scope, spilled: SpillFile) -> None:
        super().__init__(scope.copies_of)
        self.put(spilled)
        self._scope = scope

    def rows(self, part: int) -> Iterator[Row]:
        """Those of one partition, in order of arrival."""
        for piece, _, _ in self._pieces(part):
            yield from _decode_rows(piece)

    def load(self, part: int) -> Iterator[Arrived]:
        """See ``Partitions``."""
        return arrived(self._scope, self.rows(part))


def arrived(scope: Scope, rows: Iterable[Row]) -> Iterator[Arrived]:
    """Rows in order of arrival as events, each with its copies for the subjects of its rows."""
    for number, own in groupby(rows, key=_number):
        some = list(own)
        _, origin, _, _, is_line, raw = some[0]
        if is_line:
            event = scope.decoder.decode(bytes(raw), received=scope.received, max_ahead=MAX_AHEAD)
        else:
            event = _read_event(raw)
        copies = dict(scope.copies_of(event))
        subjects = ((kind, name) for _, _, kind, name, _, _ in some)
        yield event.order, number, event, origin, [(subject, copies[subject]) for subject in subjects]
