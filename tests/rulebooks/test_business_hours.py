"""A rulebook whose rules count by opening hours: loaded, judged, explained, shown."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from streams.cli import run
from streams.errors import ConfigError
from streams.rulebooks.loader import LoadedRulebook, load_rulebook
from tests.stories import Judged, judge, local

CALENDAR = """
zone: Asia/Shanghai
calendars:
  office: {base: china, week: {mon-fri: ["08:30-12:00", "13:30-17:30"], sat: ["09:00-12:00"]},
           recurring: ["10-01"], days: {2026-10-10: ["09:00-16:00"], 2026-10-12: closed}}
  always: {base: none, week: {mon-sun: ["00:00-24:00"]}}
"""
RULES = """
chapter: T
title: {zh: 服务台, en: Service desk}
events:
  ticket.opened: {title: {zh: 建单, en: Ticket opened}, fields: {office: text}}
  ticket.waiting: {title: {zh: 挂起, en: Waiting}}
  ticket.working: {title: {zh: 处理, en: Working}}
  ticket.closed: {title: {zh: 关闭, en: Ticket closed}}
rules:
  - id: r
    effective_from: 2020-01-01
    clauses: [T-1]
    source: own
    kind: deadline
    subject: order
    title: {zh: 时限, en: In time}
    start: ticket.opened
    stop: ticket.closed
    pause: ticket.waiting
    resume: ticket.working
    limit: LIMIT
"""
NAMED, CHOSEN = "calendar: office", "calendar: {by: org.unit, of: {U1: always}, else: office}"


def directory(path: Path, limit: str, calendar: str = NAMED) -> Path:
    found = path / "rules"
    found.mkdir(parents=True)
    (found / "calendar.yaml").write_text(CALENDAR, "utf-8")
    (found / "desk.yaml").write_text(f"{RULES.replace('LIMIT', limit)}    {calendar}\n", "utf-8")
    return found


def judged(path: Path, limit: str, story: str, calendar: str = NAMED) -> Judged:
    return judge(story, "2026-12-31T00:00", loaded=load_rulebook(only=directory(path, limit, calendar)))


@pytest.mark.parametrize(
    ("limit", "calendar", "start", "deadline"),
    [
        ("2 business hours", NAMED, "2026-03-05T09:00", "2026-03-05T11:00"),
        ("2 business hours", NAMED, "2026-03-06T16:30", "2026-03-07T10:00"),  # over to Saturday's hours
        ("1 business hour", NAMED, "2026-03-06T16:30", "2026-03-06T17:30"),  # used up at closing time: there
        ("90 business minutes", NAMED, "2026-03-05T11:30", "2026-03-05T14:30"),  # over lunch
        ("1 business hour", NAMED, "2026-03-08T10:00", "2026-03-09T09:30"),  # a Sunday: from the next opening
        ("1 business hour", NAMED, "2026-03-05T12:00", "2026-03-05T14:30"),  # at closing time: from the next opening
        ("3 business hours", NAMED, "2026-02-13T17:00", "2026-02-14T11:00"),  # a make-up Saturday has Monday's hours
        ("1 business hour", NAMED, "2026-10-09T17:30", "2026-10-10T10:00"),  # a day of its own
        ("8 business hours", NAMED, "2026-10-10T09:00", "2026-10-13T09:30"),  # closed on the 12th
        ("25 business hours", CHOSEN, "2026-03-08T10:00 org={\"unit\":\"U1\"}", "2026-03-09T11:00"),
        ("1 business hour", CHOSEN, "2026-03-08T10:00 org={\"unit\":\"U2\"}", "2026-03-09T09:30"),
        ("1 business hour", CHOSEN, "2026-03-08T10:00", "2026-03-09T09:30"),
        ("2 working days", NAMED, "2026-03-06T10:00", "2026-03-10T00:00"),  # Saturday has hours, Sunday has none
        ("2 working days", NAMED, "2026-10-09T10:00", "2026-10-14T00:00"),  # the 10th, and the 13th
    ],
)  # fmt: skip
def test_deadlines(tmp_path: Path, limit: str, calendar: str, start: str, deadline: str) -> None:
    at, _, fields = start.partition(" ")
    found = judged(tmp_path, limit, f"s {at} ticket.opened W1 {fields}", calendar)
    assert found.outcomes() == [("breached", f"{deadline}:00.000")]


def test_pauses_warnings_elapsed_and_lateness_are_open_time(tmp_path: Path) -> None:
    found = judged(
        tmp_path,
        "2 business hours",
        """
        s 2026-03-07T11:00 ticket.opened W1
        p 2026-03-07T11:30 ticket.waiting W1
        r 2026-03-09T10:00 ticket.working W1
        z 2026-03-09T14:30 ticket.closed W1
        """,
    )
    warning, breach, late = found.alerts
    told = [(alert.kind, local(alert.due_at)[5:16]) for alert in found.alerts]
    assert told == [("warning", "03-09T11:06"), ("breach", "03-09T11:30"), ("late_completion", "03-09T14:30")]
    assert "2026-03-09 11:30:00" in warning.explanation.en
    assert "limit 2 business hours (less 2 h paused)" in breach.explanation.en
    assert "时限2营业小时（扣除暂停2小时）" in breach.explanation.zh
    assert "1 h 30 min of open time late" in late.explanation.en
    hour = 3_600_000_000
    assert (late.elapsed, late.paused) == (3 * hour + hour // 2, 2 * hour)
    assert late.arithmetic["open_hours"] == [
        {"from": "2026-03-07 11:00:00", "to": "2026-03-07 12:00:00"},
        {"from": "2026-03-09 08:30:00", "to": "2026-03-09 11:30:00"},
    ]


@pytest.mark.parametrize(
    ("limit", "calendar", "line", "message"),
    [
        ("2 business hours", "calendar: offce", 22, r"no calendar 'offce' in calendar.yaml; it has always, office"),
        ("2 business hours", "calendar: {by: org.unit, of: {U1: nine}, else: office}", 22, "no calendar 'nine'"),
        ("2 business hours", "calendar: {by: ofice, of: {U1: office}, else: office}", 22, "has no field 'ofice'"),
        ("2 business hours", "", 10, "a limit in business hours needs a calendar"),
        ("999999 business hours", NAMED, 21, "nothing above 50 years"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_its_place(
    tmp_path: Path, limit: str, calendar: str, line: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_rulebook(only=directory(tmp_path, limit, calendar))
    assert caught.value.line == line
    assert str(caught.value.path).endswith("desk.yaml")


def test_changed_hours_are_another_rulebook(tmp_path: Path) -> None:
    rules = directory(tmp_path, "2 business hours")
    before = load_rulebook(only=rules).rulebook.fingerprint
    (rules / "calendar.yaml").write_text(CALENDAR.replace("17:30", "18:00"), "utf-8")
    assert load_rulebook(only=rules).rulebook.fingerprint != before


@pytest.mark.parametrize(
    ("base", "is_open"),
    [("", "holiday"), ("base: none, ", "holiday"), ("base: china, ", "make-up day")],
)
def test_an_office_has_the_holidays_of_its_file_unless_it_says_otherwise(
    tmp_path: Path, base: str, is_open: str
) -> None:
    rules = directory(tmp_path, "2 business hours")
    office = f'calendars: {{office: {{{base}week: {{mon-fri: ["08:00-16:00"]}}}}}}'
    (rules / "calendar.yaml").write_text(f"zone: Europe/Berlin\nsource: none\nholidays: [2026-05-14]\n{office}\n")
    found = load_rulebook(only=rules).rulebook.calendars["office"]
    national_day, make_up_saturday, own = (date(2026, *day).toordinal() for day in ((10, 5), (10, 10), (5, 14)))
    assert found.is_working_day(national_day) == (is_open == "holiday")
    assert found.is_working_day(make_up_saturday) == (is_open == "make-up day")
    assert not found.is_working_day(own)


def test_an_office_of_a_file_without_a_source_has_china_s_holidays(tmp_path: Path) -> None:
    rules = directory(tmp_path, "2 business hours")
    (rules / "calendar.yaml").write_text('calendars: {office: {week: {mon-fri: ["08:00-16:00"]}}}\n')
    found = load_rulebook(only=rules).rulebook.calendars["office"]
    assert not found.is_working_day(date(2026, 10, 5).toordinal())
    assert found.is_working_day(date(2026, 10, 10).toordinal())


def test_a_month_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rules = str(directory(tmp_path, "2 business hours"))
    assert run(["calendar", "show", "office", "2026-10", "--only", rules]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 31
    assert lines[0].startswith("2026-10-01  四 Thu  休息 off")
    assert "国庆节" in lines[0]
    assert lines[8] == "2026-10-09  五 Fri  工作 worked  08:30-12:00 13:30-17:30"
    assert lines[9].startswith("2026-10-10  六 Sat  工作 worked  09:00-16:00")
    assert lines[11].startswith("2026-10-12  一 Mon  休息 off")
    assert run(["calendar", "show", "nowhere", "2026-10", "--only", rules]) == 2
    assert "there is always, default, office" in capfd.readouterr().err
    assert run(["calendar", "show", "office", "October", "--only", rules]) == 2


# --- rules about acts, and what comes again ---------------------------------------------------------------------

HEAD = RULES[: RULES.index("    kind: deadline")]
ACTS = {
    "notice": "kind: minimum_notice\nact: ticket.closed\nnotice: ticket.opened\nlimit: LIMIT",
    "state": "kind: not_before\nact: ticket.closed\nsince: ticket.opened\nlimit: LIMIT",
    "kept": "kind: retention\nact: ticket.closed\nsince: ticket.opened\nlimit: LIMIT",
    "recorded": "kind: recording_delay\nact: ticket.closed\nlimit: LIMIT",
    "again": "kind: cadence\nact: ticket.opened\nevery: LIMIT\nwarn_at: [0.5]",
}


def with_rule(path: Path, kind: str, limit: str, calendar: str) -> Path:
    found = directory(path, "1 h")
    lines = [*ACTS[kind].replace("LIMIT", limit).splitlines(), "subject: order", "title: {zh: 时限, en: In time}"]
    lines += [calendar] if calendar else []
    (found / "desk.yaml").write_text(HEAD + "".join(f"    {line}\n" for line in lines), "utf-8")
    return found


@cache
def loaded(kind: str, limit: str, calendar: str) -> LoadedRulebook:
    with TemporaryDirectory() as path:
        return load_rulebook(only=with_rule(Path(path), kind, limit, calendar))


def acted(kind: str, limit: str, story: str, calendar: str = NAMED) -> Judged:
    return judge(story, "2026-12-31T00:00", loaded=loaded(kind, limit, calendar))


@pytest.mark.parametrize("kind", ["notice", "state", "kept"])
@pytest.mark.parametrize(
    ("limit", "since", "lawful", "calendar"),
    [
        ("2 business hours", "2026-03-06T16:30", "2026-03-07T10:00", NAMED),
        ("1 business hour", "2026-03-06T16:30", "2026-03-06T17:30", NAMED),  # used up at closing time: there
        ("2 working days", "2026-03-06T10:00", "2026-03-09T00:00", NAMED),  # Saturday has hours, Sunday has none
        ("2 working days", "2026-03-06T10:00", "2026-03-10T00:00", ""),
        ("2 working days", "2026-03-06T10:00", "2026-03-08T00:00", "calendar: always"),
    ],
)
def test_the_first_lawful_instant(kind: str, limit: str, since: str, lawful: str, calendar: str) -> None:
    before = (datetime.fromisoformat(lawful) - timedelta(milliseconds=1)).isoformat()
    for at, outcome in ((before, "violated"), (lawful, "met")):
        story = f"n {since} ticket.opened W1\na {at} ticket.closed W1"
        assert [one for one, _ in acted(kind, limit, story, calendar).outcomes()] == [outcome]


def test_what_comes_a_moment_too_early_is_named_with_its_instant() -> None:
    for kind in ("notice", "state", "kept"):
        story = "n 2026-03-06T16:30 ticket.opened W1\na 2026-03-07T09:59:59.999 ticket.closed W1"
        (alert,) = acted(kind, "2 business hours", story).alerts
        assert "it is lawful from 2026-03-07 10:00:00 on" in alert.explanation.en


def test_the_calendar_is_chosen_by_the_act() -> None:
    for unit, outcome in (("U1", "met"), ("U2", "violated")):
        story = (
            'n 2026-03-06T17:00 ticket.opened W1 org={"unit":"U2"}\n'
            f'a 2026-03-06T19:00 ticket.closed W1 org={{"unit":"{unit}"}}'
        )
        found = acted("notice", "2 business hours", story, CHOSEN)
        assert [one for one, _ in found.outcomes()] == [outcome]


def test_recorded_within_open_time() -> None:
    story = "a 2026-03-06T16:30 ticket.closed W1 recorded=RECORDED"
    for recorded, outcome in (("2026-03-07T10:00", "met"), ("2026-03-07T10:00:00.001", "violated")):
        found = acted("recorded", "2 business hours", story.replace("RECORDED", recorded))
        assert [one for one, _ in found.outcomes()] == [outcome]
    (alert,) = found.alerts
    assert local(alert.due_at) == "2026-03-07T10:00:00.000"
    assert alert.elapsed == 2 * 3_600_000_000  # open time


def test_again_within_open_time() -> None:
    story = "a 2026-03-06T16:30 ticket.opened W1\nb 2026-03-07T11:00 ticket.opened W1"
    alerts = acted("again", "2 business hours", story).alerts
    assert [(alert.kind, local(alert.due_at)[5:16]) for alert in alerts[:3]] == [
        ("warning", "03-06T17:30"),
        ("breach", "03-07T10:00"),
        ("late_completion", "03-07T11:00"),
    ]
    assert "limit 2 business hours" in alerts[1].explanation.en


@pytest.mark.parametrize("kind", sorted(ACTS))
@pytest.mark.parametrize(
    ("calendar", "message"),
    [
        ("", "a limit in business hours needs a calendar"),
        ("calendar: offce", r"no calendar 'offce' in calendar.yaml; it has always, office"),
        ("calendar: {by: ofice, of: {U1: always}, else: office}", "has no field 'ofice'"),
    ],
)
def test_every_kind_refuses_a_calendar_that_cannot_be(tmp_path: Path, kind: str, calendar: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_rulebook(only=with_rule(tmp_path, kind, "2 business hours", calendar))
    assert str(caught.value.path).endswith("desk.yaml")
    assert caught.value.line is not None
