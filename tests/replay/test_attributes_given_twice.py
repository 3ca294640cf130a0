"""Attributes of XES and OCEL that are given twice: the row that needs one is refused, and none is chosen for it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.replay.runs import Runner
from tests.replay.test_sources import events_of

XES_MAP = """format: xes
event_type: {column: "concept:name", values: {到达: repair.arrived}, other: skip}
fields: {order_id: "case:concept:name", occurred_at: "time:timestamp", staff_id: staff}
"""
OCEL_MAP = """format: ocel
event_type: {column: "ocel:activity", values: {到达: repair.arrived}, other: skip}
fields: {event_id: "ocel:eid", order_id: "ocel:type:order", occurred_at: "ocel:timestamp", staff_id: staff}
"""
SAID = "is given several times, with different values: correct the log"
AT = "2026-03-02T09:00:00+08:00"


def xes(trace: str = "", event: str = "") -> str:
    return f"""<log><trace><string key="concept:name" value="W1"/>{trace}<event>
<string key="concept:name" value="到达"/><date key="time:timestamp" value="{AT}"/>{event}</event></trace></log>"""


@pytest.mark.parametrize(
    ("trace", "event", "said"),
    [
        ("", '<date key="time:timestamp" value="2026-03-02T08:00:00+08:00"/>', "occurred_at: column 'time:timestamp'"),
        ('<string key="concept:name" value="W2"/>', "", "order_id: column 'case:concept:name'"),
        ("", '<string key="case:concept:name" value="W2"/>', "order_id: column 'case:concept:name'"),
        ("", '<string key="concept:name" value="离开"/>', "event_type: column 'concept:name'"),
        (
            "",
            '<string key="staff" value="a"/><int key="staff" value="2"/><int key="staff" value="a"/>',
            "staff_id: column",
        ),
        ("", '<string key="x" value="a"/><string key="x" value="b"/>', None),
        ('<string key="concept:name" value="W1"/>', '<string key="concept:name" value="到达"/>', None),
        ("", '<string key="staff"><string key="staff" value="inner"/></string>', None),
    ],
)
def test_attributes_of_xes(gridclock: Runner, trace: str, event: str, said: str | None) -> None:
    path, mapping = gridclock.file("a.xes", xes(trace, event)), gridclock.file("map.yaml", XES_MAP)
    ((_, found),) = events_of(path, mapping)
    if said is None:
        assert isinstance(found, dict)
        assert (found["order_id"], found["occurred_at"]) == ("W1", AT)
    else:
        assert str(found).startswith(f"bad_field: {said}")
        assert SAID in str(found)
        assert gridclock("replay", path, "--map", mapping).code == 3
    assert gridclock("map", "suggest", path).code == 0


def ocel(attributes: list[tuple[str, Any]], objects: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "objects": [{"id": number, "type": kind} for number, kind in objects],
        "events": [{
            "id": "e1", "type": "到达", "time": AT, "relationships": [{"objectId": objects[0][0], "qualifier": ""}],
            "attributes": [{"name": name, "value": value} for name, value in attributes],
        }],
    }  # fmt: skip


def ocel_xml(log: dict[str, Any]) -> str:
    objects = "".join(f'<object id="{one["id"]}" type="{one["type"]}"/>' for one in log["objects"])
    (event,) = log["events"]
    attributes = "".join(f'<attribute name="{one["name"]}">{one["value"]}</attribute>' for one in event["attributes"])
    related = f'<relationship object-id="{event["relationships"][0]["objectId"]}" qualifier=""/>'
    return (
        f'<log><objects>{objects}</objects><events><event id="e1" type="到达" time="{AT}"><attributes>{attributes}'
        f"</attributes><objects>{related}</objects></event></events></log>"
    )


@pytest.mark.parametrize("form", ["json", "xml"])
def test_attributes_and_objects_of_ocel(gridclock: Runner, form: str) -> None:
    mapping, order = gridclock.file("map.yaml", OCEL_MAP), [("W1", "order")]

    def file(attributes: list[tuple[str, Any]], objects: list[tuple[str, str]]) -> Any:
        log = ocel(attributes, objects)
        return gridclock.file(f"log.{form}ocel", json.dumps(log) if form == "json" else ocel_xml(log))

    for twice, field in (
        (("staff", "b"), "staff"),
        (("ocel:activity", "离开"), "event_type"),
        (("ocel:eid", "e2"), ""),
    ):
        ((_, found),) = events_of(file([("staff", "a"), twice], order), mapping)
        assert SAID in str(found)
        assert field in str(found)
    ((_, found),) = events_of(file([("staff", "a"), ("staff", "a"), ("x", 1), ("x", 2)], [*order, *order]), mapping)
    assert isinstance(found, dict)
    assert (found["order_id"], found["staff_id"]) == ("W1", "a")
    ran = gridclock("map", "check", mapping, file([], [*order, ("W1", "meter")]))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "object W1 is of the types order and meter" in ran.err


def test_an_event_that_is_twice_in_its_table_of_sqlite(gridclock: Runner) -> None:
    path = gridclock.path / "log.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE event(ocel_id, ocel_type); CREATE TABLE object(ocel_id, ocel_type);"
            "CREATE TABLE event_map_type(ocel_type, ocel_type_map); CREATE TABLE event_in(ocel_id, ocel_time);"
            "CREATE TABLE event_object(ocel_event_id, ocel_object_id, ocel_qualifier);"
            "INSERT INTO event_map_type VALUES ('到达', 'in'); INSERT INTO event VALUES ('e1', '到达');"
            f"INSERT INTO event_in VALUES ('e1', '{AT}'), ('e1', '2026-03-02T08:00:00+08:00');"
        )
        database.commit()
    ran = gridclock("map", "check", gridclock.file("map.yaml", OCEL_MAP), path)
    assert ran.code == 2
    assert "event e1 is twice in table" in ran.err
