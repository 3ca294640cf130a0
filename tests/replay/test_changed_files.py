"""Files that change while they are read: no verdicts from half of one and half of another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from streams.errors import ConfigError
from streams.replay.sources.file_states import grown_since, states_of
from tests.integration.live import ROOT
from tests.replay import orders
from tests.replay.runs import Runner

LINES = "".join(f"{line}\n" for line in orders.lines(2_000)).encode()
"""More than a pipe holds, so that who has written it knows that reading has begun."""


def changed_while_read(path: Path, change: Callable[[], None]) -> tuple[int, str, str]:
    """A replay of standard input and a file, which changes when the former has been read."""
    command = [sys.executable, "-m", "streams.cli", "replay", "-", str(path), "--quiet", "--at-most", "100000"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        process.stdin.write(LINES)
        process.stdin.flush()
        change()
        out, err = process.communicate(timeout=60)
        return process.returncode, out.decode(), err.decode()


def cut(path: Path) -> None:
    os.truncate(path, 100)


def replaced(path: Path) -> None:
    path.rename(path.with_suffix(".1"))
    path.write_bytes(LINES[: LINES.index(b"\n") + 1])


def written_anew(path: Path) -> None:
    before = path.stat()
    path.write_bytes(LINES.replace(b"e1", b"e9"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


@pytest.mark.parametrize(
    ("change", "how"),
    [(cut, "was cut"), (replaced, "was replaced"), (written_anew, "was written anew")],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_file_that_is_another_by_now_gives_no_results(
    gridclock: Runner, change: Callable[[Path], None], how: str
) -> None:
    path = gridclock.file("events.jsonl", LINES)
    code, out, err = changed_while_read(path, lambda: change(path))
    assert (code, out) == (2, "")
    assert f"{path}: {how} while it was read: run it again, on a copy" in err


def test_a_file_that_grew_gives_results_and_a_note(gridclock: Runner) -> None:
    path = gridclock.file("events.jsonl", LINES)

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"\n")

    code, out, err = changed_while_read(path, grow)
    assert code in (0, 3)
    assert out
    assert f"note: {path} grew while it was read: of what was added, all, some or none is judged" in err


def test_a_file_that_is_gone_was_read_to_its_end(gridclock: Runner) -> None:
    path = gridclock.file("events.jsonl", LINES)
    states = states_of([str(path)])
    path.unlink()
    assert grown_since(states) == []


def test_a_table_in_parts_is_as_each_of_its_files(gridclock: Runner) -> None:
    parts = [gridclock.path / "table" / f"part-{number}.parquet" for number in range(3)]
    parts[0].parent.mkdir()
    for part in parts:
        pl.DataFrame({"id": [part.name]}).write_parquet(part)
    states = states_of([str(parts[0].parent)])
    assert set(states) == set(map(str, parts))
    for part in parts[1:]:
        pl.DataFrame({"id": [1, 2, 3]}).write_parquet(part.with_suffix(".new"))
        part.with_suffix(".new").replace(part)
    with pytest.raises(ConfigError, match=r"part-1\.parquet: was replaced") as caught:
        grown_since(states)
    assert [error.path for error in caught.value.others] == [str(parts[2])]
