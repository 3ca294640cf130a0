"""The shipped calendar against two other sources, day by day; override files; calendars of other utilities."""

from __future__ import annotations

import json
import zoneinfo
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path

import chinese_calendar
import holidays
import pytest

from schemas.calendars import CalendarSpec
from streams.core.working_days import WorkingCalendar
from streams.errors import ConfigError
from streams.rulebooks.calendars import build_calendar, load_calendar, load_calendar_spec
from streams.rulebooks.loader import load_rulebook

HOLIDAY_CN = Path(__file__).parents[2] / "../shared/data/holiday-cn"
YEARS = range(2018, 2027)
CHINA = build_calendar()


def days_of(year: int) -> range:
    return range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


def written(folder: Path, text: str, name: str = "calendar.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


# --- every day of every year that others know too -------------------------------------------------------


@cache
def holiday_cn() -> dict[int, tuple[bool, str]]:
    found = {}
    for year in YEARS:
        # 29 and 31 December 2018 stand in 2019's file, so a file is not a year.
        for entry in json.loads((HOLIDAY_CN / f"{year}.json").read_text("utf-8"))["days"]:
            found[day(entry["date"])] = (not entry["isOffDay"], entry["name"])
    return found


@pytest.mark.skipif(not HOLIDAY_CN.is_dir(), reason="no ../shared/data/holiday-cn beside the project")
@pytest.mark.parametrize("year", YEARS)
def test_every_day_agrees_with_holiday_cn(year: int) -> None:
    listed = holiday_cn()
    for ordinal in days_of(year):
        weekday = date.fromordinal(ordinal).weekday() < 5
        expected = listed[ordinal][0] if ordinal in listed else weekday
        assert CHINA.is_working_day(ordinal) == expected, date.fromordinal(ordinal)


@pytest.mark.parametrize("year", YEARS)
def test_every_day_agrees_with_the_holidays_package(year: int) -> None:
    china = holidays.country_holidays("CN", years=year)
    for ordinal in days_of(year):
        assert CHINA.is_working_day(ordinal) == china.is_working_day(date.fromordinal(ordinal)), ordinal


def test_every_day_agrees_with_the_package_it_is_made_from() -> None:
    for year in sorted(CHINA.known_years or ()):
        for ordinal in days_of(year):
            assert CHINA.is_working_day(ordinal) == chinese_calendar.is_workday(date.fromordinal(ordinal))


def test_the_years_known_are_the_package_s_own() -> None:
    known = CHINA.known_years
    assert known is not None
    assert {2018, 2026} <= known
    for year in (min(known) - 1, max(known) + 1):
        with pytest.raises(NotImplementedError):
            chinese_calendar.is_workday(date(year, 6, 1))
        assert CHINA.is_provisional(date(year, 6, 1).toordinal())


def test_days_are_named_in_both_languages() -> None:
    assert CHINA.day_name(day("2026-02-17")) == "春节"
    assert CHINA.day_name(day("2026-02-17"), "en") == "Spring Festival"
    assert CHINA.day_name(day("2026-02-14"), "en") == "Spring Festival make-up working day"


def test_the_same_description_gives_the_same_object() -> None:
    assert build_calendar(CalendarSpec()) is build_calendar(CalendarSpec(zone="Asia/Shanghai"))
    assert build_calendar(CalendarSpec()) == CHINA


# --- override files -------------------------------------------------------------------------------------

ANNOUNCED = """\
holidays:
  - {date: 2040-01-02, name: 元旦, name_en: New Year's Day}
  - {from: 2040-02-11, to: 2040-02-17, name: 春节}
  - 2040-05-01
working_days:
  - {date: 2040-02-18, name: 春节调休上班}
"""


def test_a_year_in_the_override_file_is_known(tmp_path: Path) -> None:
    calendar = load_calendar(written(tmp_path, ANNOUNCED))
    assert CHINA.is_provisional(day("2040-06-01"))
    assert not calendar.is_provisional(day("2040-06-01"))
    assert calendar.is_provisional(day("2041-01-01"))
    assert calendar.fingerprint != CHINA.fingerprint
    assert calendar.add_working_days(day("2040-02-10"), 1) == day("2040-02-18")  # a Saturday
    assert CHINA.add_working_days(day("2040-02-10"), 1) == day("2040-02-13")
    assert [calendar.day_name(day(f"2040-{rest}")) for rest in ("01-02", "02-17", "02-18", "05-01", "06-01")] == [
        "元旦",
        "春节",
        "春节调休上班",
        None,
        None,
    ]
    assert calendar.day_name(day("2040-01-02"), "en") == "New Year's Day"
    assert calendar.day_name(day("2040-02-17"), "en") == "春节"
    assert not calendar.is_working_day(day("2040-05-01"))
    assert all(calendar.is_working_day(d) == CHINA.is_working_day(d) for d in days_of(2026))


def test_local_days_do_not_announce_a_year(tmp_path: Path) -> None:
    calendar = load_calendar(written(tmp_path, "holidays: [2040-04-14]\nworking_days: [2040-04-15]\nknown_years: []\n"))
    assert calendar.is_provisional(day("2040-04-14"))
    assert not calendar.is_working_day(day("2040-04-14"))
    assert calendar.is_working_day(day("2040-04-15"))
    only_working = load_calendar(written(tmp_path, "working_days: [2040-04-15]\n"))
    assert only_working.is_provisional(day("2040-04-15"))


def test_the_file_wins_over_the_package(tmp_path: Path) -> None:
    text = "holidays: [{date: 2026-02-14, name: 停电检修}]\nworking_days: [2026-02-23]\n"
    calendar = load_calendar(written(tmp_path, text))
    assert calendar.day_name(day("2026-02-14")) == "停电检修"
    assert calendar.add_working_days(day("2026-02-13"), 1) == day("2026-02-23")


def test_an_empty_file_is_the_shipped_calendar(tmp_path: Path) -> None:
    assert load_calendar(written(tmp_path, "# nothing yet\n")) == CHINA


def test_json_is_read_too(tmp_path: Path) -> None:
    text = '{"holidays": [{"from": "2040-02-11", "to": "2040-02-17"}, "2040-05-01"]}'
    calendar = load_calendar(written(tmp_path, text, "calendar.json"))
    assert not calendar.is_working_day(day("2040-02-13"))


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("zone: Asia/Shangai\n", 1, "zone", "did you mean Asia/Shanghai"),
        ("source: china\nholiday:\n  - 2027-01-01\n", 2, "holiday", "did you mean holidays"),
        ("holidays:\n  - 2027-01-01\n  - {date: 2027-02-30}\n", 3, "holidays.1.date", "day"),
        ("holidays:\n  - 2027-02-30\n", 2, "holidays.0", "day"),
        ("holidays:\n  - 20270101\n", 2, "holidays.0", "write YYYY-MM-DD"),
        ("holidays:\n  - 2027-01-01T08:00:00\n", 2, "holidays.0", "write YYYY-MM-DD"),
        ("holidays:\n  - {from: 2027-02-05}\n", 2, "holidays.0", "from and to"),
        ("holidays:\n\n  - {from: 2027-02-05, to: 2027-02-01}\n", 3, "holidays.0", "before from"),
        ("holidays:\n  - {from: 2027-02-05, to: 2077-02-12}\n", 2, "holidays.0", "longer than"),
        ("holidays:\n  - date: 2027-02-05\n    nam: 春节\n", 3, "holidays.0.nam", "did you mean name"),
        ("holidays: [2027-01-01]\nworking_days: [2027-01-01]\n", 1, None, "2027-01-01 stands twice"),
        ("weekend: [saturday]\nweekend: [sunday]\n", 2, "weekend", "twice"),
        ("weekend:\n  - saturday\n  - caturday\n", 3, "weekend.1", "sunday"),
        ("weekend: [sunday, sunday]\n", 1, "weekend", "twice"),
        (
            "weekend: [monday, tuesday, wednesday, thursday, friday, saturday, sunday]\n",
            1,
            "weekend",
            "at most 6",
        ),
        ("source: mars\n", 1, "source", "'china' or 'none'"),
        ("zone: UTC\nholidays: [\n", 3, None, "not YAML"),
        ("- zone\n", 1, None, "mapping"),
        ("source: mars\nzone: Nowhere\n", None, None, "and 1 more"),
    ],
)
def test_a_mistake_names_file_line_and_key(
    tmp_path: Path, text: str, line: int | None, key: str | None, says: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as caught:
        load_calendar(path)
    assert str(path) in str(caught.value)
    if line is not None:
        assert (caught.value.line, caught.value.key) == (line, key)


def test_a_zone_that_only_the_operating_system_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zones" / "Own").mkdir(parents=True)
    shanghai = resources.files("tzdata.zoneinfo.Asia").joinpath("Shanghai").read_bytes()
    (tmp_path / "zones" / "Own" / "Place").write_bytes(shanghai)
    try:
        zoneinfo.reset_tzpath([str(tmp_path / "zones")])
        written(tmp_path, "source: none\nzone: Own/Place\n", "calendar.yaml")
        with pytest.raises(ConfigError, match="'Own/Place' is not a time zone") as caught:
            load_rulebook([tmp_path])
    finally:
        zoneinfo.reset_tzpath()
    assert (caught.value.line, caught.value.key) == (2, "zone")


def test_no_calendar_is_named_as_the_one_of_rules_that_name_none(tmp_path: Path) -> None:
    path = written(tmp_path, 'calendars:\n  default: {week: {mon: ["08:00-12:00"]}}\n')
    with pytest.raises(ConfigError, match="default is the calendar of rules that name none"):
        load_calendar_spec(path)


# --- several files --------------------------------------------------------------------------------------


def layers(tmp_path: Path, *texts: str) -> WorkingCalendar:
    directories = [tmp_path / str(number) for number in range(len(texts))]
    for directory, text in zip(directories, texts, strict=True):
        directory.mkdir()
        written(directory, text, "calendar.yaml")
    rulebook = load_rulebook(directories).rulebook
    return rulebook.calendars.get("office", rulebook.calendar)


OFFICE = 'calendars: {office: {week: {mon-fri: ["08:00-16:00"]}}}\n'
BERLIN = "zone: Europe/Berlin\nsource: none\nweekend: [sunday]\nholidays: [2026-05-14]\nknown_years: [2026]\n"


def test_a_city_s_file_keeps_the_days_of_its_province(tmp_path: Path) -> None:
    found = layers(tmp_path, "holidays: [{from: 2026-12-07, to: 2026-12-09, name: 停电演练}]\n", OFFICE)
    assert [found.is_working_day(day(f"2026-12-{on}")) for on in ("07", "08", "09", "10")] == [False] * 3 + [True]
    assert found.day_name(day("2026-12-08")) == "停电演练"
    assert found.hours is not None


def test_of_one_date_the_upper_file_holds(tmp_path: Path) -> None:
    found = layers(
        tmp_path,
        "holidays: [{from: 2040-12-07, to: 2040-12-10}]\nworking_days: [2040-12-15, 2040-12-16]\n",
        "working_days: [2040-12-10]\nholidays: [2040-12-16]\n",
    )
    worked = {on: found.is_working_day(day(f"2040-12-{on}")) for on in ("07", "10", "15", "16")}
    assert worked == {"07": False, "10": True, "15": True, "16": False}
    assert not found.is_provisional(day("2040-12-10"))


@pytest.mark.parametrize("upper", [OFFICE, "source: none\n" + OFFICE, "# nothing\n"])
def test_an_upper_file_keeps_zone_weekend_source_and_years(tmp_path: Path, upper: str) -> None:
    found = layers(tmp_path, BERLIN, upper)
    assert found.zone_name == "Europe/Berlin"
    assert not found.is_working_day(day("2026-05-14"))
    assert found.is_working_day(day("2026-10-05"))  # a holiday in China
    assert (found.is_provisional(day("2026-06-01")), found.is_provisional(day("2027-06-01"))) == (False, True)


def test_a_file_of_another_source_has_days_of_its_own_only(tmp_path: Path) -> None:
    found = layers(tmp_path, "holidays: [2026-12-07]\n", BERLIN)
    assert found.is_working_day(day("2026-12-07"))
    assert not found.is_working_day(day("2026-05-14"))
    assert found.is_provisional(day("2025-06-01"))


def test_years_known_by_any_file_are_known(tmp_path: Path) -> None:
    found = layers(tmp_path, ANNOUNCED, "holidays: [2041-01-01]\n", "holidays: [2042-04-14]\nknown_years: []\n")
    assert [found.is_provisional(day(f"{year}-06-01")) for year in (2026, 2040, 2041, 2042)] == [False] * 3 + [True]


def test_with_own_days_and_no_years_named_none_is_provisional(tmp_path: Path) -> None:
    found = layers(tmp_path, "source: none\nholidays: [2026-05-14]\n", "holidays: [2027-05-06]\n")
    assert not found.is_provisional(day("2030-01-01"))
    assert not found.is_working_day(day("2026-05-14"))
    assert not found.is_working_day(day("2027-05-06"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_calendar_spec(tmp_path / "absent.yaml")


# --- other utilities ------------------------------------------------------------------------------------


def test_around_the_clock_every_day_is_worked_and_none_provisional() -> None:
    calendar = build_calendar(CalendarSpec(source="none", weekend=(), zone="UTC"))
    assert calendar.add_working_days(day("2026-02-13"), 10) == day("2026-02-23")
    assert not any(calendar.is_provisional(d) for d in (day("1999-01-01"), day("2031-01-01")))


def test_monday_to_saturday_in_a_zone_with_daylight_saving() -> None:
    spec = CalendarSpec.model_validate(
        {
            "source": "none",
            "weekend": ["sunday"],
            "zone": "Europe/Berlin",
            "holidays": [{"date": "2026-04-03", "name": "Karfreitag"}, {"date": "2026-04-06"}],
        }
    )
    calendar: WorkingCalendar = build_calendar(spec)
    assert calendar.add_working_days(day("2026-04-02"), 2) == day("2026-04-07")
    assert calendar.is_working_day(day("2026-03-28"))  # Saturday
    last = calendar.add_working_days(day("2026-03-27"), 1)
    # The Sunday on which summer time begins starts in winter time.
    assert calendar.start_of_day(last + 1) == 1_774_738_800_000_000
    assert calendar.start_of_day(last + 2) - calendar.start_of_day(last + 1) == 23 * 3_600_000_000


def test_known_years_of_a_calendar_with_own_holidays() -> None:
    spec = CalendarSpec.model_validate({"source": "none", "holidays": ["2026-04-03"], "known_years": [2026]})
    calendar = build_calendar(spec)
    assert not calendar.is_provisional(day("2026-12-31"))
    assert calendar.is_provisional(day("2027-01-01"))


def test_a_description_survives_json() -> None:
    spec = CalendarSpec.model_validate({"holidays": ["2027-01-01", {"from": "2027-02-05", "to": "2027-02-12"}]})
    assert CalendarSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec
    assert "anyOf" in json.dumps(CalendarSpec.model_json_schema())


@pytest.mark.parametrize("key", ["on", "no", "2026"])
def test_a_key_that_is_no_text_for_yaml_is_said_to_be_one(tmp_path: Path, key: str) -> None:
    path = written(tmp_path, f"holidays:\n  - {key}: 2026-05-01\n")
    with pytest.raises(ConfigError) as raised:
        load_calendar_spec(path)
    assert (raised.value.line, "on, yes, no and numbers" in str(raised.value)) == (2, True)
