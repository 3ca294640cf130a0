"""The changelog on a broker: a second writer does not go unseen."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

from streams.adapters.brokers import Broker
from streams.adapters.changelog import Changelog
from streams.adapters.kafka_admin import TopicSpec, ensure_topics
from streams.adapters.log_replay import read_topic


def test_a_second_writer_is_seen(kafka: Broker, prefix: str) -> None:
    topic = f"{prefix}changelog"
    ensure_topics(kafka.bootstrap, [TopicSpec(topic, 4, compact=True)])

    async def story() -> list[bool]:
        producers = [AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True) for _ in range(2)]
        for producer in producers:
            await producer.start()
        try:
            first, second = (Changelog(producer, topic) for producer in producers)
            first.begin(1, 0)
            seen = [(await first.keep(1, [(b"1/a", b"x"), (b"1/*", b"0")])).alone]
            seen.append((await first.keep(1, [(b"1/*", b"1")])).alone)
            second.begin(1, 3)  # it has recovered all three rows
            seen.append((await second.keep(1, [(b"1/*", b"2")])).alone)
            seen.append((await first.keep(1, [(b"1/a", b"stale"), (b"1/*", b"2")])).alone)  # woken up
            seen.append((await second.keep(1, [(b"1/b", None), (b"1/*", b"3")])).alone)
            seen.append((await second.keep(1, [(b"1/a", b"y"), (b"1/*", b"3")])).alone)  # all rows again
            return seen
        finally:
            for producer in producers:
                await producer.stop()

    assert asyncio.run(story()) == [True, True, True, False, False, True]
    values = [value for partition, _, value in read_topic(kafka.bootstrap, topic) if partition == 1]
    assert values == [b"x", b"0", b"1", b"2", b"stale", b"2", None, b"3", b"y", b"3"]
