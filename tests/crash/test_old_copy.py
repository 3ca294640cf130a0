"""A local copy of the state that lay unused for so long that the changelog no longer knows what was deleted since.

Kafka forgets a deletion after a day; a worker's volume may be put away for months. Here the row that such a copy
would still have is put into one: a service that has begun, and whose end nobody remembers.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import rocksdict

from streams.core.instants import format_us, instant_us
from streams.kafka.brokers import Broker
from streams.live.clock_partition import ClockPartition
from streams.live.routing import partition_of
from streams.wall_clock import WallClock
from streams.wire.state_rows import LogRecord
from tests.integration.live import AS_SHIPPED, Live, until
from tests.stories import SHANGHAI, decoded, moment, shipped, wire

OLD = "e1 2026-03-02T09:00 counter.service_started WO1 business=fee"
NEW = "e2 2026-03-05T09:09 counter.service_started WO2 business=fee"
PARTITIONS = 2


def put_into(store: Path, story: str) -> None:
    """The row of one order, as it was kept when its first event had come."""
    (event,) = decoded(wire(story))
    subject = "order", str(event.order_id)
    number = partition_of(subject, PARTITIONS)
    applied = ClockPartition(number, shipped().rulebook, keep_for=None).apply(
        LogRecord([(subject, event, "in/0/0")], {"in/0": event.at}, {"in": 1}), 0
    )
    assert applied is not None
    (path,) = store.rglob(f"*-{number}.db")
    database = rocksdict.Rdict(str(path), options=rocksdict.Options(raw_mode=True))
    database[applied.rows[0][0]] = applied.rows[0][1]
    database.close()


@pytest.mark.slow
def test_what_was_deleted_long_ago_does_not_come_back(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    if kafka.kind == "embedded":
        pytest.skip("librdkafka's embedded broker has no real groups: workers cannot follow one another on it")
    clock = WallClock.scaled(instant_us(moment("2026-03-05T09:10")), 1)
    flags = ["--clock-origin", clock.origin, "--clock-anchor", clock.anchor]
    with Live(kafka.bootstrap, prefix, tmp_path, partitions=PARTITIONS, clock=flags, keep_days=AS_SHIPPED) as live:
        live.make_source(2)
        live.send(wire(NEW))
        worker = live.worker(store="one")
        live.settle(format_us(clock.now(), SHANGHAI))
        assert worker.stop() == 0, worker.output
        put_into(tmp_path / "one", OLD)

        worker = live.worker(store="one", ready=False)
        until(lambda: worker.exit_code is not None, 60, lambda: worker.output)
        assert worker.exit_code == 2
        assert worker.output.endswith(".db is damaged: 2 subjects where there were 1; the next start rebuilds it\n")

        worker = live.worker(store="one")
        assert "was damaged and has been removed" in worker.output
        told = live.settle(format_us(clock.now(), SHANGHAI))
        assert {alert["order_id"] for alert in told.values()} <= {"WO2"}
        assert worker.metric("gridclock_subjects") == 1
