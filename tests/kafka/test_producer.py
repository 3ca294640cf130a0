"""What is said of brokers that take no writes, and messages that are written together."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest
from aiokafka.partitioner import murmur2

from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.producer import LOG_AGAIN_SECONDS, BackPressure, BlockingProducer, Message
from tests.integration.live import Topic


class Elapsed:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_waited_for_is_said_once_a_minute_and_whenever_it_is_something_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    elapsed = Elapsed()
    waits = BackPressure(6, elapsed)

    def said(at: float) -> list[str]:
        elapsed.now = at
        caplog.clear()
        waits.check()
        return [record.getMessage().split(":")[0] for record in caplog.records]

    with waits.on("topic state"):
        elapsed.now = 1
        with waits.on("topic log"):
            assert said(6) == []
            assert said(7) == ["topic state has taken no writes for 7 s"]
            assert said(20) == []
            assert said(7 + LOG_AGAIN_SECONDS) == []
            assert said(8 + LOG_AGAIN_SECONDS) == ["topic state has taken no writes for 68 s"]
    with waits.on("topic log"):
        elapsed.now += 7
        with waits.on("topic alerts"):
            assert said(elapsed.now) == ["topic log has taken no writes for 7 s"]
            elapsed.now += 1
        overdue = waits.overdue()
    assert overdue == "topic log has taken no writes for 8 s"
    with waits.on("topic alerts"):
        elapsed.now += 7
        assert said(elapsed.now) == ["topic alerts has taken no writes for 7 s"]
    assert said(elapsed.now) == ["the brokers take writes again"]
    assert said(elapsed.now) == []


def test_messages_written_together_are_where_each_of_them_would_be(kafka: Broker, prefix: str) -> None:
    """More than one batch of each partition, one that is larger than a batch, one that deletes its key."""
    alone, together = f"{prefix}alone", f"{prefix}together"
    ensure_topics(kafka.bootstrap, [TopicSpec(topic, 3, compact=True) for topic in (alone, together)])
    messages = []
    for number in range(400):
        key, value = f"case-{number % 40}".encode(), str(number).encode() * (30_000 if number == 170 else 20)
        known = murmur2(key) & 0x7FFFFFFF if number % 3 else None
        messages.append(Message(key, value, [("n", b"1")], known))
    messages.append(Message(b"case-7", None))

    async def write() -> None:
        producer = BlockingProducer(bootstrap_servers=kafka.bootstrap, patience=10, max_batch_size=2_000)
        await producer.start()
        try:
            await producer.send_together(together, messages)
            await producer.send_together(f"{prefix}never-made", [])
            for key, value, headers, _ in messages:
                await producer.send_and_wait(alone, value, key=key, headers=headers)
        finally:
            await producer.stop()

    asyncio.run(write())
    found = []
    for name in (alone, together):
        with closing(Topic(kafka.bootstrap, name)) as topic:
            found.append(sorted(topic.update(), key=lambda record: record[:2]))
    assert len(found[0]) == len(messages)
    assert found[0] == found[1]
    assert len({partition for partition, *_ in found[0]}) == 3
