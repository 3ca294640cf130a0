"""The kinds of value that an event's fields have.

They check and do not convert: a rule's conditions see the JSON value as sent, so ``"true"`` must not pass for ``true``.
Dates and amounts are parsed only to validate them.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

# No control characters: ids are hashed with a separator, printed on terminals and put into file names.
ID_PATTERN: Final = r"^[^\x00-\x1f\x7f\u0080-\u009f\u2028\u2029]{1,200}$"
TIME_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(?P<offset>Z|[+-]\d{2}:?\d{2})?$"
_TIME: Final = re.compile(TIME_PATTERN, re.ASCII)
_HOUR_24: Final = re.compile(r"[T ]24")
_OFFSET: Final = re.compile(r"[T ].*[+-](\d{2}):?(\d{2})", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EARLIEST_YEAR: Final = 1970


def read_iso(text: str) -> datetime:
    """``datetime.fromisoformat``, and the same on every Python: some take 24:00, or an offset of 60 to 99 minutes.

    Raises:
        ValueError: for an impossible time or offset.
    """
    if _HOUR_24.search(text):
        raise ValueError("hours run from 00 to 23")
    offset = _OFFSET.search(text)
    if offset is not None and (int(offset[1]) > 23 or int(offset[2]) > 59):
        raise ValueError("an offset runs from -23:59 to +23:59")
    return datetime.fromisoformat(text)


def parse_time(value: object) -> datetime:
    """An RFC 3339 instant with its offset; digits past the microsecond are cut off.

    Raises:
        PydanticCustomError: of type ``naive_time`` without an offset, ``impossible_time`` for a time that does not
            exist or is before 1970, ``bad_field`` for other values.
    """
    if not isinstance(value, str):
        raise PydanticCustomError("bad_field", "a time is a text such as 2026-03-02T09:00:00+08:00")
    match = _TIME.match(value)
    if match is None:
        raise PydanticCustomError("impossible_time", "write YYYY-MM-DDThh:mm:ss.sss+hh:mm")
    if match["offset"] is None:
        raise PydanticCustomError("naive_time", "has no offset such as +08:00")
    try:
        moment = read_iso(value)
        if moment.utctimetuple().tm_year >= _EARLIEST_YEAR:
            return moment
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("impossible_time", "{problem}", {"problem": str(error)}) from None
    raise PydanticCustomError("impossible_time", "lies before 1970")


def time_in(value: object) -> datetime | None:
    """The instant that ``parse_time`` reads; ``None`` for a value that it refuses."""
    try:
        return parse_time(value)
    except PydanticCustomError:
        return None


def _check_date(value: object) -> object:
    try:
        if isinstance(value, str) and _DATE.fullmatch(value):
            date.fromisoformat(value)
            return value
    except ValueError as error:
        raise PydanticCustomError("impossible_time", "{problem}", {"problem": str(error)}) from None
    raise PydanticCustomError("bad_field", "a date is a text such as 2026-03-02")


def _check_amount(value: object) -> Decimal:
    if isinstance(value, str | int | Decimal | float) and not isinstance(value, bool):
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            pass
        else:
            if amount.is_finite():
                return amount
    raise PydanticCustomError("bad_field", 'an amount is a number or a text such as "12.50"')


def _check_number(value: object) -> object:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return value
    raise PydanticCustomError("bad_field", "a number is wanted")


def _check_version(value: object) -> object:
    # other programs cannot read more than 64 bits
    if isinstance(value, list) and all(type(one) is int and 0 <= one < 2**63 for one in value):
        return tuple(value)
    raise PydanticCustomError("bad_field", "a version is a list of one to four whole numbers")


def _check_instant(value: object) -> object:
    parse_time(value)
    return value


def as_date(value: object) -> date:
    """A local date in a YAML file: a date, or its text.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError(f"{value!r} is not a date; write YYYY-MM-DD")


PlainDate = Annotated[date, BeforeValidator(as_date, json_schema_input_type=date)]


Id = Annotated[StrictStr, Field(pattern=ID_PATTERN)]
Time = Annotated[datetime, BeforeValidator(parse_time), WithJsonSchema({"type": "string", "format": "date-time"})]
"""An instant with an offset."""

Flag = StrictBool
Count = Annotated[StrictInt, Field(ge=0)]
ReadingDay = Annotated[StrictInt, Field(ge=1, le=31)]
CODE_PATTERN: Final = r"^[^\x00-\x1f\x7f\u0080-\u009f\u2028\u2029]+$"
Code = Annotated[StrictStr, Field(min_length=1, max_length=100, pattern=CODE_PATTERN)]
"""A short code or reference in one line, never prose: prose about people belongs in ``personal``."""

Day = Annotated[Any, AfterValidator(_check_date), WithJsonSchema({"type": "string", "format": "date"})]
"""A local date, ``YYYY-MM-DD``."""

Instant = Annotated[Any, AfterValidator(_check_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
"""An instant in a type's own field, kept as the text sent."""

Amount = Annotated[
    Decimal,
    BeforeValidator(_check_amount),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}]}),
]
"""Money, yuan: a decimal, as a JSON number or as text."""

Version = Annotated[tuple[Count, ...], BeforeValidator(_check_version), Field(min_length=1, max_length=4)]
"""One to four whole numbers, compared one after the other."""

Number = Annotated[Any, AfterValidator(_check_number), WithJsonSchema({"type": "number"})]
Codes = Annotated[list[Code], Field(max_length=20_000)]

FIELD_KINDS: Final[dict[str, Any]] = {
    "text": Code,
    "flag": Flag,
    "count": Count,
    "number": Number,
    "amount": Amount,
    "date": Day,
    "time": Instant,
    "list": Codes,
}
"""The names of kinds of fields that a rulebook declares."""
