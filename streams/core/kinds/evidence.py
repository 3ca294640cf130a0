"""Kind ``evidence``: the act has required fields, or is accompanied by required events.

The accompanying events may come until the close: the first event of ``by`` at or after the act; without ``by`` they
must come by the act. An order that is never closed is never judged. After a reset, earlier events no longer count for
later acts; they still count for an act that waits for its close.

Worked example, ``two-calls-one-answer``: reported 09:00, called 09:02 and 09:40, closed 12:00: the third call is
missing, a violation at 12:00. Called at 12:00:00.000 as well, it is met.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from schemas.base import Text
from schemas.patterns import Condition, Conditions
from schemas.rules import EvidenceRule
from streams.core.conditions import Fields, predicate_of_start
from streams.core.event import Event
from streams.core.faults import Fault, Lacks
from streams.core.kinds.acts import ActFold, ActVersion, Watch, fields_of
from streams.core.kinds.findings import Finding
from streams.core.kinds.patterns import Tests, compile_patterns, condition_text, fits, matches, may_fit
from streams.core.kinds.slots import Slot
from streams.core.working_days import WorkingCalendar

_NEVER = -(2**62)

MOST_WAITING: Final = 2_000
"""Acts that may wait for one close; later ones are not judged. An order that changes the meters of a housing estate
has less."""


class _Pending(msgspec.Struct, eq=False):
    """An act waiting for its close: the facts known at it, and the reset (if any) before which nothing counts."""

    act: Event
    facts: Event | None
    reset: Event | None

    @property
    def since(self) -> int:
        """The instant of the reset."""
        return _NEVER if self.reset is None else self.reset.at


class _Open(msgspec.Struct, eq=False):
    """Acts waiting for their close, those cancelled at the latest instant, and the accompanying events by need.

    Acts of the latest instant, each with the reset before it, are separate until all its facts are known.
    """

    seen: list[list[Event]]
    pending: list[_Pending] = []  # each has its own
    latest: list[tuple[Event, Event | None]] = []
    cancelled: list[_Pending] = []
    cancel: Event | None = None
    left_out: int | None = None


def _condition_text(field: str, condition: Condition) -> str:
    if condition.present is not None:
        return field if condition.present else f"no {field}"
    if condition.start_field is not None:
        return f"{field}{condition.sign}{condition.start_field}"
    return condition_text(field, condition)


def alternative_text(conditions: Conditions) -> str:
    """The required fields of an act, as text for a sentence."""
    return " + ".join(_condition_text(field, condition) for field, condition in conditions.items())


class _Version(ActVersion[EvidenceRule]):
    def __init__(self, rule: EvidenceRule, calendar: WorkingCalendar, titles: Mapping[str, Text]) -> None:
        self._by = compile_patterns(rule.by)
        self._cancel = compile_patterns(rule.cancel)
        self._carry = [predicate_of_start(conditions) for conditions in rule.carry]
        self._lacks = Lacks(tuple(alternative_text(conditions) for conditions in rule.carry))
        super().__init__(rule, calendar, titles, rule.needs)

    def own_tests(self) -> Iterable[Tests]:
        return self._by, self._cancel

    def start(self) -> _Open:
        return _Open([[] for _ in self.slots])

    def note(self, watch: Watch, event: Event) -> None:
        own: _Open = watch.own
        if own.latest and own.latest[-1][0].at != event.at:
            own.pending += self._admitted(watch)
            own.latest.clear()
        if not self._by:
            super().note(watch, event)
            return
        role = self.roles[event.type]
        if role.is_noted_besides:
            super().note(watch, event)
        for index, slot, pairs in role.slots:
            if may_fit(pairs, event):
                seen = own.seen[index]
                if slot.is_last_enough:
                    seen.clear()
                seen.append(event)
        if event.type in self._cancel and matches(self._cancel, event):
            if own.cancel is None or own.cancel.at != event.at:
                own.cancel = event
            own.cancelled += own.pending
            own.pending = []
        if role.act is not None and fits(role.act, event) and self.is_in_force(event.at):
            own.latest.append((event, watch.reset))
            watch.closed = False

    def _admitted(self, watch: Watch) -> list[_Pending]:
        """The acts of the latest instant to which the rule applies, as many as there is room for."""
        own: _Open = watch.own
        if not own.latest:
            return []
        room = MOST_WAITING - len(own.pending) - len(own.cancelled)
        found = [_Pending(act, watch.facts, reset) for act, reset in own.latest if self.applies(watch, act)]
        if len(found) > room:
            own.left_out = own.latest[-1][0].at
        return found[:room]

    @property
    def trigger_types(self) -> Container[str]:
        return {*self._by, *self._cancel} if self._by else self.act

    def is_trigger(self, watch: Watch, event: Event) -> bool:
        if not self._by:
            return super().is_trigger(watch, event)
        return (event.type in self._by and matches(self._by, event)) or (
            event.type in self._cancel and matches(self._cancel, event)
        )

    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        if not self._by:
            if not self.applies(watch, trigger):
                return ()
            faults = (*self._carried(trigger), *self.missing(watch, trigger))
            return (self.finding(trigger, faults, self.grounds(watch, trigger)),)
        own: _Open = watch.own
        now = self._admitted(watch)
        if own.cancel is not None and own.cancel.at == trigger.at:
            return [
                self.finding(pending.act, (), (pending.act, own.cancel), due=trigger.at, cancelled=True)
                for pending in (*own.cancelled, *now)
            ]
        acts = (*own.pending, *now)
        return [self._closed(own, pending, acts[0].act.at, trigger) for pending in acts]

    def _closed(self, own: _Open, pending: _Pending, start: int, close: Event) -> Finding:
        # Of two starts the first counts: events after it need not be repeated.
        act = pending.act
        faults = list(self._carried(act))
        beside: list[Event | None] = [pending.facts, close]
        fields = fields_of(pending.facts, act)
        for slot, seen in zip(self.slots, own.seen, strict=True):
            latest = self._best(slot, seen, pending, start, fields)
            fault = slot.missing(latest, act, start, self.calendar, by=close.at)
            faults += [fault] if fault is not None else []
            beside.append(latest)
        return self.finding(act, faults, (act, *beside), due=close.at)

    def _best(self, slot: Slot, seen: Sequence[Event], pending: _Pending, start: int, fields: Fields) -> Event | None:
        """The latest event that meets a need of the act; the latest of all where none does.

        Not only the latest: a repetition does not undo an earlier event on the act's day.
        """
        act, latest = pending.act, None
        earliest = start if slot.need.after_start else pending.since
        if slot.need.same_day:
            earliest = max(earliest, self.calendar.start_of_day(self.calendar.local_date(act.at)))
        for event in reversed(seen):  # they are in order of time
            if event.at < pending.since or (latest is not None and event.at < earliest):
                break
            if matches(slot.tests, event, fields):
                if slot.missing(event, act, start, self.calendar) is None:
                    return event
                latest = latest or event
        return latest

    def found(self, watch: Watch, trigger: Event) -> None:
        own: _Open = watch.own
        own.cancelled.clear()
        if self._by:
            own.pending.clear()
            own.latest.clear()

    def _carried(self, act: Event) -> tuple[Fault, ...]:
        return (self._lacks,) if self._carry and not any(holds(act.data) for holds in self._carry) else ()

    @property
    def opens(self) -> bool:
        return bool(self._by)

    @property
    def bound(self) -> str:
        return "waiting" if self._by else ""

    def left_out(self, watch: Watch) -> int | None:
        own: _Open = watch.own
        self._admitted(watch)  # of the latest instant, too
        return own.left_out

    def is_idle(self, watch: Watch) -> bool:
        # An accompanying event belongs to its act: once closed, it does not count for another one.
        return bool(self._by) or super().is_idle(watch)

    @property
    def keeps_facts(self) -> bool:
        return bool(self._by)

    def needed(self, watch: Watch, until: int) -> Sequence[Event | None]:
        if not self._by:
            return super().needed(watch, until)
        own: _Open = watch.own
        own.pending += self._admitted(watch)
        own.latest.clear()
        found: list[Event | None] = [watch.facts, watch.reset, *watch.held]
        for slot, seen in zip(self.slots, own.seen, strict=True):
            found += slot.newest(seen)
        for pending in own.pending:
            start, fields = own.pending[0].act.at, fields_of(pending.facts, pending.act)
            found += [pending.act, pending.facts, pending.reset]
            for slot, seen in zip(self.slots, own.seen, strict=True):
                found.append(self._best(slot, seen, pending, start, fields))
        return found

    def open_acts(self, watch: Watch) -> Sequence[Event]:
        return [pending.act for pending in (*watch.own.pending, *self._admitted(watch))]


def evidence_fold(rules: Sequence[EvidenceRule], calendar: WorkingCalendar, titles: Mapping[str, Text]) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_Version(rule, calendar, titles) for rule in rules])
