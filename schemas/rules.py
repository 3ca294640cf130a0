"""Rules as data: what a rulebook file may say, and nothing of how it is judged.

A rulebook is YAML, one file a chapter (``RulebookFile``). Each rule is one time limit or one obligation of
the standard with its clause and its source; the kinds are a tagged union on ``kind``. A rule may stand in
several versions, distinguished by ``version`` and by their effective dates; a case is judged to its end by the
version in force on the local date on which it started.

Texts such as ``5 min`` or ``5 working days`` are parsed here into limits of different types, which are never
mixed: an ``Elapsed`` is counted on instants, the day limits on local dates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from schemas.base import Model, Text

SubjectType = Literal["order", "account", "meter", "batch"]
Severity = Literal["norm", "red_line"]
Basis = Literal["N", "P", "C"]
Scalar = bool | int | float | str

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


# --- limits ---------------------------------------------------------------------------------------------


class Elapsed(Model):
    """A length of time on instants; pauses are added to it. ``microseconds`` is positive."""

    microseconds: int = Field(gt=0)
    text: str


class CalendarDays(Model):
    """Local days after the day of the start (0: that day itself); ends at 24:00 local of the last."""

    days: int = Field(ge=0)
    text: str


class WorkingDays(Model):
    """Working days counted from the next working day after the start's local date; ends at 24:00 local."""

    days: int = Field(gt=0)
    text: str


class BillingCycles(Model):
    """Billing cycles of the account: its next-but-one reading day where known, else natural months."""

    cycles: int = Field(gt=0)
    text: str


class NaturalMonths(Model):
    """Natural months: the same day of a later month, or that month's last day; ends at 24:00 local."""

    months: int = Field(gt=0)
    text: str


class UntilDate(Model):
    """What a field of the starting event agrees: 24:00 local of a date, or the instant of a time."""

    field: str
    text: str


class UntilInstant(UntilDate):
    """The instant in a field of the starting event: what an ``UntilDate`` is where its field holds a time."""


class SameWorkingDay(Model):
    """24:00 local of the day itself, or of the next working day where it is not one."""

    text: str


Limit = Elapsed | CalendarDays | WorkingDays | BillingCycles | NaturalMonths | UntilDate | SameWorkingDay

SAME_WORKING_DAY = "same working day"
_UNITS: dict[str, tuple[type[Any], str, int]] = {
    "ms": (Elapsed, "microseconds", 1000),
    "s": (Elapsed, "microseconds", SECOND),
    "min": (Elapsed, "microseconds", MINUTE),
    "h": (Elapsed, "microseconds", HOUR),
    "day": (CalendarDays, "days", 1),
    "days": (CalendarDays, "days", 1),
    "working day": (WorkingDays, "days", 1),
    "working days": (WorkingDays, "days", 1),
    "billing cycle": (BillingCycles, "cycles", 1),
    "billing cycles": (BillingCycles, "cycles", 1),
    "natural month": (NaturalMonths, "months", 1),
    "natural months": (NaturalMonths, "months", 1),
}
_YEARS: Final = 50
_MOST: Final[dict[type[Any], int]] = {
    Elapsed: _YEARS * 366 * 24 * HOUR,
    CalendarDays: _YEARS * 366,
    WorkingDays: _YEARS * 261,
    BillingCycles: _YEARS * 12,
    NaturalMonths: _YEARS * 12,
}
"""Longer than this a limit is a typing error; dates and instants so far off need not be computed."""

LIMIT_PATTERN = r"^(?:[1-9][0-9]* (" + "|".join(sorted(_UNITS, key=len, reverse=True)) + ")|0 days)$"
_WRITTEN_LIMIT = rf"{LIMIT_PATTERN}|^{SAME_WORKING_DAY}$"


def parse_limit(value: object) -> Limit:
    """Read ``5 min``, ``7 days``, ``5 working days``, ``1 billing cycle`` or ``{until: field}``.

    Raises:
        ValueError: for anything else; the message lists the units.
    """
    if isinstance(value, Limit):
        return value
    if isinstance(value, Mapping) and set(value) == {"until"} and isinstance(value["until"], str):
        return UntilDate(field=value["until"], text=f"until {value['until']}")
    if isinstance(value, str):
        if value.strip() == SAME_WORKING_DAY:
            return SameWorkingDay(text=SAME_WORKING_DAY)
        match = re.match(LIMIT_PATTERN, value.strip())
        if match:
            limit_type, name, factor = _UNITS[match.group(1) or "days"]
            amount = int(value.split()[0]) * factor
            if amount > _MOST[limit_type]:
                raise ValueError(f"{value!r} is too long: nothing above 50 years is counted")
            limit: Limit = limit_type(**{name: amount, "text": value.strip()})
            return limit
    raise ValueError(
        f"{value!r} is not a limit; write a whole number and one of {', '.join(_UNITS)}, "
        f"or {SAME_WORKING_DAY}, or {{until: <field of kind date or time>}}"
    )


def _limit_value(limit: Limit) -> object:
    return {"until": limit.field} if isinstance(limit, UntilDate) else limit.text


LimitField = Annotated[
    Limit,
    BeforeValidator(parse_limit),
    PlainSerializer(_limit_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _WRITTEN_LIMIT, "examples": ["5 min", "5 working days"]},
                {
                    "type": "object",
                    "properties": {"until": {"type": "string"}},
                    "required": ["until"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


def _is_length(limit: Limit) -> Limit:
    if isinstance(limit, UntilDate | SameWorkingDay):
        raise ValueError(f"{limit.text!r} is no length of time; write a whole number and a unit, such as 7 days")
    return limit


LengthField = Annotated[LimitField, AfterValidator(_is_length)]
"""A limit that is a length of time, for what must have passed or comes again."""


# --- conditions and patterns ----------------------------------------------------------------------------


class Condition(Model):
    """What a field must be. Exactly one of the members is given.

    In YAML a scalar means ``one_of`` that scalar and a list ``one_of`` its members. ``not`` also holds where
    the field is absent; ``one_of``, ``at_least`` and ``at_most`` do not.
    """

    one_of: tuple[Scalar, ...] | None = None
    none_of: tuple[Scalar, ...] | None = Field(default=None, alias="not")
    present: bool | None = None
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Condition:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a condition says exactly one of one_of, not, present, at_least, at_most")
        return self


def _as_condition(value: object) -> object:
    if isinstance(value, bool | int | float | str):
        return {"one_of": (value,)}
    if isinstance(value, list | tuple):
        return {"one_of": tuple(value)}
    if isinstance(value, Mapping) and "not" in value and isinstance(value["not"], bool | int | float | str):
        return {"not": (value["not"],)}
    return value


_SCALAR_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_SCALAR_LIST_SCHEMA: dict[str, Any] = {"type": "array", "items": _SCALAR_SCHEMA, "minItems": 1}
Conditions = dict[
    str,
    Annotated[
        Condition,
        BeforeValidator(_as_condition),
        WithJsonSchema(
            {
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
                        },
                        "minProperties": 1,
                        "maxProperties": 1,
                        "additionalProperties": False,
                    },
                ]
            }
        ),
    ],
]


class Pattern(Model):
    """Events of one type, with conditions on their fields and on the case's starting event."""

    type: str
    where: Conditions = {}
    if_start: Conditions = {}


def _as_patterns(value: object) -> object:
    items = value if isinstance(value, list | tuple) else [value]
    return tuple({"type": item} if isinstance(item, str) else item for item in items)


Written = str | Pattern | list[str | Pattern]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(_as_patterns, json_schema_input_type=Written)]
SomePatterns = Annotated[Patterns, Field(min_length=1)]


class Start(Model):
    """When a case starts: at the last of the groups to have happened; within a group any pattern will do."""

    all: tuple[SomePatterns, ...] = Field(min_length=1)


def _as_start(value: object) -> object:
    if isinstance(value, Mapping) and "all" in value:
        return value
    return value if isinstance(value, Start) else {"all": [value]}


StartField = Annotated[Start, BeforeValidator(_as_start, json_schema_input_type=Written | Start)]


def _as_subjects(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class While(Model):
    """A condition that holds from one event until another.

    At one and the same instant what was recorded first came first.
    """

    since: SomePatterns
    until: Patterns = ()


class OnlyWhile(While):
    """A condition under which a start counts; with ``each`` it holds for several things of one subject by themselves.

    ``each`` names subject types: an event of ``since`` that has another order (or meter) than those for which the
    condition holds already begins another one. Each has a case of its own, from its ``since`` on. An event of
    ``until`` or ``stop`` that names one of them ends that one; one that names none ends all.
    """

    each: Annotated[
        tuple[SubjectType, ...],
        BeforeValidator(_as_subjects, json_schema_input_type=SubjectType | list[SubjectType]),
    ] = ()


class During(While):
    """A condition that an act must not meet; an event of ``not_after`` keeps it from beginning later.

    Both ends are open: an act at the very instant at which the condition begins or ends does not meet it. One that
    is ended, or kept out, at the very instant at which it begins never began.
    """

    not_after: Patterns = ()


class Need(Model):
    """Something that must have happened by the act, or by the close: an event of any of the patterns.

    ``if_act`` limits the need to acts with such fields. ``same_day`` asks for the act's own local date,
    ``after_start`` for an event not before the act, or the first of the acts that wait for the same close.
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


# --- rules ----------------------------------------------------------------------------------------------

CLAUSE_PATTERN = r"^[A-Z][A-Za-z0-9.\-]*$"


class RuleBase(Model):
    """What every rule says of itself, whatever its kind.

    ``effective_from`` is a local date, inclusive; ``effective_to`` exclusive. ``clauses[0]`` is the main
    clause, the one alerts carry. ``subject`` lists subject types: the first for which an event has an id.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9\-]*$", max_length=80)
    version: str = Field(default="1", min_length=1, max_length=40)
    effective_from: date
    effective_to: date | None = None
    clauses: tuple[Annotated[str, Field(pattern=CLAUSE_PATTERN)], ...] = Field(min_length=1)
    source: str = Field(min_length=1)
    basis: Basis = "N"
    severity: Severity = "norm"
    enabled: bool = True
    subject: Annotated[
        tuple[SubjectType, ...],
        BeforeValidator(_as_subjects, json_schema_input_type=SubjectType | list[SubjectType]),
        Field(min_length=1),
    ]
    title: Text
    note: Text | None = None

    @model_validator(mode="after")
    def _dates_in_order(self) -> RuleBase:
        if self.effective_to is not None and self.effective_to <= self.effective_from:
            raise ValueError("effective_to must be after effective_from")
        return self

    @field_validator("subject")
    @classmethod
    def _subjects_once(cls, value: tuple[SubjectType, ...]) -> tuple[SubjectType, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a subject type stands twice")
        return value

    @property
    def clause(self) -> str:
        """The main clause."""
        return self.clauses[0]


class DeadlineRule(RuleBase):
    """Stop must occur within the limit of start. Exactly at the deadline is on time.

    ``only_while`` makes a start count only while a condition holds. ``pause`` and ``resume`` stop the clock,
    ``cancel`` ends the case without a verdict. ``warn_at`` are fractions of the limit. ``facts_from`` names an
    event type whose latest event lends its fields to the conditions of ``limit``; at the start's own instant only one
    that was recorded before it.
    """

    kind: Literal["deadline"]
    start: StartField
    only_while: OnlyWhile | None = None
    stop: SomePatterns
    pause: Patterns = ()
    resume: Patterns = ()
    cancel: Patterns = ()
    limit: Choices
    facts_from: str | None = None
    warn_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.8,)

    @model_validator(mode="after")
    def _pause_needs_resume(self) -> DeadlineRule:
        if bool(self.pause) != bool(self.resume):
            raise ValueError("pause and resume come together")
        return self

    @model_validator(mode="after")
    def _each_begins_with_since(self) -> DeadlineRule:
        if self.only_while and self.only_while.each and (self.facts_from or len(self.start.all) > 1):
            raise ValueError("only_while: each goes with a start of one event, and without facts_from")
        return self

    @model_validator(mode="after")
    def _agreed_date_does_not_move(self) -> DeadlineRule:
        if self.pause and any(isinstance(choice.limit, UntilDate) for choice in self.limit):
            raise ValueError("a limit 'until' a date is not moved by a pause: leave out pause and resume")
        return self


class ActRule(RuleBase):
    """What the rules about an act share: each act is a case, met or violated, certain once time has passed it.

    ``facts_from`` names an event type whose latest event at or before the act lends its fields to ``when``, which
    says which acts the rule is about. After an event of ``reset`` nothing earlier counts any more (for acts later
    than it); what speaks against the act is reset at the very instant of either, too. ``closed_by`` events end the
    business: what was seen need not be kept for a later act.
    """

    act: SomePatterns
    facts_from: str | None = None
    when: Conditions = {}
    reset: Patterns = ()
    closed_by: Patterns = ()


class PrerequisiteRule(ActRule):
    """The act only after what it needs; the same instant is early enough."""

    kind: Literal["prerequisite"]
    needs: Annotated[Needs, Field(min_length=1)]


class ForbiddenWhileRule(ActRule):
    """Never the act while a condition holds."""

    kind: Literal["forbidden_while"]
    during: During


class MinimumNoticeRule(ActRule):
    """The act not before ``limit`` has passed since a notice, not without one, and not after ``at_most`` of it.

    Days: the act may come on local date D + N or later, D the date of the notice; with ``at_most`` M also not
    later than D + M. Minutes and hours count instants. With ``at_most`` the last notice before the act counts (one at
    its very instant where there is no other), without it any that was not reset. ``covers`` maps a field of the act to
    the field of the notice that has to hold it (a list) or equal it; a notice without the field covers every act.
    ``needs`` as for a prerequisite.
    """

    kind: Literal["minimum_notice"]
    notice: SomePatterns
    limit: LengthField
    at_most: LengthField | None = None
    covers: dict[str, str] = {}
    needs: Needs = ()


class NotBeforeRule(ActRule):
    """The act not before ``limit`` has passed since a state began; where that is not known, nothing is judged.

    The state began at the earliest of ``since`` at or before the act; with ``date_field``, on the local date in that
    field. Days: D + N is the first lawful date.
    """

    kind: Literal["not_before"]
    since: SomePatterns
    date_field: str | None = None
    limit: LengthField


class RetentionRule(ActRule):
    """An object is kept at least ``limit`` from ``since`` until the act that ends it (its disposal).

    The last of ``since`` before the act counts, one at its very instant where there is no other. A billing cycle runs
    to the next-but-one reading day where the ``reading_day`` (1 to 31) of the month is known from the latest event of
    ``since`` or ``reading_days`` at or before the act, else for one natural month.
    """

    kind: Literal["retention"]
    since: SomePatterns
    reading_days: Patterns = ()
    limit: LengthField


class AtMostRule(ActRule):
    """No more than ``n`` acts on a subject; for each value of the field ``per``, in each ``period``.

    Acts at one instant are counted in the order of the history.
    """

    kind: Literal["at_most"]
    n: int = Field(default=1, ge=1)
    per: str | None = None
    period: Literal["day", "natural month"] | None = None


class EvidenceRule(ActRule):
    """The act carries, or is accompanied by, something.

    ``carry`` are alternatives: the act's fields meet all conditions of at least one. ``needs`` have happened by the
    first of ``by`` at or after the act (without ``by``: by the act); any event will do, not only the latest.
    ``cancel`` at or after the act, and not later than ``by``, ends the case.
    """

    kind: Literal["evidence"]
    carry: Annotated[
        tuple[Conditions, ...],
        BeforeValidator(
            lambda value: (value,) if isinstance(value, Mapping) else value,
            json_schema_input_type=Conditions | list[Conditions],
        ),
    ] = ()
    needs: Needs = ()
    by: Patterns = ()
    cancel: Patterns = ()

    @model_validator(mode="after")
    def _asks_for_something(self) -> EvidenceRule:
        if not self.carry and not self.needs:
            raise ValueError("evidence asks for something: give carry or needs")
        return self


class RecordingDelayRule(ActRule):
    """The act was recorded within the limit of its occurring; ``event_type`` may be used in the limit's ``when``.

    A correction is held to when the event that it corrects was first recorded.
    """

    kind: Literal["recording_delay"]
    limit: Choices

    @model_validator(mode="after")
    def _no_date_in_a_field(self) -> RecordingDelayRule:
        if any(isinstance(choice.limit, UntilDate) for choice in self.limit):
            raise ValueError("an act is recorded within a length of time, not until a date of its own")
        return self


class SequenceRule(RuleBase):
    """Stages do not run backwards: the first event of a stage is not later than the first of a later stage."""

    kind: Literal["sequence"]
    stages: tuple[SomePatterns, ...] = Field(min_length=2)
    closed_by: Patterns = ()


class CadenceRule(RuleBase):
    """The act comes once in every period.

    ``every: 1 natural month`` with ``calendar: true`` means calendar months: from the month after the first act
    (or ``since``) on, each month has an act by its end; ``period`` names the act's field that says which month
    (``2026-03``) it is for. Otherwise the next act is due within ``every`` of the last one. ``until`` ends it, and
    what begins at its very instant; a later act for a month up to that end does not begin it again.
    """

    kind: Literal["cadence"]
    act: SomePatterns
    since: Patterns = ()
    until: Patterns = ()
    every: LengthField
    calendar: bool = False
    period: str | None = None
    warn_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.8,)

    @model_validator(mode="after")
    def _calendar_months(self) -> CadenceRule:
        if self.calendar and not (isinstance(self.every, NaturalMonths) and self.every.months == 1):
            raise ValueError("calendar: true goes with every: 1 natural month")
        if self.period is not None and not self.calendar:
            raise ValueError("period goes with calendar: true")
        return self


Rule = Annotated[
    DeadlineRule
    | PrerequisiteRule
    | ForbiddenWhileRule
    | MinimumNoticeRule
    | NotBeforeRule
    | RetentionRule
    | AtMostRule
    | EvidenceRule
    | RecordingDelayRule
    | SequenceRule
    | CadenceRule,
    Field(discriminator="kind"),
]


class DeclaredEvent(Model):
    """An event type that a rulebook directory adds: field name -> kind of value, or list of allowed values."""

    fields: dict[str, str | list[str]] = {}
    title: Text | None = None


class RulebookFile(Model):
    """One YAML file of a rulebook."""

    chapter: str
    title: Text
    events: dict[str, DeclaredEvent] = {}
    rules: tuple[Rule, ...] = ()
