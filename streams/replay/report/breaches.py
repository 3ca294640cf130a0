"""All breaches and violations of a replay as a workbook (.xlsx): red lines first, each with its evidence.

They are collected from the replay's alerts in a temporary database on disk, because a retraction or a late completion
may come long after the alert that it is about, and there may be more of them than memory takes.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Final
from urllib.parse import quote

import msgspec

from schemas.organisations import Organisation
from streams.core.open_cases import LEVELS, chapter_of
from streams.replay.summary import org_of
from streams.workbook import Kind, value_at, write_workbook

_decode = msgspec.json.Decoder().decode

_KINDS: Final = {"breach": "超时 breach", "violation": "违规 violation"}
_SEVERITIES: Final = {"red_line": "红线 red line", "norm": "严格遵守 norm"}
_COLUMNS: Final[tuple[tuple[str, Kind, str], ...]] = (
    ("级别 severity", "text", "severity"),
    ("类别 kind", "text", "kind"),
    ("章 chapter", "text", "chapter"),
    ("条款 clause", "text", "clause"),
    ("规则 rule", "text", "rule"),
    ("标题 title.zh", "text", "title.zh"),
    ("标题 title.en", "text", "title.en"),
    ("对象类型 subject.type", "text", "subject.type"),
    ("对象 subject.id", "text", "subject.id"),
    *((f"{zh} org.{level}", "text", f"org.{level}") for zh, level in zip("省市县所", LEVELS, strict=True)),
    ("单位名称 organisation.zh", "text", "organisation.zh"),
    ("单位名称 organisation.en", "text", "organisation.en"),
    ("起算 started_at", "instant", "started_at"),
    ("时限 limit", "text", "limit"),
    ("期限 due_at", "instant", "due_at"),
    ("判定 detected_at", "instant", "detected_at"),
    ("完成 stopped_at", "instant", "stopped_at"),
    ("用时 elapsed", "duration", "elapsed"),
    ("说明 explanation.zh", "text", "explanation.zh"),
    ("说明 explanation.en", "text", "explanation.en"),
    ("证据事件 evidence", "text", "evidence"),
    ("时钟页 case page", "link", "page"),
    ("case_id", "text", "case_id"),
    ("alert_id", "text", "alert_id"),
)  # fmt: skip
_TABLES: Final = """
CREATE TABLE found (
    number INTEGER PRIMARY KEY, alert_id TEXT, case_id TEXT, kind TEXT, red INTEGER, rule TEXT, raw BLOB
);
CREATE TABLE retracted (alert_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX late ON found (case_id) WHERE kind = 'late_completion';
"""
_STANDING: Final = """
SELECT one.raw, (SELECT late.raw FROM found AS late
                 WHERE late.kind = 'late_completion' AND late.case_id = one.case_id AND one.kind = 'breach'
                   AND late.alert_id NOT IN (SELECT alert_id FROM retracted)
                 ORDER BY late.number DESC LIMIT 1)
FROM found AS one
WHERE one.kind <> 'late_completion' AND one.alert_id NOT IN (SELECT alert_id FROM retracted)
ORDER BY one.red DESC, one.rule, one.number
"""


class Breaches:
    """Takes the alerts of a replay one by one; ``write`` when all were taken, then ``close``."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("")  # a temporary file of SQLite's own, gone with the connection
        self._rows.executescript(_TABLES)
        self.written = 0
        """Rows of the workbook, once it is written."""

    def take(self, alert: bytes) -> None:
        """One alert of any kind, as a CloudEvent in JSON; warnings are left out."""
        data = _decode(alert)["data"]
        kind = data["kind"]
        with _as_disk():
            if kind == "retraction":
                self._rows.execute("INSERT OR IGNORE INTO retracted VALUES (?)", (data["retracts"],))
            elif kind in ("breach", "violation", "late_completion"):
                row = (data["alert_id"], data["case_id"], kind, data["severity"] == "red_line", data["rule"], alert)
                self._rows.execute("INSERT INTO found VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)

    def write(self, target: BinaryIO, organisations: Mapping[str, Organisation], board: str | None = None) -> None:
        """All that were not retracted, red lines first; ``board`` is the live board's address, for links to cases."""
        columns = [(name, kind) for name, kind, _ in _COLUMNS]
        rows = self._written_rows(organisations, None if board is None else board.rstrip("/"))
        red = _SEVERITIES["red_line"]
        with _as_disk():  # sorting takes room, too
            write_workbook(target, columns, rows, is_marked=lambda row: row[0] == red)

    def _written_rows(self, organisations: Mapping[str, Organisation], board: str | None) -> Iterator[list[str]]:
        paths = [path.split(".") for _, _, path in _COLUMNS]
        for raw, late in self._rows.execute(_STANDING):
            self.written += 1
            data = _decode(raw)["data"]
            if late is not None:  # how it ended says more than how it stood at the deadline
                ended = _decode(late)["data"]
                data |= {name: ended[name] for name in ("stopped_at", "elapsed", "explanation", "evidence")}
            named = organisations.get(org_of(data))
            data |= {
                "chapter": chapter_of(data["clause"]),
                "severity": _SEVERITIES[data["severity"]],
                "kind": _KINDS[data["kind"]],
                "evidence": "\n".join(data["evidence"]),
                "organisation": None if named is None else named.name.model_dump(),
                "page": None if board is None else page_of_case(board, data["case_id"]),
            }
            yield ["" if (value := value_at(data, path)) is None else str(value) for path in paths]

    def close(self) -> None:
        """Remove what is on disk."""
        self._rows.close()


@contextmanager
def _as_disk() -> Iterator[None]:
    """A full disk as of any other file: SQLite has errors of its own for it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise
        where = "the report's temporary file (its directory is SQLITE_TMPDIR's, TMPDIR's or /var/tmp)"
        raise OSError(errno.ENOSPC, str(error), where) from error


def page_of_case(board: str, case_id: str) -> str:
    """The address of a case's page on a live board at ``board``."""
    return f"{board.rstrip('/')}/case/{quote(case_id, safe='')}"
