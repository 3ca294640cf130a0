"""Long replays: interrupted, killed, gone on with; broken at a place that is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.adapters.codec import Decoder
from streams.adapters.replay import Replay
from streams.adapters.sources import Record
from streams.cli import run
from tests.replay import orders
from tests.replay.runs import Runner
from tests.stories import FAR, shipped

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ("alerts.jsonl", "cases.csv", "letters.jsonl")


def command(path: Path, events: Path) -> list[str]:
    options = [
        f"--{kind}={path / name}" for kind, name in zip(("alerts", "cases", "dead-letters"), RESULTS, strict=True)
    ]
    return ["replay", str(events), *options, f"--checkpoint={path / 'point'}", "--memory=90K", "--quiet"]


def written(path: Path) -> dict[str, bytes]:
    """What was written, without the directory that dead letters name."""
    return {name: (path / name).read_bytes().replace(str(path).encode(), b"") for name in RESULTS}


def stopped(arguments: list[str], number: int, when: Callable[[], bool]) -> int:
    """Start the command, send it a signal once something is so, and return its exit code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "streams.cli", *arguments], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while not when():
            assert process.poll() is None, "it ended before it could be stopped"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(number)
        return process.wait(60)


@pytest.fixture
def events(gridclock: Runner) -> Path:
    return gridclock.file("events.jsonl", orders.text(200))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What comes out undisturbed."""
    path = tmp_path_factory.mktemp("undisturbed")
    events = path / "events.jsonl"
    events.write_text(orders.text(200), "utf-8")
    assert run(command(path, events)) == 3
    return written(path)


@pytest.mark.parametrize("place", ["point.d/events-00005", "point.d/done-1*", "alerts.jsonl.partial"])
def test_killed_and_gone_on_with_it_gives_the_same_bytes(
    gridclock: Runner, events: Path, whole: dict[str, bytes], place: str
) -> None:
    path = gridclock.path
    arguments = command(path, events)
    code = stopped(arguments, signal.SIGKILL, lambda: any(path.glob(place)))
    assert code == -signal.SIGKILL
    assert not (path / "alerts.jsonl").exists()
    assert gridclock(*arguments).code == 3
    assert written(path) == whole
    assert not (path / "point").exists()
    assert not (path / "point.d").exists()


def test_interrupted_it_keeps_what_was_finished_under_partial(gridclock: Runner, events: Path) -> None:
    path = gridclock.path
    arguments = command(path, events)
    code = stopped(arguments, signal.SIGINT, lambda: any(path.glob("point.d/done-1*")))
    assert code == 130
    lines = (path / "alerts.jsonl.partial").read_bytes().splitlines()
    assert len(lines) > 0
    assert not (path / "alerts.jsonl").exists()
    assert gridclock(*arguments).code == 3
    assert set(lines) < set((path / "alerts.jsonl").read_bytes().splitlines())


def test_a_checkpoint_of_another_replay_is_refused(gridclock: Runner, events: Path) -> None:
    arguments = command(gridclock.path, events)
    stopped(arguments, signal.SIGKILL, (gridclock.path / "point").exists)
    rules = str(ROOT / "tests/replay/logs/receipt/rules")
    found = {}
    for key, change in {"ends_at": ["--until=2026-03-20T00:00:00+08:00"], "rulebook": [f"--only={rules}"]}.items():
        found[key] = gridclock(*arguments, *change)
    events.write_text(orders.text(201), "utf-8")
    found["sources"] = gridclock(*arguments)
    for key, ran in found.items():
        assert (ran.code, ran.out) == (2, "")
        assert f"point: {key}: belongs to a replay of other files, rules or options" in ran.err


def test_standard_input_has_no_checkpoint(gridclock: Runner) -> None:
    ran = gridclock("replay", "-", "--checkpoint", gridclock.path / "point")
    assert ran.code == 2
    assert "standard input cannot be read again" in ran.err


class Breaking:
    name = "events.jsonl"
    size = None

    def records(self) -> Iterator[Record]:
        for number, line in enumerate(orders.lines(2), start=1):
            yield number, line.encode(), None
        raise RuntimeError("a bug")


def test_a_crash_names_the_place_in_the_input() -> None:
    replay = Replay(shipped().rulebook, Decoder(shipped().catalogue), received=FAR)
    with pytest.raises(RuntimeError, match="a bug") as caught:
        replay.read([Breaking()])
    assert caught.value.__notes__ == ["gridclock: while reading events.jsonl:5, or what follows it"]
