"""Kind ``deadline``: rows for mistakes that the oracle, or the writing of it, brought to light; each as it reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from streams.core.engine import Engine
from streams.rulebooks.loader import LoadedRulebook, load_rulebook
from tests.stories import decoded, judge, us, wire

EVENTS = ("start", "stop", "pause", "resume", "open", "facts", "cancel")


def loaded_of(directory: Path, *rules: dict[str, object]) -> LoadedRulebook:
    filled = [
        {
            "id": "r",
            "effective_from": "2020-01-01",
            "clauses": ["X-S1"],
            "source": "a test",
            "kind": "deadline",
            "subject": "order",
            "title": {"zh": "规则", "en": "Rule"},
            "start": "t.start",
            "stop": "t.stop",
            "limit": "5 min",
            **rule,
        }
        for rule in rules
    ]
    book = {
        "chapter": "T",
        "title": {"zh": "测试", "en": "Test"},
        "events": {f"t.{name}": {"fields": {"k": "number"}} for name in EVENTS},
        "rules": filled,
    }
    (directory / "book.yaml").write_text(yaml.safe_dump(book, allow_unicode=True), encoding="utf-8")
    return load_rulebook(only=directory)


# An event that starts a case does not end that case, although it would end another.
@pytest.mark.parametrize(
    ("story", "outcomes"),
    [
        ("a 2026-03-02T09:00 t.start O", ["breached"]),
        ("a 2026-03-02T09:00 t.start O\nb +5m t.start O", ["met", "breached"]),
        ("a 2026-03-02T09:00 t.start O\nb +5m1ms t.start O", ["met_late", "breached"]),
    ],
)
def test_the_next_start_may_be_the_stop(tmp_path: Path, story: str, outcomes: list[str]) -> None:
    loaded = loaded_of(tmp_path, {"stop": ["t.stop", "t.start"]})
    assert [found for found, _ in judge(story, "2026-03-03T00:00", loaded=loaded).outcomes()] == outcomes


# A stop at the very instant of its start ends it, whatever the ids; each stop ends one case.
@pytest.mark.parametrize(
    ("ids", "outcomes"),
    [
        ("z:stop a:start", ["met"]),
        ("a:stop z:start", ["met"]),
        ("a:stop b:stop x:start y:start", ["met", "met"]),
        ("a:stop x:start y:start", ["met", "breached"]),
        ("a:stop:2 z:start:1", ["breached"]),  # a stop of another case
        ("a:stop:1 b:stop:2 z:start:1", ["met"]),
    ],
)
def test_start_and_stop_at_one_instant(tmp_path: Path, ids: str, outcomes: list[str]) -> None:
    lines = []
    for word in ids.split():
        event_id, kind, *k = word.split(":")
        lines.append(f"{event_id} 2026-03-02T09:00 t.{kind} O" + (f" k={k[0]}" if k else ""))
    stops: list[object] = [{"type": "t.stop", "where": {"k": 1}, "if_start": {"k": 1}}]
    loaded = loaded_of(tmp_path, {"stop": stops if ":1" in ids else "t.stop"})
    assert [found for found, _ in judge("\n".join(lines), "2026-03-03T00:00", loaded=loaded).outcomes()] == outcomes


# Resumed and paused again at the same instant: the clock has not run between.
@pytest.mark.parametrize(
    ("resumed", "paused", "deadline"),
    [
        ("2026-03-03T12:00", "2026-03-03T12:00", "2026-03-06T00:00:00.000"),  # Tuesday stood still all day
        ("2026-03-03T12:00", "2026-03-03T12:00:00.001", "2026-03-05T00:00:00.000"),  # it ran for a millisecond
        ("2026-03-04T00:00", "2026-03-04T00:00", "2026-03-06T00:00:00.000"),  # over a midnight
    ],
)
def test_two_pauses_without_time_between_are_one(tmp_path: Path, resumed: str, paused: str, deadline: str) -> None:
    story = f"""
        a 2026-03-02T10:00 t.start O
        b 2026-03-02T11:00 t.pause O
        c {resumed} t.resume O
        d {paused} t.pause O
        e 2026-03-04T12:00 t.resume O
    """
    loaded = loaded_of(tmp_path, {"limit": "2 working days", "pause": "t.pause", "resume": "t.resume"})
    assert judge(story, "2026-04-01T00:00", loaded=loaded).outcomes() == [("breached", deadline)]


def test_a_new_version_does_not_use_the_halves_of_a_start_again(tmp_path: Path) -> None:
    halves = {"start": {"all": ["t.start", "t.open"]}, "limit": "1 day"}
    loaded = loaded_of(
        tmp_path,
        {**halves, "effective_to": "2026-03-03"},
        {**halves, "version": "2", "effective_from": "2026-03-03"},
    )
    story = """
        a 2026-03-02T09:00 t.start O
        b 2026-03-02T10:00 t.open O
        c 2026-03-02T11:00 t.stop O
        d 2026-03-03T10:00 t.open O
    """
    assert [found for found, _ in judge(story, "2026-04-01T00:00", loaded=loaded).outcomes()] == ["met"]


# What a later start depends on keeps a subject.
def test_a_condition_that_holds_keeps_the_subject() -> None:
    day = 86_400_000_000
    engine = Engine(load_rulebook().rulebook, keep_for=90 * day)
    engine.advance_to(us("2026-03-01T00:00"))
    for event in decoded(wire("d 2026-03-01T10:00 disconnection.performed - account=A1 cause=arrears")):
        engine.handle(("account", "A1"), event)
    engine.advance_to(us("2026-03-01T10:00"))
    engine.advance_to(us("2026-07-01T00:00"))
    for event in decoded(wire("p 2026-07-01T10:00 bill.paid - account=A1 owing=false")):
        engine.handle(("account", "A1"), event)
    assert [alert.rule for alert in engine.advance_to(us("2026-07-03T00:00"))] == ["restore-after-payment"]
