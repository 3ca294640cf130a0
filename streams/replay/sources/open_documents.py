"""The cells of .ods that have an error or were never calculated; calamine gives them as empty."""

from __future__ import annotations

from typing import Final
from xml.parsers.expat import ParserCreate

from streams.replay.sources.binary_workbooks import CellTexts
from streams.wire.cells import UNCALCULATED, is_sheet_error

_CELLS: Final = frozenset({"table-cell", "covered-table-cell"})
_REPEATED: Final = "table:number-columns-repeated"


def cells_of_ods(content: bytes, sheet: str) -> CellTexts:
    """The cells of a sheet, by ``content.xml``.

    Raises:
        ExpatError: where it is damaged.
    """
    reader = _Reader(sheet)
    parser = ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.Parse(content, True)
    return reader.found


class _Reader:
    """Rows from 1, columns from 0; a row or a cell that is repeated stands once in the file."""

    def __init__(self, sheet: str) -> None:
        self.found: CellTexts = {}
        self._sheet = sheet
        self._is_in = self._is_comment = False
        self._row = self._column = 0
        self._rows = 1
        self._cell: dict[str, str] = {}
        self._texts: list[str] = []
        self._unread: dict[int, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if name == "table" and not self._is_in:
            self._is_in = attributes.get("table:name") == self._sheet
            self._row = 0
        elif not self._is_in:
            return
        elif name == "table-row":
            self._row += 1
            self._column = 0
            self._rows = int(attributes.get("table:number-rows-repeated", 1))
            self._unread = {}
        elif name in _CELLS:
            self._cell, self._texts = attributes, []
        elif name == "annotation":
            self._is_comment = True

    def text(self, data: str) -> None:
        if self._is_in and not self._is_comment:
            self._texts.append(data)

    def end(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        if not self._is_in:
            return
        if name == "table":
            self._is_in = False
        elif name == "annotation":
            self._is_comment = False
        elif name == "table-row":
            for row in range(self._row, self._row + self._rows) if self._unread else ():
                self.found.update({(row, column): text for column, text in self._unread.items()})
            self._row += self._rows - 1
        elif name in _CELLS:
            before, self._column = self._column, self._column + int(self._cell.get(_REPEATED, 1))
            if (unread := self._unread_text()) is not None:
                self._unread.update(dict.fromkeys(range(before, self._column), unread))

    def _unread_text(self) -> str | None:
        cell, text = self._cell, "".join(self._texts).strip()
        formula = cell.get("table:formula")
        if cell.get("calcext:value-type") == "error" or (formula is not None and is_sheet_error(text)):
            return text or "#N/A"
        if formula is not None and "office:value-type" not in cell:
            return f"{UNCALCULATED} {formula}"
        return None
