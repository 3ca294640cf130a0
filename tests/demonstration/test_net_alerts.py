"""What counts as agreement between the net alerts and what the simulator expects."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from streams.demonstration.net_alerts import NetAlerts, compare, expected_facts

UNTIL = "2026-03-03T00:00:00.000+08:00"
START, DUE, DONE = (f"2026-03-02T09:{minute}:00.000+08:00" for minute in ("00", "05", "07"))


def row(outcome: str) -> dict[str, Any]:
    deadline = None if outcome == "violated" else DUE
    stopped = DONE if outcome == "met_late" else None
    return {
        "rule": "fee-5-minutes", "subject": {"type": "order", "id": "WO1"}, "started_at": START,
        "deadline": deadline, "stopped_at": stopped, "outcome": outcome,
    }  # fmt: skip


def alert(number: str, kind: str, due: str | None, *, retracts: str | None = None) -> dict[str, Any]:
    return {
        "alert_id": number, "kind": kind, "rule": "fee-5-minutes", "subject": {"type": "order", "id": "WO1"},
        "started_at": START, "deadline": None if kind == "violation" else DUE, "stopped_at": DONE, "due_at": due,
        "retracts": retracts,
    }  # fmt: skip


BREACH, LATE = alert("a1", "breach", DUE), alert("a2", "late_completion", DONE)


@pytest.mark.parametrize(
    ("rows", "alerts", "agreed", "missing", "unexpected"),
    [
        ([], [], {}, [], []),
        ([row("met"), row("running"), row("cancelled")], [], {}, [], []),
        ([row("breached")], [BREACH], {"breach": 1}, [], []),
        ([row("breached")], [BREACH, BREACH], {"breach": 1}, [], []),
        ([row("met_late")], [BREACH, LATE], {"breach": 1, "late_completion": 1}, [], []),
        ([row("met_late")], [BREACH], {"breach": 1}, ["late_completion"], []),
        ([row("breached")], [BREACH, LATE], {"breach": 1}, [], ["late_completion"]),
        ([], [BREACH], {}, [], ["breach"]),
        ([row("met")], [BREACH, alert("a3", "retraction", DUE, retracts="a1")], {}, [], []),
        ([row("breached")], [BREACH, alert("a3", "retraction", DUE, retracts="a1")], {}, ["breach"], []),
        ([row("violated")], [alert("a4", "violation", START)], {"violation": 1}, [], []),
        ([row("violated")], [], {}, ["violation"], []),
        ([], [alert("a5", "breach", "2026-03-03T00:00:00.001+08:00")], {}, [], []),
        ([], [alert("a6", "warning", START)], {}, [], []),
    ],
)
def test_comparison(
    rows: list[dict[str, Any]],
    alerts: list[dict[str, Any]],
    agreed: dict[str, int],
    missing: list[str],
    unexpected: list[str],
) -> None:
    net = NetAlerts(UNTIL)
    for data in alerts:
        net.add(data)
    found = compare(expected_facts(rows), net.facts())
    assert found.agreed == Counter(agreed)
    assert ([fact[0] for fact in found.missing], [fact[0] for fact in found.unexpected]) == (missing, unexpected)
    assert found.agrees == (not missing and not unexpected)
