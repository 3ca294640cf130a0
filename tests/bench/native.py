"""Both engines over simulated orders, beside a bare loop: ``python -m tests.bench.native`` prints a Markdown table.

Two streams: the simulated mix with all that goes wrong in it, and one in which 2 % of the orders have a broken case.
Each contender runs in a process of its own, in turns; the figures are medians, and a ratio is that of one turn. It is
processor time; the start (imports, the rulebook, its document for the native engine) does not count. The bare loop is
the one of ``contenders``: five clocks, no pauses, no corrections, no alerts written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from streams.live.gc_tuning import rare_collections
from streams.replay.output_form import OutputForm
from streams.replay.replay import Replay, ReplayOptions
from streams.replay.sources.lines import Lines
from streams.replay.summary import BROKEN
from streams.rulebooks.loader import load_rulebook
from streams.simulation import simulate
from streams.wire.decoder import Decoder, encode_json
from tests.bench.contenders import BARE, CONTENDERS

RECEIVED = 4_000_000_000_000_000
FEW = 0.02
FORMS = {"alerts": OutputForm(cases=None), "alerts and cases": OutputForm()}


def write_events(path: Path, *, orders: int, broken: float | None) -> int:
    """Write the stream as JSON lines; how many. ``broken``: the share of orders with a broken case."""
    found = simulate(orders=orders, seed=1, start=date(2026, 3, 2), days=40)
    bad = {row["start_event_id"].rpartition("-")[0] for row in found.expected if row["outcome"] in BROKEN}
    good = {event["order_id"] for event in found.events if event.get("order_id")} - bad
    most = len(bad) if broken is None else int(len(good) * broken / (1 - broken))
    kept = good | set(sorted(bad)[:most])
    # The bare loop knows nothing without an order.
    events = [event for event in found.events if event.get("order_id") in kept]
    path.write_bytes(b"".join(encode_json(event) + b"\n" for event in events))
    return len(events)


def measure(name: str, path: Path) -> dict[str, Any]:
    """Run one contender in this process: events, seconds of processor time, subjects left to Python.

    A file without events is read before: what that needs is the start.
    """
    engine, _, wanted = name.partition(", ")
    empty = path.with_name("empty.jsonl")
    empty.touch()
    with rare_collections():  # as the command does
        return _bare(empty, path) if name == "bare loop" else _replayed(engine, wanted, empty, path)


def _bare(empty: Path, path: Path) -> dict[str, Any]:
    CONTENDERS[BARE](empty)
    before = time.process_time()
    found = CONTENDERS[BARE](path)
    return {"events": found.events, "seconds": time.process_time() - before, "left": {}}


def _replayed(engine: str, wanted: str, empty: Path, path: Path) -> dict[str, Any]:
    loaded = load_rulebook()
    options = ReplayOptions(RECEIVED, output_form=FORMS[wanted], engine=engine)
    first, replay = (Replay(loaded.rulebook, Decoder(loaded.catalogue), options) for _ in range(2))
    _written(first, wanted, empty)
    replay.read([Lines(str(empty))])  # writes its document
    before = time.process_time()
    written = _written(replay, wanted, path)
    seconds = time.process_time() - before
    return {"events": replay.tally.events, "seconds": seconds, "left": dict(replay.left_to_python), "written": written}


def _written(replay: Replay, wanted: str, path: Path) -> int:
    """Replay a file: the bytes of its results."""
    replay.read([Lines(str(path))])
    replay.judge()
    written = sum(map(len, replay.alerts()))
    if replay.ends_at is not None and FORMS[wanted].needs_cases:
        written += sum(map(len, replay.cases()))
    replay.close()
    return written


def _in_process(name: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.native", "--measure", name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(path: Path, rounds: int, engines: Sequence[str]) -> str:
    """The table of one stream, and what was left to Python."""
    names = ["bare loop", *(f"{engine}, {wanted}" for wanted in FORMS for engine in engines)]
    runs = [{name: _in_process(name, path) for name in names} for _ in range(rounds)]
    lines = ["| contender | events/s of processor time | of the bare loop's |", "| --- | ---: | ---: |"]
    for name in names:
        rate = median(run[name]["events"] / run[name]["seconds"] for run in runs)
        ratio = median(run["bare loop"]["seconds"] / run[name]["seconds"] for run in runs)
        lines.append(f"| {name} | {rate:,.0f} | {ratio:.2f} |")
    for wanted in FORMS:
        if len({run[f"{engine}, {wanted}"]["written"] for run in runs for engine in engines}) != 1:
            raise SystemExit(f"the engines do not agree on {wanted}")
    left: Counter[str] = Counter(runs[0]["native, alerts"]["left"])
    said = ", ".join(f"{count} for {reason}" for reason, count in left.most_common())
    return "\n".join([*lines, f"\nSubjects left to Python: {said or 'none'}."])


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.native", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--native-only", action="store_true", help="leave out the Python engine, which takes longest")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(measure(given.measure[0], Path(given.measure[1]))))  # noqa: T201
        return
    engines = ("native",) if given.native_only else ("python", "native")
    with tempfile.TemporaryDirectory(prefix="gridclock-bench-") as directory:
        path = Path(directory) / "events.jsonl"
        for title, broken in (("Simulated mix", None), ("2 % of orders with a broken case", FEW)):
            count = write_events(path, orders=given.orders, broken=broken)
            print(f"{title}, {count:,} events\n\n{compare(path, given.rounds, engines)}\n", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
