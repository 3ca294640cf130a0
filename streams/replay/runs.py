"""What judging found in each lot of parts, on disk: whoever judges it leaves it here, in the bytes in which it is told.

So the process that puts the lots together only merges: it neither decodes what it passes on nor counts it. A run is
a file of such pieces in the order of their keys; a lot is done once its last file is in place, with the names of its
runs and what was counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from heapq import merge
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from streams.core.alerts import Subject
from streams.replay.judging import AlertKey
from streams.wire.decoder import encode_json

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode  # floats stay floats


Key = tuple[Any, ...]


class RunKind:
    """Runs of one kind: their name, and the type of their keys, which are read back as such."""

    def __init__(self, name: str, key: Any) -> None:
        self.name = name
        self.head: Callable[[bytes], tuple[Key, int]] = msgspec.json.Decoder(tuple[key, int]).decode


ALERTS = RunKind("alerts", AlertKey)
CASES = RunKind("cases", Subject)
"""All cases of a subject in one piece."""

BEFORE, AFTER = RunKind("before", Subject), RunKind("after", Subject)
"""The same for a comparison, as JSON: by the rulebook, and by its rival."""

CONFLICTS = RunKind("conflicts", tuple[int])
"""By their number in order of arrival: origin and event."""


class JudgingTask:
    """The files of some parts while they are judged, or once they are done."""

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
        """Whether it need not be judged again."""
        return self._done.exists()

    def write(self, kind: RunKind, pieces: Iterable[tuple[Key, bytes]]) -> None:
        """Keep pieces that come in the order of their keys."""
        with open(self._own(kind.name), "wb") as target:
            for key, piece in pieces:
                target.write(_encode((key, len(piece))) + b"\n")
                target.write(piece)

    def _own(self, name: str) -> Path:
        # A process that its dead parent left behind may be at the same lot for a moment longer.
        return self._directory / f"{name}-{self._number:03d}.{os.getpid()}"

    def finish(self, counted: Mapping[str, Any], summary: Mapping[str, Any] | None, kinds: Sequence[RunKind]) -> None:
        """Say that it is done; a ``summary`` is kept apart from what was counted, because it is larger."""
        names = {one.name: self._own(one.name).name for one in kinds}
        if summary is not None:
            names["summary"] = self._own("summary").name
            self._own("summary").write_bytes(encode_json(summary))
        unfinished = self._own("unfinished")
        unfinished.write_bytes(encode_json({**counted, "files": names}))
        unfinished.replace(self._done)

    @property
    def counted(self) -> Mapping[str, Any]:
        """What was counted, once it is done."""
        if self._counted is None:
            self._counted = _decode(self._done.read_bytes())
        return self._counted

    def summary(self) -> Any:
        """What was summed up."""
        return _decode((self._directory / self.counted["files"]["summary"]).read_bytes())

    def run(self, kind: RunKind) -> Path | None:
        """Where the run of a kind lies, if there is one."""
        name = self.counted["files"].get(kind.name)
        return None if name is None else self._directory / name


def tasks_of(directory: Path, compute: Callable[[], Sequence[range]]) -> list[JudgingTask]:
    """The lots that judging began with in that directory, else those computed now: memory and processes may differ."""
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
    """The pieces of all the lots, in the order of their keys."""
    with ExitStack() as files:
        runs = []
        for task in tasks:
            path = task.run(kind)
            if path is not None:
                runs.append(_pieces(kind, files.enter_context(open(path, "rb"))))
        yield from merge(*runs)


def _pieces(kind: RunKind, source: BinaryIO) -> Iterator[tuple[Key, bytes]]:
    head, read = kind.head, source.read
    for line in iter(source.readline, b""):
        key, length = head(line)
        yield key, read(length)
