"""Sends simulated work orders to a topic as their time comes, by the clock that the workers run by.

What was recorded before now is sent at once, in order, so that there is a stock of open cases to begin with. The rest
goes out in small heaps, several times a second. One by one they would make a worker write a record of its log for
each, of which most would be empty; that is what a quiet county is like, but not what a machine on which all of it
runs should spend its processor on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.fields import parse_time
from streams.core.instants import instant_us
from streams.errors import BrokerError
from streams.settings import Settings
from streams.wall_clock import WallClock
from streams.wire.decoder import encode_json

_PATIENT: Final = {"delivery_timeout_ms": 86_400_000, "max_block_ms": 86_400_000}
"""Brokers that are away are waited for, for a day."""

HEAP_SECONDS: Final = 0.15
"""Of real time; well below the worker's grace, so that nothing becomes late by it."""


def feed(
    settings: Settings,
    events: Iterable[Mapping[str, Any]],
    clock: WallClock,
    stop: threading.Event,
    on_sent: Callable[[int], None] = lambda _count: None,
) -> int:
    """Send events that are sorted by ``recorded_at`` until there is none left or ``stop`` is set; how many went.

    Raises:
        BrokerError: where the broker does not take one.
    """
    topic, sent = settings.source_topics[0], 0
    refused: list[BaseException] = []
    try:
        producer = KafkaProducer(**settings.kafka_python(), acks="all", linger_ms=5, **_PATIENT)
        try:
            for event in events:
                if not _comes(instant_us(parse_time(event["recorded_at"])), clock, stop) or refused:
                    break
                key = str(event.get("order_id") or event.get("account_id") or event.get("meter_id")).encode()
                producer.send(topic, encode_json(dict(event)), key=key).add_errback(refused.append)
                sent += 1
                on_sent(sent)
            producer.flush(timeout=60)
        finally:
            producer.close(timeout=10)
    except (KafkaError, OSError) as error:
        refused.append(error)
    if refused:
        raise BrokerError(f"{settings.bootstrap}: {refused[0]}") from refused[0]
    return sent


def _comes(instant: int, clock: WallClock, stop: threading.Event) -> bool:
    """Whether the instant came; false where it is to stop before."""
    while (left := instant - clock.now()) > 0:
        if stop.wait(max(float(left / clock.speed) / 1e6, HEAP_SECONDS)):
            return False
    return not stop.is_set()


class Feeder:
    """``feed`` in a thread; ``sent`` counts, ``is_done`` once the broker has everything."""

    def __init__(self, settings: Settings, events: Iterable[Mapping[str, Any]], clock: WallClock) -> None:
        self.sent = 0
        self.is_done = False
        self._arguments = (settings, events, clock)
        self._stopping = threading.Event()
        self._failed: BrokerError | None = None
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

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
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        def count(sent: int) -> None:
            self.sent = sent

        try:
            feed(*self._arguments, self._stopping, count)
        except BrokerError as error:
            self._failed = error
        else:
            self.is_done = not self._stopping.is_set()
