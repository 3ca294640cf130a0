"""Checks that all partitions are judged by the same rulebook, and whether all workers read pruned histories.

Two workers with different rules, calendars or versions judge equal cases differently, and at each rebalance the cases
of moved partitions are judged again. A worker alone cannot see it. So each partition's position names the rulebook of
its writer, and each worker reads the positions of all partitions regularly: the last record of a changelog partition is
its position. Positions of version 0.1 name none and are ignored.

A position also names the newest format of rows that its worker reads. A worker of 0.1 refuses rows of pruned histories
and ends; so while it has a partition, or may have one, nobody prunes any.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Final

from aiokafka.errors import KafkaError

from schemas.snapshots import STATE_VERSION
from streams.kafka.range_reader import Reader
from streams.live.clock_partition import position_key
from streams.wire.state_rows import Position, StateError, check_numbers, position_from_bytes

EVERY: Final = 30.0
"""Seconds between two checks, and the most that one may take."""

logger = logging.getLogger(__name__)


class RulebookWatch:
    """Compares the rulebook of this worker (its fingerprint) with those of all partitions.

    ``ends`` gives the end offsets of the changelog's partitions that have a leader; ``on_count`` gets the number of
    rulebooks in use, including this worker's.
    """

    def __init__(
        self,
        own: str,
        partitions: int,
        ends: Callable[[list[int]], Awaitable[Mapping[int, int]]],
        read: Reader,
        on_count: Callable[[int], None],
    ) -> None:
        self._own = own
        self._partitions = partitions
        self._ends = ends
        self._read = read
        self._on_count = on_count
        self._others: dict[int, str] = {}
        self.all_read_pruned_rows = False
        """Whether the worker of each partition does, as of the last check; false before the first."""
        on_count(1)

    async def run(self) -> None:
        """Check repeatedly until cancelled."""
        logger.info("this worker judges by rulebook %s", self._own)
        while True:
            await asyncio.sleep(EVERY)
            try:
                async with asyncio.timeout(EVERY):
                    self.compare(await self._rulebooks())
            except (KafkaError, OSError, TimeoutError) as error:
                self.all_read_pruned_rows = False
                logger.info("by which rulebooks the partitions are judged is not known: %r", error)

    async def _rulebooks(self) -> dict[int, str]:
        found, empty = await self._positions()
        reading = sum(position.reads >= STATE_VERSION for position in found.values())
        self.all_read_pruned_rows = reading + empty == self._partitions
        return {number: one.rulebook for number, one in found.items() if one.rulebook is not None}

    async def _positions(self) -> tuple[dict[int, Position], int]:
        """The positions that can be read, and how many partitions have no row, so that no worker has had them."""
        ends = await self._ends(list(range(self._partitions)))
        last = {number: range(end - 1, end) for number, end in ends.items() if end}
        found: dict[int, Position] = {}
        async with aclosing(self._read(last)) as batches:
            async for number, records in batches:
                key, value = records[-1].key, records[-1].value
                if key == position_key(number) and value is not None:
                    with suppress(StateError):  # of a newer version: its worker reports the difference
                        found[number] = position_from_bytes(value)
        return found, len(ends) - len(last)

    async def check_numbers(self, *, hashed_by: str | None) -> None:
        """Refuse to begin where the state has account and meter numbers in another form.

        Raises:
            StateError: naming the first partition that has.
        """
        positions, _ = await self._positions()
        for number, position in sorted(positions.items()):
            if position.offset >= 0:  # before its first record a partition has no numbers
                check_numbers(number, position, hashed_by=hashed_by)

    def compare(self, rulebooks: Mapping[int, str]) -> None:
        """Store the rulebook of each partition; log when others appear, and when none remain."""
        others = {number: rulebook for number, rulebook in rulebooks.items() if rulebook != self._own}
        self._on_count(len({self._own, *others.values()}))
        if others and others != self._others:
            which = ", ".join(f"partition {number} by {rulebook}" for number, rulebook in sorted(others.items()))
            logger.warning(
                "this worker judges by rulebook %s, others by another one: %s; give all workers the same rules, "
                "calendar and version, and restart them",
                self._own, which,
            )  # fmt: skip
        elif self._others and not others:
            logger.info("all partitions are judged by rulebook %s", self._own)
        self._others = others
