"""Kind ``at_most``: no more than n acts on a subject, for each value of a field, in each period.

Worked example, ``documents-asked-once``: the identity card asked for at 09:00 and again at 15:00: the second is a
violation; the title deed asked for at 15:00 is not. Acts at one instant are counted in the order of the history.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date

from schemas.base import Text
from schemas.rules import AtMostRule
from streams.core.event import Event
from streams.core.faults import TooMany
from streams.core.kinds.acts import ActFold, ActVersion, Finding, Watch
from streams.core.working_days import WorkingCalendar


class _Version(ActVersion[AtMostRule]):
    def start(self) -> dict[Hashable, list[Event]]:
        return {}

    def _key(self, act: Event) -> tuple[Hashable, ...] | None:
        """What an act is counted with; ``None`` where the field that tells is not there."""
        value = None if self.rule.per is None else act.data.get(self.rule.per)
        if self.rule.per is not None and not isinstance(value, str | int):
            return None
        day = self.calendar.local_date(act.at)
        match self.rule.period:
            case "day":
                return value, day
            case "natural month":
                return value, date.fromordinal(day).replace(day=1)
            case None:
                return (value,)

    def note(self, watch: Watch, event: Event) -> None:
        super().note(watch, event)
        if self.is_act(event) and self.applies(watch, event) and (key := self._key(event)) is not None:
            watch.own.setdefault(key, []).append(event)
            watch.closed = False

    def spoil(self, watch: Watch, at: int) -> None:
        super().spoil(watch, at)
        watch.own = {key: [act for act in acts if act.at >= at] for key, acts in watch.own.items()}

    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        key = self._key(trigger)
        if key is None or not self.applies(watch, trigger):
            return
        acts: list[Event] = watch.own.get(key, [])
        count = 1 + sum(act.order < trigger.order for act in acts)
        value = None if self.rule.per is None else str(key[0])
        faults = (TooMany(count, self.rule.n, value),) if count > self.rule.n else ()
        yield self.finding(trigger, faults, self.grounds(watch, trigger, *acts[: count - 1]))

    def is_idle(self, watch: Watch) -> bool:
        return watch.closed or (super().is_idle(watch) and not any(watch.own.values()))


def at_most_fold(rules: Sequence[AtMostRule], calendar: WorkingCalendar, titles: Mapping[str, Text]) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_Version(rule, calendar, titles) for rule in rules])
