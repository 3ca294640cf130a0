"""What a second worker brings: the same backlog by one worker and by two, on Apache Kafka on the same machine.

What is fair on two cores? The broker needs its share of them, too: for each event taken in, it stores it in the log,
and the rows and alerts that come of it. One worker beside a broker that has a core of its own uses more than one core;
two workers then cannot use twice as much. So there are three runs, and all are shown:

  one core   one worker and the broker, all on one core
  alone      one worker and the broker, on all cores
  both       two workers and the broker, on all cores

*Both* against *one core* is twice the machine for twice the workers: this says how the work divides. *Both* against
*alone* is what a second worker brings on this machine; where the cores were full already, that is what limits it.
The time runs from the moment when all workers have their partitions and are at work until the last event is done with.

    python -m tests.bench.workers --events 200000
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from streams.kafka.brokers import Broker
from streams.simulation import simulate
from tests.bench.measuring import Usage, Used, broker_pids, on_a_broker, parser_of, pin, say
from tests.integration.live import AS_SHIPPED, Live, Worker, total_of, until, write_events

PARTITIONS = 4
SECONDS = 900.0
CAUGHT_UP = 10.0
"""Seconds behind now at which a partition is done with a backlog of last year's."""


@dataclass(frozen=True)
class Run:
    """One run: events a second from when all were at work, the part of them that was left then, and what was used."""

    name: str
    workers: int
    rate: float
    left: float
    used: Used

    @property
    def row(self) -> str:
        """Processor time in cores."""
        each = " + ".join(f"{used / self.used.elapsed:.2f}" for used in self.used.workers)
        broker = "?" if self.used.broker is None else f"{self.used.broker / self.used.elapsed:.2f}"
        all_ours = sum(self.used.workers) + (self.used.broker or 0) + self.used.bench
        rest = max(0.0, self.used.machine - all_ours) / self.used.elapsed
        efficiency = self.rate * self.used.elapsed / sum(self.used.workers)
        return (
            f"| {self.name} | {self.rate:,.0f} | {self.left:.0%} | {efficiency:,.0f} | {each} | {broker} | {rest:.2f} |"
        )


def report(runs: Sequence[Run]) -> Iterator[str]:
    """A table, and the ratios of those runs that there are."""
    yield "| run | events/s | of the backlog | events a processor second | workers, cores | broker | all others |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    yield from (run.row for run in runs)
    rates = {run.name: run.rate for run in runs}
    for name, meaning in (("one core", "twice the workers on twice the cores"), ("alone", "on the same cores")):
        if name in rates and "both" in rates:
            # With few events all may be taken before the measurement begins: then there is no rate.
            ratio = f"{rates['both'] / rates[name]:.2f} times the events" if rates[name] else "too few events to say"
            yield f"two workers for one, {meaning}: {ratio}"


def measure(found: Broker, prefix: str, directory: Path, *, events: int, names: Sequence[str]) -> list[Run]:
    """The runs of those names, each with topics of its own beside one source.

    Raises:
        AssertionError: where the alerts of a run are not those that its log gives, or runs differ in what stands.
    """
    simulation = simulate(orders=events // 5, seed=1, start=date(2025, 3, 3), days=30)
    count = len(simulation.events)
    with Live(found.bootstrap, prefix, directory, partitions=PARTITIONS) as source:
        source.make_source(PARTITIONS)
        file = write_events(directory / "events.jsonl", simulation.events)
        source.send(file, "--timestamps", "recorded")
        runs, told = [], []
        for name in names:
            place = directory / name.replace(" ", "-")
            place.mkdir()
            with Live(
                found.bootstrap, f"{prefix}{place.name}-", place, partitions=PARTITIONS, keep_days=AS_SHIPPED
            ) as live:
                runs.append(_run(found, live, name, count, f"{source.name}.events"))
                alerts = live.settle(simulation.as_of, SECONDS).values()
                # Warnings depend on when time passed, and so does what was said and taken back.
                taken_back = {alert["retracts"] for alert in alerts}
                kinds = ("breach", "violation", "late_completion")
                told.append({a["alert_id"] for a in alerts if a["kind"] in kinds and a["alert_id"] not in taken_back})
                assert told[0] == told[-1], "the runs differ in what stands"
    return runs


def _run(found: Broker, live: Live, name: str, count: int, source: str) -> Run:
    cores = sorted(os.sched_getaffinity(0))
    one_core = name == "one core"
    number = 2 if name == "both" else 1
    try:
        if one_core:
            pin(broker_pids(found), cores[:1])
        workers = [live.worker(ready=False, GRIDCLOCK_SOURCES=source) for _ in range(number)]
        for worker in workers:
            if one_core:
                pin([worker.pid], cores[:1])
            worker.wait_ready(120)
        until(lambda: _are_at_work(workers), 120, lambda: "; ".join(worker.output[-2000:] for worker in workers))
        usage, done_before = Usage(workers, found), _entries(workers)
        deadline = time.monotonic() + SECONDS
        while not _is_done(workers, count):
            assert time.monotonic() < deadline, f"not done after {SECONDS:g} s: {workers[0].output}"
            time.sleep(1)  # showing the metrics is work, too
        used, done = usage.so_far(), _entries(workers)
    finally:
        if one_core:
            pin(broker_pids(found), cores)
    left = 1 - done_before / done
    return Run(name, number, count * left / used.elapsed, left, used)


def _are_at_work(workers: Sequence[Worker]) -> bool:
    """Whether each has its share of the partitions, and time has begun in each of them."""
    share = PARTITIONS // len(workers)
    return all(len(partitions_of(worker.metrics())) == share for worker in workers)


def partitions_of(text: str) -> list[str]:
    """The log's partitions that a worker is at work on, by what its ``/metrics`` shows."""
    return re.findall(r'^gridclock_watermark_lag_seconds\{partition="(\d+)"\}', text, re.MULTILINE)


def _entries(workers: Sequence[Worker]) -> float:
    return sum(worker.metric("gridclock_entries_total") for worker in workers)


def _is_done(workers: Sequence[Worker], count: int) -> bool:
    shown = [worker.metrics() for worker in workers]
    lags = [
        float(lag) for text in shown for lag in re.findall(r"^gridclock_watermark_lag_seconds\{.*\} (\S+)", text, re.M)
    ]
    taken = sum(total_of(text, "gridclock_events_total") for text in shown)
    return taken >= count and len(lags) == PARTITIONS and max(lags) < CAUGHT_UP


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = parser_of("workers", __doc__)
    parser.add_argument("--events", type=int, default=200_000, help="in the backlog, about (200000)")
    given = parser.parse_args(arguments)
    with on_a_broker() as (found, directory):
        if found.java is None:
            say("the broker's processes are out of sight: it cannot be held on one core")
        names = ["one core", "alone", "both"] if found.java is not None else ["alone", "both"]
        done = measure(found, "workers-", directory, events=given.events, names=names)
    for line in report(done):
        say(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
