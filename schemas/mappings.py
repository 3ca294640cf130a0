"""Mappings as data: how the rows of a table, a process log or a topic become work-order events.

One YAML file holds one ``Mapping``. It maps columns to fields; fields without a column are constants. The result is the
wire format, and is checked like a sent event. The same file serves ``replay``, ``explain``, ``send`` and ``run``.

Examples are in ``schemas/README.md``, "Mappings of other formats"; a test loads each of them.

In an XES log the attributes of an event are its columns, and those of its trace have the prefix ``case:``. The columns
of an OCEL log are ``ocel:eid``, ``ocel:activity``, ``ocel:timestamp``, ``ocel:type:<object type>`` and the attributes
of the event.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, field_validator, model_validator

from schemas.base import Model

REGISTERED: Final = ("avro", "protobuf", "json_schema")
"""Formats of topics that need a schema registry."""

Format = Literal["json", "avro", "protobuf", "json_schema", "debezium", "csv", "xlsx", "parquet", "xes", "ocel"]
As = Literal["text", "integer", "number", "amount", "flag", "time", "date", "list"]
TIME_FORMS: Final = ("iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "excel")
_SUBJECTS: Final = frozenset({"order_id", "account_id", "meter_id", "batch_id"})
HALF_DAYS: Final = ("上午", "凌晨", "早上", "中午", "下午", "晚上")
"""The words that ``%p`` reads beside AM and PM."""

_SAMPLE: Final = datetime(2026, 3, 17, 21, 4, 5, 678_901, tzinfo=UTC)  # for testing patterns
_SAMPLE_READ: Final = (
    _SAMPLE,
    _SAMPLE.replace(microsecond=0),
    _SAMPLE.replace(second=0, microsecond=0),
    _SAMPLE.replace(minute=0, second=0, microsecond=0),
    _SAMPLE.replace(hour=0, minute=0, second=0, microsecond=0),
)
"""What a pattern may read of it: times down to some part, or the day alone."""

_OFFSET_AS_TEXT: Final = re.compile(r"%[HIMSfp]\s?(Z|[+-]\d\d:?\d\d)(?![A-Za-z\d])")
_UTC: Final = ("UTC", "Etc/UTC", "GMT", "Etc/GMT")


def _as_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_Many = BeforeValidator(_as_many, json_schema_input_type=str | tuple[str, ...])
_Words = BeforeValidator(_as_many, json_schema_input_type=str | tuple[Any, ...])
"""Words that an editor sees as YAML parses them."""

Columns = Annotated[tuple[str, ...], _Many, Field(min_length=1)]
"""One column, or several joined by ``/``."""


def _check_form(form: str) -> None:
    if form in TIME_FORMS:
        return
    if "%" not in form:
        near = difflib.get_close_matches(form, TIME_FORMS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{form!r} is none of {', '.join(TIME_FORMS)}, nor a pattern such as %Y-%m-%d %H:%M:%S{hint}")
    directives = re.findall(r"%(.)", form)
    if "p" in directives and "I" not in directives:
        raise ValueError(f"{form!r}: %p (上午/下午) needs %I for the hour; with %H it would be ignored")
    if "Z" in directives:
        raise ValueError(
            f"{form!r}: the zone that %Z reads would be ignored; use %z for offsets such as +08:00 and Z, "
            "or write the word itself (CST) in the pattern and its zone under zone: (Asia/Shanghai)"
        )
    if named := [one for one in directives if one in "cxX"]:
        raise ValueError(
            f"{form!r}: what %{named[0]} reads depends on the machine; write its parts, such as %Y-%m-%d %H:%M:%S"
        )
    if offset := _OFFSET_AS_TEXT.search(form):
        raise ValueError(f"{form!r}: the offset {offset[1]} would be ignored; write %z for it")
    if "d" in directives and not {"Y", "y"} & {*directives}:  # Python will refuse it in words of its own
        raise ValueError(f"{form!r} reads no year; a day needs its year, month and day, such as %Y-%m-%d")
    if word := next((word for word in HALF_DAYS if word in form), None):
        raise ValueError(f"{form!r}: the word {word} would be ignored; write %p for it, and %I for the hour")
    _check_reads_all(form)


def _check_reads_all(form: str) -> None:
    """Refuse a pattern that reads another time than was written, such as one without a year."""
    try:
        read = datetime.strptime(_SAMPLE.strftime(form), form).replace(tzinfo=UTC)
    except (ValueError, re.error) as error:
        raise ValueError(f"{form!r} is not a pattern that can be read: {error}") from error
    if read.date() != _SAMPLE.date():
        raise ValueError(
            f"{form!r} reads {_SAMPLE.date()} as {read.date()}; a day needs its year, month and day, such as %Y-%m-%d"
        )
    if read not in _SAMPLE_READ:
        raise ValueError(
            f"{form!r} reads {_SAMPLE:%H:%M:%S} as {read:%H:%M:%S}; an hour from 1 to 12 (%I) needs %p (上午/下午), "
            "one from 0 to 23 is %H, and minutes need their hour"
        )


class TimeForm(Model):
    """How times are written.

    A form is ``iso``, ``excel`` (days since 1899-12-30, or since 1904-01-01 in a workbook that counts so),
    ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``, or a pattern of strptime such as ``%d.%m.%Y``; ``%p`` reads
    上午 and 下午, ``%b`` also ``3月``. Of several ``formats`` the first that matches counts. ``zone`` (IANA name) is
    that of times without an offset; without it such times are refused, event by event, and so is a time that does not
    exist in the zone, or occurs twice. ``as: date`` takes the day in ``zone`` of an instant with an offset, and the day
    as written of a time without.

    ``wall`` says of numbers (``epoch_…``) that they are times on the clocks of ``zone``, counted as if these showed
    UTC: so Debezium writes those of columns without a zone, also without its envelope. Left out it is true for
    ``format: debezium``, where a ``zone`` is given, and false for others; ``false`` there is for numbers that an
    application has counted in UTC.
    """

    format: str | None = None
    formats: Annotated[tuple[str, ...], _Many] = ()
    zone: str | None = None
    wall: bool | None = None

    @field_validator("format", "formats")
    @classmethod
    def _known(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for form in (value,) if isinstance(value, str) else value or ():
            _check_form(form)
        return value

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (OSError, ValueError, LookupError) as error:
                near = difflib.get_close_matches(value, available_timezones(), n=1)
                hint = f"did you mean {near[0]}?" if near else "use an IANA name such as Asia/Shanghai"
                raise ValueError(f"{value!r} is not a time zone; {hint}") from error
        return value

    @model_validator(mode="after")
    def _one_of_them(self) -> TimeForm:
        if self.format is not None and self.formats:
            raise ValueError("give format or formats, not both")
        if self.wall and self.zone is None:
            raise ValueError("wall: true needs a zone: that of the clocks, such as Asia/Shanghai")
        for form in self.forms:
            word = next((word for word in ("UTC", "GMT") if word in form), None)
            if word is not None and self.zone not in _UTC:
                raise ValueError(f"{form!r}: the word {word} would be ignored; set zone: UTC, which it means")
        return self

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms in the order in which they are tried."""
        return self.formats or (self.format or "iso",)


class FieldFrom(Model):
    """A field made of a column, or of several joined by ``/``; an empty cell leaves the field out.

    An id of several columns is refused where only some of them are empty.

    ``as`` is the kind of the value; times and ``occurred_at``, ``recorded_at`` follow ``time``. ``values`` replaces
    values before that; values not in it are unchanged. ``separator`` splits a ``list``.
    """

    column: Columns
    kind: As | None = Field(default=None, alias="as")
    values: dict[str, Any] = {}
    time: TimeForm | None = None
    separator: str = Field(default=";", min_length=1)


def _as_field(value: object) -> object:
    return {"column": value} if isinstance(value, str | list | tuple) else value


FieldSpec = Annotated[FieldFrom, BeforeValidator(_as_field, json_schema_input_type=str | tuple[str, ...] | FieldFrom)]


class TypeFrom(Model):
    """The event type of a row: the value of a column, translated by ``values``.

    ``other`` is for values not in ``values``: ``refuse`` makes a dead letter, ``skip`` skips and counts the row.
    """

    column: Columns
    values: dict[str, str] = {}
    other: Literal["refuse", "skip"] = "refuse"


class When(Model):
    """A condition on a row: the column is filled or not (``present``), and its text is one of those listed."""

    column: str
    present: bool | None = None
    equals: str | None = None
    one_of: Annotated[tuple[str, ...], _Words, Field(alias="in")] = ()
    none_of: Annotated[tuple[str, ...], _Words, Field(alias="not_in")] = ()

    @model_validator(mode="after")
    def _asks_something(self) -> When:
        if self.present is None and self.equals is None and not self.one_of and not self.none_of:
            raise ValueError("says nothing: give present, equals, in or not_in")
        return self


def _as_conditions(value: object) -> object:
    return (value,) if isinstance(value, dict | When) else value


UNANSWERED: Final = "family.what_happened"
"""In a suggested mapping the event type that is still to be named."""


class EventFrom(Model):
    """One event of a row, if all of ``when`` hold.

    ``fields`` and ``constants`` are added to those of the mapping, or replace them; ``key`` replaces the mapping's.
    """

    event_type: str
    occurred_at: FieldSpec | None = None
    recorded_at: FieldSpec | None = None
    when: Annotated[
        tuple[When, ...], BeforeValidator(_as_conditions, json_schema_input_type=When | tuple[When, ...])
    ] = ()
    fields: dict[str, FieldSpec] = {}
    constants: dict[str, Any] = {}
    key: Annotated[tuple[str, ...], _Many] = ()

    @property
    def own_fields(self) -> dict[str, FieldFrom]:
        """Its fields, including ``occurred_at`` and ``recorded_at``."""
        times = {"occurred_at": self.occurred_at, "recorded_at": self.recorded_at}
        return {**self.fields, **{name: spec for name, spec in times.items() if spec is not None}}


class FromEnvironment(Model):
    """A secret: the value of an environment variable."""

    env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class Registry(Model):
    """A schema registry with Confluent's API at ``url``.

    Requests authenticate with ``user`` and ``password``, or with ``token`` (a bearer token); ``ca`` is a file with its
    certificate authority, if it is not a usual one.
    """

    url: str
    user: str | FromEnvironment | None = None
    password: FromEnvironment | None = None
    token: FromEnvironment | None = None
    ca: str | None = None

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{value!r} is no address; write http://... or https://...")
        if parts.username or parts.password or parts.query:
            raise ValueError("an address with a user, a password or a query: write user and password: {env: NAME}")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Registry:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        if self.user is not None and self.token is not None:
            raise ValueError("give user and password, or token, not both")
        return self


class Mapping(Model):
    """A whole mapping file.

    ``event_type`` may be left out if it is under ``constants`` or ``events`` is given. A field name with a dot,
    ``org.city``, is a member of an object.

    ``key`` names the columns that identify a row. An event's id is made of it and the event's type: the same row again
    is a repetition, and a row with the same key replaces an earlier one from the beginning; a column that is empty
    again voids its event. Without ``key`` and ``event_id`` the id is made of the event's content and its row. A row
    whose column ``__deleted`` is true (Debezium's, without its envelope) is deleted, unless that column is named here.

    ``header_row`` is the line of the header, from 1; rows above it are skipped. ``skip_rows`` skips so many rows: at
    the top if ``header_row`` is not given, else directly below the header. ``strip`` removes blanks at both ends of
    cells. ``null_values`` are words that mean an empty cell, also where it holds a number or a time. ``encoding``,
    ``delimiter`` and ``quote`` are for CSV. ``registry`` has the schemas of ``avro``, ``protobuf`` and ``json_schema``,
    and those of ``debezium`` if its records are framed for a registry.
    """

    format: Format | None = None
    registry: Registry | None = None
    sheet: str | None = None
    encoding: str = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = '"'
    header_row: int | None = Field(default=None, ge=1)
    skip_rows: int = Field(default=0, ge=0)
    strip: bool = True
    null_values: Annotated[tuple[str, ...], _Words] = ()
    time: TimeForm = TimeForm()
    key: Annotated[tuple[str, ...], _Many] = ()
    event_type: (
        Annotated[TypeFrom, BeforeValidator(_as_field, json_schema_input_type=str | tuple[str, ...] | TypeFrom)] | None
    ) = None
    events: tuple[EventFrom, ...] = ()
    fields: dict[str, FieldSpec] = {}
    constants: dict[str, Any] = {}

    @field_validator("encoding")
    @classmethod
    def _codec_exists(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError as error:
            raise ValueError(f"{value!r} is not an encoding; for example utf-8 or gb18030") from error
        return value

    @field_validator("quote")
    @classmethod
    def _quote_is_one(cls, value: str) -> str:
        if value != "none" and len(value) != 1:
            raise ValueError(f"{value!r} is neither one character nor none")
        return value

    @model_validator(mode="after")
    def _says_enough(self) -> Mapping:
        if self.format in REGISTERED and self.registry is None:
            raise ValueError(f"format {self.format} needs a registry: {{url: http://HOST:PORT}}")
        if self.registry is not None and self.format not in (*REGISTERED, "debezium"):
            raise ValueError(f"registry is for format {', '.join(REGISTERED)} or debezium")
        if "event_type" in self.fields:
            raise ValueError("event_type stands beside fields, not in it")
        given = [self.event_type is not None, "event_type" in self.constants, bool(self.events)]
        if sum(given) != 1:
            raise ValueError("give event_type once: a column, or one of constants, or a list of events")
        if self.key and "event_id" in self.fields:
            raise ValueError("key makes the event's id: leave out fields.event_id, or key")
        _check_fields(self.fields, self.constants, "")
        if not self.events:
            _check_complete({*self.fields, *self.constants}, "fields")
        for place, entry in enumerate(self.events):
            own = entry.own_fields
            _check_fields(own, entry.constants, f"events.{place}: ")
            if "event_type" in own or "event_type" in entry.constants:
                raise ValueError(f"events.{place}: event_type stands beside fields and constants, not in them")
            if (entry.key or self.key) and "event_id" in own:
                raise ValueError(f"events.{place}: key makes the event's id: leave out event_id, or key")
            _check_complete({*self.fields, *self.constants, *own, *entry.constants}, f"events.{place}")
        _check_distinct(self.events, self.key)
        return self


def _check_fields(fields: dict[str, FieldFrom], constants: dict[str, Any], where: str) -> None:
    both = sorted(set(fields) & set(constants))
    if both:
        raise ValueError(f"{where}{both[0]} stands under fields and under constants")


def _check_complete(given: set[str], where: str) -> None:
    if "occurred_at" not in given:
        raise ValueError(f"{where} has no occurred_at")
    if not given & _SUBJECTS:
        raise ValueError(f"{where} has none of order_id, account_id, meter_id, batch_id")


def _check_distinct(events: Sequence[EventFrom], key: tuple[str, ...]) -> None:
    seen: dict[tuple[str, tuple[str, ...]], int] = {}
    for place, entry in enumerate(events):
        if entry.event_type == UNANSWERED:
            continue  # refused with the rulebook's event types at hand
        first = seen.setdefault((entry.event_type, entry.key or key), place)
        if first != place:
            raise ValueError(
                f"events.{first} and events.{place} are both {entry.event_type}, and their ids would be the same: "
                "give one of them a key of its own"
            )
