"""A mapping applied to rows: nested or flat rows in, records of the wire format out; see ``schemas.mappings``.

The chain is the same for files and for topics: a row gives its events in order, each as the JSON of a sender, with a
note. Note ``None``: pass it to the decoder; if it refuses, ``MappedEvent.error_at`` gives the column, the value and the
key of the mapping. ``InputError``: the row cannot be that event. ``Skipped``: the row, or a part of it, gives no event,
and is counted under that name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import schemas.mappings as schema
from schemas.fields import parse_time
from streams.core.instants import format_us, instant_us
from streams.errors import InputError
from streams.wire.cells import Cells, ConversionError, Unset, condition, id_of, is_unicode, one_text_of, text_of
from streams.wire.decoder import Arrival, encode_json
from streams.wire.registered import Schemas
from streams.wire.values import IDS, Convert, field_converter, kind_of

Row = Mapping[str, Any]
_SUBJECTS: Final = frozenset({"order_id", "account_id", "meter_id", "batch_id"})
_LONGEST_ID: Final = 200
_SHOWN: Final = 80
_DELETED: Final = "__deleted"
"""The column of Debezium's unwrapped rows (ExtractNewRecordState) that says so; a mapping may have conditions on it."""


class Skipped(NamedTuple):
    """A part of the input that gives no event by the mapping; counted by reason and value."""

    reason: str
    value: str = ""


class Place(NamedTuple):
    """The place of a row: ``name`` is part of ids derived from content, ``version`` orders rows of one key.

    ``at`` (RFC 3339) is the time of a withdrawal. ``arrival`` is that of a topic's record. ``is_change``: the rows are
    a database's changes in their order, so that entry times do not order them.
    """

    name: str
    version: tuple[int, ...]
    at: str = "1970-01-01T00:00:00+00:00"
    arrival: Arrival | None = None
    is_snapshot: bool = False
    is_change: bool = False

    @classmethod
    def of_record(cls, partition: int, offset: int, arrival: Arrival) -> Place:
        """The place of a record of a topic: of two records of one row the later one counts."""
        return cls(f"{partition}.{offset}", (offset,), format_us(arrival.received), arrival)


@dataclass(frozen=True, slots=True)
class MappedEvent:
    """One event of a row, or the reason why there is none. ``raw`` is the JSON of the event as far as it could be made.

    ``identity`` is its id and its subjects; ``arrival`` is that of a topic's record.
    """

    raw: bytes
    note: InputError | Skipped | None
    entry: _Entry
    row: Row
    identity: tuple[str, ...] = ()
    arrival: Arrival | None = None

    def error_at(self, error: InputError) -> InputError:
        """The decoder's error, with the column, its value and the key of the mapping."""
        return self.entry.error_at(error, self.row)


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A nested row with its columns named by dots; a name that contains a dot has precedence."""
    found: dict[str, Any] = {}
    stack: list[tuple[str, Mapping[str, Any]]] = [("", row)]
    while stack:
        prefix, members = stack.pop()
        for name, value in members.items():
            if isinstance(value, Mapping):
                stack.append((f"{prefix}{name}.", value))
            else:
                found.setdefault(f"{prefix}{name}", value)
    return found


class RowMapping:
    """Converts rows to the wire format. ``kinds`` are the fields' kinds by the rulebook, for fields without ``as``."""

    def __init__(self, mapping: schema.Mapping, path: str, kinds: Mapping[str, schema.As] | None = None) -> None:
        self.mapping = mapping
        self.path = path
        self.schemas: Schemas | None = None
        """The mapping's schema registry."""
        entries = mapping.events or (None,)
        self._entries = [_Entry(mapping, entry, place, kinds or {}) for place, entry in enumerate(entries)]
        self._asks_if_deleted = any(column == _DELETED for _, column in self.columns())

    @property
    def is_versioned(self) -> bool:
        """Whether rows have a key, so that a later row replaces an earlier one."""
        return any(entry.key for entry in self._entries)

    def columns(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Every named column, with its keys in the file."""
        for entry in self._entries:
            yield from entry.columns()

    def entry_times_of_events(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """The columns of entry times that a row may lose together with its event, with their keys in the file.

        Such a row has nothing that would make it later than the row that gave the event, which then stays.
        """
        if self.mapping.format != "debezium":
            for entry in self._entries:
                yield from entry.own_entry_time()

    def events(self, row: Row, place: Place) -> Iterator[MappedEvent]:
        """The results of one flat row; at least one ``MappedEvent``, so that none is skipped silently."""
        if not self._asks_if_deleted and str(row.get(_DELETED)).strip().lower() == "true":
            yield from self.deleted(row, place)
            return
        gives = False
        for entry in self._entries:
            try:
                applies = entry.applies(row)
            except ConversionError as error:
                gives = True
                yield self.refused(row, error.reason, error.detail)
                continue
            gives = gives or applies
            yield from entry.events(row, place) if applies else entry.voids(row, place)
        if not gives and self.mapping.events:
            yield self.skipped(row, Skipped("row gives no event"))

    def deleted(self, row: Row | None, place: Place) -> Iterator[MappedEvent]:
        """The withdrawals of every event of a deleted row, or why there are none. ``None``: nothing of it is known.

        Conditions do not count: of a deleted row often only the key is known.
        """
        if not self.is_versioned:
            yield self.skipped(row or {}, Skipped("deleted row without a key in the mapping"))
            return
        found = [made for entry in self._entries for made in entry.voids(row, place)] if row else []
        yield from found
        if not found:
            detail = "does not name its order, account, meter or batch: set REPLICA IDENTITY FULL on the table"
            yield self.refused(row or {}, "bad_field", f"a deleted row {detail}")

    def voids(self, row: Row, place: Place) -> Iterator[MappedEvent]:
        """The withdrawals of the events that the row gave before it changed."""
        for entry in self._entries:
            try:
                if entry.key and entry.applies(row):
                    yield from entry.voids(row, place)
            except ConversionError as error:
                yield self.refused(row, error.reason, error.detail)

    def skipped(self, row: Row, note: Skipped) -> MappedEvent:
        """A row without an event."""
        return MappedEvent(b"", note, self._entries[0], row)

    def refused(self, row: Row, reason: str, detail: str) -> MappedEvent:
        """A row that is refused."""
        return self._entries[0].refused(row, InputError(reason, None, detail))


class _Step(NamedTuple):
    field: str
    outer: str
    inner: str | None
    columns: tuple[str, ...]
    convert: Convert
    keys: tuple[str | int, ...]
    takes_unset: bool
    """Whether ``Unset`` is a value of it."""


class _Entry:
    """One event of a row."""

    def __init__(
        self, mapping: schema.Mapping, entry: schema.EventFrom | None, place: int, kinds: Mapping[str, schema.As]
    ) -> None:
        own = {} if entry is None else entry.own_fields
        constants = dict(mapping.constants)
        fields: dict[str, tuple[schema.FieldFrom, tuple[str | int, ...]]] = {
            name: (spec, ("fields", name)) for name, spec in mapping.fields.items()
        }
        if entry is not None:
            constants = {name: value for name, value in constants.items() if name not in own} | entry.constants
            for name, spec in own.items():
                where = ("events", place) if name in ("occurred_at", "recorded_at") else ("events", place, "fields")
                fields[name] = (spec, (*where, name))
            fields = {name: found for name, found in fields.items() if name not in entry.constants}
            constants["event_type"] = entry.event_type
        self._kind_of = mapping.event_type
        self._place = place if entry is not None else None
        self._cells = Cells(mapping.null_values, strip=mapping.strip)
        self._steps = [
            _Step(
                name,
                *_split(name),
                spec.column,
                field_converter(name, spec, mapping, kinds),
                keys,
                name not in IDS and kind_of(name, spec, kinds) not in ("time", "date"),
            )
            for name, (spec, keys) in fields.items()
        ]
        self._constants = [(*_split(name), value) for name, value in constants.items()]
        self._constant_names = frozenset(constants)
        self._named = "event_id" in fields or "event_id" in constants
        self._is_recorded = "recorded_at" in fields
        self._when = [] if entry is None else [(when, condition(when)) for when in entry.when]
        self.key = (entry.key if entry is not None and entry.key else mapping.key) or ()
        self._type = constants.get("event_type")

    def columns(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """See ``RowMapping.columns``."""
        if self._kind_of is not None:
            yield from ((("event_type",), column) for column in self._kind_of.column)
        where: tuple[str | int, ...] = () if self._place is None else ("events", self._place)
        for when, _ in self._when:
            yield (*where, "when"), when.column
        for step in self._steps:
            yield from ((step.keys, column) for column in step.columns)
        for column in self.key:
            yield ("key",), column

    def own_entry_time(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """See ``RowMapping.entry_times_of_events``."""
        if self.key and self._when:
            for step in self._steps:
                if step.field == "recorded_at" and step.keys[0] == "events":
                    yield from ((step.keys, column) for column in step.columns)

    def applies(self, row: Row) -> bool:
        """Whether all conditions hold.

        Raises:
            ConversionError: for a cell that is no text.
        """
        for when, test in self._when:
            try:
                if not test(self._cells.clean(row.get(when.column))):
                    return False
            except ConversionError as error:
                key = "when" if self._place is None else f"events.{self._place}.when"
                detail = f"{_columns((when.column,))}: {error.detail} (mapping key: {key})"
                raise ConversionError(error.reason, detail) from None
        return True

    def events(self, row: Row, place: Place) -> Iterator[MappedEvent]:
        """The events of a row that meets the conditions: one, or one per subject."""
        wire: dict[str, Any] = {}
        problem: InputError | None = None
        if self._kind_of is not None:
            try:
                found = self._type_of(row)
            except ConversionError as error:
                yield self.refused(row, InputError(error.reason, "event_type", error.detail))
                return
            if isinstance(found, Skipped):
                yield MappedEvent(b"", found, self, row)
                return
            wire["event_type"] = found
        several: list[tuple[str, Any]] = []
        for step in self._steps:
            try:
                given = self._value(row, step)
                if step.field in _SUBJECTS and isinstance(given, list):
                    given, *more = given
                    several += [(step.field, step.convert(one)) for one in more]
                value = None if given is None else step.convert(given)
                if isinstance(value, list):  # made of a text, whose parts may be null words
                    value = self._cells.clean(value)
                if value is not None:
                    _put(wire, step.outer, step.inner, value)
            except ConversionError as error:
                problem = problem or self._refusal(step, error, row)
                _put(wire, step.outer, step.inner, self._shown(row, step.columns))
        for outer, inner, value in self._constants:
            _put(wire, outer, inner, value)
        if place.is_snapshot:
            wire.pop("recorded_at", None)  # entered before the capture began: as it happened
            wire["snapshot"] = True
        try:
            if not self._named:
                self._name(wire, row, place)
        except ConversionError as error:
            problem = problem or InputError(error.reason, "event_id", error.detail)
        except (TypeError, ValueError, OverflowError):
            pass  # reported below
        yield self._made(wire, problem, row, place)
        for field, value in several:
            yield self._made(_for_one(wire, field, value), problem, row, place)

    def voids(self, row: Row, place: Place) -> Iterator[MappedEvent]:
        """The withdrawal of a row's event; none where the row has no key or names no subject."""
        try:
            kind = self._type if self._kind_of is None else self._type_of(row)
        except ConversionError as error:
            yield self.refused(row, InputError(error.reason, "event_type", error.detail))
            return
        if not self.key or isinstance(kind, Skipped):
            return
        wire: dict[str, Any] = {"event_type": kind}
        several: list[tuple[str, Any]] = []
        try:
            for step in self._steps:
                if step.field in _SUBJECTS and (given := self._value(row, step)) is not None:
                    given, *more = given if isinstance(given, list) else [given]
                    wire[step.field] = step.convert(given)
                    several += [(step.field, step.convert(one)) for one in more]
                elif step.field == "recorded_at" and (given := self._value(row, step)) is not None:
                    wire["recorded_at"] = step.convert(given)
            if not wire.keys() & _SUBJECTS:
                return
            self._name(wire, row, place)
        except ConversionError:
            return  # the row's other events report the error
        wire |= {"occurred_at": place.at, "void": True}
        yield self._made(wire, None, row, place)
        for field, value in several:
            yield self._made(_for_one(wire, field, value), None, row, place)

    def refused(self, row: Row, problem: InputError) -> MappedEvent:
        """See ``RowMapping.refused``."""
        raw, _ = _written({name: self._shown(row, (name,)) for name in row})
        return MappedEvent(raw, problem, self, row)

    def _made(self, wire: dict[str, Any], problem: InputError | None, row: Row, place: Place) -> MappedEvent:
        raw, unwritable = _written(wire)
        problem = problem or unwritable
        identity = tuple(str(wire.get(name)) for name in ("event_id", *sorted(_SUBJECTS)))
        return MappedEvent(raw, problem, self, row, identity, place.arrival)

    # -- parts -------------------------------------------------------------------------------------------

    def _type_of(self, row: Row) -> str | Skipped:
        kinds = self._kind_of
        assert kinds is not None
        try:
            found = "/".join(self._cells.deciding_text(row.get(column)) for column in kinds.column)
        except ConversionError as error:
            shown = _cut(self._shown(row, kinds.column))
            detail = f"{_columns(kinds.column)} has {shown}: {error.detail} (mapping key: event_type)"
            raise ConversionError(error.reason, detail) from None
        value = kinds.values.get(found, None if kinds.values else found)
        if value is None and is_unicode(found):
            return Skipped(f"{'/'.join(kinds.column)} is not mapped", found) if kinds.other == "skip" else found
        return found if value is None else value

    def _value(self, row: Row, step: _Step) -> Any:
        cells = [self._cells.clean(row.get(column)) for column in step.columns]
        if not step.takes_unset:
            cells = [None if isinstance(cell, Unset) else cell for cell in cells]
        if len(cells) == 1:
            return cells[0]
        empty = [column for column, cell in zip(step.columns, cells, strict=True) if cell is None]
        if len(empty) == len(cells):
            return None
        if step.field not in IDS:
            return "/".join(map(one_text_of, cells))
        if empty:
            raise ConversionError("bad_field", f"{_columns(empty)} is empty, and the rest is the id of another thing")
        return "/".join(map(id_of, cells))

    def _shown(self, row: Row, columns: Sequence[str]) -> str:
        clean = self._cells.clean
        parts = []
        for column in columns:
            try:
                parts.append(text_of(clean(row.get(column))))
            except ConversionError:
                parts.append(repr(row.get(column)))
        return "/".join(parts)

    def _name(self, wire: dict[str, Any], row: Row, place: Place) -> None:
        """Give the event its id; and its version, where rows have a key."""
        if not self.key:
            digest = hashlib.sha256(encode_json(wire)).hexdigest()[:16]
            wire["event_id"] = f"{place.name}-{digest}"
            return
        parts = []
        for column in self.key:
            try:
                value = self._cells.clean(row.get(column))
                part = None if value is None or isinstance(value, Unset) else id_of(value)
            except ConversionError as error:
                shown = _cut(self._shown(row, (column,)))
                detail = f"column {column!r} has {shown}: {error.detail} (mapping key: key)"
                raise ConversionError(error.reason, detail) from None
            if part is None:
                raise ConversionError(
                    "missing_field", f"column {column!r} is empty, and names the row (mapping key: key)"
                )
            parts.append(part.replace("%", "%25").replace("/", "%2F"))
        name = "/".join((*parts, str(wire.get("event_type"))))
        wire["event_id"] = name if len(name) <= _LONGEST_ID else hashlib.sha256(name.encode()).hexdigest()
        version = place.version
        if self._is_recorded and not place.is_change:
            version = (_instant(wire.get("recorded_at")) or _instant(wire.get("occurred_at")) or 0, *version)
        wire["version"] = list(version)

    # -- what is wrong -----------------------------------------------------------------------------------

    def _refusal(self, step: _Step, error: ConversionError, row: Row) -> InputError:
        value = self._shown(row, step.columns)
        key = error.key.removeprefix("/") if error.key.startswith("/") else _dotted((*step.keys, error.key))
        detail = f"{_columns(step.columns)} has {_cut(value)}: {error.detail} (mapping key: {key})"
        return InputError(error.reason, step.field, detail, value=value)

    def error_at(self, error: InputError, row: Row) -> InputError:
        """See ``MappedEvent.error_at``."""
        field = error.field
        if field == "event_type" and self._kind_of is not None:
            value, where = self._shown(row, self._kind_of.column), _columns(self._kind_of.column)
            said = f"{where} has {_cut(value)}: {error.detail}" if value else f"{where} is empty"
            detail = f"{said}; other: skip passes such rows over, and counts them (mapping key: event_type.values)"
            return InputError(error.reason, field, detail, value=value)
        if error.reason == "no_subject":
            steps = [step for step in self._steps if step.field in _SUBJECTS]
            named = ", ".join(f"{_columns(step.columns)} for {_dotted(step.keys)}" for step in steps)
            return InputError(error.reason, field, f"{error.detail}: empty are {named}", value="")
        for step in self._steps:
            if field is not None and (step.field == field or step.field.startswith(f"{field}.")):
                value = self._shown(row, step.columns)
                if value == "":
                    hint = (
                        "; where a row need not have it: when: {column: …, present: true}"
                        if field == "occurred_at"
                        else ""
                    )
                    said = f"{_columns(step.columns)} is empty{hint}"
                else:
                    said = f"{_columns(step.columns)} has {_cut(value)}: {error.detail}"
                detail = f"{said} (mapping key: {_dotted(step.keys)})"
                return InputError(error.reason, field, detail, value=value)
        if field in self._constant_names:
            return InputError(error.reason, field, f"{error.detail} (mapping key: constants.{field})")
        return error


def _split(name: str) -> tuple[str, str | None]:
    outer, dot, inner = name.partition(".")
    return outer, inner if dot else None


def _put(wire: dict[str, Any], outer: str, inner: str | None, value: Any) -> None:
    if inner is None:
        wire[outer] = value
    else:
        wire.setdefault(outer, {})[inner] = value


def _for_one(wire: Mapping[str, Any], field: str, value: Any) -> dict[str, Any]:
    """The same event for one more subject only, so that a shared subject is not counted twice."""
    own = {name: one for name, one in wire.items() if name not in _SUBJECTS}
    return {**own, "event_id": f"{own['event_id']}#{value}", field: value}


def _columns(columns: Sequence[str]) -> str:
    return f"column {columns[0]!r}" if len(columns) == 1 else "columns " + ", ".join(map(repr, columns))


def _cut(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")


def _dotted(keys: Sequence[str | int]) -> str:
    return ".".join(str(key) for key in keys if key != "")


def _instant(value: object) -> int | None:
    try:
        return instant_us(parse_time(value))
    except ValueError:
        return None


def _written(wire: dict[str, Any]) -> tuple[bytes, InputError | None]:
    try:
        return encode_json(wire), None
    except (TypeError, ValueError, OverflowError) as error:  # half a surrogate pair, or a type unknown to JSON
        return repr(wire).encode(errors="backslashreplace"), _unwritable(wire, error)


def _unwritable(wire: Mapping[str, Any], error: Exception) -> InputError:
    if any(isinstance(value, str) and not is_unicode(value) for value in wire.values()):
        return InputError("not_utf8", None, "is not valid text")
    return InputError("bad_field", None, f"cannot be written as JSON: {error}")
