"""What is a loss and what is a marker of a transaction, and what goes beside the committed offset."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from schemas.limits import DAY
from streams.live.source_positions import MOST_LOSSES, SourcePositions, losses_of
from streams.wall_clock import WallClock

TP = TopicPartition("in", 0)


class Brokers:
    """A consumer of ``TP`` as far as it is asked, and the group's offsets."""

    def __init__(self, *, begin: int = 0, committed: OffsetAndMetadata | None = None) -> None:
        self.begin = begin
        self.committed = committed
        self.stable: int | None = None
        self.end: int | None = None
        self.is_away = False

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        if self.is_away:
            raise KafkaError("away")
        return dict.fromkeys(partitions, self.begin)

    async def group_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        if self.is_away:
            raise KafkaError("away")
        return {} if self.committed is None else dict.fromkeys(partitions, self.committed)

    def assignment(self) -> set[TopicPartition]:
        return {TP}

    def last_stable_offset(self, _tp: TopicPartition) -> int | None:
        return self.stable

    def highwater(self, _tp: TopicPartition) -> int | None:
        return self.end


class Counted:
    """The metrics, as dictionaries."""

    def __init__(self) -> None:
        self.lost: dict[str, int] = {}
        self.held: dict[str, float | None] = {}

    def records_lost(self, source: str, count: int) -> None:
        self.lost[source] = self.lost.get(source, 0) + count

    def transaction_open(self, source: str, seconds: float | None) -> None:
        self.held[source] = seconds


def positions(brokers: Any, counted: Counted, at: int = 0) -> SourcePositions:
    clock = WallClock() if not at else WallClock.scaled(at, 0.001)
    found = SourcePositions(brokers, brokers.group_offsets, clock=clock, metrics=counted)
    asyncio.run(found.take_up([TP]))
    return found


@pytest.mark.parametrize(
    ("begin", "first", "lost"),
    [
        (0, 10, 0),  # nothing left out
        (0, 13, 0),  # markers, or compacted away
        (10, 13, 0),  # the topic begins at the very next offset
        (11, 13, 1),  # one was removed, two were markers
        (13, 13, 3),
        (20, 13, 3),  # and since then more, that have been read
    ],
)
def test_what_is_left_out_is_a_loss_where_the_topic_begins_behind_it(begin: int, first: int, lost: int) -> None:
    counted = Counted()
    found = positions(Brokers(begin=begin, committed=OffsetAndMetadata(10, "")), counted)
    found.reached(TP, first, 15)
    asyncio.run(found.find_losses())
    assert counted.lost == {"in/0": lost}
    (offset,) = found.to_commit().values()
    assert offset.offset == 15
    assert [(loss.first, loss.last) for loss in losses_of(offset.metadata)] == ([(10, 9 + lost)] if lost else [])


def test_without_a_committed_offset_reading_begins_where_the_topic_does() -> None:
    counted = Counted()
    found = positions(Brokers(begin=500), counted)
    found.reached(TP, 500, 500)
    asyncio.run(found.find_losses())
    assert counted.lost == {"in/0": 0}
    assert found.to_commit() == {TP: OffsetAndMetadata(500, "")}  # so that a loss before the first record is noticed


def test_what_is_not_known_yet_is_not_committed_past() -> None:
    brokers, counted = Brokers(begin=12, committed=OffsetAndMetadata(10, "")), Counted()
    found = positions(brokers, counted)
    brokers.is_away = True
    found.reached(TP, 12, 20)
    asyncio.run(found.find_losses())
    assert (counted.lost, found.to_commit()) == ({"in/0": 0}, {})
    brokers.is_away = False
    asyncio.run(found.find_losses())
    assert counted.lost == {"in/0": 2}
    assert found.to_commit()[TP].offset == 20


def test_what_is_committed_is_not_committed_again_and_only_for_our_partitions() -> None:
    found = positions(Brokers(committed=OffsetAndMetadata(10, "")), Counted())
    found.reached(TP, 10, 10)
    assert found.to_commit() == {}
    found.reached(TP, 10, 11)
    found.committed(found.to_commit())
    assert found.to_commit() == {}
    found.reached(TP, 0, 5)  # the topic was made anew
    assert found.to_commit() == {TP: OffsetAndMetadata(5, "")}
    found.revoked(TP)
    assert found.to_commit() == {}


def test_a_loss_is_said_for_a_day_and_the_metadata_stay_small() -> None:
    now = 1_800_000_000_000_000
    old = json.dumps({"lost": [[1, 2, now - DAY - 1], [3, 4, now - DAY + 9_000_000]]})
    brokers = Brokers(begin=10, committed=OffsetAndMetadata(10, old))
    found = positions(brokers, Counted(), now)
    found.reached(TP, 10, 11)
    assert [loss.first for loss in losses_of(found.to_commit()[TP].metadata)] == [3]
    for number in range(100):
        brokers.begin = 20 + 10 * number
        found.reached(TP, brokers.begin, brokers.begin + 1)
        asyncio.run(found.find_losses())
    metadata = found.to_commit()[TP].metadata
    assert len(losses_of(metadata)) == MOST_LOSSES
    assert len(metadata.encode()) < 4096


@pytest.mark.parametrize("metadata", [None, "", "{}", "[]", "x", '{"lost": 3}', '{"lost": [[1]]}', '{"lost": [null]}'])
def test_metadata_of_another_program_say_nothing(metadata: str | None) -> None:
    assert losses_of(metadata) == []


def test_a_transaction_is_open_while_the_stable_offset_stands_still() -> None:
    brokers, counted = Brokers(), Counted()
    found = positions(brokers, counted)
    found.measure_transactions()
    assert counted.held == {"in/0": 0.0}  # nothing was fetched yet
    brokers.stable, brokers.end = 5, 9
    found.measure_transactions()
    found.measure_transactions()
    first = counted.held["in/0"]
    assert first is not None
    assert first > 0
    brokers.stable = 6  # another one
    found.measure_transactions()
    assert counted.held == {"in/0": 0.0}
    brokers.stable = 9
    found.measure_transactions()
    assert counted.held == {"in/0": 0.0}
    found.revoked(TP)
    assert counted.held == {"in/0": None}, "another worker says so"
