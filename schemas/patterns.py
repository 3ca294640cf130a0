"""Conditions on an event's fields, and patterns of event types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from schemas.base import Model
from schemas.limits import LimitField

SubjectType = Literal["order", "account", "meter", "batch"]
Scalar = bool | int | float | str


StartReference = Annotated[str, Field(pattern=r"^start\.[A-Za-z_][A-Za-z0-9_]*$")]
"""A field of the event that started the case: ``start.amount``."""


class Condition(Model):
    """A condition on a field. Exactly one of the members is given.

    In YAML a scalar means ``one_of`` that scalar and a list ``one_of`` its members. ``not`` also holds where the field
    is absent; the others, except ``present: false``, do not. ``is``, ``less_than`` and ``more_than`` compare with a
    field of the event that started the case, written ``start.amount``: numbers and amounts by their value, dates and
    times as such; ``is`` compares any other value literally. Values that cannot be compared do not meet it.
    """

    one_of: tuple[Scalar, ...] | None = None
    none_of: tuple[Scalar, ...] | None = Field(default=None, alias="not")
    present: bool | None = None
    at_least: float | None = None
    at_most: float | None = None
    same_as: StartReference | None = Field(default=None, alias="is")
    less_than: StartReference | None = None
    more_than: StartReference | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Condition:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "a condition says exactly one of one_of, not, present, at_least, at_most, is, less_than, more_than"
            )
        return self

    @property
    def start_field(self) -> str | None:
        """The field of the case's first event that this one compares with; ``None`` where it compares with none."""
        reference = self.same_as or self.less_than or self.more_than
        return None if reference is None else reference.removeprefix("start.")

    @property
    def sign(self) -> str | None:
        """``=``, ``<`` or ``>``; ``None`` where it compares with none."""
        return "=" if self.same_as else "<" if self.less_than else ">" if self.more_than else None


def _as_condition(value: object) -> object:
    if isinstance(value, bool | int | float | str):
        return {"one_of": (value,)}
    if isinstance(value, list | tuple):
        return {"one_of": tuple(value)}
    if isinstance(value, Mapping) and "not" in value and isinstance(value["not"], bool | int | float | str):
        return {"not": (value["not"],)}
    return value


_COMPARISONS = ("is", "less_than", "more_than")


def _as_conditions(value: Any) -> Any:
    """``{field: amount, is: start.amount}``, or several of these in a list, as a mapping of fields."""
    items: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    if not items or not all(_is_comparison(item) for item in items):
        return value
    fields = [item["field"] for item in items]
    if len(set(fields)) != len(fields):
        raise ValueError("a field stands twice: write one condition for each field")
    return {item["field"]: {name: item[name] for name in item if name != "field"} for item in items}


def _is_comparison(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("field"), str)
        and any(str(value.get(name, "")).startswith("start.") for name in _COMPARISONS)
    )


_REFERENCE_SCHEMA: dict[str, Any] = {"type": "string", "pattern": r"^start\.[A-Za-z_][A-Za-z0-9_]*$"}
_COMPARISON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"field": {"type": "string"}, **dict.fromkeys(_COMPARISONS, _REFERENCE_SCHEMA)},
    "required": ["field"],
    "minProperties": 2,
    "maxProperties": 2,
    "additionalProperties": False,
    "examples": [{"field": "amount", "is": "start.amount"}],
}
_SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_SCALAR_LIST_SCHEMA: dict[str, Any] = {"type": "array", "items": _SCALAR_SCHEMA, "minItems": 1}
_CONDITION_SCHEMA: dict[str, Any] = {
    "anyOf": [
        _SCALAR_SCHEMA,
        _SCALAR_LIST_SCHEMA,
        {
            "type": "object",
            "properties": {
                "one_of": _SCALAR_LIST_SCHEMA,
                "not": {"anyOf": [_SCALAR_SCHEMA, _SCALAR_LIST_SCHEMA]},
                "present": {"type": "boolean"},
                "at_least": {"type": "number"},
                "at_most": {"type": "number"},
                **dict.fromkeys(_COMPARISONS, _REFERENCE_SCHEMA),
            },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        },
    ]
}
Conditions = Annotated[
    dict[str, Annotated[Condition, BeforeValidator(_as_condition)]],
    BeforeValidator(_as_conditions),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object", "additionalProperties": _CONDITION_SCHEMA},
                _COMPARISON_SCHEMA,
                {"type": "array", "items": _COMPARISON_SCHEMA, "minItems": 1},
            ]
        }
    ),
]


def _as_types(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Types = Annotated[tuple[str, ...], BeforeValidator(_as_types, json_schema_input_type=str | list[str])]


def _as_patterns(value: object) -> object:
    items = value if isinstance(value, list | tuple) else [value]
    return tuple({"type": item} if isinstance(item, str) else item for item in items)


class Paused(Model):
    """Pauses that a resume ends: those by events of one type, with conditions on their fields."""

    type: str
    where: Conditions = {}


WrittenPaused = str | Paused | list[str | Paused]


class Pattern(Model):
    """Events of one type, with conditions on their fields and on the case's starting event.

    ``ends``, of a deadline's ``resume``, are the pauses that it ends, given by their events; without it, all. The clock
    stands still until each pause is ended; of several by one event type the latest counts. Before the start only the
    first pause counts.

    ``unless``, of a deadline's ``pause``, are event types after which it does not pause the clock any more: those that
    came before it on the subject, also before the start, but after the end of the case before.
    """

    type: str
    where: Conditions = {}
    if_start: Conditions = {}
    ends: Annotated[tuple[Paused, ...], BeforeValidator(_as_patterns, json_schema_input_type=WrittenPaused)] = ()
    unless: Types = ()

    @property
    def ended(self) -> tuple[Pattern, ...]:
        """``ends``, as patterns of the events that paused."""
        return tuple(Pattern(type=one.type, where=one.where) for one in self.ends)


Written = str | Pattern | list[str | Pattern]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(_as_patterns, json_schema_input_type=Written)]
SomePatterns = Annotated[Patterns, Field(min_length=1)]


class Start(Model):
    """When a case starts: at the last of the groups of ``all`` to have happened, or with the breach of another rule.

    Within a group any pattern matches. ``alert`` names a rule of kind ``deadline`` or ``cadence``: each breach of it
    starts a case at the deadline that passed; a retracted breach removes its case.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["all"]}, {"required": ["alert", "kind"]}],
            "examples": [{"alert": "repair-arrival", "kind": "breach"}],
        }
    )

    all: tuple[SomePatterns, ...] = ()
    alert: str | None = None
    kind: Literal["breach"] | None = None

    @model_validator(mode="after")
    def _events_or_an_alert(self) -> Start:
        if bool(self.all) == (self.alert is not None) or (self.alert is None) != (self.kind is None):
            raise ValueError("a start is an event, or all: a list of events, or {alert: RULE, kind: breach}")
        return self


def _as_start(value: object) -> object:
    if isinstance(value, Mapping) and ("all" in value or "alert" in value):
        return value
    return value if isinstance(value, Start) else {"all": [value]}


StartField = Annotated[Start, BeforeValidator(_as_start, json_schema_input_type=Written | Start)]


def _as_subjects(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class While(Model):
    """A condition that holds from one event until another.

    Events at one instant are ordered by the time of recording.
    """

    since: SomePatterns
    until: Patterns = ()


class OnlyWhile(While):
    """A condition under which a start counts; with ``each`` it holds separately for several things of one subject.

    ``each`` names subject types: an event of ``since`` that has another order (or meter) than those for which the
    condition holds already begins another one. Each has its own case, from its ``since`` on. An event of ``until`` or
    ``stop`` that names one of them ends that one; one that names none ends all.
    """

    each: Annotated[
        tuple[SubjectType, ...],
        BeforeValidator(_as_subjects, json_schema_input_type=SubjectType | list[SubjectType]),
    ] = ()


class During(While):
    """A condition that an act must not meet; after an event of ``not_after`` it cannot begin.

    Both ends are open: an act at the instant at which the condition begins or ends does not meet it. A condition ended
    or prevented at the instant at which it begins does not hold at all.
    """

    not_after: Patterns = ()


class Need(Model):
    """A requirement by the act, or by the close: an event of any of the patterns.

    ``if_act`` limits the need to acts with such fields. ``same_day`` requires the act's own local date, ``after_start``
    for an event not before the act, or the first of the acts that wait for the same close.
    """

    any: SomePatterns
    if_act: Conditions = {}
    same_day: bool = False
    after_start: bool = False


def _as_needs(value: object) -> object:
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(
        item if isinstance(item, Need) or (isinstance(item, Mapping) and "any" in item) else {"any": item}
        for item in items
    )


Needs = Annotated[
    tuple[Need, ...],
    BeforeValidator(_as_needs, json_schema_input_type=str | Pattern | Need | list[str | Pattern | Need | list[Any]]),
]


class LimitChoice(Model):
    """A limit that applies when the starting event, with its facts, meets the conditions."""

    when: Conditions = {}
    limit: LimitField = Field(alias="is")


def _as_choices(value: object) -> object:
    return value if isinstance(value, list | tuple) else [{"is": value}]


Choices = Annotated[
    tuple[LimitChoice, ...],
    BeforeValidator(_as_choices, json_schema_input_type=LimitField | list[LimitChoice]),
    Field(min_length=1),
]
