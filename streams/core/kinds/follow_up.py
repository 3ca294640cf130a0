"""Kind ``deadline`` where a case starts with the breach of another rule.

The fold also steps the other rule's fold and takes its breaches. Each has its own case, computed from the breach and
the events seen, so a retracted breach leaves nothing behind. A case opens by time alone: the next instant of this fold
includes that of the other rule.

Worked example, an apology within 24 h of a late repair: the crew is due at 09:45 and arrives at 10:30. The case of the
apology starts at 09:45; a customer contacted at 11:00 meets it, one contacted at 09:50 the next day breaches it. When
it turns out that the crew was there at 09:40, the breach is retracted, and the apology was never due.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from schemas.rules import DeadlineRule
from streams.core.chosen_calendar import Calendars
from streams.core.conditions import Fields
from streams.core.event import Event
from streams.core.kinds.deadline import Case, DeadlineFold
from streams.core.kinds.deadline_version import Version
from streams.core.kinds.patterns import fits
from streams.core.verdicts import Fold, Needed, Status, Verdict
from streams.core.working_days import WorkingCalendar

Breach = tuple[str, str, int]
"""A breach of the other rule: root and item of its case, and the deadline that passed."""


class State:
    """The other rule's state, the events that concern this one, and the cases computed since the last of them."""

    __slots__ = ("base", "cases", "last", "seen")

    def __init__(self, base: Any) -> None:
        self.base = base
        self.seen: list[Event] = []
        self.cases: dict[Breach, Case | None] = {}
        self.last = -(2**62)


class FollowUpFold:
    """All versions of one rule that follows another, whose fold is ``base``; see ``streams.core.verdicts.Fold``."""

    opens = True

    def __init__(
        self,
        rules: Sequence[DeadlineRule],
        base: Fold,
        calendar: WorkingCalendar,
        calendars: Calendars,
    ) -> None:
        self._fold = DeadlineFold(rules, calendar, calendars)
        self._base = base
        self.id = self._fold.id
        self.subject_types = self._fold.subject_types
        self.listens = self._fold.listens | base.listens
        self.begins = base.begins

    def start(self) -> State:
        """Nothing seen."""
        return State(self._base.start())

    def step(self, state: State, event: Event) -> bool:
        """Pass the event to the other rule's fold, and keep it if this rule uses it."""
        state.cases = {}
        state.last = event.at
        is_own = event.type in self._fold.listens
        if is_own:
            state.seen.append(event)
        ask = event.type in self._base.listens and self._base.step(state.base, event)
        return is_own or ask

    # -- cases -------------------------------------------------------------------------------------------

    def _cases(self, state: State, as_of: int) -> tuple[list[Case], int | None]:
        """The cases that have started, and the next instant at which the other rule's result changes."""
        found: list[Case] = []
        verdicts, following = self._base.judge(state.base, as_of)
        for verdict in verdicts:
            for report in verdict.reports:
                if report.kind == "breach":
                    breach = verdict.root, verdict.item, report.due
                    if breach not in state.cases:
                        state.cases[breach] = self._case(state, verdict, report.due)
                    case = state.cases[breach]
                    if case is not None:
                        found.append(case)
        return found, following

    def _case(self, state: State, breached: Verdict, at: int) -> Case | None:
        version = next((version for version in self._fold.versions if version.is_in_force(at)), None)
        if version is None:
            return None
        fields = breached.anchor.data
        case = self._fold.case_of(version, breached.anchor, at, fields, self._evidence(state, breached, at))
        case.root, case.item, case.after = breached.root, breached.item, breached.rule
        begins = bisect_left(state.seen, at, key=lambda event: event.at)
        still = self._still(version, state.seen[:begins], fields)
        if still is not None:
            case.pauses.append((at, None))
            case.paused_by.append(still.event_id)
        case.time()
        own = self._fold.start()
        own.open = case
        for event in state.seen[begins:]:
            if own.open is None:
                break
            self._fold.step_open(own, case, event)
        return case

    def _evidence(self, state: State, breached: Verdict, at: int) -> Sequence[str]:
        """The breach's evidence: the events of the other case known when its deadline passed."""
        then = self._base.judge(state.base, at)[0]
        return next(one.evidence for one in then if (one.root, one.item) == (breached.root, breached.item))

    def _still(self, version: Version, events: Sequence[Event], fields: Fields) -> Event | None:
        """The event since which a case that starts with these fields is paused; a stop ends a pause as well."""
        still: Event | None = None
        for event in events:
            role = version.roles.get(event.type)
            if role is not None:
                if role.stop is not None and fits(role.stop, event, fields, has_started=False):
                    still = None
                still = self._fold.still_after(role, event, fields, still, has_started=False)
        return still

    def _may_be_still(self, events: Sequence[Event]) -> bool:
        """Whether a case that starts later, with whatever fields, may be paused since one of these."""
        return any(_is_paused_by_some_start(version, events) for version in self._fold.versions)

    # -- judge -------------------------------------------------------------------------------------------

    def judge(self, state: State, as_of: int, *, every: bool = False) -> tuple[list[Verdict], int | None]:
        """See ``Fold``."""
        verdicts: list[Verdict] = []
        cases, following = self._cases(state, as_of)
        for case in cases:
            due, reports = case.reports(as_of)
            if due is not None and (following is None or due < following):
                following = due
            if every or reports:
                verdicts.append(case.verdict(as_of, reports))
        return verdicts, following

    def statuses(self, state: State, as_of: int, watermark: int) -> list[Status]:
        """See ``Fold``. A breach that the watermark has not passed starts nothing yet."""
        return [case.status(as_of, watermark) for case in self._cases(state, min(as_of, watermark))[0]]

    def has_case(self, state: State, as_of: int) -> bool:
        """See ``Fold``."""
        return bool(self._cases(state, as_of)[0])

    def reported(self, state: State, until: int) -> list[Verdict] | None:
        """See ``Fold``. A breach may depend on the events known by then."""
        return None

    def open_cases(self, state: State, as_of: int) -> Sequence[Event]:
        """The events with which the breached cases began."""
        cases = self._cases(state, as_of)[0]
        return tuple(case.start for case in cases if case.stop is None and case.cancel is None)

    def is_stop(self, event: Event) -> bool:
        """See ``Fold``. Without a breach nothing is required."""
        return False

    def is_idle(self, state: State) -> bool:
        """No case of either rule is open, and no later case would start paused."""
        return (
            self._base.is_idle(state.base)
            and not self.open_cases(state, state.last)
            and not self._may_be_still(state.seen)
        )

    def needed(self, state: State, until: int) -> Needed | None:
        """See ``Fold``: everything, while a case of either rule is open, or one could start paused."""
        needed = self._base.needed(state.base, until) if self.is_idle(state) else None
        if needed is None or needed.saved:
            return None
        # What the other rule needs may pause this one, and what ended that pause would be dropped.
        kept = [event for event in state.seen if event.event_id in needed.ids or event.type in needed.types]
        return None if self._may_be_still(kept) else needed


def _is_paused_by_some_start(version: Version, events: Sequence[Event]) -> bool:
    """As ``FollowUpFold._still`` for any fields: a pause that fits some start, not ended for every start."""
    is_still = False
    for event in events:
        role = version.roles.get(event.type)
        if role is None:
            continue
        if any(compare is None and where(event.data) for where, _, compare in role.pause or ()):
            is_still = True
        elif any(fits(pairs, event) for pairs in (role.stop, role.cancel, role.resume) if pairs is not None):
            is_still = False  # without fields of a start only what asks for none of them fits
    return is_still
