"""The watch over a log that goes on and is not read: it reads again, and where that does not help the worker ends."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from streams.kafka.brokers import Broker
from tests.integration.live import Live, until

HOUR = 3_600_000


def overdue(number: int) -> dict[str, Any]:
    """A payment that began long ago and was never taken: a breach as soon as it is heard of."""
    return {
        "event_id": f"e{number}", "event_type": "counter.service_started", "business": "fee",
        "occurred_at": f"2025-03-03T09:0{number}:00+08:00", "order_id": f"WO{number}",
    }  # fmt: skip


def told(live: Live, number: int) -> bool:
    live.topic("alerts")
    return any(alert["subject"]["id"] == f"WO{number}" for alert in live.sent().values())


@pytest.mark.slow
def test_a_log_that_is_not_read_is_read_again_or_the_worker_ends(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description}: it is Faust on Apache Kafka that is watched")
    with Live(kafka.bootstrap, prefix, tmp_path, partitions=2) as live:
        live.make_source(1)
        # Without ticks nothing comes into the log behind what was lost, and so no gap gives it away.
        worker = live.worker(
            store="one",
            module="tests.integration.faulty_worker",
            GRIDCLOCK_TICK_MS=str(HOUR),
            GRIDCLOCK_SESSION_S="6",
        )
        live.send([overdue(1)])
        until(lambda: told(live, 1), 30, lambda: worker.output)

        worker.signal(signal.SIGUSR1)
        until(lambda: "fault: paused" in worker.output, 10, lambda: worker.output)
        live.send([overdue(2)])
        until(lambda: "fault: lost" in worker.output, 30, lambda: worker.output)
        until(lambda: told(live, 2), 60, lambda: worker.output)
        assert "stands still at" in worker.output
        assert worker.exit_code is None

        worker.signal(signal.SIGUSR2)
        until(lambda: worker.output.count("fault: paused") == 2, 10, lambda: worker.output)
        live.send([overdue(3)])
        until(lambda: worker.exit_code is not None, 90, lambda: worker.output)
        assert worker.exit_code == 2
        last = worker.output.splitlines()[-1]
        assert last.startswith(f"gridclock: {live.name}.log/")
        assert last.endswith("this worker ends")
        assert not told(live, 3)

        live.worker(store="one")
        until(lambda: told(live, 3), 30, lambda: worker.output)
