"""The stores of new partitions are filled in batches, before Faust looks for what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from streams.kafka.range_reader import Batch
from streams.live import faust_extensions
from streams.live.faust_extensions import FillingRecovery, app_of
from streams.settings import load_settings


class Changelog:
    """Rows, one at a time, the lowest partition first; ``stops`` are what happens before the row with that number."""

    def __init__(self, rows: Mapping[int, Sequence[tuple[bytes, bytes | None]]]) -> None:
        self.rows = rows
        self.asked: list[dict[int, int]] = []
        self.stops: dict[int, Any] = {}
        self.count = 0

    async def read(self, spans: Mapping[int, range]) -> AsyncGenerator[Batch, None]:
        self.asked.append({number: span.start for number, span in spans.items()})
        for number, span in sorted(spans.items()):
            for offset, (key, value) in list(enumerate(self.rows[number]))[span.start :]:
                if (stop := self.stops.pop(self.count, None)) is not None:
                    await stop()
                self.count += 1
                yield number, [SimpleNamespace(offset=offset, key=key, value=value)]

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return {tp: len(self.rows[tp.partition]) for tp in tps}


class Group:
    """A worker's app without brokers, and its recovery."""

    def __init__(self, directory: Path, changelog: Changelog) -> None:
        settings = load_settings(bootstrap="127.0.0.1:9", data_dir=directory, store="rocksdb")
        self.app = app_of(settings, "client", changelog.read)
        self.table = self.app.Table("state", key_type=bytes, value_type=bytes, partitions=2)
        self.table.changelog_topic  # noqa: B018 - Faust makes it at the first use
        self.changelog = changelog
        self.recovery: FillingRecovery = self.app.tables.recovery

    def parts(self, *numbers: int) -> set[TP]:
        return {TP(self.table.changelog_topic.get_topic_name(), number) for number in numbers}

    async def assign(self, *numbers: int, new: Sequence[int]) -> None:
        parts = self.parts(*numbers)
        self.app.assignor._assignment.actives = {part.topic: list(numbers) for part in parts}
        await self.recovery.on_rebalance(parts, set(), self.parts(*new), self.app.consumer_generation_id)

    async def step(self) -> dict[int, int]:
        """The steps after which Faust knows what is missing, which is returned."""
        own = self.recovery
        await own._build_highwaters(self.changelog, own.active_tps, own.active_highwaters, "active")
        await own._build_offsets(self.changelog, own.active_tps, own.active_offsets, "active")
        return {tp.partition: left for tp, left in own.active_remaining().items() if left}

    def rows(self, number: int) -> dict[bytes, bytes]:
        database = self.table.data._db_for_partition(number)
        return {key: value for key, value in database.items() if key != self.table.data.offset_key}


ROWS: dict[int, list[tuple[bytes, bytes | None]]] = {
    0: [(b"0/a", b"1"), (b"0/b", b"1"), (b"0/a", b"2"), (b"0/b", None)],
    1: [(b"1/c", b"1"), (b"1/c", b"2")],
}
WHOLE = [{b"0/a": b"2"}, {b"1/c": b"2"}]


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path, Changelog(ROWS))


def run(story: Any) -> None:
    asyncio.run(story())


def test_a_store_has_what_the_changelog_gives_and_begins_where_it_ends(group: Group) -> None:
    async def story() -> None:
        await group.assign(0, 1, new=[0, 1])
        assert await group.step() == {}
        assert [group.rows(0), group.rows(1)] == WHOLE
        await group.step()
        await group.assign(0, 1, new=[])
        await group.step()
        assert group.changelog.asked == [{0: 0, 1: 0}]  # partitions that were kept are not read again
        await group.assign(0, 1, new=[1])  # given away and back
        await group.step()
        assert group.changelog.asked[1:] == [{1: 2}]

    run(story)


def test_a_slice_that_ends_is_followed_by_one_from_there(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recovery begins anew meanwhile, without waiting for a rebalance."""
    monkeypatch.setattr(faust_extensions, "SLICE", 0.0)
    group.changelog.stops = {2: asyncio.Event().wait}

    async def story() -> None:
        await group.assign(0, 1, new=[0, 1])
        group.recovery.signal_recovery_start.clear()
        with pytest.raises(RebalanceAgain):
            await group.step()
        assert group.recovery.signal_recovery_start.is_set()
        assert group.rows(0) == {b"0/a": b"1", b"0/b": b"1"}
        monkeypatch.setattr(faust_extensions, "SLICE", 60.0)
        await group.step()
        assert [group.rows(0), group.rows(1)] == WHOLE
        assert group.changelog.asked == [{0: 0, 1: 0}, {0: 2, 1: 0}]

    run(story)


def test_a_slice_without_a_row_leaves_the_rest_to_faust(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust_extensions, "SLICE", 0.0)
    group.changelog.stops = {0: asyncio.Event().wait}

    async def story() -> None:
        await group.assign(0, new=[0])
        assert await group.step() == {0: 4}
        assert group.rows(0) == {}

    run(story)


async def refuse() -> None:
    raise KafkaError


def test_what_the_brokers_refuse_is_left_to_faust(group: Group) -> None:
    group.changelog.stops = {2: refuse}

    async def story() -> None:
        await group.assign(0, 1, new=[0, 1])
        assert await group.step() == {0: 2, 1: 2}
        assert group.rows(0) == {b"0/a": b"1", b"0/b": b"1"}

    run(story)


def test_a_batch_read_when_a_rebalance_begins_is_not_applied(group: Group) -> None:
    """Its partition may be another worker's already; what is left is read once the partitions are given."""

    async def revoke() -> None:
        group.recovery.on_partitions_revoked(group.parts(0, 1))

    group.changelog.stops = {2: revoke}

    async def story() -> None:
        await group.assign(0, 1, new=[0, 1])
        group.recovery.signal_recovery_start.clear()
        with pytest.raises(RebalanceAgain):
            await group.step()
        assert not group.recovery.signal_recovery_start.is_set()
        assert group.rows(0) == {b"0/a": b"1", b"0/b": b"1"}
        await group.assign(0, new=[])
        await group.step()
        assert [group.rows(0), group.rows(1)] == [WHOLE[0], {}]
        assert group.changelog.asked == [{0: 0, 1: 0}, {0: 2}]

    run(story)


def test_what_faust_has_read_does_not_come_over_newer_rows(group: Group) -> None:
    """Rows wait in Faust's buffer until there are a thousand."""

    async def story() -> None:
        await group.assign(0, new=[0])
        (part,) = group.parts(0)
        waiting = [(b"0/a", b"1"), (b"0/b", b"1")]
        group.recovery.buffers[group.table].extend(faust_extensions.changelog_events(part.topic, 0, waiting, 1))
        await group.step()
        group.recovery.flush_buffers()
        assert group.rows(0) == WHOLE[0]
        assert group.table.persisted_offset(part) == 3

    run(story)
