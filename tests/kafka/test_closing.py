"""Clients that are closed in a task which is cancelled meanwhile."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient

from streams.kafka.brokers import Broker
from streams.kafka.closing import closed


def test_a_task_that_is_cancelled_while_it_closes_a_client_ends(kafka: Broker) -> None:
    """At whichever step: the board did not end on SIGTERM when it was just closing a client, and went on to sleep."""

    async def cancelled_after(steps: int) -> bool:
        client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await client.start()
        task = asyncio.create_task(closed(client.close()))
        for _ in range(steps):
            await asyncio.sleep(0)
        if not task.cancel():
            return True  # it had ended
        await asyncio.wait([task])
        return task.cancelled()

    async def story() -> list[int]:
        return [steps for steps in range(1, 20) if not await cancelled_after(steps)]

    assert asyncio.run(story()) == []
