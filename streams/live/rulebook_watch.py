"""Checks that all partitions are judged by the same rulebook.

Two workers with different rules, calendars or versions judge equal cases differently, and at each rebalance the cases
of moved partitions are judged again. A worker alone cannot see it. So each partition's position names the rulebook of
its writer, and each worker reads the positions of all partitions regularly: the last record of a changelog partition is
its position. Positions of version 0.1 name none and are ignored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final

from aiokafka.errors import KafkaError

from streams.kafka.range_reader import Reader
from streams.live.clock_partition import position_key
from streams.wire.state_rows import StateError, position_from_bytes

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
                logger.info("by which rulebooks the partitions are judged is not known: %r", error)

    async def _rulebooks(self) -> dict[int, str]:
        ends = await self._ends(list(range(self._partitions)))
        last = {number: range(end - 1, end) for number, end in ends.items() if end}
        found: dict[int, str] = {}
        async with aclosing(self._read(last)) as batches:
            async for number, records in batches:
                key, value = records[-1].key, records[-1].value
                if key == position_key(number) and value is not None:
                    try:
                        rulebook = position_from_bytes(value).rulebook
                    except StateError:  # of a newer version: its worker reports the difference
                        continue
                    if rulebook is not None:
                        found[number] = rulebook
        return found

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
