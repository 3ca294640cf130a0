"""The stream that all contenders read: simulated orders, without what a bare loop knows nothing of.

Left out are orders with a pause, a correction, a repeated id or a second start on one of the common clocks; what is
left stands in order of time, as a script's author would assume. Nearly every event of it matters to some rule.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

from streams.simulation import simulate

STARTS = ("counter.service_started", "repair.reported", "calibration.requested", "reading.disputed")


def _is_plain(events: list[dict[str, Any]]) -> bool:
    types = [event["event_type"] for event in events]
    return (
        len({event["event_id"] for event in events}) == len(events)
        and all("corrects" not in event for event in events)
        and "counter.interrupted" not in types
        and all(types.count(start) <= 1 for start in STARTS)
    )


def write_events(path: Path, *, orders: int, seed: int, start: date, days: int) -> int:
    """Write the stream as JSON lines; how many."""
    by_order: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in simulate(orders=orders, seed=seed, start=start, days=days).events:
        by_order[event.get("order_id", "")].append(event)
    by_order.pop("", None)
    kept = [event for events in by_order.values() if _is_plain(events) for event in events]
    kept.sort(key=lambda event: datetime.fromisoformat(event["occurred_at"]))
    with open(path, "w", encoding="utf-8") as target:
        for event in kept:
            target.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")
    return len(kept)
