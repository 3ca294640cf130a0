"""A record that kills the intake's process is found by the processes that come after, and set aside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata

from streams.core.event import Event
from streams.errors import InputError, RegistryAwayError
from streams.live.intake import Intake, IntakeClients
from streams.live.poison_records import MOST_DEATHS
from streams.live.routing import Router
from streams.live.source_positions import Loss, Tried, losses_of, tried_of
from streams.live.trusted_clock import TrustedClock
from streams.settings import load_settings
from streams.wall_clock import WallClock
from streams.wire.decoder import Decoder
from streams.wire.mapping import Skipped
from streams.wire.records import KafkaRecord, RecordDecoder
from streams.wire.state_rows import record_from_bytes
from tests.live.test_intake import Clients, Counts, Record
from tests.stories import shipped, wire

BATCH = 20
IN = TopicPartition("in", 0)
OTHER = TopicPartition("in", 1)
NOW = 1_772_413_200_000


class KilledError(BaseException):
    """The process is killed."""


class KillingDecoder(RecordDecoder):
    """Kills the process at records of some offsets of partition 0; lacks a schema for others."""

    def __init__(self, kills: Sequence[int], lacks: Sequence[int]) -> None:
        super().__init__(Decoder(shipped().catalogue))
        self._kills, self._lacks = kills, lacks

    def has_schemas(self, topic: str) -> bool:
        return True

    def is_ready(self, topic: str, record: Any) -> bool:
        return record.offset not in self._lacks

    def prepare(self, topic: str, record: Any) -> None:
        raise RegistryAwayError("no answer")

    def events(
        self, topic: str, partition: int, record: KafkaRecord, *, received: int, max_ahead: int
    ) -> Iterator[Event | InputError | Skipped]:
        if partition == 0 and record.offset in self._kills:
            raise KilledError
        yield from super().events(topic, partition, record, received=received, max_ahead=max_ahead)


class Cluster(Clients):
    """Two partitions of a source, what is committed for them and written to the log; and the processes that read.

    ``kills`` are offsets of partition 0. ``most`` is how many entries a process can write together and live.
    """

    known: Mapping[str, int] = {"in": 2}

    def __init__(self, *lengths: int, kills: Sequence[int] = (), lacks: Sequence[int] = (), most: int = 999) -> None:
        self.lengths: dict[TopicPartition, int] = dict(zip((IN, OTHER), lengths, strict=False))
        self.kills, self.lacks, self.most = kills, lacks, most
        self.offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        self.marks: list[Tried] = []
        self.commits = self.deaths = 0
        self.logged: list[str] = []
        self.letters: list[dict[str, Any]] = []
        self.at: dict[TopicPartition, int] = {}
        self.watermarks: dict[str, int] = {}
        self.moved = False

    # what the intake asks its clients for

    def assignment(self) -> set[TopicPartition]:
        return set(self.lengths)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.lengths[tp] for tp in partitions}

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def position(self, tp: TopicPartition) -> int:
        return self.at[tp]

    def highwater(self, tp: TopicPartition) -> int:
        return self.lengths[tp]

    last_stable_offset = highwater

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.at[tp] = offset

    def pause(self, tp: TopicPartition) -> None:
        pass

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        if self.moved:
            raise CommitFailedError
        self.commits += 1
        for tp, (offset, metadata) in offsets.items():
            self.offsets[tp] = OffsetAndMetadata(offset, metadata)
            if (tried := tried_of(metadata)) is not None:
                self.marks.append(tried)

    async def group_offsets(
        self, partitions: Sequence[TopicPartition] | None
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        return {tp: self.offsets.get(tp, OffsetAndMetadata(-1, "")) for tp in partitions or ()}

    async def send(self, topic: str, value: bytes, **_options: Any) -> asyncio.Future[Record]:
        if topic == "t.log":
            found = record_from_bytes(value)
            if len(found.entries) > self.most:
                raise KilledError
            self.logged += [event.event_id for _, event, _ in found.entries]
            self.watermarks.update(found.watermarks)
        else:
            self.letters.append(json.loads(value))
        return self.confirmed()

    # processes

    def started(self) -> Intake:
        clients: Any = self
        self.at = {tp: max(0, self.offsets[tp].offset) if tp in self.offsets else 0 for tp in self.lengths}
        intake = Intake(
            load_settings(name="t", sources=("in",), batch=BATCH, max_ahead_s=10**9), Router(shipped().rulebook, 1),
            KillingDecoder(self.kills, self.lacks),
            IntakeClients(clients, clients, clients, clients, clients, self.group_offsets),
            time=TrustedClock(WallClock()), metrics=Counts(),
        )  # fmt: skip
        asyncio.run(intake._write([()], {}, ()))  # to hear what time it is
        return intake

    async def round(self, intake: Intake) -> None:
        """Read up to a batch and take it."""
        batches: dict[TopicPartition, list[ConsumerRecord]] = {}
        for tp, end in self.lengths.items():
            begin = self.at[tp]
            self.at[tp] = min(end, begin + BATCH)
            if found := [record_of(tp, at) for at in range(begin, self.at[tp])]:
                batches[tp] = found
        await intake._take_up(batches)

    def run(self, *, most_deaths: int = 20) -> Cluster:
        """Processes one after the other, until everything is read."""
        intake = self.started()
        while any(self.offsets.get(tp, (-1, ""))[0] < end for tp, end in self.lengths.items()):
            try:
                asyncio.run(self.round(intake))
            except KilledError:
                self.deaths += 1
                assert self.deaths <= most_deaths, self.marks
                intake = self.started()
        return self


def record_of(tp: TopicPartition, offset: int) -> ConsumerRecord:
    (event,) = wire(f"e{tp.partition}-{offset} 2026-03-02T09:00 counter.service_started WO{offset} business=fee")
    return ConsumerRecord("in", tp.partition, offset, NOW, 0, None, json.dumps(event).encode(), None, 0, 0, ())


def ids(length: int, without: Sequence[int] = (), partition: int = 0) -> set[str]:
    return {f"e{partition}-{at}" for at in range(length) if at not in without}


def test_a_record_that_kills_is_a_dead_letter_with_its_place_and_all_others_are_taken() -> None:
    cluster = Cluster(10, kills=[6]).run()
    assert cluster.deaths == 2  # with its batch, and alone
    assert set(cluster.logged) == ids(10, without=[6])
    (letter,) = cluster.letters
    assert (letter["reason"], letter["source"], letter["position"]) == ("quarantined", "in/0", 6)
    assert letter["detail"] == "failed twice and is set aside: the process died at it, 2 times"
    assert json.loads(letter["payload"])["event_id"] == "e0-6"
    assert cluster.marks == [
        Tried(0, 9, 1), *[Tried(at, at, 2, is_alone=True) for at in range(7)], Tried(0, 6, 3), Tried(7, 9, 1),
    ]  # fmt: skip
    assert cluster.offsets[IN] == OffsetAndMetadata(10, "")


@pytest.mark.parametrize("kills", [[25], [40], [59], [3, 4, 41], [0], [19, 20]])
def test_records_that_kill_are_found_wherever_they_are(kills: list[int]) -> None:
    """A process may die of one when it has long stopped to write down what it tries."""
    cluster = Cluster(60, 5, kills=kills).run()
    assert set(cluster.logged) == ids(60, without=kills) | ids(5, partition=1)
    assert sorted(letter["position"] for letter in cluster.letters) == kills
    assert cluster.deaths <= 3 * len(kills)


def test_records_that_are_too_much_together_are_taken_in_halves() -> None:
    cluster = Cluster(10, most=3).run()
    assert set(cluster.logged) == ids(10)
    assert cluster.letters == []


def test_a_record_that_kills_where_it_is_written_is_set_aside_in_the_end() -> None:
    cluster = Cluster(1, most=0).run()
    assert (cluster.logged, len(cluster.letters), cluster.deaths) == ([], 1, MOST_DEATHS)


@pytest.mark.parametrize("length", [1, 10])
def test_processes_killed_by_something_else_set_nothing_aside(length: int) -> None:
    """While a batch is written, brokers may be away for long."""
    cluster = Cluster(length, most=0)
    for _ in range(MOST_DEATHS - 1):
        with pytest.raises(KilledError):
            asyncio.run(cluster.round(cluster.started()))
    cluster.most = 999
    cluster.run()
    assert (set(cluster.logged), cluster.letters) == (ids(length), [])


def test_the_ordinary_case_is_written_down_once() -> None:
    cluster = Cluster(0, 0)
    intake = cluster.started()
    for length in (3, 6, 9, 12):
        cluster.lengths[IN] = cluster.lengths[OTHER] = length
        asyncio.run(cluster.round(intake))
    assert cluster.marks == [Tried(0, 2, 1), Tried(0, 2, 1)]
    assert cluster.commits == 1 + 4


def test_a_partition_that_came_from_another_worker_is_written_down_again() -> None:
    cluster = Cluster(3)
    intake = cluster.started()
    asyncio.run(cluster.round(intake))
    asyncio.run(intake.on_partitions_revoked([IN]))
    cluster.lengths[IN] = 6
    asyncio.run(cluster.round(intake))
    assert cluster.marks == [Tried(0, 2, 1), Tried(3, 5, 1)]


def test_time_does_not_pass_records_that_went_to_another_worker() -> None:
    """What is not written down is not taken; its partition is read again from there."""
    cluster = Cluster(3)
    intake = cluster.started()
    cluster.moved = True
    asyncio.run(cluster.round(intake))
    assert (cluster.logged, cluster.at, cluster.watermarks) == ([], {IN: 0}, {})


def test_while_a_schema_is_awaited_nothing_stands_written_down() -> None:
    cluster = Cluster(6, lacks=[0])
    cluster.offsets[IN] = OffsetAndMetadata(0, '{"tried": [0, 5, 1, false]}')
    asyncio.run(cluster.round(cluster.started()))
    assert (cluster.offsets[IN], cluster.at) == (OffsetAndMetadata(0, ""), {IN: 0})
    cluster.lacks = [4]
    cluster.offsets[IN] = OffsetAndMetadata(0, '{"tried": [0, 5, 1, false]}')
    asyncio.run(cluster.round(cluster.started()))
    assert (cluster.offsets[IN], cluster.at) == (OffsetAndMetadata(4, ""), {IN: 4})
    assert set(cluster.logged) == ids(4)


def test_a_loss_and_what_is_tried_stand_side_by_side() -> None:
    cluster = Cluster(3)
    kept = '{"lost": [[5, 6, 7]]}'
    cluster.offsets[IN] = OffsetAndMetadata(0, kept)
    positions = cluster.started()._positions
    asyncio.run(positions.take_up([IN]))
    marked = positions.marked(IN, Tried(1, 2, 3, is_alone=True))
    assert (losses_of(marked.metadata), tried_of(marked.metadata)) == ([Loss(5, 6, 7)], Tried(1, 2, 3, is_alone=True))
    assert tried_of(kept) is None
    assert losses_of('{"tried": [1, 2, 3, false]}') == []
