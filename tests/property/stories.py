"""Random rulebooks and histories, biased to where mistakes live: the same instants, deadlines and a microsecond
around them, day ends, holidays, make-up days, a day of 23 hours, corrections of corrections, circles, repeats.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.calendars import CalendarSpec
from schemas.limits import BillingCycles, Limit, SameWorkingDay, UntilDate
from schemas.rules import Rule
from streams.core.rulebook import Rulebook
from streams.rulebooks.calendars import build_calendar
from streams.rulebooks.opening_hours import build_calendars
from tests.oracle.acts import end_of, lawful_from
from tests.oracle.common import Fact, midnight

MICROSECOND = timedelta(microseconds=1)
RULE: TypeAdapter[Rule] = TypeAdapter(Rule)

SHANGHAI = CalendarSpec.model_validate(
    {
        "source": "none",
        "holidays": [{"from": "2026-02-15", "to": "2026-02-23"}, "2026-04-06"],
        "working_days": ["2026-02-14", "2026-02-28"],
    }
)
BERLIN = CalendarSpec.model_validate(
    {"source": "none", "zone": "Europe/Berlin", "weekend": ["sunday"], "holidays": ["2026-03-30"]}
)
# A Thursday before a make-up Saturday and the Spring Festival; a Friday before the night of 23 hours.
FIRST_DAY = {"Asia/Shanghai": datetime(2026, 2, 12), "Europe/Berlin": datetime(2026, 3, 27)}  # noqa: DTZ001
END = datetime(2027, 1, 1, tzinfo=UTC)

# Times of a day with what is added in microseconds.
_MINUTES = (
    *(("09:00", 0),) * 3,
    ("09:02", 0),
    ("09:04", 0),
    *(("09:05", 0),) * 3,
    ("09:05", 1),
    ("09:05", -1),
    ("09:07", 0),
    ("09:07", 1),
    ("09:10", 0),
)
_MIDNIGHTS = (("00:00", 0), ("00:00", 0), ("00:00", 1), ("00:00", -1), ("09:00", 0), ("12:00", 0))


def _instants(zone_name: str, days: Sequence[int], times: Sequence[tuple[str, int]]) -> tuple[datetime, ...]:
    zone = ZoneInfo(zone_name)
    found = []
    for day in days:
        for text, more in times:
            hour, minute = map(int, text.split(":"))
            local = FIRST_DAY[zone_name] + timedelta(days=day, hours=hour, minutes=minute)
            found.append(local.replace(tzinfo=zone).astimezone(UTC) + more * MICROSECOND)
    return tuple(found)


_DULL = {"clauses", "source", "title"}


class World:
    """A calendar with the instants at which things happen in it, and rules. Short when printed."""

    def __init__(
        self,
        calendar: CalendarSpec,
        rules: Sequence[Rule],
        types: Sequence[str],
        plots: Sequence[tuple[str, ...]] = ((),),
        fields: Sequence[dict[str, Any]] = (),
        dates: Sequence[str] = (),
    ) -> None:
        self.calendar = calendar
        self.rules = tuple(rules)
        self.types = tuple(types)
        self.plots = tuple(plots)
        """Event types in order of time, as stories worth telling begin; ``()`` is anything at all."""
        self.fields = tuple(fields) or FIELDS
        self.scenes = (*_scenes_of(calendar.zone), *((_instants_on(calendar.zone, dates),) if dates else ()))
        self.instants: tuple[datetime, ...] = (*instants_of(calendar.zone), *(self.scenes[-1] if dates else ()))
        self.rulebook = Rulebook(
            rules,
            calendar_of(calendar.zone),
            calendars=named_calendars(calendar.zone),
        )
        self.limits = tuple(limit for rule in rules for limit in _limits_of(rule))
        self.changes = tuple(midnight(rule.effective_to, calendar) for rule in rules if rule.effective_to)
        self.has_things = any(rule.kind == "deadline" and rule.only_while and rule.only_while.each for rule in rules)
        """Whether some rule has a case for each of several things of one subject."""
        self.delays = _DELAYS if any(rule.kind == "recording_delay" for rule in rules) else _DELAYS[:1]

    def __repr__(self) -> str:
        rules = [rule.model_dump(exclude_defaults=True, exclude=_DULL, by_alias=True) for rule in self.rules]
        return f"World({self.calendar.zone}, {rules})"


def _limits_of(rule: Rule) -> list[Limit]:
    """The limits that are counted from an event on."""
    found: list[Limit] = []
    for name in ("limit", "at_most", "every"):
        value = getattr(rule, name, None)
        found += [choice.limit for choice in value] if isinstance(value, tuple) else [value] if value else []
    return [limit for limit in found if not isinstance(limit, UntilDate | SameWorkingDay)]


def rule(text: dict[str, Any]) -> Rule:
    """A rule with everything that does not matter filled in."""
    return _rule(repr(text))


@lru_cache(maxsize=20_000)
def _rule(text: str) -> Rule:
    filled = {
        "id": "r",
        "effective_from": "2020-01-01",
        "clauses": ["X-S1"],
        "source": "a test",
        "subject": "order",
        "title": {"zh": "规则", "en": "Rule"},
        **literal_eval(text),
    }
    return RULE.validate_python(filled)


@cache
def calendar_of(zone: str) -> Any:
    return build_calendar(SHANGHAI if zone == SHANGHAI.zone else BERLIN)


@cache
def named_calendars(zone: str) -> Any:
    """*office* is open on worked days as ``tests.oracle.deadline.OPEN`` says, *daily* on all but holidays."""
    spec = SHANGHAI if zone == SHANGHAI.zone else BERLIN
    week = "mon-sat" if zone == BERLIN.zone else "mon-fri"
    hours = {
        "office": {"base": "none", "week": {week: ["08:30-12:00", "13:30-17:30"]}},
        "daily": {"base": "none", "week": {"mon-sun": ["00:00-24:00"]}},
    }
    return build_calendars(CalendarSpec.model_validate({**spec.model_dump(by_alias=True), "calendars": hours}))


def counting(limits: object, calendar: object) -> dict[str, Any]:
    """The calendar of a rule with these limits: what is counted in business hours is counted by *office*."""
    if "business" in repr(limits):
        return {"calendar": "office" if calendar is None else {"by": "k", "of": {"x": "office"}, "else": "office"}}
    return {} if calendar is None else {"calendar": calendar}


COUNTED_BY: tuple[Any, ...] = (
    *(None,) * 6,
    "office",
    "daily",
    {"by": "k", "of": {"x": "daily"}, "else": "office"},
    {"by": "org.unit", "of": {"U1": "office"}, "else": "daily"},
)
"""The calendars that a rule may name; the oracle knows them, too."""


@cache
def _scenes_of(zone: str) -> tuple[tuple[datetime, ...], ...]:
    minutes, days = _instants(zone, (0,), _MINUTES), _instants(zone, (0, 1, 2, 3, 4, 12), _MIDNIGHTS)
    one_midnight = _instants(zone, (0, 1), _MIDNIGHTS)  # at which a rule may change
    return minutes, days, one_midnight, instants_of(zone)


@cache
def instants_of(zone: str) -> tuple[datetime, ...]:
    return _instants(zone, (0, 0, 0, 1, 2, 3, 4, 12, 19), sorted({*_MINUTES, *_MIDNIGHTS}))


@cache
def _instants_on(zone_name: str, dates: Sequence[str]) -> tuple[datetime, ...]:
    """The ends and beginnings of some days, in order."""
    days = [(datetime.fromisoformat(text) - FIRST_DAY[zone_name]).days for text in dates]
    return _instants(zone_name, sorted(days), _MIDNIGHTS)


# --- kind deadline --------------------------------------------------------------------------------------

LIMITS: tuple[Any, ...] = (
    "5 min",
    "5 min",
    "3 min",
    "24 h",
    "1 day",
    "2 days",
    "1 working day",
    "2 working days",
    "3 working days",
    "1 natural month",
    "1 billing cycle",
    "same working day",
    {"until": "on"},
    {"until": "on"},
    "2 business hours",
    "90 business minutes",
    "9 business hours",
    [{"when": {"k": 1}, "is": "4 business hours"}, {"is": "2 working days"}],
    [{"when": {"k": 1}, "is": "5 min"}, {"when": {"k": {"at_least": 2}}, "is": "1 working day"}],
    [{"when": {"k": {"not": [1, True]}}, "is": "10 min"}, {"is": {"until": "on"}}],
    [{"when": {"k": {"present": True}}, "is": "2 working days"}],
)
STARTS: tuple[Any, ...] = (
    *("start",) * 6,
    {"type": "start", "where": {"k": [1, 2]}},
    ["start", "open"],
    {"all": ["start", "open"]},
    {"all": ["start", ["open", {"type": "start", "where": {"k": 1}}]]},
    # one event in several roles
    ["start", "pause"],
    ["start", "resume"],
    ["start", "cancel", "stop"],
    {"all": ["start", ["pause", "resume"]]},
)
STOPS: tuple[Any, ...] = (
    "stop",
    "stop",
    "stop",
    ["stop", "start"],  # the next start ends it
    {"type": "stop", "where": {"k": {"not": 1}}},
    [{"type": "stop", "if_start": {"k": 1}}, {"type": "cancel", "if_start": {"k": 2}}],
    ["stop", {"type": "open", "where": {"k": 2}}],
    {"type": "stop", "where": {"k": {"is": "start.k"}}},
    [
        {"type": "stop", "where": {"k": {"more_than": "start.k"}}},
        {"type": "open", "where": {"k": {"less_than": "start.k"}}},
    ],
)
STILLS: tuple[Any, ...] = (
    {},
    {"pause": "pause", "resume": "resume"},
    {"pause": "pause", "resume": "resume"},
    {"pause": {"type": "pause", "where": {"k": [1, "x"]}}, "resume": ["resume", "open"]},
    {"pause": {"type": "pause", "where": {"k": {"is": "start.k"}}}, "resume": ["resume", "open"]},
    # one event in several roles
    {"pause": ["pause", "start"], "resume": ["resume", "open"]},
    {"pause": "pause", "resume": ["resume", "start"]},
    {"pause": ["pause", "resume"], "resume": "resume"},
    {"pause": ["pause", "stop", "cancel"], "resume": ["resume", "cancel"]},
    # a resume of one pause leaves the other
    {"pause": ["pause", "open"], "resume": [{"type": "resume", "ends": "pause"}, "facts"]},
    {
        "pause": ["pause", "open", "facts"],
        "resume": [
            {"type": "resume", "ends": ["pause", "open"], "where": {"k": {"not": 1}}},
            {"type": "resume", "ends": "facts", "where": {"k": {"not": 2}}},
            {"type": "start", "ends": "open"},
        ],
    },
    {"pause": ["pause", "open"], "resume": [{"type": "resume", "ends": {"type": "pause", "where": {"k": 1}}}, "facts"]},
    # no pause after what has come already
    {"pause": {"type": "pause", "unless": "resume"}, "resume": "resume"},
    {
        "pause": [{"type": "pause", "unless": ["open", "facts"]}, {"type": "facts", "unless": "start"}],
        "resume": "resume",
    },
    {
        "pause": [{"type": "pause", "where": {"k": 1}}, {"type": "pause", "unless": ["stop", "cancel"]}, "open"],
        "resume": [{"type": "resume", "ends": "pause"}, "cancel"],
    },
)
OTHERS: tuple[Any, ...] = (
    *({},) * 4,
    {"cancel": "cancel"},
    {"cancel": {"type": "cancel", "where": {"k": {"at_most": 1}}}},
    {"only_while": {"since": "facts"}},
    {"only_while": {"since": {"type": "facts", "where": {"k": 1}}, "until": ["cancel", "resume"]}, "cancel": "cancel"},
    {"only_while": {"since": ["facts", "open"], "until": "cancel", "each": ["meter", "account"]}},
    {"only_while": {"since": "facts", "until": "stop", "each": "account"}, "cancel": "cancel"},
    {"facts_from": "facts"},
    {"facts_from": "facts", "cancel": "cancel"},
)
WARNINGS = ((), (0.8,), (0.5, 0.9))
SUBJECTS: tuple[Any, ...] = ("order", "order", ["order", "account"], ["account", "order"], "meter")
DEADLINE_TYPES = ("start", "start", "stop", "stop", "pause", "resume", "cancel", "open", "facts", "other")

DEADLINE_PLOTS = (
    (),
    ("start",),
    ("start", "stop"),
    ("start", "cancel"),
    ("start", "pause"),
    ("start", "pause", "resume"),
    ("start", "pause", "resume", "stop"),
    ("start", "pause", "resume", "pause", "resume"),
    ("start", "pause", "resume", "pause", "resume", "stop"),
    ("pause", "start", "resume", "stop"),
    ("pause", "resume", "stop"),
    ("pause", "resume", "pause", "resume"),
    ("resume", "pause", "resume", "stop"),
    ("pause", "cancel", "start", "stop"),
    ("start", "stop", "start", "stop"),
    ("start", "open", "stop", "open", "stop", "start"),
    ("facts", "start", "stop"),
    ("facts", "facts", "start", "stop"),
    ("facts", "facts", "start", "stop", "start", "stop"),
    ("facts", "start", "facts", "start", "cancel", "stop"),
    ("facts", "start", "cancel", "start"),
)


@st.composite
def _deadline_rules(draw: st.DrawFn, number: int) -> list[Rule]:
    def version() -> dict[str, Any]:
        parts = draw(_PARTS)
        start, stop, still, other, limit, warn_at, calendar = parts
        if "each" in other.get("only_while", ()):
            start = "start" if isinstance(start, dict) and "all" in start else start
        if "until" in repr(limit):
            still = {}  # an agreed date refuses pauses
        return {
            "kind": "deadline",
            "id": f"r{number}",
            "start": start,
            "stop": stop,
            "limit": limit,
            "warn_at": warn_at,
            **counting(limit, calendar),
            **still,
            **other,
        }

    subject = draw(subjects) if number else "order"
    first = {**version(), "subject": subject}
    change = draw(_changes)
    if change is None:
        return [rule(first)]
    second = {**version(), "subject": subject, "version": "2", "effective_from": change}
    return [rule({**first, "effective_to": change}), rule(second)]


_changes = st.sampled_from((None, None, None, "2026-02-13", "2026-02-14", "2026-03-28"))
_PARTS = st.tuples(
    st.sampled_from(STARTS),
    st.sampled_from(STOPS),
    st.sampled_from(STILLS),
    st.sampled_from(OTHERS),
    st.sampled_from(LIMITS),
    st.sampled_from(WARNINGS),
    st.sampled_from(COUNTED_BY),
)


@st.composite
def deadline_worlds(draw: st.DrawFn) -> World:
    calendar = draw(calendars)
    rules = draw(_deadline_rules(0))
    if draw(now_and_then):
        rules = rules + draw(_deadline_rules(1))
    return World(calendar, rules, DEADLINE_TYPES, DEADLINE_PLOTS)


# --- rules that follow another --------------------------------------------------------------------------

FOLLOWED: tuple[dict[str, Any], ...] = (
    *({"kind": "deadline", "start": "start", "stop": "stop", "limit": "5 min"},) * 3,
    {"kind": "deadline", "start": "start", "stop": "stop", "limit": "1 working day"},
    {"kind": "deadline", "start": ["start", "open"], "stop": ["stop", "start"], "limit": "3 min", "cancel": "cancel"},
    {"kind": "deadline", "start": "start", "stop": "stop", "limit": "5 min", "pause": "pause", "resume": "resume"},
    {"kind": "deadline", "start": "start", "stop": "stop", "limit": "3 min", "facts_from": "facts"},
    {
        "kind": "deadline",
        "start": "start",
        "stop": "stop",
        "limit": "5 min",
        "only_while": {"since": ["facts", "open"], "until": "cancel", "each": ["meter", "account"]},
    },
    {"kind": "cadence", "act": "start", "until": "cancel", "every": "5 min"},
    {"kind": "cadence", "act": "start", "since": "open", "every": "1 natural month", "calendar": True},
)
"""Rules that a follow-up starts after."""

AFTER_STOPS: tuple[Any, ...] = (
    *("sorry",) * 4,
    ["sorry", "stop"],
    {"type": "sorry", "where": {"k": {"not": 1}}},
    [{"type": "sorry", "if_start": {"k": 1}}, {"type": "cancel", "if_start": {"k": 2}}],
    {"type": "sorry", "where": {"k": {"is": "start.k"}}},
)
FOLLOW_UP_TYPES = ("start", "start", "stop", "sorry", "sorry", "pause", "resume", "cancel", "open", "facts")
FOLLOW_UP_PLOTS = (
    (),
    ("start",),
    ("start", "sorry"),
    ("start", "stop", "sorry"),
    ("start", "sorry", "stop"),
    ("start", "pause", "resume", "sorry"),
    ("start", "pause", "stop", "resume", "sorry"),
    ("pause", "start", "stop", "resume"),
    ("start", "stop", "start", "sorry"),
    ("start", "stop", "start", "stop", "sorry", "sorry"),
    ("start", "cancel", "sorry"),
    ("open", "facts", "start", "sorry", "stop"),
)


@st.composite
def follow_up_worlds(draw: st.DrawFn) -> World:
    """A rule, one that follows it, and now and then one that follows that one; each may have two versions."""
    calendar = draw(calendars)
    change = draw(_changes)
    subject = draw(subjects)

    def versions(first: dict[str, Any], second: dict[str, Any]) -> list[Rule]:
        if change is None:
            return [rule(first)]
        return [rule({**first, "effective_to": change}), rule({**second, "version": "2", "effective_from": change})]

    def follow_up(name: str, followed: str) -> dict[str, Any]:
        _, _, still, _, limit, warn_at, counted_by = draw(_PARTS)
        return {
            "kind": "deadline",
            "id": name,
            "subject": subject,
            "start": {"alert": followed, "kind": "breach"},
            "stop": draw(_after_stops),
            "cancel": draw(_after_cancels),
            "limit": limit,
            "warn_at": warn_at,
            **counting(limit, counted_by),
            # A follow-up's pauses are not told apart (``streams.core.rule_checks``).
            **({} if re.search("until|ends|unless", f"{limit} {still}") else still),
        }

    followed = {**draw(_followed), "id": "r0", "subject": subject}
    rules = [rule(followed), *versions(follow_up("r1", "r0"), follow_up("r1", "r0"))]
    if draw(now_and_then):
        rules += [rule(follow_up("r2", "r1"))]
    return World(calendar, rules, FOLLOW_UP_TYPES, FOLLOW_UP_PLOTS)


_followed = st.sampled_from(FOLLOWED)
_after_stops = st.sampled_from(AFTER_STOPS)
_after_cancels = st.sampled_from(((), (), "cancel", {"type": "cancel", "where": {"k": {"at_most": 1}}}))


# --- histories ------------------------------------------------------------------------------------------

# Ids that sort otherwise than they came.
_IDS = ("m0", "c1", "x2", "a3", "k4", "z5", "b6", "q7", "d8", "y9")
_IDS_OF_SUBJECTS: tuple[dict[str, str], ...] = (
    *({"order": "O"},) * 8,
    {"order": "O", "account": "A"},
    {"account": "A"},
    {"order": "P"},
    {"meter": "M", "account": "A"},
)
FIELDS: tuple[dict[str, Any], ...] = (
    {},
    {"k": 1},
    {"k": 1},
    {"k": 2},
    {"k": "x"},
    {"k": True},
    {"on": "2026-02-13"},
    {"on": "2026-02-12T09:05:00+08:00"},
    {"on": "2026-02-13T00:00:00.000001+08:00"},
    {"k": 3, "on": "2026-02-12"},
    {"k": 2, "on": "2026-03-28"},
)
_DELAYS = (timedelta(0), timedelta(0), timedelta(0), timedelta(hours=1), timedelta(days=1))
# Whom it corrects (by place in the history, whatever came of it), and whether it voids.
_CORRECTIONS: tuple[tuple[int, bool] | None, ...] = (
    *(None,) * 12,
    (0, False),
    (0, True),
    (1, False),
    (1, True),
    (2, False),
    (3, True),
    (5, False),
)


ids_of_subjects = st.sampled_from(_IDS_OF_SUBJECTS)
_ids_of_things = st.sampled_from(
    [
        {"order": "O", **things}
        for things in (
            {},
            {"account": "A"},
            {"account": "B"},
            {"meter": "M"},
            {"meter": "N"},
            {"account": "A", "meter": "N"},
        )
    ]
)

# Strategies are made once: to make one costs more than to draw from it. So what depends on a world is drawn as places
# in the world's tables.
now_and_then = st.sampled_from((False, False, False, True))
calendars = st.sampled_from((SHANGHAI, SHANGHAI, BERLIN))
subjects = st.sampled_from(SUBJECTS)
_often = st.sampled_from((False, False, True))
_beside = st.sampled_from((0, 0, -1, 1))
_just_before = st.sampled_from((0, 0, 1))
_reading_days = st.sampled_from((None, 12, 31))
_delays = st.sampled_from(_DELAYS)
_corrections = st.sampled_from(_CORRECTIONS)


@cache
def places(count: int) -> st.SearchStrategy[int]:
    """A place in a table of so many entries."""
    return st.sampled_from(range(count))


@cache
def lists_of_places(length: int, count: int) -> st.SearchStrategy[list[int]]:
    return st.lists(places(count), min_size=length, max_size=length)


@cache
def _few(count: int) -> st.SearchStrategy[list[int]]:
    return st.lists(places(count), min_size=2, max_size=3)


@cache
def _strange(types: int, instants: int, fields: int, most: int) -> st.SearchStrategy[list[Any]]:
    parts = (places(types), places(instants), _delays, places(fields), ids_of_subjects, _corrections)
    return st.lists(st.tuples(*parts), max_size=most)


@st.composite
def facts_of(draw: st.DrawFn, world: World) -> list[Fact]:
    """Histories; the order of the list is no order of time. Most follow a plot, with something strange thrown in."""

    def one_of(table: Sequence[Any]) -> Any:
        return table[draw(places(len(table)))]

    def edge(since: datetime) -> datetime:
        limit, beside = one_of(world.limits), draw(_beside) * MICROSECOND
        reading_day = draw(_reading_days) if isinstance(limit, BillingCycles) else None
        if draw(st.booleans()):
            return lawful_from(limit, since, world.calendar, reading_day) + beside
        return end_of(limit, since, world.calendar) + beside

    plot = one_of(world.plots)
    instants = one_of(world.scenes)
    if draw(st.booleans()):  # few instants, so that most of what happens meets
        instants = [instants[place] for place in draw(_few(len(instants)))]
    times = sorted(instants[place] for place in draw(lists_of_places(len(plot), len(instants))))
    if len(plot) > 1 and world.limits and draw(st.booleans()):
        # The second of two comes at the very end of a limit counted from the first, or a microsecond beside it.
        first = draw(places(len(plot) - 1))
        times[first + 1] = edge(times[first])
        times[first + 2 :] = [max(at, times[first + 1]) for at in times[first + 2 :]]
    elif plot and world.changes and draw(st.booleans()):
        # One comes at the very instant at which a version takes over, or a microsecond before it.
        moved, beside = draw(places(len(plot))), draw(_just_before) * MICROSECOND
        times[moved] = one_of(world.changes) - beside
        times.sort()
    fields = [world.fields[place] for place in draw(lists_of_places(len(plot), len(world.fields)))]
    told: list[Any] = [
        (kind, at, one_of(world.delays), own, draw(_ids_of_things) if world.has_things else _IDS_OF_SUBJECTS[0], None)
        for kind, at, own in zip(plot, times, fields, strict=True)
    ]
    if plot and draw(_often):
        # One of them was wrong, which was seen two days later.
        wrong = draw(places(len(plot)))
        kind, at, _, _, ids, _ = told[wrong]
        at = one_of((at, at + MICROSECOND, times[0]))
        told.append((kind, at, timedelta(days=2), one_of(world.fields), ids, (wrong, False)))
    strange = draw(_strange(len(world.types), len(instants), len(world.fields), 3 if plot else 8))
    drawn: list[Any] = [
        *told,
        *(
            (world.types[kind], instants[at], delay, world.fields[own], ids, correction)
            for kind, at, delay, own, ids, correction in strange
        ),
    ]
    if draw(st.booleans()):
        drawn = draw(st.permutations(drawn))
    return [fact_of(index, *parts) for index, parts in enumerate(drawn)]


def fact_of(
    index: int,
    kind: str,
    at: datetime,
    delay: timedelta,
    fields: dict[str, Any],
    ids: dict[str, str],
    correction: tuple[int, bool] | None,
) -> Fact:
    own = _IDS[index % len(_IDS)] + ("" if index < len(_IDS) else str(index))
    corrects, void = (None, False) if correction is None else (_IDS[correction[0]], correction[1])
    if corrects == own:
        corrects, void = None, False
    return Fact(own, kind, at, at + delay, fields, ids, corrects, void)


def contradicting(fact: Fact) -> Fact:
    """The same id with other content."""
    return replace(fact, at=fact.at + MICROSECOND)
