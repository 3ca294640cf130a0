"""Files of JSON lines, plain, .gz or .zst; "-" is standard input, which may also be one JSON array.

A plain file may be read in ranges.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

from streams.errors import ConfigError
from streams.files import STANDARD, Skim, bounded_lines, is_compressed, line_of, raw_lines
from streams.replay.sources import Record
from streams.replay.sources.json_rows import lines_or_elements

_IN_MEMORY = 64 * 1024 * 1024
_CHUNK = 1 << 20


class Lines:
    """One file of JSON lines; positions are line numbers from 1.

    Standard input is stored as it is read, because a record may be looked up again.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._aside: SpooledTemporaryFile[bytes] | None = None

    @property
    def size(self) -> int | None:
        """See ``Source``; unknown for a compressed file."""
        if self.name == STANDARD or self.name.endswith((".gz", ".zst")):
            return None
        try:
            return Path(self.name).stat().st_size
        except OSError:
            return None

    def records(self, skim: Skim | None = None) -> Iterator[Record]:
        """See ``Source``; lines that ``skim`` takes are not given. Of standard input it takes none."""
        if self.name == STANDARD:
            yield from self._standard()
            return
        yield from bounded_lines(self.name, skim=skim)

    def ranges(self, step: int) -> list[LineRange] | None:
        """The file in ranges of ``step`` bytes, in order; ``None`` where it can only be read from its beginning.

        Raises:
            ConfigError: where it is missing or cannot be read.
        """
        if self.name == STANDARD:
            return None
        try:
            status = Path(self.name).stat()
            if not stat.S_ISREG(status.st_mode) or is_compressed(self.name):
                return None
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror or error}", path=self.name) from error
        starts = range(0, status.st_size, step)
        # The last range ends where the file ends when it is read, as for a reader from the beginning.
        return [
            LineRange(self.name, start, start + step if start + step < status.st_size else None) for start in starts
        ]

    def close(self) -> None:
        """Delete stored standard input."""
        if self._aside is not None:
            self._aside.close()
            self._aside = None

    def _standard(self) -> Iterator[Record]:
        if self._aside is not None:
            self._aside.seek(0)
            while head := self._aside.readline():
                place, size, length = map(int, head.split())
                if again := line_of(place, self._aside.read(length), size):
                    yield again
            return
        aside = self._aside = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed with the source)
        for found in lines_or_elements(self.name):
            number, line, error = found
            aside.write(b"%d %d %d\n%b" % (number, (error and error.size) or len(line), len(line), line))
            yield found


class LineRange:
    """The lines of a plain file that begin at bytes ``start`` (inclusive) to ``end`` (exclusive; ``None``: the rest).

    Positions are line numbers from 1 within the range; ``lines`` is their number, once all were read.
    """

    def __init__(self, name: str, start: int, end: int | None) -> None:
        self.name = name
        self.lines = 0
        self._start = start
        self._end = end

    @property
    def size(self) -> int | None:
        """See ``Source``."""
        return None if self._end is None else self._end - self._start

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        number, end = 0, self._end
        try:
            with open(self.name, "rb") as source:
                at = self._begin(source)
                if end is not None and at >= end:
                    return
                for number, (line, size) in enumerate(raw_lines(source), start=1):
                    if found := line_of(number, line, size, is_first=number == 1 and self._start == 0):
                        yield found
                    at += size
                    if end is not None and at >= end:
                        break
        except OSError as error:
            raise ConfigError(
                f"damaged after this line: {error}", path=self.name, line=self.lines_before() + number
            ) from error
        self.lines = number

    def _begin(self, source: BinaryIO) -> int:
        """Seek the first line that begins in the range, or the end of the range; gives the position."""
        at = max(self._start - 1, 0)
        source.seek(at)
        while self._start > 0 and (self._end is None or at < self._end):
            piece = source.readline(_CHUNK)  # a line may be as long as the file
            at += len(piece)
            if not piece or piece.endswith(b"\n"):
                break
        return at

    def lines_before(self) -> int:
        """Lines that begin before the range; reads the file up to there."""
        count = 0
        with open(self.name, "rb") as source:
            left = max(self._start - 1, 0)
            while left > 0 and (chunk := source.read(min(left, _CHUNK))):
                count += chunk.count(b"\n")
                left -= len(chunk)
        return count + bool(self._start)
