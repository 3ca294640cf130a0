"""A line without end is refused as too large without being held, and what follows it is read."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import zstandard

from schemas.dead_letters import DeadLetter
from streams.files import MAX_LINE
from streams.kafka.threaded_producer import ThreadedProducer
from streams.replay.sources.json_rows import elements_of
from tests.replay import orders
from tests.replay.runs import Runner, data_of
from tests.replay.test_files import HEAD, MAP, ROWS, judged
from tests.replay.test_sources import XES_MAP

MEGABYTE = 1 << 20
LONG = MAX_LINE + 3 * MEGABYTE
EVENTS = orders.text(12).encode()
BEFORE = EVENTS + b"\n" * (1 << 16)


def gigabyte(path: Path) -> Path:
    """Events, a line of 1 GiB, and events again; 1 MB on disk."""
    packed = gzip.compress(b"x" * 64 * MEGABYTE)
    path.write_bytes(gzip.compress(BEFORE) + packed * 16 + gzip.compress(b"\n" + EVENTS))
    return path


def sparse(path: Path) -> Path:
    """The same as a plain file, which holds no blocks for the long line."""
    with path.open("wb") as target:
        target.write(BEFORE)
        target.seek(1 << 30, 1)
        target.write(b"\n" + EVENTS)
    return path


def frames(path: Path) -> Path:
    """The same as Zstandard frames."""
    pack = zstandard.ZstdCompressor().compress
    path.write_bytes(pack(BEFORE) + pack(b"x" * 64 * MEGABYTE) * 16 + pack(b"\n" + EVENTS))
    return path


def letters_in(path: Path) -> list[DeadLetter]:
    return [DeadLetter.model_validate_json(line) for line in path.read_bytes().splitlines()]


def bounded() -> None:
    """900 MiB of addresses, less than the line has."""
    resource.setrlimit(resource.RLIMIT_AS, (900 * MEGABYTE, 900 * MEGABYTE))


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (gigabyte, []),
        (gigabyte, ["--engine", "python"]),
        (gigabyte, ["-"]),
        (sparse, []),
        (sparse, ["--jobs", "2"]),
        (frames, []),
    ],
)
@pytest.mark.whole
def test_a_line_of_a_gigabyte_is_refused_in_a_small_memory(
    make: Callable[[Path], Path], more: list[str], gridclock: Runner, tmp_path: Path
) -> None:
    path, letters, alerts = make(tmp_path / "events"), tmp_path / "letters", tmp_path / "alerts"
    expected = gridclock("replay", gridclock.file("twice.jsonl", EVENTS * 2), "--quiet").out
    name = "-" if more == ["-"] else str(path)
    with path.open("rb") if name == "-" else nullcontext() as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", "replay", name, "--dead-letters", str(letters), "--alerts",
             str(alerts), *(one for one in more if one != "-")],
            stdin=stdin, capture_output=True, text=True, check=False, preexec_fn=bounded,
        )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert alerts.read_text("utf-8") == expected
    number = BEFORE.count(b"\n") + 1
    (long,) = (one for one in letters_in(letters) if one.reason == "too_large")
    assert (long.source, long.position, long.size, long.truncated) == (name, number, 1 << 30, True)
    assert len(long.original()) == 200_000
    assert f"{name}:{number}: too_large: a line of 1,073,741,824 bytes; at most 16,777,216 are read" in done.stderr


@pytest.mark.parametrize("size", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, LONG])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_size_is_exact(gridclock: Runner, size: int, end: bytes) -> None:
    line = b"y" * size
    path, letters = gridclock.file("e.jsonl", EVENTS + line + end), gridclock.path / "letters"
    assert gridclock("replay", path, "--dead-letters", letters, "--quiet").code == 3
    (long,) = (one for one in letters_in(letters) if one.reason == "too_large")
    assert (long.size, long.truncated) == (size, size + len(end) > MAX_LINE)
    assert line.startswith(long.original())


def test_a_short_record_before_a_gigabyte_of_blanks_is_no_event(gridclock: Runner) -> None:
    event = EVENTS.splitlines()[0]
    path = gridclock.file("e.jsonl", event + b" " * LONG + b"\n")
    ran = gridclock("replay", path)
    assert ran.code == 3
    assert "too_large 1" in ran.err
    assert "1 lines, 0 events" in ran.err


def letter_of(gridclock: Runner, path: Path, mapping: str, *more: str) -> DeadLetter:
    letters = gridclock.path / "letters"
    ran, found = judged(gridclock, path, mapping, "--dead-letters", str(letters), *more)
    assert ran.code == 3, ran.err
    assert found == {"BX1": "met", "BX2": "met_late", "BX3": "breached"}
    (letter,) = letters_in(letters)
    return letter


@pytest.mark.parametrize("cell", ["长" * LONG, '"' + "x" * LONG, "x," * (LONG // 2)])
def test_a_row_of_csv_that_is_too_long_is_refused_and_the_next_ones_are_read(gridclock: Runner, cell: str) -> None:
    text = "\n".join([HEAD, *ROWS[:2], cell, *ROWS[2:], ""])
    letter = letter_of(gridclock, gridclock.file("t.csv", text), MAP)
    size = len(cell.encode()) + 1
    assert (letter.reason, letter.position, letter.size, letter.truncated) == ("too_large", 3, size, True)
    assert "put each row on a line of its own" in letter.detail


def test_an_open_quote_over_many_lines_is_found_before_the_memory_is_full(gridclock: Runner) -> None:
    text = "\n".join([HEAD, *ROWS, '"BX4,受理', *["y" * 1000] * (LONG // 1000)])
    ran, _ = judged(gridclock, gridclock.file("t.csv", text), MAP)
    assert ran.code == 2
    assert "t.csv:7: quote: a quote opens in row 6" in ran.err


def test_a_header_that_is_too_long_is_an_error(gridclock: Runner) -> None:
    ran, _ = judged(gridclock, gridclock.file("t.csv", "z" * LONG + "\n1\n"), MAP)
    assert ran.code == 2
    assert "t.csv:1: the header is a line of" in ran.err


JSON_MAP = MAP + "format: json\n"


def as_json(rows: list[str]) -> list[str]:
    return [json.dumps(dict(zip(HEAD.split(","), row.split(","), strict=True)), ensure_ascii=False) for row in rows]


@pytest.mark.parametrize("array", [False, pytest.param(True, marks=pytest.mark.whole)])
def test_a_record_of_json_that_is_too_long_is_refused_and_the_next_ones_are_read(
    gridclock: Runner, array: bool
) -> None:
    long = json.dumps({"x": ['}],\\"' * (LONG // 8)], "y": {"z": [1, 2]}})
    records = [*as_json(ROWS[:2]), long, *as_json(ROWS[2:])]
    text = f"[{','.join(records)}]" if array else "\n".join(records)
    letter = letter_of(gridclock, gridclock.file("t.json", text), JSON_MAP)
    assert (letter.reason, letter.position, letter.size, letter.truncated) == ("too_large", 3, len(long), True)


@pytest.mark.parametrize(
    "long",
    ['"' + "\\\\" * 99_999 + "a" * LONG + '\\""', "[" * 200 + "1," * 99_999 + "1" * LONG + "]" * 200, "1" * LONG],
)
def test_elements_after_one_that_is_too_long_are_all_there(tmp_path: Path, long: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'[1, {long}, {{"a": 2}}]', "utf-8")
    first, (_, beginning, error), last = elements_of(str(path))
    assert error is not None
    assert (first, error.size, last) == ((1, b"1", None), len(long), (3, b'{"a": 2}', None))
    assert long.startswith(beginning.decode())


def test_an_array_of_events_with_one_too_long(gridclock: Runner) -> None:
    events = [json.loads(line) for line in orders.lines(12) if line.startswith("{") and line.endswith("}")]
    whole = gridclock("replay", gridclock.file("w.json", json.dumps(events)), "--quiet")
    long: list[Any] = [*events[:5], {"x": "y" * LONG}, *events[5:]]
    ran = gridclock("replay", gridclock.file("e.json", json.dumps(long)), "--quiet")
    assert (ran.code, ran.alerts) == (3, whole.alerts)


@pytest.mark.whole
def test_a_tag_of_xes_that_is_too_long_ends_the_reading_with_its_line(gridclock: Runner) -> None:
    text = '<log>\n<trace>\n<event><string key="a" value="' + "v" * 2 * LONG + '"/></event></trace></log>'
    ran = gridclock("replay", gridclock.file("t.xes", text), "--map", XES_MAP)
    assert ran.code == 2
    assert "t.xes:3: not an XES log: a tag or an attribute of more than 16,777,216 bytes" in ran.err


def test_ocel_in_json_that_is_too_large_is_refused_with_a_remedy(
    gridclock: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.replay.sources.ocel._MAX_JSON", 100)
    text = json.dumps({"eventTypes": [], "objectTypes": [], "events": [], "objects": [], "x": "y" * 100})
    ran = gridclock("replay", gridclock.file("t.ocel.json.gz", gzip.compress(text.encode())), "--map", XES_MAP)
    assert ran.code == 2
    assert "export it as SQLite or XML" in ran.err


@pytest.mark.parametrize(
    "command", [("dead-letters", "list", "--file"), ("rules", "suggest", "--cases"), ("map", "suggest")]
)
def test_files_of_our_own_with_such_a_line_are_errors_with_their_line(
    gridclock: Runner, command: tuple[str, ...]
) -> None:
    first = as_json(ROWS)[0] if command[0] == "map" else ""
    path = gridclock.file("own.jsonl", first + "\n" + "{" + " " * LONG + "\n")
    ran = gridclock(*command, path)
    assert ran.code == 2
    assert f"{path}:2: a line of 19,922,945 bytes; at most 16,777,216 are read" in ran.err


def test_explain_reads_on_after_such_a_line(gridclock: Runner) -> None:
    whole = gridclock.file("whole.jsonl", EVENTS)
    cases = gridclock.path / "cases.jsonl"
    gridclock("replay", whole, "--cases", cases, "--quiet")
    case = data_of(cases)[0]["case_id"]
    path = gridclock.file("events.jsonl", b"x" * LONG + b"\n" + EVENTS)
    assert gridclock("explain", case, "--events", path).out == gridclock("explain", case, "--events", whole).out != ""


def test_send_passes_over_a_line_that_no_broker_takes(gridclock: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []

    class Sent:
        def add_errback(self, _failed: object) -> None: ...

    def send(_self: ThreadedProducer, _topic: str, value: bytes, **_more: object) -> Sent:
        sent.append(value)
        return Sent()

    monkeypatch.setattr("streams.commands.send.need_broker", lambda *_: None)
    monkeypatch.setattr("streams.commands.send.check_present", lambda *_: None)
    monkeypatch.setattr("streams.commands.send.ThreadedProducer.__init__", lambda *_args, **_kw: None)
    for name, fake in (("send", send), ("flush", lambda *_, **_kw: None), ("close", lambda *_, **_kw: None)):
        monkeypatch.setattr(f"streams.commands.send.ThreadedProducer.{name}", fake)
    path = gridclock.file("e.jsonl", b"{}\n" + b"x" * 1_000_000 + b"\n[]\n")
    ran = gridclock("send", path, "--topic", "t", "--quiet")
    assert (ran.code, sent) == (3, [b"{}", b"[]"])
    assert gridclock("send", path, "--topic", "t", "--at-most", "1").code == 0
    assert f"{path}:2: too_large: a line of 1,000,000 bytes" in gridclock("send", path, "--topic", "t").err
    sent.clear()
    array = gridclock.file("e.json", b'\xef\xbb\xbf [{"a":\n1}, "' + b"x" * 1_000_000 + b'",\n{}\n]\n')
    ran = gridclock("send", array, "--topic", "t")
    assert (ran.code, sent) == (3, [b'{"a":\n1}', b"{}"])
    assert f"{array}:2: too_large: an element of 1,000,002 bytes" in ran.err
    table = gridclock.file("e.csv", "order_id,at\n1,2\n")
    ran = gridclock("send", path, table, "--topic", "t")
    assert (ran.code, len(sent), f"{table}: map: a csv file needs a mapping" in ran.err) == (2, 2, True)
