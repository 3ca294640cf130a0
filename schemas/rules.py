"""Rules as data: the form of a rulebook file.

A rulebook is YAML, one file per chapter (``RulebookFile``). Each rule is one time limit or one obligation of the
standard with its clause and its source; the kinds are a tagged union on ``kind``. A rule may have several versions,
distinguished by ``version`` and by their effective dates; a case is judged to its end by the version in force on the
local date on which it started.

Limits are in ``schemas.limits``, patterns and conditions in ``schemas.patterns``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from schemas.base import Model, Text, with_examples
from schemas.limits import BusinessTime, LengthField, Limit, NaturalMonths, UntilDate, WaitField
from schemas.patterns import (
    Choices,
    Conditions,
    During,
    Needs,
    OnlyWhile,
    Patterns,
    SomePatterns,
    StartField,
    SubjectType,
    _as_subjects,
)

Severity = Literal["norm", "red_line"]
Basis = Literal["N", "P", "C"]

CLAUSE_PATTERN = r"^[A-Z][A-Za-z0-9.\-]*$"


class RuleBase(Model):
    """The common keys of all kinds of rules.

    ``effective_from`` is a local date, inclusive; ``effective_to`` exclusive. ``clauses[0]`` is the main clause, the
    one in alerts. ``subject`` lists subject types: the first for which an event has an id.
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


class CalendarByField(Model):
    """The calendar by a field of the starting event (the act, in rules about one): ``org.unit`` is a member of ``org``.

    ``else`` is for values not listed, and events without the field.
    """

    model_config = with_examples({"by": "org.unit", "of": {"U001": "office"}, "else": "hotline"})

    by: str = Field(pattern=r"^[a-z_]+(\.[a-z_]+)?$")
    of: dict[str, str] = Field(min_length=1)
    otherwise: str = Field(alias="else")


CalendarChoice = str | CalendarByField
"""The name of a calendar of the rulebook's ``calendar.yaml``, or how it is chosen."""


def _counted_by(calendar: CalendarChoice | None, *limits: Limit | None) -> None:
    if calendar is None and any(isinstance(limit, BusinessTime) for limit in limits):
        raise ValueError("a limit in business hours needs a calendar: its name in calendar.yaml")


class DeadlineRule(RuleBase):
    """The stop must occur within the limit of the start. Exactly at the deadline is on time.

    ``only_while`` makes a start count only while a condition holds. ``pause`` and ``resume`` stop the clock,
    ``cancel`` ends the case without a verdict. ``warn_at`` are fractions of the limit. ``facts_from`` names an
    event type whose latest event lends its fields to the conditions of ``limit``; at the start's own instant only one
    that was recorded before it. ``calendar`` names the calendar whose opening hours and working days count.

    A follow-up rule starts with the breach of another one, at its deadline. Each breach has its own case; a stop,
    pause, resume or cancel concerns all open ones, and one at the instant of the breach counts. Conditions on the start
    read the event that started the breached case.
    """

    kind: Literal["deadline"]
    start: StartField
    only_while: OnlyWhile | None = None
    stop: SomePatterns
    pause: Patterns = ()
    resume: Patterns = ()
    cancel: Patterns = ()
    limit: Choices
    calendar: CalendarChoice | None = None
    facts_from: str | None = None
    warn_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.8,)

    @model_validator(mode="after")
    def _pause_needs_resume(self) -> DeadlineRule:
        if bool(self.pause) != bool(self.resume):
            raise ValueError("pause and resume come together")
        return self

    @model_validator(mode="after")
    def _business_time_has_a_calendar(self) -> DeadlineRule:
        _counted_by(self.calendar, *(choice.limit for choice in self.limit))
        return self

    @model_validator(mode="after")
    def _each_begins_with_since(self) -> DeadlineRule:
        if self.only_while and self.only_while.each and (self.facts_from or len(self.start.all) > 1):
            raise ValueError("only_while: each goes with a start of one event, and without facts_from")
        return self

    @model_validator(mode="after")
    def _follow_up_starts_by_itself(self) -> DeadlineRule:
        if self.start.alert is not None and (self.only_while is not None or self.facts_from is not None):
            raise ValueError(
                "a start by an alert goes without only_while and facts_from: write them in the rule it names"
            )
        return self

    @model_validator(mode="after")
    def _agreed_date_does_not_move(self) -> DeadlineRule:
        if self.pause and any(isinstance(choice.limit, UntilDate) for choice in self.limit):
            raise ValueError("a limit 'until' a date is not moved by a pause: leave out pause and resume")
        return self


class ActRule(RuleBase):
    """The base of rules about an act: each act is a case, met or violated, certain once the watermark has passed it.

    ``facts_from`` names an event type whose latest event at or before the act adds its fields to ``when``, which
    selects the acts of the rule. After an event of ``reset`` nothing earlier counts any more (for acts later than it);
    events against the act are also reset at the instant of either. ``closed_by`` events end the business: earlier
    events are not kept for a later act.
    """

    act: SomePatterns
    facts_from: str | None = None
    when: Conditions = {}
    reset: Patterns = ()
    closed_by: Patterns = ()


class PrerequisiteRule(ActRule):
    """The act only after the events it needs; the same instant is early enough."""

    kind: Literal["prerequisite"]
    needs: Annotated[Needs, Field(min_length=1)]


class ForbiddenWhileRule(ActRule):
    """Never the act while a condition holds."""

    kind: Literal["forbidden_while"]
    during: During


class MinimumNoticeRule(ActRule):
    """The act only after a notice, not before ``limit`` has passed since it, and not after ``at_most`` of it.

    Days: the act may come on local date D + N or later, D the date of the notice; with ``at_most`` M also not later
    than D + M. Minutes and hours count instants. With ``at_most`` the last notice before the act counts (one at its
    instant only if there is no other), without it any that was not reset. ``covers`` maps a field of the act to the
    field of the notice that must contain it (a list) or equal it; a notice without the field covers every act.
    ``needs`` as for a prerequisite.

    ``{until: FIELD}`` is a field of the notice: the date, or the instant, from which the act is lawful (``limit``), or
    until which (``at_most``, the whole date). A missing field does not bind the act.
    """

    kind: Literal["minimum_notice"]
    notice: SomePatterns
    limit: WaitField
    at_most: WaitField | None = None
    calendar: CalendarChoice | None = None
    covers: dict[str, str] = {}
    needs: Needs = ()

    @model_validator(mode="after")
    def _business_time_has_a_calendar(self) -> MinimumNoticeRule:
        _counted_by(self.calendar, self.limit, self.at_most)
        return self


class NotBeforeRule(ActRule):
    """The act not before ``limit`` has passed since a state began; if that is not known, nothing is judged.

    The state began at the earliest of ``since`` at or before the act; with ``date_field``, on the local date in that
    field. Days: D + N is the first lawful date. With ``limit: {until: FIELD}`` the act may come from the date, or the
    instant, in the field of an event of ``since`` on: the earliest of them; events without the field do not count.
    """

    kind: Literal["not_before"]
    since: SomePatterns
    date_field: str | None = None
    limit: WaitField
    calendar: CalendarChoice | None = None

    @model_validator(mode="after")
    def _business_time_has_a_calendar(self) -> NotBeforeRule:
        _counted_by(self.calendar, self.limit)
        return self

    @model_validator(mode="after")
    def _one_date(self) -> NotBeforeRule:
        if self.date_field is not None and isinstance(self.limit, UntilDate):
            raise ValueError("date_field is where a length begins: leave it out beside a limit until a field")
        return self


class RetentionRule(ActRule):
    """An object is kept at least ``limit`` from ``since`` until the act that ends it (its disposal).

    The last of ``since`` before the act counts, one at its instant only if there is no other. A billing cycle runs to
    the next-but-one reading day where the ``reading_day`` (1 to 31) of the month is known from the latest event of
    ``since`` or ``reading_days`` at or before the act, else for one natural month.
    """

    kind: Literal["retention"]
    since: SomePatterns
    reading_days: Patterns = ()
    limit: LengthField
    calendar: CalendarChoice | None = None

    @model_validator(mode="after")
    def _business_time_has_a_calendar(self) -> RetentionRule:
        _counted_by(self.calendar, self.limit)
        return self


class AtMostRule(ActRule):
    """No more than ``n`` acts on a subject; for each value of the field ``per``, in each ``period``.

    Acts at one instant are counted in the order of the history.
    """

    kind: Literal["at_most"]
    n: int = Field(default=1, ge=1)
    per: str | None = None
    period: Literal["day", "natural month"] | None = None


class EvidenceRule(ActRule):
    """The act has required fields, or is accompanied by required events.

    ``carry`` are alternatives: the act's fields meet all conditions of at least one. ``needs`` have happened by the
    first of ``by`` at or after the act (without ``by``: by the act); any event counts, not only the latest. ``cancel``
    at or after the act, and not later than ``by``, ends the case.
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
    """The act was recorded within the limit of its occurrence; ``event_type`` may be used in the limit's ``when``.

    A correction counts as recorded when the event that it corrects was first recorded.
    """

    kind: Literal["recording_delay"]
    limit: Choices
    calendar: CalendarChoice | None = None

    @model_validator(mode="after")
    def _business_time_has_a_calendar(self) -> RecordingDelayRule:
        _counted_by(self.calendar, *(choice.limit for choice in self.limit))
        return self

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

    ``every: 1 natural month`` with ``calendar: true`` means calendar months: from the month after the first act (or
    ``since``) on, each month has an act by its end; ``period`` names the act's field with its month (``2026-03``).
    Otherwise the next act is due within ``every`` of the last one, counted by the rulebook's calendar or by the one
    that ``calendar`` names. ``until`` ends it, also if it begins at the same instant; a later act for a month up to
    that end does not begin it again.
    """

    kind: Literal["cadence"]
    act: SomePatterns
    since: Patterns = ()
    until: Patterns = ()
    every: LengthField
    calendar: bool | CalendarChoice = False
    period: str | None = None
    warn_at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.8,)

    @model_validator(mode="after")
    def _calendar_months(self) -> CadenceRule:
        if self.by_months and not (isinstance(self.every, NaturalMonths) and self.every.months == 1):
            raise ValueError("calendar: true goes with every: 1 natural month")
        if self.period is not None and not self.by_months:
            raise ValueError("period goes with calendar: true")
        return self

    @model_validator(mode="after")
    def _business_time_has_a_calendar(self) -> CadenceRule:
        _counted_by(self.counted_by, self.every)
        return self

    @property
    def by_months(self) -> bool:
        """Whether each calendar month is a case of its own."""
        return self.calendar is True

    @property
    def counted_by(self) -> CalendarChoice | None:
        """The named calendar."""
        return None if isinstance(self.calendar, bool) else self.calendar


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
    """One YAML file of a rulebook.

    ``disabled`` names rules of this directory, or of those below it, that are not judged.
    """

    chapter: str
    title: Text
    events: dict[str, DeclaredEvent] = {}
    rules: tuple[Rule, ...] = ()
    disabled: tuple[str, ...] = ()
