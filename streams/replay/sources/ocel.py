"""Object-centric event logs, OCEL 2.0, in JSON, SQLite and XML, through a mapping.

A row is an event: ``ocel:eid``, ``ocel:activity``, ``ocel:timestamp``, its attributes by name, and for every type of
related objects ``ocel:type:<object type>`` with the objects' ids. An event of two meters concerns both.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from streams.errors import ConfigError
from streams.files import is_compressed, open_bytes, size_within
from streams.replay.sources import Record
from streams.replay.sources.detection import first_bytes
from streams.replay.sources.rows import Rows
from streams.replay.sources.xml import elements_of
from streams.wire.cells import Several
from streams.wire.decoder import decode_json

Event = dict[str, Any]
_SQLITE: Final = b"SQLite format 3\0"
_MAX_JSON: Final = 512 * 1024 * 1024
"""Most bytes of a log in JSON, which is read whole."""


class OcelLog(Rows):
    """One log; positions are the numbers of its events from 1, in the order of the file."""

    def records(self) -> Iterator[Record]:
        """See ``Source``. An attribute that an event lacks is an empty column."""
        for number, row in enumerate(ocel_rows(self.name), start=1):
            yield from self.made(number, row)


def ocel_rows(name: str) -> Iterator[Event]:
    """The events of a log as rows.

    Raises:
        ConfigError: where it is not an OCEL 2.0 log, or damaged.
    """
    head = first_bytes(name)
    try:
        if head.startswith(_SQLITE):
            yield from _from_sqlite(name)
        elif head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            yield from _from_xml(name)
        else:
            yield from _from_json(name)
    except (KeyError, TypeError, AttributeError, ValueError, sqlite3.Error) as error:
        raise ConfigError(f"is not an OCEL 2.0 log, or is damaged: {error!r}", path=name) from error


def _row(
    eid: Any, activity: Any, at: Any, attributes: Iterable[tuple[str, Any]], related: Iterable[tuple[str, str]]
) -> Event:
    row: Event = {"ocel:eid": eid, "ocel:activity": activity, "ocel:timestamp": at}
    for name, value in attributes:
        Several.put(row, name, value)
    objects: dict[str, list[str]] = {}
    for kind, oid in related:
        known = objects.setdefault(f"ocel:type:{kind}", [])
        if oid not in known:
            known.append(oid)
    row.update({column: found[0] if len(found) == 1 else found for column, found in objects.items()})
    return row


def _add_object(kinds: dict[str, str], oid: str, kind: str) -> None:
    if kinds.setdefault(oid, kind) != kind:
        raise ValueError(f"object {oid} is of the types {kinds[oid]} and {kind}")


def _from_json(name: str) -> Iterator[Event]:
    if not size_within(name, _MAX_JSON):
        raise ConfigError(
            f"an OCEL log in JSON is held whole and may have {_MAX_JSON:,} bytes: export it as SQLite or XML", path=name
        )
    with open_bytes(name) as source:
        log = decode_json(source.read().removeprefix(b"\xef\xbb\xbf"))
    kinds: dict[str, str] = {}
    for one in log.get("objects", ()):
        _add_object(kinds, one["id"], one["type"])
    for event in log["events"]:
        related = event.get("relationships") or ()
        yield _row(
            event["id"],
            event["type"],
            event["time"],
            ((one["name"], one["value"]) for one in event.get("attributes") or ()),
            ((kinds[one["objectId"]], one["objectId"]) for one in related),
        )


def _from_sqlite(name: str) -> Iterator[Event]:
    with tempfile.TemporaryDirectory(prefix="gridclock-") as directory:
        path = Path(name)
        if is_compressed(name):
            path = Path(directory) / "log.sqlite"
            with open_bytes(name) as source, path.open("wb") as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            tables = dict(database.execute("SELECT ocel_type, ocel_type_map FROM event_map_type").fetchall())
            for eid, activity in database.execute("SELECT ocel_id, ocel_type FROM event ORDER BY rowid"):
                table = _quoted(f"event_{tables[activity]}")
                rows = database.execute(f"SELECT * FROM {table} WHERE ocel_id = ?", (eid,)).fetchmany(2)
                if len(rows) != 1:
                    raise ValueError(f"event {eid} is {'twice' if rows else 'not'} in table {table}")
                own = rows[0]
                related = database.execute(
                    "SELECT o.ocel_type, eo.ocel_object_id FROM event_object eo "
                    "LEFT JOIN object o ON o.ocel_id = eo.ocel_object_id "
                    "WHERE eo.ocel_event_id = ? ORDER BY eo.rowid",
                    (eid,),
                ).fetchall()
                if lost := [oid for kind, oid in related if kind is None]:
                    raise ValueError(f"object {lost[0]} of event {eid} is not in table object")
                attributes = ((key, own[key]) for key in own.keys() if key not in ("ocel_id", "ocel_time"))  # noqa: SIM118
                yield _row(eid, activity, own["ocel_time"], attributes, ((kind, oid) for kind, oid in related))


def _quoted(table: str) -> str:
    if re.search(r'["\0]', table):
        raise ValueError(f"a table named {table!r}")
    return f'"{table}"'


def _from_xml(name: str) -> Iterator[Event]:
    kinds: dict[str, str] = {}
    for path, element in elements_of(name, "OCEL log", "log", ends=(("objects", "object"), ("events", "event"))):
        if path == ("objects", "object"):
            _add_object(kinds, element["id"], element["type"])
            continue
        attributes, related = [], []
        for tag, own, text in element.inner:
            if tag == "attribute":
                attributes.append((own["name"], text.strip()))
            elif tag in ("relationship", "relobj"):
                related.append((kinds[own["object-id"]], own["object-id"]))
        yield _row(element["id"], element["type"], element["time"], attributes, related)
