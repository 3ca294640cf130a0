"""Sends simulated work orders to a topic as their time comes, by the clock that the workers run by.

What was recorded before now is sent at once, in order, so that there is a stock of open cases to begin with.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaProducer

from schemas.fields import parse_time
from streams.adapters.codec import encode_json
from streams.adapters.wall_clock import WallClock
from streams.core.instants import instant_us

LONGEST_WAIT = 0.5
"""Seconds: so soon the feeder hears that it is to stop."""


def feed(
    events: Iterable[Mapping[str, Any]],
    topic: str,
    clock: WallClock,
    stop: threading.Event,
    options: Mapping[str, Any],
) -> int:
    """Send events that are sorted by ``recorded_at`` until there is none left or ``stop`` is set; how many went.

    Raises:
        kafka.errors.KafkaError: where the broker does not take them.
    """
    producer = KafkaProducer(**options, acks="all", linger_ms=5)
    sent = 0
    try:
        for event in events:
            at = instant_us(parse_time(event["recorded_at"]))
            while (ahead := at - clock.now()) > 0:
                if stop.wait(min(LONGEST_WAIT, ahead / 1e6 / float(clock.speed))):
                    return sent
            key = str(event.get("order_id") or event.get("account_id") or event.get("meter_id")).encode()
            producer.send(topic, encode_json(dict(event)), key=key)
            sent += 1
        producer.flush(timeout=60)
    finally:
        producer.close(timeout=10)
    return sent
