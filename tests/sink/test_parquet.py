"""``gridclock sink --to parquet``: what stands in the files is what the topics say, whoever is killed."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from streams.cli import run
from streams.kafka.brokers import Broker
from streams.kafka.child_process import ChildProcess
from streams.sink.parquet import ParquetStore, ParquetTarget
from streams.sink.rows import KEYS, Table, row_of
from streams.sink.target import Batch, Moved, SinkError
from tests.integration.live import Children, until
from tests.sink.test_rows import example
from tests.sink.test_sink import expected, messages, name, send

__all__ = ("name",)
PLACE = ("cases", 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ParquetStore]:
    found = opened(tmp_path / "results")
    yield found
    found.close()


def opened(directory: Path) -> ParquetStore:
    found = ParquetTarget(directory, 0).open()
    assert isinstance(found, ParquetStore)
    assert found.own()
    found.migrate()
    return found


def batch(since: int, until: int, *rows: tuple[Table, str, dict[str, Any] | None]) -> Batch:
    made = Batch(offsets={PLACE: (since, until)})
    for table, key, row in rows:
        made.rows[table][key] = row
    return made


def case(**changes: Any) -> tuple[Table, str, dict[str, Any]]:
    row = row_of("cases", example("case", **changes))
    return "cases", row["case_id"], row


def read(directory: Path, table: str = "cases") -> list[dict[str, Any]]:
    files = sorted(directory.glob(f"{table}/*/*.parquet"))
    return pl.read_parquet(files).to_dicts() if files else []


def test_a_file_has_types_and_the_case_as_it_stands(store: ParquetStore, tmp_path: Path) -> None:
    store.write(batch(0, 1, case(outcome="running", started_at="2026-03-02T23:30:00+08:00", stopped_at=None)))
    store.settle()
    (row,) = read(tmp_path / "results")
    assert row["started_at"] == datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
    assert (row["outcome"], row["decided_on"], row["stopped_at"]) == ("running", None, None)
    assert isinstance(row["evidence"], list)
    assert isinstance(json.loads(row["arithmetic"]), dict)
    assert [path.name for path in (tmp_path / "results" / "cases").iterdir()] == ["day=2026-03-02"]
    # A corrected start changes the row, and not the file: nobody reads a case twice.
    moved = case(outcome="breached", started_at="2026-03-01T09:00:00+08:00", deadline="2026-03-01T10:00:00+08:00")
    store.write(batch(1, 2, moved))
    store.settle()
    (row,) = read(tmp_path / "results")
    assert (row["outcome"], row["decided_on"]) == ("breached", date(2026, 3, 1))
    assert [path.name for path in (tmp_path / "results" / "cases").iterdir()] == ["day=2026-03-02"]
    store.write(batch(2, 3, ("cases", row["case_id"], None), ("cases", "never there", None)))
    store.settle()
    assert read(tmp_path / "results") == []


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-03-02T09:00+08:00", datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ("2026-03-02T09:00:00,5Z", datetime(2026, 3, 2, 9, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-02 09:00:00.123456789-00:00", datetime(2026, 3, 2, 9, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-03-02T09:00:00.1+0545", datetime(2026, 3, 2, 3, 15, 0, 100_000, tzinfo=UTC)),
    ],
)
def test_every_form_of_an_instant_is_read(store: ParquetStore, tmp_path: Path, written: str, at: datetime) -> None:
    """Polars reads fewer than Python: a record of another writer ended the sink, and every start after it."""
    instants = ("started_at", "deadline", "stopped_at", "as_of")
    store.write(batch(0, 1, case(**dict.fromkeys(instants, written))))
    store.settle()
    (row,) = read(tmp_path / "results")
    assert [row[name] for name in instants] == [at] * 4
    assert [path.name for path in (tmp_path / "results" / "cases").iterdir()] == ["day=2026-03-02"]


def test_a_batch_read_from_elsewhere_changes_nothing(store: ParquetStore, tmp_path: Path) -> None:
    store.write(batch(0, 5, case(outcome="running")))
    with pytest.raises(Moved):
        store.write(batch(3, 9, case(outcome="met")))
    assert store.offsets() == {PLACE: 5}
    store.settle()
    assert [row["outcome"] for row in read(tmp_path / "results")] == ["running"]


def test_what_a_crash_left_unwritten_is_written_by_the_next_start(
    store: ParquetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "results"
    store.write(batch(0, 1, case(outcome="running")))
    store.settle()
    store.write(batch(1, 2, case(outcome="met")))

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("streams.sink.parquet.os.fsync", dies)  # in the middle of the file
        with pytest.raises(KeyboardInterrupt):
            store.settle()
    assert [row["outcome"] for row in read(directory)] == ["running"]
    store.close()
    again = opened(directory)
    again.settle()
    assert [row["outcome"] for row in read(directory)] == ["met"]
    assert again.offsets() == {PLACE: 2}
    again.close()


def test_where_there_is_no_room_for_a_file_the_sink_waits_and_leaves_no_piece_of_it(
    store: ParquetStore, tmp_path: Path
) -> None:
    directory = tmp_path / "results"
    store.write(batch(0, 1, case(outcome="running")))
    store.settle()
    store.write(batch(1, 2, case(outcome="met")))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(ParquetTarget.away):
            store.settle()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (directory / "cases" / "day=2026-03-02").iterdir()] == ["cases.parquet"]
    assert [row["outcome"] for row in read(directory)] == ["running"]
    store.settle()
    assert [row["outcome"] for row in read(directory)] == ["met"]


def test_files_that_somebody_removed_are_there_again_with_the_next_start(store: ParquetStore, tmp_path: Path) -> None:
    directory = tmp_path / "results"
    store.write(batch(0, 1, case(outcome="met")))
    store.settle()
    (path,) = directory.glob("cases/*/*.parquet")
    path.unlink()
    store.close()
    again = opened(directory)
    again.settle()
    again.close()
    assert [row["outcome"] for row in read(directory)] == ["met"]


def test_an_older_directory_reads_the_cases_again_for_their_days(store: ParquetStore, tmp_path: Path) -> None:
    at_24 = case(outcome="breached", deadline="2026-03-03T00:00:00+08:00")
    at_24[2]["decided_on"] = "2026-03-03"  # as it was counted
    other = Batch(offsets={("g.cases", 0): (0, 1), ("g.alerts", 0): (0, 1)})
    other.rows["cases"][at_24[1]] = at_24[2]
    store.write(other)
    store.close()
    with sqlite3.connect(tmp_path / "results" / "state.sqlite") as state:
        state.execute("PRAGMA user_version = 1")
    state.close()
    newer = opened(tmp_path / "results")
    assert newer.offsets() == {("g.alerts", 0): 1}
    again = Batch(offsets={("g.cases", 0): (0, 1)})
    table, key, row = case(outcome="breached", deadline="2026-03-03T00:00:00+08:00")
    again.rows[table][key] = row
    newer.write(again)
    newer.settle()
    assert [row["decided_on"] for row in read(tmp_path / "results")] == [date(2026, 3, 2)]
    newer.close()


def test_files_without_the_state_that_made_them_are_not_replaced(store: ParquetStore, tmp_path: Path) -> None:
    """The topics may have less by now than the files have."""
    directory = tmp_path / "results"
    store.write(batch(0, 1, case()))
    store.settle(is_end=True)
    store.close()
    (directory / "state.sqlite").unlink()
    again = ParquetTarget(directory, 0).open()
    with pytest.raises(SinkError, match=r"state.sqlite is gone, and .*cases.parquet is there: restore it"):
        again.migrate()
    again.close()
    assert len(read(directory)) == 1
    assert not (directory / "state.sqlite").exists()


def test_one_process_owns_a_directory(store: ParquetStore, tmp_path: Path) -> None:
    other = ParquetTarget(tmp_path / "results", 0).open()
    assert not other.own()
    store.close()
    assert other.own()
    other.close()


def test_a_directory_of_a_newer_program_and_one_with_other_files_are_refused(
    store: ParquetStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.close()
    with sqlite3.connect(tmp_path / "results" / "state.sqlite") as state:
        state.execute("PRAGMA user_version = 99")
    state.close()
    newer = ParquetTarget(tmp_path / "results", 0).open()
    with pytest.raises(SinkError, match="version 99"):
        newer.migrate()
    newer.close()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert run(["sink", "--to", "parquet", str(tmp_path / "mine")]) == 2
    assert "holds other files" in capsys.readouterr().err


Start = Callable[[], ChildProcess]


@pytest.mark.broker
def test_killed_at_random_the_files_are_what_the_topics_say(kafka: Broker, name: str, tmp_path: Path) -> None:
    sent, rng, directory = messages(), Random(11), tmp_path / "results"
    with Children() as running:

        def start() -> ChildProcess:
            words = ("sink", "--bootstrap", kafka.bootstrap, "--name", name, "--to", "parquet", str(directory))
            return running.start(
                (*words, "--every", "1", "--metrics-port", "0"), tmp_path / f"sink-{len(running)}.log", {}, "writing"
            )

        sink, step = start(), len(sent) // 6 + 1
        for position in range(0, len(sent), step):
            send(kafka.bootstrap, name, sent[position : position + step])
            before = len(read(directory))
            if rng.random() < 0.5:  # at once, or after some of it was written
                until(lambda before=before: len(read(directory)) != before, 60, sink.output)  # type: ignore[misc]
            sink.kill()
            read(directory)
            sink = start()
        send(kafka.bootstrap, name, [("cases", b"x", b"not a case")])
        until(lambda: is_there(directory, sent) and (directory / "refused.parquet").exists(), 90, sink.output)
        os.kill(sink.pid, 15)
        assert sink.wait(30) == 0, sink.output()
    assert is_there(directory, sent)
    refused = pl.read_parquet(directory / "refused.parquet").to_dicts()
    assert [(row["topic"], row["value"]) for row in refused] == [(f"{name}.cases", b"not a case")]
    other_readers_agree(directory)


def is_there(directory: Path, sent: list[Any]) -> bool:
    found = {table: read(directory, table) for table in KEYS}
    cases, alerts = expected(sent)
    if len(found["cases"]) != len(cases) or len(found["alerts"]) != len(alerts):
        return False  # and no key stands twice
    return {
        row["case_id"]: (row["outcome"], row["evidence"], json.loads(row["arithmetic"]), row["as_of"])
        for row in found["cases"]
    } == {
        key: (data["outcome"], data["evidence"], data["arithmetic"], datetime.fromisoformat(data["as_of"]))
        for key, data in cases.items()
    } and {row["alert_id"]: (row["kind"], row["retracts"], row["explanation_zh"]) for row in found["alerts"]} == {
        key: (data["kind"], data["retracts"], data["explanation"]["zh"]) for key, data in alerts.items()
    }


def other_readers_agree(directory: Path) -> None:
    """DuckDB and pyarrow read the same rows, where they are installed; the reading by polars was compared above."""
    rows = len(read(directory))
    met = sum(row["outcome"] == "met" for row in read(directory))
    pattern = str(directory / "cases" / "*" / "*.parquet")
    duckdb = pytest.importorskip("duckdb", reason="no duckdb here: pip install duckdb")
    asked = f"SELECT count(*), count(*) FILTER (outcome = 'met'), count(DISTINCT day) FROM '{pattern}'"
    assert duckdb.sql(asked).fetchone() == (rows, met, len(list((directory / "cases").iterdir())))
