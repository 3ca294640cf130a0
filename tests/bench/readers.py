"""What reading an event from Kafka costs the intake, by client: ``python -m tests.bench.readers [EVENTS] [ROUNDS]``.

The same simulated events, in four partitions, are read by aiokafka's ``getmany``, as the intake does, and by
librdkafka's ``consume`` from a thread, as an adapter for it would; of each record its offset, time and value are taken.
Each reader is a process of its own, in turns. Figures are medians of µs an event: processor time of the process with
all its threads, and time on the clock.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import date
from statistics import median
from typing import Final

from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer

from streams.kafka.admin import TopicSpec, ensure_topics
from streams.simulation import simulate
from streams.wire.decoder import encode_json
from tests.bench.measuring import CLOCK, SECOND, Feed, on_a_broker, say

TOPIC: Final = "readers"
PARTITIONS: Final = 4
BATCH: Final = 2_000  # as the intake
READERS: Final = ("aiokafka", "librdkafka")


async def _aiokafka(bootstrap: str) -> AsyncIterator[int]:
    options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, group_id=None, **options)
    await consumer.start()
    try:
        while True:
            found = await consumer.getmany(timeout_ms=100, max_records=BATCH)
            yield sum(
                len([(record.offset, record.timestamp, record.value) for record in records])
                for records in found.values()
            )
    finally:
        await consumer.stop()


async def _librdkafka(bootstrap: str) -> AsyncIterator[int]:
    options = {"isolation.level": "read_committed", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": TOPIC, **options})
    consumer.subscribe([TOPIC])
    try:
        while True:
            found = await asyncio.to_thread(consumer.consume, BATCH, 0.1)
            records = [message for message in found if message.error() is None]
            yield len([(record.offset(), record.timestamp()[1], record.value()) for record in records])
    finally:
        consumer.close()


async def _read(bootstrap: str, reader: str, wanted: int) -> tuple[float, float]:
    """Microseconds of processor time and on the clock for each event, from the first batch on."""
    taken, first, began = 0, 0, (0.0, 0.0)
    async for count in _aiokafka(bootstrap) if reader == READERS[0] else _librdkafka(bootstrap):
        taken += count
        if taken and not first:
            first, began = taken, (time.process_time(), time.monotonic())
        if taken >= wanted:
            break
    work, wall = time.process_time() - began[0], time.monotonic() - began[1]
    return work / (taken - first) * 1e6, wall / (taken - first) * 1e6


def main(wanted: int, rounds: int) -> None:
    events = simulate(orders=wanted // 5, seed=1, start=date(2025, 3, 3), days=30).events
    with on_a_broker() as (found, _):
        ensure_topics(found.bootstrap, [TopicSpec(TOPIC, PARTITIONS)])
        now = CLOCK.now() - SECOND
        feed = Feed(found.bootstrap, TOPIC, [(now, event["event_id"].encode(), encode_json(event)) for event in events])
        while not feed.is_done:
            time.sleep(0.1)
        say(f"{len(events):,} events in {PARTITIONS} partitions; µs an event, medians of {rounds}")
        costs: dict[str, list[tuple[float, float]]] = {reader: [] for reader in READERS}
        for _ in range(rounds):
            for reader in READERS:
                command = [sys.executable, "-m", "tests.bench.readers", found.bootstrap, reader, str(len(events))]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                costs[reader].append(tuple(json.loads(done.stdout)))
        for reader, found_costs in costs.items():
            work, wall = (median(cost) for cost in zip(*found_costs, strict=True))
            say(f"{reader:<12} processor {work:5.1f}  clock {wall:5.1f}")


if __name__ == "__main__":
    if sys.argv[2:] and sys.argv[2] in READERS:
        print(json.dumps(asyncio.run(_read(sys.argv[1], sys.argv[2], int(sys.argv[3])))))  # noqa: T201
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 200_000, int(sys.argv[2]) if sys.argv[2:] else 5)
