"""What most tests here wait for, tried itself: a worker that is slower than the test."""

from __future__ import annotations

import signal

from tests.integration.live import Live
from tests.stories import wire


def test_what_a_worker_has_not_read_yet_is_waited_for(live: Live) -> None:
    """The events are of long ago and the worker lives today: its time has passed before they come."""
    live.make_source(2)
    worker = live.worker()
    live.settle("2025-03-03T09:30")
    worker.signal(signal.SIGSTOP)
    live.send(wire("e1 2025-03-03T09:00 counter.service_started WO1 business=fee"))
    assert live.unread() == 1
    worker.signal(signal.SIGCONT)
    told = live.settle("2025-03-03T09:30")
    assert [alert["kind"] for alert in told.values() if alert["rule"] == "fee-5-minutes"] == ["breach"]
