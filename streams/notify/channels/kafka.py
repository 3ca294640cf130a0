"""A topic of the same brokers: each alert a record, key and value as on the alerts topic."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.core.delivery_message import Delivery
from streams.notify.channels.contract import NotDelivered
from streams.wire.decoder import encode_json


class KafkaTopic:
    """One topic. The caller owns the producer and stops it."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, timeout_us: int) -> None:
        self._producer = producer
        self._topic = topic
        self._timeout = timeout_us / 1e6

    async def deliver(self, delivery: Delivery, *, test: bool = False) -> None:
        """Produce it and wait for the brokers; see ``Channel``."""
        common = [("subscription", delivery.subscription.encode())]
        if delivery.level:
            common.append(("escalated-to", delivery.level.encode()))
        if test:
            common.append(("test", b"true"))
        try:
            async with asyncio.timeout(self._timeout):
                sends = [
                    await self._producer.send(
                        self._topic,
                        encode_json(event),
                        key=event["data"]["case_id"].encode(),
                        headers=[*common, ("idempotency-key", event["data"]["alert_id"].encode())],
                    )
                    for event in delivery.events
                ]
                for sent in sends:
                    await sent
        except TimeoutError as error:
            raise NotDelivered("timeout", f"no answer in {self._timeout:g} s", again=True) from error
        except KafkaError as error:
            raise NotDelivered("unreachable", type(error).__name__, again=error.retriable) from error

    async def close(self) -> None:
        """Nothing to release."""
