"""Whether memory stays flat: subjects opened, closed and dropped all the time, through one worker.

Each subject is an order at the counter that begins now, is completed some seconds later, is kept a while for late
events, and then dropped. One in five hundred began half an hour ago: it is told as breached and as completed late.
Beside the memory stand what is kept, the local store, and the state topic. The verdict is the slope of a straight line
through the memory of the last two thirds: before, caches fill.

    python -m tests.bench.soak --minutes 15 --subjects 1000000
"""

from __future__ import annotations

import heapq
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.kafka.brokers import Broker
from streams.kafka.topic_reader import from_beginning
from streams.live.clock_partition import subject_of_key
from tests.bench.measuring import (
    CLOCK,
    MINUTE,
    SECOND,
    Feed,
    Sent,
    Usage,
    Used,
    event,
    memory_of,
    on_a_broker,
    parser_of,
    say,
    sent_at,
    topic_bytes,
)
from tests.integration.live import Live, Worker, total_of, until

PARTITIONS = 4
LATE_EVERY = 500
LONG_AGO = 30 * MINUTE
EVENTS_EACH = 2
ROWS_READ = 100_000
"""Of the state topic's first partition, for the bytes of a subject."""

FLAT = 0.05
"""Memory is flat where the line through the last two thirds rises by less than this part of it in that time."""


@dataclass(frozen=True)
class Sample:
    """Seconds since the feed began, subjects closed so far, what is kept now, and bytes."""

    at: float
    closed: int
    kept: int
    running: int
    memory: int
    store: int
    changelog: int

    @property
    def row(self) -> str:
        sizes = " | ".join(f"{size / 1e6:,.0f} MB" for size in (self.memory, self.store, self.changelog))
        return f"| {self.at:.0f} s | {self.closed:,} | {self.kept:,} | {self.running:,} | {sizes} |"


@dataclass(frozen=True)
class Trend:
    """The straight line through the last two thirds of the samples. Bytes; ``rise`` is a part of the mean."""

    an_hour: float
    each_100_000: float
    rise: float

    @property
    def is_flat(self) -> bool:
        return self.rise < FLAT


@dataclass(frozen=True)
class RowSizes:
    """What one subject is in the state topic, on the average of those read to their end."""

    subjects: int
    rows: float
    written: float
    last: float


@dataclass(frozen=True)
class Soak:
    """What came of it. ``remaining`` subjects were kept after all had been closed and their time had passed."""

    samples: Sequence[Sample]
    sizes: RowSizes
    alerts: int
    remaining: int
    used: Used

    @property
    def trend(self) -> Trend:
        some = [sample for sample in self.samples if sample.at >= self.samples[-1].at / 3]
        a_second = _slope([(one.at, one.memory) for one in some])
        mean = sum(one.memory for one in some) / len(some)
        return Trend(
            3600 * a_second,
            100_000 * _slope([(one.closed, one.memory) for one in some]),
            a_second * (some[-1].at - some[0].at) / mean,
        )

    def lines(self) -> Iterator[str]:
        yield "| after | subjects closed | kept | clocks running | memory | local store | state topic |"
        yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        step = max(1, len(self.samples) // 12)
        yield from (sample.row for sample in self.samples[::-step][::-1])
        sizes, trend = self.sizes, self.trend
        yield (
            f"state topic, a subject: {sizes.written:,.0f} bytes written in {sizes.rows:.1f} rows; of these compaction "
            f"leaves the last, {sizes.last:,.0f} bytes, and once it is dropped none ({sizes.subjects:,} looked at)"
        )
        yield f"{self.alerts:,} alerts, all and only those expected; {self.remaining:,} subjects left at the end"
        yield self.used.text
        yield (
            f"memory over the last two thirds: {trend.an_hour / 1e6:+,.1f} MB an hour, "
            f"{trend.each_100_000 / 1e6:+,.2f} MB for each 100,000 subjects: {'flat' if trend.is_flat else 'IT GROWS'}"
        )


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line through points, by least squares; 0 where they are all at one place."""
    count = len(points)
    x_mean, y_mean = (sum(point[axis] for point in points) / count for axis in (0, 1))
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0


def _name(number: int) -> str:
    return f"SOAK{number:08d}"


def _orders(subjects: int, began: int, a_second: float, open_for: float) -> Iterator[Sent]:
    """Beginnings and ends, in order of time."""

    def at(number: int) -> int:
        return began + int(number * SECOND / a_second)

    def first(number: int) -> Sent:
        when = at(number) - (LONG_AGO if number % LATE_EVERY == 0 else 0)
        fields = event(_name(number), 1, "counter.service_started", when, business="power")
        return at(number), *sent_at(at(number), fields)[1:]

    def last(number: int) -> Sent:
        when = at(number) + int(open_for * SECOND)
        return sent_at(when, event(_name(number), 2, "counter.service_completed", when, business="power"))

    def ticket(number: int) -> Sent:
        # An order that nothing is known of cannot begin so long ago: it would be older than anything kept.
        when = at(number) - SECOND
        return sent_at(when, event(_name(number), 0, "counter.ticket_taken", when, business="power"))

    late = range(0, subjects, LATE_EVERY)
    return heapq.merge(map(ticket, late), map(first, range(subjects)), map(last, range(subjects)))


def measure(
    found: Broker,
    prefix: str,
    directory: Path,
    *,
    subjects: int,
    seconds: float,
    open_for: float = 20,
    keep: float = 60,
    every: float = 5,
) -> Soak:
    """Run it, for ``seconds`` and the time in which what is kept goes.

    Raises:
        AssertionError: where an alert is missing or not expected, or subjects are kept for ever.
    """
    with Live(found.bootstrap, prefix, directory, partitions=PARTITIONS, keep_days=keep / 86_400) as live:
        live.make_source(PARTITIONS)
        worker = live.worker()
        began, a_second = time.monotonic(), subjects / seconds
        samples: list[Sample] = []
        taken = 0

        def is_free(count: int) -> bool:
            """Never more waiting than half a minute's worth: a backlog is not what is looked at."""
            return count - taken < 30 * EVENTS_EACH * a_second + 1000

        def look() -> None:
            nonlocal taken
            shown = worker.metrics()
            taken = int(total_of(shown, "gridclock_events_total"))
            samples.append(_sample(live, worker, shown, time.monotonic() - began))

        orders = _orders(subjects, CLOCK.now(), a_second, open_for)
        usage = Usage(live.workers, found)
        with Feed(found.bootstrap, f"{live.name}.events", orders, is_free=is_free) as feed:
            while not feed.is_done and time.monotonic() - began < seconds + open_for + every:
                time.sleep(every)
                look()
        used, sent = usage.so_far(), feed.count
        entries = _entries_of(sent, subjects, a_second, open_for)

        def is_through() -> bool:
            return worker.metric("gridclock_entries_total") >= sent

        until(is_through, 60 + seconds / 4, lambda: f"{worker.metric('gridclock_entries_total'):,.0f} of {sent:,}")
        assert worker.metric("gridclock_dead_letters_total") == 0
        wanted = {
            (_name(number), kind) for number, kinds in entries.items() if number % LATE_EVERY == 0 for kind in kinds
        }
        until(lambda: len(live.sent()) >= len(wanted), 30, lambda: f"{len(live.sent())} of {len(wanted)} alerts")
        told = live.sent().values()
        assert {(data["order_id"], data["kind"]) for data in told} == wanted
        opened = len(entries) - sum(len(kinds) == 2 for kinds in entries.values())
        until(lambda: _kept(worker) <= opened, 60 + 2 * keep, lambda: f"{_kept(worker)} subjects, {opened} not closed")
        return Soak(samples, row_sizes(found.bootstrap, f"{live.name}-state-changelog"), len(told), opened, used)


def _entries_of(sent: int, subjects: int, a_second: float, open_for: float) -> dict[int, list[str]]:
    """The orders of which the first ``sent`` records tell, with what a late one is told as."""
    found: dict[int, list[str]] = {}
    for _, _, value in itertools.islice(_orders(subjects, LONG_AGO, a_second, open_for), sent):
        name, _, which = json.loads(value)["event_id"].partition("-")
        kinds = found.setdefault(int(name.removeprefix("SOAK")), [])
        kinds += {"0": [], "1": ["breach"], "2": ["late_completion"]}[which]
    return found


def _kept(worker: Worker) -> int:
    return int(worker.metric("gridclock_subjects"))


def _sample(live: Live, worker: Worker, shown: str, at: float) -> Sample:
    ended = total_of(shown, "gridclock_cases_ended_total", outcome="met")
    return Sample(
        at,
        int(ended + total_of(shown, "gridclock_late_completions_total")),
        int(total_of(shown, "gridclock_subjects")),
        int(total_of(shown, "gridclock_open_cases")),
        memory_of(worker.pid),
        int(total_of(shown, "gridclock_state_bytes")),
        topic_bytes(live.bootstrap, f"{live.name}-state-changelog"),
    )


def row_sizes(bootstrap: str, topic: str) -> RowSizes:
    """From the first rows of the first partition: subjects that were dropped in what was read."""
    rows: dict[bytes, list[int]] = {}
    ended: set[bytes] = set()
    options: dict[str, Any] = {"bootstrap_servers": bootstrap.split(","), "max_partition_fetch_bytes": 8 * 1024 * 1024}
    with from_beginning(topic, bootstrap, missing=f"no topic {topic}", **options) as (consumer, parts):
        consumer.pause(*parts[1:])
        end, read = min(consumer.end_offsets(parts[:1])[parts[0]], ROWS_READ), 0
        while consumer.position(parts[0]) < end:
            for record in itertools.chain.from_iterable(consumer.poll(timeout_ms=500, max_records=5000).values()):
                read += 1
                if subject_of_key(record.key) is None:
                    continue
                rows.setdefault(record.key, []).append(len(record.key) + len(record.value or b""))
                if record.value is None:
                    ended.add(record.key)
    whole = [rows[key] for key in ended if len(rows[key]) > 1]
    count = max(1, len(whole))
    return RowSizes(
        len(whole), sum(map(len, whole)) / count, sum(map(sum, whole)) / count, sum(one[-2] for one in whole) / count
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module. 1 where memory grows."""
    parser = parser_of("soak", __doc__)
    parser.add_argument("--minutes", type=float, default=15, help="how long subjects are opened (15)")
    parser.add_argument("--subjects", type=int, default=1_000_000, help="in that time (1000000)")
    parser.add_argument("--open", type=float, default=20, help="seconds from an order's start to its end (20)")
    parser.add_argument("--keep", type=float, default=60, help="seconds that a closed one is kept (60)")
    given = parser.parse_args(arguments)
    seconds = given.minutes * 60
    with on_a_broker() as (found, directory):
        rate = given.subjects * EVENTS_EACH / seconds
        say(f"one worker, {PARTITIONS} partitions, whole rulebook")
        say(f"{given.subjects:,} subjects in {given.minutes:g} min, {rate:,.0f} events/s")
        done = measure(
            found,
            "soak-",
            directory,
            subjects=given.subjects,
            seconds=seconds,
            open_for=given.open,
            keep=given.keep,
            every=max(1.0, seconds / 180),
        )
    for line in done.lines():
        say(line)
    return 0 if done.trend.is_flat else 1


if __name__ == "__main__":
    raise SystemExit(main())
