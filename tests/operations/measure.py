"""Figures for the runbook's *Size*. ``python -m tests.operations.measure [ORDERS]``: one worker, a broker of its own.

Processor time is what counts: it is the same on a busy machine, elapsed time is not. Metrics are asked for every
five seconds, which is part of what is measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from datetime import date
from pathlib import Path

from streams.commands.send import send_files
from streams.core.outcome_counts import OutcomeCounts, Place, Running
from streams.kafka.brokers import broker
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import free_ports
from streams.live.running_clocks import count_running
from streams.replay.input_counts import InputCounts
from streams.settings import load_settings
from streams.simulation import simulate

EVERY = 5.0
IDLE = 30.0


def sums(port: int) -> tuple[dict[str, float], int]:
    """Every metric summed over its labels, and the size of the page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    found: dict[str, float] = defaultdict(float)
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name.split("{")[0]] += float(value)
    return found, len(text)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def scan() -> None:
    counts = OutcomeCounts()
    for number in range(200_000):
        place = Place(f"r{number % 40}", f"{number % 13}", None)
        counts.run(("order", str(number)), (Running(place, number, number + 5_000_000),))
    began = time.process_time()
    count_running([counts.clocks_at()], 2_000_000, lambda place: (place.rule, place.city or "", ""))
    say(f"a look at 200,000 clocks: {time.process_time() - began:.2f} s of processor")


def main(orders: int) -> None:
    scan()
    with tempfile.TemporaryDirectory() as name, broker(on_progress=say) as found:
        directory = Path(name)
        events = simulate(orders=orders, seed=3, start=date(2026, 3, 2), days=20).events
        file = directory / "events.jsonl"
        file.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), "utf-8")
        say(f"{len(events):,} events of {file.stat().st_size / len(events):.0f} bytes")
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "streams.cli", "run", "--bootstrap", found.bootstrap]
        command += ["--data-dir", str(directory / "state"), "--metrics-port", str(port)]
        worker = ChildProcess(command, directory / "worker.log")
        try:
            while "at work" not in worker.output():
                time.sleep(0.1)
            time.sleep(EVERY)
            before, _ = sums(port)
            time.sleep(IDLE)
            empty, _ = sums(port)
            idle = (empty["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / IDLE
            say(f"idle: {100 * idle:.0f} % of a core, {empty['process_resident_memory_bytes'] / 1e6:.0f} MB")
            settings = load_settings(bootstrap=found.bootstrap)
            began = time.monotonic()
            send_files(settings, (str(file),), settings.source_topics[0], InputCounts(), recorded=False, quiet=True)
            while True:
                after, size = sums(port)
                behind = after["gridclock_watermark_lag_seconds"] / settings.partitions
                if after["gridclock_events_total"] >= len(events) and behind < EVERY:
                    break
                time.sleep(EVERY)
            elapsed = time.monotonic() - began
            used = after["process_cpu_seconds_total"] - empty["process_cpu_seconds_total"] - idle * elapsed
            grown = after["process_resident_memory_bytes"] - empty["process_resident_memory_bytes"]
            subjects = after["gridclock_subjects"]
            say(f"{elapsed:.0f} s elapsed, {used:.1f} s of processor: {len(events) / used:,.0f} events/s and core")
            say(
                f"{subjects:,.0f} subjects: {grown / subjects / 1000:.1f} kB of memory, "
                f"{after['gridclock_state_bytes'] / subjects / 1000:.1f} kB on disk each; /metrics {size / 1e3:.0f} kB"
            )
        finally:
            worker.kill()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7000)
