"""Finds rules that are well formed but can never apply, for ``gridclock rules check``.

Such a rule is still loaded, because it gives no wrong verdict: it waits for an event that cannot occur. Only rules that
are impossible for every history are reported; unusual ones are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from schemas.events import EventCatalogue
from schemas.limits import DAY, HOUR, BillingCycles, CalendarDays, Elapsed, Limit, NaturalMonths, WorkingDays
from schemas.patterns import Choices, Condition, Conditions, Pattern, Scalar
from schemas.rules import (
    ActRule,
    DeadlineRule,
    EvidenceRule,
    ForbiddenWhileRule,
    MinimumNoticeRule,
    PrerequisiteRule,
    RecordingDelayRule,
    Rule,
)
from streams.core.follow_ups import followed_by, starting_types
from streams.core.rule_checks import conditions_of, patterns_of
from streams.core.rulebook import Rulebook
from streams.errors import ConfigError
from streams.rulebooks.loader import LoadedRulebook
from streams.rulebooks.version_gaps import gaps
from streams.rulebooks.yaml_files import Keys, line_of

Found = Iterator[tuple[Keys, str]]
"""Keys inside a rule, and the problem there with a remedy."""

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "integer": (int, float),
    "number": (int, float),
    "string": (str,),
    "date": (str,),
    "time": (str,),
}


def check_possible(loaded: LoadedRulebook) -> None:
    """Refuse a rulebook with rules that can never apply, or that leave dates to no version.

    Raises:
        ConfigError: names file, line, rule and key; several problems are in its ``others``.
    """
    problems = [
        ConfigError(
            message,
            path=item.path,
            line=line_of(item.node, keys),
            rule=item.rule.id,
            key=".".join(map(str, keys)),
        )
        for item in loaded.loaded
        for keys, message in (
            *_found_in(item.rule, loaded),
            *_follows_none(item.rule, loaded.rulebook),
            *gaps(loaded, item.rule),
        )
    ]
    if problems:
        raise ConfigError.first_of(problems)


def _found_in(rule: Rule, loaded: LoadedRulebook) -> Found:
    found = list(_unworkable(rule, loaded.catalogue))
    named = {keys for keys, _ in found}
    yield from found
    begin = starting_types(rule, loaded.rulebook.rules)
    lent = rule.facts_from if isinstance(rule, DeadlineRule | ActRule) else None
    for keys, name, condition, types in conditions_of(rule, (), [*begin, *([lent] if lent else [])]):
        if keys not in named and (why := _never_is(name, condition, types, loaded.catalogue)) is not None:
            yield keys, why


def _never_is(name: str, condition: Condition, types: Sequence[str], catalogue: EventCatalogue) -> str | None:
    """Why a value that a condition asks for, or excludes, is none that the field of any of the types can have."""
    having = [one for one in dict.fromkeys(types) if name in catalogue.models[one].model_fields]
    for value in (*(condition.one_of or ()), *(condition.none_of or ())):
        if having and not any(_may_be(value, one, name, catalogue) for one in having):
            possible = catalogue.values_of(having[0], name)
            what = f"one of {', '.join(map(str, possible))}" if possible else catalogue.kind_of(having[0], name)
            return f"{having[0]}.{name} is never {value!r}: it is {what}; write such a value"
    return None


def _may_be(value: Scalar, event_type: str, name: str, catalogue: EventCatalogue) -> bool:
    kind, possible = catalogue.kind_of(event_type, name), catalogue.values_of(event_type, name)
    if kind == "number" and isinstance(value, str):  # an amount may be a text
        return True
    known = _TYPES.get(kind)
    if known is not None and (isinstance(value, bool) != (known == (bool,)) or not isinstance(value, known)):
        return False
    return not possible or value in possible


def _unworkable(rule: Rule, catalogue: EventCatalogue) -> Found:
    for keys, pattern in patterns_of(rule, ()):
        for name, condition in pattern.where.items():
            if (why := _never(pattern.type, name, condition, catalogue)) is not None:
                yield (*keys, "where", name), f"no event can be this: {why}"
    match rule:
        case DeadlineRule():
            types = [pattern.type for group in rule.start.all for pattern in group]
            yield from _choices(rule.limit, [*types, rule.facts_from], catalogue)
            yield from _against_start(rule)
            yield from _resumes(rule)
        case RecordingDelayRule():
            yield from _choices(rule.limit, [*(pattern.type for pattern in rule.act), rule.facts_from], catalogue)
        case MinimumNoticeRule():
            yield from _notice_in_time(rule)
            yield from _needs_in_time(rule)
        case PrerequisiteRule():
            yield from _needs_in_time(rule)
        case EvidenceRule() if not rule.by:
            yield from _needs_in_time(rule)
        case ForbiddenWhileRule() if _all_within(rule.during.since, rule.during.until):
            yield (
                ("during", "until"),
                "every event that begins the condition ends it at that instant: it never holds; "
                "narrow until to other events",
            )
        case _:
            pass


def _follows_none(rule: Rule, rulebook: Rulebook) -> Found:
    followed = followed_by(rule)
    if rule.enabled and followed is not None and followed not in rulebook.watched:
        yield ("start", "alert"), f"{followed!r} is disabled, so it is never breached: enable it, or disable this rule"


# --- fields ---------------------------------------------------------------------------------------------------


def _never(event_type: str, name: str, condition: Condition, catalogue: EventCatalogue) -> str | None:
    """The reason why no event of the type meets the condition on its field, with a remedy; ``None`` where one may."""
    described = catalogue.models[event_type].model_fields.get(name)
    if described is None:
        return None
    kind, place = catalogue.kind_of(event_type, name), f"{event_type}.{name}"
    known = _TYPES.get(kind)
    if kind == "array" and condition.one_of is not None:
        return f"{place} is a list, which equals no single value; ask whether it is present"
    if known is not None and condition.one_of is not None:
        wrong = [value for value in condition.one_of if isinstance(value, bool) != (known == (bool,))
                 or not isinstance(value, known)]  # fmt: skip
        if wrong:
            return f"{place} is of kind {kind}, never {', '.join(map(repr, wrong))}; write a value of that kind"
    if known is not None and known != (int, float) and (condition.at_least, condition.at_most) != (None, None):
        return f"{place} is of kind {kind}; at_least and at_most compare numbers: name a field of kind number"
    if described.is_required():
        possible = catalogue.values_of(event_type, name)
        if condition.none_of is not None and possible and set(possible) <= set(condition.none_of):
            return f"{place} is always one of {', '.join(map(str, possible))}; leave one of them out of not"
        if condition.present is False:
            return f"every {event_type} has {name}; leave out present: false"
    return None


def _unlisted(event_type: str, name: str, condition: Condition, catalogue: EventCatalogue) -> str | None:
    possible = catalogue.values_of(event_type, name)
    if condition.one_of is None or not possible or _values(condition.one_of) & _values(possible):
        return None
    return f"{event_type}.{name} is one of {', '.join(map(str, possible))}; write one of these"


# --- limits ---------------------------------------------------------------------------------------------------


def _choices(choices: Choices, types: Sequence[str | None], catalogue: EventCatalogue) -> Found:
    """Limits for values that no event of the types has, and those always preceded by an earlier one."""
    for index, choice in enumerate(choices):
        for name, condition in choice.when.items():
            having = [one for one in types if one is not None and name in catalogue.models[one].model_fields]
            reasons = [_never(one, name, condition, catalogue) or _unlisted(one, name, condition, catalogue)
                       for one in having]  # fmt: skip
            if reasons and all(reasons):
                yield ("limit", index, "when", name), f"is never reached: {reasons[0]}"
        for before, earlier in enumerate(choices[:index]):
            if _implies(choice.when, earlier.when):
                yield (
                    ("limit", index),
                    f"is never reached: limit.{before} applies to all that it applies to, and comes first; "
                    "put it before that one, or remove it",
                )
                break


def _against_start(rule: DeadlineRule) -> Found:
    """Conditions on the start's fields that no start of the rule can meet."""
    if len(rule.start.all) != 1:
        return
    starts = rule.start.all[0]
    for index, choice in enumerate(rule.limit) if rule.facts_from is None else ():
        if (name := _excluded(choice.when, starts)) is not None:
            yield ("limit", index, "when", name), f"is never reached: no start of this rule has such a {name}; {_START}"
    for keys, pattern in patterns_of(rule, ()):
        if (name := _excluded(pattern.if_start, starts)) is not None:
            yield (*keys, "if_start", name), f"never holds: no start of this rule has such a {name}; {_START}"


_START: Final = "change it, or the start's where"


def _excluded(conditions: Conditions, starts: Sequence[Pattern]) -> str | None:
    """The field on which every start's conditions contradict these; ``None`` where some start may meet them."""
    for name, condition in conditions.items():
        if all(name in start.where and _contradict(condition, start.where[name]) for start in starts):
            return name
    return None


def _notice_in_time(rule: MinimumNoticeRule) -> Found:
    if rule.at_most is not None and _is_longer(rule.limit, rule.at_most):
        yield (
            ("at_most",),
            f"no act can be lawful: {rule.at_most.text} after a notice is over before {rule.limit.text} have passed; "
            "give an at_most that is longer than limit",
        )
    for act_field, notice_field in rule.covers.items():
        pairs = [
            (act.where.get(act_field), notice.where.get(notice_field)) for act in rule.act for notice in rule.notice
        ]
        if all(one is not None and other is not None and _contradict(one, other) for one, other in pairs):
            yield (
                ("covers", act_field),
                f"no notice covers an act: act and notice ask for different values of {act_field} and {notice_field}; "
                "change their where, or leave the field out of covers",
            )


def _is_longer(limit: Limit, bound: Limit) -> bool:
    """Whether the first lawful instant is after the last one, from every start and by every calendar."""
    if isinstance(limit, Elapsed) and isinstance(bound, Elapsed):
        return limit.microseconds > bound.microseconds
    if type(limit) is type(bound) and isinstance(limit, WorkingDays) and isinstance(bound, WorkingDays):
        return limit.days > bound.days
    least, most = _days(limit), _days(bound)
    if isinstance(limit, Elapsed):
        return most is not None and limit.microseconds > (most[1] + 1) * DAY + 2 * HOUR  # a day may have 25 hours
    if isinstance(bound, Elapsed):
        return least is not None and bound.microseconds < (least[0] - 1) * DAY - 2 * HOUR
    return least is not None and most is not None and least[0] > most[1]


def _days(limit: Limit) -> tuple[int, float] | None:
    """The least and the most local days that a limit of days may have; ``None`` for others."""
    match limit:
        case CalendarDays():
            return limit.days, limit.days
        case WorkingDays():
            return limit.days, float("inf")
        case NaturalMonths():
            return 28 * limit.months, 31 * limit.months
        case BillingCycles():
            return 28 * limit.cycles, 31 * limit.cycles
        case _:
            return None


# --- events that undo one another -----------------------------------------------------------------------------


def _resumes(rule: DeadlineRule) -> Found:
    """Pauses after which the clock never runs again."""
    if rule.pause and _all_within(rule.resume, rule.pause):
        yield (
            ("resume",),
            "every event that resumes the clock pauses it again at once: it never runs again; "
            "narrow pause or resume with where, or name another event",
        )
        return
    for index, pause in enumerate(rule.pause):
        ending = [resume for resume in rule.resume if not resume.ends or _may_end(resume.ended, pause)]
        if not ending:
            yield ("pause", index), "never ends: no resume ends it (ends); add a resume for it, or name it in one"
        elif all(_conflict(pause.if_start, resume.if_start) for resume in ending):
            yield (
                ("pause", index),
                "never ends: every resume asks for another start (if_start) than this pause; "
                "add a resume for it, or change if_start",
            )


def _may_end(ends: Sequence[Pattern], pause: Pattern) -> bool:
    return any(one.type == pause.type and not _conflict(one.where, pause.where) for one in ends)


def _needs_in_time(rule: PrerequisiteRule | MinimumNoticeRule | EvidenceRule) -> Found:
    """Needs that can only occur at the act or later, of a rule that requires them by the act."""
    for index, need in enumerate(rule.needs):
        if need.after_start:
            yield (
                ("needs", index, "after_start"),
                "it can never be before the act: after_start takes only what comes at the act or later; "
                "leave it out, or write a rule of kind evidence with by",
            )


def _all_within(patterns: Iterable[Pattern], others: Sequence[Pattern]) -> bool:
    """Whether every event that matches the patterns also matches the others."""
    return all(
        any(
            pattern.type == other.type
            and _implies(pattern.where, other.where)
            and _implies(pattern.if_start, other.if_start)
            for other in others
        )
        for pattern in patterns
    )


# --- conditions -----------------------------------------------------------------------------------------------


def _implies(conditions: Conditions, others: Conditions) -> bool:
    """Whether a value that meets the first conditions always meets the second."""
    return all(
        name in conditions and (conditions[name] == other or _is_part(conditions[name], other))
        for name, other in others.items()
    )


def _is_part(condition: Condition, other: Condition) -> bool:
    if condition.one_of is None:
        return False
    if other.one_of is not None:
        return _values(condition.one_of) <= _values(other.one_of)
    return other.none_of is not None and not _values(condition.one_of) & _values(other.none_of)


def _conflict(first: Conditions, second: Conditions) -> bool:
    return any(name in second and _contradict(condition, second[name]) for name, condition in first.items())


def _contradict(first: Condition, second: Condition) -> bool:
    """Whether no value of one field meets both."""
    for one, other in ((first, second), (second, first)):
        if one.one_of is None:
            continue
        values = _values(one.one_of)
        if other.one_of is not None and not values & _values(other.one_of):
            return True
        if other.none_of is not None and values <= _values(other.none_of):
            return True
        if other.present is False and not any(value == "" for value in one.one_of):
            return True
    return {first.present, second.present} == {True, False}


def _values(values: Iterable[object]) -> set[tuple[bool, object]]:
    return {(isinstance(value, bool), value) for value in values}  # true is not the number 1
