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
from streams.wire.state_rows import Position, position_to_bytes

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
