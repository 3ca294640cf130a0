"""Changed rules, and rules that the native engine has no form for: both engines give the same bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from schemas.calendars import CalendarSpec
from schemas.limits import Elapsed, parse_limit
from schemas.rules import DeadlineRule, Rule
from streams.core.rulebook import Rulebook
from streams.engine import native_module
from streams.replay.checkpoints import Checkpoint
from streams.rulebooks.calendars import build_calendar
from streams.rulebooks.loader import load_rulebook
from tests.engine.equality import ROOT, assert_same, replayed
from tests.stories import shipped, us, wire

pytestmark = [
    pytest.mark.skipif(native_module() is None, reason="the native engine is not built: deploy/native says why"),
    pytest.mark.usefixtures("compared_as_it_is"),
]


def test_changed_rules(lines: Path) -> None:
    """Limits that are shorter, and rules that are there in one rulebook only."""
    rules = [stricter(rule) for rule in shipped().rulebook.rules]
    calendar = shipped().rulebook.calendar
    for own, rival in (
        (rules, shipped().rulebook.rules),
        (rules[::2], rules[1:]),
        ([rule for rule in rules if rule.kind == "deadline"], [rule for rule in rules if rule.kind != "deadline"]),
    ):
        found = replayed(lines, "native", Rulebook(own, calendar), rival=Rulebook(rival, calendar))
        assert len(found["changes"][0]) > 100
        assert_same(lines, Rulebook(own, calendar), rival=Rulebook(rival, calendar))


def test_changed_rules_over_files(lines: Path, tmp_path: Path, tasks: list[tuple[int, int]]) -> None:
    """Beyond the memory, and with a checkpoint."""
    own, rival = shipped().rulebook, Rulebook(map(stricter, shipped().rulebook.rules), shipped().rulebook.calendar)
    lines.write_bytes(b"\n".join(lines.read_bytes().splitlines()[:1500]))
    assert_same(lines, own, rival=rival, is_native=False, memory=200_000)
    found, expected = (
        replayed(lines, engine, own, rival=rival, checkpoint=Checkpoint(tmp_path / engine))
        for engine in ("native", "python")
    )
    assert found == expected
    assert len(found["changes"][0]) > 100
    assert sum(left for _, left in tasks) == 0 < sum(counted for counted, _ in tasks)


@pytest.mark.parametrize("known", [[2025], [2026], [2024, 2027], [2025, 2026]])
def test_years_that_are_not_known(tmp_path: Path, known: list[int]) -> None:
    """Limits that begin in one year and end in another, or pass over a whole one."""
    path = tmp_path / "orders.jsonl"
    story = [f"c{day} 2025-12-{day}T09:00 calibration.requested WO{day} meter=M{day}" for day in range(20, 32)]
    story += [f"r{day} 2025-12-{day}T10:00 design_review.requested WO{day}" for day in range(20, 32)]
    path.write_text("".join(json.dumps(event) + "\n" for event in wire("\n".join(story))), "utf-8")
    calendar = build_calendar(CalendarSpec.model_validate({"source": "none", "known_years": known}))
    rules = [
        rule.model_copy(update={"limit": (rule.limit[0].model_copy(update={"limit": LONG, "when": {}}),)})
        if isinstance(rule, DeadlineRule) and rule.id == "design-review"
        else rule
        for rule in shipped().rulebook.rules
    ]
    until = us("2029-01-01T00:00")
    assert assert_same(path, Rulebook(rules, calendar), until=until) > 0


LONG = parse_limit("600 working days")


def stricter(rule: Rule) -> Rule:
    if not isinstance(rule, DeadlineRule):
        return rule
    choices = tuple(
        choice.model_copy(update={"limit": Elapsed(microseconds=60_000_000, text="1 min")})
        if isinstance(choice.limit, Elapsed)
        else choice
        for choice in rule.limit
    )
    return rule.model_copy(update={"limit": choices})


def test_changed_rules_that_are_not_known_here(tmp_path: Path) -> None:
    """Either side may have rules that the native engine leaves to Python, or a zone with summer time."""
    rulebook, path = forms_that_the_native_engine_has_not(tmp_path)
    berlin = load_rulebook(only=ROOT / "deploy" / "examples" / "water-berlin").rulebook
    for rival in (rulebook, berlin):
        assert_same(path, rival, rival=shipped().rulebook)
        assert_same(path, shipped().rulebook, rival=rival)
    assert_same(path, shipped().rulebook, rival=rulebook, is_native=False, memory=1_000)


def forms_that_the_native_engine_has_not(tmp_path: Path) -> tuple[Rulebook, Path]:
    page = (ROOT / "schemas" / "README.md").read_text("utf-8")
    files = dict(re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", page.split("## Rules in")[1], re.DOTALL))
    files["rounds.yaml"] = ROUNDS
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    rulebook = load_rulebook(only=tmp_path).rulebook
    path = tmp_path / "events.jsonl"
    path.write_text(FORMS, "utf-8")
    return rulebook, path


def test_forms_that_the_native_engine_has_not(tmp_path: Path) -> None:
    """What is agreed in fields is Python's; what comes of them is the same."""
    rulebook, path = forms_that_the_native_engine_has_not(tmp_path)
    # O1: warning and breach, and those of the apology; O2: warning, breach, late; the round, and its entry.
    assert assert_same(path, rulebook) == 9


ROUNDS = """
chapter: R
title: {zh: 巡视, en: Rounds}
rules:
  - id: round
    effective_from: 2026-01-01
    clauses: [R-S1]
    source: our own
    kind: cadence
    subject: meter
    title: {zh: 巡视, en: Round}
    act: meter.replaced
    every: 2 working days
    calendar: hotline
    warn_at: []
  - id: entered
    effective_from: 2026-01-01
    clauses: [R-S2]
    source: our own
    kind: recording_delay
    subject: meter
    title: {zh: 录入, en: Entered}
    act: meter.replaced
    limit: 1 working day
    calendar: hotline
"""


FORMS = "".join(
    f'{{"event_id": "{number}", "occurred_at": "2026-03-0{day}:00+08:00", {more}}}\n'
    for number, (day, more) in enumerate(
        (
            ("6T09:00", '"event_type": "meter.replaced", "meter_id": "M1", "recorded_at": "2026-03-08T09:00:00+08:00"'),
            ("6T09:00", '"event_type": "complaint.received", "order_id": "O1"'),
            ("7T09:00", '"event_type": "complaint.received", "order_id": "O2"'),
            ("9T19:00", '"event_type": "complaint.answered", "order_id": "O2"'),
        )
    )
)
