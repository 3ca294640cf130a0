"""Cells of tables and members of JSON: which are empty, and what they are as a text and as an id.

Nothing is guessed: a number that may have lost digits is not accepted as an id.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import schemas.mappings as schema
from schemas.fields import read_iso

MOST_PLACES: Final = 400
"""More than any number of another program has, which is at most about 309 digits long; the text of one can be huge."""

MOST_DIGITS: Final = 15
"""Digits that a number in a spreadsheet keeps; further digits are lost."""

UNAVAILABLE: Final = frozenset({"__debezium_unavailable_value", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="})
"""Written by Debezium (the second for bytes) for a large value that an update left as it was: it does not know it."""

_EXPONENT: Final = re.compile(r"[+-]?\d(\.\d+)?[Ee]\+\d{2,}", re.ASCII)
UNCALCULATED: Final = "#UNCALCULATED"
"""Begins the text of a cell whose formula no program has calculated; the formula follows."""

_SHEET_ERROR: Final = re.compile(
    r"#(N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!|UNKNOWN!|BUSY!|GETTING_DATA|"
    rf"ERROR \d+)|Err:\d{{3}}|{UNCALCULATED} .*",
    re.DOTALL,
)
_MARKED: Final = re.compile(r'="([^"]+)"|\'(\d+)', re.ASCII)
"""Digits that an export marks as a text for spreadsheets: ``="0012"`` and ``'0012``."""


class ConversionError(Exception):
    """A value that cannot be converted: a reason of ``schemas.dead_letters``, the problem, the remedy.

    ``key`` is the key to change below the field's own key in the mapping, or a key of the whole mapping (``/time``).
    """

    def __init__(self, reason: str, detail: str, key: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.key = key


class Several(tuple[Any, ...]):
    """The values of an attribute that was given more than once, and differently: nobody knows which is meant."""

    @classmethod
    def put(cls, row: dict[str, Any], name: str, value: Any) -> None:
        """Add an attribute to a row; the same value again changes nothing."""
        if name not in row:
            row[name] = value
        elif isinstance(known := row[name], cls):
            row[name] = known if value in known else cls((*known, value))
        elif (type(known), known) != (type(value), value):
            row[name] = cls((known, value))


class Since1904(float):
    """A number in a workbook whose days count from 1904: as a day it is 1,462 more than in others."""


class Coarse(float):
    """A number that its file keeps in fewer bits than it may have had: a quantity, but no text and no id."""


class Exact(int):
    """A whole number of a record that keeps its type: all of its digits are meant, as an id's are in a text."""


class Unset(Exact):
    """The 0 of a Protobuf field without presence, in which "not set" and 0 are the same bytes.

    It is a quantity and a code, but no id, no time and not ``present``, as the empty text of such a field is none.
    """


class Cells:
    """Empty cells, and cells as text.

    A number or a date is empty where its text is a null word, and a time where a null word in ISO 8601 is that time.
    """

    def __init__(self, null_values: Collection[str], *, strip: bool) -> None:
        self._nulls = frozenset(null_values)
        self._null_times = frozenset(_times_in(null_values))
        self._strip = strip

    def clean(self, value: Any) -> Any:
        """The value without surrounding blanks; ``None`` for an empty cell. Bytes that are UTF-8 are their text.

        Of a list each element is cleaned, and those that are empty are left out.

        Raises:
            ConversionError: for a value that the source has not sent, or of which it has sent several.
        """
        if isinstance(value, Several):
            raise ConversionError("bad_field", "is given several times, with different values: correct the log")
        if isinstance(value, list):
            return [one for one in map(self._one, value) if one is not None] or None
        return self._one(value)

    def deciding_text(self, value: Any) -> str:
        """The clean value as text, of which it depends what its row is.

        Raises:
            ConversionError: as ``clean`` and ``one_text_of``, and for a null character.
        """
        return _without_nulls(one_text_of(self.clean(value)))

    def _one(self, value: Any) -> Any:
        if isinstance(value, bytes):
            try:
                value = value.decode("utf-8")
            except UnicodeDecodeError:
                return value
        if isinstance(value, str):
            if self._strip:
                value = value.strip()
                if value[:1] in ("=", "'") and (marked := _MARKED.fullmatch(value)) is not None:
                    value = marked[1] or marked[2]
            if not value or value in self._nulls:
                return None
            if value in UNAVAILABLE:
                # Left out it would be "not given", and a rule could accuse for what the row does say.
                raise ConversionError(
                    "bad_field",
                    "was not sent, because the update did not change it: set REPLICA IDENTITY FULL on the table, "
                    "or name that text where the field may be left out",
                    "/null_values",
                )
            return value
        if isinstance(value, float) and math.isnan(value):
            return None
        if self._nulls and isinstance(value, int | float | Decimal | date):
            is_time = isinstance(value, datetime)
            return None if (value in self._null_times if is_time else text_of(value) in self._nulls) else value
        return value


def _times_in(words: Collection[str]) -> Iterator[datetime]:
    for word in words:
        try:
            yield read_iso(word)
        except ValueError:
            continue


def text_of(value: Any) -> str:
    """A value as text: whole numbers without a decimal point, bytes as UTF-8.

    Raises: ConversionError: for bytes that are not UTF-8, and for numbers that are coarse or too long.
    """
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case bytes():
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                raise ConversionError("not_utf8", "bytes that are not UTF-8") from None
        case Coarse():
            raise ConversionError(
                "bad_field", "is a number of 32 bits or less, which may be rounded: export it as text"
            )
        case float() if value.is_integer():
            return f"{value:.0f}"
        case int():
            return str(bounded(value))
        case Decimal() if value.is_finite():
            if abs(value.adjusted()) > MOST_PLACES:
                raise too_many_places()
            return f"{value:f}" if value != value.to_integral_value() else f"{value:.0f}"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def one_text_of(value: Any) -> str:
    """A value as text.

    Raises: ConversionError: as ``text_of``, and for a list.
    """
    if isinstance(value, list | dict):
        raise ConversionError("bad_field", "holds several values; where the field takes a list, write as: list")
    return text_of(value)


def is_sheet_error(text: str) -> bool:
    """Whether it is an error of Excel or LibreOffice, or a formula that no program has calculated."""
    return _SHEET_ERROR.fullmatch(text) is not None


def is_unicode(text: str) -> bool:
    """Whether it has no half of a surrogate pair, which stands for a byte that is not of the encoding."""
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)


def bounded(value: int) -> int:
    """The number itself.

    Raises: ConversionError: for one of more than about ``MOST_PLACES`` digits.
    """
    if value.bit_length() > 4 * MOST_PLACES:  # above a limit it cannot be written at all
        raise too_many_places()
    return value


def too_many_places() -> ConversionError:
    """The error of a number of more than ``MOST_PLACES`` digits."""
    return ConversionError("bad_field", f"is a number of more than {MOST_PLACES} digits")


def id_of(value: Any, *, is_text: bool = False) -> str:
    """An id; ``is_text`` takes whole numbers of any length digit by digit.

    Raises: ConversionError: for a number that a spreadsheet may have rounded, and for a list.
    """
    if isinstance(value, list | dict):
        raise ConversionError("bad_field", "holds several values; an id is one")
    if isinstance(value, str):
        if _EXPONENT.fullmatch(value):
            raise ConversionError(
                "bad_field",
                "was written by a spreadsheet as a rounded number; several ids look like this one: "
                "export that column as text",
            )
        if is_sheet_error(value):
            raise ConversionError("bad_field", "is a spreadsheet's error: correct it, or name it", "/null_values")
        return value
    if isinstance(value, Exact | bool) or not isinstance(value, int | float | Decimal):
        return text_of(value)
    is_whole = isinstance(value, int) or (
        value.is_integer() if isinstance(value, float) else value.is_finite() and value == value.to_integral_value()
    )
    if not is_whole:
        raise ConversionError("bad_field", "an id that is a number must be a whole one")
    text = text_of(value)
    if len(text.lstrip("-")) > MOST_DIGITS and (isinstance(value, float) or not is_text):
        more = "" if isinstance(value, float) else ", or write as: text where its digits are exact"
        raise ConversionError(
            "bad_field",
            f"an id of more than {MOST_DIGITS} digits that is stored as a number may be rounded: "
            f"export that column as text{more}",
        )
    return text


def _without_nulls(text: str) -> str:
    if "\0" in text:
        raise ConversionError("bad_field", "has a null character, as a damaged file has: correct the row")
    return text


def condition(when: schema.When) -> Callable[[Any], bool]:
    """Whether a clean cell meets a condition of a mapping; the function raises ``ConversionError``."""
    wanted: Collection[str] = {*when.one_of, *(() if when.equals is None else (when.equals,))}
    unwanted = frozenset(when.none_of)

    def holds(value: Any) -> bool:
        if when.present is not None and when.present == (value is None or isinstance(value, Unset)):
            return False
        text = "" if value is None else one_text_of(value) if wanted or unwanted else text_of(value)
        if not is_unicode(text):
            raise ConversionError("not_utf8", "is not valid text")
        _without_nulls(text)
        return (not wanted or text in wanted) and text not in unwanted

    return holds
