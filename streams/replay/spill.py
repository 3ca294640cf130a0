"""The events of a replay between reading and judging: in memory while they fit, else on disk in parts.

A part holds the subjects whose name hashes to it, so it can be judged by itself; its events are in order of
arrival. What is held is estimated, not measured: counting the bytes of nested values takes longer than decoding
them. Each spill is sorted by part, with an index of where each part begins.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from streams.core.alerts import Subject
from streams.core.event import Event
from streams.replay.judging import Arrived, Copies
from streams.wire.decoder import encode_json

PARTS: Final = 256
"""At a budget of half a gigabyte, twenty million events before one part alone exceeds it."""

AT_ONCE: Final = 1 << 23
"""Bytes on disk that are judged at once, of as many parts as that takes: a few files each cost as much as their events
when there are few."""

LEAST_LOTS: Final = 16
"""Into so many lots they are divided at least, for several processes to share."""

SWELLING: Final = 14
"""Bytes held in judging for each on disk: see ``HELD_BYTES``; an event has some 370 on disk."""

HELD_BYTES: Final = 4000
"""What an event holds beside its fields: itself, its place in a history, and its share of verdicts and alerts told."""


def part_of(subject: Subject) -> int:
    """The part of a subject; the same in every process and version."""
    return zlib.crc32(f"{subject[0]}/{subject[1]}".encode()) % PARTS


_decode_lines: Final = msgspec.json.Decoder(tuple[int, int, Event], float_hook=Decimal).decode_lines


@dataclass(frozen=True, slots=True)
class SpillFile:
    """Arrivals on disk, numbered from 0 within themselves.

    ``index`` says of each spill where each part begins and the last one ends; ``last_at`` of each part when its last
    event occurred.
    """

    path: Path
    count: int
    index: Sequence[Sequence[int]]
    last_at: dict[int, int]

    def to_state(self) -> list[Any]:
        """JSON values; the directory is left out, for it may have been moved."""
        return [self.path.name, self.count, self.index, list(self.last_at.items())]

    @classmethod
    def from_state(cls, state: list[Any], directory: Path) -> SpillFile:
        """What ``to_state`` gave."""
        name, count, index, last_at = state
        return cls(directory / name, count, index, dict(last_at))


class SpillBuffer:
    """Events in order of arrival. ``memory`` (bytes) is what may be held before it goes to the file ``path``."""

    def __init__(self, memory: int, path: Callable[[], Path]) -> None:
        self.count = 0
        self._memory = memory
        self._path = path
        self._held: list[Arrived] = []
        self._used = 0
        self._last_at: dict[int, int] = {}
        self._index: list[list[int]] = []

    @property
    def is_spilled(self) -> bool:
        """Whether anything lies on disk."""
        return bool(self._index)

    def add(self, event: Event, copies: Copies, origin: int, size: int) -> None:
        """Take the next event, of ``size`` bytes as it was sent."""
        self._held.append((event.order, self.count, event, origin, copies))
        self.count += 1
        self._used += HELD_BYTES + 3 * size
        if self._used > self._memory:
            self._spill()

    def held(self) -> list[Arrived]:
        """Everything, where nothing was spilled."""
        return self._held

    def store(self) -> SpillFile:
        """Put on disk what is held; no more events come."""
        self._spill()
        return SpillFile(self._path(), self.count, self._index, self._last_at)

    def _spill(self) -> None:
        if not self._held:
            return
        parts: dict[int, list[bytes]] = {}
        last_at = self._last_at
        for _, number, event, origin, copies in self._held:
            line = encode_json((number, origin, event))
            # of a set only where there may be two alike: most events have one subject
            own = (part_of(copies[0][0]),) if len(copies) == 1 else {part_of(subject) for subject, _ in copies}
            for part in own:
                parts.setdefault(part, []).append(line)
                if event.at > last_at.get(part, event.at - 1):
                    last_at[part] = event.at
        with open(self._path(), "ab" if self._index else "wb") as target:
            offsets = [target.tell()]
            for part in range(PARTS):
                lines = parts.get(part)
                if lines:
                    target.write(b"\n".join(lines) + b"\n")
                offsets.append(target.tell())
        self._index.append(offsets)
        self._held = []
        self._used = 0


class Partitions:
    """Stored arrivals, one lot after the other as their events arrived: what is judged part by part."""

    def __init__(self, copies_of: Callable[[Event], Copies]) -> None:
        self.count = 0
        self.last_at: dict[int, int] = {}
        """Of each part that holds anything, the instant of its last event."""
        self._copies_of = copies_of
        self._stored: list[tuple[SpillFile, int, int]] = []

    def put(self, spilled: SpillFile, shift: int = 0) -> None:
        """Add the next lot; ``shift`` is added to its events' origins."""
        self._stored.append((spilled, self.count, shift))
        self.count += spilled.count
        for part, at in spilled.last_at.items():
            if at > self.last_at.get(part, at - 1):
                self.last_at[part] = at

    def parts(self) -> list[int]:
        """The parts that hold anything."""
        return sorted(self.last_at)

    def tasks(self, memory: int) -> list[range]:
        """The parts in lots to be judged at once, each of which holds at most so many bytes, if need be but one."""
        size = sum(offsets[-1] - offsets[0] for spilled, _, _ in self._stored for offsets in spilled.index)
        wanted = max(-(-size // AT_ONCE), -(-size * SWELLING // max(memory, 1)), LEAST_LOTS)
        step = max(PARTS // wanted, 1)
        return [range(first, min(first + step, PARTS)) for first in range(0, PARTS, step)]

    def load(self, part: int) -> Iterator[Arrived]:
        """The events of one part, in order of arrival, with those of their copies that the part holds."""
        copies_of = self._copies_of
        for spilled, first, shift in self._stored:
            if part not in spilled.last_at:
                continue
            with open(spilled.path, "rb") as source:
                for offsets in spilled.index:
                    source.seek(offsets[part])
                    for number, origin, event in _decode_lines(source.read(offsets[part + 1] - offsets[part])):
                        copies = copies_of(event)
                        if len(copies) > 1:
                            copies = [copy for copy in copies if part_of(copy[0]) == part]
                        yield event.order, first + number, event, shift + origin, copies
