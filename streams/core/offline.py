"""Evaluates a subject's whole history at once: all its reports, from all its events.

Theory of operation. A live engine judges a subject at each event and at each timer, because later events are unknown. A
replay knows them all. Without corrections a certain result never changes: each report is made at the instant at which
it falls due, and none is withdrawn. So every event is one step of the folds that see it, and each fold returns all its
reports once, at the end. A fold without any event that can start a case, by its type and fields, is left out; most
histories have the same types in turn as others, so what each fold sees of them is found once.

A fold that cannot return them at the end (a paused clock, a monthly obligation) is judged step by step by itself: folds
are independent. Where a report is withdrawn or an event corrects another, the result is ``None``, and the engine
evaluates the subject step by step. A property test compares the two ways.

As folds and subjects are independent, several subjects are evaluated together, fold by fold: each fold's tables and
code are then in the processor's caches for all of them, which saves a fifth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from streams.core.conditions import always
from streams.core.event import Event
from streams.core.history import names_one_of
from streams.core.kinds.patterns import Tests, may_fit
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Fold, Report, Verdict, root_of
from streams.core.watermark import is_due


class ReportedVerdict(NamedTuple):
    """One report: its watermark, and whether an event caused it (else time)."""

    verdict: Verdict
    report: Report
    watermark: int
    by_event: bool


_LONGEST_KEPT: Final = 32
_MOST_KEPT: Final = 1024
"""Of the plans of histories with at most so many events so many are kept."""

Life = tuple[dict[int, Any], list[ReportedVerdict]]
"""The states of the folds that have a case, by their position in the rulebook (see ``keeps_states``); the reports."""


class _Part(NamedTuple):
    """What a fold, by its position in the rulebook, sees of a subject of some type with events of some types in turn.

    ``sees`` picks the events of the types that it sees. ``before`` are the subject types that take precedence over the
    subject's: the fold does not see an event that names one. ``may_not_begin``: whether it depends on anything but
    their types if the events can start a case.
    """

    fold: int
    sees: Callable[[Sequence[Event]], Sequence[Event]]
    before: tuple[str, ...]
    may_not_begin: bool


_Key = tuple[str, ...]
"""The type of a subject, and the types of its events in turn."""

_Numbered = list[tuple[int, Sequence[Event]]]
"""Subjects by their number, each with its events."""


class OfflineEvaluator:
    """Offline evaluation under one rulebook.

    With ``keeps_states`` false a life has, instead of its states, one ``None`` where a fold has a case: a state that is
    freed at once is still in the processor's caches, and those of 500 subjects are not.
    """

    def __init__(self, rulebook: Rulebook, *, keeps_states: bool = True) -> None:
        self._keeps_states = keeps_states
        self._folds = rulebook.folds
        self._routes = rulebook.routes
        self._plans: dict[_Key, list[_Part]] = {}
        self.at_event: Event | None = None
        """The current event, or the one at which ``of`` failed, for error messages."""

    def of(self, subject_type: str, events: Sequence[Event], end: int) -> Life | None:
        """Evaluate one subject up to an instant (inclusive); ``events`` in order, without repetitions."""
        return self.of_each([(subject_type, events)], end)[0]

    def of_each(self, subjects: Sequence[tuple[str, Sequence[Event]]], end: int) -> list[Life | None]:
        """``of`` for several subjects: fold by fold, because what a fold needs is in the processor's caches then."""
        lives: list[Life | None] = []
        by_key: dict[_Key, _Numbered] = {}
        for number, (subject_type, events) in enumerate(subjects):
            if _has_corrections(events):
                lives.append(None)
                continue
            lives.append(({}, []))
            by_key.setdefault((subject_type, *[event.type for event in events]), []).append((number, events))
        by_fold: dict[int, list[tuple[_Part, _Numbered]]] = {}
        for key, own in by_key.items():
            for part in self._plan(key):
                by_fold.setdefault(part.fold, []).append((part, own))
        for index in self.alike(by_fold):
            self._fold(index, by_fold[index], lives, end)
        return lives

    def _plan(self, key: _Key) -> list[_Part]:
        """The folds that may have a case on a subject."""
        plan = self._plans.get(key)
        if plan is not None:
            return plan
        subject_type, *types = key
        routes, known = self._routes(subject_type), frozenset(types)
        found = {index: (fold, before) for event_type in known for index, fold, before in routes(event_type)}
        plan = [
            _Part(index, _picked(types, fold.listens), before, bool(before) or not _begins_surely(fold.begins, known))
            for index, (fold, before) in found.items()
            if not known.isdisjoint(fold.begins)
        ]
        if len(types) <= _LONGEST_KEPT:
            if len(self._plans) >= _MOST_KEPT:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def alike(self, folds: Iterable[int]) -> list[int]:
        """Folds in an order in which those of one class, and of one kind, come together."""
        return sorted(folds, key=self._likeness)

    def _likeness(self, index: int) -> tuple[str, str, int]:
        fold = self._folds[index]
        versions = getattr(fold, "versions", ())
        return type(fold).__name__, type(versions[0]).__module__ if versions else "", index

    def _fold(self, index: int, parts: Iterable[tuple[_Part, _Numbered]], lives: list[Life | None], end: int) -> None:
        """Add one fold of some subjects to their lives; a life is ``None`` where a report is withdrawn."""
        fold = self._folds[index]
        begins, step, keeps_states = fold.begins, fold.step, self._keeps_states
        event: Event | None = None
        try:
            for (_, sees, before, may_not_begin), subjects in parts:
                for number, events in subjects:
                    life = lives[number]
                    if life is None:
                        continue
                    own = sees(events)
                    if before:
                        own = [event for event in own if not names_one_of(event, before)]
                    if may_not_begin and not _may_begin(begins, own):
                        continue
                    state = fold.start()
                    for event in own:
                        step(state, event)
                    verdicts = fold.reported(state, end)
                    if verdicts is None:
                        by_steps = _judged_all_along(fold, own, end)
                        if by_steps is None:
                            lives[number] = None
                            continue
                        life[1].extend(by_steps)
                    for verdict in verdicts or ():
                        report = verdict.reports[-1]
                        life[1].append(ReportedVerdict(verdict, report, report.due, False))
                    if (keeps_states or not life[0]) and (verdicts or fold.has_case(state, end)):
                        life[0][index] = state if keeps_states else None
        except Exception:
            self.at_event = event
            raise


def _has_corrections(events: Iterable[Event]) -> bool:
    for event in events:  # noqa: SIM110 (a generator would cost more than it looks at)
        if event.corrects is not None or event.void:
            return True
    return False


def _picked(types: Sequence[str], seen: Container[str]) -> Callable[[Sequence[Event]], Sequence[Event]]:
    """A function that picks from events of ``types`` in turn those of the types seen."""
    places = [place for place, event_type in enumerate(types) if event_type in seen]
    first, last = places[0], places[-1]
    return itemgetter(slice(first, last + 1)) if last - first < len(places) else itemgetter(*places)


def _begins_surely(begins: Tests, types: Iterable[str]) -> bool:
    """Whether events of those types can start a case, whatever their fields."""
    return any(where is always for event_type in types for where, _, _ in begins.get(event_type, ()))


def _may_begin(begins: Tests, events: Sequence[Event]) -> bool:
    """Whether one of the events can start a case."""
    for event in events:
        pairs = begins.get(event.type)
        if pairs is not None and may_fit(pairs, event):
            return True
    return False


def _judged_all_along(fold: Fold, events: Sequence[Event], end: int) -> list[ReportedVerdict] | None:
    """The reports of one fold, judged step by step; ``None`` where it withdraws one."""
    state = fold.start()
    reported: dict[tuple[str, str, str], ReportedVerdict] = {}
    due: int | None = None

    def ask(watermark: int, *, by_event: bool) -> bool:
        """Judge as of a watermark; false where an earlier report is no longer due."""
        nonlocal due
        verdicts, due = fold.judge(state, watermark)
        owed = {(root_of(verdict, {}), report.kind, report.cause) for verdict in verdicts for report in verdict.reports}
        if any(key not in owed and key[1] != "warning" for key in reported):
            return False
        for verdict in verdicts:
            for report in verdict.reports:
                key = root_of(verdict, {}), report.kind, report.cause
                reported.setdefault(key, ReportedVerdict(verdict, report, watermark, by_event))
        return True

    for at, together in groupby(events, key=lambda event: event.at):
        while due is not None and is_due(due, at - 1):
            if not ask(due, by_event=False):
                return None
        for event in together:
            fold.step(state, event)
        if not ask(at - 1, by_event=True):
            return None
    while due is not None and is_due(due, end):
        if not ask(due, by_event=False):
            return None
    return list(reported.values())
