"""Leader election: the leader is the process to which the group protocol assigns a certain partition."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition


class Leadership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Signals whether this process has the partition; a leader finishes its work before it is revoked."""

    def __init__(self, state: TopicPartition, leads: asyncio.Event, lost: asyncio.Event, idle: asyncio.Event) -> None:
        self._state = state
        self._leads = leads
        self._lost = lost
        self._idle = idle

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Wait until the leader has finished."""
        if self._state in revoked:
            self._leads.clear()
            self._lost.set()
            await self._idle.wait()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Lead, where the partition was assigned to this process."""
        if self._state in assigned:
            self._leads.set()


async def keep_polling(group: AIOKafkaConsumer) -> None:
    """Poll, because a member that does not poll is removed from the group. The records are ignored."""
    while True:
        await group.getmany(timeout_ms=1000)


async def either(leads: asyncio.Event, stop: asyncio.Event, keeping: asyncio.Task[None]) -> bool:
    """Wait for one of them; true where this process leads."""
    waits = [asyncio.create_task(leads.wait()), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait([*waits, keeping], return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        return leads.is_set() and not stop.is_set()
    finally:
        for wait in waits:
            wait.cancel()
