"""A topic's record, or a line of JSON, to rows, and through a mapping to events.

``rows_of`` is the extension point for encodings: bytes and headers of a record in, ``Change`` out; all later steps
(``changes_of``) are the same for files and topics.

Forms of JSON: an object is a row. A **Debezium** envelope (``format: debezium``; with ``payload`` around it or without)
is a change: ``after`` is the row, ``before`` the previous one; ``op`` ``d`` deletes, ``r`` is a row of a snapshot. A
**CloudEvent** in binary mode has its attributes in headers (``ce_id``, ``ce_type``, ``ce_time``, ``ce_source``,
``ce_subject``), which are columns too; it may have no value. Any other record without a value (a tombstone) holds no
row: the record before it is the delete.

With a schema registry in the mapping the same forms come as Avro, JSON Schema or Protobuf (``registered``).

Debezium's logical types are read by their schema, where the record has one: dates, times, decimals. Without one they
are numbers, which the mapping's time forms read (``epoch_ms``, ``epoch_us``), and days since 1970. Its ISO texts
(``time.precision.mode: isostring``) end in ``Z`` also where the column has no zone, so they need their schema.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from schemas.fields import read_iso
from streams.core.instants import EPOCH, format_us
from streams.errors import InputError
from streams.wire.cells import Several, Unset
from streams.wire.decoder import decode_json
from streams.wire.mapping import MappedEvent, Place, Row, RowMapping, Skipped, flat
from streams.wire.registered import Schemas, frame_of, value_of

Headers = Sequence[tuple[str, bytes | None]]

_OPERATIONS: Final = frozenset({"c", "u", "d", "r", "t", "m"})
_SCALES: Final[dict[str, Any]] = {
    "io.debezium.time.Timestamp": 1000,
    "org.apache.kafka.connect.data.Timestamp": 1000,
    "io.debezium.time.MicroTimestamp": 1,
    "io.debezium.time.NanoTimestamp": Decimal("0.001"),
}
_ISO_TIMESTAMP: Final = "io.debezium.time.IsoTimestamp"
_ISO_DATE: Final = "io.debezium.time.IsoDate"
_DATES: Final = frozenset({"io.debezium.time.Date", "org.apache.kafka.connect.data.Date"})
_DECIMAL: Final = "org.apache.kafka.connect.data.Decimal"
_VARIABLE_DECIMAL: Final = "io.debezium.data.VariableScaleDecimal"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a row: ``after`` and ``before`` are flat, and absent where there is no such row.

    ``version`` orders the changes of one row, if the record has a better order than its offset. ``at`` is the instant
    of the change (RFC 3339). ``is_snapshot``: the row existed before the capture began, and counts as entered when it
    happened. ``is_captured``: the changes of a row come in the order in which the database made them.
    """

    after: Row | None
    before: Row | None = None
    version: tuple[int, ...] | None = None
    at: str | None = None
    is_snapshot: bool = False
    is_captured: bool = False


def changes_of(
    rows: RowMapping, raw: bytes | None, headers: Headers | None, place: Place
) -> Iterator[MappedEvent | InputError | Skipped]:
    """The results of one record through a mapping; at least one, so that none is skipped silently."""
    try:
        found = rows_of(rows.mapping.format, raw, headers or (), rows.schemas)
    except InputError as error:
        yield error
        return
    if isinstance(found, Skipped):
        yield found
        return
    for change in found:
        yield from _events(rows, change, place)


def _events(rows: RowMapping, change: Change, place: Place) -> Iterator[MappedEvent]:
    if change.version is not None:
        place = place._replace(version=change.version)
    if change.at is not None:
        place = place._replace(at=change.at)
    place = place._replace(is_snapshot=change.is_snapshot, is_change=change.is_captured)
    given: set[tuple[str, ...]] = set()
    if change.after is not None:
        for made in rows.events(change.after, place):
            given.add(made.identity)
            yield made
        if change.before is not None and rows.is_versioned:
            # the row's previous subject or type
            yield from (made for made in rows.voids(change.before, place) if made.identity not in given)
    else:
        yield from rows.deleted(change.before, place)


def rows_of(
    form: str | None, raw: bytes | None, headers: Headers, schemas: Schemas | None = None
) -> list[Change] | Skipped:
    """The rows in one record; ``schemas`` are those of the registry that it is framed for.

    Raises:
        InputError: where it cannot be decoded; names its framing.
        RegistryAwayError: where its schema is not available now.
    """
    if not raw:
        attributes = {} if form == "debezium" else _cloud_event(headers)  # a CloudEvent need not have data
        return [Change(attributes)] if attributes else Skipped("tombstone")
    value, types = _value(form, raw, headers, schemas)
    if not isinstance(value, dict):
        raise InputError("not_an_object", None, f"is {'JSON' if schemas is None else 'decoded'}, but not an object")
    envelope = _debezium(value)
    if form == "debezium":
        if envelope is None:
            raise InputError(
                "bad_field",
                None,
                f"is {'JSON, but ' if schemas is None else ''}no Debezium envelope: it has no op with before or after",
            )
        payload, own_types = envelope
        return _debezium_changes(payload, own_types or types)
    if envelope is not None and form != "json":
        raise InputError("bad_field", None, "is a Debezium envelope (mapping key: format): set format: debezium")
    attributes = _cloud_event(headers)
    if "specversion" in value:  # a CloudEvent in structured mode
        attributes |= {f"ce_{name}": one for name, one in value.items() if name not in ("data", "data_base64")}
        value = _data_of(value)
    return [Change({**attributes, **flat(value)})]


def _data_of(event: dict[str, Any]) -> dict[str, Any]:
    """The data of a CloudEvent where that is an object; else the whole event, which may be about its attributes."""
    data = event.get("data")
    if isinstance(encoded := event.get("data_base64"), str) and data is None:
        try:
            data = decode_json(base64.b64decode(encoded, validate=True))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError, RecursionError) as error:
            raise InputError("not_json", None, f"is a CloudEvent whose data_base64 is not JSON: {error}") from None
    return data if isinstance(data, dict) else event


def _value(
    form: str | None, raw: bytes, headers: Headers, schemas: Schemas | None
) -> tuple[Any, dict[str, Any] | None]:
    """The value of a record, and Kafka Connect's names of its types if its schema has them."""
    if schemas is not None:
        frame = frame_of(raw, headers)
        if frame is None:
            raise InputError(
                "undecodable",
                None,
                f"{framing_of(raw)}; the mapping has a registry, whose records begin with a byte 0 and a schema id",
            )
        return value_of(form, frame, schemas)
    try:
        value = decode_json(raw)
        if raw.count(b'":') + raw.count(b'" :') > _members(value):
            value = _with_several(raw)
        return value, None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError, RecursionError) as error:
        raise InputError("not_json", None, f"{framing_of(raw)}: {error}") from None


def _members(value: Any) -> int:
    """The members of all objects in a value."""
    found, stack = 0, [value]
    while stack:
        match stack.pop():
            case dict() as members:
                found += len(members)
                stack += [one for one in members.values() if isinstance(one, dict | list)]
            case list() as items:
                stack += [one for one in items if isinstance(one, dict | list)]
    return found


def _with_several(raw: bytes) -> Any:
    """The value, with ``Several`` for a member that stands twice with different values: the parser takes the last."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, one in pairs:
            Several.put(found, name, one)
        return found

    return json.loads(raw, object_pairs_hook=members, parse_float=Decimal)


def framing_of(raw: bytes) -> str:
    """The apparent framing of a record that is not framed as its mapping requires."""
    if raw[:1] == b"\0" and len(raw) >= 5:
        return (
            f"begins as with a schema registry (magic byte 0, schema id {int.from_bytes(raw[1:5], 'big')}), not JSON; "
            "set format: avro, protobuf or json_schema and registry in the mapping"
        )
    if raw.lstrip()[:1] in (b"{", b"["):
        return "looks like JSON without a schema id"
    if raw.startswith(b"Obj\x01"):
        return "is an Avro container, not JSON"
    if raw.startswith(b"<"):
        return "is XML, not JSON"
    return f"is not JSON (it begins with {raw[:8]!r})"


def is_envelope(value: Any) -> bool:
    """Whether a value is a Debezium envelope."""
    return isinstance(value, dict) and _debezium(value) is not None


def _cloud_event(headers: Headers) -> dict[str, Any]:
    """The attributes of a CloudEvent in binary mode."""
    found: dict[str, Any] = {}
    for name, value in headers:
        if name.startswith("ce_") and value is not None:
            try:
                Several.put(found, name, value.decode())
            except UnicodeDecodeError:  # refused where it is used: replaced, two ids would be the same
                Several.put(found, name, value)
    return found if "ce_specversion" in found else {}


# --- Debezium -------------------------------------------------------------------------------------------


def _debezium(value: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """The envelope and its schema, if the object is one."""
    payload, schema = value, None
    if isinstance(value.get("payload"), dict) and "schema" in value:
        payload, schema = value["payload"], value["schema"]
    if payload.get("op") in _OPERATIONS and ("after" in payload or "before" in payload or payload["op"] in "tm"):
        return payload, schema if isinstance(schema, dict) else None
    return None


def _debezium_changes(payload: dict[str, Any], schema: dict[str, Any] | None) -> list[Change] | Skipped:
    operation = payload["op"]
    if operation == "t":
        return Skipped("truncated table")
    if operation == "m":
        return Skipped("message of the database")
    types = _field_types(schema)
    after, before = (
        None if payload.get(side) is None else _typed(payload[side], types.get(side, {}))
        for side in ("after", "before")
    )
    if operation != "d" and after is None:
        raise InputError("bad_field", None, f"is a Debezium envelope of op {operation} whose after is empty")
    source = payload.get("source")
    source = source if isinstance(source, dict) else {}
    made = source.get("ts_ms") or payload.get("ts_ms")
    lsn = source.get("lsn")
    is_snapshot = operation == "r" or source.get("snapshot") in ("true", "first", "last", "incremental", True)
    return [
        Change(
            after if operation != "d" else None,
            before,
            version=(int(lsn),) if isinstance(lsn, int) and not isinstance(lsn, Unset) else None,
            at=format_us(made * 1000) if isinstance(made, int) else None,
            is_snapshot=is_snapshot,
            is_captured=True,
        )
    ]


Types = Mapping[str, Mapping[str, Any]]


def _field_types(schema: dict[str, Any] | None) -> dict[str, Types]:
    """The schema of each column of ``before`` and ``after``."""
    found: dict[str, Types] = {}
    for side in (schema or {}).get("fields") or ():
        if isinstance(side, dict) and side.get("field") in ("before", "after"):
            found[side["field"]] = {one["field"]: one for one in side.get("fields") or () if isinstance(one, dict)}
    return found


def _typed(row: Any, types: Types) -> Row:
    if not isinstance(row, dict):
        raise InputError("bad_field", None, "a Debezium envelope whose row is not an object")
    return flat({name: _logical(value, types.get(name, {})) for name, value in row.items()})


def _logical(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value of one of Debezium's logical types, as a time without a zone, a date or a number."""
    name = schema.get("name")
    try:
        if name in _SCALES and isinstance(value, datetime):
            return value.replace(tzinfo=None)
        if name in _SCALES and isinstance(value, int):
            return (EPOCH + timedelta(microseconds=int(value * _SCALES[name]))).replace(tzinfo=None)
        if name == _ISO_TIMESTAMP and isinstance(value, str):
            return read_iso(value).replace(tzinfo=None)  # its Z is no zone: the column has none
        if name == _ISO_DATE and isinstance(value, str):
            return date.fromisoformat(value[:10])
        if name in _DATES and isinstance(value, int):
            return (EPOCH + timedelta(days=value)).date()
        if name == _DECIMAL and isinstance(value, str):
            return _decimal(value, int(schema.get("parameters", {}).get("scale", 0)))
        if name == _VARIABLE_DECIMAL and isinstance(value, dict):
            return _decimal(value["value"], value["scale"])
    except (ArithmeticError, ValueError, KeyError, TypeError, binascii.Error):
        pass  # unchanged: the mapping reports the error
    return value


def _decimal(value: str | bytes, scale: int) -> Decimal:
    raw = value if isinstance(value, bytes) else base64.b64decode(value)
    return Decimal(int.from_bytes(raw, "big", signed=True)).scaleb(-scale)
