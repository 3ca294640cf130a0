"""Checks of rules against the vocabulary, against one another, and between the versions of one rule.

Every error is a ``Problem``: the rule's position in the list, the keys inside the rule, and the message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pydantic import BaseModel

from schemas.events import SUBJECT_FIELDS, EventCatalogue
from schemas.limits import Limit, UntilDate
from schemas.patterns import Choices, Condition, Pattern
from schemas.rules import (
    ActRule,
    AtMostRule,
    CadenceRule,
    CalendarByField,
    CalendarChoice,
    DeadlineRule,
    EvidenceRule,
    MinimumNoticeRule,
    NotBeforeRule,
    PrerequisiteRule,
    RecordingDelayRule,
    RetentionRule,
    Rule,
)
from streams.core.follow_ups import starting_types, wrong_follow_ups


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in a rule: its position in the list, the path of keys inside it, and the message."""

    index: int
    rule_id: str
    keys: tuple[str | int, ...]
    message: str


def check(rules: Sequence[Rule], catalogue: EventCatalogue) -> list[Problem]:
    """All errors of the rules against one another and the vocabulary; empty if there are none."""
    problems: list[Problem] = []
    for index, rule in enumerate(rules):
        for keys, message in _vocabulary(rule, catalogue, rules):
            problems.append(Problem(index, rule.id, keys, message))
    problems.extend(_versions(rules))
    return problems


def check_follow_ups(rules: Sequence[Rule]) -> list[Problem]:
    """The errors of rules that start with the breach of another, among all rules of a rulebook."""
    return [Problem(index, rules[index].id, keys, message) for index, keys, message in wrong_follow_ups(rules)]


def _calendar_choice(rule: Rule) -> CalendarChoice | None:
    match rule:
        case DeadlineRule() | MinimumNoticeRule() | NotBeforeRule() | RetentionRule() | RecordingDelayRule():
            return rule.calendar
        case CadenceRule():
            return rule.counted_by
        case _:
            return None


def calendars_of(rule: Rule) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The calendars that a rule names, each with the keys inside the rule."""
    choice = _calendar_choice(rule)
    if isinstance(choice, str):
        yield ("calendar",), choice
    elif choice is not None:
        yield from ((("calendar", "of", value), name) for value, name in choice.of.items())
        yield ("calendar", "else"), choice.otherwise


def _vocabulary(
    rule: Rule, catalogue: EventCatalogue, rules: Sequence[Rule]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    start_types = [name for name in starting_types(rule, rules) if name in catalogue.types]
    for keys, pattern in patterns_of(rule, ()):
        if pattern.type not in catalogue.types:
            yield (*keys, "type"), _unknown_type(pattern.type, catalogue)
            continue
        yield from _where(pattern, keys, catalogue)
    yield from _ends(rule, catalogue)
    yield from _unless(rule, catalogue)
    yield from _comparisons(rule, catalogue, start_types)
    facts_from = rule.facts_from if isinstance(rule, DeadlineRule | ActRule) else None
    if facts_from is not None and facts_from not in catalogue.types:
        yield ("facts_from",), _unknown_type(facts_from, catalogue)
        facts_from = None
    types = [*start_types, *([facts_from] if facts_from else [])]
    choice = _calendar_choice(rule)
    if types and isinstance(choice, CalendarByField) and (field := choice.by.partition(".")[0]) != "org":
        yield from _known([(("calendar", "by"), field)], [], types, catalogue)
    if isinstance(rule, DeadlineRule):
        yield from _start_fields(rule, rule.limit, types, catalogue)
        return
    for keys, pattern in patterns_of(rule, ()):
        if pattern.if_start:
            yield (*keys, "if_start"), "only a deadline has a start whose fields could be asked for"
    if isinstance(rule, ActRule):
        yield from _act_fields(rule, facts_from, catalogue)
    if isinstance(rule, CadenceRule) and rule.period is not None:
        yield from _known([(("period",), rule.period)], rule.act, [], catalogue)


def _where(
    pattern: Pattern, keys: tuple[str | int, ...], catalogue: EventCatalogue
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The errors of the fields that a pattern of a known type asks for."""
    for name in pattern.where:
        if name not in catalogue.fields(pattern.type):
            yield (*keys, "where", name), _unknown_field(name, [pattern.type], catalogue)
            continue
        asked, possible = pattern.where[name].one_of, catalogue.values_of(pattern.type, name)
        never = [value for value in asked or () if possible and value not in possible]
        if never:
            yield (
                (*keys, "where", name),
                f"{pattern.type}.{name} is never {', '.join(map(str, never))}; "
                f"it is one of {', '.join(map(str, possible))}",
            )


def _ends(rule: Rule, catalogue: EventCatalogue) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The errors of pauses that a resume names."""
    pauses = {pattern.type for pattern in rule.pause} if isinstance(rule, DeadlineRule) else set()
    for keys, pattern in patterns_of(rule, ()):
        if not pattern.ends:
            continue
        if not isinstance(rule, DeadlineRule) or keys[0] != "resume" or rule.start.alert is not None:
            yield (*keys, "ends"), "only a deadline's resume ends pauses, and not that of a follow-up"
        elif any(condition.start_field for one in pattern.ends for condition in one.where.values()):
            yield (*keys, "ends"), "a pause that a resume ends is asked for its own fields only, not for start.FIELD"
        elif unknown := sorted({one.type for one in pattern.ends} - pauses):
            yield (*keys, "ends"), f"no pause of this rule is {unknown[0]}; they are {', '.join(sorted(pauses))}"
        else:
            for index, one in enumerate(pattern.ended):
                if one.type in catalogue.types:
                    yield from _where(one, (*keys, "ends", index), catalogue)


def _unless(rule: Rule, catalogue: EventCatalogue) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The errors of the events after which something pauses no more."""
    for keys, pattern in patterns_of(rule, ()):
        if not pattern.unless:
            continue
        if not isinstance(rule, DeadlineRule) or keys[0] != "pause" or rule.start.alert is not None:
            yield (*keys, "unless"), "only a deadline's pause has events that keep it from pausing, no follow-up's"
        elif unknown := [name for name in pattern.unless if name not in catalogue.types]:
            yield (*keys, "unless"), _unknown_type(unknown[0], catalogue)
        elif pattern.type in pattern.unless:
            yield (*keys, "unless"), f"{pattern.type} would keep itself from pausing; name another event"


_COMPARED: Final[Mapping[str, Collection[str]]] = {
    "deadline": ("stop", "pause", "resume", "cancel"),
    "prerequisite": ("needs",),
    "evidence": ("needs",),
    "minimum_notice": ("needs", "notice"),
    "not_before": ("since",),
}
"""By kind of rule, the events that may be compared with the one that starts a case: a start, or an act."""

_NOTHING_TO_COMPARE: Final = (
    "nothing to compare with here; stop, pause, resume and cancel compare with a deadline's start, "
    "needs, notice and since (of not_before) with the act"
)
_ORDERED = {"number", "integer", "date", "time"}


def _comparisons(
    rule: Rule, catalogue: EventCatalogue, start_types: Sequence[str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The errors of conditions that compare with the start of the case."""
    begin: Sequence[str] = start_types
    if not isinstance(rule, DeadlineRule):
        begin = [pattern.type for pattern in rule.act] if isinstance(rule, ActRule | CadenceRule) else []
    lent = rule.facts_from if isinstance(rule, DeadlineRule | ActRule) else None
    begin = [name for name in dict.fromkeys([*begin, *([lent] if lent else [])]) if name in catalogue.types]
    for keys, name, condition, types in conditions_of(rule, (), begin):
        other = condition.start_field
        if other is None:
            continue
        if "if_start" in keys or ("where" in keys and keys[0] not in _COMPARED.get(rule.kind, ())):
            yield keys, _NOTHING_TO_COMPARE
            continue
        if begin and not any(other in catalogue.fields(event_type) for event_type in begin):
            yield keys, _unknown_field(other, begin, catalogue)
            continue
        if condition.same_as is None:
            for field, of in ((name, types), (other, begin)):
                known = [one for one in of if one in catalogue.types]
                wrong = _of_other_kind(field, sorted(_ORDERED), known, catalogue)
                if wrong is not None:
                    yield keys, wrong


def conditions_of(
    value: object, keys: tuple[str | int, ...], types: Sequence[str]
) -> Iterator[tuple[tuple[str | int, ...], str, Condition, Sequence[str]]]:
    """Each condition with its keys, its field, and the event types whose field it is."""
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, Condition):
                yield (*keys, name), name, item, types
    elif isinstance(value, BaseModel) and not isinstance(value, Condition):
        own = [value.type] if isinstance(value, Pattern) else types
        for name in type(value).model_fields:
            yield from conditions_of(getattr(value, name), (*keys, name), types if name == "if_start" else own)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from conditions_of(item, (*keys, index), types)


Named = Iterable[tuple[tuple[str | int, ...], str]]
"""Keys inside a rule, and the field named there."""


def _act_fields(
    rule: ActRule, facts_from: str | None, catalogue: EventCatalogue
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    facts = [facts_from] if facts_from else []
    yield from _known(((("when", name), name) for name in rule.when), rule.act, facts, catalogue)
    of_act: list[tuple[tuple[str | int, ...], str]] = []
    needs = rule.needs if isinstance(rule, PrerequisiteRule | MinimumNoticeRule | EvidenceRule) else ()
    of_act += [
        (("needs", index, "if_act", name), name)
        for index, need in enumerate(needs)
        for name in need.if_act
        if name not in SUBJECT_FIELDS
    ]
    match rule:
        case EvidenceRule():
            of_act += [(("carry", index, name), name) for index, fields in enumerate(rule.carry) for name in fields]
        case AtMostRule(per=str(per)):
            of_act.append((("per",), per))
        case MinimumNoticeRule():
            of_act += [(("covers", name), name) for name in rule.covers if name not in SUBJECT_FIELDS]
            for key, limit in (("limit", rule.limit), ("at_most", rule.at_most)):
                yield from _agreed_field((key,), limit, rule.notice, catalogue)
            covers: Named = [(("covers", act_field), name) for act_field, name in rule.covers.items()]
            yield from _known([item for item in covers if item[1] not in SUBJECT_FIELDS], rule.notice, [], catalogue)
        case NotBeforeRule():
            yield from _agreed_field(("limit",), rule.limit, rule.since, catalogue)
            if rule.date_field is not None:
                yield from _dated(("date_field",), rule.date_field, ("date",), rule.since, catalogue)
        case RecordingDelayRule():
            of_act += [
                (("limit", index, "when", name), name)
                for index, choice in enumerate(rule.limit)
                for name in choice.when
                if name != "event_type"
            ]
        case _:
            pass
    yield from _known(of_act, rule.act, [], catalogue)


def _agreed_field(
    keys: tuple[str | int, ...], limit: Limit | None, patterns: Sequence[Pattern], catalogue: EventCatalogue
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The errors of the field that a limit ends at."""
    if isinstance(limit, UntilDate):
        yield from _dated(keys, limit.field, ("date", "time"), patterns, catalogue)


def _dated(
    keys: tuple[str | int, ...],
    name: str,
    kinds: Sequence[str],
    patterns: Sequence[Pattern],
    catalogue: EventCatalogue,
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The errors of an event field that must be of one of the kinds."""
    yield from _known([(keys, name)], patterns, [], catalogue)
    types = [pattern.type for pattern in patterns if pattern.type in catalogue.types]
    if (wrong := _of_other_kind(name, kinds, types, catalogue)) is not None:
        yield keys, wrong


def _known(
    named: Named, patterns: Iterable[Pattern], facts: Sequence[str], catalogue: EventCatalogue
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The named fields that none of the event types has."""
    types = [pattern.type for pattern in patterns if pattern.type in catalogue.types] + list(facts)
    known = {name for event_type in types for name in catalogue.fields(event_type)}
    for keys, name in named:
        if types and name not in known:
            yield keys, _unknown_field(name, types, catalogue)


def _start_fields(
    rule: DeadlineRule, choices: Choices, start_types: Sequence[str], catalogue: EventCatalogue
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not start_types:
        return
    known = {name for event_type in start_types for name in catalogue.fields(event_type)}
    for index, choice in enumerate(choices):
        for name in choice.when:
            if name not in known:
                yield ("limit", index, "when", name), _unknown_field(name, start_types, catalogue)
        if isinstance(choice.limit, UntilDate) and choice.limit.field not in known:
            yield ("limit", index, "is"), _unknown_field(choice.limit.field, start_types, catalogue)
        elif isinstance(choice.limit, UntilDate):
            wrong = _of_other_kind(choice.limit.field, ("date", "time"), start_types, catalogue)
            if wrong is not None:
                yield ("limit", index, "is"), wrong
    for keys, pattern in patterns_of(rule, ()):
        for name in pattern.if_start:
            if name not in known:
                yield (*keys, "if_start", name), _unknown_field(name, start_types, catalogue)


def patterns_of(value: object, keys: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Pattern]]:
    """Every pattern of events in a rule, or in a part of one, with the keys at which it stands."""
    if isinstance(value, Pattern):
        yield keys, value
    elif isinstance(value, Condition):
        return
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from patterns_of(getattr(value, name), (*keys, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from patterns_of(item, (*keys, index))


def _of_other_kind(name: str, kinds: Sequence[str], types: Sequence[str], catalogue: EventCatalogue) -> str | None:
    """The message for a field that is of none of the kinds, in one of the types that have it."""
    for event_type in types:
        if name in catalogue.models[event_type].model_fields:
            kind = catalogue.kind_of(event_type, name)
            if kind not in kinds:
                return f"{event_type}.{name} is of kind {kind}; a field of kind {' or '.join(kinds)} is wanted"
    return None


def _unknown_type(name: str, catalogue: EventCatalogue) -> str:
    near = catalogue.suggest(name)
    return f"unknown event type {name!r}" + (f"; did you mean {near!r}?" if near else "")


def _unknown_field(name: str, types: Sequence[str], catalogue: EventCatalogue) -> str:
    fields = sorted({field for event_type in types for field in catalogue.fields(event_type)})
    return f"{' / '.join(types)} has no field {name!r}; it has {', '.join(fields)}"


def _versions(rules: Sequence[Rule]) -> Iterator[Problem]:
    by_id: dict[str, list[tuple[int, Rule]]] = {}
    for index, rule in enumerate(rules):
        by_id.setdefault(rule.id, []).append((index, rule))
    for versions in by_id.values():
        versions.sort(key=lambda item: item[1].effective_from)
        for (_, earlier), (index, later) in pairwise(versions):
            if later.version in {rule.version for at, rule in versions if at != index}:
                yield Problem(index, later.id, ("version",), f"version {later.version!r} stands twice")
            if earlier.effective_to is None or earlier.effective_to > later.effective_from:
                yield Problem(
                    index,
                    later.id,
                    ("effective_from",),
                    f"version {later.version!r} from {later.effective_from} overlaps version {earlier.version!r}, "
                    f"in force from {earlier.effective_from} to {earlier.effective_to or 'open end'}",
                )
            if (later.kind, later.subject) != (earlier.kind, earlier.subject):
                yield Problem(
                    index,
                    later.id,
                    ("kind",),
                    "versions of one rule have one kind and one subject; use a new id",
                )
