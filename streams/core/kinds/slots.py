"""One need of an act, compiled: what meets it, and which of the events that do are enough."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from schemas.base import Text
from schemas.patterns import Need
from streams.core.conditions import predicate_of_start
from streams.core.event import Event
from streams.core.faults import Without
from streams.core.kinds.patterns import alike_as, compared_fields, compares, compile_patterns, is_alone, label_of
from streams.core.working_days import WorkingCalendar


class Slot:
    """One need of an act. ``is_last_enough``: of the events that meet it the last one stands for all before it."""

    __slots__ = (
        "_after_start",
        "_compared",
        "_same_day",
        "compares",
        "if_act",
        "is_last_enough",
        "label",
        "need",
        "tests",
    )

    def __init__(self, need: Need, titles: Mapping[str, Text]) -> None:
        self.need = need
        self.tests = compile_patterns(need.any)
        self.if_act = predicate_of_start(need.if_act) if need.if_act else None
        self._after_start, self._same_day = need.after_start, need.same_day
        self.label = label_of(need.any, titles)
        self.compares = compares(need.any)
        self._compared = compared_fields(need.any)
        self.is_last_enough = is_alone(need.any) and not need.same_day

    def newest(self, events: Iterable[Event]) -> Collection[Event]:
        """Of events in order, which meet the need by their own fields, those that a later act may need.

        Two events that compare alike with every act meet the need of the same acts: the later one is enough.
        """
        return {
            (event.type, alike_as(self.tests[event.type], self._compared, event)): event for event in events
        }.values()

    def missing(
        self, found: Event | None, act: Event, start: int, calendar: WorkingCalendar, by: int | None = None
    ) -> Without | None:
        """The fault where the latest candidate event (``None``: there is none) does not meet the need."""
        if self.if_act is not None and not self.if_act(act.fields_with_ids()):
            return None
        if found is not None and not (self._after_start and found.at < start):
            if not self._same_day or calendar.local_date(found.at) == calendar.local_date(act.at):
                return None
            return Without(self.label, on_day=True)
        return Without(self.label, on_day=self._same_day, by=by)
