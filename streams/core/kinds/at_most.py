"""Kind ``at_most``: no more than n acts on a subject, for each value of a field, in each period.

Worked example, ``documents-asked-once``: the identity card asked for at 09:00 and again at 15:00: the second is a
violation; the title deed asked for at 15:00 is not. Acts at one instant are counted in the order of the history; a
reset at the instant of an act parts it from the others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from schemas.base import Text
from schemas.rules import AtMostRule
from streams.core.event import Event
from streams.core.faults import TooMany
from streams.core.kinds.acts import ActFold, ActVersion, Watch
from streams.core.kinds.findings import Finding
from streams.core.kinds.patterns import matches
from streams.core.working_days import WorkingCalendar

_NEVER = -(2**62)

MOST_VIOLATIONS: Final = 500
"""Violations by acts that count together; later acts that count with them are not judged."""

Key = tuple[Hashable, ...]


class _Counted:
    """Acts by the value they are counted by; those of the latest instant are separate until all its facts are known."""

    __slots__ = ("acts", "latest", "left_out", "reset_at")

    def __init__(self) -> None:
        self.acts: dict[Key, list[Event]] = {}
        self.latest: list[Event] = []
        self.left_out: int | None = None
        self.reset_at = _NEVER


class _Version(ActVersion[AtMostRule]):
    @property
    def _most(self) -> int:
        return self.rule.n + MOST_VIOLATIONS

    def start(self) -> _Counted:
        return _Counted()

    def _key(self, act: Event) -> Key | None:
        """The value an act is counted by; ``None`` where the field is missing."""
        value: Hashable = None if self.rule.per is None else act.data.get(self.rule.per)
        if self.rule.per is not None and not isinstance(value, str | int):
            return None
        day = self.calendar.local_date(act.at)
        period: int | date | None = None
        if self.rule.period is not None:
            period = day if self.rule.period == "day" else date.fromordinal(day).replace(day=1)
        # 1 == True in Python, but they are different values of a field.
        return type(value), value, period

    def note(self, watch: Watch, event: Event) -> None:
        own: _Counted = watch.own
        if own.latest and own.latest[-1].at != event.at:
            for act in own.latest:
                key = self._key(act)
                if key is not None and act.at != own.reset_at and self.applies(watch, act):
                    acts = own.acts.setdefault(key, [])
                    if len(acts) < self._most:
                        acts.append(act)
            own.latest.clear()
        super().note(watch, event)
        if event.type in self.reset and matches(self.reset, event):
            # A reset is in favour of the person, so it separates acts of its own instant too.
            own.acts.clear()
            own.reset_at = event.at
        if self.is_act(event):
            own.latest.append(event)
            watch.closed = False

    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        own: _Counted = watch.own
        key = self._key(trigger)
        if key is None or not self.applies(watch, trigger):
            return
        before = list(own.acts.get(key, ()))
        if own.reset_at != trigger.at:
            before += [
                act
                for act in own.latest
                if act.order < trigger.order and self._key(act) == key and self.applies(watch, act)
            ]
        if len(before) >= self._most:
            own.left_out = trigger.at
            return
        count = 1 + len(before)
        value = None if self.rule.per is None else str(key[1])
        faults = (TooMany(count, self.rule.n, value),) if count > self.rule.n else ()
        yield self.finding(trigger, faults, self.grounds(watch, trigger, *before))

    @property
    def bound(self) -> str:
        return "violations"

    def left_out(self, watch: Watch) -> int | None:
        own: _Counted = watch.own
        return own.left_out

    def is_idle(self, watch: Watch) -> bool:
        return watch.closed or (super().is_idle(watch) and not watch.own.acts and not watch.own.latest)

    def own_needed(self, watch: Watch, until: int) -> Sequence[Event]:
        own: _Counted = watch.own
        today = self.calendar.local_date(until)
        month = date.fromordinal(today).replace(day=1)
        kept = [act for (*_, period), acts in own.acts.items() if self._goes_on(period, today, month) for act in acts]
        return [*kept, *own.latest]

    @staticmethod
    def _goes_on(period: Hashable, today: int, month: date) -> bool:
        """Whether a period ends later than an instant of that local day and month; without a period it never ends."""
        return period is None or (period >= month if isinstance(period, date) else period == today)


def at_most_fold(rules: Sequence[AtMostRule], calendar: WorkingCalendar, titles: Mapping[str, Text]) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_Version(rule, calendar, titles) for rule in rules])
