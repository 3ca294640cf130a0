"""The common part of all sources of rows: a mapping, and a name for each row independent of the file's path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streams.errors import InputError
from streams.replay.sources import Record
from streams.rulebooks.mapping_files import MappingFile
from streams.wire.cells import ConversionError, text_of
from streams.wire.mapping import Place, Row, Skipped


@dataclass(frozen=True, slots=True)
class Input:
    """One file and its reading options.

    ``version`` precedes a row's number where rows have versions: of two files the later one counts. ``sheet``, if
    given, replaces the mapping's.
    """

    name: str
    mapping: MappingFile
    version: tuple[int, ...] = (0,)
    sheet: str | None = None


class Rows:
    """A source of rows; positions are row numbers. The bytes read are not the sum of the records' lengths."""

    size: int | None = None

    def __init__(self, given: Input) -> None:
        self.name = given.name
        self.input = given
        self.mapping = given.mapping.mapping

    def records(self) -> Iterator[Record]:
        """See ``Source``."""
        raise NotImplementedError

    def made(self, number: int, row: Row, original: bytes = b"") -> Iterator[Record]:
        """The records of one flat row."""
        place = Place(str(number), (*self.input.version, number))
        for made in self.input.mapping.rows.events(row, place):
            note = made.note
            if isinstance(note, InputError) and note.reason == "not_utf8" and original:
                # a value not in the file's encoding cannot be written as JSON
                yield number, original, self.not_of_encoding(note)
            else:
                yield number, made.raw, made

    def not_of_encoding(self, note: InputError) -> InputError:
        """The message for a row that is not text."""
        return note


class Header:
    """Finds the header of a table and skips the rows above it and, if configured, below it."""

    def __init__(self, given: Input) -> None:
        mapping = given.mapping.mapping
        self._given = given
        self._at = mapping.header_row or mapping.skip_rows + 1
        self._below = mapping.skip_rows if mapping.header_row else 0

    def place(self, line: int) -> str:
        """The kind of a row of the table: ``above``, ``header``, ``below`` or ``data``; lines from 1."""
        if line < self._at:
            return "above"
        if line == self._at:
            return "header"
        return "below" if line <= self._at + self._below else "data"

    def check(self, header: Sequence[str], hint: str = "") -> None:
        """See ``MappingFile.check_columns``; suggests another row as the header if columns are missing."""
        if not any(header):
            hint += f"; row {self._at} is empty: set header_row to the row of the headings"
        elif sum(map(bool, header)) == 1 and len(header) > 1:
            hint += f"; row {self._at} looks like a title: set header_row to the row of the headings"
        self._given.mapping.check_columns(header, self._given.name, hint)


def heading(value: object) -> str:
    """A cell of the header as the name of a column."""
    try:
        return text_of(value).strip()
    except ConversionError:
        return repr(value)


EMPTY = Skipped("empty row")
