"""What if: the cases that another rulebook would judge otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.replay import orders
from tests.replay.runs import Runner, records_of
from tests.stories import wire

STORY = """
a1 2026-03-02T09:00 repair.reported WO1 area=urban org={"city":"3201"}
a2 +35m             repair.arrived  WO1
b1 2026-03-02T10:00 repair.reported WO2 area=urban org={"city":"3201"}
b2 2026-03-02T10:10 repair.arrived  WO2
c1 2026-03-02T11:00 repair.reported WO3 area=rural org={"city":"3202"}
c2 2026-03-02T12:15 repair.arrived  WO3
d1 2026-03-02T12:00 repair.reported WO4 area=urban org={"city":"3202"}
d2 2026-03-02T12:50 repair.arrived  WO4
e1 2026-03-02T13:00 repair.dispatched WO5 org={"city":"3202"}
e2 2026-03-02T14:00 repair.arrived  WO5
"""

RULE = """
chapter: F
title: {{zh: 抢修, en: Repair}}
rules:
  - id: repair-arrival
    version: "{version}"
    effective_from: 2023-08-23
    clauses: [F-R1]
    source: a test
    kind: deadline
    subject: order
    title: {{zh: 到达, en: Arrival}}
    start: {start}
    stop: repair.arrived
    limit:
      - {{when: {{area: urban}}, is: {urban} min}}
      - {{is: {other} min}}
"""


def rules(gridclock: Runner, name: str, **values: Any) -> Path:
    directory = gridclock.path / name
    directory.mkdir()
    (directory / "rule.yaml").write_text(RULE.format(**{"start": "repair.reported", **values}), "utf-8")
    return directory


@pytest.fixture
def compared(gridclock: Runner) -> list[str | Path]:
    now = rules(gridclock, "now", version="1", urban=45, other=60)
    then = rules(gridclock, "then", version="2", urban=30, other=90, start="[repair.reported, repair.dispatched]")
    return ["replay", gridclock.lines("events.jsonl", wire(STORY)), "--only", now, "--compare-only", then]


@pytest.mark.parametrize("memory", ["512M", "1"])
def test_the_cases_that_change_and_why(gridclock: Runner, compared: list[str | Path], memory: str) -> None:
    changes = gridclock.path / "changes.jsonl"
    ran = gridclock(*compared, "--comparison", changes, "--quiet", "--memory", memory)
    assert ran.code == 0
    assert [(c["subject"]["id"], c["change"], c["why"]["en"]) for c in records_of(changes)] == [
        ("WO1", "broken", "limit 30 min instead of 45 min, due 2026-03-02 09:30:00 instead of 2026-03-02 09:45:00, "
                          "done 2026-03-02 09:35:00"),
        ("WO3", "kept", "limit 90 min instead of 60 min, due 2026-03-02 12:30:00 instead of 2026-03-02 12:00:00, "
                        "done 2026-03-02 12:15:00"),
        ("WO5", "new", "only the compared rulebook has this clock; it ends met"),
    ]  # fmt: skip
    first = records_of(changes)[0]
    assert first["before"] == {
        "outcome": "met", "rule_version": "1", "limit": "45 min", "deadline": "2026-03-02T09:45:00.000+08:00",
        "stopped_at": "2026-03-02T09:35:00.000+08:00",
    }  # fmt: skip
    assert first["why"]["zh"] == (
        "时限由 45 min 改为 30 min，到期由 2026-03-02 09:45:00 改为 2026-03-02 09:30:00，完成于 2026-03-02 09:35:00"
    )


def test_sums_by_rule_and_organisation(gridclock: Runner, compared: list[str | Path]) -> None:
    said = gridclock(*compared).err.splitlines()
    rows = [line.split() for line in said]
    assert ["repair-arrival", "4", "2", "2", "1", "1", "1"] in rows  # cases, broken now and then, changes
    assert ["3201", "2", "1", "1"] in rows
    assert ["3202", "2", "2", "1", "1", "1"] in rows
    assert said[-1] == "3 cases with another outcome"


def test_as_a_table(gridclock: Runner, compared: list[str | Path]) -> None:
    path = gridclock.path / "changes.parquet"
    gridclock(*compared, "--comparison", path, "--quiet")
    table = pl.read_parquet(path)
    assert table["before.outcome"].to_list() == ["met", "met_late", None]
    assert table["after.deadline"].dtype == pl.Datetime("us", "UTC")
    assert table["org.city"].to_list() == ["3201", "3202", "3202"]


def test_the_same_rulebook_changes_nothing(gridclock: Runner, compared: list[str | Path]) -> None:
    changes = gridclock.path / "changes.jsonl"
    gridclock(*compared[:4], "--compare-only", compared[3], "--comparison", changes, "--quiet")
    assert changes.read_bytes() == b""


def test_a_second_rulebook_leaves_the_verdicts_of_the_first_alone(gridclock: Runner) -> None:
    path = gridclock.file("events.jsonl", orders.text(60))
    stricter = rules(gridclock, "stricter", version="9", urban=10, other=10)
    alone = gridclock("replay", path, "--quiet")
    for memory in ("512M", "9K"):
        both = gridclock("replay", path, "--quiet", "--compare", stricter, "--memory", memory)
        assert both.out == alone.out


def test_the_page_has_the_sums(gridclock: Runner, compared: list[str | Path]) -> None:
    page = gridclock.path / "report.html"
    gridclock(*compared, "--report", page, "--quiet")
    text = page.read_text("utf-8")
    section = text[text.index('<section id="comparison">') :]
    assert section.index("按规则") < section.index("<bdi>repair-arrival</bdi>") < section.index("按单位")
    assert section.index("<bdi>3201</bdi>") < section.index("<bdi>3202</bdi>")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--comparison", "x.csv"], "--comparison needs a second rulebook"),
        (["--compare", "a", "--compare-only", "b"], "give one of them"),
        (["--only", "a", "--compare", "b"], "with --only there is nothing for --compare to add to"),
        (["--compare", "nowhere"], "nowhere: no such rulebook directory"),
    ],
)
def test_wrong_use_is_refused(gridclock: Runner, options: list[str], said: str) -> None:
    only = ["--only", str(rules(gridclock, "a", version="1", urban=1, other=1))] if "--only" in options else []
    ran = gridclock("replay", "-", *options[2 if only else 0 :], *only)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


GATE = """
chapter: K
title: {{zh: 客户, en: Customers}}
events:
  gate.asked: {{title: {{zh: 申请, en: Asked}}, fields: {{{fields}}}}}
  gate.opened: {{title: {{zh: 开门, en: Opened}}}}
rules:
  - id: gate-5-minutes
    effective_from: 2023-08-23
    clauses: [K-1]
    source: a test
    kind: deadline
    subject: order
    title: {{zh: 开门, en: Gate in 5 minutes}}
    start: {{type: gate.asked, where: {{{where}}}}}
    stop: gate.opened
    limit: 5 min
"""


def gate(gridclock: Runner, name: str, fields: str, where: str) -> Path:
    directory = gridclock.path / name
    directory.mkdir()
    (directory / "rule.yaml").write_text(GATE.format(fields=fields, where=where), "utf-8")
    return directory


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_a_field_that_only_the_second_rulebook_declares_is_read_for_it(gridclock: Runner, engine: str) -> None:
    now = gate(gridclock, "now", "kind: [a, b]", "kind: a")
    then = gate(gridclock, "then", "urgent: flag, kind: [a, b]", "urgent: true")
    asked = {"event_type": "gate.asked", "occurred_at": "2026-03-02T09:00:00+08:00"}
    lines: list[dict[str, Any]] = [
        {**asked, "event_id": "g1", "order_id": "G1", "kind": "b", "urgent": True},
        {**asked, "event_id": "g2", "order_id": "G2", "kind": "a", "occurred_at": "2026-03-02T12:00:00+08:00"},
    ]
    changes = gridclock.path / "changes.jsonl"
    ran = gridclock(
        "replay", gridclock.lines("gate.jsonl", lines), "--only", now, "--compare-only", then, "--comparison", changes,
        "--engine", engine, "--quiet",
    )  # fmt: skip
    assert (ran.code, ran.alerts) == (0, [])
    found = {one["subject"]["id"]: (one["change"], (one["after"] or {}).get("outcome")) for one in records_of(changes)}
    assert found == {"G1": ("new", "breached"), "G2": ("gone", None)}


def test_a_field_of_another_kind_in_the_second_rulebook_is_refused(gridclock: Runner) -> None:
    now = gate(gridclock, "now", "kind: text", "kind: a")
    then = gate(gridclock, "then", "kind: flag", "kind: true")
    ran = gridclock("replay", gridclock.lines("gate.jsonl", []), "--only", now, "--compare-only", then)
    assert (ran.code, ran.out) == (2, "")
    assert "compare: gate.asked.kind is of the kind string in one and boolean in the other" in ran.err
    assert "replay under each by itself" in ran.err


def test_a_field_that_rules_on_top_give_a_shipped_event_is_read_for_them(gridclock: Runner) -> None:
    then = gridclock.path / "then"
    then.mkdir()
    declared = "events:\n  repair.reported: {fields: {storm: flag}}\nrules:"
    text = RULE.format(version="2", start="{type: repair.reported, where: {storm: true}}", urban=30, other=30)
    (then / "rule.yaml").write_text(text.replace("rules:", declared), "utf-8")
    events = wire(STORY)
    for event in events:
        if event["event_type"] == "repair.reported" and event["order_id"] == "WO1":
            event["storm"] = True
    changes = gridclock.path / "changes.jsonl"
    ran = gridclock(
        "replay", gridclock.lines("events.jsonl", events), "--compare", then, "--comparison", changes, "--quiet"
    )
    assert ran.code == 0
    of_it = [one for one in records_of(changes) if one["rule"] == "repair-arrival"]
    assert [(one["subject"]["id"], one["after"]["outcome"]) for one in of_it if one["after"]] == [("WO1", "met_late")]
