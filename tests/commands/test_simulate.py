from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from streams.cli import run

Command = Callable[..., "Done"]
SMALL = ("--orders", "20", "--seed", "3", "--days", "10")


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def gridclock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Done]:
    """The command line, run in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Done:
        code = run(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        return Done(code, *capfdbinary.readouterr())

    return command


def test_help_shows_an_example(gridclock: Command) -> None:
    done = gridclock("simulate", "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Example:\n    gridclock simulate --orders 20000" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--orders", "0"), "Invalid value for '--orders': 0 is not in the range"),
        (("--orders", "many"), "Invalid value for '--orders': 'many' is not a valid integer"),
        (("--days", "1001"), "Invalid value for '--days': 1001 is not in the range"),
        (("--start", "2026-02-30"), "Invalid value for '--start': '2026-02-30' is not a date such as 2026-03-02"),
        (("--start", "2023-08-22"), "Invalid value for '--start': 2023-08-22 is not within 2023-08-23"),
        (("--expected", "-"), "--expected needs a separate file"),
        (("--out", "same", "--expected", "./same"), "--expected needs a separate file"),
        (("--out", "missing/events.jsonl"), "missing/events.jsonl: out: cannot be written: there is no directory"),
        (
            ("--expected", "missing/rows.jsonl"),
            "missing/rows.jsonl: expected: cannot be written: there is no directory",
        ),
        (("--out", "."), "Invalid value for '--out': File '.' is a directory"),
        (("orders.jsonl",), "Got unexpected extra argument (orders.jsonl)"),
    ],
)
def test_wrong_use_says_what_is_wrong_and_writes_nothing(
    tmp_path: Path, gridclock: Command, arguments: tuple[str, ...], message: str
) -> None:
    done = gridclock("simulate", *arguments)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert (done.stdout, list(tmp_path.iterdir())) == (b"", [])


def test_plain_packed_and_standard_output_hold_the_same_bytes(tmp_path: Path, gridclock: Command) -> None:
    printed = gridclock("simulate", *SMALL).stdout
    assert len(printed.splitlines()) > 40
    for name in ("events.jsonl", "events.jsonl.gz", "again.jsonl.gz", "events.jsonl.zst"):
        done = gridclock("simulate", *SMALL, "--out", name)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    plain, packed, again, zst = (
        (tmp_path / name).read_bytes()
        for name in ("events.jsonl", "events.jsonl.gz", "again.jsonl.gz", "events.jsonl.zst")
    )
    assert plain == gzip.decompress(packed) == zstandard.ZstdDecompressor().decompressobj().decompress(zst) == printed
    assert packed == again
    assert not list(tmp_path.glob("*.partial"))


def test_what_it_makes_is_replayed_and_judged_as_expected(tmp_path: Path, gridclock: Command) -> None:
    arguments = ("--orders", "200", "--out", "events.jsonl.zst", "--expected", "expected.jsonl")
    assert gridclock("simulate", *arguments).returncode == 0
    expected = [json.loads(line) for line in (tmp_path / "expected.jsonl").read_text("utf-8").splitlines()]
    done = gridclock("replay", "events.jsonl.zst", "--until", expected[0]["as_of"], "--cases", "cases.jsonl")
    assert done.returncode == 0, done.stderr.decode()
    cases = [json.loads(line)["data"] for line in (tmp_path / "cases.jsonl").read_text("utf-8").splitlines()]
    clocks = {row["rule"] for row in expected if row["outcome"] != "violated"}
    cases = [case for case in cases if case["rule"] in clocks or case["outcome"] == "violated"]
    names = ("rule", "started_at", "deadline", "stopped_at", "outcome", "as_of")

    def shown(rows: list[dict[str, object]]) -> list[str]:
        return sorted(json.dumps([row["subject"], *(row[name] for name in names)]) for row in rows)

    assert shown(cases) == shown(expected)


def test_a_command_that_is_ended_halfway_leaves_no_file(
    tmp_path: Path, gridclock: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(row: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("streams.commands.simulate.line_of", interrupted)
    done = gridclock("simulate", *SMALL, "--out", "events.jsonl", "--expected", "expected.jsonl")
    assert (done.returncode, done.stderr.strip()) == (130, b"gridclock: interrupted")
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".jsonl"]
