"""A replay of the log keeps each subject for as long as the workers did."""

from __future__ import annotations

import pytest

from streams.core.alerts import Alert
from streams.live.clock_partition import ClockPartition
from streams.replay.log_replay import LogReplay
from streams.wire.state_rows import entry_to_bytes, record_from_bytes, record_to_bytes
from tests.stories import decoded, shipped, us, wire

MINUTE = 60_000_000


def raw(story: str, at: int) -> bytes:
    """A record of the log, up to so many minutes after nine."""
    entries = [entry_to_bytes(("order", str(event.order_id)), event, "in/0/0") for event in decoded(wire(story))]
    return record_to_bytes(entries, {"in/0": us("2026-03-02T09:00") + at * MINUTE}, {"in": 1})


@pytest.mark.parametrize("tracks_cases", [False, True])
def test_a_correction_is_taken_exactly_where_the_workers_took_it(tracks_cases: bool) -> None:
    """Workers that write cases decide the order once more when time reaches its end, read ahead of it."""
    done = """
        e1 2026-03-02T09:10 counter.service_started WO1 business=fee
        e2 2026-03-02T09:12 counter.service_completed WO1
    """
    later = "e3 2026-03-02T09:18 counter.service_completed WO1 corrects=e2"
    log = [raw(done, 0), raw("", 30), raw("", 50), raw(later, 51), raw("", 52)]
    rulebook = shipped("fee-5-minutes").rulebook
    worker = ClockPartition(0, rulebook, keep_for=30 * MINUTE, tracks_cases=tracks_cases)
    replay = LogReplay(rulebook, keep_for=30 * MINUTE, tracks_cases=tracks_cases)
    sent: list[Alert] = []
    found: list[Alert] = []
    for offset, value in enumerate(log):
        applied = worker.apply(record_from_bytes(value), offset)
        assert applied is not None
        sent += applied.alerts
        found += replay.apply(0, offset, value)
    assert found == sent
    assert [alert.kind for alert in sent] == (["breach", "late_completion"] if tracks_cases else [])
