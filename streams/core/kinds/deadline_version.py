"""One version of a deadline rule, compiled: by event type what an event may do under it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from schemas.limits import Limit
from schemas.rules import DeadlineRule
from streams.core.chosen_calendar import Calendars, ChosenCalendar
from streams.core.conditions import Fields, Predicate, predicate_of_start
from streams.core.event import Event
from streams.core.kinds.patterns import compile_patterns, fits, matches
from streams.core.kinds.versions import InForce
from streams.core.working_days import WorkingCalendar

Seen = Collection[str]
"""Types of events that have come."""


class Role:
    """The roles of an event type in one version; ``None`` or empty for a role that it cannot have."""

    __slots__ = (
        "cancel", "ends", "groups", "is_facts", "is_outside", "is_within", "may_pause", "pause", "pauses", "resume",
        "since", "stop", "until",
    )  # fmt: skip

    def __init__(self, version: Version, event_type: str) -> None:
        self.groups = [
            (index, pairs) for index, group in enumerate(version.groups) if (pairs := group.get(event_type)) is not None
        ]
        self.is_facts = event_type == version.rule.facts_from
        self.since = None if version.since is None else version.since.get(event_type)
        self.until = version.until.get(event_type)
        self.stop = version.stop.get(event_type)
        self.pause = version.pause.get(event_type)
        self.pauses = [
            (compile_patterns([pattern])[event_type], frozenset(pattern.unless))
            for pattern in version.rule.pause
            if version.unless and pattern.type == event_type
        ]
        """Of a rule with ``unless``: each way to pause, with the types after which it does not pause any more."""
        self.resume = version.resume.get(event_type)
        self.ends = [
            (compile_patterns([pattern])[event_type], compile_patterns(pattern.ended))
            for pattern in version.rule.resume
            if version.tells_apart and pattern.type == event_type
        ]
        """Of a rule that tells its pauses apart: each way to resume, with the pauses that it ends (none: all)."""
        self.cancel = version.cancel.get(event_type)
        self.may_pause = self.pause is not None or self.resume is not None or self.cancel is not None
        self.is_within = self.may_pause or self.stop is not None
        """Whether it may change an open case."""
        self.is_outside = bool(self.groups or self.is_facts or self.since or self.may_pause or self.until)
        """Whether it may change the state outside any case."""

    def pauses_clock(self, event: Event, fields: Fields, seen: Seen, *, has_started: bool = True) -> bool:
        """Whether an event of this type pauses the clock, after events of the types ``seen``."""
        if not self.pauses or not seen:
            return self.pause is not None and fits(self.pause, event, fields, has_started=has_started)
        return any(
            unless.isdisjoint(seen) and fits(pairs, event, fields, has_started=has_started)
            for pairs, unless in self.pauses
        )

    def left(
        self, pauses: Iterable[Event], event: Event, fields: Fields, *, has_started: bool = True
    ) -> tuple[Event, ...]:
        """The pauses that an event of this type which resumes does not end."""
        if not self.ends:
            return ()
        ways = [ends for pairs, ends in self.ends if fits(pairs, event, fields, has_started=has_started)]
        return tuple(pause for pause in pauses if not any(not ends or matches(ends, pause, fields) for ends in ways))


class Version(InForce):
    """One version of the rule, compiled."""

    __slots__ = (
        "calendar",
        "cancel",
        "choices",
        "does_more",
        "groups",
        "listens",
        "pause",
        "resume",
        "roles",
        "rule",
        "since",
        "stop",
        "tells_apart",
        "unless",
        "until",
    )

    def __init__(self, rule: DeadlineRule, calendar: WorkingCalendar, calendars: Calendars) -> None:
        super().__init__(rule, calendar)
        self.rule = rule
        self.calendar = ChosenCalendar(rule.calendar, calendar, calendars)
        self.groups = [compile_patterns(group) for group in rule.start.all]
        self.since = compile_patterns(rule.only_while.since) if rule.only_while else None
        self.until = compile_patterns(rule.only_while.until) if rule.only_while else {}
        self.stop = compile_patterns(rule.stop)
        self.pause = compile_patterns(rule.pause)
        self.resume = compile_patterns(rule.resume)
        self.unless = frozenset(name for pattern in rule.pause for name in pattern.unless)
        self.tells_apart = any(pattern.ends for pattern in rule.resume)
        self.cancel = compile_patterns(rule.cancel)
        others = frozenset().union(self.stop, self.pause, self.cancel, self.until, self.since or (), *self.groups)
        self.does_more = self.unless & (others | {rule.facts_from})
        """The types of ``unless`` that do more than to be that and to resume."""
        self.choices: list[tuple[Predicate, Limit]] = [
            (predicate_of_start(choice.when), choice.limit) for choice in rule.limit
        ]
        self.listens = frozenset().union(
            self.stop, self.pause, self.unless, self.resume, self.cancel, self.until, self.since or (), *self.groups
        ) | ({rule.facts_from} if rule.facts_from else frozenset())
        self.roles = {event_type: Role(self, event_type) for event_type in self.listens}
