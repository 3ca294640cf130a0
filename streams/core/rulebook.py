"""The rulebook compiled: which event concerns which rule of which subject, and in force when.

Compiling checks what a single rule cannot know of itself: event types and fields of the vocabulary, versions
of one id that overlap or disagree on kind or subject. Every problem is reported, not only the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import BaseModel

from schemas.events import EventCatalogue
from schemas.rules import Choices, Condition, DeadlineRule, Pattern, Rule, UntilDate
from streams.core.alerts import Subject
from streams.core.event import SUBJECT_TYPES, Event
from streams.core.history import Route
from streams.core.kinds.deadline import DeadlineFold
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

    Raises nothing for its content: call ``check`` first. Disabled rules are kept in ``rules`` and not compiled.
    """

    def __init__(self, rules: Iterable[Rule], calendar: WorkingCalendar) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.calendar = calendar
        by_id: dict[str, list[Rule]] = {}
        for rule in self.rules:
            if rule.enabled:
                by_id.setdefault(rule.id, []).append(rule)
        self.folds: tuple[Fold, ...] = tuple(
            _fold(sorted(versions, key=lambda rule: rule.effective_from), calendar)
            for _, versions in sorted(by_id.items())
        )
        self._tables: dict[str, dict[str, tuple[Route, ...]]] = {kind: {} for kind in SUBJECT_TYPES}
        for index, fold in enumerate(self.folds):
            for position, kind in enumerate(fold.subject_types):
                table = self._tables[kind]
                for event_type in fold.listens:
                    route = (index, fold, tuple(fold.subject_types[:position]))
                    table[event_type] = (*table.get(event_type, ()), route)
        self._routes = {kind: _lookup(table) for kind, table in self._tables.items()}

    def routes(self, subject_type: str) -> Callable[[str], Sequence[Route]]:
        """For a subject type: event type -> the folds that see it."""
        return self._routes[subject_type]

    def subjects_of(self, event: Event) -> list[Subject]:
        """The subjects that an event concerns under these rules; a correction concerns all that it names."""
        found: list[Subject] = []
        for kind, number in event.subjects():
            if event.corrects is not None or event.type in self._tables[kind]:
                found.append((kind, number))
        return found


def _lookup(table: Mapping[str, tuple[Route, ...]]) -> Callable[[str], Sequence[Route]]:
    return lambda event_type: table.get(event_type, ())


def _fold(versions: Sequence[Rule], calendar: WorkingCalendar) -> Fold:
    return DeadlineFold(versions, calendar)


# --- checks ---------------------------------------------------------------------------------------------


def check(rules: Sequence[Rule], catalogue: EventCatalogue) -> list[Problem]:
    """Everything that is wrong with the rules together and with the vocabulary; empty where nothing is."""
    problems: list[Problem] = []
    for index, rule in enumerate(rules):
        for keys, message in _vocabulary(rule, catalogue):
            problems.append(Problem(index, rule.id, keys, message))
    problems.extend(_versions(rules))
    return problems


def _vocabulary(rule: Rule, catalogue: EventCatalogue) -> Iterator[tuple[tuple[str | int, ...], str]]:
    start_types: list[str] = []
    for keys, pattern in _patterns(rule, ()):
        if pattern.type not in catalogue.types:
            yield (*keys, "type"), _unknown_type(pattern.type, catalogue)
            continue
        if keys[0] == "start":
            start_types.append(pattern.type)
        for name in pattern.where:
            if name not in catalogue.fields(pattern.type):
                yield (*keys, "where", name), _unknown_field(name, [pattern.type], catalogue)
    if isinstance(rule, DeadlineRule):
        if rule.facts_from is not None:
            if rule.facts_from not in catalogue.types:
                yield ("facts_from",), _unknown_type(rule.facts_from, catalogue)
            else:
                start_types.append(rule.facts_from)
        yield from _start_fields(rule, rule.limit, start_types, catalogue)


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
    for keys, pattern in _patterns(rule, ()):
        for name in pattern.if_start:
            if name not in known:
                yield (*keys, "if_start", name), _unknown_field(name, start_types, catalogue)


def _patterns(value: object, keys: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Pattern]]:
    if isinstance(value, Pattern):
        yield keys, value
    elif isinstance(value, Condition):
        return
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _patterns(getattr(value, name), (*keys, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _patterns(item, (*keys, index))


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
