"""A naive judge: every event in a list, everything worked out again at every question. It knows nothing of the engine.

One file a rule kind, each with a function ``cases_of(versions, facts, calendar, as_of)``: the cases of one rule
(all its versions) on one subject, from the facts that concern it, corrections applied, in order, none later than
``as_of``. A new kind joins by its line in ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from schemas.calendars import CalendarSpec
from schemas.rules import DeadlineRule, Rule
from tests.once import once_each
from tests.oracle import (
    at_most,
    cadence,
    deadline,
    evidence,
    follow_up,
    forbidden_while,
    minimum_notice,
    not_before,
    prerequisite,
    recording_delay,
    sequence,
)
from tests.oracle.common import Fact, Found, as_it_was, subject_of

Subject = tuple[str, str]
Standing = tuple[Subject, str, str, str, datetime]
"""A report that must stand: subject, rule, root event, kind, the instant it is about."""

CasesOf = Callable[[Sequence[Any], Sequence[tuple[Fact, str]], CalendarSpec, datetime], list[Found]]

KINDS: dict[str, CasesOf] = {
    "deadline": deadline.cases_of,
    "prerequisite": prerequisite.cases_of,
    "forbidden_while": forbidden_while.cases_of,
    "minimum_notice": minimum_notice.cases_of,
    "not_before": not_before.cases_of,
    "retention": not_before.retained,
    "at_most": at_most.cases_of,
    "evidence": evidence.cases_of,
    "recording_delay": recording_delay.cases_of,
    "sequence": sequence.cases_of,
    "cadence": cadence.cases_of,
}


def cases(
    rules: Sequence[Rule], facts: Sequence[Fact], calendar: CalendarSpec, as_of: datetime
) -> dict[Subject, list[Found]]:
    """Every case of every subject as of an instant; subjects without any are left out."""
    found: dict[Subject, list[Found]] = {}
    for subject in sorted({pair for fact in facts for pair in fact.ids.items()}):
        kind, number = subject
        history = as_it_was([fact for fact in facts if fact.ids.get(kind) == number and is_heard(fact, kind, rules)])
        seen = [pair for pair in history if pair[0].at <= as_of]
        for rule_id in sorted({rule.id for rule in rules if rule.enabled}):
            judged = _judged(rule_id, rules, subject, seen, calendar, as_of)
            if judged:
                found.setdefault(subject, []).extend(judged)
    return found


def _judged(
    rule_id: str,
    rules: Sequence[Rule],
    subject: Subject,
    seen: Sequence[tuple[Fact, str]],
    calendar: CalendarSpec,
    as_of: datetime,
) -> list[Found]:
    """The cases of one rule; those of a follow-up from the cases of the rule that it follows."""
    versions: list[Any] = [rule for rule in rules if rule.id == rule_id and rule.enabled]
    own = [pair for pair in seen if subject_of(versions[0], pair[0]) == subject]
    if isinstance(versions[0], DeadlineRule) and versions[0].start.alert is not None:
        breached = _judged(versions[0].start.alert, rules, subject, seen, calendar, as_of)
        return follow_up.cases_of(versions, breached, own, calendar, as_of)
    return KINDS[versions[0].kind](versions, own, calendar, as_of)


def is_heard(fact: Fact, kind: str, rules: Sequence[Rule]) -> bool:
    """Whether a subject of a type hears of a fact: of corrections always, else of what some rule asks for."""
    return fact.corrects is not None or fact.type in set().union(
        *(types_of(rule) for rule in rules if rule.enabled and kind in rule.subject)
    )


@once_each
def types_of(rule: Rule) -> frozenset[str]:
    """The event types that a rule names; made once, for it is asked of every fact at every question."""
    return frozenset(types_in(rule.model_dump()))


def types_in(written: Any) -> set[str]:
    """The event types that a rule names anywhere."""
    if isinstance(written, dict):
        named = {str(value) for key, value in written.items() if key in ("type", "facts_from") and value}
        return named.union(*map(types_in, written.values()))
    return set().union(*map(types_in, written)) if isinstance(written, list | tuple) else set()


def standing(judged: dict[Subject, list[Found]]) -> set[Standing]:
    """The reports that must have been told and not withdrawn."""
    return {
        (subject, case.rule, case.root, kind, due)
        for subject, found in judged.items()
        for case in found
        for kind, due in case.reports
    }
