"""Kinds ``not_before`` and ``retention``, naively: edge decisions 5 and 6."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from schemas.calendars import CalendarSpec
from schemas.limits import UntilDate
from schemas.rules import NotBeforeRule, RetentionRule
from tests.oracle.acts import Act, acts, lawful_from, named_from
from tests.oracle.common import Fact, Found, is_one_of, midnight


def cases_of(
    versions: Sequence[NotBeforeRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    return [
        found
        for act in acts(versions, facts, calendar)
        if act.of(act.rule.since)
        for found in (_named(act) if isinstance(act.rule.limit, UntilDate) else [_not_before(act)])
    ]


def _named(act: Act[NotBeforeRule]) -> list[Found]:
    """Not before what the earliest that is named by an event; where none is, nothing is judged."""
    named = [(at, since) for since in act.of(act.rule.since)
             if (at := named_from(act.rule.limit, since.fields, act.calendar)) is not None]  # fmt: skip
    if not named:
        return []
    lawful = min(at for at, _ in named)
    told = next(since for at, since in named if at == lawful)
    return [act.found([("early", told.at, lawful)] if act.at < lawful else [], [told])]


def _not_before(act: Act[NotBeforeRule]) -> Found:
    began = [(_began(act, since), since) for since in act.of(act.rule.since)]
    first = min(at for at, _ in began)
    lawful = lawful_from(act.rule.limit, first, act.counted_by)
    told = next(since for at, since in began if at == first)
    return act.found([("early", first, lawful)] if act.at < lawful else [], [told])


def _began(act: Act[NotBeforeRule], since: Fact) -> datetime:
    text = since.fields.get(act.rule.date_field or "")
    is_date = isinstance(text, str) and "T" not in text
    return midnight(date.fromisoformat(str(text)), act.calendar) if is_date else since.at


def retained(
    versions: Sequence[RetentionRule], facts: Sequence[tuple[Fact, str]], calendar: CalendarSpec, as_of: datetime
) -> list[Found]:
    return [_retained(act) for act in acts(versions, facts, calendar) if act.of(act.rule.since)]


def _retained(act: Act[RetentionRule]) -> Found:
    removed = act.of(act.rule.since)
    # A second removal at the very instant of the act is not before it.
    last = ([fact for fact in removed if fact.at < act.at] or removed)[-1]
    told = [
        fact.fields["reading_day"]
        for fact in act.history
        if fact.at <= act.at
        and is_one_of((*act.rule.since, *act.rule.reading_days), fact)
        and fact.fields.get("reading_day") in range(1, 32)
        and not isinstance(fact.fields["reading_day"], bool)
    ]
    lawful = lawful_from(act.rule.limit, last.at, act.counted_by, told[-1] if told else None)
    return act.found([("early", last.at, lawful)] if act.at < lawful else [], [last])
