"""Recorded streams and the alerts that they must give: each directory is named after what it guards.

``events.jsonl`` comes in as written, every event followed by a watermark at its ``recorded_at``; ``rules.yaml``,
where there is one, is the whole rulebook; ``why.md`` says what went wrong once, or could. ``alerts.jsonl`` is
written anew only by ``--regenerate-golden``, and the difference is to be read before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.rulebooks.loader import load_rulebook
from streams.wire.cloudevents import CloudEvents, encode
from tests.stories import judge, shipped

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/events.jsonl"))
# What a sentence says may be said better one day; everything else is a promise.
_WORDS = ("explanation", "title")


def alerts_of(directory: Path) -> list[dict[str, Any]]:
    rules = directory / "rules.yaml"
    loaded = load_rulebook(only=directory) if rules.exists() else shipped()
    events = [json.loads(line) for line in (directory / "events.jsonl").read_bytes().splitlines()]
    until = (directory / "until").read_text(encoding="utf-8").strip()
    writer = CloudEvents(loaded.rulebook.calendar)
    judged = judge(events, until, loaded=loaded, arrival=True)
    return [json.loads(encode(writer.alert(alert))) for alert in judged.alerts]


def without_words(alert: dict[str, Any]) -> dict[str, Any]:
    return {**alert, "data": {name: value for name, value in alert["data"].items() if name not in _WORDS}}


@pytest.mark.parametrize("directory", CASES, ids=[path.name for path in CASES])
def test_the_alerts_are_those_recorded(directory: Path, pytestconfig: pytest.Config) -> None:
    assert (directory / "why.md").read_text(encoding="utf-8").strip(), "say why it is here"
    found, recorded = alerts_of(directory), directory / "alerts.jsonl"
    if pytestconfig.getoption("regenerate_golden"):
        recorded.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found), encoding="utf-8")
    expected = [json.loads(line) for line in recorded.read_bytes().splitlines()]
    assert [without_words(alert) for alert in found] == [without_words(alert) for alert in expected]
