"""Values framed for a schema registry: what they hold, and that no bytes and no schema do harm."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from schemas.mappings import Mapping
from streams.errors import InputError
from streams.wire.cells import Coarse, Exact, Unset, id_of
from streams.wire.envelopes import Change, changes_of, rows_of
from streams.wire.mapping import MappedEvent, Place, RowMapping, Skipped
from streams.wire.registered import MAX_SCHEMA, SCHEMA_HEADER, Reader, SchemaId, Text, frame_of, reader_of

GUID = UUID("12345678-1234-5678-1234-567812345678")
ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "cn.example",
    "fields": [
        {"name": "no", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "fine", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "wall", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "fee", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["fault", "new"]}},
        {
            "name": "place",
            "type": ["null", {"type": "record", "name": "Place", "fields": [{"name": "city", "type": "string"}]}],
        },
    ],
}
ROW = {
    "no": "BX1", "at": datetime(2026, 3, 2, 1, tzinfo=UTC), "fine": None, "wall": datetime(2026, 3, 2, 9),  # noqa: DTZ001
    "day": date(2026, 3, 2), "fee": Decimal("12.50"), "kind": "fault", "place": {"city": "0571"},
}  # fmt: skip
PROTO = """syntax = "proto3";
package t;
import "google/protobuf/timestamp.proto";
import "places/place.proto";
message Other { string q = 1; }
message Order {
  string no = 1;
  p.Place place = 2;
  google.protobuf.Timestamp at = 3;
  int64 fee = 4;
  message Line { int64 n = 1; }
}
"""
PLACE = ("places/place.proto", 'syntax = "proto3"; package p; message Place { string city = 1; }')


class Registry:
    """Schemas by id, for a mapping."""

    def __init__(self, known: dict[SchemaId, Reader]) -> None:
        self.known = known

    def has(self, schema_id: SchemaId) -> bool:
        return schema_id in self.known

    def get(self, schema_id: SchemaId) -> Reader:
        return self.known[schema_id]


def avro(schema: Any, value: Any, number: int = 7) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return b"\0" + number.to_bytes(4, "big") + out.getvalue()


def read(
    schema: Text, raw: bytes, form: str, headers: Sequence[tuple[str, bytes | None]] = (), key: SchemaId = 7
) -> list[Change] | Skipped:
    return rows_of(form, raw, headers, Registry({key: reader_of(schema)}))


def row(schema: Text, raw: bytes, form: str) -> dict[str, Any]:
    found = read(schema, raw, form)
    assert isinstance(found, list)
    (change,) = found
    assert change.after is not None
    return dict(change.after)


def refusal(schema: Text, raw: bytes, form: str) -> InputError:
    with pytest.raises(InputError) as caught:
        read(schema, raw, form)
    return caught.value


def test_avro_gives_its_logical_types_and_nested_records_by_dots() -> None:
    found = row(Text("AVRO", json.dumps(ORDER)), avro(ORDER, ROW), "avro")
    assert found == {name: value for name, value in ROW.items() if name != "place"} | {"place.city": "0571"}


def test_avro_follows_references() -> None:
    place = ORDER["fields"][-1]["type"][1] | {"namespace": "cn.example"}
    own = ORDER | {"fields": [*ORDER["fields"][:-1], {"name": "place", "type": ["null", "cn.example.Place"]}]}
    found = row(Text("AVRO", json.dumps(own), (("place", json.dumps(place)),)), avro(ORDER, ROW), "avro")
    assert found["place.city"] == "0571"


ENVELOPE: dict[str, Any] = {
    "type": "record",
    "name": "Envelope",
    "fields": [
        {
            "name": "before",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Value",
                    "fields": [
                        {"name": "order_no", "type": "string"},
                        {
                            "name": "at",
                            "type": ["null", {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}],
                        },
                        {
                            "name": "old",
                            "type": {
                                "type": "long",
                                "logicalType": "timestamp-millis",
                                "connect.name": "org.apache.kafka.connect.data.Timestamp",
                            },
                        },
                        {
                            "name": "fee",
                            "type": {
                                "type": "record",
                                "name": "VariableScaleDecimal",
                                "connect.name": "io.debezium.data.VariableScaleDecimal",
                                "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
                            },
                        },
                    ],
                },
            ],
        },
        {"name": "after", "type": ["null", "Value"]},
        {"name": "op", "type": "string"},
    ],
}


def test_a_debezium_envelope_in_avro_has_times_without_a_zone_and_decimals() -> None:
    at = 1_772_442_000_000_000
    after = {"order_no": "BX1", "at": at, "old": at // 1000, "fee": {"scale": 2, "value": b"\x04\xe2"}}
    raw = avro(ENVELOPE, {"before": None, "after": after, "op": "c"})
    nine = datetime(2026, 3, 2, 9)  # noqa: DTZ001
    assert row(Text("AVRO", json.dumps(ENVELOPE)), raw, "debezium") == {
        "order_no": "BX1", "at": nine, "old": nine, "fee": Decimal("12.50"),
    }  # fmt: skip
    refused = refusal(Text("AVRO", json.dumps(ENVELOPE)), raw, "avro")
    assert "set format: debezium" in refused.detail


def test_a_debezium_envelope_in_json_schema_has_times_without_a_zone() -> None:
    titled = {"oneOf": [{"type": "null"}, {"type": "integer", "title": "io.debezium.time.Timestamp"}]}
    value = {"oneOf": [{"type": "null"}, {"type": "object", "title": "V", "properties": {"at": titled}}]}
    schema = {"type": "object", "properties": {"before": value, "after": value, "op": {"type": "string"}}}
    raw = b"\0\0\0\0\7" + json.dumps({"op": "c", "before": None, "after": {"at": 1_772_442_000_000}}).encode()
    assert row(Text("JSON", json.dumps(schema)), raw, "debezium") == {"at": datetime(2026, 3, 2, 9)}  # noqa: DTZ001


def test_protobuf_gives_the_message_that_its_indexes_name() -> None:
    schema = Text("PROTOBUF", PROTO, (PLACE,))
    order = b"\x0a\x03BX1\x12\x06\x0a\x040571\x1a\x06" + Timestamp(seconds=1_772_413_200).SerializeToString()
    assert row(schema, b"\0\0\0\0\7\x02\x02" + order, "protobuf") == {
        "no": "BX1", "place.city": "0571", "at": "2026-03-02T01:00:00Z", "fee": 0,
    }  # fmt: skip
    assert row(schema, b"\0\0\0\0\7\x04\x02\x00\x08\x05", "protobuf") == {"n": 5}
    assert row(schema, b"\0\0\0\0\7\x00\x0a\x01x", "protobuf") == {"q": "x"}, "a 0 stands for the first message"
    assert "has no message [8]" in refusal(schema, b"\0\0\0\0\7\x02\x10", "protobuf").detail


def test_json_schema_is_json_behind_its_id() -> None:
    raw = b"\0\0\0\0\7" + '{"工单": {"编号": "BX1"}}'.encode()
    assert row(Text("JSON", '{"type": "object"}'), raw, "json_schema") == {"工单.编号": "BX1"}


def test_a_guid_is_read_before_the_value_and_in_the_header() -> None:
    text, value = Text("AVRO", json.dumps(ORDER)), avro(ORDER, ROW)[5:]
    before = read(text, b"\1" + GUID.bytes + value, "avro", key=str(GUID))
    beside = read(text, value, "avro", [(SCHEMA_HEADER, b"\1" + GUID.bytes)], key=str(GUID))
    assert before == beside
    assert isinstance(before, list)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"no": "BX1"}', "looks like JSON without a schema id"),
        (b"\0\0\7", "begins with"),
        (b"Obj\x01\x04", "is an Avro container"),
        (b"<order/>", "is XML"),
        (b"\x02\x06BX1", "begins with"),
    ],
)
def test_what_is_not_framed_says_how_it_is_framed(raw: bytes, said: str) -> None:
    refused = refusal(Text("AVRO", json.dumps(ORDER)), raw, "avro")
    assert refused.reason == "undecodable"
    assert said in refused.detail


def test_framed_records_under_a_mapping_of_json_say_what_to_set() -> None:
    with pytest.raises(InputError, match=r"schema id 7.*set format: avro, protobuf or json_schema and registry"):
        rows_of("json", avro(ORDER, ROW), ())


def test_a_tombstone_is_passed_over() -> None:
    for raw in (None, b""):
        assert rows_of("avro", raw, (), Registry({})) == Skipped("tombstone")


def test_a_schema_of_another_format_is_named() -> None:
    refused = refusal(Text("AVRO", json.dumps(ORDER)), avro(ORDER, ROW), "protobuf")
    assert "is avro by its schema 7, and the mapping says protobuf" in refused.detail


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw[:-3], "does not fit"),
        (lambda raw: raw + b"\0", "has 1 bytes more than its schema says"),
        (lambda raw: raw[:5], "does not fit"),
        (lambda raw: raw[:5] + b"\xff" * 20, "does not fit"),
    ],
)
def test_avro_that_does_not_fit_names_its_schema(change: Any, said: str) -> None:
    refused = refusal(Text("AVRO", json.dumps(ORDER)), change(avro(ORDER, ROW)), "avro")
    assert said in refused.detail
    assert refused.detail.endswith("as avro of schema 7")


LINKED = {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}


def test_a_record_nested_100_000_deep_is_refused() -> None:
    refused = refusal(Text("AVRO", json.dumps(LINKED)), b"\0\0\0\0\7" + b"\2" * 100_000 + b"\0", "avro")
    assert refused.reason == "too_deep"
    proto = 'syntax = "proto3"; message L { L next = 1; }'
    deep = b""
    for _ in range(3_000):
        size, head = len(deep), b""
        while size >= 128:
            head, size = head + bytes([size & 127 | 128]), size >> 7
        deep = b"\x0a" + head + bytes([size]) + deep
    assert refusal(Text("PROTOBUF", proto), b"\0\0\0\0\7\0" + deep, "protobuf").reason == "undecodable"
    nested = b"\0\0\0\0\7" + b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    assert refusal(Text("JSON", "{}"), nested, "json_schema").reason == "too_deep"


@pytest.mark.parametrize(
    "items",
    [
        "null",
        {"type": "fixed", "name": "F", "size": 0},
        {"type": "record", "name": "E", "fields": []},
        {"type": "record", "name": "N", "fields": [{"name": "a", "type": "null"}]},
    ],
)
def test_an_array_whose_items_take_no_bytes_is_refused_with_its_schema(items: Any) -> None:
    schema = {"type": "record", "name": "A", "fields": [{"name": "all", "type": {"type": "array", "items": items}}]}
    with pytest.raises(InputError, match="items take no bytes"):
        reader_of(Text("AVRO", json.dumps(schema)))


@pytest.mark.parametrize(
    "schema",
    [
        Text("AVRO", "{"),
        Text("AVRO", '{"type": "record", "name": "A", "fields": [{"name": "x", "type": "Missing"}]}'),
        Text("AVRO", '{"type": "record"}'),
        Text("AVRO", '{"type":"array","items":' * 20_000 + '"int"' + "}" * 20_000),
        Text("AVRO", '"' + "x" * MAX_SCHEMA + '"'),
        Text("JSON", "["),
        Text("PROTOBUF", "message {"),
        Text("PROTOBUF", 'syntax = "proto3"; import "missing.proto"; message A { }'),
        Text("PROTOBUF", 'syntax = "proto3"; import "/etc/hostname"; message A { }'),
        Text("THRIFT", "struct A {}"),
    ],
    ids=lambda schema: f"{schema.kind} {schema.text[:30]}",
)
def test_a_schema_that_cannot_be_used_is_refused(schema: Text) -> None:
    with pytest.raises(InputError, match=r"undecodable: .*schema"):
        reader_of(schema)


READERS = {
    "avro": reader_of(Text("AVRO", json.dumps(ORDER))),
    "linked": reader_of(Text("AVRO", json.dumps(LINKED))),
    "protobuf": reader_of(Text("PROTOBUF", PROTO, (PLACE,))),
    "json_schema": reader_of(Text("JSON", "{}")),
}


@given(name=st.sampled_from(sorted(READERS)), raw=st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_refusal(name: str, raw: bytes) -> None:
    form = "avro" if name == "linked" else name
    reason = ""
    try:
        rows_of(form, b"\0\0\0\0\7" + raw, (), Registry({7: READERS[name]}))
    except InputError as error:
        reason = error.reason
    assert reason in {"", "undecodable", "too_deep", "not_an_object", "bad_field"}


def test_a_record_without_framing_has_no_frame() -> None:
    assert frame_of(b"\0\0\0\0", ()) is None
    assert frame_of(b"", ()) is None


def test_protobuf_whose_registry_gives_descriptors_is_read_as_its_text_is() -> None:
    place = FileDescriptorProto(name="given.proto", package="p", syntax="proto3")
    place.message_type.add(name="Place").field.add(name="city", number=1, type=9, label=1)
    at = FileDescriptorProto(name="own.proto", package="t", syntax="proto3")
    at.dependency.extend(["places/place.proto", "google/protobuf/timestamp.proto"])
    order = at.message_type.add(name="Order")
    order.field.add(name="place", number=2, type=11, label=1, type_name=".p.Place")
    order.field.add(name="at", number=3, type=11, label=1, type_name=".google.protobuf.Timestamp")
    texts = [base64.b64encode(file.SerializeToString()).decode() for file in (place, at)]
    schema = Text("PROTOBUF", texts[1], (("places/place.proto", texts[0]),))
    assert row(schema, b"\0\0\0\0\7\x00\x12\x06\x0a\x040571\x1a\x02\x08\x05", "protobuf") == {
        "place.city": "0571", "at": "1970-01-01T00:00:05Z",
    }  # fmt: skip


def kinds_of(value: Any) -> Any:
    """Which numbers are marked as coarse."""
    if isinstance(value, dict):
        return {name: kinds_of(one) for name, one in value.items()}
    return [kinds_of(one) for one in value] if isinstance(value, list) else isinstance(value, Coarse)


def record_of(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": one, "type": kind} for one, kind in fields.items()]}


def test_numbers_of_32_bits_in_avro_are_marked_where_they_are_long() -> None:
    inner = record_of("Inner", x="float", y="double")
    schema = record_of(
        "R", small="float", long="float", maybe=["null", "float"], either=["float", "double"], text=["string", "float"],
        items={"type": "array", "items": "float"}, inner=inner, again=["null", "Inner"],
        more={"type": "array", "items": "Inner"},
        named={"type": "map", "values": ["null", "float"]}, kind={"type": "enum", "name": "K", "symbols": ["A"]},
        raw={"type": "fixed", "name": "F", "size": 1}, at={"type": "long", "logicalType": "timestamp-millis"},
    )  # fmt: skip
    one = {"x": 123456789.0, "y": 123456789.0}
    value = {
        "small": 16777215.0, "long": 123456789.0, "maybe": 16777216.0, "either": 5.0, "text": 123456789.0,
        "items": [1.0, 123456789.0], "inner": one, "again": one, "more": [one], "named": {"a": 123456789.0, "b": None},
        "kind": "A", "raw": b"x", "at": 0,
    }  # fmt: skip
    found = rows_of("avro", avro(schema, value), (), Registry({7: reader_of(Text("AVRO", json.dumps(schema), ()))}))
    assert isinstance(found, list)
    assert {name for name, mark in kinds_of(dict(found[0].after or {})).items() if mark is True} == {
        "long", "maybe", "text", "inner.x", "again.x", "named.a",
    }  # fmt: skip
    assert kinds_of(dict(found[0].after or {}))["items"] == [False, True]
    assert kinds_of(dict(found[0].after or {}))["more"] == [{"x": True, "y": False}]


def test_a_type_within_itself_is_left_as_it_is() -> None:
    schema = record_of("Node", o="float", next=["null", "Node"])
    found = row(
        Text("AVRO", json.dumps(schema), ()), avro(schema, {"o": 2.0**25, "next": {"o": 2.0**25, "next": None}}), "avro"
    )
    assert isinstance(found["o"], Coarse)
    assert found["next.o"] == 2.0**25


def test_numbers_of_32_bits_in_protobuf_are_marked_where_they_are_long() -> None:
    """123456789 was 123456790."""
    text = """syntax = "proto3";
    message M { float f = 1; float small = 2; repeated float several = 3; double d = 4; N n = 5; map<string, N> m = 6; }
    message N { float f = 1; M back = 2; }"""
    long, small = (struct.pack("<f", value) for value in (123456789, 1.5))
    raw = b"\x0d" + long + b"\x15" + small + b"\x1a\x08" + small + long + b"\x21" + struct.pack("<d", 123456789)
    raw += b"\x2a\x05\x0d" + long
    found = row(Text("PROTOBUF", text, ()), b"\0\0\0\0\x07\0" + raw, "protobuf")
    marks = kinds_of(found)
    assert (marks["f"], marks["small"], marks["several"], marks["d"], marks["n.f"]) == (
        True,
        False,
        [False, True],
        False,
        True,
    )
    assert (found["small"], found["d"]) == (1.5, 123456789)
    infinite = row(Text("PROTOBUF", text, ()), b"\0\0\0\0\x07\0\x0d" + struct.pack("<f", float("inf")), "protobuf")
    assert infinite["f"] == "Infinity"


SCALARS = """syntax = "proto3";
import "google/protobuf/wrappers.proto";
message M {
  int64 no = 1; int32 short = 2; uint64 big = 3; double d = 4; float f = 5; bool b = 6; string s = 7;
  optional int64 given = 8; repeated int64 many = 9; google.protobuf.Int64Value held = 10;
  oneof one { sint32 of = 11; } google.protobuf.FloatValue coarse = 12;
}"""


def test_a_zero_in_protobuf_that_may_not_have_been_set_is_marked_and_no_other_is() -> None:
    nothing = row(Text("PROTOBUF", SCALARS), b"\0\0\0\0\7\0", "protobuf")
    assert {name for name, value in nothing.items() if isinstance(value, Unset)} == {"no", "short", "big", "d", "f"}
    assert (nothing["b"], nothing["s"], nothing["many"]) == (False, "", [])
    raw = b"\x08\x05\x18" + b"\xff" * 9 + b"\x01" + b"\x40\0\x4a\x02\0\1\x52\x02\x08\x07\x58\0"
    raw += b"\x62\x05\x0d" + struct.pack("<f", 123456789)
    some = row(Text("PROTOBUF", SCALARS), b"\0\0\0\0\7\0" + raw, "protobuf")
    assert {name for name, value in some.items() if isinstance(value, Unset)} == {"short", "d", "f"}
    assert {name for name, value in some.items() if type(value) is Exact} == {"no", "big", "given", "held"}
    assert (some["big"], some["given"], some["many"], some["of"]) == (2**64 - 1, 0, ["0", "1"], 0)
    assert isinstance(some["coarse"], Coarse)
    assert id_of(some["big"]) == str(2**64 - 1), "all of its digits are meant"


def test_in_protobuf_an_id_time_or_day_that_was_not_set_is_empty_and_an_amount_is_0() -> None:
    """An order number that was not set was the order 0, a date the 1st of January 1970, and nobody's arrival one."""
    mapping = Mapping.model_validate(
        {
            "format": "protobuf", "registry": {"url": "http://127.0.0.1:1"},
            "time": {"format": "epoch_ms", "zone": "Asia/Shanghai"}, "key": ["no"],
            "fields": {"order_id": "no", "account_id": "big", "due": {"column": "short", "as": "date"},
                       "amount": {"column": "d", "as": "amount"}, "cause": "f"},
            "events": [
                {"event_type": "repair.reported", "occurred_at": "given"},
                {"event_type": "repair.arrived", "occurred_at": "held", "when": {"column": "short", "present": True}},
                {"event_type": "repair.closed", "occurred_at": "given", "when": {"column": "short", "equals": "0"}},
            ],
        }
    )  # fmt: skip
    rows = RowMapping(mapping, "map.yaml")
    rows.schemas = Registry({7: reader_of(Text("PROTOBUF", SCALARS))})

    def made(raw: bytes) -> list[Any]:
        found = changes_of(rows, b"\0\0\0\0\7\0" + raw, None, Place("0.1", (1,)))
        return [one.note or json.loads(one.raw) for one in found if isinstance(one, MappedEvent)]

    at = b"\x40\x80\x80\xa4\xc6\xca\x33"
    reported, withdrawn, closed = made(b"\x08\x05" + at)
    expected = {"order_id": "5", "amount": 0, "cause": "0", "event_id": "5/repair.reported", "version": [1]}
    assert {name: reported[name] for name in reported if name not in ("event_type", "occurred_at")} == expected
    assert (withdrawn["event_type"], withdrawn["void"]) == ("repair.arrived", True)
    assert closed["event_type"] == "repair.closed"
    (unnamed, *_) = made(at)
    assert (unnamed.reason, "column 'no' is empty" in unnamed.detail) == ("missing_field", True)


def test_debezium_in_protobuf_has_its_times_on_the_wall_and_its_order() -> None:
    """Numbers of 64 bits came as texts: times without a zone were read as UTC, eight hours late."""
    text = """syntax = "proto3";
    message E { R before = 1; R after = 2; string op = 3; S source = 4;
      message R { int64 no = 1; int64 at = 2; } message S { int64 ts_ms = 1; int64 lsn = 2; } }"""
    reader = Registry({7: reader_of(Text("PROTOBUF", text))})
    mapping = Mapping.model_validate(
        {
            "format": "debezium", "registry": {"url": "http://127.0.0.1:1"}, "key": ["no"],
            "time": {"format": "epoch_us", "zone": "Asia/Shanghai"}, "constants": {"event_type": "repair.reported"},
            "fields": {"order_id": "no", "occurred_at": "at"},
        }
    )  # fmt: skip
    rows = RowMapping(mapping, "map.yaml")
    rows.schemas = reader
    nine = 1_772_442_000_000_000  # 09:00 on the wall, counted as if in UTC
    kind = reader_of(Text("PROTOBUF", text))
    assert kind.connect is None
    row_bytes = b"\x08\x05\x10" + varint(nine)
    source = b"\x08" + varint(nine // 1000) + b"\x10" + varint(77)
    raw = b"\x12" + varint(len(row_bytes)) + row_bytes + b"\x1a\x01c\x22" + varint(len(source)) + source
    (made,) = changes_of(rows, b"\0\0\0\0\7\0" + raw, None, Place("0.1", (1,)))
    assert isinstance(made, MappedEvent)
    found = json.loads(made.raw)
    assert (made.note, found["occurred_at"], found["version"]) == (None, "2026-03-02T09:00:00+08:00", [77])


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
