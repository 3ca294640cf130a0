"""Mappings as data: how the rows of a table, or the events of a process log, become work-order events.

One YAML file holds one ``Mapping``. It names columns and says which field each becomes; whatever a column cannot
give is a constant. What comes out is the wire format, and is checked as if it had been sent.

Example, an export of a fault-repair system::

    time: {format: "%Y/%m/%d %H:%M:%S", zone: Asia/Shanghai}
    event_type:
      column: 环节
      values: {受理: repair.reported, 到达: repair.arrived, 归档: repair.closed}
      other: skip
    fields:
      event_id: [工单编号, 环节序号]
      order_id: 工单编号
      occurred_at: 时间
      area: {column: 地区, values: {城区: urban, 农村: rural, 特殊边远: remote}}
      org.city: 市编码
    constants: {source: 95598}

In an XES log the attributes of an event are its columns, and those of its trace have ``case:`` before their name.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, field_validator, model_validator

from schemas.base import Model

Format = Literal["csv", "parquet", "xes"]
As = Literal["text", "integer", "number", "amount", "flag", "time", "date", "list"]


class TimeForm(Model):
    """How times are written: ``iso``, ``epoch_s``, ``epoch_ms``, or a pattern of strptime such as ``%d.%m.%Y``.

    ``zone`` (IANA name) is that of times written without an offset; without it such times are refused, event by
    event, and so is a time that the zone's clocks never showed.
    """

    format: str = "iso"
    zone: str | None = None

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("iso", "epoch_s", "epoch_ms") and "%" not in value:
            raise ValueError(f"{value!r} is none of iso, epoch_s, epoch_ms, nor a pattern such as %Y-%m-%d %H:%M:%S")
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


def _as_columns(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class FieldFrom(Model):
    """A field made of a column, or of several joined by ``/``; an empty cell leaves the field out.

    ``as`` says what kind of value it is; times and ``occurred_at``, ``recorded_at`` follow ``time``. ``values``
    replaces values before that; one that it does not list stays as it is. ``separator`` parts a ``list``.
    """

    column: Annotated[tuple[str, ...], BeforeValidator(_as_columns), Field(min_length=1)]
    kind: As | None = Field(default=None, alias="as")
    values: dict[str, Any] = {}
    time: TimeForm | None = None
    separator: str = Field(default=";", min_length=1)


def _as_field(value: object) -> object:
    return {"column": value} if isinstance(value, str | list | tuple) else value


FieldSpec = Annotated[FieldFrom, BeforeValidator(_as_field)]


class TypeFrom(Model):
    """Which event type a row is: the value of a column, translated by ``values``.

    ``other`` is for what ``values`` does not list: ``refuse`` makes it a dead letter, ``skip`` passes over it.
    """

    column: Annotated[tuple[str, ...], BeforeValidator(_as_columns), Field(min_length=1)]
    values: dict[str, str] = {}
    other: Literal["refuse", "skip"] = "refuse"


def _as_type(value: object) -> object:
    return {"column": value} if isinstance(value, str | list | tuple) else value


class Mapping(Model):
    """A whole mapping file.

    ``event_type`` may be left out where it stands under ``constants``. Without ``event_id`` an event is named by
    its file and row. A field name with a dot, ``org.city``, goes into an object. ``encoding`` and ``delimiter`` are
    CSV's.
    """

    format: Format | None = None
    encoding: str = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    time: TimeForm = TimeForm()
    event_type: Annotated[TypeFrom, BeforeValidator(_as_type)] | None = None
    fields: dict[str, FieldSpec]
    constants: dict[str, Any] = {}

    @field_validator("encoding")
    @classmethod
    def _codec_exists(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError as error:
            raise ValueError(f"{value!r} is not an encoding; for example utf-8 or gb18030") from error
        return value

    @model_validator(mode="after")
    def _says_enough(self) -> Mapping:
        given = set(self.fields) | set(self.constants)
        if "event_type" in self.fields:
            raise ValueError("event_type stands beside fields, not in it")
        if (self.event_type is None) == ("event_type" not in self.constants):
            raise ValueError("give event_type once: a column, or one of constants")
        if "occurred_at" not in given:
            raise ValueError("fields has no occurred_at")
        if not given & {"order_id", "account_id", "meter_id", "batch_id"}:
            raise ValueError("fields has none of order_id, account_id, meter_id, batch_id")
        both = sorted(set(self.fields) & set(self.constants))
        if both:
            raise ValueError(f"{both[0]} stands under fields and under constants")
        return self
