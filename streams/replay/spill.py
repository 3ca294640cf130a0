"""The events of a replay between reading and judging: in memory while they fit, otherwise on disk in partitions.

A partition holds the subjects whose name hashes to it, so it can be judged alone; its events are in order of arrival.
Memory use is estimated, because counting the bytes of nested values takes longer than decoding them. Each spill file is
sorted by partition, with an index of the partitions' offsets.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from streams.core.alerts import Subject
from streams.core.event import Event
from streams.replay.judging import Arrived, Copies, Deduplicated, deduplicate
from streams.wire.decoder import encode_json

PARTS: Final = 256
"""With half a gigabyte of memory, a single partition exceeds it only beyond twenty million events."""

AT_ONCE: Final = 1 << 23
"""Bytes on disk that one task judges: in smaller tasks the files would cost more than the events."""

LEAST_LOTS: Final = 16
"""The least number of tasks, so that several processes can share them."""

SWELLING: Final = 14
"""Bytes in memory while judging, for each byte on disk: see ``HELD_BYTES``; an event has about 370 on disk."""

HELD_BYTES: Final = 4000
"""Memory of an event besides its fields: the object, its place in a history, its share of verdicts and alerts."""


def part_of(subject: Subject) -> int:
    """The partition of a subject; the same in every process and version."""
    return zlib.crc32(f"{subject[0]}/{subject[1]}".encode()) % PARTS


_decode_lines: Final = msgspec.json.Decoder(tuple[int, int, Event], float_hook=Decimal).decode_lines


@dataclass(frozen=True, slots=True)
class SpillFile:
    """Spilled events of one split, numbered from 0.

    ``index`` holds for each spill where each partition begins and the last one ends; ``last_at`` the instant of each
    partition's last event.
    """

    path: Path
    count: int
    index: Sequence[Sequence[int]]
    last_at: dict[int, int]

    def to_state(self) -> list[Any]:
        """As JSON values, without the directory, which may be moved."""
        return [self.path.name, self.count, self.index, list(self.last_at.items())]

    @classmethod
    def from_state(cls, state: list[Any], directory: Path) -> SpillFile:
        """The file that ``to_state`` described."""
        name, count, index, last_at = state
        return cls(directory / name, count, index, dict(last_at))


class SpillWriter:
    """Writes lines to a file, each to its partition, spill by spill; ``path`` gives the file."""

    def __init__(self, path: Callable[[], Path]) -> None:
        self._path = path
        self._parts: dict[int, list[bytes]] = {}
        self._last_at: dict[int, int] = {}
        self._index: list[list[int]] = []

    @property
    def has_written(self) -> bool:
        """Whether there is a spill in the file."""
        return bool(self._index)

    def put(self, part: int, line: bytes, at: int) -> None:
        """Hold the line of an event of that instant (microseconds) for the next spill."""
        self._parts.setdefault(part, []).append(line)
        if at > self._last_at.get(part, at - 1):
            self._last_at[part] = at

    def spill(self) -> None:
        """Append what is held to the file."""
        with open(self._path(), "ab" if self._index else "wb") as target:
            offsets = [target.tell()]
            for part in range(PARTS):
                lines = self._parts.get(part)
                if lines:
                    target.write(b"\n".join(lines) + b"\n")
                offsets.append(target.tell())
        self._index.append(offsets)
        self._parts = {}

    def store(self, count: int) -> SpillFile:
        """What was written, as that of so many events; no more lines are put."""
        return SpillFile(self._path(), count, self._index, self._last_at)


class SpillBuffer:
    """Events in order of arrival; beyond ``memory`` bytes they are spilled to the file ``path``."""

    def __init__(self, memory: int, path: Callable[[], Path]) -> None:
        self.count = 0
        self.path = path
        self._memory = memory
        self._held: list[Arrived] = []
        self._used = 0
        self._writer = SpillWriter(path)

    @property
    def is_spilled(self) -> bool:
        """Whether events were spilled."""
        return self._writer.has_written

    def add(self, event: Event, copies: Copies, origin: int, size: int) -> None:
        """Add the next event, of ``size`` bytes on the wire."""
        order = event.at, event.recorded, event.event_id
        self._held.append((order, self.count, event, origin, copies))
        self.count += 1
        self._used += HELD_BYTES + 3 * size
        if self._used > self._memory:
            self._spill()

    def held(self) -> list[Arrived]:
        """All events, if none were spilled."""
        return self._held

    def store(self) -> SpillFile:
        """Spill the rest; no more events are added."""
        self._spill()
        return self._writer.store(self.count)

    def _spill(self) -> None:
        if not self._held:
            return
        for _, number, event, origin, copies in self._held:
            line = encode_json((number, origin, event))
            # a set only where there may be duplicates: most events have one subject
            own = (part_of(copies[0][0]),) if len(copies) == 1 else {part_of(subject) for subject, _ in copies}
            for part in own:
                self._writer.put(part, line, event.at)
        self._writer.spill()
        self._held = []
        self._used = 0


class Partitions:
    """The spilled events of all splits, in order of arrival, by partition."""

    def __init__(self, copies_of: Callable[[Event], Copies]) -> None:
        self.count = 0
        self.last_at: dict[int, int] = {}
        """The instant of the last event of each non-empty partition."""
        self._copies_of = copies_of
        self._stored: list[tuple[SpillFile, int, int]] = []

    def put(self, spilled: SpillFile, shift: int = 0) -> None:
        """Add the next split's file; ``shift`` is added to its events' origins."""
        self._stored.append((spilled, self.count, shift))
        self.count += spilled.count
        for part, at in spilled.last_at.items():
            if at > self.last_at.get(part, at - 1):
                self.last_at[part] = at

    def parts(self) -> list[int]:
        """The non-empty partitions."""
        return sorted(self.last_at)

    def tasks(self, memory: int) -> list[range]:
        """The partitions grouped into tasks of at most so many bytes, but of at least one partition."""
        size = sum(offsets[-1] - offsets[0] for spilled, _, _ in self._stored for offsets in spilled.index)
        wanted = max(-(-size // AT_ONCE), -(-size * SWELLING // max(memory, 1)), LEAST_LOTS)
        step = max(PARTS // wanted, 1)
        return [range(first, min(first + step, PARTS)) for first in range(0, PARTS, step)]

    def load(self, part: int) -> Iterator[Arrived]:
        """The events of one partition in order of arrival, with their copies in that partition."""
        copies_of = self._copies_of
        for piece, first, shift in self._pieces(part):
            for number, origin, event in _decode_lines(piece):
                copies = copies_of(event)
                if len(copies) > 1:
                    copies = [copy for copy in copies if part_of(copy[0]) == part]
                yield event.order, first + number, event, shift + origin, copies

    def deduplicated(self, parts: Iterable[int]) -> Deduplicated:
        """The events of some partitions, without repetitions."""
        found = Deduplicated()
        for part in parts:
            found.add(deduplicate(self.load(part)))
        return found

    def _pieces(self, part: int) -> Iterator[tuple[bytes, int, int]]:
        """The lines of one partition, spill by spill: the number of the split's first event and its shift."""
        for spilled, first, shift in self._stored:
            if part not in spilled.last_at:
                continue
            with open(spilled.path, "rb") as source:
                for offsets in spilled.index:
                    source.seek(offsets[part])
                    yield source.read(offsets[part + 1] - offsets[part]), first, shift
