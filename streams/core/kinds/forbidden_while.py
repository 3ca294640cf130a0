"""Kind ``forbidden_while``: never the act while a condition holds.

The condition holds between an event of ``since`` and the next of ``until``, both instants excluded: events at one
instant have no known order.

Worked example, ``no-disconnection-once-paid``: paid in full at 10:00:00, supply cut at 10:00:00.000 is met, at
10:00:00.001 a violation; after the next overdue bill it is lawful again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas.base import Text
from schemas.rules import ForbiddenWhileRule
from streams.core.event import Event
from streams.core.faults import Forbidden
from streams.core.kinds.acts import ActFold, ActVersion, Watch
from streams.core.kinds.findings import Finding
from streams.core.kinds.patterns import Tests, compile_patterns, label_of, matches
from streams.core.working_days import WorkingCalendar

_NEVER = -(2**62)


class _Condition:
    """The instant from which the condition holds, and the last instants that ended or prevented it."""

    __slots__ = ("kept_out", "lifted_at", "since")

    def __init__(self) -> None:
        self.since: list[Event] = []
        self.lifted_at = _NEVER
        self.kept_out: Event | None = None


class _Version(ActVersion[ForbiddenWhileRule]):
    def __init__(self, rule: ForbiddenWhileRule, calendar: WorkingCalendar, titles: Mapping[str, Text]) -> None:
        self._since = compile_patterns(rule.during.since)
        # A reset ends the condition too, and being in favour of the person it counts at its own instant.
        self._until = compile_patterns((*rule.during.until, *rule.reset))
        self._not_after = compile_patterns(rule.during.not_after)
        self._label = label_of(rule.during.since, titles)
        super().__init__(rule, calendar, titles)

    def own_tests(self) -> Iterable[Tests]:
        return self._since, self._until, self._not_after

    def start(self) -> _Condition:
        return _Condition()

    def note(self, watch: Watch, event: Event) -> None:
        super().note(watch, event)
        own: _Condition = watch.own
        if event.type in self._not_after and matches(self._not_after, event):
            own.kept_out = own.kept_out or event
            own.since = [since for since in own.since if since.at < event.at]
        if event.type in self._until and matches(self._until, event):
            own.lifted_at = event.at
            own.since.clear()
        if event.type in self._since and matches(self._since, event):
            watch.closed = False
            if own.kept_out is None and own.lifted_at != event.at:
                own.since.append(event)

    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        if self.applies(watch, trigger):
            since = next((since for since in reversed(watch.own.since) if since.at < trigger.at), None)
            faults = () if since is None else (Forbidden(self._label, since.at),)
            yield self.finding(trigger, faults, self.grounds(watch, trigger, since))

    def is_idle(self, watch: Watch) -> bool:
        return watch.closed or (super().is_idle(watch) and not watch.own.since)

    def own_needed(self, watch: Watch, until: int) -> Sequence[Event]:
        own: _Condition = watch.own
        return [*own.since[-1:], *([own.kept_out] if own.kept_out is not None else [])]


def forbidden_while_fold(
    rules: Sequence[ForbiddenWhileRule], calendar: WorkingCalendar, titles: Mapping[str, Text]
) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_Version(rule, calendar, titles) for rule in rules])
