"""How fast a replay is by each engine, Spark among them: ``python -m tests.bench.spark`` prints a Markdown table.

Makes a file of events (``tests.bench.tiled``), replays it with alerts and cases, packed, by each engine in turn, and
compares the results. ``--events`` may be given several times, to see how figures grow. The native engine must be built.
Spark is found as the tests find it, in ``.spark`` (see ``tests/spark/conftest.py``). Ten million events take 4 GB of
disk, and what an engine puts aside comes on top; what was written is removed.
Processor time is that of all processes of a replay, Spark's among them, as they were last seen; start-up is counted.
The last column has the first digits of the SHA-256 of the results: the events are the same in every run, so the
tables of several runs can be compared. Exits 1 where results differ.

    python -m tests.bench.spark --engine 'native, one thread' --engine 'native, two threads' \\
        --engine 'Spark, local[2], native' --events 1000000 --events 10000000
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from streams.engine import VARIABLE
from streams.files import open_bytes
from tests.bench.measuring import parser_of
from tests.bench.processes import Watched, watch
from tests.bench.tiled import write_tiled
from tests.integration.live import ROOT

SPARK = ("--engine", "spark", "--master", "local[2]")
ENGINES: dict[str, tuple[str, ...]] = {
    "Python, one process": (),
    "Python, two processes": ("--jobs", "2"),
    "native, one thread": (),
    "native, two threads": ("--jobs", "2"),
    "Spark, local[2], Python": SPARK,
    "Spark, local[2], native": SPARK,
}
RESULTS = ("alerts", "cases")


@dataclass(frozen=True)
class Row:
    """One replay."""

    name: str
    events: int
    ran: Watched
    results: str

    def cells(self) -> list[str]:
        """As the table has them."""
        ran = self.ran
        rates = f"{self.events / ran.seconds:,.0f}", f"{self.events / ran.cpu:,.0f}"
        sizes = (f"{size / 2**20:,.0f}" for size in (ran.largest, ran.together, ran.aside))
        times = f"{ran.seconds:,.0f}", f"{ran.cpu:,.0f}"
        return [self.name, f"{self.events:,}", *times, *rates, *sizes, self.results[:12]]


HEAD = (
    "engine", "events", "s by the clock", "s of processor", "events/s", "events/s of processor", "largest process, MB",
    "all together, MB", "put aside on disk, MB", "results",
)  # fmt: skip


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    aligned = ("---", *("---:" for _ in HEAD[1:-1]), "---")
    lines = [HEAD, aligned, *(tuple(row.cells()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measure(directory: Path, name: str, path: Path, events: int) -> Row:
    """Replay by one engine; what it writes is removed."""
    with tempfile.TemporaryDirectory(dir=directory) as own:
        written = [Path(own, f"{kind}.jsonl.zst") for kind in RESULTS]
        results = [part for kind, file in zip(RESULTS, written, strict=True) for part in (f"--{kind}", str(file))]
        command = [sys.executable, "-m", "streams.cli", "replay", str(path), *results, "--quiet", *ENGINES[name]]
        aside, said = Path(own, "aside"), Path(own, "said")
        aside.mkdir()
        os.environ |= {
            VARIABLE: "native" if "native" in name else "python", "TMPDIR": str(aside), "SPARK_LOCAL_DIRS": str(aside)
        }  # fmt: skip
        ran = watch(command, said, aside, every=0.5)
        if ran.code not in (0, 3):
            lines = said.read_text("utf-8").splitlines()
            # of frames of Java there are hundreds
            why = "\n".join(line for line in lines if not line.startswith("\tat "))
            raise SystemExit(f"{name}: exit code {ran.code}: {why[-4000:]}")
        return Row(name, events, ran, _digest(written))


def _digest(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        with open_bytes(str(path)) as source:
            while piece := source.read(1 << 20):
                found.update(piece)
    return found.hexdigest()


def bench(directory: Path, counts: list[int], names: list[str]) -> int:
    """Print the table; whether results differ."""
    rows, same = [], True
    for events in counts:
        path = directory / "events.jsonl"
        made = write_tiled(path, events=events, subjects_open=max(events // 50, 1_000), seed=1)
        own = []
        for name in names:
            own.append(measure(directory, name, path, made.events))
            print(table(own[-1:]), file=sys.stderr, flush=True)  # noqa: T201 - so far
        rows += own
        same = same and len({row.results for row in own}) == 1
    print(table(rows))  # noqa: T201 - a bench's output
    print("the same results by every engine" if same else "the results differ")  # noqa: T201
    return 0 if same else 1


def main(arguments: list[str] | None = None) -> int:
    """See the module."""
    parser = parser_of("spark", __doc__)
    parser.add_argument("--events", type=int, action="append", help="to write; may be given again (1,000,000)")
    parser.add_argument("--engine", action="append", choices=list(ENGINES), help="only this one; may be given again")
    given = parser.parse_args(arguments)
    spark = ROOT / ".spark"
    os.environ["SPARK_HOME"] = str(spark / "pyspark")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = str(spark)
    with tempfile.TemporaryDirectory(prefix="gridclock-spark-") as directory:
        return bench(Path(directory), given.events or [1_000_000], given.engine or list(ENGINES))


if __name__ == "__main__":
    sys.exit(main())
