"""Records of Debezium and CloudEvents at their edges: what is not said is neither passed over nor made up."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from streams.rulebooks.mapping_files import load_mapping
from streams.wire.envelopes import Headers, changes_of, rows_of
from streams.wire.mapping import MappedEvent, Place, Skipped

CLOUD = """format: json
event_type: {column: ce_type, values: {arrived: repair.arrived}}
fields: {order_id: ce_subject, occurred_at: ce_time, staff_id: staff}
"""
CHANGES = """format: debezium
time: {zone: Asia/Shanghai}
key: o
constants: {event_type: repair.reported}
fields: {order_id: o, occurred_at: at}
"""
AT = "2026-03-02T09:00:00+08:00"
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/95598", "type": "arrived", "subject": "W1", "time": AT}


def made(tmp_path: Path, mapping: str, raw: bytes | None, headers: Headers = ()) -> list[Any]:
    """The events of one record, or why there are none."""
    path = tmp_path / "map.yaml"
    path.write_text(mapping, "utf-8")
    found: list[Any] = []
    for one in changes_of(load_mapping(path).rows, raw, headers, Place("0.1", (1,))):
        note = one.note if isinstance(one, MappedEvent) else one
        found.append(json.loads(one.raw) if isinstance(one, MappedEvent) and note is None else str(note))
    return found


def binary(**changed: bytes) -> Headers:
    return [(f"ce_{name}", value.encode()) for name, value in ATTRIBUTES.items() if name not in changed] + [
        (f"ce_{name}", value) for name, value in changed.items()
    ]


@pytest.mark.parametrize("data", [{}, {"data": None}, {"data": "text"}, {"data": [1]}, {"data": {"staff": "S1"}}])
def test_a_cloud_event_in_structured_mode_has_its_attributes_whatever_its_data(tmp_path: Path, data: Any) -> None:
    (event,) = made(tmp_path, CLOUD, json.dumps({**ATTRIBUTES, **data}).encode())
    assert (event["event_type"], event["order_id"], event["occurred_at"]) == ("repair.arrived", "W1", AT)
    assert event.get("staff_id") == ("S1" if isinstance(data.get("data"), dict) else None)


def test_its_data_may_be_base64(tmp_path: Path) -> None:
    encoded = base64.b64encode(b'{"staff": "S1"}').decode()
    (event,) = made(tmp_path, CLOUD, json.dumps({**ATTRIBUTES, "data_base64": encoded}).encode())
    assert (event["order_id"], event["staff_id"]) == ("W1", "S1")
    for bad in ("%%", base64.b64encode(b"<xml/>").decode()):
        (problem,) = made(tmp_path, CLOUD, json.dumps({**ATTRIBUTES, "data_base64": bad}).encode())
        assert problem.startswith("not_json: is a CloudEvent whose data_base64 is not JSON: ")


@pytest.mark.parametrize("raw", [None, b""])
def test_one_in_binary_mode_may_have_no_data_at_all(tmp_path: Path, raw: bytes | None) -> None:
    (event,) = made(tmp_path, CLOUD, raw, binary())
    assert (event["event_type"], event["order_id"]) == ("repair.arrived", "W1")
    assert made(tmp_path, CLOUD, raw, [("ce_type", b"arrived")]) == [str(Skipped("tombstone"))]
    assert made(tmp_path, CHANGES, raw, binary()) == [str(Skipped("tombstone"))]


def test_attributes_of_another_encoding_or_given_twice_are_refused(tmp_path: Path) -> None:
    """``工1`` and ``装1`` in GBK were one order, ``��1``."""
    (problem,) = made(tmp_path, CLOUD, b"{}", binary(subject="工1".encode("gbk")))
    assert problem.startswith("not_utf8: order_id: column 'ce_subject'")
    (problem,) = made(tmp_path, CLOUD, b"{}", binary(type="到".encode("gbk")))
    assert problem.startswith("not_utf8: event_type: column 'ce_type'")
    (problem,) = made(tmp_path, CLOUD, b"{}", [*binary(), ("ce_subject", b"W2")])
    assert "order_id: column 'ce_subject'" in problem
    assert "is given several times" in problem
    (event,) = made(
        tmp_path, CLOUD, b"{}", [*binary(), ("ce_subject", b"W1"), ("ce_other", b"\xff"), ("ce_none", None)]
    )
    assert event["order_id"] == "W1"
    (event,) = made(tmp_path, CLOUD, b"{}", binary(subject="工1".encode()))
    assert event["order_id"] == "工1"


@pytest.mark.parametrize("op", ["c", "u", "r"])
def test_a_change_without_its_row_is_no_deletion(tmp_path: Path, op: str) -> None:
    known: list[dict[str, Any]] = [{"after": None}, {"before": {"o": "W1"}}, {"before": {}, "after": None}]
    for sides in known:
        record = {"op": op, **sides}
        (problem,) = made(tmp_path, CHANGES, json.dumps(record).encode())
        assert problem == f"bad_field: is a Debezium envelope of op {op} whose after is empty"


def test_a_deletion_of_which_nothing_is_known_is_not_passed_over(tmp_path: Path) -> None:
    record = b'{"op": "d", "before": null, "after": null}'
    (problem,) = made(tmp_path, CHANGES, record)
    assert problem.endswith("set REPLICA IDENTITY FULL on the table")
    (passed,) = made(tmp_path, CHANGES.replace("key: o\n", ""), record)
    assert "deleted row without a key in the mapping" in passed


def test_other_operations_are_still_passed_over() -> None:
    for op, name in (("t", "truncated table"), ("m", "message of the database")):
        assert rows_of("debezium", json.dumps({"op": op}).encode(), ()) == Skipped(name)


ROWS = """format: json
time: {zone: Asia/Shanghai}
constants: {event_type: repair.reported}
fields: {order_id: a.o, occurred_at: at, households: {column: n, as: number}}
"""


@pytest.mark.parametrize("colon", [":", " : "])
def test_a_member_that_stands_twice_is_refused_where_it_is_used(tmp_path: Path, colon: str) -> None:
    """The last was taken: of two orders in one row, the first had no arrival."""

    def found(text: str) -> Any:
        (one,) = made(tmp_path, ROWS, text.replace(":", colon).replace("9 : 0", "9:0").encode())
        return one

    at = '"at":"2026-03-02T09"'
    for twice, field in (
        ('"a":{"o":"W1","o":"W2"},' + at, "order_id: column 'a.o'"),
        ('"a":{"o":"W1"},"at":"2026-03-02T08",' + at, "occurred_at: column 'at'"),
        ('"a":{"o":"W1"},"n":1,"n":2,' + at, "households: column 'n'"),
    ):
        problem = found(f"{{{twice}}}")
        assert problem.startswith(f"bad_field: {field}")
        assert "is given several times, with different values" in problem
    event = found('{"a":{"o":"W1","o":"W1"},"n":1.50,"x":1,"x":2,"y":[{"z":"\\":"}],' + at + "}")
    assert (event["order_id"], event["households"]) == ("W1", 1.5)


def test_so_is_one_of_a_row_of_debezium(tmp_path: Path) -> None:
    row = '{"o":"W1","o":"W2","at":"2026-03-02T09:00"}'
    (problem,) = made(tmp_path, CHANGES, f'{{"op":"c","before":null,"after":{row}}}'.encode())
    assert "is given several times" in problem
    (problem,) = made(tmp_path, CHANGES, f'{{"op":"c","after":{row},"after":{{"o":"W3"}}}}'.encode())
    assert problem == "bad_field: a Debezium envelope whose row is not an object"
    deep = f'{{"op":"c","op":"c","after":{{"o":"W1","at":"2026-03-02T09:00","n":{"[" * 600 + "]" * 600}}}}}'
    (event,) = made(tmp_path, CHANGES, deep.encode())
    assert event["order_id"] == "W1"
    many = f'{{"op":"c","op":"c","after":{{"o":"W1","at":"2026-03-02T09:00","n":{"1" * 4000}}}}}'
    (event,) = made(tmp_path, CHANGES, many.encode())
    assert event["order_id"] == "W1"
