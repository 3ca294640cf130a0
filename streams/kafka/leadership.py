"""Who of several processes leads: the one that the group protocol gives a certain partition to."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition


class Leadership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells who has the one partition; a leader ends its work before the partition goes."""

    def __init__(self, state: TopicPartition, leads: asyncio.Event, lost: asyncio.Event, idle: asyncio.Event) -> None:
        self._state = state
        self._leads = leads
        self._lost = lost
        self._idle = idle

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """End the term first."""
        if self._state in revoked:
            self._leads.clear()
            self._lost.set()
            await self._idle.wait()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin one."""
        if self._state in assigned:
            self._leads.set()


async def keep_polling(group: AIOKafkaConsumer) -> None:
    """A member that does not poll is taken for dead. What it reads are our own rows."""
    while True:
        await group.getmany(timeout_ms=1000)


async def either(leads: asyncio.Event, stop: asyncio.Event, keeping: asyncio.Task[None]) -> bool:
    """Waits for one of them; whether this process leads."""
    waits = [asyncio.create_task(leads.wait()), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait([*waits, keeping], return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        return leads.is_set() and not stop.is_set()
    finally:
        for wait in waits:
            wait.cancel()
