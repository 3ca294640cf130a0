"""The cells of a sheet of .xlsx that calamine gives as empty and that are not: errors, and formulas without a result.

That an arrival is ``#N/A`` does not mean that nobody arrived: such a cell is the text that it shows, as in CSV.
"""

from __future__ import annotations

import re
import zipfile
from html import unescape
from typing import BinaryIO, Final

from streams.wire.cells import UNCALCULATED

_ATTRIBUTE: Final = re.compile(r"""([\w:]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_SHEET: Final = re.compile(r"<(?:\w+:)?sheet\s([^<>]*)>")
_RELATION: Final = re.compile(r"<(?:\w+:)?Relationship\s([^<>]*)>")
_CELL: Final = re.compile(r"<(?:\w+:)?c\s([^<>]*)(?<!/)>(.*?)</(?:\w+:)?c>", re.DOTALL)
_SUSPECT: Final = re.compile(r"""\st=["']e["']|<(?:\w+:)?f[\s/>]""")
_FORMULA: Final = re.compile(r"<(?:\w+:)?f\b[^<>]*?(?:/>|>([^<]*)<)")
_VALUE: Final = re.compile(r"<(?:\w+:)?v\b[^<>]*>([^<]+)<")
_PLACE: Final = re.compile(r"([A-Z]+)(\d+)")


def unread_cells(file: str | BinaryIO, sheet: str) -> dict[tuple[int, int], str]:
    """The text of each of them, by row (from 1) and column (from 0); none for a file that is not .xlsx."""
    try:
        with zipfile.ZipFile(file) as archive:
            text = archive.read(_path_of(archive, sheet)).decode("utf-8", errors="replace")
    except (KeyError, zipfile.BadZipFile):
        return {}
    found: dict[tuple[int, int], str] = {}
    if _SUSPECT.search(text) is None:
        return found
    for cell in _CELL.finditer(text):
        attributes, inner = _attributes(cell[1]), cell[2]
        place = _PLACE.fullmatch(attributes.get("r", ""))
        formula, value, kind = _FORMULA.search(inner), _VALUE.search(inner), attributes.get("t")
        if place is None:
            continue
        if kind == "e":
            found[int(place[2]), _column(place[1])] = unescape(value[1]) if value else "#N/A"
        elif formula is not None and value is None and kind != "str":  # that is an empty text
            found[int(place[2]), _column(place[1])] = f"{UNCALCULATED} ={unescape(formula[1] or '')}"
    return found


def _path_of(archive: zipfile.ZipFile, sheet: str) -> str:
    sheets = map(_attributes, _SHEET.findall(archive.read("xl/workbook.xml").decode("utf-8", errors="replace")))
    own = next((one for one in sheets if one.get("name") == sheet), {})
    wanted = next((value for name, value in own.items() if name.endswith(":id")), None)
    relations = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", errors="replace")
    for relation in map(_attributes, _RELATION.findall(relations)):
        if relation["Id"] == wanted:
            target = relation["Target"]
            return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    raise KeyError(sheet)


def _attributes(text: str) -> dict[str, str]:
    return {name: unescape(double or single) for name, double, single in _ATTRIBUTE.findall(text)}


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1
