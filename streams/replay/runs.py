"""The sorted runs that each judging task writes to disk, in the bytes of the final output.

So the process that combines the tasks only merges: it neither decodes nor counts. A run is a file of pieces in the
order of their keys; a task is done when its last file exists, which lists its runs and its counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from heapq import merge
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from streams.core.alerts import Subject
from streams.core.event import Event
from streams.replay.judging import AlertKey
from streams.wire.cloudevents import ReportedCase, encode
from streams.wire.decoder import encode_json

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode  # keeps floats as floats

Conflict = tuple[int, Event]
"""The origin of an event whose id was seen before with other content, and the event."""

_conflict = msgspec.json.Decoder(Conflict, float_hook=Decimal).decode

Key = tuple[Any, ...]


class RunKind:
    """A kind of run: its name, and the type of its keys, by which they are decoded."""

    def __init__(self, name: str, key: Any) -> None:
        self.name = name
        self.head: Callable[[bytes], tuple[Key, int]] = msgspec.json.Decoder(tuple[key, int]).decode


ALERTS = RunKind("alerts", AlertKey)
CASES = RunKind("cases", Subject)
"""Cases; a piece holds all cases of a subject."""

BEFORE, AFTER = RunKind("before", Subject), RunKind("after", Subject)
"""The same for a comparison, as JSON: by the rulebook, and by the other rulebook."""

CONFLICTS = RunKind("conflicts", tuple[int])
"""Conflicting repetitions by arrival number: origin and event."""


CasesOfSubject = tuple[Subject, Iterable[ReportedCase]]
"""All cases of a subject."""


class JudgingTask:
    """A task's partitions and its files, during judging and afterwards."""

    def __init__(self, directory: Path, parts: range) -> None:
        self.parts = parts
        self._directory = directory
        self._number = parts.start
        self._counted: dict[str, Any] | None = None

    @property
    def _done(self) -> Path:
        return self._directory / f"done-{self._number:03d}"

    @property
    def is_done(self) -> bool:
        """Whether it is done."""
        return self._done.exists()

    def write(self, kind: RunKind, pieces: Iterable[tuple[Key, bytes]]) -> None:
        """Write pieces, given in the order of their keys."""
        with open(self._own(kind.name), "wb") as target:
            for key, piece in pieces:
                target.write(_encode((key, len(piece))) + b"\n")
                target.write(piece)

    def write_side(self, kind: RunKind, cases: Iterable[CasesOfSubject]) -> None:
        """Write one side of a comparison, in the order of subjects."""
        self.write(kind, ((subject, encode([(one.event, one.explanation) for one in own])) for subject, own in cases))

    def _own(self, name: str) -> Path:
        # A process whose parent was killed may still write the same task for a moment.
        return self._directory / f"{name}-{self._number:03d}.{os.getpid()}"

    def finish(self, counted: Mapping[str, Any], summary: Mapping[str, Any] | None, kinds: Sequence[RunKind]) -> None:
        """Mark it as done; the ``summary`` is a file of its own, because it is larger than the counts."""
        names = {one.name: self._own(one.name).name for one in kinds}
        if summary is not None:
            names["summary"] = self._own("summary").name
            self._own("summary").write_bytes(encode_json(summary))
        unfinished = self._own("unfinished")
        unfinished.write_bytes(encode_json({**counted, "files": names}))
        unfinished.replace(self._done)

    @property
    def counted(self) -> Mapping[str, Any]:
        """The counts, once it is done."""
        if self._counted is None:
            self._counted = _decode(self._done.read_bytes())
        return self._counted

    def summary(self) -> Any:
        """The summary."""
        return _decode((self._directory / self.counted["files"]["summary"]).read_bytes())

    def run(self, kind: RunKind) -> Path | None:
        """The file of a kind's run, if there is one."""
        name = self.counted["files"].get(kind.name)
        return None if name is None else self._directory / name


def tasks_of(directory: Path, compute: Callable[[], Sequence[range]]) -> list[JudgingTask]:
    """The tasks stored in that directory, else those computed now: memory and processes may have changed since."""
    kept = directory / "lots"
    try:
        parts = [range(first, last) for first, last in _decode(kept.read_bytes())]
    except FileNotFoundError:
        parts = list(compute())
        unfinished = directory / "lots.partial"
        unfinished.write_bytes(_encode([(own.start, own.stop) for own in parts]))
        unfinished.replace(kept)
    return [JudgingTask(directory, own) for own in parts]


def merged(kind: RunKind, tasks: Iterable[JudgingTask]) -> Iterator[tuple[Key, bytes]]:
    """The pieces of all tasks, merged in the order of their keys."""
    with ExitStack() as files:
        runs = []
        for task in tasks:
            path = task.run(kind)
            if path is not None:
                runs.append(_pieces(kind, files.enter_context(open(path, "rb"))))
        yield from merge(*runs)


def side_of(kind: RunKind, tasks: Iterable[JudgingTask]) -> Iterator[ReportedCase]:
    """The cases of one side of a comparison, by subject."""
    for _, cases in merged(kind, tasks):
        for event, explanation in _decode(cases):
            yield ReportedCase(event, explanation)


def _pieces(kind: RunKind, source: BinaryIO) -> Iterator[tuple[Key, bytes]]:
    head, read = kind.head, source.read
    for line in iter(source.readline, b""):
        key, length = head(line)
        yield key, read(length)


def conflicts_of(tasks: Iterable[JudgingTask], twice: bytearray) -> Iterator[Conflict]:
    """The conflicts of all tasks in the order of arrival; none of them stays marked in ``twice`` as a repetition.

    An event that is a conflict in any task is not a plain repetition.
    """
    last = -1
    for (number,), piece in merged(CONFLICTS, tasks):
        twice[number >> 3] &= ~(1 << (number & 7))
        if number != last:
            yield _conflict(piece)
        last = number
