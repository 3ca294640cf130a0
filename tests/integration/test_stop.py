"""SIGTERM: a worker ends, whatever its group does meanwhile, and whatever does not come to its end."""

from __future__ import annotations

import signal

from tests.integration.live import Live, until
from tests.integration.slow_to_stop import MODULE
from tests.stories import wire

EVENT = "e1 2025-03-03T09:00 counter.service_started WO1 business=fee"


def test_a_rebalance_while_a_worker_stops(live: Live) -> None:
    """Faust closed the connection under its own last commit, which was then tried for ever."""
    live.make_source(2)
    other = live.worker()
    worker = live.worker(module=MODULE, STOPS="rebalance")
    live.send(wire(EVENT))
    live.settle("2025-03-03T09:30")
    worker.signal(signal.SIGTERM)
    until(lambda: "App]: Stopping" in worker.output, 20, lambda: worker.output)
    assert other.stop() == 0, other.output
    until(lambda: worker.exit_code is not None, 15, lambda: worker.output)
    assert worker.exit_code == 0, worker.output
    assert "Connection at" not in worker.output


def test_a_stop_that_does_not_end(live: Live) -> None:
    """The process ends after three sessions, and the next worker goes on where it stood."""
    live.make_source(2)
    worker = live.worker(module=MODULE, STOPS="never", GRIDCLOCK_SESSION_S="6")
    live.send(wire(EVENT))
    live.settle("2025-03-03T09:04")
    assert worker.stop() == 1, worker.output
    assert "has not stopped in order within 18 s" in worker.output
    live.worker()
    told = live.settle("2025-03-03T09:30")
    assert [alert["kind"] for alert in told.values() if alert["rule"] == "fee-5-minutes"] == ["breach"]
