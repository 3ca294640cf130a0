"""A whole topic from its beginning, read without a group by kafka-python; the caller decides where it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from streams.errors import BrokerError
from streams.kafka.admin import READING, meaning_of

Reader = tuple[Any, list[TopicPartition]]
"""The consumer, at the beginning of every partition, and these partitions in order."""


@contextmanager
def consumer_of(place: str, *, gapless: bool, **options: Any) -> Iterator[Any]:
    """A consumer without a group; ``options`` are its own, ``place`` is the prefix of messages of Kafka's errors.

    Records that retention removes before they are read are passed over, unless it is to be ``gapless``.

    Raises:
        BrokerError: where the broker cannot be read, or has removed what was to be read without a gap.
    """
    reset = "none" if gapless else "earliest"
    try:
        consumer = KafkaConsumer(**options, enable_auto_commit=False, auto_offset_reset=reset, **READING)
        try:
            yield consumer
        finally:
            consumer.close()
    except OffsetOutOfRangeError as error:
        where = ", ".join(f"{part.topic}/{part.partition} from offset {at} on" for part, at in error.args[0].items())
        raise BrokerError(
            f"{where}: removed by the topic's retention before it was read, and what is left would give wrong "
            "verdicts; run it again, and keep the topic for longer (retention.ms)"
        ) from error
    except KafkaError as error:
        raise BrokerError(f"{place}: {meaning_of(error)}") from error


@contextmanager
def from_beginning(topic: str, place: str, *, missing: str, gapless: bool = False, **options: Any) -> Iterator[Reader]:
    """Opens the topic; see ``consumer_of``.

    Raises:
        BrokerError: with ``missing`` where there is no such topic, else as ``consumer_of``.
    """
    with consumer_of(place, gapless=gapless, **options) as consumer:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise BrokerError(missing)
        parts = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        yield consumer, parts
