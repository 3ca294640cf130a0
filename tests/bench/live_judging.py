"""What a log record costs the clocks, an event, without Kafka: ``python -m tests.bench.live_judging`` prints a table.

The simulated mix goes through the steps of a worker's clocks: log records are decoded, their entries fed and judged,
the changed rows and the alerts encoded; by the Python engine and by the native one. In the same round both engines
replay the same events; reading them is part of that cost. Each contender runs in a process of its own; figures are
processor time, medians over the rounds, and a ratio is that of one round. Exits 1 where the breaches and violations
that stand in the end are not the same.

A record has few events (``--together``), because a busy worker's records have events of many subjects: each decision
then has one or two new events, as there. The position is written once a record, so it weighs more here than there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from streams.core.instants import instant_us
from streams.engine import why_not
from streams.engine.clocks import native_clocks
from streams.engine.written_alerts import WrittenAlert
from streams.live.clock_partition import ClockPartition, subject_of_key
from streams.live.gc_tuning import short_collections
from streams.replay.output_form import OutputForm
from streams.replay.replay import Replay, ReplayOptions
from streams.replay.sources.lines import Lines
from streams.rulebooks.loader import load_rulebook
from streams.settings import load_settings
from streams.wire.cloudevents import CloudEvents, encode
from streams.wire.decoder import Decoder
from streams.wire.state_rows import entry_to_bytes, record_to_bytes
from tests.bench.native import RECEIVED, write_events

LIVE: Final = "live, "
BASE: Final = f"{LIVE}python"
REPLAY: Final = "replay, "
STAGES: Final = ("decode", "judge", "rows", "alerts")


def log_of(path: Path, together: int) -> tuple[int, list[bytes]]:
    """The number of events of a file, and log records with that many events each, as the intake writes them."""
    loaded = load_rulebook()
    decoder = Decoder(loaded.catalogue)
    events = [decoder.decode(line, received=RECEIVED) for line in path.read_bytes().splitlines()]
    records: list[bytes] = []
    at = 0
    for first in range(0, len(events), together):
        some = events[first : first + together]
        at = max(at, *(event.recorded for event in some))
        entries = [
            entry_to_bytes(subject, copy, f"in/0/{number}")
            for number, event in enumerate(some, first)
            for subject, copy in loaded.rulebook.copies_of(event)
        ]
        records.append(record_to_bytes(entries, {"in/0": at}, {"in": 1}))
    return len(events), records


def standing(alerts: Iterable[dict[str, Any]]) -> list[str]:
    """The cases whose breach or violation stands after some alerts, in order."""
    found: dict[str, str] = {}
    for alert in alerts:
        data = alert["data"]
        if data["kind"] in ("breach", "violation"):
            found[data["alert_id"]] = data["case_id"]
        elif data["kind"] == "retraction":
            found.pop(data["retracts"], None)
    return sorted(found.values())


def measure_live(path: Path, together: int, engine: str, *, with_cases: bool = False) -> dict[str, Any]:
    """One run of a partition in this process, by one engine: seconds of each stage."""
    count, records = log_of(path, together)
    loaded = load_rulebook()
    native = native_clocks(loaded.rulebook, loaded.catalogue, engine)
    partition = ClockPartition(
        0, loaded.rulebook, keep_for=load_settings().keep_for, tracks_cases=with_cases, native=native
    )
    writer = CloudEvents(loaded.rulebook.calendar)
    seconds: dict[str, float] = defaultdict(float)
    alerts: list[bytes] = []
    with short_collections():
        for offset, raw in enumerate(records):
            began = time.process_time()
            record = partition.read(raw)
            decoded = time.process_time()
            applied = partition.apply(record, offset)
            judged = time.process_time()
            assert applied is not None, "each record is new"
            told = applied.told
            alerts += [one.line if isinstance(one, WrittenAlert) else encode(writer.alert(one)) for one in told]
            for change in applied.cases:
                if change.case is not None:
                    encode(writer.case(change.case, change.as_of))
            encoded = time.process_time()
            changed = [subject_of_key(key) for key, value in applied.rows if value is not None]
            repeated = time.process_time()
            for subject in changed:
                if subject is not None:
                    partition.row(subject)
            seconds["rows"] += time.process_time() - repeated
            seconds["decode"] += decoded - began
            seconds["judge"] += judged - decoded
            seconds["alerts"] += encoded - judged
    seconds["judge"] -= seconds["rows"]  # it makes them too
    return {
        "events": count,
        "seconds": sum(seconds.values()),
        "stages": seconds,
        "standing": standing(map(json.loads, alerts)),
    }


def measure_replay(path: Path, engine: str) -> dict[str, Any]:
    """One replay in this process, by one engine."""
    loaded = load_rulebook()
    as_of = max(
        instant_us(datetime.fromisoformat(json.loads(line)["recorded_at"])) for line in path.read_bytes().splitlines()
    )
    before = time.process_time()
    options = ReplayOptions(RECEIVED, as_of=as_of, output_form=OutputForm(cases=None), engine=engine)
    replay = Replay(loaded.rulebook, Decoder(loaded.catalogue), options)
    replay.read([Lines(str(path))])
    replay.judge()
    alerts = list(replay.alerts())
    seconds = time.process_time() - before
    replay.close()
    return {"events": replay.tally.events, "seconds": seconds, "standing": standing(map(json.loads, alerts))}


def measure(name: str, path: Path, together: int, *, with_cases: bool = False) -> dict[str, Any]:
    """Run one contender in this process: events, seconds of processor time, what stands in the end."""
    if name.startswith(LIVE):
        return measure_live(path, together, name.removeprefix(LIVE), with_cases=with_cases)
    return measure_replay(path, name.removeprefix(REPLAY))


def _in_process(name: str, path: Path, together: int, *, with_cases: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.live_judging", "--together", str(together)]
    command += ["--cases"] if with_cases else []
    done = subprocess.run([*command, "--measure", name, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(path: Path, *, together: int, rounds: int, with_cases: bool = False) -> str:
    """The table, and why the native engine is not in it where it cannot be used.

    Raises:
        SystemExit: where the contenders do not find the same.
    """
    reason = why_not()
    engines = ["python", *(["native"] if reason is None else [])]
    names = [*(f"{LIVE}{engine}" for engine in engines), *(f"{REPLAY}{engine}" for engine in engines)]
    runs = [{name: _in_process(name, path, together, with_cases=with_cases) for name in names} for _ in range(rounds)]
    for name in names[1:]:
        if runs[0][name]["standing"] != runs[0][BASE]["standing"]:
            raise SystemExit(f"{BASE} and {name} do not find the same breaches and violations")
    lines = [f"| contender | µs an event | of {BASE} |", "| --- | ---: | ---: |"]
    rows: list[tuple[str, list[tuple[dict[str, Any], float]]]] = []
    for name in names:
        rows.append((name, [(run[name], run[name]["seconds"]) for run in runs]))
        for stage in STAGES if name.startswith(LIVE) else ():
            rows.append((f"{name}: {stage}", [(run[name], run[name]["stages"][stage]) for run in runs]))
    for title, taken in rows:
        cost = median(seconds / run["events"] for run, seconds in taken)
        ratio = median(seconds / whole[BASE]["seconds"] for (_, seconds), whole in zip(taken, runs, strict=True))
        lines.append(f"| {title} | {cost * 1e6:.1f} | {ratio:.2f} |")
    return "\n".join([*lines, *([f"\nWithout the native engine: {reason}."] if reason is not None else [])])


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.live_judging", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=6_000)
    parser.add_argument("--together", type=int, default=10, help="events in a log record (default 10)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", action="store_true", help="the clocks write cases too")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(measure(given.measure[0], Path(given.measure[1]), given.together, with_cases=given.cases)))  # noqa: T201
        return
    with tempfile.TemporaryDirectory(prefix="gridclock-bench-") as directory:
        path = Path(directory) / "events.jsonl"
        count = write_events(path, orders=given.orders, broken=None)
        table = compare(path, together=given.together, rounds=given.rounds, with_cases=given.cases)
        print(f"{count:,} events, {given.together} in a log record\n\n{table}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
