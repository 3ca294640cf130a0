"""The rulebook compiled: which event concerns which rule of which subject, and in force when.

Compiling checks what a single rule cannot know of itself: event types and fields of the vocabulary, versions
of one id that overlap or disagree on kind or subject. Every problem is reported, not only the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Any, cast

from msgspec.structs import replace
from pydantic import BaseModel

from schemas.base import Text
from schemas.events import SUBJECT_FIELDS, EventCatalogue
from schemas.limits import Limit, UntilDate
from schemas.patterns import Choices, Condition, Pattern
from schemas.rules import (
    ActRule,
    AtMostRule,
    CadenceRule,
    CalendarByField,
    DeadlineRule,
    EvidenceRule,
    MinimumNoticeRule,
    NotBeforeRule,
    PrerequisiteRule,
    RecordingDelayRule,
    Rule,
)
from schemas.titles import EVENT_TITLES
from streams.core.alerts import Subject
from streams.core.event import SUBJECT_TYPES, Event
from streams.core.follow_ups import followed_by, followed_first, starting_types, wrong_follow_ups
from streams.core.history import Route
from streams.core.kinds.at_most import at_most_fold
from streams.core.kinds.cadence import CadenceFold
from streams.core.kinds.deadline import DeadlineFold
from streams.core.kinds.each import EachFold
from streams.core.kinds.evidence import evidence_fold
from streams.core.kinds.follow_up import FollowUpFold
from streams.core.kinds.forbidden_while import forbidden_while_fold
from streams.core.kinds.minimum_notice import minimum_notice_fold
from streams.core.kinds.not_before import not_before_fold, retention_fold
from streams.core.kinds.prerequisite import prerequisite_fold
from streams.core.kinds.recording_delay import recording_delay_fold
from streams.core.kinds.sequence import SequenceFold
from streams.core.verdicts import Fold
from streams.core.working_days import WorkingCalendar


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a rule: its place in the list given, the path of keys inside it, and what."""

    index: int
    rule_id: str
    keys: tuple[str | int, ...]
    message: str


class Rulebook:
    """Rules in force, compiled for the engine; immutable once built.

    Raises nothing for its content: call ``check`` and ``check_follow_ups`` first. Disabled rules, and those that follow
    one, are kept in ``rules`` and not compiled.
    ``calendars`` are those that rules name.
    ``declared`` are the fields of each event type; without it every field counts.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        calendar: WorkingCalendar,
        titles: Mapping[str, Text] = EVENT_TITLES,
        declared: Mapping[str, frozenset[str]] | None = None,
        calendars: Mapping[str, WorkingCalendar] = MappingProxyType({}),
    ) -> None:
        self.calendars = calendars
        self._declared = declared or {}
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.calendar = calendar
        by_id: dict[str, list[Rule]] = {}
        for rule in self.rules:
            if rule.enabled:
                by_id.setdefault(rule.id, []).append(rule)
        compiled: dict[str, Fold] = {}
        for rule_id in followed_first(by_id):
            versions = sorted(by_id[rule_id], key=lambda rule: rule.effective_from)
            compiled[rule_id] = _fold(versions, calendar, titles, calendars, compiled)
        self.folds: tuple[Fold, ...] = tuple(fold for _, fold in sorted(compiled.items()))
        self.watched = frozenset(compiled)
        """The ids of the rules that are judged."""
        self._tables: dict[str, dict[str, tuple[Route, ...]]] = {kind: {} for kind in SUBJECT_TYPES}
        for index, fold in enumerate(self.folds):
            for position, kind in enumerate(fold.subject_types):
                table = self._tables[kind]
                for event_type in fold.listens:
                    route = (index, fold, tuple(fold.subject_types[:position]))
                    table[event_type] = (*table.get(event_type, ()), route)
        self._routes = {kind: _Routes(table).__getitem__ for kind, table in self._tables.items()}
        self._concerned: dict[str, tuple[str, ...]] = {
            event_type: tuple(kind for kind in SUBJECT_TYPES if event_type in self._tables[kind])
            for table in self._tables.values()
            for event_type in table
        }

    @cached_property
    def fingerprint(self) -> str:
        """The same for rulebooks that judge alike, whatever process made them: to see that one has changed."""
        parts = [rule.model_dump_json() for rule in self.rules if rule.enabled]
        named = [f"{name} {calendar.fingerprint}" for name, calendar in sorted(self.calendars.items())]
        whole = "\n".join([self.calendar.fingerprint, *named, *sorted(parts)])
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def declared_only(self, events: Sequence[Event]) -> Sequence[Event]:
        """Events as the decoder takes them today: version 0.1 kept fields that no type declares."""
        if all(self._is_declared(event) for event in events):
            return events
        return [event if self._is_declared(event) else self._stripped(event) for event in events]

    def _is_declared(self, event: Event) -> bool:
        known = self._declared.get(event.type)
        return known is None or known.issuperset(event.data)

    def _stripped(self, event: Event) -> Event:
        known = self._declared[event.type]
        return replace(event, data={name: value for name, value in event.data.items() if name in known})

    def routes(self, subject_type: str) -> Callable[[str], Sequence[Route]]:
        """For a subject type: event type -> the folds that see it."""
        return self._routes[subject_type]

    def copies_of(self, event: Event) -> list[tuple[Subject, Event]]:
        """The subjects that an event concerns under these rules, each with the event as that subject sees it.

        A correction concerns every subject that it names. An event with a list ``meters`` (a notice posted for many)
        concerns each of them as well: such a copy names that meter, and neither the batch nor the list.
        """
        found: list[tuple[Subject, Event]] = []
        for kind in SUBJECT_TYPES if event.corrects is not None else self._concerned.get(event.type, ()):
            number = event.id_of(kind)
            if number is not None:
                found.append(((kind, number), event))
        listed = event.data.get("meters")
        if isinstance(listed, list) and event.type in self._tables["meter"]:
            data = {name: value for name, value in event.data.items() if name != "meters"}
            meters = dict.fromkeys(meter for meter in listed if meter != event.meter_id)
            found += [(("meter", meter), event.for_meter(meter, data)) for meter in meters]
        return found


class _Routes(dict[str, tuple[Route, ...]]):
    """Nobody listens to a type that is not there."""

    def __missing__(self, event_type: str) -> tuple[Route, ...]:
        return ()


_FOLDS: Mapping[str, Callable[[Any, WorkingCalendar, Mapping[str, Text]], Fold]] = {
    "prerequisite": prerequisite_fold,
    "forbidden_while": forbidden_while_fold,
    "minimum_notice": minimum_notice_fold,
    "not_before": not_before_fold,
    "retention": retention_fold,
    "at_most": at_most_fold,
    "evidence": evidence_fold,
    "recording_delay": recording_delay_fold,
    "sequence": SequenceFold,
    "cadence": lambda rules, calendar, _titles: CadenceFold(rules, calendar),
}
"""Rule kinds. To add one: its model in ``schemas.rules``, its file in ``streams.core.kinds``, a line here."""


def _deadline_fold(
    rules: Sequence[DeadlineRule],
    calendar: WorkingCalendar,
    calendars: Mapping[str, WorkingCalendar],
    compiled: Mapping[str, Fold],
) -> Fold:
    followed = followed_by(rules[0])
    if followed is not None:
        return FollowUpFold(rules, compiled[followed], calendar, calendars)
    several = any(rule.only_while is not None and rule.only_while.each for rule in rules)
    return (EachFold if several else DeadlineFold)(rules, calendar, calendars)


def _fold(
    versions: Sequence[Rule],
    calendar: WorkingCalendar,
    titles: Mapping[str, Text],
    calendars: Mapping[str, WorkingCalendar],
    compiled: Mapping[str, Fold],
) -> Fold:
    if isinstance(versions[0], DeadlineRule):
        return _deadline_fold(cast(Sequence[DeadlineRule], versions), calendar, calendars, compiled)
    return _FOLDS[versions[0].kind](versions, calendar, titles)


# --- checks ---------------------------------------------------------------------------------------------


def check(rules: Sequence[Rule], catalogue: EventCatalogue) -> list[Problem]:
    """Everything that is wrong with the rules together and with the vocabulary; empty where nothing is."""
    problems: list[Problem] = []
    for index, rule in enumerate(rules):
        for keys, message in _vocabulary(rule, catalogue, rules):
            problems.append(Problem(index, rule.id, keys, message))
    problems.extend(_versions(rules))
    return problems


def check_follow_ups(rules: Sequence[Rule]) -> list[Problem]:
    """What is wrong with rules that start with the breach of another, among all rules of a rulebook."""
    return [Problem(index, rules[index].id, keys, message) for index, keys, message in wrong_follow_ups(rules)]


def calendars_of(rule: Rule) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The calendars that a rule names, each with the keys inside the rule."""
    choice = rule.calendar if isinstance(rule, DeadlineRule) else None
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
    yield from _comparisons(rule, catalogue, start_types)
    facts_from = rule.facts_from if isinstance(rule, DeadlineRule | ActRule) else None
    if facts_from is not None and facts_from not in catalogue.types:
        yield ("facts_from",), _unknown_type(facts_from, catalogue)
        facts_from = None
    if isinstance(rule, DeadlineRule):
        facts = [facts_from] if facts_from else []
        if isinstance(rule.calendar, CalendarByField) and (field := rule.calendar.by.partition(".")[0]) != "org":
            types = [*start_types, *facts]
            if types and not any(field in catalogue.fields(event_type) for event_type in types):
                yield ("calendar", "by"), _unknown_field(field, types, catalogue)
        yield from _start_fields(rule, rule.limit, [*start_types, *facts], catalogue)
        return
    for keys, pattern in patterns_of(rule, ()):
        if pattern.if_start:
            yield (*keys, "if_start"), "only a deadline has a start whose fields could be asked for"
    if isinstance(rule, ActRule):
        yield from _act_fields(rule, facts_from, catalogue)
    if isinstance(rule, CadenceRule) and rule.period is not None:
        yield from _known([(("period",), rule.period)], rule.act, [], catalogue)


_AFTER_START = {"stop", "pause", "resume", "cancel"}
_ORDERED = {"number", "integer", "date", "time"}


def _comparisons(
    rule: Rule, catalogue: EventCatalogue, start_types: Sequence[str]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the conditions that compare with the start of the case."""
    begin: Sequence[str] = start_types
    if not isinstance(rule, DeadlineRule):
        begin = [pattern.type for pattern in rule.act] if isinstance(rule, ActRule | CadenceRule) else []
    lent = rule.facts_from if isinstance(rule, DeadlineRule | ActRule) else None
    begin = [name for name in dict.fromkeys([*begin, *([lent] if lent else [])]) if name in catalogue.types]
    for keys, name, condition, types in _conditions(rule, (), begin):
        other = condition.start_field
        if other is None:
            continue
        in_pattern = "where" in keys
        if "if_start" in keys or (in_pattern and not (isinstance(rule, DeadlineRule) and keys[0] in _AFTER_START)):
            yield keys, "nothing to compare with: only stop, pause, resume and cancel of a deadline come after a start"
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


def _conditions(
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
            yield from _conditions(getattr(value, name), (*keys, name), types if name == "if_start" else own)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _conditions(item, (*keys, index), types)


Named = Iterable[tuple[tuple[str | int, ...], str]]
"""Keys inside a rule, and the field that is named there."""


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
    """What is wrong with the field of a limit until it."""
    if isinstance(limit, UntilDate):
        yield from _dated(keys, limit.field, ("date", "time"), patterns, catalogue)


def _dated(
    keys: tuple[str | int, ...],
    name: str,
    kinds: Sequence[str],
    patterns: Sequence[Pattern],
    catalogue: EventCatalogue,
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with a field of the events that must be of one of the kinds."""
    yield from _known([(keys, name)], patterns, [], catalogue)
    types = [pattern.type for pattern in patterns if pattern.type in catalogue.types]
    if (wrong := _of_other_kind(name, kinds, types, catalogue)) is not None:
        yield keys, wrong


def _known(
    named: Named, patterns: Iterable[Pattern], facts: Sequence[str], catalogue: EventCatalogue
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The fields named that none of the event types has."""
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
    """What to say where a field is of none of the kinds, in one of the types that have it."""
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
