"""Several processes find what one finds, byte for byte; what breaks in one of them is told by the first."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letters import DeadLetter
from streams.core.event import Event
from streams.files import read_lines
from streams.replay.forks import run_forked
from streams.replay.replay import Replay, ReplayOptions
from streams.replay.sources.lines import Lines
from streams.wire.decoder import Decoder
from tests.replay import orders
from tests.replay.runs import Runner
from tests.replay.test_memory import results
from tests.stories import FAR, shipped

MAPPING = """
format: csv
time: {zone: Asia/Shanghai}
event_type: {column: what, values: {in: repair.reported, there: repair.arrived}}
fields:
  event_id: {column: id}
  order_id: {column: order}
  occurred_at: {column: at}
"""


@pytest.mark.parametrize(("jobs", "memory"), [(2, "512M"), (3, "90K")])
def test_jobs_change_nothing(gridclock: Runner, jobs: int, memory: str) -> None:
    path = gridclock.file("events.jsonl", orders.text(400))  # four ranges
    one = results(gridclock, "one", path)
    assert all(one[2].values())
    assert results(gridclock, "more", path, "--memory", memory, "--jobs", str(jobs)) == one


@pytest.fixture
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few lines each, so that small files have many."""
    monkeypatch.setattr("streams.replay.reading.LEAST", 700)
    monkeypatch.setattr("streams.replay.reading.RANGES", 10_000)
    monkeypatch.setattr("streams.replay.reading.EVERY", 7)


def several(gridclock: Runner) -> list[str | Path]:
    """Files of all sorts, in no order of time, with repetitions within and between them."""
    lines = orders.lines(150)
    cut = len(lines) // 3
    windows = "\r\n\r\n".join(lines[2 * cut :])  # no line break at the end
    return [
        gridclock.file("windows.jsonl", windows),
        gridclock.file("none.jsonl", b""),
        gridclock.file("packed.jsonl.gz", gzip.compress("\n".join(lines[cut : 2 * cut]).encode())),
        gridclock.file("short.jsonl", lines[0].replace('"320', '"329')),
        gridclock.file("broken.jsonl", b"\xff\n\n{}\n" + b"x" * 3000 + b"\n\n\n[]"),
        gridclock.file(
            "table.csv",
            "id,what,order,at\n"
            + "".join(f"c{n},{'in' if n % 2 else 'there'},C{n // 2},2026-03-0{1 + n % 7} 09:00\n" for n in range(30))
            + "only,two\n",
        ),
        gridclock.file("plain.jsonl", "\n".join(lines[: 2 * cut]) + "\n"),
        "--map",
        gridclock.file("table.yaml", MAPPING),
    ]  # fmt: skip


@pytest.mark.usefixtures("small_stretches")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="all", marks=pytest.mark.whole),
        pytest.param(["--until", "2026-03-10T00:00:00+08:00"], id="until", marks=pytest.mark.whole),
        pytest.param(["--as-of", "2026-03-12T12:00:00+08:00"], id="as-of"),
    ],
)
def test_files_of_all_sorts_read_in_stretches_are_one_stream(gridclock: Runner, options: list[str]) -> None:
    arguments = [*several(gridclock), *options]
    one = results(gridclock, "one", *arguments, "--report", gridclock.path / "one.html")
    code, said, files = one
    assert code == 3
    assert all(files.values())
    letters = [json.loads(line) for line in files["dead-letters"].splitlines()]
    assert {letter["reason"] for letter in letters} >= {"not_json", "not_utf8", "bad_field", "conflicting_duplicate"}
    point = gridclock.path / "point"
    ways: dict[str, list[str | Path]] = {"kept": ["--checkpoint", point], "two": ["--jobs", "2"]}
    if not options:
        ways["three"] = ["--jobs", "3"]
    for name, more in ways.items():
        page = gridclock.path / name / "one.html"  # of one name: the page has links to the list beside it
        page.parent.mkdir()
        again = results(gridclock, name, *arguments, "--report", page, *more)
        assert again == (code, said, files)
        assert page.read_bytes() == (gridclock.path / "one.html").read_bytes()


def test_a_damaged_file_is_named_alike(gridclock: Runner) -> None:
    packed = gzip.compress(orders.text(60).encode())
    path = gridclock.file("packed.jsonl.gz", packed[: len(packed) // 2])
    other = gridclock.file("events.jsonl", orders.text(6))
    said = [gridclock("replay", other, path, "--jobs", jobs) for jobs in ("1", "2")]
    assert said[0].code == said[1].code == 2
    assert "packed.jsonl.gz:" in said[0].err
    assert "damaged after this line" in said[0].err
    assert said[1].err.splitlines()[-1] == said[0].err.splitlines()[-1]


@given(
    st.lists(st.sampled_from([b"\n", b"\r\n", b" ", b"a", b"bcd" * 9, b"\r"]), max_size=30),
    st.integers(1, 40),
)
def test_ranges_of_a_file_hold_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], step: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "ranges"
    path.write_bytes(b"".join(pieces))
    ranges = Lines(str(path)).ranges(step)
    assert ranges is not None
    found, before = [], 0
    for part in ranges:
        found += [(before + number, line) for number, line, _ in part.records()]
        assert part.lines_before() == before or not part.lines
        before += part.lines
    assert found == list(read_lines(str(path)))


class BreaksAt(Decoder):
    """Has a bug that one line shows."""

    def decode(self, raw: bytes, *, received: int, max_ahead: int = 0) -> Event:
        if b'"WO140-1"' in raw:
            raise RuntimeError("a bug")
        return super().decode(raw, received=received, max_ahead=max_ahead)


@pytest.mark.usefixtures("small_stretches")
def test_a_crash_in_a_process_names_the_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = orders.lines(150)
    path.write_text("\n".join(lines), "utf-8")
    number = next(n for n, line in enumerate(lines, start=1) if '"WO140-1"' in line)
    told: list[DeadLetter] = []
    replay = Replay(shipped().rulebook, BreaksAt(shipped().catalogue), ReplayOptions(FAR, jobs=2, engine="python"))
    replay.on_dead_letter = told.append
    with pytest.raises(RuntimeError, match="a bug") as caught:
        replay.read([Lines(str(path))])
    replay.close()
    assert caught.value.__notes__ == [f"gridclock: while reading {path}:{number}, or what follows it"]
    first = next(n for n, line in enumerate(lines, start=1) if not line.endswith("}"))
    assert [letter.position for letter in told][:1] == [first]  # what was read before is told


def test_steps_of_all_processes_add_up() -> None:
    def walks(moved: Callable[[int], None]) -> None:
        for _ in range(1000):
            moved(3)

    moved: list[int] = []
    run_forked([walks] * 5, moved.append, jobs=2, step=100)
    assert sum(moved) == 15_000
    assert len(moved) <= 2 * (1 + 15_000 // 100)


def test_what_breaks_in_a_process_is_raised_with_its_notes() -> None:
    def breaks(moved: Callable[[int], None]) -> None:
        moved(3)
        error = ValueError("a bug")
        error.add_note("gridclock: while judging event 'e1'")
        raise error

    def goes_on(moved: Callable[[int], None]) -> None:
        while True:
            moved(1)

    moved: list[int] = []
    with pytest.raises(ValueError, match="a bug") as caught:
        run_forked([breaks, goes_on], moved.append)
    assert caught.value.__notes__ == ["gridclock: while judging event 'e1'"]
    assert 3 in moved


def test_a_process_that_is_killed_is_no_success() -> None:
    def dies(_moved: Callable[[int], None]) -> None:
        raise SystemExit(9)

    with pytest.raises(RuntimeError, match="was killed"):
        run_forked([dies], lambda _n: None)
