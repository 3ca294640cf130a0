"""Time limits as data: ``5 min``, ``5 working days``, ``{until: field}``.

Texts are parsed into limits of different types, which are never mixed: an ``Elapsed`` is counted on instants, the day
limits on local dates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from schemas.base import Model

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Microseconds, as all lengths of time here."""


class Elapsed(Model):
    """A length of time on instants; pauses are added to it. ``microseconds`` is positive."""

    microseconds: int = Field(gt=0)
    text: str


class BusinessTime(Model):
    """A length of open time by the rule's calendar; pauses take out the open time in them."""

    microseconds: int = Field(gt=0)
    text: str


class CalendarDays(Model):
    """Local days after the day of the start (0: that day itself); ends at 24:00 local of the last."""

    days: int = Field(ge=0)
    text: str


class WorkingDays(Model):
    """Working days counted from the next working day after the start's local date; ends at 24:00 local."""

    days: int = Field(gt=0)
    text: str


class BillingCycles(Model):
    """Billing cycles of the account: its next-but-one reading day where known, else natural months."""

    cycles: int = Field(gt=0)
    text: str


class NaturalMonths(Model):
    """Natural months: the same day of a later month, or that month's last day; ends at 24:00 local."""

    months: int = Field(gt=0)
    text: str


class UntilDate(Model):
    """An agreed end in a field of the starting event: 24:00 local of a date, or the instant of a time."""

    field: str
    text: str


class UntilInstant(UntilDate):
    """The instant in a field of the starting event: what an ``UntilDate`` is where its field holds a time."""


class SameWorkingDay(Model):
    """24:00 local of the day itself, or of the next working day where it is not one."""

    text: str


Limit = Elapsed | BusinessTime | CalendarDays | WorkingDays | BillingCycles | NaturalMonths | UntilDate | SameWorkingDay

SAME_WORKING_DAY = "same working day"
_UNITS: dict[str, tuple[type[Any], str, int]] = {
    "ms": (Elapsed, "microseconds", 1000),
    "s": (Elapsed, "microseconds", SECOND),
    "min": (Elapsed, "microseconds", MINUTE),
    "h": (Elapsed, "microseconds", HOUR),
    "business minute": (BusinessTime, "microseconds", MINUTE),
    "business minutes": (BusinessTime, "microseconds", MINUTE),
    "business hour": (BusinessTime, "microseconds", HOUR),
    "business hours": (BusinessTime, "microseconds", HOUR),
    "day": (CalendarDays, "days", 1),
    "days": (CalendarDays, "days", 1),
    "working day": (WorkingDays, "days", 1),
    "working days": (WorkingDays, "days", 1),
    "billing cycle": (BillingCycles, "cycles", 1),
    "billing cycles": (BillingCycles, "cycles", 1),
    "natural month": (NaturalMonths, "months", 1),
    "natural months": (NaturalMonths, "months", 1),
}
_YEARS: Final = 50
_MOST: Final[dict[type[Any], int]] = {
    Elapsed: _YEARS * 366 * 24 * HOUR,
    BusinessTime: _YEARS * 261 * 8 * HOUR,
    CalendarDays: _YEARS * 366,
    WorkingDays: _YEARS * 261,
    BillingCycles: _YEARS * 12,
    NaturalMonths: _YEARS * 12,
}
"""The longest limit; a longer one is a typing error, and dates so far off need not be computed."""

LIMIT_PATTERN = r"^(?:[1-9][0-9]* (" + "|".join(sorted(_UNITS, key=len, reverse=True)) + ")|0 days)$"
_WRITTEN_LIMIT = rf"{LIMIT_PATTERN}|^{SAME_WORKING_DAY}$"


def parse_limit(value: object) -> Limit:
    """Read ``5 min``, ``7 days``, ``5 working days``, ``1 billing cycle`` or ``{until: field}``.

    Raises:
        ValueError: for anything else; the message lists the units.
    """
    if isinstance(value, Limit):
        return value
    if isinstance(value, Mapping) and set(value) == {"until"} and isinstance(value["until"], str):
        return UntilDate(field=value["until"], text=f"until {value['until']}")
    if isinstance(value, str):
        if value.strip() == SAME_WORKING_DAY:
            return SameWorkingDay(text=SAME_WORKING_DAY)
        match = re.match(LIMIT_PATTERN, value.strip())
        if match:
            limit_type, name, factor = _UNITS[match.group(1) or "days"]
            amount = int(value.split()[0]) * factor
            if amount > _MOST[limit_type]:
                raise ValueError(f"{value!r} is too long: nothing above 50 years is counted")
            limit: Limit = limit_type(**{name: amount, "text": value.strip()})
            return limit
    raise ValueError(
        f"{value!r} is not a limit; write a whole number and one of {', '.join(_UNITS)}, "
        f"or {SAME_WORKING_DAY}, or {{until: <field of kind date or time>}}"
    )


def _limit_value(limit: Limit) -> object:
    return {"until": limit.field} if isinstance(limit, UntilDate) else limit.text


LimitField = Annotated[
    Limit,
    BeforeValidator(parse_limit),
    PlainSerializer(_limit_value),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": _WRITTEN_LIMIT,
                    "examples": ["5 min", "5 working days", "2 business hours"],
                },
                {
                    "type": "object",
                    "properties": {"until": {"type": "string"}},
                    "required": ["until"],
                    "additionalProperties": False,
                    "examples": [{"until": "due_at"}],
                },
            ]
        }
    ),
]


def _is_length(limit: Limit) -> Limit:
    if isinstance(limit, UntilDate | SameWorkingDay):
        raise ValueError(f"{limit.text!r} is no length of time; write a whole number and a unit, such as 7 days")
    return limit


def _is_length_or_agreed(limit: Limit) -> Limit:
    return limit if isinstance(limit, UntilDate) else _is_length(limit)


LengthField = Annotated[LimitField, AfterValidator(_is_length)]
"""A limit that is a length of time, for waiting periods and cadences."""

WaitField = Annotated[LimitField, AfterValidator(_is_length_or_agreed)]
"""A length of time that must have passed, or ``{until: field}``: the date or instant in a field of an earlier event."""
