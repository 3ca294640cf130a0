"""Days and working days: edge rows with real dates, zones with daylight saving, and the count against a plain loop."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.limits import DAY
from streams.core.working_days import SpecialDay, WorkingCalendar, offsets_of, zone_named
from streams.rulebooks.calendars import build_calendar

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = DAY // 24
CHINA = build_calendar()
ZONES = (
    "Asia/Shanghai",
    "America/Sao_Paulo",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "UTC",
)


def micros(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


@cache
def plain(zone: str) -> WorkingCalendar:
    return WorkingCalendar(zone)


# --- edge rows: working days in China -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "worked", "name"),
    [
        ("2026-02-13", True, None),
        ("2026-02-14", True, "春节调休上班"),  # Saturday
        ("2026-02-15", False, "春节"),
        ("2026-02-16", False, "春节"),
        ("2026-02-23", False, "春节"),
        ("2026-02-24", True, None),
        ("2026-02-28", True, "春节调休上班"),  # Saturday
        ("2026-03-01", False, None),  # an ordinary Sunday
        ("2026-01-04", True, "元旦调休上班"),  # Sunday
        ("2026-04-30", True, None),
        ("2026-05-01", False, "劳动节"),
        ("2026-05-05", False, "劳动节"),
        ("2026-05-06", True, None),
        ("2026-05-09", True, "劳动节调休上班"),  # Saturday
        ("2025-09-28", True, "国庆节调休上班"),  # Sunday
        ("2025-10-01", False, "国庆节"),
        ("2025-10-08", False, "国庆节"),
        ("2025-10-09", True, None),
        ("2025-10-11", True, "国庆节调休上班"),  # Saturday
        ("2018-12-29", True, "元旦调休上班"),  # announced with 2019
        ("2018-12-31", False, "元旦"),
        ("2020-01-31", False, "春节"),  # prolonged by a later notice
    ],
)
def test_statutory_days(text: str, worked: bool, name: str | None) -> None:
    assert CHINA.is_working_day(day(text)) is worked
    assert CHINA.day_name(day(text)) == name
    assert not CHINA.is_provisional(day(text))


@pytest.mark.parametrize(
    ("start", "days", "last"),
    [
        ("2026-02-12", 1, "2026-02-13"),
        ("2026-02-12", 2, "2026-02-14"),  # the make-up Saturday counts
        ("2026-02-12", 3, "2026-02-24"),
        ("2026-02-14", 5, "2026-02-28"),  # as does the one after the festival
        ("2026-02-18", 1, "2026-02-24"),  # from amid the holiday
        ("2026-02-23", 1, "2026-02-24"),
        ("2026-01-03", 1, "2026-01-04"),  # a make-up Sunday
        ("2025-09-26", 1, "2025-09-28"),
        ("2025-09-30", 1, "2025-10-09"),
        ("2025-09-30", 3, "2025-10-11"),
        ("2025-09-30", 4, "2025-10-13"),
        ("2026-04-29", 2, "2026-05-06"),
        ("2026-04-30", 4, "2026-05-09"),
        ("2026-09-25", 5, "2026-10-09"),
        ("2026-11-20", 5, "2026-11-27"),  # no holiday near
        ("2026-12-31", 1, "2027-01-01"),  # a Friday of a year not announced
        ("2026-12-30", 5, "2027-01-06"),
        ("2026-02-12", 0, "2026-02-12"),
    ],
)
def test_working_days_count_from_the_next_working_day(start: str, days: int, last: str) -> None:
    assert CHINA.add_working_days(day(start), days) == day(last)
    assert len(list(CHINA.working_days_between(day(start), day(last)))) == days
    if days == 1:
        assert CHINA.next_working_day(day(start)) == day(last)


def test_days_counted_are_listed_in_order() -> None:
    counted = CHINA.working_days_between(day("2026-09-25"), day("2026-10-09"))
    assert [date.fromordinal(ordinal).isoformat() for ordinal in counted] == [
        "2026-09-28",
        "2026-09-29",
        "2026-09-30",
        "2026-10-08",
        "2026-10-09",
    ]
    assert list(CHINA.working_days_between(day("2026-10-09"), day("2026-10-01"))) == []


def test_a_year_not_announced_is_provisional_and_has_weekends_only() -> None:
    announced = max(CHINA.known_years or ())
    first = date(announced + 1, 1, 1).toordinal()
    assert not CHINA.is_provisional(first - 1)
    assert CHINA.is_provisional(first)
    assert all(
        CHINA.is_working_day(ordinal) == (date.fromordinal(ordinal).weekday() < 5)
        for ordinal in range(first, first + 365)
    )


@pytest.mark.parametrize("ordinal", [-5_000_000, -1, 0, 1, date.max.toordinal(), date.max.toordinal() + 9])
def test_absurd_days_are_no_error(ordinal: int) -> None:
    assert CHINA.is_provisional(ordinal)
    assert CHINA.local_date(CHINA.start_of_day(ordinal)) == ordinal
    assert CHINA.add_working_days(ordinal, 5) > ordinal + 4


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 working days"):
        CHINA.add_working_days(day("2026-02-12"), -1)


@pytest.mark.parametrize("weekend", [frozenset(range(7)), frozenset({7}), frozenset({-1})])
def test_an_impossible_weekend_is_refused(weekend: frozenset[int]) -> None:
    with pytest.raises(ValueError, match="weekend"):
        WorkingCalendar(weekend=weekend)


def test_a_date_cannot_be_special_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        WorkingCalendar(special_days=(SpecialDay(7, False), SpecialDay(7, True)))


SPECIAL = {found.ordinal: found.is_working for found in CHINA.special_days}


@cache
def with_weekend(weekend: frozenset[int]) -> WorkingCalendar:
    return WorkingCalendar("Asia/Shanghai", weekend, CHINA.special_days, CHINA.known_years)


@settings(max_examples=200)
@given(
    start=st.dates(date(1995, 1, 1), date(2065, 12, 31)).map(date.toordinal),
    days=st.integers(1, 80),
    weekend=st.frozensets(st.integers(0, 6), max_size=6),
)
def test_counting_agrees_with_a_plain_loop(start: int, days: int, weekend: frozenset[int]) -> None:
    calendar = with_weekend(weekend)
    last, left = start, days
    while left:
        last += 1
        left -= SPECIAL.get(last, date.fromordinal(last).weekday() not in weekend)
    assert calendar.add_working_days(start, days) == last
    assert len(list(calendar.working_days_between(start, last))) == days


# --- edge rows: when a day begins -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "text", "begins", "hours"),
    [
        ("Asia/Shanghai", "2026-02-14", "2026-02-14T00:00+08:00", 24),
        ("Asia/Shanghai", "1991-04-14", "1991-04-14T00:00+08:00", 23),  # China's last summer time
        ("Asia/Shanghai", "1991-09-15", "1991-09-15T00:00+09:00", 25),
        ("Asia/Shanghai", "1991-09-16", "1991-09-16T00:00+08:00", 24),
        ("Europe/Berlin", "2026-03-29", "2026-03-29T00:00+01:00", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-25T00:00+02:00", 25),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00-02:00", 23),  # there was no midnight
        ("America/Sao_Paulo", "2019-02-16", "2019-02-16T00:00-02:00", 25),  # 23:00 to 24:00 came twice
        ("America/Sao_Paulo", "2019-02-17", "2019-02-17T00:00-03:00", 24),
        ("Africa/Cairo", "2023-04-28", "2023-04-28T01:00+03:00", 23),  # no midnight either
        ("Australia/Lord_Howe", "2026-10-04", "2026-10-04T00:00+10:30", 23.5),
        ("Pacific/Apia", "2011-12-29", "2011-12-29T00:00-10:00", 24),
        ("Pacific/Apia", "2011-12-30", "2011-12-31T00:00+14:00", 0),  # a date that was left out
        ("Pacific/Apia", "2011-12-31", "2011-12-31T00:00+14:00", 24),
        # At 00:01 the clock went back to 23:01 of the 28th: the 29th begins with its second midnight.
        ("America/St_Johns", "2006-10-28", "2006-10-28T00:00-02:30", 25),
        ("America/St_Johns", "2006-10-29", "2006-10-29T00:00-03:30", 24),
        ("America/Havana", "2025-11-02", "2025-11-02T00:00-04:00", 25),  # 0:00 to 1:00 came twice
    ],
)
def test_when_a_day_begins_and_how_long_it_is(zone: str, text: str, begins: str, hours: float) -> None:
    calendar = plain(zone)
    begin, end = calendar.start_of_day(day(text)), calendar.start_of_day(day(text) + 1)
    assert begin == micros(begins)
    assert end - begin == hours * HOUR
    if hours:
        assert [calendar.local_date(at) for at in (begin, end - 1)] == [day(text), day(text)]
        assert calendar.local_date(begin - 1) < day(text) < calendar.local_date(end)


def test_a_minute_before_the_clock_went_back_over_midnight_belongs_to_the_eve() -> None:
    calendar = plain("America/St_Johns")
    assert calendar.local_date(micros("2006-10-29T00:00:30-02:30")) == day("2006-10-28")
    assert calendar.local_date(micros("2006-10-28T23:30:00-03:30")) == day("2006-10-28")


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("2026-02-14T15:59:59.999999+00:00", "2026-02-14"),
        ("2026-02-14T16:00:00+00:00", "2026-02-15"),
        ("2026-12-31T16:00:00+00:00", "2027-01-01"),
        ("1969-12-31T15:59:59.999999+00:00", "1969-12-31"),
        ("1990-07-01T14:59:59.999999+00:00", "1990-07-01"),
        ("1990-07-01T15:00:00+00:00", "1990-07-02"),
    ],
)
def test_local_date_in_shanghai(text: str, local: str) -> None:
    assert CHINA.local_date(micros(text)) == day(local)


ORDINALS = st.dates(date(1901, 2, 1), date(2090, 12, 31)).map(date.toordinal)
INSTANTS = st.integers(micros("1901-02-01T00:00+00:00"), micros("2090-12-31T00:00+00:00"))


@given(zone=st.sampled_from(ZONES), ordinal=ORDINALS)
def test_days_follow_each_other_without_gap_or_overlap(zone: str, ordinal: int) -> None:
    calendar = plain(zone)
    begin, end = calendar.start_of_day(ordinal), calendar.start_of_day(ordinal + 1)
    assert 22 * HOUR <= end - begin <= 26 * HOUR
    assert calendar.local_date(begin) == ordinal
    assert calendar.local_date(begin - 1) == ordinal - 1


@given(zone=st.sampled_from(ZONES), instant=INSTANTS)
def test_an_instant_lies_in_its_local_date_as_zoneinfo_has_it(zone: str, instant: int) -> None:
    calendar = plain(zone)
    ordinal = calendar.local_date(instant)
    assert calendar.start_of_day(ordinal) <= instant < calendar.start_of_day(ordinal + 1)
    moment = (EPOCH + timedelta(microseconds=instant)).astimezone(zone_named(zone))
    assert moment.date().toordinal() == ordinal


@settings(max_examples=200)
@given(first=INSTANTS, second=INSTANTS)
def test_local_dates_never_go_back_even_where_the_clock_does(first: int, second: int) -> None:
    calendar = plain("America/St_Johns")
    low, high = sorted((first, second))
    assert calendar.local_date(low) <= calendar.local_date(high)


@pytest.mark.parametrize(
    "zone", ["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Africa/Casablanca", "UTC"]
)
def test_no_change_of_a_zone_is_missed(zone: str) -> None:
    """Whatever its data list, or give as a rule: every day is looked at."""
    found, one_day = offsets_of(zone), timedelta(days=1)
    changes = iter(zip((*found.changes[1:], micros("2101-01-01T00:00+00:00")), found.offsets, strict=True))
    until, offset = next(changes)
    moment = datetime(1900, 1, 1, tzinfo=UTC)
    while moment.year <= 2100:
        while (moment - EPOCH) // timedelta(microseconds=1) >= until:
            until, offset = next(changes)
        assert moment.astimezone(zone_named(zone)).utcoffset() == timedelta(microseconds=offset), moment
        moment += one_day


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "America/Havana", "America/St_Johns"])
def test_days_follow_each_other_for_every_day_of_forty_years(zone: str) -> None:
    calendar = plain(zone)
    for ordinal in range(day("1985-01-01"), day("2025-01-01")):
        begin = calendar.start_of_day(ordinal)
        assert begin < calendar.start_of_day(ordinal + 1)
        assert calendar.local_date(begin) == ordinal
        assert calendar.local_date(begin - 1) == ordinal - 1


# --- values ---------------------------------------------------------------------------------------------


def test_a_calendar_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(CHINA))
    assert again == CHINA
    assert hash(again) == hash(CHINA)
    assert again.fingerprint == CHINA.fingerprint
    assert again.zone is CHINA.zone
    assert again.add_working_days(day("2026-02-12"), 3) == day("2026-02-24")


def test_a_calendar_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        CHINA.zone_name = "UTC"  # type: ignore[misc]


def test_the_fingerprint_tells_calendars_apart() -> None:
    tuesday = day("2027-01-05")
    others = [
        WorkingCalendar("UTC", CHINA.weekend, CHINA.special_days, CHINA.known_years),
        WorkingCalendar("Asia/Shanghai", frozenset(), CHINA.special_days, CHINA.known_years),
        WorkingCalendar("Asia/Shanghai", CHINA.weekend, CHINA.special_days, None),
        WorkingCalendar(
            "Asia/Shanghai",
            CHINA.weekend,
            (*CHINA.special_days, SpecialDay(tuesday, False)),
            CHINA.known_years,
        ),
    ]
    assert len({calendar.fingerprint for calendar in (CHINA, *others)}) == 5


def test_zone_data_comes_from_the_pinned_package() -> None:
    zone = zone_named("Asia/Shanghai")
    assert zone.key == "Asia/Shanghai"
    assert zone is not ZoneInfo("Asia/Shanghai")
    assert pickle.loads(pickle.dumps(zone)) is zone


@pytest.mark.parametrize(
    "name", ["Asia/Shangai", "Asia", "", "/etc/passwd", "../x", "Asia/../UTC", "tzdata.zi", "a.b/c"]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a time zone"):
        zone_named(name)
