"""Converts cells of tables and members of JSON to values of the wire format.

A value that cannot be converted raises ``ConversionError``; the caller adds the column and the field. Nothing is
guessed: a number that may have lost digits is not accepted as an id, nor a local time that does not exist as a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import schemas.mappings as schema
from schemas.fields import read_iso
from schemas.limits import DAY
from streams.core.instants import EPOCH
from streams.wire.cells import (
    MOST_PLACES,
    Coarse,
    ConversionError,
    Exact,
    Since1904,
    bounded,
    id_of,
    one_text_of,
    text_of,
    too_many_places,
)

Convert = Callable[[Any], Any]
IDS: Final = frozenset({"event_id", "order_id", "account_id", "meter_id", "batch_id", "corrects"})

TRUE: Final = frozenset({"true", "yes", "y", "1", "t", "是"})
FALSE: Final = frozenset({"false", "no", "n", "0", "f", "否"})
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?", re.ASCII)
"""``Decimal`` would also take 1_000, and the digits of every script."""

_GROUPS: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
_MORNING: Final = {hour: hour for hour in range(1, 12)}
_AFTERNOON: Final = {hour: hour + 12 for hour in range(1, 12)}
_HALVES: Final[dict[str, dict[int, int]]] = {
    "上午": {12: 0, **_MORNING},
    "凌晨": {12: 0, **{hour: hour for hour in range(1, 7)}},
    "早上": _MORNING,
    "中午": {10: 10, 11: 11, 12: 12, 1: 13, 2: 14},
    "下午": {12: 12, **_AFTERNOON},
    "晚上": {hour: hour + 12 for hour in range(5, 12)},
}
"""The hours that may stand beside a word, with the hour of the day that is meant.

上午 and 下午 are AM and PM, as spreadsheets write them. 晚上 12:10 is left out: it may be this night or the next day's
00:10; and so is 晚上 1:30.
"""

_HALF: Final = re.compile("|".join(schema.HALF_DAYS))
_PACKED: Final = re.compile(r"((?:%[YmdHMSIjyf]){2,})")
_MONTH: Final = re.compile(r"(1[0-2]|0?[1-9])月\s?")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FINE: Final = re.compile(r"(\.\d{6})\d{1,3}(?!\d)")
_EXCEL_ZERO: Final = datetime(1899, 12, 30)  # noqa: DTZ001 (the zone is the mapping's)
_DAYS_TO_1904: Final = 1462
_UNITS: Final[dict[str, Any]] = {"epoch_s": 10**6, "epoch_ms": 10**3, "epoch_us": 1, "epoch_ns": Decimal("0.001")}
_FIRST_YEAR, _LAST_YEAR = 1990, 2100
"""The years of plausible epochs: a number outside them is in another unit."""

_DAY: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(Z|[+-]\d{2}:\d{2})?", re.ASCII)
_ISO: Final = re.compile(r"[0-9]{4}-?([0-9]{2}-?[0-9]{2}|W[0-9]{2}(-?[0-9])?)([Tt\s/_].*)?")
"""``fromisoformat`` takes any character between day and time: 2026-03-01+08:00 would be eight o'clock."""
_MOST_DAYS = 60_000
"""Days since 1970, to the year 2134."""


def kind_of(name: str, spec: schema.FieldFrom, kinds: Mapping[str, schema.As]) -> schema.As:
    """The kind of a field: its own, else the rulebook's."""
    return spec.kind or ("time" if name in ("occurred_at", "recorded_at") else kinds.get(name, "text"))


def field_converter(
    name: str, spec: schema.FieldFrom, mapping: schema.Mapping, kinds: Mapping[str, schema.As]
) -> Convert:
    """The conversion of a field's cell, its words replaced by the mapping first. See ``converter``.

    ``kinds`` are the fields' kinds by the rulebook, for a field without ``as``.
    """
    is_text = spec.kind == "text"
    kind = kind_of(name, spec, kinds)
    convert: Convert
    if name in IDS and kind == "text":
        convert = lambda value: id_of(value, is_text=is_text)  # noqa: E731
    else:
        convert = converter(kind, spec.time or mapping.time, spec.separator, is_wall=mapping.format == "debezium")
    if not spec.values:
        return convert
    values = {
        key: value if isinstance(value, bool) else _replaced(convert, value) for key, value in spec.values.items()
    }
    return lambda value: values[text] if (text := text_of(value)) in values else convert(value)


def _replaced(convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except ConversionError:
        return value  # refused by the decoder, with the field's name


def converter(kind: schema.As, form: schema.TimeForm, separator: str, *, is_wall: bool = False) -> Convert:
    """The conversion to that kind; the function raises ``ConversionError``.

    ``is_wall``: numbers are local times counted as if they were UTC, as Debezium writes times without a zone, unless
    ``form.wall`` says otherwise; small ones of a date are days since 1970.
    """
    match kind:
        case "text":
            return one_text_of
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
            return partial(_parts, separator)


def _parts(separator: str, value: Any) -> Any:
    if isinstance(value, Exact):
        return [str(value)]
    return [part.strip() for part in value.split(separator) if part.strip()] if isinstance(value, str) else value


def _decimal(value: Any) -> Decimal:
    text = text_of(value).strip()
    if _GROUPS.fullmatch(text):
        text = text.replace(",", "")
    try:
        found = _plain(text)
    except (ValueError, ArithmeticError):
        raise ConversionError("bad_field", "is not a number") from None
    if abs(found.adjusted()) > MOST_PLACES:
        raise too_many_places()
    return found


def _plain(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number in digits from 0 to 9")
    return Decimal(text)


def _integer(value: Any) -> Any:
    if isinstance(value, bool):
        raise ConversionError("bad_field", "is not a whole number")
    if isinstance(value, int):
        return int(bounded(value))
    found = _decimal(value)
    if found != found.to_integral_value():
        raise ConversionError("bad_field", "is not a whole number")
    return int(found)


def _number(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(bounded(value))
    if isinstance(value, Coarse | Since1904):
        return float(value)
    found = _decimal(value)
    return value if isinstance(value, float | Decimal) else found


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
    is_on_wall = _wall_numbers(form, is_wall=is_wall)

    def convert(value: Any) -> str:
        moment = _moment(value, parsers, form)
        if zone is not None and moment.tzinfo is EPOCH.tzinfo and is_on_wall(value):
            moment = moment.replace(tzinfo=None)
        if moment.tzinfo is None:
            if zone is None:
                raise ConversionError(
                    "naive_time", "has no offset such as +08:00, and time.zone is not set", "/time.zone"
                )
            local = moment.replace(tzinfo=zone)
            # A local time in the hour skipped in spring comes back as another one: it does not exist.
            if _in_zone(_in_zone(local, EPOCH.tzinfo), zone).replace(tzinfo=None) != moment:
                raise ConversionError("naive_time", f"is a time that no clock in {form.zone} showed", "/time.zone")
            if local.utcoffset() != local.replace(fold=1).utcoffset():
                # Whichever was taken, half of these would be an hour early or late.
                raise ConversionError(
                    "naive_time",
                    f"is a time that clocks in {form.zone} showed twice: export times with their offset or in UTC",
                    "/time.zone",
                )
            moment = local
        return _rfc(moment)

    return convert


def _wall_numbers(form: schema.TimeForm, *, is_wall: bool) -> Callable[[Any], bool]:
    """Whether a value is a number that counts the time on the wall; a text of digits only where the mapping says so."""
    if form.wall is None:
        return lambda value: is_wall and isinstance(value, int)
    if not form.wall:
        return lambda _value: False
    return lambda value: (
        isinstance(value, int | float | Decimal)
        or (isinstance(value, str) and _NUMBER.fullmatch(value.strip()) is not None)
    )


def _in_zone(moment: datetime, zone: tzinfo | None) -> datetime:
    try:
        return moment.astimezone(zone)
    except OverflowError:  # 0001-01-01 or 9999-12-31, which mean that there is no time
        raise ConversionError(
            "impossible_time", "is at an end of the calendar: if it means an empty cell, name it", "/null_values"
        ) from None


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
        return _iso
    if form == "excel":
        return _excel
    if form in _UNITS:
        return _epoch(form)
    return _pattern(form)


def _iso(value: Any) -> datetime:
    text = text_of(value).strip()
    if not _ISO.fullmatch(text):
        raise ValueError("neither a day, nor a day, T or a blank, and a time")
    return read_iso(text)


def _epoch(form: str) -> Callable[[Any], datetime]:
    unit = _UNITS[form]

    def parse(value: Any) -> datetime:
        number = _plain(text_of(value).strip())
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
    serial = _plain(text_of(value).strip())
    if isinstance(value, Since1904):
        serial += _DAYS_TO_1904
    if not 20_000 <= serial <= 80_000:  # 1954 to 2119
        raise ValueError("no day of a spreadsheet")
    ms = int((serial * 86_400_000).to_integral_value())
    near = round(ms / 1000) * 1000
    return _EXCEL_ZERO + timedelta(milliseconds=near if abs(ms - near) <= 10 else ms)


def _pattern(form: str) -> Callable[[Any], datetime]:
    has_half, has_month, has_fraction = "%p" in form, "%b" in form, "%f" in form
    whole = _whole(form)

    def parse(value: Any) -> datetime:
        text = text_of(value).strip()
        if whole is not None and not whole.fullmatch(text):
            raise ValueError("digits are missing")
        half = _HALF.search(text) if has_half else None
        if half is not None:
            text = f"{text[: half.start()]}AM{text[half.end() :]}"
        if has_month:
            text = _MONTH.sub(lambda found: _MONTHS[int(found[1]) - 1], text)
        if has_fraction:
            text = _FINE.sub(r"\1", text)
        moment = datetime.strptime(text, form)  # noqa: DTZ007 (the zone is the mapping's)
        return moment if half is None else moment.replace(hour=_hour(half[0], moment.hour or 12))

    return parse


def _hour(word: str, hour: int) -> int:
    """The hour of the day that is written as ``word`` and an hour from 1 to 12."""
    hours = _HALVES[word]
    if hour not in hours:
        why = (
            "may be this night or the next day's"
            if word == "晚上"
            else f"is doubtful: {word} is read with the hours {', '.join(map(str, hours))}"
        )
        raise ConversionError("impossible_time", f"{word} {hour} {why}; export times with hours from 0 to 23", "/time")
    return hours[hour]


def _whole(form: str) -> re.Pattern[str] | None:
    """What a text must match where numbers follow each other: with a digit less, 2026312 is 12 March and 2 31."""
    parts = _PACKED.split(form)
    if len(parts) == 1:
        return None
    for place in range(1, len(parts), 2):
        digits = sum({"Y": 4, "j": 3, "f": 0}.get(one, 2) for one in parts[place][1::2])
        fraction = r"\d{1,9}" if "%f" in parts[place] else ""
        parts[place] = rf"(?<!\d)\d{{{digits}}}{fraction}(?!\d)"
    parts[::2] = [".*" if part else "" for part in parts[::2]]
    return re.compile("".join(parts), re.ASCII)


def _dates(form: schema.TimeForm, *, is_wall: bool) -> Convert:
    zone = None if form.zone is None else ZoneInfo(form.zone)
    parsers = [(name, _parser(name)) for name in form.forms]
    is_on_wall = _wall_numbers(form, is_wall=is_wall)

    def convert(value: Any) -> str:
        if (
            (is_wall or form.wall)
            and isinstance(value, int)
            and not isinstance(value, bool)
            and abs(value) <= _MOST_DAYS
        ):
            return (EPOCH + timedelta(days=value)).date().isoformat()
        if "iso" in form.forms and isinstance(value, str) and (day := _DAY.fullmatch(value.strip())) is not None:
            value = day[1]  # a Z or an offset behind a date alone is no time: XML and Debezium write it
        moment = _moment(value, parsers, form)
        # An instant is on one day in one zone and on the next in another; local times and dates are on their own.
        if moment.tzinfo is not None and not is_on_wall(value):
            if zone is None:
                raise ConversionError(
                    "naive_time", "is an instant, whose day depends on the zone, and time.zone is not set", "/time.zone"
                )
            moment = _in_zone(moment, zone)
        return moment.date().isoformat()

    return convert
