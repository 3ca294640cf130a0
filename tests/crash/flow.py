"""Events as they come in on a bad day: at their moments, late, twice, with garbage between them.

The moments are those of a clock that runs many times as fast as the real one, the workers' own. What was recorded
before it began lies in the topic from the start, under its old timestamps; everything else is stamped by the moment
at which it is handed in, so what was held back is late.
"""

from __future__ import annotations

import heapq
import itertools
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any

from schemas.fields import parse_time
from streams.core.instants import instant_us
from streams.kafka.threaded_producer import ThreadedProducer
from streams.wall_clock import WallClock
from tests.integration.test_hostile import garbage

HEAP_SECONDS = 0.05
GARBAGE = b"garbage/"
"""How the key of what nobody can take begins; the reason why follows."""

PATIENCE = 300
"""Seconds for what takes a few where the machine has nothing else to do."""

RECENT = 500
"""Events that may come again: what is long past may have been forgotten, and would begin anew."""


def key_of(event: Mapping[str, Any]) -> bytes:
    """The record's key: what the event is about."""
    return str(event.get("order_id") or event.get("account_id") or event.get("meter_id")).encode()


def value_of(event: Mapping[str, Any]) -> bytes:
    """The record's value."""
    return json.dumps(event, ensure_ascii=False).encode()


class Flow:
    """Sends events, sorted by ``recorded_at``, from a thread of its own. Use as a context manager."""

    def __init__(self, bootstrap: str, topic: str, clock: WallClock, events: Iterable[Mapping[str, Any]]) -> None:
        self._topic = topic
        self._clock = clock
        self._number = itertools.count()
        self._waiting = [
            (instant_us(parse_time(event["recorded_at"])), next(self._number), dict(event)) for event in events
        ]
        self._recent: list[dict[str, Any]] = []
        self._held = 0
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._stopping = threading.Event()
        self._refused: list[BaseException] = []
        self.latest = 0
        """By how much (microseconds of the clock) a record came later than it was due to, at most."""
        # A node may be away for as long as it takes to start; what was sent meanwhile must not be lost by us.
        self._producer = ThreadedProducer(
            bootstrap_servers=bootstrap.split(","), linger_ms=5, max_request_size=4_000_000,
            metadata_max_age_ms=2_000, request_timeout_ms=20_000, delivery_timeout_ms=600_000, max_block_ms=600_000,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="flow", daemon=True)

    def __enter__(self) -> Flow:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._producer.close(timeout=10)

    def start(self) -> None:
        """Send what lies before the clock's beginning, and begin."""
        real = WallClock(self._clock.origin, self._clock.anchor, 1 / self._clock.speed)  # the other way round
        while self._waiting and self._waiting[0][0] <= self._clock.origin:
            at, _, event = heapq.heappop(self._waiting)
            self._send(key_of(event), value_of(event), at, real.at(at) // 1000)
            self._recent = [event]
        self._producer.flush(60)
        self._thread.start()

    @property
    def left(self) -> int:
        """Records not handed in yet."""
        with self._lock:
            return len(self._waiting)

    def check(self) -> None:
        """Fail where the brokers did not take a record, or the thread has ended."""
        assert not self._refused, self._refused[0]
        assert self._thread.is_alive() or not self._waiting

    def finish(self) -> None:
        """Wait until all that was sent is with the brokers."""
        self._thread.join(timeout=PATIENCE)
        self._producer.flush(PATIENCE)
        self.check()
        assert not self._thread.is_alive()

    def hold_back(self, chance: Random, within: int, at_most: int) -> int:
        """Of what is due within so long (microseconds), half comes later by up to so much, in any order; how many."""
        with self._lock:
            end = self._clock.now() + within
            held = {number for at, number, _ in self._waiting if at < end and chance.random() < 0.5}
            self._waiting = [
                (at + chance.randrange(at_most) if number in held else at, number, event)
                for at, number, event in self._waiting
            ]
            heapq.heapify(self._waiting)
            return len(held)

    def reverse(self, within: int) -> int:
        """What is due within so long (microseconds) comes at the end of it, the last first; how many."""
        with self._lock:
            end = self._clock.now() + within
            turned = {number for at, number, _ in self._waiting if at < end}
            self._waiting = [
                (end + (end - at) // 1000, number, event) if number in turned else (at, number, event)
                for at, number, event in self._waiting
            ]
            heapq.heapify(self._waiting)
            return len(turned)

    def recent(self) -> list[dict[str, Any]]:
        """The events that came last."""
        with self._lock:
            return self._recent[-RECENT:]

    def repeat(self, chance: Random, times: int) -> int:
        """Everything recent comes again so many times, in any order; how many records that makes."""
        again = self.recent() * times
        chance.shuffle(again)
        for event in again:
            self.plant(event)
        return len(again)

    def spoil(self, chance: Random, count: int) -> int:
        """So many records that nobody can take."""
        good = self.recent()[-1]
        for number in range(count):
            self.refused(*garbage(chance, good, number))
        return count

    def plant(self, event: Mapping[str, Any], partition: int | None = None) -> None:
        """One event more, now."""
        self._send(key_of(event), value_of(event), self._clock.now(), None, partition)

    def refused(self, value: bytes, reason: str, *, timestamp_ms: int | None = None, partition: int = 0) -> None:
        """A record that must be refused for this reason."""
        self._send(GARBAGE + reason.encode(), value, self._clock.now(), timestamp_ms, partition)

    def flush(self) -> None:
        """What was sent is with the brokers."""
        self._producer.flush(PATIENCE)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is sent while the block runs, and what was sent is with the brokers."""
        with self._sending:
            self.flush()
            yield

    def _send(self, key: bytes, value: bytes, due: int, timestamp: int | None, partition: int | None = None) -> None:
        sent = self._producer.send(self._topic, value, key=key, timestamp_ms=timestamp, partition=partition)
        sent.add_errback(self._refused.append)
        if timestamp is None:
            sent.add_callback(lambda _: self._note(self._clock.now() - due))

    def _note(self, late: int) -> None:
        self.latest = max(self.latest, late)

    def _run(self) -> None:
        while not self._stopping.wait(HEAP_SECONDS) and not self._refused:
            with self._sending:
                with self._lock:
                    now, due = self._clock.now(), []
                    while self._waiting and self._waiting[0][0] <= now:
                        due.append(heapq.heappop(self._waiting))
                    ended = not self._waiting
                    self._recent = [*self._recent[-RECENT:], *(event for *_, event in due)]
                for at, _, event in due:
                    self._send(key_of(event), value_of(event), at, None)
            if ended:
                return
