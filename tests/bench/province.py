"""What a province needs live, as far as one machine can measure it: ``python -m tests.bench.province``.

  meters       so many meters, each read once this month, so that ``monthly-reading`` waits for its next reading, on one
               worker: its memory, its store, and how long after a SIGKILL its first alert and the last partition's are
               out, on the same directory and on an empty one
  partitions   64 partitions of the log, and of the source, over four workers: until each has its share; one is killed,
               and then comes back: until all partitions have alerts again, how often workers were given partitions, and
               what they use when nothing happens

After the meters comes the model on paper for a province and for all 27, from these figures and those of
``tests.bench.throughput``. Ten million meters take a quarter of an hour, and 3 GB of memory.

    python -m tests.bench.province --meters 100000 --meters 1000000
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.core.instants import format_us
from streams.kafka.brokers import Broker
from tests.bench import recovery
from tests.bench.measuring import (
    CLOCK,
    MINUTE,
    Feed,
    Usage,
    Used,
    event,
    memory_of,
    on_a_broker,
    parser_of,
    say,
    sent_at,
)
from tests.bench.recovery import Overdue, Recovery, times_of
from tests.bench.workers import partitions_of
from tests.integration.live import Live, Worker, until
from tests.stories import SHANGHAI

SECONDS = 900.0
WAYS = ("same directory", "empty directory")
CHECKED = 200_000
"""Up to so many meters the alerts are compared with the log's replay, which holds all of them, too."""

ACCOUNTS: Final = 50_000_000
EVENTS_A_DAY: Final = 20_000_000
BUSY: Final = 10
"""How many times the average a busy hour has; assumed."""

RATE: Final = 24_966
"""Events a worker takes in a second of processor time: ``python -m tests.bench.throughput 200000``, the lowest of
eleven runs with nothing else to do (``tests/README.md``)."""

PROVINCES: Final = 27
COPIES: Final = 3
"""Of every topic."""


# -- meters ----------------------------------------------------------------------------------------------------


def reading_of(number: int) -> dict[str, object]:
    """One meter, read today for this month."""
    at = CLOCK.now()
    meter = f"M{number:09d}"
    found = event("", 1, "reading.collected", at, meter_id=meter, method="remote")
    del found["order_id"]
    return {**found, "event_id": f"{meter}-1", "period": format_us(at, SHANGHAI)[:7]}


def meters_of(found: Broker, prefix: str, directory: Path, meters: int, session: float) -> Recovery:
    """So many meters on one worker, which is killed and comes back in both ways."""
    return recovery.measure(
        found, prefix, directory, subjects=meters, session=session, ways=WAYS, opened=reading_of,
        is_checked=meters <= CHECKED,
    )  # fmt: skip


def of_meters(rows: Sequence[tuple[int, Recovery]]) -> Iterator[str]:
    """The table of meters."""
    yield (
        "| meters | taken in | memory of the worker | of it a meter | state topic | of it a meter | local store | "
        "back on the same directory: first alert, last partition | on an empty one |"
    )
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for meters, done in rows:
        each = (done.memory - done.memory_before) / meters, done.topic / meters
        backs = (f"{back.first:.0f} s, {back.last:.0f} s" for back in done.backs)
        yield (
            f"| {meters:,} | {done.filling:.0f} s | {done.memory / 1e6:,.0f} MB | {each[0]:,.0f} B | "
            f"{done.topic / 1e6:,.0f} MB | {each[1]:,.0f} B | {done.store / 1e6:,.0f} MB | {' | '.join(backs)} |"
        )


# -- partitions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """Something that happens to the group.

    Seconds from it until each worker has its share, and until the first and the last partition had an alert;
    ``given`` is how often workers were given partitions meanwhile.
    """

    what: str
    shared: float
    first: float
    last: float
    given: int

    @property
    def row(self) -> str:
        """Of the table."""
        times = f"{self.shared:.0f} s | {self.first:.0f} s | {self.last:.0f} s"
        return f"| {self.what} | {times} | {self.given} times |"


@dataclass(frozen=True)
class Group:
    """All steps, the memory of each worker at the end, and what all used of the processor while nothing was sent."""

    partitions: int
    steps: Sequence[Step]
    memory: Sequence[int]
    idle: Used

    def lines(self) -> Iterator[str]:
        """The table of partitions."""
        yield "| what happens | each has its share | first alert | of every partition | partitions given anew |"
        yield "| --- | ---: | ---: | ---: | ---: |"
        yield from (step.row for step in self.steps)
        sizes = ", ".join(f"{size / 1e6:,.0f}" for size in self.memory)
        yield f"memory of the workers: {sizes} MB; while nothing is sent, {self.idle.text}"


def group_of(
    found: Broker,
    prefix: str,
    directory: Path,
    *,
    partitions: int,
    workers: int,
    subjects: int,
    session: float,
    idle: float,
) -> Group:
    """Several workers share the partitions; one of them is killed, and started again; ``idle`` seconds are watched.

    Raises:
        AssertionError: where a partition has no alert.
    """
    overdue = Overdue(partitions)
    with Live(found.bootstrap, prefix, directory, partitions=partitions) as live:
        live.make_source(partitions)
        began = time.monotonic()

        def start(number: int) -> Worker:
            return live.worker(store=f"store-{number}", ready=False, GRIDCLOCK_SESSION_S=f"{session:g}")

        running = [start(number) for number in range(workers)]
        steps = [_step(live, f"{workers} workers start", running, overdue, began, 0)]
        readings = (sent_at(CLOCK.now(), reading_of(number)) for number in range(subjects))
        with Feed(found.bootstrap, f"{live.name}.events", readings) as feed:
            until(lambda: feed.is_done, SECONDS, lambda: f"{feed.count} sent")
        until(
            lambda: sum(worker.metric("gridclock_subjects") for worker in running) >= subjects + partitions,
            SECONDS,
            lambda: running[0].output,
        )
        given, began = _given(live), time.monotonic()
        running.pop().kill()
        steps.append(_step(live, "one is killed", running, overdue, began, given))
        given, began = _given(live), time.monotonic()
        running.append(start(workers - 1))
        steps.append(_step(live, "it comes back", running, overdue, began, given))
        usage = Usage(running, found)
        time.sleep(idle)  # what is measured is this time
        return Group(partitions, steps, [memory_of(worker.pid) for worker in running], usage.so_far())


def _step(live: Live, what: str, running: Sequence[Worker], overdue: Overdue, began: float, given: int) -> Step:
    for worker in running:
        worker.wait_ready(SECONDS)
    until(lambda: _is_shared(live, running), SECONDS, lambda: live.workers[-1].output[-3000:])
    shared = time.monotonic() - began
    orders = overdue.next_orders()
    records = (
        sent_at(CLOCK.now(), event(order, 1, "counter.service_started", CLOCK.now() - 30 * MINUTE, business="fee"))
        for order in orders
    )
    with Feed(live.bootstrap, f"{live.name}.events", records):
        _, first, last = times_of(live, orders, None, began, SECONDS)
    found = Step(what, shared, first, last, _given(live) - given)
    say(found.row)
    return found


def _is_shared(live: Live, running: Sequence[Worker]) -> bool:
    shares = [partitions_of(worker.metrics()) for worker in running]
    return sorted(number for share in shares for number in share) == sorted(map(str, range(live.partitions)))


def _given(live: Live) -> int:
    return sum(len(re.findall(r"rows of \S+ put into the local copy", worker.output)) for worker in live.workers)


# -- the model -------------------------------------------------------------------------------------------------


def model(memory: float, row: float, seconds: float) -> Iterator[str]:
    """On paper: bytes in memory and in the state topic for each subject, and seconds to recover a million of them."""
    subjects = 2 * ACCOUNTS
    a_second = EVENTS_A_DAY / 86_400
    cores = a_second * BUSY / RATE
    yield "| | a province | 27 provinces | rests on |"
    yield "| --- | ---: | ---: | --- |"
    rows = [
        ("events/s, average and busy hour", (a_second, a_second * BUSY), ",.0f", "20 million events a day; ten times"),
        ("cores of workers, busy hour", (cores,), ",.1f", f"{RATE:,} events/s for each (tests.bench.throughput)"),
        ("memory of workers, GB", (subjects * memory / 1e9,), ",.0f", f"{memory:,.0f} B a meter, above"),
        ("local stores, GB", (subjects * row / 1e9,), ",.0f", f"{row:,.0f} B a meter in the state topic, above"),
        ("state topic, GB", (subjects * row * COPIES / 1e9,), ",.0f", f"the same, {COPIES} copies"),
        (
            "a worker of 64 to recover, s past the session", (subjects / 64 / 1e6 * seconds,), ",.0f",
            f"{seconds:,.0f} s a million meters on an empty directory, above",
        ),
    ]  # fmt: skip
    for what, values, form, rests_on in rows:
        one = ", ".join(format(value, form) for value in values)
        all_of_them = one if "recover" in what else ", ".join(format(value * PROVINCES, form) for value in values)
        yield f"| {what} | {one} | {all_of_them} | {rests_on} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = parser_of("province", __doc__)
    parser.add_argument(
        "--meters", type=int, action="append", help="on one worker; may be given again (100000); 0: leave them out"
    )
    parser.add_argument("--partitions", type=int, default=64, help="of log and source (64); 0: leave them out")
    parser.add_argument("--workers", type=int, default=4, help="that share them (4)")
    parser.add_argument("--session", type=float, default=15, help="GRIDCLOCK_SESSION_S of the workers (15)")
    given = parser.parse_args(arguments)
    rows: list[tuple[int, Recovery]] = []
    with on_a_broker() as (found, directory):
        for meters in filter(None, given.meters or [100_000]):
            own = directory / f"meters-{meters}"
            own.mkdir()
            rows.append((meters, meters_of(found, f"meters-{meters}-", own, meters, given.session)))
            for line in of_meters(rows[-1:]):
                say(line)
        lines = [*of_meters(rows), *model(*figures(*rows[-1], given.session))] if rows else []
        if given.partitions:
            own = directory / "group"
            own.mkdir()
            say(f"{given.partitions} partitions over {given.workers} workers")
            group = group_of(
                found, "group-", own, partitions=given.partitions, workers=given.workers,
                subjects=10 * given.partitions, session=given.session, idle=20,
            )  # fmt: skip
            lines += group.lines()
    for line in lines:
        say(line)
    return 0


def figures(meters: int, done: Recovery, session: float) -> tuple[float, float, float]:
    """What the model rests on: see there. A worker's session runs out first, whatever it holds."""
    seconds = max(done.backs[-1].last - session, 0) / meters * 1_000_000
    return (done.memory - done.memory_before) / meters, done.topic / meters, seconds


if __name__ == "__main__":
    raise SystemExit(main())
