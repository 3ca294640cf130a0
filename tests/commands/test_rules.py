"""``gridclock rules``: what each subcommand prints, and that mistakes are named with their place."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from streams.cli import run

NOTICE = """
cases:
  - name: {name}
    events:
      - {{at: 2026-03-01T17:00, type: disconnection.notice_delivered, account_id: A1, cause: arrears, proof_ref: P1}}
      - {{at: {at}, type: disconnection.performed, account_id: A1, cause: arrears}}
    until: 2026-03-10
    expect: {expect}
    rules: [arrears-notice-7-days]
"""
EARLY = "[{rule: arrears-notice-7-days, kind: violation, at: 2026-03-07T23:59:59.999}]"


def test_all_112_clauses_are_covered_or_excused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "coverage", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len({row["clause"] for row in rows}) == len(rows) == 112
    assert sum(bool(row["rules"]) for row in rows) == 61
    assert all(bool(row["rules"]) != bool(row["reason"]) for row in rows)
    by_code = {row["clause"]: row for row in rows}
    assert by_code["W-S5"]["rules"] == ["fee-5-minutes", "power-20-minutes"]
    assert by_code["W-S5"]["title"]["zh"].startswith("营业窗口 严格遵守 第5条")
    assert "own duty" in by_code["R-R1"]["reason"]


def test_coverage_as_csv_and_text_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    run(["rules", "coverage", "--format", "csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    run(["rules", "coverage"])
    *lines, total = capsys.readouterr().out.splitlines()
    assert [row["clause"] for row in rows] == [line.split()[0] for line in lines]
    assert total == "112 clauses, 61 with rules"


def test_list_shows_a_chapter(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "list", "--chapter", "F", "--format", "json"]) == 0
    found = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["repair-arrival"]["limit"] == "45 min / 90 min / 2 h"
    assert found["two-calls-one-answer"]["kind"] == "evidence"
    assert found["restoration"]["enabled"] is False
    assert all(any(code.startswith("F-") for code in row["clauses"]) for row in found.values())


def test_rules_that_need_a_limit_are_those_shipped_disabled(capsys: pytest.CaptureFixture[str]) -> None:
    run(["rules", "list", "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    disabled = [row["id"] for row in rows if not row["enabled"] and row["basis"] == "C"]
    published = {row["id"] for row in rows if not row["enabled"] and row["basis"] == "P"}
    assert published == {"complaint-contact", "complaint-answer", "restoration"}
    run(["rules", "needs-limit", "--format", "json"])
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == disabled != []


def test_show_prints_the_rule_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "show", "violation-notice-3-to-7-days"]) == 0
    said = capsys.readouterr().out
    assert "limit: 3 days" in said
    assert "at_most: 7 days" in said
    assert "inspection.yaml:" in said


def test_an_unknown_rule_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "show", "arrears-notice-7-day"]) == 2
    assert "did you mean 'arrears-notice-7-days'?" in capsys.readouterr().err


def test_check_names_file_line_rule_and_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text(
        """chapter: X
title: {zh: 自定, en: Own}
rules:
  - id: own-rule
    effective_from: 2024-01-01
    clauses: [X-1]
    source: ours
    kind: prerequisite
    subject: order
    title: {zh: 自定, en: Own}
    act: survey.preformed
    needs: [application.accepted]
""",
        encoding="utf-8",
    )
    assert run(["rules", "check", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path}/own.yaml:11: rule own-rule: act.0.type:" in said
    assert "did you mean 'survey.performed'?" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: prerequisite\n    act: survey.performed\n    needs: [application.accepted]\n    when: {colour: red}",
         "when.colour: survey.performed has no field 'colour'"),
        ("kind: evidence\n    act: survey.performed", "give carry or needs"),
        ("kind: at_most\n    act: survey.performed\n    per: colour", "per: survey.performed has no field 'colour'"),
        ("kind: deadlne\n    act: survey.performed", "deadlne"),
        ("kind: cadence\n    act: survey.performed\n    every: 2 h\n    calendar: true", "1 natural month"),
        ("kind: not_before\n    act: survey.performed\n    since: survey.appointed\n    date_field: day\n"
         "    limit: 1 day", "date_field: survey.appointed has no field 'day'"),
        ("kind: minimum_notice\n    act: survey.performed\n    notice: survey.appointed\n    limit: 7 dayz",
         "'7 dayz' is not a limit"),
    ],
)  # fmt: skip
def test_mistakes_of_each_kind_are_told(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.yaml").write_text(
        f"""chapter: X
title: {{zh: 自定, en: Own}}
rules:
  - id: own-rule
    effective_from: 2024-01-01
    clauses: [X-1]
    source: ours
    subject: order
    title: {{zh: 自定, en: Own}}
    {text}
""",
        encoding="utf-8",
    )
    assert run(["rules", "check", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "own.yaml:" in told
    assert "own-rule" in told


def test_diff_tells_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text(
        """chapter: F
title: {zh: 故障抢修, en: Fault repair}
rules:
  - id: repair-arrival
    version: "2"
    effective_from: 2026-01-01
    clauses: [F-R1]
    source: 某省公司
    kind: deadline
    subject: order
    title: {zh: 抢修到达现场时限, en: Repair crew on site in time}
    start: repair.reported
    stop: repair.arrived
    limit: 40 min
""",
        encoding="utf-8",
    )
    assert run(["rules", "diff", "shipped", f"shipped+{tmp_path}"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        '~ repair-arrival version 1: effective_to: - -> "2026-01-01"',
        "+ repair-arrival version 2",
        "2 differences",
    ]
    assert run(["rules", "diff", "shipped", "shipped"]) == 0
    assert capsys.readouterr().out == "0 differences\n"


def test_diff_names_other_calendars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    office = 'office: {week: {mon-fri: ["08:00-16:00"]}'
    texts = {
        "days": "holidays: [2026-03-05, 2040-01-02]\nworking_days: [2026-03-08]\nweekend: [sunday]\n",
        "a": "calendars: {" + office + "}, night: {week: {sat: ['22:00-06:00']}}}\n",
        "b": "calendars: {" + office + ', days: {2026-03-05: ["08:00-12:00"]}}}\n',
        "c": "zone: Asia/Urumqi\nsource: none\nweekend: []\ncalendars: {" + office + ", base: china}}\n",
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "calendar.yaml").write_text(text, "utf-8")

    def said(first: str, second: str) -> list[str]:
        assert run(["rules", "diff", *(f"shipped+{tmp_path / name}" for name in (first, second))]) == 0
        return capsys.readouterr().out.splitlines()

    assert said("days", "days") == ["0 differences"]
    assert run(["rules", "diff", "shipped", f"shipped+{tmp_path / 'days'}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "~ calendar default: weekend: saturday, sunday -> sunday",
        "~ calendar default: known years: - -> 2040",
        "~ calendar default: 2026-03-05: worked -> off",
        "~ calendar default: 2026-03-08: off -> worked",
        "~ calendar default: 2040-01-02: worked -> off",
        "5 differences",
    ]
    assert said("a", "b") == [
        "- calendar night",
        "~ calendar office: hours from 2026-03-05 on: 08:00-16:00 -> 08:00-12:00",
        "2 differences",
    ]
    found = said("b", "c")
    assert found[:2] == [
        "~ calendar default: zone: Asia/Shanghai -> Asia/Urumqi",
        "~ calendar default: weekend: saturday, sunday -> none",
    ]
    assert found[2].startswith("~ calendar default: known years: 2004, 2005")
    assert found[2].endswith(" -> all")
    assert "~ calendar default: 2026-10-01: off -> worked" in found
    assert "~ calendar office: hours from 2026-03-05 on: 08:00-12:00 -> 08:00-16:00" in found
    assert len(found) - 1 == int(found[-1].split()[0])


def test_schema_is_the_exported_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "schema"]) == 0
    exported = Path(__file__).parents[2] / "schemas" / "export" / "rulebook.json"
    assert capsys.readouterr().out == exported.read_text("utf-8")


def test_own_cases_pass_and_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(NOTICE.format(name="one day short", at="2026-03-07T23:59:59.999", expect=EARLY), encoding="utf-8")
    assert run(["rules", "test", str(path)]) == 0
    assert capsys.readouterr().out == f"passed  {path}:3  one day short\n1 passed, 0 failed\n"
    path.write_text(NOTICE.format(name="on the day", at="2026-03-08T00:00", expect=EARLY), encoding="utf-8")
    assert run(["rules", "test", str(path)]) == 1
    said = capsys.readouterr().out
    assert (
        "expected, did not come: rule: arrears-notice-7-days, kind: violation, at: 2026-03-07T23:59:59.999+08:00"
        in said
    )
    path.write_text(NOTICE.format(name="early", at="2026-03-07T12:00", expect="[]"), encoding="utf-8")
    assert run(["rules", "test", str(path)]) == 1
    assert "came, not expected: rule: arrears-notice-7-days, kind: violation" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: 5", "cases: a file of cases has a list of cases"),
        ("cases:\n  - {name: x}", ":2: events: a case has name, events, until and expect"),
        ("cases:\n  - {events: [], until: soon}", ":2: until: 'soon' is not a time"),
        ("cases:\n  - {events: [], until: 2026-03-10, expect: [{rule: nope}]}", "expect.rule: no rule 'nope'"),
        ("cases:\n  - {events: [{at: 2026-03-01, type: survey.done, order_id: W}], until: 2026-03-10}",
         "events.1: unknown_type"),
        ("cases: [", "not YAML"),
        # Each of these passed, whatever the events were, or ended with a traceback.
        ("cases:\n  - {events: [], until: 2026-03-10, rules: arrears-notice-7-days}", ":2: rules: 'arrears-notice-"),
        ("cases:\n  - {events: [], until: 2026-03-10, rules: [arrears-notice-7-day], expect: []}",
         "rules: no rule 'arrears-notice-7-day' in this rulebook; did you mean 'arrears-notice-7-days'?"),
        ("cases:\n  - {events: [], until: 2026-03-10, rules: [[a]]}", "rules: no rule ['a']"),
        ("cases:\n  - {events: [], until: 2026-03-10, expect: 5}", "expect: 5 is no list"),
        ("cases:\n  - {events: [], until: 2026-03-10, cases: {rule: two-inspectors}}", "cases: {'rule'"),
        ("cases:\n  - {events: [], until: 2026-03-10, expect: [{rule: [a]}]}", "expect.rule: no rule ['a']"),
        ("cases:\n  - {events: [], until: 2026-03-10, expect: [{rule: two-inspectors, outcome: null}]}",
         "expect.outcome: unknown key; the keys are rule, kind, at"),
        ("cases:\n  - {events: [], until: 2026-03-10, cases: [{rule: two-inspectors, kind: null}]}",
         "cases.kind: unknown key; the keys are rule, outcome, deadline"),
        ("cases:\n  - {events: [{at: 2026-03-01, type: order.closed, order_id: !!binary aGVsbG8=}], until: 2026-03-10}",
         "events.1: Object of type bytes"),
        ("cases:\n  - {events: [{at: 2026-03-01, type: order.closed, order_id: W, id: e2}, "
         "{at: 2026-03-02, type: order.closed, order_id: W}], until: 2026-03-10}",
         ":2: events: the event 'e2' stands twice, with other content"),
    ],
)  # fmt: skip
def test_a_file_of_cases_that_is_none_is_refused(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(text, encoding="utf-8")
    assert run(["rules", "test", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_a_case_may_send_an_event_twice_and_correct_it(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    event = "{id: a, at: 2026-03-02, type: inspection.performed, order_id: W, crew_size: 1}"
    right = "{id: b, corrects: a, at: 2026-03-02, type: inspection.performed, order_id: W, crew_size: 2}"
    for events, expect in (
        (f"{event}, {event}", "[{rule: two-inspectors, kind: violation}]"),
        (f"{event}, {right}", "[]"),
    ):
        case = f"{{events: [{events}], until: 2026-03-10, rules: [two-inspectors], expect: {expect}}}"
        path.write_text(f"cases:\n  - {case}\n", encoding="utf-8")
        assert run(["rules", "test", str(path)]) == 0


def test_diff_shows_the_change_itself_however_long_the_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = Path(__file__).parents[2] / "streams" / "rulebook"
    text = (book / "repair.yaml").read_text("utf-8")
    assert text.count("is: 90 min}") == 1
    before, after = tmp_path / "a", tmp_path / "b"
    for directory, written in ((before, text), (after, text.replace("is: 90 min}", "is: 80 min}"))):
        directory.mkdir()
        (directory / "repair.yaml").write_text(written, "utf-8")
    assert run(["rules", "diff", str(before), str(after)]) == 0
    assert capsys.readouterr().out == ('~ repair-arrival version 1: limit.1.is: "90 min" -> "80 min"\n1 differences\n')


def test_check_names_what_cannot_work_and_other_commands_load_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["rules", "show", "violation-notice-3-to-7-days"])
    rule = capsys.readouterr().out.replace("at_most: 7 days", "at_most: 2 days")
    book = tmp_path / "own.yaml"
    book.write_text(f"chapter: X\ntitle: {{zh: 自定, en: Own}}\nrules:\n{rule}", encoding="utf-8")
    line = 1 + next(number for number, text in enumerate(book.read_text("utf-8").splitlines()) if "at_most:" in text)
    assert run(["rules", "check", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"{book}:{line}: rule violation-notice-3-to-7-days: at_most: no act can be lawful" in said
    assert run(["rules", "list", "--rules", str(tmp_path)]) == 0


def test_notes_say_how_a_rule_reads_what_its_clause_leaves_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "notes"]) == 0
    text = capsys.readouterr().out
    assert "repair-arrival  抢修到达现场时限 / Repair crew on site in time  (F-R1)\n    只有到达现场" in text
    assert "\n    Only the arrival ends the clock: " in text
    assert run(["rules", "notes", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["note"]["zh"] in text and row["note"]["en"] in text for row in rows)
    assert run(["rules", "notes", "--format", "csv"]) == 0
    assert [row["id"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == [row["id"] for row in rows]
