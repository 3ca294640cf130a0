"""Transactions on a source: what was aborted is not judged, and time stops at one that is open."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import Producer

from tests.integration.live import Live, until
from tests.integration.status import asked
from tests.stories import us, wire

pytestmark = pytest.mark.live(partitions=2, embedded_lacks="it has no transactions")


def fee(order: str, start: str, end: str | None = None) -> str:
    ending = f"\n{order}-2 2025-03-03T{end} counter.service_completed {order}" if end else ""
    return f"{order}-1 2025-03-03T{start} counter.service_started {order} business=fee{ending}"


class Transactions:
    """A transactional producer; each event is written into partition 0 as it came in then."""

    def __init__(self, live: Live, word: str) -> None:
        self._topic = f"{live.name}.events"
        self._producer = Producer({"bootstrap.servers": live.bootstrap, "transactional.id": f"{live.name}-{word}"})
        self._producer.init_transactions(30)

    def begin(self, story: str) -> None:
        self._producer.begin_transaction()
        for event in wire(story):
            self._producer.produce(
                self._topic, json.dumps(event).encode(), partition=0, timestamp=us(event["occurred_at"]) // 1000
            )
        self._producer.flush(30)

    def commit(self) -> None:
        self._producer.commit_transaction(30)

    def abort(self) -> None:
        self._producer.abort_transaction(30)


def breached(live: Live, at: str) -> set[str]:
    return {
        alert["subject"]["id"]
        for alert in live.settle(at).values()
        if (alert["rule"], alert["kind"]) == ("fee-5-minutes", "breach")
    }


def test_aborted_transactions_are_not_judged_and_open_ones_stop_time(live: Live) -> None:
    live.make_source(1)
    first, open_one = Transactions(live, "first"), Transactions(live, "open")
    first.begin(fee("WO1", "09:00"))
    first.commit()
    first.begin(fee("ABORTED", "09:00") + "\nx 2025-03-03T09:03 counter.service_completed WO1")  # would hide a breach
    first.abort()
    worker = live.worker()
    assert breached(live, "2025-03-03T10:00") == {"WO1"}
    until(lambda: asked(live)[0] == 0, 60, lambda: f"{asked(live)}{worker.output}")  # a marker is no backlog
    source = asked(live)[1]["sources"][0]
    assert (source["behind"], source["read"]) == (0, source["end"])

    open_one.begin(fee("WO2", "09:00", "09:04"))
    first.begin(fee("WO3", "09:00"))
    first.commit()
    # What is committed behind the open transaction is handed out after it, and time waits for it.
    until(lambda: worker.metric("gridclock_watermark_lag_seconds", partition="0") > 5, 60, lambda: worker.output)
    assert worker.metric("gridclock_events_total") == 1
    until(lambda: worker.metric("gridclock_source_transaction_open_seconds") > 3, 60, lambda: worker.output)
    (problem,) = asked(live)[1]["problems"]
    assert problem["what"] == "standing"
    assert f"held by source {live.name}.events/0 (an open transaction holds back offsets from" in problem["text"]
    assert (asked(live)[1]["sources"][0]["behind"], asked(live)[1]["sources"][0]["held"]) == (0, 4)
    open_one.commit()
    until(lambda: worker.metric("gridclock_events_total") == 4, 60, lambda: worker.output)
    until(lambda: worker.metric("gridclock_watermark_lag_seconds", partition="0") < 5, 60, lambda: worker.output)
    until(lambda: worker.metric("gridclock_source_transaction_open_seconds") == 0, 60, lambda: worker.output)
    assert breached(live, "2025-03-03T10:00") == {"WO1", "WO3"}
