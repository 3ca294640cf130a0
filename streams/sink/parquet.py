"""A directory of Parquet files as the sink uses it, for DuckDB, Spark, pandas and Power BI.

Theory of operation. ``state.sqlite`` in the directory holds every row and the offsets to read on from, written in one
transaction: it is what PostgreSQL is for the other sink. From it the files are made: one for each table and day, with
all rows of that day, written under another name and put in place as a whole. A day whose rows changed is marked in the
same transaction, and the mark is taken away when its file stands; so a file that a crash left behind is made by the
next start. A reader sees whole files only, and each case once::

    DIR/cases/day=2026-03-02/cases.parquet      the present state of the cases that started on that day
    DIR/alerts/day=2026-03-02/alerts.parquet    the alerts that were detected on that day
    DIR/refused.parquet                         records that are no cases or alerts, with their bytes
    DIR/state.sqlite                            this program's own

``day`` is the local day in the rulebook's zone. It is the one under which a case was first written: a later correction
of its start changes ``started_at``, not the file, so that no reader finds a case twice or not at all.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl
from psycopg.types.json import Jsonb

from streams.errors import ConfigError
from streams.sink.rows import COLUMNS, Table
from streams.sink.target import Batch, Moved, Partition, SinkError
from streams.wall_clock import monotonic

VERSION: Final = 2
"""Of the tables in ``state.sqlite``. In 1 a limit that ended at 24:00 counted on the next day."""

_DAY_OF: Final[Mapping[Table, str]] = {"cases": "started_at", "alerts": "detected_at"}
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS rows (name TEXT, key TEXT, day TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (name, key))
    WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rows_by_day ON rows (name, day);
CREATE TABLE IF NOT EXISTS changed (name TEXT, day TEXT, PRIMARY KEY (name, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (topic TEXT, partition INTEGER, record_offset INTEGER, reason TEXT NOT NULL,
    value BLOB, PRIMARY KEY (topic, partition, record_offset)) WITHOUT ROWID;
"""
_REFUSED: Final = {
    "topic": pl.String, "partition": pl.Int32, "record_offset": pl.Int64, "reason": pl.String, "value": pl.Binary
}  # fmt: skip


class ParquetTarget:
    """The directory that ``gridclock sink --to parquet DIR`` names; ``every`` seconds changed days are written."""

    away: tuple[type[Exception], ...] = (OSError, sqlite3.OperationalError)
    failed: tuple[type[Exception], ...] = (sqlite3.Error, pl.exceptions.PolarsError)
    afresh = "use another directory, or remove this one"

    def __init__(self, directory: Path, every: float) -> None:
        self._directory = directory
        self._every = every

    def remedy(self, _error: Exception) -> str:
        """Nothing: the errors of files name theirs."""
        return ""

    @property
    def place(self) -> str:
        """The directory, as messages name it."""
        return f"directory {self._directory}"

    def open(self) -> ParquetStore:
        """The directory, made where it is missing."""
        return ParquetStore(self._directory, self._every)


class ParquetStore:
    """One process's hold on the directory; see the module."""

    def __init__(self, directory: Path, every: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._every = every
        self._written_at = float("-inf")
        self._lock = open(directory / "sink.lock", "w")  # noqa: SIM115 (held for as long as the process owns it)
        self._state: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let the directory go; what was not committed is not there."""
        if self._state is not None:
            self._state.close()
        self._lock.close()

    def own(self) -> bool:
        """Take the directory for this process; false while another sink has it."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def migrate(self) -> int:
        """Make the state where it is missing; how many steps that took.

        Raises:
            SinkError: where a newer program made it, or it is gone and files of days are there: these would be made
                anew of what the topics still have.
        """
        path = self._directory / "state.sqlite"
        left = None if path.exists() else next(self._directory.glob("*/day=*/*.parquet"), None)
        if left is not None:
            raise SinkError(f"{path} is gone, and {left} is there: restore it, or move the files of days away")
        self._state = sqlite3.connect(path, isolation_level=None)
        (version,) = self._state.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise SinkError(
                f"{self._directory} has version {version}, this program knows {VERSION}: go on with the newer program"
            )
        if version < VERSION:
            self._state.executescript(_TABLES)
            # As in the database's migration: the cases are read again.
            self._state.execute("DELETE FROM offsets WHERE topic LIKE '%.cases'")
            self._state.execute(f"PRAGMA user_version = {VERSION}")
        self._mark_missing(self._state)
        return VERSION - int(version)

    def _mark_missing(self, state: sqlite3.Connection) -> None:
        """Have the files made again that somebody else removed."""
        for name, day in state.execute("SELECT DISTINCT name, day FROM rows").fetchall():
            if not self._file(name, day).exists():
                state.execute("INSERT OR IGNORE INTO changed VALUES (?, ?)", (name, day))

    def _file(self, name: str, day: str) -> Path:
        return self._directory / name / f"day={day}" / f"{name}.parquet"

    @property
    def _rows(self) -> sqlite3.Connection:
        assert self._state is not None, "migrate was not called"
        return self._state

    def offsets(self) -> dict[Partition, int]:
        """Where to read on, by partition."""
        found = self._rows.execute("SELECT topic, partition, next_offset FROM offsets")
        return {(topic, partition): offset for topic, partition, offset in found}

    def write(self, batch: Batch) -> None:
        """Write rows, offsets and the marks of changed days in one transaction.

        Raises:
            Moved: where the offsets are not those that the batch was read from.
        """
        state = self._rows
        state.execute("BEGIN IMMEDIATE")
        with state:
            known = self.offsets()
            if any(known.get(place, since) != since for place, (since, _) in batch.offsets.items()):
                raise Moved
            state.executemany(
                "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)",
                [(*place, until) for place, (_, until) in batch.offsets.items()],
            )
            for table, rows in batch.rows.items():
                for key, row in rows.items():
                    self._put(table, key, row)
            state.executemany("INSERT OR IGNORE INTO refused VALUES (?, ?, ?, ?, ?)", batch.refused)
            if batch.refused:
                state.execute("INSERT OR IGNORE INTO changed VALUES ('refused', '')")

    def _put(self, table: Table, key: str, row: Mapping[str, Any] | None) -> None:
        state = self._rows
        known = state.execute("SELECT day FROM rows WHERE name = ? AND key = ?", (table, key)).fetchone()
        if row is None:
            if known is None:
                return
            day = known[0]
            state.execute("DELETE FROM rows WHERE name = ? AND key = ?", (table, key))
        else:
            day = row[_DAY_OF[table]][:10] if known is None else known[0]
            plain = {name: value.obj if isinstance(value, Jsonb) else value for name, value in row.items()}
            text = json.dumps(plain, ensure_ascii=False)
            state.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", (table, key, day, text))
        state.execute("INSERT OR IGNORE INTO changed VALUES (?, ?)", (table, day))

    def settle(self, *, is_end: bool = False) -> None:
        """Write the files of changed days: not before ``every`` seconds have passed, but at the end in any case."""
        if not is_end and monotonic() - self._written_at < self._every:
            return
        changed = self._rows.execute("SELECT name, day FROM changed ORDER BY name, day").fetchall()
        for name, day in changed:
            self._write_file(name, day)
            self._rows.execute("DELETE FROM changed WHERE name = ? AND day = ?", (name, day))
        self._written_at = monotonic()

    def _write_file(self, name: str, day: str) -> None:
        if name == "refused":
            found = self._rows.execute("SELECT * FROM refused ORDER BY topic, partition, record_offset").fetchall()
            _put_in_place(pl.DataFrame(found, schema=_REFUSED, orient="row"), self._directory / "refused.parquet")
            return
        table: Table = "cases" if name == "cases" else "alerts"
        path = self._file(name, day)
        frame = _frame(table, self._of_day(table, day))
        if frame.is_empty():
            path.unlink(missing_ok=True)
        else:
            _put_in_place(frame, path)

    def _of_day(self, table: Table, day: str) -> Iterator[dict[str, Any]]:
        for (text,) in self._rows.execute("SELECT row FROM rows WHERE name = ? AND day = ? ORDER BY key", (table, day)):
            yield json.loads(text)


def _frame(table: Table, rows: Iterator[dict[str, Any]]) -> pl.DataFrame:
    """The rows with types: instants as UTC microseconds, seconds as numbers, evidence as a list, arithmetic as JSON."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS[table]}
    for row in rows:
        for name, values in columns.items():
            value = row[name]
            values.append(json.dumps(value, ensure_ascii=False) if name == "arithmetic" else value)
    frame = pl.DataFrame(columns, schema={name: _type(name) for name in columns})
    instants = [name for name in columns if name.endswith("_at") or name in ("deadline", "as_of")]
    typed = frame.with_columns(pl.col(instants).str.to_datetime("%+", time_unit="us", time_zone="UTC"))
    return typed.with_columns(pl.col("decided_on").str.to_date()) if "decided_on" in columns else typed


def _type(name: str) -> Any:
    match name:
        case "elapsed_s" | "paused_s":
            return pl.Float64
        case "calendar_provisional" | "incomplete":
            return pl.Boolean
        case "evidence":
            return pl.List(pl.String)
        case _:
            return pl.String


def _put_in_place(frame: pl.DataFrame, path: Path) -> None:
    """Write the file as a whole: its name stands for all of it, also after a loss of power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readers take what ends in .parquet, and Spark and Hive leave out what begins with a dot.
    partial = path.with_name(f".{path.name}.partial")
    content = io.BytesIO()
    frame.write_parquet(content)
    try:
        # By Python: polars tells of a full disk as of a damaged file, and the sink would not wait for room.
        with open(partial, "wb") as target:
            target.write(content.getbuffer())
            target.flush()
            os.fsync(target.fileno())
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_directory(directory: Path) -> None:
    """Whether it may be the sink's: a new one, an empty one, or one that a sink has made.

    Raises:
        ConfigError: where other things are in it.
    """
    if directory.exists() and not directory.is_dir():
        raise ConfigError("is a file; name a directory", path=str(directory))
    if directory.is_dir() and any(directory.iterdir()) and not (directory / "sink.lock").exists():
        raise ConfigError("holds other files; name an empty directory, or one of an earlier sink", path=str(directory))
