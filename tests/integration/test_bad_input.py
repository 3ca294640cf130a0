"""What cannot be taken becomes a dead letter with its bytes, its reason and where it was; the stream goes on."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from schemas.dead_letters import REASONS
from streams.kafka.threaded_producer import ThreadedProducer
from tests.integration.live import AS_SHIPPED, Live, until
from tests.stories import us, wire

pytestmark = pytest.mark.live(keep_days=AS_SHIPPED)

GOOD = """
e1 2025-03-03T09:00 counter.service_started WO1 business=fee
e2 2025-03-03T09:10 counter.service_completed WO1
"""


def event(**changes: Any) -> bytes:
    (found,) = wire("e9 2025-03-03T09:00 counter.service_started WO9 business=fee")
    return json.dumps({**found, **changes}).encode()


BAD: dict[str, bytes] = {
    "not_utf8": b'{"event_id": "\xff\xfe"}',
    "not_json": b"{this is no JSON}",
    "not_an_object": b"[1, 2, 3]",
    "too_large": b'{"event_id": "' + b"x" * 300_000 + b'"}',
    "too_deep": b'{"event_id": ' + b"[" * 60 + b"]" * 60 + b"}",
    "unknown_type": event(event_type="counter.no_such_thing"),
    "missing_field": event(event_id=None).replace(b'"event_id": null, ', b""),
    "bad_field": event(event_id=5),
    "naive_time": event(occurred_at="2025-03-03T09:00:00"),
    "impossible_time": event(occurred_at="2025-02-30T09:00:00+08:00"),
    "future_time": event(occurred_at="2999-01-01T09:00:00+08:00"),
    "no_subject": event(order_id=None).replace(b', "order_id": null', b""),
    "conflicting_duplicate": json.dumps(
        wire("e1 2025-03-03T09:01 counter.service_started WO1 business=power")[0]
    ).encode(),
}


def test_every_reason_has_its_case() -> None:
    of_topics_with_a_registry = {"unknown_schema", "undecodable"}
    assert {*BAD, *of_topics_with_a_registry, "impossible_timestamp", "too_old", "quarantined"} == set(REASONS)


def test_bad_records_become_dead_letters_and_the_stream_goes_on(live: Live) -> None:
    live.make_source(partitions=1)
    first, last = (json.dumps(one).encode() for one in wire(GOOD))
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap.split(","))
    topic = f"{live.name}.events"

    def send(at: str, value: bytes | None) -> int:
        """As it came in then; the offset. With today's timestamps the first batch read would move time to today."""
        sending = producer.send(topic, value, key=b"k", partition=0, timestamp_ms=us(f"2025-03-03T{at}") // 1000)
        offset: int = sending.get(30).offset
        return offset

    sent = {}
    send("09:00", first)
    for reason, raw in BAD.items():
        sent[reason] = raw, send("09:02", raw)
    send("09:03", None)  # a tombstone
    send("09:10", last)
    worker = live.worker()
    alerts = live.settle("2025-03-03T09:11")

    told = sorted(alert["kind"] for alert in alerts.values() if alert["rule"] == "fee-5-minutes")
    assert told == ["breach", "late_completion"]
    letters = [json.loads(value) for *_, value in live.topic("dead-letters").records]
    by_reason = {letter["reason"]: letter for letter in letters if letter["size"]}
    assert set(by_reason) == set(BAD)
    assert [letter["reason"] for letter in letters if not letter["size"]] == ["not_json"], "the tombstone"
    for reason, (raw, offset) in sent.items():
        letter = by_reason[reason]
        assert (letter["source"], letter["position"]) == (f"{topic}/0", offset)
        if reason == "conflicting_duplicate":  # decoded before it was refused: the same event, written anew
            assert {**json.loads(letter["payload"]), "recorded_at": None} == {
                **json.loads(raw), "occurred_at": "2025-03-03T01:01:00.000+00:00", "recorded_at": None,
            }  # fmt: skip
            continue
        payload = letter["payload"].encode() if letter["encoding"] == "utf-8" else base64.b64decode(letter["payload"])
        assert payload == raw[: len(payload)]
        assert letter["size"] == len(raw)
        assert letter["truncated"] == (len(payload) < len(raw)) == (reason == "too_large")
        assert worker.metric("gridclock_dead_letters_total", reason=reason) == (2 if reason == "not_json" else 1)
    assert worker.metric("gridclock_events_total", family="counter") == 3  # the conflict was an event, too
    assert worker.metric("gridclock_entries_total", notice="conflict") == 1

    # By now it is today. An order of which nothing is known any more would begin a case that nobody ends.
    offset = send("09:00", event(event_id="e10", order_id="WO10"))
    producer.close()
    until(lambda: len(live.topic("dead-letters").records) > len(letters), 60, lambda: worker.output)
    letter = json.loads(live.topic("dead-letters").records[-1][-1])
    assert (letter["reason"], letter["field"], letter["position"]) == ("too_old", "occurred_at", offset)
    assert letter["detail"] == (
        "2025-03-03T01:00:00.000+00:00 is too long ago: of what is older than 90 days only open cases are kept, and of "
        "a subject with more than 2,000 events the newest half"
    )
    assert worker.metric("gridclock_entries_total", notice="too_old") == 1
    assert live.settle("2025-03-03T09:11") == alerts
