"""A month of orders for each chapter, with the alerts that a person worked out: what stands, and in which order.

``events.jsonl`` comes in as written, each event when it was recorded; time ends at ``until``. ``expected.yaml`` is
written by hand and never by a program; ``why.md`` tells the story. Warnings are left out: they are advice.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stories import Judged, judge, local, shipped

HERE = Path(__file__).parent
STORIES = sorted(path.parent for path in HERE.glob("*/expected.yaml"))
CHAPTERS = {"counter", "connection", "metering", "reading", "inspection", "repair"}


def events(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "events.jsonl").read_bytes().splitlines()]


@cache
def judged_in(directory: Path, *, arrival: bool) -> Judged:
    until = (directory / "until").read_text(encoding="utf-8").strip()
    return judge(events(directory), until, arrival=arrival)


def seen(judged: Judged) -> list[dict[str, str]]:
    return [
        {
            "rule": alert.rule,
            "kind": alert.kind,
            "subject": "/".join(alert.subject),
            "due_at": local(alert.due_at),
            # A late event is judged by the watermark just before it: up to the millisecond at which it came.
            "detected_at": local(-(-alert.detected_at // 1000) * 1000),
        }
        for alert in judged.alerts
        if alert.kind != "warning"
    ]


@pytest.mark.parametrize("directory", STORIES, ids=[path.name for path in STORIES])
def test_the_alerts_are_those_worked_out_by_hand(directory: Path) -> None:
    expected = yaml.safe_load((directory / "expected.yaml").read_text(encoding="utf-8"))
    assert seen(judged_in(directory, arrival=True)) == expected


@pytest.mark.parametrize("directory", STORIES, ids=[path.name for path in STORIES])
def test_what_stands_does_not_depend_on_when_it_arrived(directory: Path) -> None:
    in_order = judged_in(directory, arrival=False)
    assert judged_in(directory, arrival=True).net() == in_order.net()
    assert in_order.net()


@pytest.mark.parametrize("directory", STORIES, ids=[path.name for path in STORIES])
def test_the_story_is_told_and_long_enough(directory: Path) -> None:
    assert 20 <= len(events(directory)) <= 90
    why = (directory / "why.md").read_text(encoding="utf-8")
    chapter = {item.rule.id for item in shipped().loaded if Path(item.path).stem == directory.name}
    told = {alert.rule for alert in judged_in(directory, arrival=True).alerts}
    assert [rule for rule in sorted(chapter & told) if rule not in why] == []


def test_there_is_a_story_for_each_chapter() -> None:
    assert {path.name for path in STORIES} == CHAPTERS
