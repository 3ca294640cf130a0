"""Millions of events, hundreds of thousands of open subjects, and kills: ``python -m tests.bench.large``.

Makes the file (``tests.bench.tiled``), replays it with the shipped rulebook, alerts, cases, report and a checkpoint,
and says how fast it was and what memory it took. Then does so again and kills it: in reading, in judging, in writing
the results; goes on each time, and compares every file of results byte for byte. Exits 1 where they differ or where
memory exceeds the bound.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.bench.processes import Watched, watch
from tests.bench.tiled import Tiled, write_tiled

RESULTS = ("alerts.jsonl", "cases.jsonl", "letters.jsonl", "report.html")
STAGES = ("reading", "judging", "writing")
DONE = (0, 3)
"""The exit codes of a replay that came to its end; the second where it refused some lines."""


class Large:
    """One file of events and what is done with it, under one directory."""

    def __init__(self, directory: Path, events: Path, options: list[str]) -> None:
        self._directory = directory
        self._events = events
        self._options = options

    def command(self, name: str) -> list[str]:
        """The replay whose results stand under that name."""
        place = self._directory / name
        place.mkdir(exist_ok=True)
        kinds = ("--alerts", "--cases", "--dead-letters", "--report")
        results = [part for kind, file in zip(kinds, RESULTS, strict=True) for part in (kind, str(place / file))]
        replay = [sys.executable, "-m", "streams.cli", "replay", str(self._events)]
        return [*replay, *results, "--checkpoint", str(place / "point"), *self._options]

    def run(self, name: str, kill_when: Callable[[], bool] | None = None) -> Watched:
        """Replay, or go on with it; what it says is in ``<name>/said``."""
        place = self._directory / name
        return watch(self.command(name), place / "said", place / "point.d", kill_when=kill_when)

    def said(self, name: str) -> str:
        """What the replay said at its end: a line of counts, one of refused lines."""
        return (self._directory / name / "said").read_text("utf-8", "replace")

    def kill_at(self, name: str, stage: str, share: float, whole: Watched) -> Callable[[], bool]:
        """Whether that share of a stage is done, going by an undisturbed run."""
        place = self._directory / name
        if stage == "writing":
            size = share * (self._directory / "whole" / "cases.jsonl").stat().st_size
            return lambda: _size(place / "cases.jsonl.partial") >= size
        kind = "read" if stage == "reading" else "done"
        wanted = max(1, round(share * whole.counts[kind]))
        return lambda: _count(place / "point.d", kind) >= wanted

    def differing(self, name: str) -> list[str]:
        """The results that are not those of the undisturbed run."""
        one, other = self._directory / "whole", self._directory / name
        return [file for file in RESULTS if not filecmp.cmp(one / file, other / file, shallow=False)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _count(directory: Path, kind: str) -> int:
    try:
        return sum(1 for name in os.listdir(directory) if name.startswith(f"{kind}-") and "." not in name)
    except OSError:
        return 0


def bench(directory: Path, given: argparse.Namespace) -> list[str]:
    """Do all of it, telling as it goes; what went wrong."""
    began = time.monotonic()
    path = directory / "events.jsonl"
    made = write_tiled(path, events=given.events, subjects_open=given.open, seed=given.seed, orders=given.orders)
    _say_made(made, path, time.monotonic() - began)
    options = ["--jobs", str(given.jobs), *(["--memory", given.memory] if given.memory else [])]
    large = Large(directory, path, options)
    whole = large.run("whole")
    _say(f"replayed with --jobs {given.jobs}: {_measured(whole)}; {made.events / whole.seconds:,.0f} events/s")
    wrong = [] if whole.code in DONE else [f"the replay ended with {whole.code}: {large.said('whole')}"]
    counts = next((line for line in large.said("whole").splitlines() if " alerts" in line), "")
    _say(counts)
    if "that no rule watches" in counts or f"{made.events + made.events // 2000:,} events" not in counts:
        wrong.append("not every event mattered to some rule")
    if not wrong and given.kills:
        wrong += _killed(large, whole, given)
    if given.bound and whole.together > given.bound * 1024 * 1024:
        wrong.append(f"memory of {whole.together / 2**20:,.0f} MB exceeds {given.bound:,} MB")
    return wrong


def _killed(large: Large, whole: Watched, given: argparse.Namespace) -> list[str]:
    chance = Random(given.seed)
    code: int | None = None
    for number in range(given.kills):
        stage, share = STAGES[number % len(STAGES)], chance.uniform(0.05, 0.95)
        ran = large.run("killed", large.kill_at("killed", stage, share, whole))
        code = ran.code
        _say(f"to be killed when {share:.0%} of {stage} is done: exit code {ran.code}; {_measured(ran)}")
        if code in DONE:
            break  # it was done before anybody looked
    if code not in DONE:
        ran = large.run("killed")
        _say(f"gone on to the end: exit code {ran.code}; {_measured(ran)}")
        if ran.code not in DONE:
            return [f"going on ended with {ran.code}: {large.said('killed')}"]
    differing = large.differing("killed")
    _say(f"results after {given.kills} kills: " + (f"other {', '.join(differing)}" if differing else "the same bytes"))
    return [f"{name} is another after kills" for name in differing]


def _say_made(made: Tiled, path: Path, seconds: float) -> None:
    _say(
        f"{made.events:,} events in {made.lines:,} lines ({path.stat().st_size / 2**20:,.0f} MB), at most "
        f"{made.subjects_open:,} subjects open, over {made.days} days; made in {seconds:.0f} s"
    )


def _measured(ran: Watched) -> str:
    return (
        f"{ran.seconds:.0f} s by the clock, {ran.cpu:.0f} s of processor time; the largest process "
        f"{ran.largest / 2**20:,.0f} MB, all together {ran.together / 2**20:,.0f} MB; on disk meanwhile "
        f"{ran.aside / 2**20:,.0f} MB"
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a bench's output


def main(arguments: list[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.large",
        description=__doc__.splitlines()[0],
        epilog="example: python -m tests.bench.large --events 1000000 --jobs 2 --kills 3",
    )
    parser.add_argument("--events", type=int, default=10_000_000, help="events to write (10,000,000)")
    parser.add_argument("--open", type=int, default=200_000, help="subjects open at a time (200,000)")
    parser.add_argument("--orders", type=int, default=20_000, help="orders that are simulated and copied (20,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation and of the kills (1)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--memory", help="as the replay takes it (its default)")
    parser.add_argument("--kills", type=int, default=3, help="kills of the second replay; 0: no second one (3)")
    parser.add_argument("--bound", type=int, default=1536, help="megabytes of all processes together (1536); 0: none")
    parser.add_argument("--directory", type=Path, help="where files go, and stay (a temporary one)")
    given = parser.parse_args(arguments)
    if sys.platform != "linux":
        parser.error("memory is looked up in /proc, which this system does not have")
    if given.directory is None:
        with tempfile.TemporaryDirectory(prefix="gridclock-large-") as directory:
            wrong = bench(Path(directory), given)
    else:
        given.directory.mkdir(parents=True, exist_ok=True)
        wrong = bench(given.directory, given)
    for problem in wrong:
        _say(f"WRONG: {problem}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
