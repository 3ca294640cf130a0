"""A whole topic from its beginning, read without a group by kafka-python; the caller decides where it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams.errors import BrokerError
from streams.kafka.admin import READING

Reader = tuple[Any, list[TopicPartition]]
"""The consumer, at the beginning of every partition, and these partitions in order."""


@contextmanager
def from_beginning(topic: str, place: str, *, missing: str, **options: Any) -> Iterator[Reader]:
    """Opens the topic; ``options`` are the consumer's, ``place`` is the prefix of messages of Kafka's errors.

    Raises:
        BrokerError: with ``missing`` where there is no such topic, or where the broker cannot be read.
    """
    try:
        consumer = KafkaConsumer(**options, enable_auto_commit=False, auto_offset_reset="earliest", **READING)
        try:
            numbers = consumer.partitions_for_topic(topic)
            if not numbers:
                raise BrokerError(missing)
            parts = [TopicPartition(topic, number) for number in sorted(numbers)]
            consumer.assign(parts)
            consumer.seek_to_beginning(*parts)
            yield consumer, parts
        finally:
            consumer.close()
    except KafkaError as error:
        raise BrokerError(f"{place}: {error}") from error
