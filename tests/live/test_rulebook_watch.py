"""Workers that judge by different rulebooks are noticed by what the positions of all partitions say."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from streams.live.clock_partition import position_key
from streams.live.rulebook_watch import RulebookWatch
from streams.wire.pseudonyms import Pseudonyms
from streams.wire.state_rows import Position, StateError, position_to_bytes

OLD = json.dumps({"v": 1, "offset": 4, "at": None, "watermarks": {}, "sources": {}}).encode()
NEWER = json.dumps({"v": 999}).encode()


@dataclass(frozen=True)
class Record:
    key: bytes
    value: bytes | None


def position(rulebook: str) -> bytes:
    return position_to_bytes(Position(4, None, {}, {}, rulebook=rulebook))


class Changelog:
    """The last record of each partition, as it is asked for."""

    def __init__(self) -> None:
        self.last: dict[int, Record] = {}

    async def ends(self, numbers: list[int]) -> Mapping[int, int]:
        return {number: 9 if number in self.last else 0 for number in numbers}

    async def read(self, spans: Mapping[int, range]) -> AsyncGenerator[tuple[int, Any], None]:
        for number, span in spans.items():
            assert span == range(8, 9)
            yield number, [self.last[number]]


@pytest.fixture
def changelog() -> Changelog:
    return Changelog()


def test_the_positions_of_all_partitions_are_compared(changelog: Changelog, caplog: pytest.LogCaptureFixture) -> None:
    counts: list[int] = []
    watch = RulebookWatch("aa", 6, changelog.ends, changelog.read, counts.append)
    values = [position("aa"), position("bb"), OLD, NEWER, position("cc")]  # partition 5 is empty
    changelog.last = {number: Record(position_key(number), value) for number, value in enumerate(values)}
    with caplog.at_level(logging.INFO, "streams.live.rulebook_watch"):
        for _ in range(3):
            watch.compare(asyncio.run(watch._rulebooks()))
        assert counts == [1, 3, 3, 3]
        (line,) = caplog.messages
        assert line.startswith(
            "this worker judges by rulebook aa, others by another one: partition 1 by bb, partition 4 by cc; "
        )
        changelog.last[1] = changelog.last[4] = Record(b"1/order/WO1", b"a row that is no position")
        watch.compare(asyncio.run(watch._rulebooks()))
        watch.compare(asyncio.run(watch._rulebooks()))
    assert counts[-1] == 1
    assert caplog.messages[1:] == ["all partitions are judged by rulebook aa"]


def test_histories_are_pruned_once_the_worker_of_every_partition_reads_such_rows(changelog: Changelog) -> None:
    watch = RulebookWatch("aa", 3, changelog.ends, changelog.read, lambda _: None)

    def look(*values: bytes) -> bool:
        changelog.last = {number: Record(position_key(number), value) for number, value in enumerate(values)}
        asyncio.run(watch._rulebooks())
        return watch.all_read_pruned_rows

    assert not watch.all_read_pruned_rows  # before the first check
    ours = position("aa")
    assert look()  # an installation that begins
    assert look(ours, ours, position("bb"))
    assert look(ours)
    assert not look(ours, OLD, ours)  # a worker of 0.1 has a partition
    assert not look(OLD)
    assert not look(ours, NEWER, ours)
    changelog.last[1] = Record(b"1/order/WO1", b"a row that is no position")
    asyncio.run(watch._rulebooks())
    assert not watch.all_read_pruned_rows


def test_histories_are_not_pruned_while_a_partition_has_no_leader() -> None:
    async def ends(_numbers: list[int]) -> Mapping[int, int]:
        return {}

    watch = RulebookWatch("aa", 3, ends, Changelog().read, lambda _: None)
    asyncio.run(watch._rulebooks())
    assert not watch.all_read_pruned_rows


@pytest.mark.parametrize("hashed_by", [None, "aa"])
def test_a_state_with_numbers_in_another_form_is_refused(changelog: Changelog, hashed_by: str | None) -> None:
    watch = RulebookWatch("aa", 3, changelog.ends, changelog.read, lambda _: None)
    asyncio.run(watch.check_numbers(hashed_by=hashed_by))  # a new name
    row = position_to_bytes(Position(4, None, {}, {}, hashed_by=hashed_by))
    changelog.last = {2: Record(position_key(2), row)}
    asyncio.run(watch.check_numbers(hashed_by=hashed_by))
    with pytest.raises(StateError, match=r"the state of partition 2 has .*: use another --name"):
        asyncio.run(watch.check_numbers(hashed_by="aa" if hashed_by is None else None))
    changelog.last = {2: Record(position_key(2), OLD)}  # of 0.1: real numbers
    asyncio.run(watch.check_numbers(hashed_by=None))
    with pytest.raises(StateError):
        asyncio.run(watch.check_numbers(hashed_by="aa"))


def test_a_state_with_pseudonyms_under_another_key_is_refused(changelog: Changelog) -> None:
    first, second = Pseudonyms(b"a key of sixteen characters").mark, Pseudonyms(b"another key of sixteen").mark
    watch = RulebookWatch("aa", 3, changelog.ends, changelog.read, lambda _: None)
    row = position_to_bytes(Position(4, None, {}, {}, hashed_by=first))
    changelog.last = {2: Record(position_key(2), row)}
    asyncio.run(watch.check_numbers(hashed_by=first))
    with pytest.raises(StateError, match=r"under another key than .*: use another --name, or set the key as before"):
        asyncio.run(watch.check_numbers(hashed_by=second))
    older = {name: value for name, value in json.loads(row).items() if name != "key"}
    changelog.last = {2: Record(position_key(2), json.dumps(older).encode())}
    asyncio.run(watch.check_numbers(hashed_by=second))  # which key is not known
    with pytest.raises(StateError, match="GRIDCLOCK_PSEUDONYMS_INSIDE is false"):
        asyncio.run(watch.check_numbers(hashed_by=None))
