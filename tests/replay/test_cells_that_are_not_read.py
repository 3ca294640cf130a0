"""Cells that cannot be read where they decide: the row is refused, and neither passed over nor taken for another."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from streams.errors import ConfigError
from streams.replay.sources.ocel import ocel_rows
from tests.replay.runs import Runner
from tests.replay.test_sources import events_of

TIME = "time: {zone: Asia/Shanghai}\n"
WHEN = """fields: {order_id: o}
events: [{event_type: repair.completed, occurred_at: at, when: {column: s, equals: 完成}}]
"""
TYPES = """event_type: {column: s, values: {完成: repair.completed}, other: skip}
fields: {order_id: o, occurred_at: at}
"""


@pytest.mark.parametrize("mapping", [WHEN, TYPES])
def test_a_deciding_cell_of_another_encoding_is_refused(gridclock: Runner, mapping: str) -> None:
    path = gridclock.file("rows.csv", "o,at,s\nW1,2026-03-02 09:00,完成\n".encode("gbk"))
    ((_, problem),) = events_of(path, gridclock.file("map.yaml", TIME + mapping))
    assert problem == "not_utf8: is not valid utf-8; the file looks like gb18030: set encoding"
    assert gridclock("replay", path, "--map", gridclock.path / "map.yaml").code == 3


def test_a_condition_on_a_number_too_long_is_refused(gridclock: Runner) -> None:
    """It ended the replay with a traceback; of a deleted row too."""
    row = '{"o": "W1", "at": "2026-03-02 09:00", "s": 1%s}' % ("0" * 500)
    mapping = gridclock.file("map.yaml", f"format: json\n{TIME}key: o\n{WHEN}")
    found = "bad_field: column 's': is a number of more than 400 digits (mapping key: events.0.when)"
    assert events_of(gridclock.file("a.jsonl", row), mapping) == [(1, found)]
    mapping = gridclock.file("map.yaml", f"format: debezium\n{TIME}key: o\n{WHEN}")
    deleted = f'{{"op": "d", "before": {row}, "after": null}}'
    assert events_of(gridclock.file("b.jsonl", deleted), mapping) == [(1, found)]


def test_an_object_that_an_ocel_log_in_sqlite_lacks_is_not_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE event(ocel_id, ocel_type); CREATE TABLE object(ocel_id, ocel_type);"
            "CREATE TABLE event_map_type(ocel_type, ocel_type_map); CREATE TABLE event_in(ocel_id, ocel_time);"
            "CREATE TABLE event_object(ocel_event_id, ocel_object_id, ocel_qualifier);"
            "INSERT INTO event_map_type VALUES ('a', 'in'); INSERT INTO event VALUES ('e1', 'a');"
            "INSERT INTO event_in VALUES ('e1', '2026-03-02T09:00:00+08:00');"
            "INSERT INTO object VALUES ('W1', 'order');"
            "INSERT INTO event_object VALUES ('e1', 'W1', ''), ('e1', 'M1', '');"
        )
        database.commit()
    with pytest.raises(ConfigError, match="object M1 of event e1 is not in table object"):
        list(ocel_rows(str(path)))
