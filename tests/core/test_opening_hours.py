"""Opening hours at their edges: rows by hand, in Shanghai and Berlin; what is written wrong is refused."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.calendars import CalendarSpec
from schemas.opening_hours import OpeningHoursSpec
from streams.core.opening_hours import OpeningHours
from streams.rulebooks.opening_hours import build_opening_hours
from tests.core.test_counted_time import pauses_of
from tests.stories import us

OFFICE = {
    "base": "china",
    "week": {"mon-fri": ["08:30-12:00", "13:30-17:30"], "sat": ["09:00-12:00"]},
    "recurring": ["10-16"],
    "days": {"2026-10-14": ["09:00-16:00"], "2026-10-15": "closed", "2026-10-18": ["10:00-11:00"]},
}
NIGHT = {"base": "none", "week": {"mon-sun": ["22:00-06:00"]}}
MINUTE = 60_000_000


@lru_cache(maxsize=4)
def hours_of(name: str) -> OpeningHours:
    spec, zone = {"office": (OFFICE, "Asia/Shanghai"), "night": (NIGHT, "Europe/Berlin")}[name]
    return build_opening_hours(OpeningHoursSpec.model_validate(spec), CalendarSpec.model_validate({"zone": zone}))


@pytest.mark.parametrize(
    ("start", "minutes", "pauses", "ends"),
    [
        # used up exactly at a closing time: it ends there, not at the next opening
        ("2026-10-12T16:30", 60, "", "2026-10-12T17:30"),
        ("2026-10-12T16:30:00.000001", 60, "", "2026-10-13T08:30:00.000001"),
        ("2026-10-12T11:00", 60, "", "2026-10-12T12:00"),
        ("2026-10-12T11:00", 61, "", "2026-10-12T13:31"),
        # a start outside the hours counts from the next opening; one at closing time as well
        ("2026-10-12T07:00", 60, "", "2026-10-12T09:30"),
        ("2026-10-12T12:30", 60, "", "2026-10-12T14:30"),
        ("2026-10-12T17:30", 60, "", "2026-10-13T09:30"),
        # Saturday 10 October 2026 is a make-up working day: Monday's hours, not Saturday's
        ("2026-10-10T11:30", 60, "", "2026-10-10T14:00"),
        ("2026-10-17T11:30", 60, "", "2026-10-18T10:30"),
        # the National Day holiday is closed; a short day, a closed one, one of every year, a Sunday with hours
        ("2026-09-30T17:00", 60, "", "2026-10-08T09:00"),
        ("2026-10-13T17:00", 60, "", "2026-10-14T09:30"),
        ("2026-10-14T15:30", 60, "", "2026-10-17T09:30"),
        # a pause outside the hours takes nothing out; one within as much as was open
        ("2026-10-12T11:00", 120, "2026-10-12T12:00/2026-10-12T13:30", "2026-10-12T14:30"),
        ("2026-10-12T11:00", 120, "2026-10-12T11:30/2026-10-12T14:00", "2026-10-12T15:30"),
        ("2026-10-12T11:00", 120, "2026-10-12T11:30/", None),
        # a pause that begins when all is used up changes nothing
        ("2026-10-12T16:30", 60, "2026-10-12T17:30/", "2026-10-12T17:30"),
        ("2026-10-12T16:30", 60, "2026-10-12T17:29:59.999999/", None),
        ("2026-10-12T16:30", 0, "2026-10-12T16:30/", "2026-10-12T16:30"),
    ],
)
def test_when_open_time_is_used_up(start: str, minutes: int, pauses: str, ends: str | None) -> None:
    found = hours_of("office").used_up(minutes * MINUTE, us(start), pauses_of(pauses))
    assert found == (None if ends is None else us(ends))


@pytest.mark.parametrize(
    ("start", "end", "pauses", "minutes"),
    [
        ("2026-10-12T00:00", "2026-10-13T00:00", "", 450),
        ("2026-10-12T11:00", "2026-10-12T14:00", "", 90),
        ("2026-10-12T11:00", "2026-10-12T14:00", "2026-10-12T11:30/2026-10-12T13:45", 45),
        ("2026-10-12T11:00", "2026-10-12T14:00", "2026-10-12T11:30/", 30),
        ("2026-10-01T00:00", "2026-10-08T00:00", "", 0),
    ],
)
def test_how_much_open_time_has_run(start: str, end: str, pauses: str, minutes: int) -> None:
    assert hours_of("office").open_time(us(start), us(end), pauses_of(pauses)) == minutes * MINUTE


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-10-20T12:00+02:00", "2026-10-21T12:00+02:00", 8),
        ("2026-10-24T12:00+02:00", "2026-10-25T12:00+01:00", 9),  # the night of 25 hours
        ("2026-03-28T12:00+01:00", "2026-03-29T12:00+02:00", 7),  # the night of 23 hours
    ],
)
def test_an_hour_is_an_hour_of_real_time(start: str, end: str, hours: int) -> None:
    night = hours_of("night")
    assert night.open_time(us(start), us(end)) == hours * 60 * MINUTE
    assert night.used_up(hours * 60 * MINUTE, us(start)) == us(end[:11] + "06:00" + end[16:])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"week": {}}, "week"),
        ({"week": {"mon-fri": ["08:30-12:00"], "wed": ["09:00-10:00"]}}, "wed stands twice"),
        ({"week": {"monday": ["08:30-12:00"]}}, "no day of the week"),
        ({"week": {"mon": "closed"}}, "no opening hours at all"),
        ({"week": {"mon": []}}, "no opening hours"),
        ({"week": {"mon": ["8:30-12:00"]}}, "no span of opening hours"),
        ({"week": {"mon": ["08:30-24:30"]}}, "24:00 at the latest"),
        ({"week": {"mon": ["08:30-08:30"]}}, "has no length"),
        ({"week": {"mon": ["08:30-12:00", "11:59-13:00"]}}, "overlap at 11:59"),
        ({"recurring": ["13-01"]}, "no day of every year"),
        ({"days": {"2026-02-30": "closed"}}, "days"),
        ({"hours": []}, "Extra inputs"),
    ],
)
def test_what_is_written_wrong_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        OpeningHoursSpec.model_validate(OFFICE | change)


def test_opening_hours_are_written_as_they_are_read() -> None:
    for written in (OFFICE, NIGHT):
        spec = OpeningHoursSpec.model_validate(written)
        assert OpeningHoursSpec.model_validate(spec.model_dump(mode="json")) == spec
