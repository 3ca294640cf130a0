"""The finding on an act, and the verdict that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas.base import Text
from schemas.limits import Limit
from schemas.rules import RuleBase
from streams.core.event import Event
from streams.core.faults import Fault, Label
from streams.core.verdicts import Outcome, Report, Verdict
from streams.core.working_days import WorkingCalendar

Grounds = Sequence[Event | None]
"""The events behind a finding, in any order; ``None`` is no event."""


class Finding(msgspec.Struct, eq=False):
    """The finding on one act. ``due`` is the instant from which its faults are certain.

    ``grounds`` are the events behind it, including the act. ``cancelled``: the act was cancelled; ``calendar`` is the
    one whose open time counted; ``title`` is the act's title. Treated as immutable; not frozen, because one is created
    per act.
    """

    rule: RuleBase
    act: Event
    faults: tuple[Fault, ...]
    due: int
    grounds: Grounds
    limit: Limit | None = None
    provisional: bool = False
    cancelled: bool = False
    title: Text | Label | None = None
    calendar: WorkingCalendar | None = None
    _violated: Verdict | None = None

    @property
    def evidence(self) -> tuple[str, ...]:
        """Ids of the grounds, in order of time; for a cancelled act, the act and then the cancelling event."""
        events = [event for event in self.grounds if event is not None]
        if len(events) > 1 and not self.cancelled:
            events.sort(key=_order)
        return tuple(dict.fromkeys([event.event_id for event in events]))

    @property
    def is_violation(self) -> bool:
        """Whether there is a report, once it is due."""
        return bool(self.faults) and not self.cancelled

    def verdict(self, as_of: int) -> Verdict:
        """The verdict as of an instant not before the act; unknown until the finding is certain."""
        if self._violated is not None and self.due <= as_of:
            return self._violated
        found = self._verdict(as_of)
        if found.outcome == "violated":
            self._violated = found  # final
        return found

    def _verdict(self, as_of: int) -> Verdict:
        outcome: Outcome = "running"
        reports: tuple[Report, ...] = ()
        is_certain = self.due <= as_of
        if is_certain:
            outcome = "cancelled" if self.cancelled else "violated" if self.faults else "met"
            if outcome == "violated":
                cause = f"{self.due}: {'; '.join(fault.key for fault in self.faults)}"
                reports = (Report("violation", cause, self.due),)
        act = self.act
        ended_at = min(max(self.due, act.at), max(as_of, act.at))
        evidence, faults = (self.evidence, self.faults) if is_certain else ((act.event_id,), ())
        return Verdict(
            self.rule, act.event_id, act, outcome, act.at, None, None, ended_at, reports, self.limit,
            (), None, self.provisional, evidence, faults, "", self.calendar, {"act": self.title},
        )  # fmt: skip


def _order(event: Event) -> tuple[int, int, str]:
    return event.order


class Counted(NamedTuple):
    """The limit of a finding, whether its days are provisional, and the calendar by which it was counted."""

    limit: Limit | None = None
    provisional: bool = False
    calendar: WorkingCalendar | None = None


NOT_COUNTED = Counted()
