"""The comparison: ``python -m tests.bench.replay`` prints a Markdown table.

Every contender runs in a process of its own, several times, in turns; the best run counts, because on a machine shared
with others the rest is their noise. CPU time is that of all its processes; start-up and imports are not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.bench.contenders import BARE, CONTENDERS, RULES
from tests.bench.events import write_events


@dataclass(frozen=True)
class Row:
    """One contender's best run. Seconds, bytes of the largest process, and a hash over its breaches."""

    name: str
    events: int
    cpu: float
    wall: float
    memory: int
    breaches: int
    digest: str


def _cpu() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def measure(name: str, path: Path) -> Row:
    """Run one contender in this process."""
    cpu, wall = _cpu(), time.perf_counter()
    result = CONTENDERS[name](path)
    cpu, wall = _cpu() - cpu, time.perf_counter() - wall
    digest = sha256(json.dumps(sorted(result.breaches)).encode()).hexdigest()
    return Row(name, result.events, cpu, wall, _peak_memory(), len(result.breaches), digest)


def _peak_memory() -> int:
    # The system's own figure (ru_maxrss) still counts what the process was before it became Python.
    status = Path("/proc/self/status").read_text("ascii", "replace") if sys.platform == "linux" else ""
    own = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024


def _in_process(name: str, path: Path) -> Row:
    command = [sys.executable, "-m", "tests.bench.replay", "--measure", name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return Row(**json.loads(done.stdout))


def compare(path: Path, *, rounds: int, names: list[str]) -> list[Row]:
    """The best run of each, in CPU time; raises where they do not agree on the breaches."""
    best: dict[str, Row] = {}
    for _ in range(rounds):
        for name in names:
            row = _in_process(name, path)
            if name not in best or row.cpu < best[name].cpu:
                best[name] = row
    rows = list(best.values())
    if len({(row.events, row.digest) for row in rows}) != 1:
        raise SystemExit("they do not agree: " + "; ".join(f"{r.name}: {r.breaches} of {r.events}" for r in rows))
    return rows


def table(rows: list[Row]) -> str:
    """Markdown."""
    bare = next((row for row in rows if row.name == BARE), rows[0])
    lines = [
        "| contender | events/s of CPU time | of the bare loop's | events/s by the clock | peak memory |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.events / row.cpu:,.0f} | {bare.cpu / row.cpu:.3f} | {row.events / row.wall:,.0f} "
            f"| {row.memory / 2**20:,.0f} MB |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.replay", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--start", type=date.fromisoformat, default=date(2026, 3, 2))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(_as_json(measure(given.measure[0], Path(given.measure[1])))))  # noqa: T201
        return
    with tempfile.TemporaryDirectory(prefix="gridclock-bench-") as directory:
        path = Path(directory) / "events.jsonl"
        count = write_events(path, orders=given.orders, seed=given.seed, start=given.start, days=given.days)
        size = path.stat().st_size / max(count, 1)
        rows = compare(path, rounds=given.rounds, names=list(CONTENDERS))
    told = f"{rows[0].breaches:,} breaches on {len(RULES)} common clocks: all agree"
    print(f"{count:,} events of {size:.0f} bytes, {told}\n\n{table(rows)}")  # noqa: T201


def _as_json(row: Row) -> dict[str, Any]:
    return dict(vars(row))


if __name__ == "__main__":
    main()
