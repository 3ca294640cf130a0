"""Events that pass a fast check compiled from the models skip pydantic; the model validates all others.

The pydantic models are the contract of the wire format, and only they refuse an event. But nearly every valid event is
simple: ids of printable characters, times in the usual form, words of a closed list. The check of each field is derived
once from its model; where a field or value is not certain to be valid ``read`` returns ``None``, and the model decides.
A property test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, get_args, get_origin

from schemas.events import Envelope, EventCatalogue, Org
from schemas.fields import Amount, Code, Codes, Count, Day, Flag, Id, Instant, Number, ReadingDay, parse_time
from streams.core.event import Event
from streams.core.instants import instant_us

NOT_DATA: Final = frozenset(
    {
        "event_id",
        "event_type",
        "occurred_at",
        "recorded_at",
        "order_id",
        "account_id",
        "meter_id",
        "batch_id",
        "corrects",
        "void",
        "version",
        "snapshot",
        "personal",
    }
)
"""Fields that the core's event has as attributes, or drops."""

_RARE: Final = frozenset({"corrects", "void", "version", "snapshot", "personal"})
"""Those that few events have."""

Check = Callable[[Any], Any]
"""Gives a value that is certain to be valid, else ``None``; of equal texts that are frequent always the same one."""

_BIGGEST: Final = 2**63
_MANY: Final = 4096  # entries of a cache before it is cleared: a hostile sender must not fill memory

_HOURS: Final = frozenset(f"{n:02d}" for n in range(24))
_SECONDS: Final = {f":{n // 60:02d}:{n % 60:02d}.": n * 1_000_000 for n in range(3600)}
_MILLISECONDS: Final = {f"{n:03d}": n * 1000 for n in range(1000)}


def known_org(org: Mapping[str, Any]) -> dict[str, Any]:
    """The ``org`` block without unknown members."""
    return {name: value for name, value in org.items() if name in Org.model_fields}


class Times:
    """Parses instants by looking up their parts: most events of an hour share date, hour and offset."""

    __slots__ = ("_hours",)

    def __init__(self) -> None:
        self._hours: dict[str, int] = {}  # date, hour and offset ("2026-03-02T09+08:00") -> microseconds

    def instant(self, text: str) -> int:
        """Microseconds since the epoch.

        Raises:
            ValueError: where ``parse_time`` refuses the text.
            TypeError: where it is not a text.
        """
        try:
            return self._hours[text[:13] + text[23:]] + _SECONDS[text[13:20]] + _MILLISECONDS[text[20:23]]
        except KeyError:
            return self._learn(text)

    def _learn(self, text: str) -> int:
        moment = parse_time(text)
        instant = instant_us(moment)
        second, millisecond = _SECONDS.get(text[13:20]), _MILLISECONDS.get(text[20:23])
        # In these years every time of an hour is valid where this one is; and offsets are not longer.
        is_usual = 1971 <= moment.year <= 2998 and len(text) <= 29 and text[11:13] in _HOURS
        if is_usual and second is not None and millisecond is not None:
            if len(self._hours) >= _MANY:
                self._hours.clear()
            self._hours[text[:13] + text[23:]] = instant - second - millisecond
        return instant


def _is_id(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= 200 and value.isprintable()


def _is_code(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= 100 and value.isprintable()


def _is_flag(value: Any) -> bool:
    return value is True or value is False


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _BIGGEST


def _is_day_of_month(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 31


def _is_number(value: Any) -> bool:
    return (type(value) is int and -_BIGGEST <= value < _BIGGEST) or (type(value) is Decimal and value.is_finite())


def _is_amount(value: Any) -> bool:
    return _is_number(value) or (type(value) is str and value.isascii() and value.replace(".", "", 1).isdigit())


def _is_date(value: Any) -> bool:
    # fromisoformat raises ValueError; the model then decides
    if type(value) is not str or len(value) != 10 or not value[4] == value[7] == "-" or not value.isascii():
        return False
    date.fromisoformat(value)
    return True


def _are_codes(value: Any) -> bool:
    return type(value) is list and len(value) <= 20_000 and all(map(_is_code, value))


def _is_scalar(value: Any) -> bool:
    """A value of an undeclared field that cannot be too deep or too large."""
    kind = type(value)
    return kind is str or kind is bool or _is_number(value)


def _where(holds: Callable[[Any], bool]) -> Check:
    return lambda value: value if holds(value) else None


class _Shared(dict[Any, Any]):
    """The texts of one kind seen, so that most are checked and held once; what is no text is never one of them."""

    __slots__ = ("_holds",)

    def __init__(self, holds: Callable[[Any], bool]) -> None:
        self._holds = holds

    def __missing__(self, value: Any) -> Any:
        if not self._holds(value):
            return None
        if len(self) >= _MANY:
            self.clear()
        self[value] = value
        return value


class _Orgs:
    """Shares the ``org`` blocks: few different ones occur, in every event.

    A block has four codes of at most 100 characters, so that all that is kept here is at most 7 MB.
    """

    __slots__ = ("_fields", "_known")

    def __init__(self) -> None:
        self._fields = frozenset(Org.model_fields)
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}

    def shared(self, org: Any) -> dict[str, Any] | None:
        """The shared block equal to this one; ``None`` where it fails the fast check."""
        if type(org) is not dict:
            return None
        if len(org) > len(self._fields):
            org = known_org(org)
        key = (*org, *org.values())
        found = self._known.get(key)
        if found is None and self._is_plain(org):
            if len(self._known) >= _MANY:
                self._known.clear()
            found = self._known[key] = org
        return found

    def _is_plain(self, org: dict[str, Any]) -> bool:
        # Texts only: 1 and True are equal as keys.
        return all(name in self._fields and _is_code(value) for name, value in org.items())


def _checks_of(model: type[Envelope], kinds: list[tuple[Any, Check]]) -> Mapping[str, Check] | None:
    """The fast checks of a model's own fields; ``None`` for a model that this module does not support."""
    decorators = model.__pydantic_decorators__
    if set(decorators.model_validators) != {"_about_something"} or decorators.field_validators:
        return None
    checks: dict[str, Check] = {}
    for name, field in model.model_fields.items():
        if name in NOT_DATA:
            continue
        options = get_args(field.annotation)
        if len(options) != 2 or options[1] is not type(None) or field.is_required() or field.metadata:
            return None
        if get_origin(options[0]) is Literal:
            words = get_args(options[0])
            if not all(type(word) is str for word in words):
                return None
            checks[name] = {word: word for word in words}.get
        else:
            found = next((check for kind, check in kinds if kind == options[0]), None)
            if found is None:
                return None
            checks[name] = found
    return checks


class PlainEvents:
    """Reads events by one catalogue."""

    def __init__(self, catalogue: EventCatalogue) -> None:
        self._times = Times()
        self._orgs = _Orgs()
        kinds: list[tuple[Any, Check]] = [
            (Code, _Shared(_is_code).__getitem__),
            (Id, _Shared(_is_id).__getitem__),
            (Flag, _where(_is_flag)),
            (Count, _where(_is_count)),
            (ReadingDay, _where(_is_day_of_month)),
            (Number, _where(_is_number)),
            (Amount, _where(_is_amount)),
            (Day, _where(_is_date)),
            (Instant, _where(self._is_instant)),
            (Codes, _where(_are_codes)),
            (Org, self._orgs.shared),
        ]
        self._types: dict[str, tuple[str, Mapping[str, Check]]] = {}
        for name, model in catalogue.models.items():
            checks = _checks_of(model, kinds)
            if checks is not None:
                self._types[name] = (name, checks)

    @property
    def types(self) -> frozenset[str]:
        """The event types whose models are supported."""
        return frozenset(self._types)

    def _is_instant(self, value: Any) -> bool:
        self._times.instant(value)
        return type(value) is str

    def read(self, fields: dict[str, Any], latest: int) -> Event | None:
        """The event in a JSON object, which is modified; ``None`` where the model must decide.

        ``latest`` (microseconds) is the last instant that an event may have.
        """
        try:
            take = fields.pop
            event_type, checks = self._types[take("event_type")]
            event_id, occurred = take("event_id"), take("occurred_at")
            at = recorded = self._times.instant(occurred)
            entered = take("recorded_at", None)
            if entered is not None and entered != occurred:
                recorded = self._times.instant(entered)
            if at > latest or recorded > latest or not (event_id.isprintable() and 0 < len(event_id) <= 200):
                return None
            is_named = False
            order_id, account_id = take("order_id", None), take("account_id", None)
            meter_id, batch_id = take("meter_id", None), take("batch_id", None)
            for number in (order_id, account_id, meter_id, batch_id):
                if number is not None:
                    is_named = number.isprintable() and 0 < len(number) <= 200
                    if not is_named:
                        return None
            found = Event(event_id, event_type, at, recorded, fields, order_id, account_id, meter_id, batch_id)
            if not is_named or not (_RARE.isdisjoint(fields) or _take_rare(found)):
                return None
            declared = self._declared(fields, checks)
            if declared is None:
                return None
            found.data = declared
            return found
        except (KeyError, TypeError, ValueError, AttributeError):
            return None  # something is missing or of an unexpected type

    def _declared(self, fields: dict[str, Any], checks: Mapping[str, Check]) -> dict[str, Any] | None:
        """The fields that the type declares; ``None`` where a value fails the fast check.

        A new dictionary is as large as its fields need; that of the parser has room for all that was taken out.
        """
        kept: dict[str, Any] = {}
        for name, value in fields.items():
            check = checks.get(name)
            if check is None:
                if value is not None and not _is_scalar(value):
                    return None
                continue
            if value is not None:
                value = check(value)
                if value is None:
                    return None
            kept[name] = value
        return kept


def _take_rare(event: Event) -> bool:
    """Move what few events have from the fields to the event; false where a value fails the fast check."""
    take = event.data.pop
    event.corrects, event.void = take("corrects", None), take("void", False)
    event.version, event.snapshot = _version(take("version", None)), take("snapshot", False)
    personal = take("personal", None)
    if not _is_flag(event.snapshot) or not (personal is None or _is_flat(personal)):
        return False
    return (event.corrects is None and event.void is False) or _is_correction(event)


def _is_correction(event: Event) -> bool:
    return _is_flag(event.void) and _is_id(event.corrects) and event.corrects != event.event_id


def _version(version: Any) -> tuple[int, ...] | None:
    if version is None:
        return None
    if type(version) is list and 0 < len(version) <= 4 and all(map(_is_count, version)):
        return tuple(version)
    raise ValueError


def _is_flat(personal: Any) -> bool:
    return type(personal) is dict and all(type(value) is str for value in personal.values())
