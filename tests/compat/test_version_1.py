"""Bytes that version 1 wrote, kept for ever: every later program must read them and mean the same.

The files are never written again. A format that changes gets a directory of its own beside this one.
"""

from __future__ import annotations

import json
from pathlib import Path

from schemas.alerts import AlertEvent, CaseEvent
from schemas.events import EVENT
from streams.core.engine import Engine
from streams.wire.state_rows import position_from_bytes, record_from_bytes, snapshot_from_bytes
from tests.stories import decoded, judge, shipped, us, wire

FILES = Path(__file__).parent / "v1"
WO1 = ("order", "WO1")


def lines(name: str) -> list[bytes]:
    return (FILES / name).read_bytes().splitlines()


def wire_events() -> list[dict[str, object]]:
    return [json.loads(line) for line in lines("events.jsonl")]


def test_events_are_still_taken() -> None:
    assert len([EVENT.validate_json(line) for line in lines("events.jsonl")]) == 8
    first = decoded(wire_events())[0]
    assert (first.event_id, first.at, first.order_id, first.account_id) == (
        "e1", us("2026-03-02T09:00:00.000123"), "WO1", "A1",
    )  # fmt: skip


def test_alerts_and_cases_still_hold_to_the_contract() -> None:
    alerts = [AlertEvent.model_validate_json(line) for line in lines("alerts.jsonl")]
    assert [alert.data.kind for alert in alerts if alert.data.order_id == "WO1"] == [
        "warning", "breach", "late_completion", "retraction", "retraction", "breach", "late_completion",
    ]  # fmt: skip
    assert [CaseEvent.model_validate_json(line).data.outcome for line in lines("cases.jsonl")]


def test_the_same_events_still_give_the_same_alert_ids() -> None:
    """Subscribers remember ids; the shipped rulebook may grow, but what was told is told under the same id."""
    pinned = [AlertEvent.model_validate_json(line).data for line in lines("alerts.jsonl")]
    judged = judge(wire_events(), "2026-03-20T00:00", arrival=True)
    ids = {alert.alert_id: (alert.kind, alert.rule) for alert in judged.alerts}
    assert {alert.alert_id: (alert.kind, alert.rule) for alert in pinned}.items() <= ids.items()


def test_the_state_of_a_subject_still_loads_and_is_gone_on_with() -> None:
    snapshot = snapshot_from_bytes(WO1, (FILES / "subject-state.json").read_bytes())
    assert [event.event_id for event in snapshot.events] == ["e1", "p1", "r1", "k1", "k2", "z1"]
    assert {key[2] for key, _ in snapshot.reported} == {"breach", "late_completion"}
    told = {alert.alert_id for _, alert in snapshot.reported if alert.kind != "warning"}
    engine = Engine(shipped().rulebook)
    engine.watermark = snapshot.decided_at
    engine.restore(snapshot)
    assert engine.advance_to(engine.watermark) == []
    (void,) = decoded(
        wire("v 2026-03-02T09:00 counter.service_started WO1 corrects=e1 void=true recorded=2026-03-02T15:00")
    )
    engine.handle(WO1, void)
    assert {alert.retracts for alert in engine.advance_to(engine.watermark)} == told


def test_a_position_and_a_record_of_the_log_still_load() -> None:
    position = position_from_bytes((FILES / "partition-state.json").read_bytes())
    assert position.rulebook is None
    assert (position.offset, position.at, position.sources) == (41, us("2026-03-02T12:00"), {"gridclock.events": 2})
    record = record_from_bytes((FILES / "log-record.json").read_bytes())
    assert [event for _, event, _ in record.entries] == decoded(wire_events())
    assert record.entries[0][0] == WO1
    assert record.entries[0][2] == "gridclock.events/0/0"
    assert record.watermarks == {"gridclock.events/0": us("2026-03-05T10:00")}
