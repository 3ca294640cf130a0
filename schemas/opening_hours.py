"""Opening hours as data: a week of spans, days that differ, holidays of every year.

Example, an office that is open in two parts and on Saturday mornings::

    base: china
    week: {mon-fri: ["08:30-12:00", "13:30-17:30"], sat: ["09:00-12:00"]}
    recurring: ["10-01"]
    days: {2026-10-10: ["09:00-16:00"], 2026-10-12: closed}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator

from schemas.base import Model, with_examples
from schemas.fields import PlainDate

SHORT_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN: Final = r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)"
_WEEK_KEY: Final = rf"({'|'.join(SHORT_WEEKDAYS)})(?:-({'|'.join(SHORT_WEEKDAYS)}))?"
_MINUTES_OF_DAY: Final = 24 * 60

Spans = tuple[tuple[int, int], ...]
"""From (inclusive) and to (exclusive), minutes after 0:00 of the day on which it begins; past 1440: the next day."""


def parse_spans(value: object) -> Spans:
    """Read ``["08:30-12:00", "13:30-17:30"]`` or ``closed``; a span that ends before it begins crosses midnight.

    Raises:
        ValueError: for anything else, and for spans of one day that overlap.
    """
    if value == "closed":
        return ()
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(
            f'{value!r} are no opening hours; write a list such as ["08:30-12:00", "13:30-17:30"], or closed'
        )
    spans = sorted(one if isinstance(one, tuple) else _span(one) for one in value)
    for (_, ends), (begins, _) in pairwise(spans):
        if begins < ends:
            raise ValueError(f"opening hours overlap at {_clock(begins)}")
    return tuple(spans)


def _span(value: object) -> tuple[int, int]:
    match = re.fullmatch(_SPAN, value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is no span of opening hours; write "08:30-12:00" (in quotes, 24:00 at the latest)')
    hours, minutes, to_hours, to_minutes = (int(part) for part in match.groups())
    begins, ends = hours * 60 + minutes, to_hours * 60 + to_minutes
    if ends > _MINUTES_OF_DAY:
        raise ValueError(f"{value!r}: a span ends at 24:00 at the latest")
    if begins == ends:
        raise ValueError(f'{value!r} has no length; for a whole day write "00:00-24:00"')
    return begins, ends if ends > begins else ends + _MINUTES_OF_DAY


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _written(spans: Spans) -> object:
    if not spans:
        return "closed"
    return [
        f"{_clock(begins)}-{_clock(ends if ends <= _MINUTES_OF_DAY else ends - _MINUTES_OF_DAY)}"
        for begins, ends in spans
    ]


SpansField = Annotated[
    Spans,
    BeforeValidator(parse_spans),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "closed"},
                {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": f"^{_SPAN}$"}},
            ]
        }
    ),
]


def _recurring_day(value: object) -> str:
    try:
        if not isinstance(value, str):
            raise ValueError
        date.fromisoformat(f"2000-{value}")
    except ValueError as error:
        raise ValueError(f'{value!r} is no day of every year; write "10-01" (month and day, in quotes)') from error
    return value


RecurringDay = Annotated[str, BeforeValidator(_recurring_day), Field(pattern=r"^\d\d-\d\d$")]


class OpeningHoursSpec(Model):
    """The opening hours of one calendar. Keys of ``week`` are a day (``sat``) or a range of days (``mon-fri``).

    ``base`` is the source of holidays and make-up working days before the file's own; by default the ``source`` of its
    file. ``days`` have the highest precedence, ``recurring``
    days are closed, holidays of the base are closed, its make-up working days have ``makeup`` (default: Monday's
    hours), all others the hours of the week; a weekday that is not in the week is closed.
    """

    model_config = with_examples(
        {
            "base": "china",
            "week": {"mon-fri": ["08:30-12:00", "13:30-17:30"], "sat": ["09:00-12:00"]},
            "recurring": ["10-01"],
            "days": {"2026-10-10": ["09:00-16:00"], "2026-10-12": "closed"},
        }
    )

    base: Literal["china", "none"] | None = None
    week: dict[str, SpansField] = Field(min_length=1)
    recurring: tuple[RecurringDay, ...] = ()
    days: dict[PlainDate, SpansField] = {}
    makeup: SpansField | None = None

    @field_validator("week", mode="before")
    @classmethod
    def _weekdays_once(cls, value: Any) -> Any:
        seen: set[int] = set()
        for key in value if isinstance(value, Mapping) else ():
            for day in weekdays_in(key):
                if day in seen:
                    raise ValueError(f"{SHORT_WEEKDAYS[day]} stands twice in week (again under {key})")
                seen.add(day)
        return value

    @field_validator("week")
    @classmethod
    def _open_at_all(cls, value: dict[str, Spans]) -> dict[str, Spans]:
        if not any(value.values()):
            raise ValueError("week has no opening hours at all")
        return value

    def of_week(self) -> tuple[Spans, ...]:
        """The spans of the seven weekdays, Monday first."""
        spans: list[Spans] = [()] * 7
        for key, own in self.week.items():
            for day in weekdays_in(key):
                spans[day] = own
        return tuple(spans)


def weekdays_in(key: object) -> list[int]:
    """The weekdays (Monday is 0) that a key of ``week`` names; a range may pass the end of the week (``sat-mon``).

    Raises:
        ValueError: for another key.
    """
    match = re.fullmatch(_WEEK_KEY, key) if isinstance(key, str) else None
    if match is None:
        raise ValueError(
            f"{key!r} is no day of the week; write one of {', '.join(SHORT_WEEKDAYS)}, or a range: mon-fri"
        )
    first = SHORT_WEEKDAYS.index(match[1])
    last = SHORT_WEEKDAYS.index(match[2] or match[1])
    return [(first + offset) % 7 for offset in range((last - first) % 7 + 1)]
