"""Long replays: interrupted, killed, gone on with; broken at a place that is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from streams.cli import run
from streams.errors import ConfigError
from streams.replay.checkpoints import Checkpoint
from streams.replay.replay import Replay, ReplayOptions
from streams.replay.sources import Record, Source
from streams.replay.sources.opening import Mappings, open_sources
from streams.replay.sources.topics import TopicSlice
from streams.rulebooks.mapping_files import load_mapping
from streams.settings import load_settings
from streams.wire.decoder import Decoder
from tests.replay import orders
from tests.replay.runs import Runner
from tests.stories import FAR, shipped

ROOT = Path(__file__).resolve().parents[2]
MAPPING = "constants: {{event_type: {}, area: urban}}\nfields: {{order_id: order, occurred_at: at}}\n"
RESULTS = ("alerts.jsonl", "cases.csv", "letters.jsonl")


def command(path: Path, events: Path, *, jobs: int = 1) -> list[str]:
    options = [
        f"--{kind}={path / name}" for kind, name in zip(("alerts", "cases", "dead-letters"), RESULTS, strict=True)
    ]
    return [
        "replay",
        str(events),
        *options,
        f"--checkpoint={path / 'point'}",
        "--memory=90K",
        "--quiet",
        f"--jobs={jobs}",
    ]


def written(path: Path) -> dict[str, bytes]:
    """What was written, without the directory that dead letters name."""
    return {name: (path / name).read_bytes().replace(str(path).encode(), b"") for name in RESULTS}


def stopped(arguments: list[str], number: int, when: Callable[[int], bool]) -> int:
    """Start the command, send it a signal once something is so (of its process id), and return its exit code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "streams.cli", *arguments], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while not when(process.pid):
            assert process.poll() is None, "it ended before it could be stopped"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(number)
        return process.wait(60)


@pytest.fixture
def events(gridclock: Runner) -> Path:
    return gridclock.file("events.jsonl", orders.text(400))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What comes out undisturbed."""
    path = tmp_path_factory.mktemp("undisturbed")
    events = path / "events.jsonl"
    events.write_text(orders.text(400), "utf-8")
    assert run(command(path, events)) == 3
    return written(path)


@pytest.mark.parametrize(
    ("place", "first", "second"),
    [
        ("point.d/read-0000-00002", 1, 1),
        pytest.param("point.d/read-0000-00001", 2, 1, marks=pytest.mark.whole),
        pytest.param("point.d/done-1*", 1, 2, marks=pytest.mark.whole),
        ("point.d/done-1*", 2, 2),
        pytest.param("alerts.jsonl.partial", 2, 1, marks=pytest.mark.whole),
    ],
)
def test_killed_and_gone_on_with_it_gives_the_same_bytes(
    gridclock: Runner, events: Path, whole: dict[str, bytes], place: str, first: int, second: int
) -> None:
    path = gridclock.path
    code = stopped(command(path, events, jobs=first), signal.SIGKILL, lambda _pid: any(path.glob(place)))
    assert code == -signal.SIGKILL
    assert not (path / "alerts.jsonl").exists()
    assert gridclock(*command(path, events, jobs=second)).code == 3
    assert written(path) == whole
    assert not (path / "point").exists()
    assert not (path / "point.d").exists()


@pytest.mark.whole
def test_what_was_read_is_not_read_again(gridclock: Runner, events: Path, whole: dict[str, bytes]) -> None:
    path = gridclock.path
    arguments = command(path, events)
    stopped(arguments, signal.SIGKILL, lambda _pid: any(path.glob("point.d/done-1*")))
    status = events.stat()
    events.write_bytes(b"\n" * status.st_size)  # nobody looks
    os.utime(events, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert gridclock(*arguments).code == 3
    found = written(path)
    assert (found["alerts.jsonl"], found["cases.csv"]) == (whole["alerts.jsonl"], whole["cases.csv"])


def test_processes_do_not_outlive_the_first_one(gridclock: Runner, events: Path) -> None:
    path, found = gridclock.path, list[int]()
    if not Path("/proc/self/task").exists():
        pytest.skip("no /proc here, so a process's children cannot be looked up")

    def has_two(pid: int) -> bool:
        with suppress(OSError):
            found[:] = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return len(found) == 2

    stopped(command(path, events, jobs=2), signal.SIGKILL, has_two)
    deadline = time.monotonic() + 60
    while any(is_at_work(pid) for pid in found):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_at_work(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.whole
def test_interrupted_it_keeps_what_was_finished_under_partial(gridclock: Runner, events: Path) -> None:
    path = gridclock.path
    arguments = command(path, events)
    code = stopped(arguments, signal.SIGINT, lambda _pid: any(path.glob("point.d/done-1*")))
    assert code == 130
    lines = (path / "alerts.jsonl.partial").read_bytes().splitlines()
    assert len(lines) > 0
    assert not (path / "alerts.jsonl").exists()
    assert gridclock(*arguments).code == 3
    assert set(lines) < set((path / "alerts.jsonl").read_bytes().splitlines())


def test_a_checkpoint_of_another_replay_is_refused(gridclock: Runner, events: Path) -> None:
    arguments = command(gridclock.path, events)
    stopped(arguments, signal.SIGKILL, lambda _pid: (gridclock.path / "point").exists())
    rules = str(ROOT / "tests/replay/logs/receipt/rules")
    found = {}
    changes = {
        "ends_at": ["--until=2026-03-20T00:00:00+08:00"],
        "rulebook": [f"--only={rules}"],
        "results": [f"--alerts={gridclock.path / 'alerts.csv'}"],
    }
    for key, change in changes.items():
        found[key] = gridclock(*arguments, *change)
    events.write_text(orders.text(401), "utf-8")
    found["sources"] = gridclock(*arguments)
    for key, ran in found.items():
        assert (ran.code, ran.out) == (2, "")
        assert f"point: {key}: belongs to a replay of other files, rules or options" in ran.err


def test_a_checkpoint_of_events_that_were_read_otherwise_is_refused(
    gridclock: Runner, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field was declared wrongly; what was refused for it by then would stay out of the results."""
    rules = gridclock.path / "rules"
    rules.mkdir()
    declaration = "chapter: W\ntitle: {{zh: 窗口, en: Counter}}\nevents:\n  gate.opened: {{fields: {{urgent: {}}}}}\n"
    (rules / "own.yaml").write_text(declaration.format("text"), "utf-8")
    arguments = [*command(gridclock.path, events), f"--rules={rules}"]
    stopped(arguments, signal.SIGKILL, lambda _pid: (gridclock.path / "point").exists())
    (rules / "own.yaml").write_text(declaration.format("flag"), "utf-8")
    refused = {"events": gridclock(*arguments)}
    (rules / "own.yaml").write_text(declaration.format("text"), "utf-8")
    with monkeypatch.context() as patched:
        patched.setenv("GRIDCLOCK_PSEUDONYMS_INSIDE", "true")
        patched.setenv("GRIDCLOCK_PSEUDONYM_KEY", "a key of sixteen characters and more")
        refused["pseudonyms_inside"] = gridclock(*arguments)
    for key, ran in refused.items():
        assert (ran.code, ran.out) == (2, "")
        assert f"point: {key}: belongs to a replay of other files, rules or options" in ran.err
    point = gridclock.path / "point"
    kept = json.loads(point.read_bytes())
    del kept["job"]["events"], kept["job"]["pseudonyms_inside"]  # as before
    point.write_text(json.dumps(kept), "utf-8")
    assert gridclock(*arguments).code == 3


class Slice(TopicSlice):
    """Without a broker; ``tests/replay/test_topics.py`` has one."""

    def ends(self) -> list[str]:
        return [f"of {self.last}"]


def of_topic(mapping: Path) -> TopicSlice:
    source = Slice(load_settings(), "orders", 0, 0, 5)
    source.mapping = load_mapping(mapping)
    return source


def test_inputs_that_changed_or_are_read_otherwise_are_other_inputs(gridclock: Runner) -> None:
    """A part that is written anew in place leaves its directory's size and time as they were."""
    mapping = gridclock.file("map.yaml", MAPPING.format("repair.reported"))
    other = gridclock.file("other.yaml", MAPPING.format("repair.arrived"))
    table = gridclock.path / "orders"
    part = table / "order=WO1" / "part-0.parquet"
    part.parent.mkdir(parents=True)
    columns = pl.DataFrame({"at": ["2026-03-02T09:00:00+08:00"]})
    columns.write_parquet(part)
    book = gridclock.path / "orders.xlsx"
    columns.write_excel(book)

    def opened(name: Path, source: Source) -> None:
        Checkpoint(gridclock.path / f"{name.name}.point").open({}, [source], received=1)

    def table_of(path: Path, sheet: str | None = None) -> Source:
        return open_sources([str(path)], Mappings.load([mapping], sheet=sheet))[0]

    def refused(name: Path, source: Source) -> bool:
        try:
            opened(name, source)
        except ConfigError as error:
            return "sources: belongs to a replay of other files" in str(error)
        return False

    for _ in range(2):  # the second time it is gone on with
        opened(table, table_of(table))
        opened(book, table_of(book, "Sheet1"))
        opened(mapping, of_topic(mapping))
    before = table.stat()
    (table / "_SUCCESS").touch()
    opened(table, table_of(table))  # nothing that is read
    columns.vstack(columns).write_parquet(part)
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert refused(table, table_of(table))
    assert refused(book, table_of(book, "Sheet2"))
    assert refused(mapping, of_topic(other))


def test_a_topic_that_was_made_anew_is_another_input(tmp_path: Path) -> None:
    """Verdicts came from what was read of the former one, and from waiting for offsets that the new one lacks."""
    point = Checkpoint(tmp_path / "point")

    def opened(last: int) -> TopicSlice:
        source = Slice(load_settings(), "orders", 0, 0, last)
        point.open({}, [source], received=1)
        return source

    opened(5)
    assert opened(8).last == 5  # it has grown
    with pytest.raises(ConfigError, match="orders/0 now ends at offset 4, before 5, so it is another topic"):
        opened(4)
    kept = json.loads(point.path.read_bytes())
    kept["records"] = [["of another"]]
    point.path.write_text(json.dumps(kept), "utf-8")
    with pytest.raises(ConfigError, match="orders/0 now has other records at the same offsets, so it is another"):
        opened(8)
    del kept["records"]  # as before
    point.path.write_text(json.dumps(kept), "utf-8")
    assert opened(8).last == 5


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
    replay = Replay(shipped().rulebook, Decoder(shipped().catalogue), ReplayOptions(FAR))
    with pytest.raises(RuntimeError, match="a bug") as caught:
        replay.read([Breaking()])
    assert caught.value.__notes__ == ["gridclock: while reading events.jsonl:5, or what follows it"]


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_a_checkpoint_is_for_its_owner_s_eyes(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        checkpoint = Checkpoint(tmp_path / "point")
        checkpoint.open({}, [], received=1)
        assert checkpoint.path.stat().st_mode & 0o777 == 0o600
        assert checkpoint.directory.stat().st_mode & 0o777 == 0o700
        checkpoint.path.chmod(0o644)  # as 0.1 left it
        checkpoint.directory.chmod(0o755)
        checkpoint.open({}, [], received=2)
        assert checkpoint.path.stat().st_mode & 0o777 == 0o600
        assert checkpoint.directory.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
