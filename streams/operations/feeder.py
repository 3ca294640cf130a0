"""Sends simulated work orders to a topic at their times, by the workers' clock.

Events recorded before now are sent at once, in order, so that there are open cases to begin with. The others are sent
in small batches, several times a second: sent one by one, each would cause a log record of its own in every worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kafka.errors import KafkaError

from schemas.fields import parse_time
from streams.core.instants import instant_us
from streams.errors import BrokerError
from streams.kafka.threaded_producer import ThreadedProducer
from streams.settings import Settings
from streams.wall_clock import WallClock
from streams.wire.decoder import encode_json

_PATIENT: Final = {"delivery_timeout_ms": 86_400_000, "max_block_ms": 86_400_000}
"""It waits up to a day for brokers that do not answer."""

HEAP_SECONDS: Final = 0.15
"""Seconds of real time between batches; well below the worker's grace, so that no event becomes late."""


def feed(
    settings: Settings,
    events: Iterable[Mapping[str, Any]],
    clock: WallClock,
    stop: threading.Event,
    on_sent: Callable[[int], None] = lambda _count: None,
) -> int:
    """Send events, sorted by ``recorded_at``, until the last or ``stop``; returns the number sent.

    Raises:
        BrokerError: where the broker refuses one.
    """
    topic, sent = settings.source_topics[0], 0
    refused: list[BaseException] = []
    try:
        producer = ThreadedProducer(**settings.kafka_python(), linger_ms=5, **_PATIENT)
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
    """Wait for the instant; false where ``stop`` is set before."""
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
        """Start; events before the clock's beginning are sent at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop early, and wait for the thread; no effect where it has ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def check(self) -> None:
        """Raise the thread's error, if there is one.

        Raises:
            BrokerError: where the broker refused an event.
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
