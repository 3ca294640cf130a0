"""How far a partition with a backlog has been read."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from streams.live.intake import time_of

BROKER, SENDER = 1, 0


@dataclass(frozen=True)
class Record:
    timestamp: int
    timestamp_type: int


@pytest.mark.parametrize(
    ("stamps", "kind", "found"),
    [
        ([100, 200, 300], BROKER, 300),
        ([100], SENDER, 100),
        ([100, 200], SENDER, 100),
        ([100, 200, 300], SENDER, 200),
        ([100, 9_999_999, 300], SENDER, 300),  # one clock is years ahead
        ([100, 200, 9_999_999], SENDER, 200),
        ([100, 200, 0], SENDER, 100),  # one is at the epoch
    ],
)
def test_no_single_senders_clock_moves_time(stamps: list[int], kind: int, found: int) -> None:
    assert time_of([Record(stamp, kind) for stamp in stamps]) == found
