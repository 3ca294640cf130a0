"""Converts cells of tables and members of JSON to values of the wire format.

A value that cannot be converted raises ``ConversionError``; the caller adds the column and the field. Nothing is
guessed: a number that may have lost digits is not accepted as an id, nor a local time that does not exist as a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import schemas.mappings as schema
from schemas.fields import read_iso
from schemas.limits import DAY
from streams.core.instants import EPOCH

Convert = Callable[[Any], Any]

TRUE: Final = frozenset({"true", "yes", "y", "1", "t", "是"})
FALSE: Final = frozenset({"false", "no", "n", "0", "f", "否"})
MOST_DIGITS: Final = 15
"""Digits that a number in a spreadsheet keeps; further digits are lost."""

_EXPONENT: Final = re.compile(r"[+-]?\d(\.\d+)?[Ee]\+\d{2,}", re.ASCII)
_GROUPS: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
_HALVES: Final = {"上午": "AM", "凌晨": "AM", "早上": "AM", "下午": "PM", "晚上": "PM", "中午": "PM"}
_HALF: Final = re.compile("|".join(_HALVES))
_MONTH: Final = re.compile(r"(1[0-2]|0?[1-9])月\s?")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MARKED: Final = re.compile(r'="([^"]+)"|\'(\d+)', re.ASCII)
"""Digits that an export marks as a text for spreadsheets: ``="0012"`` and ``'0012``."""

_FINE: Final = re.compile(r"(\.\d{6})\d{1,3}(?!\d)")
_EXCEL_ZERO: Final = datetime(1899, 12, 30)  # noqa: DTZ001 (the zone is the mapping's)
_UNITS: Final[dict[str, Any]] = {"epoch_s": 10**6, "epoch_ms": 10**3, "epoch_us": 1, "epoch_ns": Decimal("0.001")}
_FIRST_YEAR, _LAST_YEAR = 1990, 2100
"""The years of plausible epochs: a number outside them is in another unit."""

_MOST_DAYS = 60_000
"""Days since 1970, to the year 2134."""


class ConversionError(Exception):
    """A value that cannot be converted: a reason of ``schemas.dead_letters``, the problem, the remedy.

    ``key`` is the key to change below the field's own key in the mapping, or a key of the whole mapping (``/time``).
    """

    def __init__(self, reason: str, detail: str, key: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.key = key


class Cells:
    """Empty cells, and cells as text."""

    def __init__(self, null_values: Collection[str], *, strip: bool) -> None:
        self._nulls = frozenset(null_values)
        self._strip = strip

    def clean(self, value: Any) -> Any:
        """The value without surrounding blanks; ``None`` for an empty cell."""
        if isinstance(value, str):
            if self._strip:
                value = value.strip()
                if value[:1] in ("=", "'") and (marked := _MARKED.fullmatch(value)) is not None:
                    value = marked[1] or marked[2]
            return None if not value or value in self._nulls else value
        if isinstance(value, float) and math.isnan(value):
            return None
        return None if value == [] else value


def text_of(value: Any) -> str:
    """A value as text: whole numbers without a decimal point, bytes as UTF-8.

    Raises: ConversionError: for bytes that are not UTF-8.
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
        case float() if value.is_integer():
            return f"{value:.0f}"
        case Decimal() if value.is_finite():
            return f"{value:f}" if value != value.to_integral_value() else f"{value:.0f}"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def id_of(value: Any, *, is_text: bool = False) -> str:
    """An id; ``is_text`` takes whole numbers of any length digit by digit.

    Raises: ConversionError: for a number that a spreadsheet may have rounded.
    """
    if isinstance(value, str):
        if _EXPONENT.fullmatch(value):
            raise ConversionError(
                "bad_field",
                "was written by a spreadsheet as a rounded number; several ids look like this one: "
                "export that column as text",
            )
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return text_of(value)
    if value != value // 1:
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


def converter(kind: schema.As, form: schema.TimeForm, separator: str, *, is_wall: bool = False) -> Convert:
    """The conversion to that kind; the function raises ``ConversionError``.

    ``is_wall``: numbers are local times counted as if they were UTC, as Debezium writes times without a zone; small
    ones of a date are days since 1970.
    """
    match kind:
        case "text":
            return text_of
        case "integer":
            return _integer
        case "number" | "amount":
            return _number
        case "flag":
            return _flag
        case "time":
            return times(form, is_wall=is_wall)
        case "date":
            return _dates(form, is_wall=is_wall)
        case "list":
            return lambda value: (
                [part.strip() for part in value.split(separator) if part.strip()] if isinstance(value, str) else value
            )


def _decimal(value: Any) -> Decimal:
    text = text_of(value).strip()
    if _GROUPS.fullmatch(text):
        text = text.replace(",", "")
    try:
        found = Decimal(text)
    except ArithmeticError:
        raise ConversionError("bad_field", "is not a number") from None
    if not found.is_finite():
        raise ConversionError("bad_field", "is not a number")
    return found


def _integer(value: Any) -> Any:
    if isinstance(value, bool):
        raise ConversionError("bad_field", "is not a whole number")
    if isinstance(value, int):
        return value
    found = _decimal(value)
    if found != found.to_integral_value():
        raise ConversionError("bad_field", "is not a whole number")
    return int(found)


def _number(value: Any) -> Any:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and math.isfinite(value):
        return value
    return _decimal(value)


def _flag(value: Any) -> Any:
    text = text_of(value).strip().lower()
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ConversionError("bad_field", "is neither true nor false (true, false, yes, no, 1, 0, 是, 否)", "values")


# --- times ----------------------------------------------------------------------------------------------


def times(form: schema.TimeForm, *, is_wall: bool = False) -> Convert:
    """Converts times in the given forms to RFC 3339 texts; ``is_wall``: see ``converter``."""
    zone = None if form.zone is None else ZoneInfo(form.zone)
    parsers = [(name, _parser(name)) for name in form.forms]

    def convert(value: Any) -> str:
        moment = _moment(value, parsers, form)
        if is_wall and zone is not None and moment.tzinfo is EPOCH.tzinfo and isinstance(value, int):
            moment = moment.replace(tzinfo=None)
        if moment.tzinfo is None:
            if zone is None:
                raise ConversionError(
                    "naive_time", "has no offset such as +08:00, and time.zone is not set", "/time.zone"
                )
            local = moment.replace(tzinfo=zone)
            # A local time in the hour skipped in spring comes back as another one: it does not exist.
            if local.astimezone(EPOCH.tzinfo).astimezone(zone).replace(tzinfo=None) != moment:
                raise ConversionError("naive_time", f"is a time that no clock in {form.zone} showed", "/time.zone")
            moment = local
        return _rfc(moment)

    return convert


def _moment(value: Any, parsers: Sequence[tuple[str, Callable[[Any], datetime]]], form: schema.TimeForm) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 (the zone is the mapping's)
    implausible: ConversionError | None = None
    for _, parse in parsers:
        try:
            return parse(value)
        except ConversionError as error:
            implausible = error
        except (ValueError, OverflowError, ArithmeticError):
            continue
    if implausible is not None:
        raise implausible
    zone = f"zone {form.zone}" if form.zone else "no zone"
    hint = ""
    if isinstance(value, int | float) and "excel" not in form.forms:
        hint = "; a number in a spreadsheet may be a time: add excel"
    raise ConversionError(
        "impossible_time", f"fits none of the forms tried ({', '.join(form.forms)}; {zone}){hint}", "/time"
    )


def _rfc(moment: datetime) -> str:
    offset = moment.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):
        moment = moment.astimezone(EPOCH.tzinfo)  # historic local mean times have seconds in their offset
    return moment.isoformat()


def _parser(form: str) -> Callable[[Any], datetime]:
    if form == "iso":
        return lambda value: read_iso(text_of(value).strip())
    if form == "excel":
        return _excel
    if form in _UNITS:
        return _epoch(form)
    return _pattern(form)


def _epoch(form: str) -> Callable[[Any], datetime]:
    unit = _UNITS[form]

    def parse(value: Any) -> datetime:
        number = Decimal(text_of(value).strip())
        moment: datetime | None
        try:
            moment = EPOCH + timedelta(microseconds=int(number * unit))
        except OverflowError:
            moment = None
        if moment is None or not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            year = "no year at all" if moment is None else f"the year {moment.year}"
            better = [name for name, other in _UNITS.items() if _is_plausible(number * other)]
            hint = f": {better[0]} would fit" if better else ""
            raise ConversionError("impossible_time", f"as {form} gives {year}{hint}", "/time")
        return moment

    return parse


def _is_plausible(microseconds: Decimal) -> bool:
    return _FIRST_YEAR - 1970 <= microseconds / Decimal(365 * DAY) <= _LAST_YEAR - 1970


def _excel(value: Any) -> datetime:
    """Days since 1899-12-30. Texts have at most seven decimals, so they are rounded to the nearest second."""
    if isinstance(value, bool):
        raise ValueError("a flag")
    serial = Decimal(text_of(value).strip())
    if not 20_000 <= serial <= 80_000:  # 1954 to 2119
        raise ValueError("no day of a spreadsheet")
    ms = int((serial * 86_400_000).to_integral_value())
    near = round(ms / 1000) * 1000
    return _EXCEL_ZERO + timedelta(milliseconds=near if abs(ms - near) <= 10 else ms)


def _pattern(form: str) -> Callable[[Any], datetime]:
    has_half, has_month, has_fraction = "%p" in form, "%b" in form, "%f" in form

    def parse(value: Any) -> datetime:
        text = text_of(value).strip()
        if has_half:
            text = _HALF.sub(lambda found: _HALVES[found[0]], text)
        if has_month:
            text = _MONTH.sub(lambda found: _MONTHS[int(found[1]) - 1], text)
        if has_fraction:
            text = _FINE.sub(r"\1", text)
        return datetime.strptime(text, form)  # noqa: DTZ007 (the zone is the mapping's)

    return parse


def _dates(form: schema.TimeForm, *, is_wall: bool) -> Convert:
    parsers = [(name, _parser(name)) for name in form.forms]

    def convert(value: Any) -> str:
        if is_wall and type(value) is int and abs(value) <= _MOST_DAYS:
            return (EPOCH + timedelta(days=value)).date().isoformat()
        text = text_of(value).strip()
        if "iso" in form.forms and text[10:11] in ("", "T", " ", "Z"):
            try:
                return date.fromisoformat(text[:10]).isoformat()
            except ValueError:
                pass
        return _moment(value, parsers, form).date().isoformat()

    return convert
