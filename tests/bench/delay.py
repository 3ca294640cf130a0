"""How long after its deadline a breach is out: one worker, the whole rulebook, Apache Kafka, in real time.

Orders at the counter begin five minutes before their deadlines and are never completed; around them flows a stream of
simulated orders at the given rate (default: half of what the worker takes in from a backlog, measured first). The
orders whose deadlines come soon began before the bench did: they are a backlog that the worker reads first, stamped
with the time at which it would have grown. A delay is the instant at which a subscriber has read the alert, less the
deadline; it holds the grace of one second that events are given to arrive.

    python -m tests.bench.delay --rate 1500 --seconds 120
"""

from __future__ import annotations

import heapq
import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from streams.core.instants import format_us, instant_us
from streams.kafka.brokers import Broker
from streams.simulation import simulate
from tests.bench.measuring import (
    CLOCK,
    MINUTE,
    SECOND,
    Feed,
    Sent,
    Usage,
    Used,
    behind,
    event,
    on_a_broker,
    parser_of,
    percentile,
    say,
    sent_at,
)
from tests.bench.throughput import our_rate
from tests.integration.live import Live, until, write_events
from tests.stories import SHANGHAI, moment

PARTITIONS = 4
LIMIT = 5 * MINUTE
AIM = 2.0
"""Seconds within which a breach is to be out."""

ORDERS = 5000
"""Simulated at most, and then again under other names."""

TURN, AT = b"@turn@", b"@at@"
"""Places in the template of an event."""

READY = 120
"""Seconds until the worker has read the backlog, at most."""


@dataclass(frozen=True)
class Delays:
    """Seconds from each deadline in the time measured until the alert was read, and by the record's own timestamp."""

    read: Sequence[float]
    written: Sequence[float]
    wanted: int
    feed_late: float
    events: int
    used: Used

    def lines(self) -> Iterator[str]:
        yield f"{self.events:,} events fed, the latest of them {self.feed_late:.2f} s behind its time"
        yield f"{len(self.read):,} breaches, {self.wanted:,} of orders made for it: all out, and all that the log gives"
        yield "| from the deadline until | median | P95 | P99 | worst | within 2 s |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: |"
        for name, values in (("the alert was written", self.written), ("a subscriber had it", self.read)):
            figures = [f"{percentile(values, share):.2f} s" for share in (0.5, 0.95, 0.99, 1)]
            within = sum(value <= AIM for value in values) / len(values)
            yield f"| {name} | {' | '.join(figures)} | {within:.2%} |"
        yield self.used.text


class Subscriber:
    """Reads the alerts topic all the time, and notes when it had each record."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self.seen: list[tuple[int, int, bytes]] = []
        """When it was read and when it was written, in microseconds, and the record."""
        # Not kafka-python: where one event in six makes an alert, it would need a third of a core.
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "delay", "enable.auto.commit": False, "fetch.wait.max.ms": 50}
        )
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            record = self._consumer.poll(0.2)
            if record is None:
                continue
            value = record.value()
            if record.error() is not None or value is None:
                raise KafkaException(record.error())
            self.seen.append((CLOCK.now(), record.timestamp()[1] * 1000, value))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        self._consumer.close()


def _due(number: int, began: int, a_second: float) -> int:
    return began + int(number * SECOND / a_second)


def _silent(number: int, began: int, a_second: float) -> Sent:
    """The start of the order that breaches as the so-manieth after ``began``."""
    at = _due(number, began, a_second) - LIMIT
    return sent_at(at, event(f"DUE{number:07d}", 1, "counter.service_started", at, business="fee"))


def _stream(events: Sequence[dict[str, Any]], rate: float, first: int) -> Iterator[Sent]:
    """Orders at an even rate from an instant on, again and again, every event as if it happened just then."""
    templates = list(map(_template, events))
    key, value = b"", b""
    for number in itertools.count():
        turn, place = divmod(number, len(events))
        at = first + int(number * SECOND / rate)
        if not place or events[place]["event_id"] != events[place - 1]["event_id"]:  # else it is sent twice, as it is
            name, instant = b"%d" % turn, format_us(at, SHANGHAI).encode()
            key, value = (text.replace(TURN, name).replace(AT, instant) for text in templates[place])
        yield at, key, value


def _template(fields: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Key and value of an event, with places for the turn and its instant: to encode each takes a third of a core."""
    names = ("event_id", "order_id", "account_id", "meter_id", "batch_id", "corrects")
    named = {name: f"{TURN.decode()}.{fields[name]}" for name in names if name in fields}
    _, key, value = sent_at(0, {**fields, **named, "occurred_at": AT.decode(), "recorded_at": AT.decode()})
    return key, value


def measure(found: Broker, prefix: str, directory: Path, *, rate: float, seconds: float, a_second: float) -> Delays:
    """Run it. ``a_second`` orders come due each second.

    Raises:
        AssertionError: where an alert is missing, or is none that the log gives.
    """
    with Live(found.bootstrap, prefix, directory, partitions=PARTITIONS) as live:
        live.make_source(PARTITIONS)
        topic = f"{live.name}.events"
        day = datetime.fromtimestamp(CLOCK.now() / SECOND, SHANGHAI).date()
        simulated = simulate(orders=min(ORDERS, int(rate * seconds)), seed=5, start=day, days=30).events
        began = CLOCK.now()
        silent = (_silent(number, began, a_second) for number in itertools.count())
        backlog = list(itertools.takewhile(lambda one: one[0] < began, silent))
        live.send(write_events(directory / "backlog.jsonl", map(_fields, backlog)), "--timestamps", "recorded")
        worker = live.worker()
        subscriber = Subscriber(found.bootstrap, f"{live.name}.alerts", live.partitions)
        following = heapq.merge(
            _stream(simulated, rate, CLOCK.now()),
            (_silent(number, began, a_second) for number in itertools.count(len(backlog))),
        )
        try:
            with Feed(found.bootstrap, topic, following) as feed:
                until(lambda: behind(worker.metrics(), PARTITIONS) < 3, READY, lambda: worker.output)
                usage, first = Usage(live.workers, found), CLOCK.now() + SECOND // 4
                feed.late = 0.0
                last = first + int(seconds * SECOND)
                while CLOCK.now() < last:
                    time.sleep(0.2)
                used = usage.so_far()
                late, events = feed.late, feed.count
            told = live.settle(format_us(last, SHANGHAI))
            until(lambda: len(subscriber.seen) >= len(told), 20, lambda: f"{len(subscriber.seen)} of {len(told)}")
        finally:
            subscriber.close()
        read: dict[str, tuple[float, float]] = {}
        for at, written, value in subscriber.seen:
            data = json.loads(value)["data"]
            due = _deadline(data)
            if data["kind"] == "breach" and first <= due < last and data["alert_id"] not in read:
                read[data["alert_id"]] = (at - due) / SECOND, (written - due) / SECOND
        wanted = {
            order for number, order in _orders(began, a_second, last) if first <= _due(number, began, a_second) < last
        }
        missing = wanted - {data["order_id"] for data in told.values() if data["kind"] == "breach"}
        assert not missing, sorted(missing)[:3]
        return Delays(
            [one for one, _ in read.values()], [one for _, one in read.values()], len(wanted), late, events, used
        )


def _fields(sent: Sent) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(sent[2])
    return fields


def _orders(began: int, a_second: float, last: int) -> Iterator[tuple[int, str]]:
    for number in itertools.count():
        if _due(number, began, a_second) >= last:
            return
        yield number, f"DUE{number:07d}"


def _deadline(data: dict[str, Any]) -> int:
    return instant_us(moment(data["deadline"])) if data.get("deadline") else 0


def half_rate(found: Broker, directory: Path, events: int) -> float:
    """Half of what one worker takes in from a backlog."""
    made = simulate(orders=events // 5, seed=1, start=datetime(2025, 3, 3, tzinfo=SHANGHAI).date(), days=30).events
    with Live(found.bootstrap, "delay-rate-", directory, partitions=PARTITIONS) as live:
        live.make_source(PARTITIONS)
        live.send(write_events(directory / "events.jsonl", made), "--timestamps", "recorded")
        return our_rate(live, len(made)).wall / 2


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = parser_of("delay", __doc__)
    parser.add_argument("--rate", type=float, help="events a second (default: half of the worker's own)")
    parser.add_argument("--seconds", type=float, default=120, help="how long to measure (120)")
    parser.add_argument("--breaches", type=float, default=20, help="orders that come due each second (20)")
    parser.add_argument("--events", type=int, default=60_000, help="of the backlog that the rate is found with (60000)")
    given = parser.parse_args(arguments)
    with on_a_broker() as (found, directory):
        rate = given.rate or half_rate(found, directory, given.events)
        say(f"one worker, {PARTITIONS} partitions, whole rulebook; {rate:,.0f} events/s for {given.seconds:g} s")
        done = measure(found, "delay-", directory, rate=rate, seconds=given.seconds, a_second=given.breaches)
    for line in done.lines():
        say(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
