"""Evaluates a subject's whole history at once: all its reports, from all its events.

Theory of operation. A live engine judges a subject at each event and at each timer, because later events are unknown. A
replay knows them all. Without corrections a certain result never changes: each report is made at the instant at which
it falls due, and none is withdrawn. So every event is one step of the folds that see it, and each fold returns all its
reports once, at the end. A fold without any event that can start a case is left out.

A fold that cannot return them at the end (a paused clock, a monthly obligation) is judged step by step by itself: folds
are independent. Where a report is withdrawn or an event corrects another, the result is ``None``, and the engine
evaluates the subject step by step. A property test compares the two ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from streams.core.event import Event
from streams.core.history import Route, names_one_of
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Fold, Report, Verdict, root_of
from streams.core.watermark import is_due


class ReportedVerdict(NamedTuple):
    """One report: its watermark, and whether an event caused it (else time)."""

    verdict: Verdict
    report: Report
    watermark: int
    by_event: bool


Life = tuple[dict[int, Any], list[ReportedVerdict]]
"""The states of all folds that may have a case, by their position in the rulebook; and the reports."""

_Step = Callable[[Any, Event], bool]


class _Plan:
    """The folds that may have a case on a subject with events of certain types, and the steps that each type makes.

    A step is its fold's place among them, its function, and the subject types that take precedence.
    """

    __slots__ = ("folds", "indices", "steps")

    def __init__(self, routes: Callable[[str], Sequence[Route]], types: Iterable[str]) -> None:
        begun = {
            event_type: [route for route in routes(event_type) if not route[1].begins.isdisjoint(types)]
            for event_type in types
        }
        known = {index: fold for own in begun.values() for index, fold, _ in own}
        self.indices = sorted(known)
        self.folds = [known[index] for index in self.indices]
        self.steps: dict[str, list[tuple[int, _Step, tuple[str, ...]]]] = {
            event_type: [(self.indices.index(index), fold.step, before) for index, fold, before in own]
            for event_type, own in begun.items()
        }


class OfflineEvaluator:
    """Offline evaluation under one rulebook. The folds of each set of event types are cached."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._plans: dict[tuple[str, frozenset[str]], _Plan] = {}
        self.at_event: Event | None = None
        """The current event, or the one at which ``of`` failed, for error messages."""

    def of(self, subject_type: str, events: Sequence[Event], end: int) -> Life | None:
        """Evaluate one subject up to an instant (inclusive); ``events`` in order, without repetitions."""
        for event in events:
            if event.corrects is not None or event.void:
                return None
        key = subject_type, frozenset([event.type for event in events])
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _Plan(self._rulebook.routes(subject_type), key[1])
        steps, states = plan.steps, [fold.start() for fold in plan.folds]
        reported: list[ReportedVerdict] = []
        try:
            for event in events:
                for place, step, before in steps[event.type]:
                    if not before or not names_one_of(event, before):
                        step(states[place], event)
            for place, fold in enumerate(plan.folds):
                verdicts = fold.reported(states[place], end)
                if verdicts is None:
                    by_steps = _judged_all_along(fold, _seen_by(place, events, plan), end)
                    if by_steps is None:
                        return None
                    reported += by_steps
                elif verdicts:
                    for verdict in verdicts:
                        report = verdict.reports[-1]
                        reported.append(ReportedVerdict(verdict, report, report.due, False))
        except Exception:
            self.at_event = event if events else None
            raise
        return dict(zip(plan.indices, states, strict=True)), reported


def _seen_by(fold: int, events: Sequence[Event], plan: _Plan) -> list[Event]:
    return [
        event
        for event in events
        for place, _, before in plan.steps[event.type]
        if place == fold and not names_one_of(event, before)
    ]


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
