"""A clock: one deadline running from a start to a stop, and its reports due by an instant.

Shared by the kinds that wait for an event: ``deadline`` and ``cadence``. The rule's kind decides what starts, stops,
pauses and cancels the clock; this module computes the results.
"""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.limits import Limit
from schemas.rules import RuleBase
from streams.core.deadlines import Pause, deadline_of, part_of, warning_instant
from streams.core.event import Event
from streams.core.verdicts import Outcome, Report, Status, Verdict
from streams.core.working_days import WorkingCalendar


class Clock(msgspec.Struct, eq=False):
    """Opened by ``start``, running until it is stopped or cancelled.

    ``started_at`` is when the limit begins to count. ``root`` distinguishes this clock from others of its rule and
    subject: by default the id of the starting event. ``until`` is the instant of an ``UntilDate``. ``calendar`` is the
    one by which the deadline was counted; ``None`` where the deadline was given. ``after`` is the rule whose breach
    started it. ``omitted`` are how many pauses, and events that pause or resume, are merged or left out of theirs
    (``streams.core.kinds.pauses``).
    """

    rule: RuleBase
    warn_at: tuple[float, ...]
    start: Event
    started_at: int
    started_by: tuple[str, ...]
    limit: Limit | None
    until: int | None = None
    root: str = ""
    item: str = ""
    pauses: list[Pause] = []  # each has its own
    paused_by: list[str] = []
    stop: Event | None = None
    cancel: Event | None = None
    deadline: int | None = None
    provisional: bool = False
    warnings: list[tuple[int, float]] | None = None
    calendar: WorkingCalendar | None = None
    after: RuleBase | None = None
    omitted: tuple[int, int] = (0, 0)

    def time(self) -> None:
        """Compute the deadline again from the known pauses, by ``calendar``."""
        self.warnings = None
        if self.limit is None:
            return
        assert self.calendar is not None
        found = deadline_of(self.limit, self.started_at, self.pauses, self.calendar, until=self.until)
        self.deadline, self.provisional = found.at, found.provisional

    def end_pause(self, at: int) -> bool:
        """Close the open pause, if there is one, at an instant."""
        if not self.pauses or self.pauses[-1][1] is not None:
            return False
        since = self.pauses.pop()[0]
        if at > since:
            self.pauses.append((since, at))
        return True

    def reports(self, as_of: int) -> tuple[int | None, tuple[Report, ...]]:
        """The next instant at which time alone changes the reports, and those due by now."""
        deadline = self.deadline
        if deadline is None:
            return None, ()
        ended_at = self.stop.at if self.stop else self.cancel.at if self.cancel else None
        if ended_at is not None and ended_at <= deadline and ended_at <= as_of:
            return None, ()
        if as_of < deadline:
            return self._warning(as_of, deadline, ended_at)
        if ended_at is not None and ended_at <= deadline:
            return None, ()
        breach = Report("breach", str(deadline), deadline)
        if self.stop is None:
            return None, (breach,)
        if self.stop.at > as_of:
            return self.stop.at, (breach,)
        return None, (breach, Report("late_completion", self.stop.event_id, self.stop.at))

    def _warning(self, as_of: int, deadline: int, ended_at: int | None) -> tuple[int | None, tuple[Report, ...]]:
        due = deadline if ended_at is None or ended_at > deadline else ended_at
        reported: Report | None = None
        if self.warnings is None:
            self.warnings = self._warnings(deadline)
        for at, fraction in self.warnings:
            if at > as_of:
                due = min(due, at)
            elif reported is None or at >= reported.due:
                reported = Report("warning", repr(fraction), at)
        return due, () if reported is None else (reported,)

    def reported(self, until: int) -> list[Verdict]:
        """Its reports up to an instant (inclusive), if it was never paused; see ``Fold.reported``."""
        deadline = self.deadline
        if deadline is None:
            return []
        ended = self.stop or self.cancel
        is_over = ended is not None and ended.at <= deadline
        last = min(until, ended.at - 1 if ended is not None and is_over else deadline - 1)
        reported: dict[int, float] = {}  # of several at one instant the last is reported
        for at, fraction in self._warnings(deadline):
            if at <= last:
                reported[at] = fraction
        found = [self.verdict(at, (Report("warning", repr(fraction), at),)) for at, fraction in reported.items()]
        if is_over or deadline > until:
            return found
        breach = Report("breach", str(deadline), deadline)
        found.append(self.verdict(deadline, (breach,)))
        if self.stop is not None and self.stop.at <= until:
            late = Report("late_completion", self.stop.event_id, self.stop.at)
            found.append(self.verdict(self.stop.at, (breach, late)))
        return found

    def _warnings(self, deadline: int) -> list[tuple[int, float]]:
        """The instants at which a warning is due, each with its fraction of the limit."""
        assert self.limit is not None
        found = []
        for fraction in self.warn_at:
            at: int | None
            if self.calendar is None:  # a period with a fixed end: all of it counts
                at = self.started_at + part_of(deadline - self.started_at, fraction)
            else:
                at = warning_instant(self.limit, self.started_at, self.pauses, deadline, fraction, self.calendar)
            if at is not None and at >= self.started_at:
                found.append((at, fraction))
        return found

    def status(self, as_of: int, watermark: int) -> Status:
        """Its short verdict; see ``Fold.statuses``."""
        stop = self.stop if self.stop is not None and self.stop.at <= as_of else None
        cancel = self.cancel if self.cancel is not None and self.cancel.at <= as_of else None
        deadline, ended = self.deadline, self.stop or self.cancel
        late = deadline is not None and deadline <= as_of and (ended is None or ended.at > deadline)
        outcome: Outcome
        if stop is not None:
            outcome = "met_late" if late else "met"
        else:
            outcome = "breached" if late else "running" if cancel is None else "cancelled"
        is_certain = not late or (
            deadline is not None and deadline <= watermark and (stop is None or stop.at <= watermark)
        )
        return Status(self.start, outcome, self.started_at, deadline, is_certain, stop is None and cancel is None)

    def verdict(self, as_of: int, reports: tuple[Report, ...]) -> Verdict:
        """Its verdict; ``reports`` are those of the same instant, a breach first."""
        stop = self.stop if self.stop is not None and self.stop.at <= as_of else None
        cancel = self.cancel if self.cancel is not None and self.cancel.at <= as_of else None
        late = bool(reports) and reports[0].kind == "breach"
        outcome: Outcome = "running"
        if stop is not None:
            outcome = "met_late" if late else "met"
        elif late:
            outcome = "breached"
        elif cancel is not None:
            outcome = "cancelled"
        ended = stop or cancel
        evidence = self.started_by
        if len(evidence) > 1 or self.paused_by:
            evidence = tuple(dict.fromkeys((*evidence, *self.paused_by)))
        if ended is not None and ended.event_id not in evidence:
            evidence = (*evidence, ended.event_id)
        facts: dict[str, Any] = {}
        if self.deadline is None:
            open_pause = next((since for since, until in self.pauses if until is None), None)
            facts["no_limit" if open_pause is None else "paused_since"] = open_pause
        if self.after is not None:
            facts["after"] = self.after
        if self.omitted != (0, 0):
            facts["omitted"] = self.omitted
        start, calendar = self.start, self.calendar
        return Verdict(
            self.rule, self.root or start.event_id, start, outcome, self.started_at, self.deadline,
            stop.at if stop is not None else None,
            max(self.started_at, ended.at if ended is not None else as_of),
            reports, self.limit, tuple(self.pauses), self.until, self.provisional, evidence, (), self.item,
            calendar if calendar is not None and calendar.hours is not None else None, facts,
        )  # fmt: skip
