"""The compiled rulebook: which events concern which rule of which subject, and when the rule is in force."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, cast

from msgspec.structs import replace

from schemas.base import Text
from schemas.rules import DeadlineRule, Rule
from schemas.titles import EVENT_TITLES
from streams.core.alerts import Subject
from streams.core.chosen_calendar import Calendars
from streams.core.event import SUBJECT_TYPES, Event
from streams.core.follow_ups import followed_by, followed_first
from streams.core.history import Begun, History, Route
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
from streams.core.records import Pruned
from streams.core.verdicts import Fold, Resumable
from streams.core.working_days import WorkingCalendar


class Rulebook:
    """Rules in force, compiled for the engine; immutable once built.

    The content is not checked: call ``streams.core.rule_checks`` first. Disabled rules, and those that follow one, are
    kept in ``rules`` and not compiled. ``calendars`` are those that rules name. ``declared`` are the fields of each
    event type; without it every field counts.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        calendar: WorkingCalendar,
        titles: Mapping[str, Text] = EVENT_TITLES,
        declared: Mapping[str, frozenset[str]] | None = None,
        calendars: Calendars = MappingProxyType({}),
    ) -> None:
        self.calendars = calendars
        self._declared = declared or {}
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.calendar = calendar
        self.versions: dict[str, list[Rule]] = {}
        """By id, the enabled versions of each rule, the earliest first."""
        for rule in sorted(self.rules, key=lambda rule: rule.effective_from):
            if rule.enabled:
                self.versions.setdefault(rule.id, []).append(rule)
        compiled: dict[str, Fold] = {}
        for rule_id in followed_first(self.versions):
            compiled[rule_id] = _fold(self.versions[rule_id], calendar, titles, calendars, compiled)
        self.folds: tuple[Fold, ...] = tuple(fold for _, fold in sorted(compiled.items()))
        self._places = {fold.id: index for index, fold in enumerate(self.folds)}
        self.cadences = {place: fold for place, fold in enumerate(self.folds) if isinstance(fold, CadenceFold)}
        """The folds of which a case may begin by time alone: that of the next month."""
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
        """Equal for rulebooks with equal verdicts, also across processes: shows that a rulebook has changed."""
        parts = [rule.model_dump_json() for rule in self.rules if rule.enabled]
        named = [f"{name} {calendar.fingerprint}" for name, calendar in sorted(self.calendars.items())]
        whole = "\n".join([self.calendar.fingerprint, *named, *sorted(parts)])
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def declared_only(self, events: Sequence[Event]) -> Sequence[Event]:
        """Events as the present decoder reads them: version 0.1 kept undeclared fields."""
        if all(self._is_declared(event) for event in events):
            return events
        return [event if self._is_declared(event) else self._stripped(event) for event in events]

    def _is_declared(self, event: Event) -> bool:
        known = self._declared.get(event.type)
        return known is None or known.issuperset(event.data)

    def _stripped(self, event: Event) -> Event:
        known = self._declared[event.type]
        return replace(event, data={name: value for name, value in event.data.items() if name in known})

    def history_of(self, events: Sequence[Event], pruned: Pruned) -> History:
        """The history of a subject as it was pruned: each fold sees of it what it may."""
        places = self._places
        only = {event_id: frozenset([places[one] for one in rules if one in places]) for event_id, rules in pruned.only}
        begun = {
            place: (fold, saved)
            for rule, saved in pruned.saved
            if (place := places.get(rule)) is not None and isinstance(fold := self.folds[place], Resumable)
        }
        return History(events, only=only, begun=Begun(pruned.until or 0, begun) if begun else None)

    def routes(self, subject_type: str) -> Callable[[str], Sequence[Route]]:
        """For a subject type: event type -> the folds that see it."""
        return self._routes[subject_type]

    def copies_of(self, event: Event) -> list[tuple[Subject, Event]]:
        """The subjects that an event concerns under these rules, each with its copy of the event.

        A correction concerns every subject that it names. An event with a list ``meters`` (a notice posted for many)
        concerns each of them as well: such a copy names that meter, and neither the batch nor the list.
        """
        found: list[tuple[Subject, Event]] = []
        kinds = SUBJECT_TYPES if event.corrects is not None else self._concerned.get(event.type, ())
        for kind in kinds:
            number = event.order_id if kind == "order" else event.id_of(kind)
            if number is not None:
                found.append(((kind, number), event))
        if "meters" not in event.data:
            return found
        listed = event.data["meters"]
        if isinstance(listed, list) and event.type in self._tables["meter"]:
            data = {name: value for name, value in event.data.items() if name != "meters"}
            meters = dict.fromkeys(meter for meter in listed if meter != event.meter_id)
            found += [(("meter", meter), event.for_meter(meter, data)) for meter in meters]
        return found


class _Routes(dict[str, tuple[Route, ...]]):
    """No rule sees a type that is missing here."""

    def __missing__(self, event_type: str) -> tuple[Route, ...]:
        return ()


_MakeFold = Callable[[Any, WorkingCalendar, Mapping[str, Text], Calendars], Fold]


def _of_one_calendar(fold: Callable[[Any, WorkingCalendar, Mapping[str, Text]], Fold]) -> _MakeFold:
    """A kind without a limit."""
    return lambda rules, calendar, titles, _named: fold(rules, calendar, titles)


_FOLDS: Mapping[str, _MakeFold] = {
    "prerequisite": _of_one_calendar(prerequisite_fold),
    "forbidden_while": _of_one_calendar(forbidden_while_fold),
    "minimum_notice": minimum_notice_fold,
    "not_before": not_before_fold,
    "retention": retention_fold,
    "at_most": _of_one_calendar(at_most_fold),
    "evidence": _of_one_calendar(evidence_fold),
    "recording_delay": recording_delay_fold,
    "sequence": _of_one_calendar(SequenceFold),
    "cadence": lambda rules, calendar, _titles, named: CadenceFold(rules, calendar, named),
}
"""Rule kinds. To add one: its model in ``schemas.rules``, its file in ``streams.core.kinds``, a line here."""


def _deadline_fold(
    rules: Sequence[DeadlineRule],
    calendar: WorkingCalendar,
    calendars: Calendars,
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
    calendars: Calendars,
    compiled: Mapping[str, Fold],
) -> Fold:
    if isinstance(versions[0], DeadlineRule):
        return _deadline_fold(cast(Sequence[DeadlineRule], versions), calendar, calendars, compiled)
    return _FOLDS[versions[0].kind](versions, calendar, titles, calendars)
