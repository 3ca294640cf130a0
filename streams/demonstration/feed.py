"""Sends simulated events, each when its ``recorded_at`` has come on a scaled clock.

They go out in small heaps, several times a second. One by one they would make the worker write a record of its log
for each, of which most would be empty; that is what a quiet county is like, but not what a demo should spend its
processor on.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.fields import parse_time
from streams.adapters.wall_clock import WallClock
from streams.core.instants import instant_us
from streams.errors import BrokerError
from streams.settings import Settings

HEAP_SECONDS: Final = 0.15
"""Of real time; well below the worker's grace, so that nothing becomes late by it."""


class Feed:
    """A thread that sends; ``sent`` counts, ``is_done`` once the broker has everything."""

    def __init__(self, settings: Settings, events: Sequence[Mapping[str, Any]], clock: WallClock) -> None:
        self.sent = 0
        self.is_done = False
        self._settings = settings
        self._events = events
        self._clock = clock
        self._stopping = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="demo-feed", daemon=True)

    def start(self) -> None:
        """Begin; events of before the clock's beginning go out at once."""
        self._thread.start()

    def stop(self) -> None:
        """End early, or wait for what is left of the end; harmless when it has ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def check(self) -> None:
        """Raise what the thread ran into.

        Raises:
            BrokerError: where the broker did not take an event.
        """
        if self._failed:
            raise BrokerError(f"{self._settings.bootstrap}: {self._failed[0]}") from self._failed[0]

    def _run(self) -> None:
        try:
            producer = KafkaProducer(**self._settings.kafka_python(), acks="all", linger_ms=0)
            try:
                self._send_all(producer)
            finally:
                producer.close(timeout=5)
        except (KafkaError, OSError) as error:
            self._failed.append(error)

    def _send_all(self, producer: Any) -> None:
        topic = self._settings.source_topics[0]
        for event in self._events:
            if not self._wait_until(instant_us(parse_time(event["recorded_at"]))) or self._failed:
                return
            value = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
            producer.send(topic, value, key=event["order_id"].encode()).add_errback(self._failed.append)
            self.sent += 1
        producer.flush(timeout=30)
        self.is_done = True

    def _wait_until(self, instant: int) -> bool:
        """Whether the instant came; false where it is to stop before."""
        while (left := instant - self._clock.now()) > 0:
            if self._stopping.wait(max(float(left / self._clock.speed) / 1e6, HEAP_SECONDS)):
                return False
        return not self._stopping.is_set()
