"""Histories for the shipped rules, whatever their kind: their own event types, with the values that they ask about.

There is no second opinion on the verdicts here, only on what must not change them. It covers a kind from the day
on which its first rule is shipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from schemas.limits import Limit, parse_limit
from schemas.patterns import Condition
from schemas.rules import (
    CadenceRule,
    CalendarByField,
    CalendarChoice,
    DeadlineRule,
    MinimumNoticeRule,
    NotBeforeRule,
    RecordingDelayRule,
    RetentionRule,
    Rule,
)
from streams.core.rulebook import Rulebook
from tests.oracle.common import Fact
from tests.property.stories import fact_of, named_calendars
from tests.property.stories import rule as rule_from
from tests.stories import shipped

MINUTE = timedelta(minutes=1)
START = datetime(2026, 2, 12, 16, tzinfo=UTC)  # midnight in Shanghai, before a make-up day and a long holiday
# Days on which notices, acts and periods meet, and around each their ends.
INSTANTS = tuple(
    START + timedelta(days=days) + minutes * MINUTE + timedelta(microseconds=more)
    for days in (0, 0, 1, 3, 7, 8, 19, 30, 31)
    for minutes, more in ((0, 0), (0, -1), (540, 0), (540, 0), (545, 0), (545, 1), (570, 0), (660, 0))
)
END = START + timedelta(days=500)
_DATES = ("2026-02-13", "2026-01-14", "2026-03-14")


def kinds() -> list[str]:
    return sorted({rule.kind for rule in shipped().rulebook.rules})


@cache
def rules_of(kind: str) -> tuple[Rule, ...]:
    return tuple(rule.model_copy(update={"enabled": True}) for rule in shipped().rulebook.rules if rule.kind == kind)


@cache
def rulebook_of(rule_id: str) -> Rulebook:
    named = [rule for kind in kinds() for rule in rules_of(kind) if rule.id == rule_id]
    return Rulebook(named, shipped().rulebook.calendar)


def conditions(value: object) -> Iterator[tuple[str, Condition]]:
    """Every condition anywhere in a rule, with its field."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, Condition):
                yield name, inner
            else:
                yield from conditions(inner)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from conditions(getattr(value, name))
    elif isinstance(value, tuple):
        for inner in value:
            yield from conditions(inner)


def _values(condition: Condition) -> list[Any]:
    asked = [*(condition.one_of or ()), *(condition.none_of or ())]
    if condition.at_least is not None or condition.at_most is not None:
        bound = int(condition.at_least if condition.at_least is not None else condition.at_most or 0)
        asked += [bound, bound + 1]
    return [*asked, None, *([True, False] if any(isinstance(one, bool) for one in asked) else ["other"])]


@cache
def _fields_of(rule_id: str) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    catalogue = shipped().catalogue
    found: dict[str, list[Any]] = {}
    for rule in rulebook_of(rule_id).rules:
        for name, condition in conditions(rule):
            found.setdefault(name, []).extend(_values(condition))
    types = rulebook_of(rule_id).folds[0].listens
    for name in {name for kind in types for name in catalogue.fields(kind) if name.endswith("_on")}:
        found.setdefault(name, list(_DATES))
    return tuple((name, tuple(values)) for name, values in sorted(found.items()))


@cache
def _parts_of(rule_id: str) -> st.SearchStrategy[list[Any]]:
    fold = rulebook_of(rule_id).folds[0]
    types = sorted(fold.listens)
    ids = {subject: subject[0].upper() for subject in fold.subject_types}
    fields = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in _fields_of(rule_id)})
    parts = st.tuples(
        st.sampled_from(types),
        st.sampled_from(INSTANTS),
        st.sampled_from((timedelta(0), timedelta(0), timedelta(hours=2), timedelta(days=3))),
        fields.map(lambda drawn: {name: value for name, value in drawn.items() if value is not None}),
        st.sampled_from((ids, ids, ids, dict(list(ids.items())[-1:]))),
        st.sampled_from((*(None,) * 8, (0, False), (0, True), (1, False), (2, True))),
    )
    return st.lists(parts, min_size=2, max_size=7)


@cache
def _ids_of(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted({rule.id for rule in rules_of(kind)}))


# --- rules that count by a named calendar ---------------------------------------------------------------

_TEXTS = (
    "5 min", "2 business hours", "90 business minutes", "9 business hours", "1 day", "2 working days",
    "1 natural month",
)  # fmt: skip
_LENGTHS = tuple(map(parse_limit, _TEXTS))
_CALENDARS: tuple[CalendarChoice, ...] = (
    "office",
    "daily",
    CalendarByField.model_validate({"by": "org.unit", "of": {"U1": "office"}, "else": "daily"}),
    CalendarByField.model_validate({"by": "business", "of": {"fee": "office"}, "else": "daily"}),
)
ORGS = (None, {"unit": "U1"}, {"province": "33", "unit": "U2"}, {"unit": "U1", "city": "3301"})


def _counted(rule: Rule, calendar: CalendarChoice, limit: Limit | None) -> Rule:
    """The rule as it counts by that calendar, and has that limit, where its kind has either."""
    changed: dict[str, Any] = {}
    match rule:
        case DeadlineRule() | RecordingDelayRule():
            changed["calendar"] = calendar
            if limit is not None:
                changed["limit"] = tuple(choice.model_copy(update={"limit": limit}) for choice in rule.limit)
        case CadenceRule():
            changed = {"calendar": calendar, "period": None, "every": limit or rule.every}
        case MinimumNoticeRule() | NotBeforeRule() | RetentionRule():
            changed = {"calendar": calendar, "limit": limit or rule.limit}
    return rule.model_copy(update=changed)


@cache
def _counting(ids: tuple[str, ...], calendar: int, limit: int | None) -> Rulebook:
    own = None if limit is None else _LENGTHS[limit]
    rules = [_counted(rule, _CALENDARS[calendar], own) for kind in kinds() for rule in rules_of(kind) if rule.id in ids]
    return Rulebook(rules, shipped().rulebook.calendar, calendars=named_calendars("Asia/Shanghai"))


@st.composite
def counted_by_calendars(draw: st.DrawFn, ids: tuple[str, ...]) -> Rulebook:
    """Shipped rules, counted by calendars with opening hours, and by other limits."""
    calendar = draw(st.sampled_from(range(len(_CALENDARS))))
    return _counting(ids, calendar, draw(st.sampled_from((None, *range(len(_LENGTHS))))))


@st.composite
def followed_rules(draw: st.DrawFn, rule_id: str) -> Rulebook:
    """A shipped rule that can be breached, one that follows it, and now and then one that follows that one."""
    followed = rulebook_of(rule_id)
    types = sorted(followed.folds[0].listens)
    rules = list(followed.rules)
    for number in range(draw(st.sampled_from((1, 1, 2)))):
        stop, cancel, pause, resume = (draw(st.sampled_from(types)) for _ in range(4))
        rules.append(
            rule_from(
                {
                    "kind": "deadline",
                    "id": f"after-{number}",
                    "title": {"zh": f"后续{number}", "en": f'Follow-up "{number}"'},
                    "subject": list(rules[-1].subject),
                    "start": {"alert": rules[-1].id, "kind": "breach"},
                    "stop": stop,
                    "limit": draw(st.sampled_from((*_TEXTS, "same working day"))),
                    "calendar": draw(st.sampled_from(("office", "daily"))),
                    "warn_at": draw(st.sampled_from(((), (0.5, 0.9)))),
                    **draw(st.sampled_from(({}, {"cancel": cancel}, {"pause": pause, "resume": resume}))),
                }
            )
        )
    return Rulebook(rules, shipped().rulebook.calendar, calendars=named_calendars("Asia/Shanghai"))


@st.composite
def shipped_histories(draw: st.DrawFn, kind: str) -> tuple[str, list[Fact]]:
    """A rule's id, and events that concern it."""
    rule_id = draw(_ids_of(kind))
    drawn = draw(_parts_of(rule_id))
    return rule_id, [fact_of(index, *part) for index, part in enumerate(drawn)]
