"""How far a partition with a backlog has been read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from streams.live.intake import Intake, time_of
from streams.wall_clock import WallClock
from streams.wire.decoder import Decoder
from tests.stories import shipped

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


class Counts:
    """What the intake counts, as lists."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.letters: list[str] = []

    def event_in(self, event_type: str, count: int) -> None:
        self.events += [event_type] * count

    def dead_letter(self, reason: str) -> None:
        self.letters.append(reason)

    def unwatched(self, count: int) -> None:
        pass


def taken(event: dict[str, Any]) -> tuple[list[list[bytes]], list[dict[str, Any]], Counts]:
    """The entries of one record for four partitions, its dead letters, and what was counted."""
    loaded, counts = shipped(), Counts()
    unused: Any = None
    intake = Intake(
        consumer=unused, producer=unused, sources=["in"], counts=unused, log_topic="log", log_partitions=4,
        dead_letters_topic="dead", decoder=Decoder(loaded.catalogue), rulebook=loaded.rulebook, clock=WallClock(),
        time=unused, metrics=counts, waits=unused, grace=0, tick=0, batch=1, max_ahead=10**15,
    )  # fmt: skip
    entries: list[list[bytes]] = [[] for _ in range(4)]
    letters: list[tuple[bytes, bytes]] = []
    record = ConsumerRecord("in", 0, 7, 1_772_413_200_000, 0, None, json.dumps(event).encode(), None, 0, 0, ())
    intake._take(TopicPartition("in", 0), record, entries, letters)
    return entries, [json.loads(value) for _, value in letters], counts


NOTICE = {
    "event_id": "n",
    "event_type": "meter.batch_notice_posted",
    "occurred_at": "2026-03-01T09:00:00+08:00",
    "batch_id": "B",
}


def test_a_notice_of_20_000_meters_is_routed_without_what_no_type_declares() -> None:
    meters = [f"{number:x}" for number in range(20_000)]
    entries, letters, counts = taken({**NOTICE, "meters": meters, "note": "x" * 100_000})
    assert sum(map(len, entries)) == 20_001
    assert sum(len(entry) for own in entries for entry in own) < 5_000_000
    assert (letters, counts.events) == ([], ["meter.batch_notice_posted"])


def test_more_bytes_than_a_record_may_fan_out_to_are_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.live.intake.MAX_FAN_OUT", 100_000)
    few, _, _ = taken({**NOTICE, "meters": ["a", "b"]})
    assert sum(map(len, few)) == 3
    entries, letters, counts = taken({**NOTICE, "meters": [str(number) for number in range(2_000)]})
    assert entries == [[], [], [], []]
    assert [(letter["reason"], letter["position"]) for letter in letters] == [("too_large", 7)]
    assert "2001 subjects" in letters[0]["detail"]
    assert (counts.events, counts.letters) == ([], ["too_large"])
