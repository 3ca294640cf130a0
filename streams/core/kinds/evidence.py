"""Kind ``evidence``: the act carries, or is accompanied by, something.

What must accompany it has until the close: the first event of ``by`` at or after the act; without ``by`` it must have
been there by the act. An order that is never closed is never judged.

Worked example, ``two-calls-one-answer``: reported 09:00, called 09:02 and 09:40, closed 12:00: the third call is
missing, a violation at 12:00. Called at 12:00:00.000 as well, it is met.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas.base import Text
from schemas.rules import Condition, Conditions, EvidenceRule
from streams.core.conditions import predicate
from streams.core.event import Event
from streams.core.faults import Fault, Lacks
from streams.core.kinds.acts import ActFold, ActVersion, Finding, Watch
from streams.core.kinds.patterns import Tests, compile_patterns, matches
from streams.core.working_days import WorkingCalendar

_NEVER = -(2**62)


class _Open:
    """Acts whose close is still to come, and those just called off."""

    __slots__ = ("acts", "cancelled", "cancelled_at")

    def __init__(self) -> None:
        self.acts: list[Event] = []
        self.cancelled: list[Event] = []
        self.cancelled_at = _NEVER


def _values_text(values: Iterable[object]) -> str:
    return "/".join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


def _condition_text(field: str, condition: Condition) -> str:
    if condition.present is not None:
        return field if condition.present else f"no {field}"
    if condition.one_of is not None:
        return f"{field}={_values_text(condition.one_of)}"
    if condition.none_of is not None:
        return f"{field}≠{_values_text(condition.none_of)}"
    bounds = [f"{field}≥{condition.at_least:g}"] if condition.at_least is not None else []
    return " ".join([*bounds, *([f"{field}≤{condition.at_most:g}"] if condition.at_most is not None else [])])


def _alternative_text(conditions: Conditions) -> str:
    return " + ".join(_condition_text(field, condition) for field, condition in conditions.items())


class _Version(ActVersion[EvidenceRule]):
    def __init__(self, rule: EvidenceRule, calendar: WorkingCalendar, titles: Mapping[str, Text]) -> None:
        self._by = compile_patterns(rule.by)
        self._cancel = compile_patterns(rule.cancel)
        self._carry = [predicate(conditions) for conditions in rule.carry]
        self._lacks = Lacks(tuple(_alternative_text(conditions) for conditions in rule.carry))
        super().__init__(rule, calendar, titles, rule.needs)

    def own_tests(self) -> Iterable[Tests]:
        return self._by, self._cancel

    def start(self) -> _Open:
        return _Open()

    def note(self, watch: Watch, event: Event) -> None:
        super().note(watch, event)
        if not self._by:
            return
        own: _Open = watch.own
        if event.type in self._cancel and matches(self._cancel, event):
            own.cancelled += own.acts
            own.acts = []
            own.cancelled_at = event.at
        if self.is_act(event) and self.is_in_force(event.at) and self.applies(watch, event):
            (own.cancelled if own.cancelled_at == event.at else own.acts).append(event)
            watch.closed = False

    def is_trigger(self, watch: Watch, event: Event) -> bool:
        if not self._by:
            return super().is_trigger(watch, event)
        own: _Open = watch.own
        called_off = bool(own.cancelled) and own.cancelled_at == event.at
        return called_off or (event.type in self._by and matches(self._by, event))

    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        if not self._by:
            if self.applies(watch, trigger):
                faults = (*self._carried(trigger), *self.missing(watch, trigger))
                yield self.finding(trigger, faults, self.grounds(watch, trigger))
            return
        for act in watch.own.cancelled:
            yield self.finding(act, (), (act, trigger), due=trigger.at, cancelled=True)
        if matches(self._by, trigger):
            for act in watch.own.acts:
                # Where a start is seen twice the first counts: what came after it need not come again.
                missing = (
                    slot.missing(found, act, watch.own.acts[0].at, self.calendar, by=trigger.at)
                    for slot, found in zip(self.slots, watch.found, strict=True)
                )
                faults = (*self._carried(act), *(fault for fault in missing if fault is not None))
                yield self.finding(act, faults, self.grounds(watch, act, trigger), due=trigger.at)

    def found(self, watch: Watch, trigger: Event) -> None:
        watch.own.cancelled.clear()
        if self._by and matches(self._by, trigger):
            watch.own.acts.clear()

    def _carried(self, act: Event) -> tuple[Fault, ...]:
        return (self._lacks,) if self._carry and not any(holds(act.data) for holds in self._carry) else ()

    @property
    def opens(self) -> bool:
        return bool(self._by)

    def open_acts(self, watch: Watch) -> Sequence[Event]:
        acts: list[Event] = watch.own.acts
        return acts


def evidence_fold(rules: Sequence[EvidenceRule], calendar: WorkingCalendar, titles: Mapping[str, Text]) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_Version(rule, calendar, titles) for rule in rules])
