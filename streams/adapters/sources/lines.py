"""Files of JSON lines, plain, .gz or .zst; "-" is standard input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile

from streams.adapters.files import STANDARD, read_lines
from streams.adapters.sources import Record

_IN_MEMORY = 64 * 1024 * 1024


class Lines:
    """One file of JSON lines; positions are line numbers from 1.

    Standard input is kept aside as it is read, because a record may have to be looked up again.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._aside: SpooledTemporaryFile[bytes] | None = None

    @property
    def size(self) -> int | None:
        """See ``Source``; the size of a compressed file says nothing of its lines."""
        if self.name == STANDARD or self.name.endswith((".gz", ".zst")):
            return None
        try:
            return Path(self.name).stat().st_size
        except OSError:
            return None

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        if self.name == STANDARD:
            yield from self._standard()
            return
        for number, line in read_lines(self.name):
            yield number, line, None

    def close(self) -> None:
        """Let go of what was kept aside."""
        if self._aside is not None:
            self._aside.close()
            self._aside = None

    def _standard(self) -> Iterator[Record]:
        if self._aside is not None:
            self._aside.seek(0)
            for kept in self._aside:
                found, _, line = kept.rstrip(b"\n").partition(b" ")
                yield int(found), line, None
            return
        aside = self._aside = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed with the source)
        for number, line in read_lines(self.name):
            aside.write(b"%d %b\n" % (number, line))
            yield number, line, None
