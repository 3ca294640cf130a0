"""``gridclock rules suggest``: limits from history, in their own unit, in a rulebook file that can be used as it is."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.cli import run
from streams.rulebooks.loader import load_rulebook

CALL, CHECK, SURVEY = "contact-at-each-stage-received", "abnormal-meter-check", "survey-on-time"


def local(time: str) -> datetime:
    return datetime.fromisoformat(f"{time}+08:00")


def event(number: str, kind: str, at: datetime, **fields: Any) -> dict[str, Any]:
    time = at.isoformat()
    return {"event_id": f"{number}-{kind}", "event_type": kind, "occurred_at": time, "recorded_at": time, **fields}


def calls(count: int = 20, *, unanswered: int = 0) -> list[dict[str, Any]]:
    """Reports at 9:00 whose customers are called after 1 min, 2 min, ...; then some that never are."""
    start = local("2026-03-02T09:00")
    found = []
    for minute in range(1, count + unanswered + 1):
        order = f"W{minute:03}"
        found.append(event(order, "repair.reported", start, order_id=order, area="urban", scope="single"))
        if minute <= count:
            at = start + timedelta(minutes=minute)
            found.append(event(order, "repair.customer_contacted", at, order_id=order, stage="received"))
    return sorted(found, key=lambda one: one["occurred_at"])


def checks(last: str, count: int = 20) -> list[dict[str, Any]]:
    """Meters reported on Wednesday 2026-09-30, before the holiday of 1 to 7 October, and checked at ``last``."""
    found = []
    for number in range(count):
        meter = f"M{number:03}"
        found.append(event(meter, "meter.anomaly_reported", local("2026-09-30T10:00"), meter_id=meter, order_id=meter))
        at = local(last)
        found.append(event(meter, "meter.site_checked", at, meter_id=meter, order_id=meter, faulty=False))
    return found


def write(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in events), encoding="utf-8")
    return path


def suggest(*arguments: object) -> int:
    return run(["rules", "suggest", *map(str, arguments)])


def rules_in(path: Path) -> dict[str, dict[str, Any]]:
    return {rule["id"]: rule for rule in yaml.safe_load(path.read_text("utf-8"))["rules"]}


UNTIL = ("--until", "2026-11-01T00:00:00+08:00")


def row_of(out: str, rule: str) -> list[str]:
    (line,) = [line for line in out.splitlines() if line.startswith(rule)]
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_limit_is_the_p95_in_the_unit_of_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine" / "history.yaml"
    out.parent.mkdir()
    assert suggest("--events", write(tmp_path / "e.jsonl", calls()), "--out", out, "--from", "2027-01-01") == 0
    row = row_of(capsys.readouterr().out, CALL)
    assert row == [CALL, "5 min", "20", "0", "10 min", "18 min", "19 min", "25.0 %", "19 min"]
    assert rules_in(out).keys() == {CALL}
    rule = rules_in(out)[CALL]
    assert (rule["limit"], rule["basis"], rule["version"]) == ([{"is": "19 min"}], "C", "history-2027-01-01")
    assert (str(rule["effective_from"]), "enabled" in rule) == ("2027-01-01", False)
    text = out.read_text("utf-8")
    assert (
        "20 completed, 0 open; median 10 min, P90 18 min, P95 19 min; in time with 5 min: 25.0 %; with 19 min: 95.0 %"
        in text
    )
    assert "Signed" in text
    # it is a rulebook, and what it says is in force from that day on
    assert run(["rules", "check", str(out.parent)]) == 0
    loaded = load_rulebook([out.parent])
    versions = [item.rule for item in loaded.loaded if item.rule.id == CALL]
    assert [(str(rule.effective_from), rule.enabled) for rule in versions] == [
        ("2023-08-23", False),
        ("2027-01-01", True),
    ]


@pytest.mark.parametrize(
    ("checked", "limit", "share"),
    [
        ("2026-09-30T18:00", "1 working day", "100.0 %"),  # the day itself: no limit is shorter than one day
        ("2026-10-03T10:00", "1 working day", "100.0 %"),  # in the holiday
        ("2026-10-08T23:59:59", "1 working day", "100.0 %"),
        ("2026-10-09T00:00", "1 working day", "100.0 %"),  # 24:00 of the 8th is on time
        ("2026-10-09T00:00:01", "2 working days", "100.0 %"),
        ("2026-10-13T09:00", "5 working days", "0.0 %"),  # 8, 9, the make-up Saturday 10, 12, 13
    ],
)
def test_working_days_are_counted_by_the_calendar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], checked: str, limit: str, share: str
) -> None:
    assert suggest("--events", write(tmp_path / "e.jsonl", checks(checked)), *UNTIL) == 0
    row = row_of(capsys.readouterr().out, CHECK)
    assert (row[1], row[-2], row[-1]) == ("3 working days", share, limit)


def test_what_was_never_done_is_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = write(tmp_path / "e.jsonl", calls(20, unanswered=5))
    assert suggest("--events", events, "--until", "2026-03-02T12:00:00+08:00") == 0
    row = row_of(capsys.readouterr().out, CALL)
    assert (row[2], row[3], row[-2]) == ("20", "5", "20.0 %")  # 5 of 25
    assert suggest("--events", events, "--until", "2026-03-02T09:04:00+08:00") == 0
    assert row_of(capsys.readouterr().out, CALL)[-2] == "100.0 %"  # those that run are undecided


def test_an_agreed_instant_has_a_share_and_stays_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for number in range(20):
        order, agreed = f"S{number:02}", local("2026-03-03T10:00")
        found.append(
            event(order, "survey.appointed", local("2026-03-02T09:00"), order_id=order, for_at=agreed.isoformat())
        )
        found.append(event(order, "survey.performed", agreed + timedelta(minutes=number - 14), order_id=order))
    out = tmp_path / "history.yaml"
    assert suggest("--events", write(tmp_path / "e.jsonl", found), "--out", out) == 0
    assert row_of(capsys.readouterr().out, SURVEY)[-2:] == ["75.0 %", "until for_at"]
    assert rules_in(out)[SURVEY]["limit"] == [{"is": {"until": "for_at"}}]


def test_few_cases_are_not_enough(tmp_path: Path) -> None:
    events = write(tmp_path / "e.jsonl", calls(19))
    assert suggest("--events", events, "--out", tmp_path / "a.yaml") == 0
    assert yaml.safe_load((tmp_path / "a.yaml").read_text("utf-8"))["rules"] == []
    assert "fewer than 20 completed cases" in (tmp_path / "a.yaml").read_text("utf-8")
    assert suggest("--events", events, "--out", tmp_path / "b.yaml", "--at-least", 19) == 0
    assert rules_in(tmp_path / "b.yaml").keys() == {CALL}


@pytest.mark.parametrize("name", ["cases.jsonl", "cases.jsonl.gz", "cases.csv", "cases.csv.zst", "cases.parquet"])
def test_cases_of_a_replay_give_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A replay with the rules enabled, whatever limit they had then."""
    events = write(tmp_path / "e.jsonl", [*calls(20, unanswered=2), *checks("2026-10-13T09:00")])
    assert suggest("--events", events, *UNTIL) == 0
    expected = capsys.readouterr().out
    mine = tmp_path / "mine"
    mine.mkdir()
    assert suggest("--events", events, *UNTIL, "--out", mine / "own.yaml", "--from", "2026-01-01") == 0
    assert run(["replay", str(events), *UNTIL, "--rules", str(mine), "--cases", str(tmp_path / name), "--quiet"]) == 0
    capsys.readouterr()
    assert suggest("--cases", tmp_path / name) == 0
    assert capsys.readouterr().out == expected


OFFICE = """\
zone: Asia/Shanghai
calendars:
  office: {base: china, week: {mon-fri: ["08:30-12:00", "13:30-17:30"]}}
"""


@pytest.mark.parametrize("calendar", ["office", "{by: org.unit, of: {U1: office}, else: office}"])
@pytest.mark.parametrize("name", ["e.jsonl", "cases.csv", "cases.parquet"])
def test_business_hours_are_counted_by_the_rules_calendar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], calendar: str, name: str
) -> None:
    """From Wednesday 10:00 before the holiday to Thursday 8 October 10:30: 2 h, 4 h and 2 h of open time."""
    assert run(["rules", "show", CHECK]) == 0
    rule = capsys.readouterr().out.replace("3 working days", "6 business hours")
    book = tmp_path / "book"
    book.mkdir()
    (book / "calendar.yaml").write_text(OFFICE, encoding="utf-8")
    text = f"chapter: M\ntitle: {{zh: 自定, en: Own}}\nrules:\n{rule}  calendar: {calendar}\n"
    (book / "own.yaml").write_text(text, encoding="utf-8")
    events, given = write(tmp_path / "e.jsonl", checks("2026-10-08T10:30")), "--events"
    if name != "e.jsonl":
        given = "--cases"
        (book / "own.yaml").write_text(text.replace("enabled: false", "enabled: true"), encoding="utf-8")
        cases = ("--cases", str(tmp_path / name))
        assert run(["replay", str(events), *UNTIL, "--rules", str(book), *cases, "--quiet"]) == 0
        (book / "own.yaml").write_text(text, encoding="utf-8")
    capsys.readouterr()
    assert suggest(given, tmp_path / name, "--rules", book) == 0
    row = row_of(capsys.readouterr().out, CHECK)
    assert (row[1], row[2], row[-2], row[-1]) == ("6 business hours", "20", "0.0 %", "8 business hours")


FOLLOW_UP = """\
chapter: M
title: {zh: 自定, en: Own}
rules:
  - id: apology
    effective_from: 2026-01-01
    clauses: [M-S1]
    source: own
    basis: C
    enabled: false
    kind: deadline
    subject: order
    title: {zh: 致歉, en: Apology}
    start: {alert: repair-arrival, kind: breach}
    stop: repair.customer_contacted
    limit: 1 h
"""


def test_what_follows_a_breach_is_counted_from_the_breach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Crews due after 45 min do not come; customers are called after 46, 47, ... 65 min."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "own.yaml").write_text(FOLLOW_UP, encoding="utf-8")
    late = [one for one in calls(65) if one["order_id"] >= "W046"]
    assert suggest("--events", write(tmp_path / "e.jsonl", late), "--rules", tmp_path / "book") == 0
    row = row_of(capsys.readouterr().out, "apology")
    assert (row[1], row[2], row[3], row[-2]) == ("1 h", "20", "0", "100.0 %")


def test_a_calendar_by_a_field_that_cases_do_not_have_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rules", "show", CALL]) == 0
    rule = capsys.readouterr().out
    (tmp_path / "calendar.yaml").write_text(OFFICE, encoding="utf-8")
    choice = "{by: area, of: {urban: office}, else: office}"
    text = f"chapter: F\ntitle: {{zh: 自定, en: Own}}\nrules:\n{rule}  calendar: {choice}\n"
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    assert suggest("--events", write(tmp_path / "e.jsonl", calls()), "--rules", tmp_path) == 2
    assert f"rule {CALL}: calendar.by: cases do not say 'area'" in capsys.readouterr().err


CASE = {
    "rule": CALL, "outcome": "met", "as_of": "2026-03-03T00:00:00+08:00", "limit": "5 min",
    "started_at": "2026-03-02T09:00:00+08:00", "stopped_at": "2026-03-02T09:01:00+08:00", "paused": "PT0S",
    "elapsed": "PT60S",
}  # fmt: skip


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "c.jsonl:1: not JSON"),
        ("7", "c.jsonl:1: not a case; give a file that gridclock replay --cases wrote"),
        (json.dumps({"rule": CALL}), "c.jsonl:1: outcome: has no such field"),
        (json.dumps({**CASE, "started_at": "2026-03-02 9 h"}), f"c.jsonl:1: rule {CALL}: started_at: '2026-03-02 9 h'"),
        (json.dumps({**CASE, "paused": "an hour"}), f"c.jsonl:1: rule {CALL}: paused: 'an hour' is not a duration"),
        (json.dumps({**CASE, "outcome": "violated"}), f"c.jsonl:1: rule {CALL}: outcome: 'violated' is not an outcome"),
        (json.dumps({**CASE, "rule": "repair-arrival"}), "give the events, with --events"),
    ],
)  # fmt: skip
def test_a_bad_case_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, says: str) -> None:
    (tmp_path / "c.jsonl").write_text(line + "\n", encoding="utf-8")
    out = tmp_path / "history.yaml"
    assert suggest("--cases", tmp_path / "c.jsonl", "--out", out) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.glob("history*")) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give --events FILE... or --cases FILE"),
        (("--events", "a", "--cases", "b"), "give --events FILE... or --cases FILE"),
        (("b", "--cases", "a"), "belongs to no option"),
        (("--cases", "a", "--sheet", "x"), "go with --events"),
        (("--cases", "a", "--out", "x.json"), "must end in .yaml"),
        (("--cases", "missing.jsonl"), "missing.jsonl: cannot be read"),
    ],
)
def test_wrong_use_is_named(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str) -> None:
    assert suggest(*arguments) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_a_signed_file_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "history.yaml"
    out.write_text("signed", encoding="utf-8")
    assert suggest("--events", write(tmp_path / "e.jsonl", calls()), "--out", out) == 2
    assert "may be signed" in capsys.readouterr().err
    assert out.read_text("utf-8") == "signed"


def test_refused_lines_are_shown_and_set_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = write(tmp_path / "e.jsonl", calls())
    events.write_text(events.read_text("utf-8") + "nonsense\n", encoding="utf-8")
    assert suggest("--events", events) == 3
    assert "e.jsonl:41: not_json" in capsys.readouterr().err
    assert suggest("--events", events, "--at-most", 1) == 0
