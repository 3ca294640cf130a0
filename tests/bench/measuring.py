"""What the benches of a live worker share: what they ran on, what each process used, and a feed that keeps time.

A figure without what it was measured on is worth nothing. So each bench prints the machine, the broker, and how the
processor's time was shared out: with two cores, the broker and whoever else works on the machine are part of every
figure by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from kafka import KafkaAdminClient
from kafka.protocol.admin import DescribeLogDirsRequest

from streams.core.instants import format_us
from streams.kafka.brokers import Broker, broker
from streams.wall_clock import WallClock
from tests.integration.live import Worker, processor_seconds, total_of
from tests.stories import SHANGHAI

SECOND = 1_000_000
MINUTE = 60 * SECOND
CLOCK = WallClock()
LOOK_EVERY = 2.0
"""Seconds between two looks at two of a worker's metrics, once it has begun."""
LOOKED_AT = "gridclock_events_total", "gridclock_watermark_lag_seconds"
SCRAPE_EVERY = 15.0
"""Seconds between two looks at all of them, as in ``deploy/prometheus``: showing them takes a tenth of a second."""
FEED_EVERY = 0.02
"""Seconds between the heaps of a feed; well below the worker's grace."""

Sent = tuple[int, bytes, bytes]
"""What a feed sends: when (an instant in microseconds), the record's key, and its value."""


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a bench's output


def parser_of(name: str, text: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the module's own words."""
    return argparse.ArgumentParser(
        prog=f"python -m tests.bench.{name}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


@contextmanager
def on_a_broker() -> Iterator[tuple[Broker, Path]]:
    """A broker that keeps what it is given, and a directory; both gone afterwards, unless the broker was there before.

    Raises:
        SystemExit: where there is no Apache Kafka to be had.
    """
    with broker(on_progress=lambda text: print(text, file=sys.stderr)) as found:  # noqa: T201
        if found.kind == "embedded":
            raise SystemExit("no Apache Kafka here (it needs Docker, or Java and Maven): this cannot be measured")
        with tempfile.TemporaryDirectory(prefix="gridclock-bench-") as directory:
            say(f"on {machine_of(found)}")
            yield found, Path(directory)


def machine_of(found: Broker) -> str:
    """What this runs on, in one line."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, Python {platform.python_version()}, {platform.system()}; {found.description}"


# -- processes -------------------------------------------------------------------------------------------------


def memory_of(pid: int) -> int:
    """Bytes that a process has in memory (VmRSS)."""
    text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS:")), 0)


def pin(pids: Iterable[int], cores: Iterable[int]) -> None:
    """Let processes run on these cores alone, with every thread they have."""
    wanted = set(cores)
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), wanted)


def broker_pids(found: Broker) -> tuple[int, ...]:
    """The broker's processes, where they are ours to see."""
    return found.java.pids if found.java is not None else ()


def _machine_busy() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _, _, interrupts, soft, stolen = fields
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """Processor seconds in some time. ``broker`` is ``None`` where it runs elsewhere or out of sight."""

    elapsed: float
    workers: tuple[float, ...]
    broker: float | None
    bench: float
    machine: float

    @property
    def text(self) -> str:
        """In shares of one core."""
        told = "workers " if len(self.workers) > 1 else "worker "
        told += " + ".join(f"{used / self.elapsed:.0%}" for used in self.workers)
        told += ", broker not known" if self.broker is None else f", broker {self.broker / self.elapsed:.0%}"
        rest = self.machine - sum(self.workers) - (self.broker or 0) - self.bench
        return (
            f"processor, of one core: {told}, this bench {self.bench / self.elapsed:.0%}, "
            f"all others {max(0.0, rest) / self.elapsed:.0%}; the machine has {os.cpu_count()}"
        )


class Usage:
    """Processor time from its making on."""

    def __init__(self, workers: Sequence[Worker], found: Broker) -> None:
        self._workers = workers
        self._broker = broker_pids(found)
        self._began = self._now()

    def _now(self) -> Used:
        return Used(
            time.monotonic(),
            tuple(worker.processor_seconds() for worker in self._workers),
            sum(map(processor_seconds, self._broker)) if self._broker else None,
            time.process_time(),
            _machine_busy(),
        )

    def so_far(self) -> Used:
        before, now = self._began, self._now()
        return Used(
            now.elapsed - before.elapsed,
            tuple(new - old for new, old in zip(now.workers, before.workers, strict=True)),
            None if now.broker is None or before.broker is None else now.broker - before.broker,
            now.bench - before.bench,
            now.machine - before.machine,
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


class Look(NamedTuple):
    """Events taken by now, the clock, and the processor time used; seconds."""

    taken: int
    at: float
    work: float


def behind(shown: str, partitions: int) -> float:
    """Seconds by which the time of the log's partitions is behind; for ever where one has none yet."""
    if shown.count("\ngridclock_watermark_lag_seconds{") < partitions:
        return float("inf")
    return total_of(shown, "gridclock_watermark_lag_seconds") / partitions


def looks_at(worker: Worker, count: int, partitions: int, seconds: float) -> list[Look]:
    """Look now and then, from a worker's first event until it has taken ``count`` and its clocks have passed them.

    All metrics are asked for as often as by a Prometheus with its default; between, only those that are looked at.
    """
    looks: list[Look] = []
    scraped_at = time.monotonic()
    deadline = scraped_at + seconds
    while time.monotonic() < deadline:
        now, work, shown = time.monotonic(), worker.processor_seconds(), worker.metrics(*LOOKED_AT)
        taken = int(total_of(shown, "gridclock_events_total"))
        if taken:
            looks.append(Look(taken, now, work))
        if taken >= count and behind(shown, partitions) < 10:
            return looks
        if now - scraped_at >= SCRAPE_EVERY:
            worker.metrics()
            scraped_at = now
        time.sleep(LOOK_EVERY if looks else LOOK_EVERY / 4)
    raise AssertionError(f"not done after {seconds:g} s: {worker.output}")


# -- events ----------------------------------------------------------------------------------------------------


def event(order: str, number: int, event_type: str, at: int, **fields: Any) -> dict[str, Any]:
    """An event of an order, entered when it occurred."""
    return {
        "event_id": f"{order}-{number}",
        "event_type": event_type,
        "occurred_at": (when := format_us(at, SHANGHAI)),
        "recorded_at": when,
        "order_id": order,
        "org": {"province": "32", "city": "3201", "county": "320101", "unit": "U001"},
        **fields,
    }


def sent_at(at: int, fields: Mapping[str, Any]) -> Sent:
    """A record that carries an event, keyed by its order."""
    key = fields.get("order_id") or fields.get("account_id") or fields.get("meter_id") or ""
    return at, str(key).encode(), json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


class Feed:
    """Sends records when their time has come, in a thread of its own; ``is_free`` may hold it back.

    ``count`` says how many are sent, ``late`` how many seconds after its time one was sent at most. With ``stamped``
    a record is given its own instant as its broker timestamp: so a backlog is sent as it grew.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        records: Iterable[Sent],
        *,
        stamped: bool = False,
        is_free: Callable[[int], bool] = lambda _count: True,
    ) -> None:
        self.count = 0
        self.late = 0.0
        # Not kafka-python, whose 5,000 records a second would be what a fast worker waits for.
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "linger.ms": 10,
                "partitioner": "murmur2_random",
                "delivery.report.only.error": True,
                "on_delivery": self._on_delivery,
            }
        )
        self._topic, self._records, self._stamped, self._is_free = topic, records, stamped, is_free
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether the broker has all that is to be sent."""
        if self._failed:
            raise self._failed[0]
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for at, key, value in self._records:
                while (left := (at - CLOCK.now()) / SECOND) > 0 or not self._is_free(self.count):
                    if self._stop.wait(max(left, FEED_EVERY)):
                        break
                if self._stop.is_set() or self._failed:
                    break
                if not self._stamped:
                    self.late = max(self.late, -left)
                stamp = at // 1000 if self._stamped else None
                self._produce(value, key, {} if stamp is None else {"timestamp": stamp})
                self.count += 1
            if left_over := self._producer.flush(60):
                raise TimeoutError(f"{left_over} records are not acknowledged after a minute")
        except Exception as error:
            self._failed.append(error)

    def _produce(self, value: bytes, key: bytes, options: Mapping[str, int]) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key, **options)
            except BufferError:  # its queue is full
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _on_delivery(self, error: KafkaError | None, _record: Message) -> None:
        if error is not None:
            self._failed.append(KafkaException(error))

    def close(self) -> None:
        """Send no more."""
        self._stop.set()
        self._thread.join(timeout=60)
        self._producer.flush(10)
        del self._producer  # it would go on looking for its broker

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


# -- topics ----------------------------------------------------------------------------------------------------


class _LogDirsAnswer(DescribeLogDirsRequest[0].RESPONSE_TYPE):  # type: ignore[misc]
    API_VERSION = 1


class _LogDirs(DescribeLogDirsRequest[0]):  # type: ignore[misc]
    """Version 1 is version 0 in other words; kafka-python knows only the one that Kafka 4 has dropped."""

    API_VERSION = 1
    RESPONSE_TYPE = _LogDirsAnswer


def topic_bytes(bootstrap: str, topic: str) -> int:
    """What a topic takes on the disks of the brokers, all copies together."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        answers = [
            admin.send_request(_LogDirs(), node_id=node["node_id"]) for node in admin.describe_cluster()["brokers"]
        ]
    finally:
        admin.close()
    directories = [directory for answer in answers for directory in answer.log_dirs]
    return sum(part[1] for _, _, topics in directories for name, parts in topics if name == topic for part in parts)
