"""What a command is to write is looked at before its work: nothing that it reads, or that is no result, is lost."""

from __future__ import annotations

import errno
import gc
import io
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from streams.cli import run
from streams.commands.outputs import check_outputs
from streams.errors import ConfigError
from streams.files import open_bytes, write_whole
from streams.replay.checkpoints import Checkpoint
from streams.workbook import write_workbook

ROOT = Path(__file__).resolve().parents[2]
LINE = '{"event_id": "1", "event_type": "counter.service_started", "occurred_at": "2026-03-02T09:00:00+08:00", '
LINE += '"order_id": "WO1", "business": "fee"}\n'
UNTIL = ["--until", "2026-03-03T00:00:00+08:00", "--quiet"]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text(LINE, "utf-8")
    return path


@pytest.mark.parametrize("option", ["alerts", "cases", "dead-letters", "report"])
@pytest.mark.parametrize("name", ["events.jsonl", "link.jsonl", "hard.jsonl", "sub/../events.jsonl"])
def test_an_input_is_not_overwritten(
    option: str, name: str, events: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.jsonl").symlink_to(events)
    (tmp_path / "hard.jsonl").hardlink_to(events)
    assert run(["replay", str(events), *UNTIL, f"--{option}", str(tmp_path / name)]) == 2
    assert f"{name}: {option}: would be overwritten: it is read by this command" in capfd.readouterr().err
    assert events.read_text("utf-8") == LINE


def test_no_other_command_overwrites_what_it_reads(events: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["map", "suggest", events, "--out", events],
        ["dead-letters", "retry", "--file", events, "--all", "--to", events],
        ["replay", events, "--map", f"{events.name}={events}", "--alerts", events],
    ):
        assert run(list(map(str, arguments))) == 2, arguments
        assert "would be overwritten" in capfd.readouterr().err
    assert events.read_text("utf-8") == LINE


def test_two_outputs_need_two_files(events: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = tmp_path / "one.jsonl"
    assert run(["replay", str(events), *UNTIL, "--alerts", str(one), "--cases", str(one)]) == 2
    assert "cases: would be overwritten: --alerts goes there, too" in capfd.readouterr().err
    both = ["--report", str(tmp_path / "r.html"), "--alerts", str(tmp_path / "r-breaches.xlsx")]
    assert run(["replay", str(events), *UNTIL, *both]) == 2
    assert "would be overwritten" in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl"]


def test_where_nothing_can_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    for path, problem in ((tmp_path, "is a directory"), (tmp_path / "no" / "a.jsonl", "there is no directory")):
        with pytest.raises(ConfigError, match=problem):
            check_outputs({"alerts": path})
    check_outputs({"alerts": Path("/dev/null"), "cases": Path("/dev/null")})  # as often as you like


def test_a_device_a_pipe_and_a_link_are_written_and_stay(tmp_path: Path) -> None:
    with write_whole(Path(os.devnull)) as target:
        target.write(b"x")
    assert Path(os.devnull).is_char_device()
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(real)
    for text in (b"new", b"again"):
        with write_whole(link) as target:
            target.write(text)
        assert link.is_symlink()
        assert real.read_bytes() == text
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    with write_whole(pipe) as target:
        target.write(b"through")
    reader.join(10)
    assert found == [b"through"]
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "real"]


@pytest.mark.parametrize("arguments", [["replay", "{pipe}"], ["explain", "WO1", "--events", "{pipe}"]])
def test_a_pipe_by_name_is_refused(arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its beginning was lost: it was opened to look at its first bytes, and then again."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert run([one.format(pipe=pipe) for one in arguments]) == 2
    assert "is a pipe or a device, which is read once only" in capfd.readouterr().err


def test_standard_input_is_named_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "-", "-"]) == 2
    assert "standard input is read once" in capfd.readouterr().err


def test_a_directory_that_is_no_checkpoint_stays(
    events: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "rules.d" / "mine.yaml"
    other.parent.mkdir()
    other.write_text("rules: []\n", "utf-8")
    assert run(["replay", str(events), *UNTIL, "--checkpoint", str(tmp_path / "rules")]) == 2
    assert "rules.d: checkpoint: is there" in capfd.readouterr().err
    assert other.exists()
    no_checkpoint = tmp_path / "notes"
    no_checkpoint.write_text("mine\n", "utf-8")
    no_checkpoint.chmod(0o644)
    assert run(["replay", str(events), *UNTIL, "--checkpoint", str(no_checkpoint)]) == 2
    assert no_checkpoint.stat().st_mode & 0o777 == 0o644


def test_what_a_checkpoint_left_is_removed(events: Path, tmp_path: Path) -> None:
    """As its own message says: remove the file, and begin anew."""
    point = Checkpoint(tmp_path / "point")
    point.open({}, [], received=1)
    (point.directory / "events").mkdir()
    point.path.unlink()
    assert run(["replay", str(events), *UNTIL, "--checkpoint", str(point.path)]) == 0
    assert not point.directory.exists()


def test_a_full_disk_is_one_line() -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", "rules", "list"],
            stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == ["gridclock: an output: cannot be written: No space left on device"]


@pytest.mark.parametrize("arguments", [["rules", "list"], ["simulate", "--orders", "5", "--out", "-"], ["--help"]])
def test_a_closed_standard_output_is_one_line(arguments: list[str]) -> None:
    """What was printed was lost, with exit code 0; where bytes are written there was a traceback."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "streams.cli", *arguments],
        stderr=subprocess.PIPE, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == ["gridclock: an output: cannot be written: Bad file descriptor"]


def test_an_instant_after_the_last_year_is_refused(events: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(events), "--until", "9999-12-31T23:59:59+00:00"]) == 2
    assert "lies after 2999" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("option", "name"),
    [
        *(("alerts", f"a{one}") for one in (".parquet.gz", ".xlsx.gz", ".PQ.zst", ".jsonl.bz2", ".csv.xz", ".zip")),
        *(("cases", f"c{one}") for one in (".xls", ".tsv", ".tsv.gz", ".ods")),
        *(("dead-letters", f"d{one}") for one in (".csv", ".parquet", ".xlsx", ".csv.gz", ".jsonl.xz")),
        *(("report", f"r{one}") for one in (".xlsx", ".html.gz", ".pdf.zst", ".csv", ".html.zip")),
    ],
)
def test_a_file_is_what_its_name_says_or_is_refused(
    option: str, name: str, events: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """``cases.xlsx.gz`` held JSON lines, ``cases.parquet.gz`` was not compressed, ``letters.csv`` was no table."""
    path = tmp_path / name
    assert run(["replay", str(events), *UNTIL, f"--{option}", str(path)]) == 2
    form = "".join(Path(name.lower()).suffixes if name.lower().endswith((".gz", ".zst")) else [Path(name).suffix])
    assert f"{name}: {option}: {form} is no form in which it is written: " in capfd.readouterr().err
    assert sorted(tmp_path.iterdir()) == [events]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".JSONL.GZ", ".jsonl.zst"])
def test_refused_lines_are_compressed_by_the_name(events: Path, tmp_path: Path, suffix: str) -> None:
    """They lay uncompressed in ``letters.jsonl.gz``, and were read by nothing else."""
    letters, out, back = (tmp_path / f"{name}{suffix}" for name in ("letters", "out", "back"))
    events.write_text(LINE + LINE.replace('"order_id"', '"oder_id"').replace('"1"', '"2"'), "utf-8")
    assert run(["replay", str(events), *UNTIL, "--dead-letters", str(letters)]) == 3
    assert run(["dead-letters", "retry", "--file", str(letters), "--all", "--out", str(out)]) == 0
    content, is_packed = letters.read_bytes(), suffix != ".jsonl"
    for one in (content, out.read_bytes()):
        assert one.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd") if is_packed else b"{")
    edited = tmp_path / "edited.jsonl"
    with open_bytes(str(out)) as source:
        edited.write_bytes(source.read().replace(b"oder_id", b"order_id"))
    assert run(["dead-letters", "retry", "--file", str(letters), "--from", str(edited), "--to", str(back)]) == 0
    with open_bytes(str(back)) as source:
        assert [json.loads(line)["order_id"] for line in source] == ["WO1"]
    assert (back.read_bytes()[:1] == b"{") != is_packed


def test_no_other_command_writes_what_the_name_does_not_say(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["simulate", "--out", "o.csv"], ["simulate", "--expected", "e.xz", "--out", "o.jsonl"]):
        named = [str(tmp_path / one) if "." in one else one for one in arguments]
        assert run(named) == 2
        assert "is no form in which it is written" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "name"),
    [
        *(("alerts", f"a{one}") for one in (".jsonl", ".csv", ".parquet", ".xlsx", ".jsonl.gz", ".csv.zst")),
        ("cases", "c.parquet"), ("dead-letters", "d.jsonl"), ("report", "r.html"), ("checkpoint", "point"),
    ],
)  # fmt: skip
def test_a_disk_that_fills_up_is_one_line_that_names_the_file(option: str, name: str, tmp_path: Path) -> None:
    """Of five outputs nobody knew which disk was full; a report ended with a traceback, too."""
    source = tmp_path / "events.jsonl"
    lines = [LINE.replace('"1"', f'"{n}"').replace("WO1", f"WO{n}") for n in range(3_000)]
    refused = [one.replace('"order_id"', '"oder_id"') for one in lines] if option == "dead-letters" else lines
    source.write_text("".join(refused), "utf-8")
    jobs = ["--jobs", "2"] if option == "checkpoint" else []
    others = [] if option == "alerts" else ["--alerts", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "replay", str(source), *UNTIL, *jobs, *others, f"--{option}",
         str(tmp_path / name)],
        stderr=subprocess.PIPE, cwd=ROOT, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )  # fmt: skip
    if option == "report":
        full = "the report's temporary file (its directory is SQLITE_TMPDIR's, TMPDIR's or /var/tmp)"
    else:
        full = str(tmp_path / ("point.d" if option == "checkpoint" else name))
    (line,) = done.stderr.decode().splitlines()
    problem = "disk I/O error" if option == "report" else "File too large"
    assert (done.returncode, line) == (2, f"gridclock: {full}: cannot be written: {problem}")
    assert not Path(full).is_file()


def test_a_workbook_whose_disk_is_full_is_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its library tried again as it was thrown away: a traceback stood behind the message."""
    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 3_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    target = Full()
    with pytest.raises(OSError, match="No space left"):
        write_workbook(target, [("a", "text")], ([f"{n} {n * 7919}"] for n in range(20_000)))
    target.close()
    gc.collect()
    assert ignored == []


def test_an_output_that_cannot_show_every_character_gets_the_others_as_escapes() -> None:
    """A terminal or pipe under a locale without UTF-8 ended commands with a traceback in the middle of their words."""
    words = [sys.executable, "-m", "streams.cli", "rules", "list"]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u62a2\\u4fee" in done.stdout  # 抢修
