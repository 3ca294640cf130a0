"""The events of a replay between reading and judging: in memory while they fit, else on disk in parts.

A part holds the subjects whose name hashes to it, so it can be judged by itself; its events are in order of
arrival. What is held is estimated, not measured: counting the bytes of nested values takes longer than decoding
them. One spill is one file, sorted by part, with an index of where each part begins.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from streams.adapters.codec import decode_json, encode_json
from streams.adapters.judging import Arrived, Copies
from streams.core.alerts import Subject
from streams.core.event import Event

PARTS: Final = 256
"""At a budget of half a gigabyte, twenty million events before one part alone exceeds it."""

HELD_BYTES: Final = 4000
"""What an event holds beside its fields: itself, its place in a history, and its share of verdicts and alerts told."""


def part_of(subject: Subject) -> int:
    """The part of a subject; the same in every process and version."""
    return zlib.crc32(f"{subject[0]}/{subject[1]}".encode()) % PARTS


class Arrivals:
    """Events in order of arrival. ``memory`` (bytes) is what may be held before it goes to ``directory``."""

    def __init__(self, memory: int, directory: Callable[[], Path], copies_of: Callable[[Event], Copies]):
        self.count = 0
        self.last_at: dict[int, int] = {}
        """Of each part on disk, the instant of its last event."""
        self.index: list[list[int]] = []
        self._memory = memory
        self._directory = directory
        self._copies_of = copies_of
        self._held: list[Arrived] = []
        self._used = 0

    @property
    def is_spilled(self) -> bool:
        """Whether anything lies on disk; all of it does then, after ``finish``."""
        return bool(self.index)

    def add(self, event: Event, copies: Copies, origin: int, size: int) -> None:
        """Take the next event, of ``size`` bytes as it was sent."""
        self._held.append((event.order, self.count, event, origin, copies))
        self.count += 1
        self._used += HELD_BYTES + 3 * size
        if self._used > self._memory:
            self.spill()

    def finish(self) -> None:
        """No more events come."""
        if self.is_spilled:
            self.spill()

    def held(self) -> list[Arrived]:
        """Everything, where nothing was spilled."""
        return self._held

    def release(self) -> None:
        """Let go of what is held, once it has been sorted."""
        self._held = []

    def spill(self) -> None:
        """Write what is held to a file of its own."""
        if not self._held:
            return
        parts: dict[int, list[bytes]] = {}
        for _, number, event, origin, copies in self._held:
            line = encode_json((number, origin, event))
            for part in {part_of(subject) for subject, _ in copies}:
                parts.setdefault(part, []).append(line)
                if event.at > self.last_at.get(part, event.at - 1):
                    self.last_at[part] = event.at
        offsets = [0]
        with open(self._path(len(self.index)), "wb") as target:
            for part in range(PARTS):
                lines = parts.get(part)
                if lines:
                    target.write(b"\n".join(lines) + b"\n")
                offsets.append(target.tell())
        self.index.append(offsets)
        self._held = []
        self._used = 0

    def _path(self, number: int) -> Path:
        return self._directory() / f"events-{number:05d}"

    def parts(self) -> list[int]:
        """The parts on disk that hold anything."""
        return sorted(self.last_at)

    def count_in(self, part: int) -> int:
        """Bytes of one part on disk."""
        return sum(offsets[part + 1] - offsets[part] for offsets in self.index)

    def load(self, part: int) -> Iterator[Arrived]:
        """The events of one part, in order of arrival, with those of their copies that the part holds."""
        copies_of = self._copies_of
        for number, offsets in enumerate(self.index):
            length = offsets[part + 1] - offsets[part]
            if length:
                with open(self._path(number), "rb") as source:
                    source.seek(offsets[part])
                    for line in source.read(length).splitlines():
                        arrival, origin, state = decode_json(line)
                        event = msgspec.convert(state, Event)
                        own = [copy for copy in copies_of(event) if part_of(copy[0]) == part]
                        yield event.order, arrival, event, origin, own

    # -- keep --------------------------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """What must be kept to find the files again; spill first."""
        return {"count": self.count, "last_at": list(self.last_at.items()), "index": self.index}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``to_state`` gave."""
        self.count, self.index = state["count"], state["index"]
        self.last_at = {part: at for part, at in state["last_at"]}
