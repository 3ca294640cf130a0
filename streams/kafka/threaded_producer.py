"""The producer of commands, kafka-python's: ``send`` returns at once, and its thread writes."""

from __future__ import annotations

from typing import Any, Final

from kafka import KafkaProducer
from kafka.client_async import KafkaClient


class _Client(KafkaClient):  # type: ignore[misc]
    """A network client that may be woken when it is closed.

    A producer (2.3) tells its thread to end and then wakes it. The thread may end in between, and takes the socket with
    it by which it would be woken: ``close`` failed with BrokenPipeError though everything was written.
    """

    def wakeup(self) -> None:
        try:
            super().wakeup()
        except (OSError, AttributeError):  # the socket is closed, or gone
            if not self._closed:
                raise


class ThreadedProducer(KafkaProducer):  # type: ignore[misc]
    """Every record is acknowledged by all in-sync replicas; close it."""

    DEFAULT_CONFIG: Final[dict[str, Any]] = {**KafkaProducer.DEFAULT_CONFIG, "acks": "all", "kafka_client": _Client}
