"""Rules about an act, as the document for the native engine writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.base import Text
from schemas.limits import Limit, UntilDate
from schemas.patterns import Need
from schemas.rules import (
    ActRule,
    AtMostRule,
    EvidenceRule,
    ForbiddenWhileRule,
    MinimumNoticeRule,
    NotBeforeRule,
    PrerequisiteRule,
    RecordingDelayRule,
    RetentionRule,
)
from streams.core.event import SUBJECT_TYPES
from streams.core.faults import (
    Forbidden,
    Label,
    Lacks,
    RecordedLate,
    TooEarly,
    TooLate,
    TooMany,
    Without,
    sayable,
)
from streams.core.kinds.acts import ActVersion
from streams.core.kinds.evidence import alternative_text
from streams.core.kinds.patterns import label_of, title_of
from streams.engine.days import NotExpressible
from streams.engine.parts import Parts, only
from streams.engine.texts import BY, LAWFUL, RECORDED, SINCE, Lines, case_lines, fault_texts, lines_of

_ID_FIELDS: Final = {f"{kind}_id": f"id of {kind}" for kind in SUBJECT_TYPES}
"""What a watched id of a subject is called: where conditions may ask for it, it is no field of the event."""

_FIELDS: Final = frozenset(
    {"kind", "act", "reset", "closed_by", "when", "facts_from", "needs", "by", "cancel", "carry", "limit", "n", "per"}
) | {"period", "during", "since", "date_field", "reading_days", "notice", "at_most", "covers", "calendar"}


def act(parts: Parts, rule: ActRule, version: ActVersion[Any]) -> dict[str, Any]:
    """One version of a rule, from the model and from what its fold has compiled.

    Raises:
        NotExpressible: where the document has no form for it.
    """
    only(rule, _FIELDS)
    limit = getattr(rule, "limit", None)
    if any(isinstance(one, UntilDate) for one in (limit, getattr(rule, "at_most", None))):
        raise NotExpressible
    chosen = isinstance(rule, RecordingDelayRule)  # its lines are those of its choices
    return {
        "span": parts.span(rule),
        "act": parts.patterns(rule.act),
        "reset": parts.patterns(rule.reset),
        "closed_by": parts.patterns(rule.closed_by),
        "facts": parts.type(rule.facts_from),
        "when": parts.conditions(rule.when),
        "slots": [_slot(parts, slot.need, slot.label) for slot in version.slots],
        "listens": parts.known(version.listens),
        "case": case_lines(rule, None if chosen else limit),
        "body": _body(parts, rule, version.titles),
        "lines": {} if chosen else _lines(parts, rule, limit, version.titles),
    }


def _lines(parts: Parts, rule: ActRule, limit: Limit | None, titles: Mapping[str, Text]) -> dict[str, Lines]:
    """The lines of a violation by the act's event type."""
    return {
        str(parts.type(name)): lines_of(rule, limit, "violation", "", title_of(name, titles))
        for name in {pattern.type for pattern in rule.act}
    }


def _body(parts: Parts, rule: ActRule, titles: Mapping[str, Text]) -> Any:
    found: dict[str, Any]
    match rule:
        case PrerequisiteRule():
            return "prerequisite"
        case EvidenceRule():
            found = {
                "by": parts.patterns(rule.by),
                "cancel": parts.patterns(rule.cancel),
                "carry": [parts.conditions(conditions) for conditions in rule.carry],
                "lacks": fault_texts(Lacks(tuple(alternative_text(conditions) for conditions in rule.carry))),
            }
        case RecordingDelayRule():
            found = {
                "choices": [
                    {
                        "when": parts.conditions(choice.when),
                        "limit": parts.limit(choice.limit),
                        "case": case_lines(rule, choice.limit),
                        "lines": _lines(parts, rule, choice.limit, titles),
                    }
                    for choice in rule.limit
                ],
                "late": fault_texts(RecordedLate(RECORDED, BY), "recorded ⟦number⟧", recorded_by="⟦by⟧"),
            }
        case AtMostRule():
            found = _at_most(parts, rule)
        case ForbiddenWhileRule():
            only(rule.during, frozenset({"since", "until", "not_after"}))
            found = {
                "since": parts.patterns(rule.during.since),
                "until": parts.patterns((*rule.during.until, *rule.reset)),
                "not_after": parts.patterns(rule.during.not_after),
                "forbidden": fault_texts(Forbidden(label_of(rule.during.since, titles), SINCE)),
            }
        case NotBeforeRule():
            found = {
                "since": parts.patterns(rule.since),
                "date_field": None if rule.date_field is None else parts.field(rule.date_field),
                "limit": parts.limit(rule.limit),
                "early": _early(label_of(rule.since, titles)),
            }
        case RetentionRule():
            found = {
                "since": parts.patterns(rule.since),
                "days": parts.patterns((*rule.since, *rule.reading_days)),
                "reading_day": parts.field("reading_day"),
                "limit": parts.limit(rule.limit),
                "early": _early(label_of(rule.since, titles)),
            }
        case MinimumNoticeRule():
            found = _minimum_notice(parts, rule, label_of(rule.notice, titles))
        case _:
            raise NotExpressible
    return {rule.kind: found}


def _at_most(parts: Parts, rule: AtMostRule) -> dict[str, Any]:
    count, value = 987_654_321, "⟦value⟧"
    many = TooMany(count, rule.n, None if rule.per is None else value)
    return {
        "n": rule.n,
        "per": None if rule.per is None else parts.field(rule.per),
        "period": None if rule.period is None else rule.period.removeprefix("natural "),
        "many": fault_texts(many, number=str(count), value=sayable(value)),
    }


def _minimum_notice(parts: Parts, rule: MinimumNoticeRule, label: Label) -> dict[str, Any]:
    return {
        "notice": parts.patterns(rule.notice),
        "covers": [[_named(parts, name) for name in names] for names in rule.covers.items()],
        "limit": parts.limit(rule.limit),
        "at_most": None if rule.at_most is None else parts.limit(rule.at_most),
        "without": fault_texts(Without(label)),
        "early": _early(label),
        "late": fault_texts(TooLate(label, SINCE, LAWFUL), "late ⟦number⟧"),
    }


def _early(label: Label) -> dict[str, str]:
    return fault_texts(TooEarly(label, SINCE, LAWFUL), "early ⟦number⟧")


def _named(parts: Parts, name: str) -> dict[str, int]:
    ids = list(_ID_FIELDS)
    return {"id": ids.index(name)} if name in ids else {"field": parts.field(name)}


def _slot(parts: Parts, need: Need, label: Label) -> dict[str, Any]:
    only(need, frozenset({"any", "if_act", "same_day", "after_start"}))
    return {
        "tests": parts.patterns(need.any),
        "if_act": parts.conditions({_ID_FIELDS.get(name, name): test for name, test in need.if_act.items()}),
        "same_day": need.same_day,
        "after_start": need.after_start,
        "missing": fault_texts(Without(label)),
        "on_day": fault_texts(Without(label, on_day=True)),
        "by_close": fault_texts(Without(label, on_day=need.same_day, by=BY)),
    }
