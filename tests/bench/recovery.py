"""How long a worker is away after a SIGKILL, with many open subjects in its state.

Each subject is a meter test that was asked for and whose result is five working days off. Then the worker is killed,
and in the same moment one order for each partition is sent that is overdue already: its alert shows that the
partition's clocks run again. Three ways back:

  same directory     the worker starts again where its local store is; only the newest rows are read from Kafka
  empty directory    it starts on another machine, so to say: the store is filled from the state topic
  changed rules      as the first, with one rule more: every subject is judged anew, some with each record of the log;
                     the column of its own says when all have been
  second worker      another one runs and has its share; nobody is started: the dead one's partitions go over to it when
                     that one's session has run out, and it fills its store for them from the state topic

Kafka hands out a dead worker's partitions only after its session (``--session``, the product's default of 15 s) has run
out, unless the dead one is back before. All times are from the kill on.

    python -m tests.bench.recovery --subjects 200000
"""

from __future__ import annotations

import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from streams.core.instants import format_us
from streams.kafka.brokers import Broker
from streams.kafka.java_broker import free_ports
from streams.live.routing import partition_of
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
    topic_bytes,
)
from tests.bench.workers import partitions_of
from tests.integration.live import Live, Worker, until
from tests.stories import SHANGHAI

PARTITIONS = 4
WAYS = ("same directory", "empty directory", "changed rules", "second worker")
SECONDS = 600.0


ONE_MORE = """\
chapter: T
title: {zh: 测试, en: Test}
rules:
  - id: one-more
    effective_from: 2024-01-01
    clauses: [T-S1]
    source: this bench, of which no event is what it begins with
    kind: deadline
    subject: order
    title: {zh: 新增规则, en: One rule more}
    start: survey.performed
    stop: scheme.replied
    limit: 5 min
"""


@dataclass(frozen=True)
class Back:
    """One way back. Seconds from the kill until ``/readyz`` says yes, and until alerts are out again.

    ``ready`` is ``None`` where nobody had to be started. ``first`` is of the first partition, ``last`` of the last.
    ``anew`` is until every subject has been judged under changed rules.
    """

    way: str
    ready: float | None
    first: float
    last: float
    anew: float | None
    used: Used

    @property
    def row(self) -> str:
        ready = "nobody was away" if self.ready is None else f"{self.ready:.1f} s"
        processor = " + ".join(f"{used:.1f} s" for used in self.used.workers)
        anew = "" if self.anew is None else f"{self.anew:.1f} s"
        return f"| {self.way} | {ready} | {self.first:.1f} s | {self.last:.1f} s | {anew} | {processor} |"


@dataclass(frozen=True)
class Recovery:
    """All ways back; how long it took to take the subjects in, and the bytes of the local store.

    ``memory`` is that of the worker in bytes with all subjects, ``memory_before`` without any; ``topic`` the bytes of
    the state topic then.
    """

    backs: Sequence[Back]
    filling: float
    store: int
    alerts: int
    memory_before: int
    memory: int
    topic: int

    def lines(self) -> Iterator[str]:
        yield f"taken in within {self.filling:.0f} s; local store {self.store / 1e6:,.0f} MB"
        yield "| way back | /readyz | first alert | of every partition | judged anew | processor time of the workers |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: |"
        yield from (back.row for back in self.backs)
        yield f"{self.alerts:,} alerts in all, those that the log gives"


def requested(number: int) -> dict[str, Any]:
    """A meter test that was asked for."""
    return event(f"OPEN{number:07d}", 1, "calibration.requested", CLOCK.now())


def measure(
    found: Broker,
    prefix: str,
    directory: Path,
    *,
    subjects: int,
    session: float,
    ways: Iterable[str] = WAYS,
    opened: Callable[[int], Mapping[str, Any]] = requested,
    is_checked: bool = True,
) -> Recovery:
    """Fill the state once, with a subject for each number from 0 on, and go each way back.

    ``is_checked``: the alerts are compared with those of the log, whose replay holds all subjects in this process.

    Raises:
        AssertionError: where the alerts are not those that the log gives, or a worker does not come back.
    """
    told = Overdue(PARTITIONS)
    backs: list[Back] = []
    with Live(found.bootstrap, prefix, directory, partitions=PARTITIONS) as live:
        live.make_source(PARTITIONS)
        silent, store = f"{session:g}", "first"
        worker = live.worker(store=store, GRIDCLOCK_SESSION_S=silent)
        began, before = time.monotonic(), memory_of(worker.pid)
        requests = (sent_at(CLOCK.now(), opened(number)) for number in range(subjects))
        with Feed(found.bootstrap, f"{live.name}.events", requests) as feed:
            until(lambda: feed.is_done, SECONDS, lambda: f"{feed.count} sent", progress=lambda: feed.count)

        def taken() -> float:
            return worker.metric("gridclock_subjects")

        until(lambda: taken() >= subjects, SECONDS, lambda: worker.output, progress=taken)
        filling, memory = time.monotonic() - began, memory_of(worker.pid)
        size = int(worker.metric("gridclock_state_bytes"))
        topic = topic_bytes(live.bootstrap, f"{live.name}-state-changelog")
        for way in ways:
            other: Worker | None = None
            if way == "second worker":
                other = _second(live, silent)
            elif way == "empty directory":
                store = "empty"
            elif way == "changed rules":
                live.add_rules(ONE_MORE)
            (port,) = free_ports(1)
            orders = told.next_orders()
            worker.kill()
            killed = time.monotonic()
            if other is None:
                worker = live.worker(
                    store=store, ready=False, GRIDCLOCK_SESSION_S=silent, GRIDCLOCK_METRICS_PORT=str(port)
                )
            usage = Usage([worker if other is None else other], found)
            overdue = (
                sent_at(
                    CLOCK.now(), event(order, 1, "counter.service_started", CLOCK.now() - 30 * MINUTE, business="fee")
                )
                for order in orders
            )
            with Feed(found.bootstrap, f"{live.name}.events", overdue):
                ready, first, last = times_of(live, orders, None if other else port, killed)
            worker = other or worker
            anew: float | None = None
            if way == "changed rules":
                until(partial(_has_judged_all, worker), SECONDS, lambda: live.workers[-1].output)
                anew = time.monotonic() - killed
            backs.append(Back(way, ready, first, last, anew, usage.so_far()))
            # Not one is forgotten: those that were open, and the overdue ones told by now.
            kept, wanted = int(worker.metric("gridclock_subjects")), subjects + PARTITIONS * len(backs)
            assert kept == wanted, f"{way}: {kept} subjects are kept, not {wanted}"
        alerts = live.settle(format_us(CLOCK.now(), SHANGHAI), SECONDS) if is_checked else live.sent()
    return Recovery(backs, filling, size, len(alerts), before, memory, topic)


def _has_judged_all(worker: Worker) -> bool:
    return worker.output.count("all subjects are judged by the rules in force now") == PARTITIONS


def _second(live: Live, session: str) -> Worker:
    """Another worker, with its share of the partitions."""
    worker = live.worker(store="second", ready=False, GRIDCLOCK_SESSION_S=session)
    worker.wait_ready(SECONDS)
    until(lambda: len(partitions_of(worker.metrics())) == PARTITIONS // 2, SECONDS, worker.metrics)
    return worker


class Overdue:
    """Names of orders, one for each partition of the log at a time."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._numbers = itertools.count()

    def next_orders(self) -> list[str]:
        found: dict[int, str] = {}
        while len(found) < self._partitions:
            name = f"DUE{next(self._numbers):05d}"
            found.setdefault(partition_of(("order", name), self._partitions), name)
        return list(found.values())


def times_of(
    live: Live, orders: Sequence[str], port: int | None, killed: float, seconds: float = SECONDS
) -> tuple[float | None, float, float]:
    """Seconds from the kill until ready, and until the first and the last of these orders was told as breached."""
    ready: float | None = None
    seen: dict[str, float] = {}
    alerts, position = live.topic("alerts"), 0
    while len(seen) < len(orders) or (port is not None and ready is None):
        now = time.monotonic() - killed
        assert now < seconds, f"not back after {seconds:g} s: {live.workers[-1].output[-3000:]}"
        if port is not None and ready is None and _is_ready(port):
            ready = now
        alerts.update()
        for *_, value in alerts.records[position:]:
            data = json.loads(value)["data"]
            if data["order_id"] in orders and data["kind"] == "breach":
                seen.setdefault(data["order_id"], time.monotonic() - killed)
        position = len(alerts.records)
        time.sleep(0.05)
    return ready, min(seen.values()), max(seen.values())


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = parser_of("recovery", __doc__)
    parser.add_argument("--subjects", type=int, default=200_000, help="open when the worker is killed (200000)")
    parser.add_argument("--session", type=float, default=15, help="GRIDCLOCK_SESSION_S of the workers (15)")
    given = parser.parse_args(arguments)
    with on_a_broker() as (found, directory):
        say(f"{given.subjects:,} open subjects, {PARTITIONS} partitions, whole rulebook, session {given.session:g} s")
        done = measure(found, "recovery-", directory, subjects=given.subjects, session=given.session)
    for line in done.lines():
        say(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
