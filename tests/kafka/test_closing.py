"""Clients that are closed while something else ends, too."""

from __future__ import annotations

import asyncio
import threading

from aiokafka.admin import AIOKafkaAdminClient

from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.closing import closed
from streams.kafka.threaded_producer import ThreadedProducer
from tests.integration.live import until


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


def test_a_producer_whose_thread_ends_before_it_is_woken_is_closed(kafka: Broker, prefix: str) -> None:
    """kafka-python's fails with BrokenPipeError, or what else there is in place of the socket."""
    producer = ThreadedProducer(bootstrap_servers=kafka.bootstrap)
    ensure_topics(kafka.bootstrap, [TopicSpec(f"{prefix}one", 1, -1)])
    producer.send(f"{prefix}one", b"{}").get(30)
    thread = producer._sender
    client = thread._client
    lock = client._wake_lock

    class Late:
        """The lock of the socket; who is about to wake the thread finds that another has, and that it has ended."""

        def __enter__(self) -> None:
            if threading.current_thread() is not thread and not thread._running:
                client._wake_w.sendall(b"x")
                thread.join(30)
            lock.acquire()

        def __exit__(self, *_error: object) -> None:
            lock.release()

    until(lambda: not client._waking, 30, lambda: "never asleep")
    client._wake_lock = Late()
    thread.initiate_close()  # as ``close`` does
    assert not thread.is_alive()
    producer.close(timeout=30)
