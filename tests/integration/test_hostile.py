"""A third of what comes in is garbage, and the rest repeats itself: the counts add up, and no alert is lost.

Good orders of the simulator, with their moments of recording as the broker's timestamps, and between them: bytes that
are nothing, records too large and too deep, wrong keys, clocks years ahead and years behind, storms of duplicates, and
one order with thousands of events, all under one key.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.fields import parse_time
from streams.core.instants import instant_us
from streams.kafka.threaded_producer import ThreadedProducer
from streams.simulation import simulate
from tests.integration.live import Live, command, read_alerts, standing, write_events
from tests.stories import moment

pytestmark = pytest.mark.live(embedded_lacks="it keeps 5 MB a partition, and this test sends more")

HOT = 1000
STORM = 400
BEHIND = 60
Record = tuple[int, str, bytes, str | None]
"""When it came in (ms), key, value, and the reason why it must be refused."""


def came_at(event: dict[str, Any]) -> int:
    return instant_us(parse_time(event.get("recorded_at") or event["occurred_at"])) // 1000


def hot_order() -> list[dict[str, Any]]:
    """One service at the counter that is interrupted and goes on again, second after second."""
    first = moment("2025-03-04T10:00")
    common = {"order_id": "HOT", "business": "fee"}
    found = [{**common, "event_id": "hot-0", "event_type": "counter.service_started", "occurred_at": first.isoformat()}]
    for number in range(1, HOT):
        kind = "counter.interrupted" if number % 2 else "counter.resumed"
        at = (first + timedelta(seconds=number)).isoformat()
        found.append(
            {**common, "event_id": f"hot-{number}", "event_type": kind, "occurred_at": at, "reason": "system_failure"}
        )
    return found


def years_behind(count: int) -> list[dict[str, Any]]:
    """Orders of a device whose clock stands years behind, which begin no case, and move nobody's time."""
    return [
        {
            "event_id": f"behind-{number}", "event_type": "counter.service_started", "business": "fee",
            "occurred_at": "1998-03-04T10:00:00+08:00", "recorded_at": f"2025-03-12T10:00:{number % 60:02d}+08:00",
            "order_id": f"BEHIND{number}",
        }
        for number in range(count)
    ]  # fmt: skip


def garbage(chance: random.Random, good: dict[str, Any], number: int) -> tuple[bytes, str]:
    """One record that nobody can take, made of a good one, and the reason."""
    ahead = {**good, "event_id": f"ahead-{number}", "occurred_at": "2031-01-01T00:00:00+08:00"}
    del_subject = {name: value for name, value in good.items() if not name.endswith("_id") or name == "event_id"}
    choices: list[tuple[bytes, str]] = [
        (chance.randbytes(chance.randrange(1, 400)) + b"\xff", "not_utf8"),
        (json.dumps(good).encode()[: chance.randrange(1, 60)], "not_json"),
        (b"[" * 40_000, "too_deep"),
        (json.dumps({**good, "remark": json.loads("[" * 60 + "]" * 60)}).encode(), "too_deep"),
        (b'{"x":"' + b"y" * 300_000 + b'"}', "too_large"),
        (b'["a", 1]', "not_an_object"),
        (json.dumps({**good, "remark": float("nan")}).encode(), "not_json"),
        (json.dumps({**good, "remark": float("-inf")}).encode(), "not_json"),
        (json.dumps({**good, "event_type": "no.such"}).encode(), "unknown_type"),
        (json.dumps({**good, "event_type": 7}).encode(), "unknown_type"),
        (json.dumps({**good, "event_id": "a\nb"}).encode(), "bad_field"),
        (json.dumps({**good, "remark": 10**30}).encode(), "bad_field"),
        (json.dumps({**ahead}).encode(), "future_time"),
        (json.dumps({**ahead, "recorded_at": "2400-01-01T00:00:00+08:00"}).encode(), "future_time"),
        (json.dumps({**good, "occurred_at": "2025-02-30T00:00:00+08:00"}).encode(), "impossible_time"),
        (json.dumps({**good, "occurred_at": "2025-03-03T00:00:00"}).encode(), "naive_time"),
        (json.dumps(del_subject).encode(), "no_subject"),
        (b"{}", "missing_field"),
        (b"", "not_json"),
    ]
    return choices[number % len(choices)]


def flood(events: list[dict[str, Any]]) -> list[Record]:
    chance = random.Random(11)
    found: list[Record] = []
    for number, event in enumerate(events):
        raw = json.dumps(event, ensure_ascii=False).encode()
        repeats = STORM if event["event_id"] in ("hot-0", "hot-7") else chance.choices((1, 2, 4), (8, 1, 1))[0]
        key = event.get("order_id") or event.get("account_id") or "k"
        at = came_at(event)
        found += [(at, key, raw, None)] * repeats
        if number % 3 != 2:
            bad, reason = garbage(chance, event, number)
            found.append((at, chance.choice((key, "HOT", "\x00")), bad, reason))
    found.sort(key=lambda record: record[0])
    return found


def test_nothing_is_lost_and_nothing_is_counted_twice(live: Live, tmp_path: Path) -> None:
    simulation = simulate(orders=400, seed=5, start=date(2025, 3, 3), days=10)
    good = [*simulation.events, *hot_order(), *years_behind(BEHIND)]
    records = flood(good)
    expected = Counter(reason for *_, reason in records if reason is not None)
    live.make_source(partitions=3)
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","), linger_ms=20, max_request_size=4_000_000)
    topic = f"{live.name}.events"
    sent = [
        (producer.send(topic, raw, key=key.encode(), timestamp_ms=at), raw, reason) for at, key, raw, reason in records
    ]
    producer.flush(120)
    refused = {
        f"{topic}/{done.partition}/{done.offset}": reason
        for sending, _, reason in sent
        if (done := sending.get(30)) and reason is not None
    }
    producer.close()
    share = expected.total() / len(records)
    assert share > 0.28, share

    worker = live.worker(GRIDCLOCK_TICK_MS="100")
    found = standing(live.settle(simulation.as_of, seconds=240).values(), simulation.as_of)

    letters = [json.loads(value) for *_, value in live.topic("dead-letters").records]
    old = [letter for letter in letters if letter["reason"] == "too_old"]
    assert {json.loads(letter["payload"])["order_id"] for letter in old} == {f"BEHIND{n}" for n in range(BEHIND)}
    letters = [letter for letter in letters if letter["reason"] != "too_old"]
    assert {f"{letter['source']}/{letter['position']}": letter["reason"] for letter in letters} == refused
    assert len(letters) == len(refused), "one letter a record"
    taken = worker.metric("gridclock_events_total")
    assert taken + worker.metric("gridclock_dead_letters_total") == len(records) + len(old)
    for reason, count in expected.items():
        assert worker.metric("gridclock_dead_letters_total", reason=reason) == count, reason

    replayed = tmp_path / "alerts.jsonl"
    events = write_events(tmp_path / "good.jsonl", good[:-BEHIND])
    done = command("replay", events, "--until", simulation.as_of, "--alerts", replayed, "--quiet")
    assert done.returncode == 0, done.stderr
    wanted = standing(read_alerts(replayed), simulation.as_of)
    assert {alert["alert_id"] for alert in found} == {alert["alert_id"] for alert in wanted}
    assert len(wanted) > 100
    assert any(alert["subject"]["id"] == "HOT" for alert in wanted)
    assert worker.stop() == 0, worker.output
