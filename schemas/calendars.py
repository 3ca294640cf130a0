"""A calendar as data: the zone, the weekend, and the days that differ from their weekday.

One YAML or JSON file holds one ``CalendarSpec``. All keys have defaults, which are China's: so a file that only lists
days overrides the shipped calendar, and one for another utility has ``source: none`` and its own zone. Dates in the
file take precedence over the source, day by day.

Example, the days of a year that is not in the package yet::

    holidays:
      - {date: 2027-01-01, name: 元旦}
      - {from: 2027-02-05, to: 2027-02-12, name: 春节}
    working_days:
      - {date: 2027-01-30, name: 春节调休上班}
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from schemas.base import Model
from schemas.fields import PlainDate, as_date
from schemas.opening_hours import OpeningHoursSpec

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
)
LONGEST_RANGE = 366
"""Days; a longer range is a mistyped year."""


class Days(Model):
    """One date (``date``) or a range of dates (``from``, ``to``, both inclusive), with a name for explanations.

    ``name_en`` is the name in English sentences; by default ``name``.
    """

    on: PlainDate | None = Field(default=None, alias="date")
    first: PlainDate | None = Field(default=None, alias="from")
    last: PlainDate | None = Field(default=None, alias="to")
    name: str = Field(default="", max_length=80)
    name_en: str = Field(default="", max_length=80)

    @model_validator(mode="after")
    def _one_or_a_range(self) -> Days:
        given = (self.on is not None, self.first is not None, self.last is not None)
        if given not in {(True, False, False), (False, True, True)}:
            raise ValueError("write either date, or from and to")
        if self.first is not None and self.last is not None:
            if self.last < self.first:
                raise ValueError(f"to {self.last} is before from {self.first}")
            if (self.last - self.first).days >= LONGEST_RANGE:
                raise ValueError(f"{self.first} to {self.last} is longer than {LONGEST_RANGE} days")
        return self

    def dates(self) -> Iterator[date]:
        """Every date, in order."""
        first, last = self.first or self.on, self.last or self.on
        assert first is not None
        assert last is not None
        return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def _as_days(value: object) -> object:
    return value if isinstance(value, Mapping | Days) else {"date": as_date(value)}


_DATE_SCHEMA: dict[str, Any] = {"type": "string", "format": "date"}
_NAMES_SCHEMA: dict[str, Any] = {"name": {"type": "string"}, "name_en": {"type": "string"}}


def _object_schema(*dates: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _DATE_SCHEMA for name in dates} | _NAMES_SCHEMA,
        "required": list(dates),
        "additionalProperties": False,
    }


DaysField = Annotated[
    Days,
    BeforeValidator(_as_days),
    WithJsonSchema({"anyOf": [_DATE_SCHEMA, _object_schema("date"), _object_schema("from", "to")]}),
]


class CalendarSpec(Model):
    """The days that are worked, and the zone of days.

    ``source`` is where holidays come from before the file's own: ``china`` is the shipped list of statutory
    holidays and make-up working days, ``none`` has no holidays. ``holidays`` are days off and ``working_days``
    are days worked whatever their weekday.

    ``known_years``: days of other years are provisional, except years announced by ``china``. By default the years with
    a date under ``holidays`` are known, and with ``source: none`` every year. Write ``known_years: []`` if the file
    only adds local days to a year not announced yet.

    ``calendars`` are calendars with opening hours, by name, in the same zone; the days above apply to them, too. A rule
    names one, or chooses it by a field; ``default`` is no name for one.
    """

    zone: str = "Asia/Shanghai"
    weekend: tuple[Weekday, ...] = Field(default=("saturday", "sunday"), max_length=6)
    source: Literal["china", "none"] = "china"
    holidays: tuple[DaysField, ...] = ()
    working_days: tuple[DaysField, ...] = ()
    known_years: tuple[Annotated[int, Field(ge=1900, le=9999)], ...] | None = None
    calendars: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9\-]*$", max_length=80)], OpeningHoursSpec] = {}

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, LookupError) as error:
            near = difflib.get_close_matches(value, available_timezones(), n=1)
            hint = f"did you mean {near[0]}?" if near else "use an IANA name such as Asia/Shanghai"
            raise ValueError(f"{value!r} is not a time zone; {hint}") from error
        return value

    @field_validator("calendars")
    @classmethod
    def _none_is_the_default(cls, value: dict[str, OpeningHoursSpec]) -> dict[str, OpeningHoursSpec]:
        if "default" in value:
            raise ValueError("default is the calendar of rules that name none; give this one another name")
        return value

    @field_validator("weekend")
    @classmethod
    def _weekdays_once(cls, value: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a weekday stands twice")
        return value

    @model_validator(mode="after")
    def _dates_once(self) -> CalendarSpec:
        seen: set[date] = set()
        for days in (*self.holidays, *self.working_days):
            for day in days.dates():
                if day in seen:
                    raise ValueError(f"{day} stands twice under holidays and working_days")
                seen.add(day)
        return self
