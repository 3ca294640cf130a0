"""Bytes to events: all input is decoded here, whatever its source.

A record is one flat JSON object, or a CloudEvent 1.0 in structured JSON whose ``data`` is that object. It is
parsed by msgspec, because that is several times faster, and checked by the pydantic model of its type, because
that is the contract; events that pass a fast check (``plain_events``) skip the model. Every error is an
``InputError``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Container, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast

import msgspec
from pydantic import ValidationError

from schemas.dead_letters import DeadLetter, Reason
from schemas.events import EventCatalogue
from schemas.fields import ID_PATTERN, parse_time, time_in
from schemas.limits import DAY, HOUR
from streams.core.event import SUBJECT_TYPES, Event
from streams.core.instants import format_us, instant_us
from streams.core.pruning import MOST_EVENTS
from streams.errors import InputError
from streams.wire.personal import without_personal
from streams.wire.plain_events import NOT_DATA, PlainEvents, known_org

MAX_BYTES: Final = 262_144
"""The largest record accepted (a notice that lists 5,000 meters has 100,000 bytes)."""

DEFAULT_MAX_AHEAD: Final = HOUR
"""How far an event may be after its record came in; a later event counts as stamped by a wrong clock."""

_CODES: Final = frozenset({"naive_time", "impossible_time", "no_subject", "bad_field"})
_BIGGEST: Final = 2**63
_is_id: Final = re.compile(ID_PATTERN).search

_parse: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def encode_json(value: Any) -> bytes:
    """JSON bytes of ``Decoder``'s values or of plain JSON values; decimals as the original numbers."""
    return _encode(value)


def decode_json(raw: bytes) -> Any:
    """JSON values with exact decimals; for JSON written by this program, and for a look at what may be none.

    Raises:
        ValueError: where it is no JSON, or has a number of an exponent beyond a decimal's.
        RecursionError: where it is nested too deeply.
    """
    try:
        return _parse(raw)
    except ArithmeticError as error:
        raise ValueError("has a number that no decimal holds") from error


class Arrival(NamedTuple):
    """When a record came in, and how far its events may be after that; microseconds."""

    received: int
    max_ahead: int


class Decoder:
    """Decodes by one catalogue; ``max_bytes`` is the largest record accepted.

    ``hide_staff``, if given, replaces staff numbers; ``hide_number`` account and meter numbers, by their type.
    """

    def __init__(
        self,
        catalogue: EventCatalogue,
        *,
        max_bytes: int = MAX_BYTES,
        hide_staff: Callable[[str], str] | None = None,
        hide_number: Callable[[str, str], str] | None = None,
    ) -> None:
        self.catalogue = catalogue
        self._data = {name: frozenset(model.model_fields) - NOT_DATA for name, model in catalogue.models.items()}
        """The fields of each type that an event keeps; undeclared fields are dropped."""
        self._max_bytes = max_bytes
        self._hide_staff = hide_staff
        self._hide_number = hide_number
        self._hides = hide_staff is not None or hide_number is not None
        self._plain = PlainEvents(catalogue).read

    @property
    def identity(self) -> dict[str, Any]:
        """Identifies how events are read, for checkpoints."""
        return {"events": self.catalogue.fingerprint, "pseudonyms_inside": self._hide_number is not None}

    def keeps(self, fields: Container[str]) -> bool:
        """Whether the ids and these fields of events are kept unchanged, up to the usual size."""
        is_kept = self._hide_number is None and (self._hide_staff is None or "staff_id" not in fields)
        return is_kept and self._max_bytes == MAX_BYTES

    def decode(self, raw: bytes, *, received: int, max_ahead: int = DEFAULT_MAX_AHEAD) -> Event:
        """The event in one record; ``received`` (microseconds) is when it came in.

        Raises:
            InputError: with a reason code of ``schemas.dead_letters``.
        """
        if len(raw) <= self._max_bytes:
            try:
                parsed = _parse(raw)
                if type(parsed) is dict:
                    if "specversion" in parsed and isinstance(parsed.get("data"), dict):
                        parsed = _from_cloud_event(parsed)
                    event = self._plain(parsed, received + max_ahead)
                    if event is not None:
                        return self._hidden(event) if self._hides else event
            except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError, RecursionError):
                pass  # the model reports the error below
        return self.decode_by_model(raw, received=received, max_ahead=max_ahead)

    def decode_by_model(self, raw: bytes, *, received: int, max_ahead: int = DEFAULT_MAX_AHEAD) -> Event:
        """``decode`` without the fast check: the same event or error, by the model alone.

        Raises:
            InputError: with a reason code of ``schemas.dead_letters``.
        """
        fields = self._fields(raw)
        try:
            return self._by_model(fields, received, max_ahead)
        except InputError as error:
            error.subjects = self._subjects_in(fields)
            at = time_in(fields.get("occurred_at"))
            error.at = None if at is None else instant_us(at)
            raise

    def _subjects_in(self, fields: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The subjects that a record names which is no event."""
        found = [(kind, fields.get(f"{kind}_id")) for kind in SUBJECT_TYPES]
        named = [(kind, number) for kind, number in found if isinstance(number, str) and _is_id(number)]
        if self._hide_number is None:
            return named
        hidden = ("account", "meter")
        return [(kind, self._hide_number(kind, one) if kind in hidden else one) for kind, one in named]

    def _by_model(self, fields: dict[str, Any], received: int, max_ahead: int) -> Event:
        event_type = fields.get("event_type")
        if event_type is None:
            raise InputError("missing_field", "event_type", "is missing")
        checked_by = self.catalogue.models.get(event_type) if isinstance(event_type, str) else None
        if checked_by is None:
            near = self.catalogue.suggest(event_type) if isinstance(event_type, str) else None
            hint = f"; did you mean {near!r}?" if near else ""
            raise InputError("unknown_type", "event_type", f"{_short(event_type)} is not known{hint}")
        try:
            model = checked_by.model_validate(fields)
        except ValidationError as error:
            raise _input_error(error) from None
        at = instant_us(model.occurred_at)
        recorded = at if model.recorded_at is None else instant_us(model.recorded_at)
        if isinstance(org := fields.get("org"), dict):
            fields["org"] = known_org(org)
        latest = received + max_ahead
        if at > latest or recorded > latest:
            field = "occurred_at" if at > latest else "recorded_at"
            came_in = f"{format_us(latest)}, for a record that came in at {format_us(received)},"
            raise InputError("future_time", field, f"{fields[field]} is later than {came_in} allows")
        found = Event(
            model.event_id,
            event_type,
            at,
            recorded,
            {key: value for key, value in fields.items() if key in self._data[event_type]},
            order_id=model.order_id,
            account_id=model.account_id,
            meter_id=model.meter_id,
            batch_id=model.batch_id,
            corrects=model.corrects,
            void=model.void,
            version=model.version,
            snapshot=model.snapshot,
        )
        return self._hidden(found)

    def _hidden(self, event: Event) -> Event:
        if self._hide_staff is not None and isinstance(number := event.data.get("staff_id"), str):
            event.data["staff_id"] = self._hide_staff(number)
        if self._hide_number is not None:
            if event.account_id is not None:
                event.account_id = self._hide_number("account", event.account_id)
            if event.meter_id is not None:
                event.meter_id = self._hide_number("meter", event.meter_id)
            if isinstance(listed := event.data.get("meters"), list):
                event.data["meters"] = [self._hide_number("meter", str(meter)) for meter in listed]
        return event

    def _fields(self, raw: bytes) -> dict[str, Any]:
        if len(raw) > self._max_bytes:
            raise InputError("too_large", None, f"{len(raw)} bytes; at most {self._max_bytes} are taken")
        try:
            # msgspec checks UTF-8 in strings only; everything between them is ASCII anyway.
            parsed = _parse(raw)
        except RecursionError:
            raise InputError("too_deep", None, "nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError) as error:
            if not _is_utf8(raw):
                raise InputError("not_utf8", None, "is not valid UTF-8") from None
            raise InputError("not_json", None, str(error)) from None
        if not isinstance(parsed, dict):
            raise InputError("not_an_object", None, f"is JSON, but {_kind(parsed)}, not an object")
        if "specversion" in parsed and isinstance(parsed.get("data"), dict):
            parsed = _from_cloud_event(parsed)
        _check_values(parsed)
        return cast(dict[str, Any], parsed)


def _from_cloud_event(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The event in a CloudEvent: ``data``, with missing fields from the envelope."""
    named = {"event_id": "id", "event_type": "type", "occurred_at": "time", "source": "source"}
    given = {field: envelope[name] for field, name in named.items() if envelope.get(name) is not None}
    return {**given, **envelope["data"]}


def _check_values(parsed: dict[str, Any]) -> None:
    """Refuse values that can be read but not written: huge integers, and too deep nesting."""
    stack: list[tuple[Any, int, str]] = [(value, 1, key) for key, value in parsed.items()]
    while stack:
        value, depth, key = stack.pop()
        if isinstance(value, dict | list):
            if depth > 50:
                raise InputError("too_deep", key[:100], "nested more than 50 deep")
            members = value.values() if isinstance(value, dict) else value
            stack.extend((member, depth + 1, key) for member in members)
        elif isinstance(value, int) and not -_BIGGEST <= value < _BIGGEST:
            raise InputError("bad_field", key[:100], "an integer of more than 64 bits")
        elif isinstance(value, Decimal) and not value.is_finite():
            raise InputError("bad_field", key[:100], "a number that is none")


def _input_error(error: ValidationError) -> InputError:
    first = error.errors(include_url=False, include_input=False)[0]
    location = [str(part) for part in first["loc"]]
    kind = first["type"]
    reason = "missing_field" if kind == "missing" else kind if kind in _CODES else "bad_field"
    message = "is missing" if kind == "missing" else str(first["msg"])
    return InputError(reason, ".".join(location)[:100] or None, message[:300])


def _kind(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def wire_fields(event: Event) -> dict[str, Any]:
    """The flat JSON object of an event, as a sender would write it (without ``personal``)."""
    fields: dict[str, Any] = {
        "event_id": event.event_id,
        "event_type": event.type,
        "occurred_at": format_us(event.at),
        "recorded_at": format_us(event.recorded),
    }
    fields.update({f"{kind}_id": number for kind, number in event.subjects()})
    if event.corrects is not None:
        fields["corrects"] = event.corrects
    if event.void:
        fields["void"] = True
    if event.version is not None:
        fields["version"] = list(event.version)
    if event.snapshot:
        fields["snapshot"] = True
    return {**fields, **event.data}


def event_of(fields: Any) -> Event:
    """The event of these ``wire_fields``, unchanged, also where it is the copy for one subject of many.

    Raises:
        InputError: where a common field is missing or of the wrong kind.
    """
    try:
        rest = dict(fields)
        at, recorded = (instant_us(parse_time(rest.pop(name))) for name in ("occurred_at", "recorded_at"))
        event_id, event_type = rest.pop("event_id"), rest.pop("event_type")
        numbers = {f"{kind}_id": rest.pop(f"{kind}_id", None) for kind in SUBJECT_TYPES}
        corrects, void = rest.pop("corrects", None), rest.pop("void", False)
        version, snapshot = rest.pop("version", None), rest.pop("snapshot", False)
        event = Event(
            event_id, event_type, at, recorded, rest,
            **numbers, corrects=corrects, void=void, version=version, snapshot=snapshot,
        )  # fmt: skip
        return _as_event(encode_json(event))
    except (KeyError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as error:
        raise InputError("bad_field", None, f"is no event as the log has it: {error}") from None


_as_event: Final = msgspec.json.Decoder(Event, float_hook=Decimal).decode


def dead_letter_of(
    raw: bytes, error: InputError, *, source: str, position: int, max_payload: int | None = None
) -> DeadLetter:
    """The dead letter of a record; at most ``max_payload`` bytes of it are kept, without ``personal`` members."""
    whole = without_personal(raw)
    kept = whole if max_payload is None else whole[:max_payload]
    text: str | None = None
    if error.reason != "not_utf8":
        try:
            text = kept.decode("utf-8")
        except UnicodeDecodeError:  # cut inside a character, or not checked because of its size
            text = None
    return DeadLetter(
        reason=cast(Reason, error.reason),
        field=error.field,
        detail=error.detail,
        source=source,
        position=position,
        encoding="base64" if text is None else "utf-8",
        payload=base64.b64encode(kept).decode("ascii") if text is None else text,
        size=len(raw) if error.size is None else error.size,
        truncated=error.size is not None or len(kept) < len(whole),
        personal_removed=whole is not raw,
    )


def too_old(at: int, keep_for: int) -> InputError:
    """The error of an event older than its subject's kept history; ``keep_for`` is the retention in microseconds."""
    kept = f"{keep_for / DAY:g} days"
    return InputError(
        "too_old",
        "occurred_at",
        f"{format_us(at)} is too long ago: of what is older than {kept} only open cases are kept, and of a subject "
        f"with more than {MOST_EVENTS:,} events the newest half",
    )


def conflict_of(event_id: str) -> InputError:
    """The error of an event whose id was seen before with other content."""
    return InputError("conflicting_duplicate", "event_id", f"{event_id!r} was seen before with other content")
