"""Events a second through one worker process, beside the usual way with Faust, on one broker, one after the other.

    python -m tests.bench.throughput [EVENTS]

Both read the same backlog of simulated orders from four partitions. The usual way: an agent with one table write an
event, no rules. Ours: the whole shipped rulebook, alerts sent and state kept. From the first event taken to the last.
Beside the rate stands that for each second of processor time, which hangs less on what else the machine does.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from streams.kafka.admin import TopicSpec, ensure_topics
from streams.kafka.brokers import broker
from streams.kafka.child_process import ChildProcess
from streams.simulation import simulate
from tests.bench.measuring import looks_at, say
from tests.integration.live import AS_SHIPPED, ROOT, Live, until, write_events

PARTITIONS = 4
PLAIN_EVENTS = 15_000
SECONDS = 600.0


def main(wanted: int) -> None:
    simulation = simulate(orders=wanted // 5, seed=1, start=date(2025, 3, 3), days=30)
    count = len(simulation.events)
    with broker() as found, tempfile.TemporaryDirectory(prefix="gridclock-bench-") as text:
        directory = Path(text)
        say(f"{found.description}; {count:,} events of {wanted // 5:,} orders, {PARTITIONS} partitions")
        with Live(found.bootstrap, "bench-", directory, partitions=PARTITIONS, keep_days=AS_SHIPPED) as live:
            live.make_source(PARTITIONS)
            live.send(write_events(directory / "events.jsonl", simulation.events), "--timestamps", "recorded")
            plain = plain_rate(live, min(count, PLAIN_EVENTS))
            say(f"the usual way, one table write an event: {plain.text}")
            ours = our_rate(live, count)
            say(f"gridclock, the whole rulebook:           {ours.text}")
            say(f"ratio {ours.wall / plain.wall:.1f}, of processor time {ours.work / plain.work:.1f}")


@dataclass(frozen=True)
class Rate:
    """Events for each second on the clock, and of processor time."""

    wall: float
    work: float

    @property
    def text(self) -> str:
        return f"{self.wall:,.0f} events/s, {self.work:,.0f} for each second of processor time"


def plain_rate(live: Live, count: int) -> Rate:
    name = "bench-plain"
    ensure_topics(live.bootstrap, [TopicSpec(f"{name}-orders-changelog", PARTITIONS, compact=True)])
    arguments = [live.bootstrap, name, f"{live.name}.events", str(PARTITIONS), str(count), str(live.directory / name)]
    process = ChildProcess(
        [sys.executable, "-m", "tests.bench.plain_agent", *arguments, "worker"],
        live.directory / "plain.log",
        environment={"PYTHONPATH": str(ROOT)},
    )
    try:
        until(lambda: "rate" in process.output() or process.exit_code is not None, SECONDS, process.output)
        rate = re.search(r"rate (\d+) (\d+)", process.output())
        assert rate is not None, process.output()
        return Rate(float(rate[1]), float(rate[2]))
    finally:
        process.kill()


def our_rate(live: Live, count: int) -> Rate:
    looks = looks_at(live.worker(), count, PARTITIONS, SECONDS)
    first, last = looks[0], looks[-1]
    taken = last.taken - first.taken  # what was taken before the first look was paid for before it, too
    return Rate(taken / (last.at - first.at), taken / (last.work - first.work))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
