"""Workers that are killed over simulated work orders of every chapter, and under changed rules.

``tests.live.test_clock_partition`` has the same with a few orders at one counter, which Hypothesis can make small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.limits import Elapsed, WorkingDays
from schemas.rules import DeadlineRule, Rule
from streams.core.driver import Entry
from streams.core.rulebook import Rulebook
from streams.engine.clocks import NativeClocks, native_clocks
from streams.live.clock_partition import ClockPartition
from streams.simulation import simulate
from streams.wire.state_rows import LogRecord, entry_to_bytes, record_from_bytes, record_to_bytes
from tests.property.crashing import World, assert_same, killed, undisturbed, written_over
from tests.stories import decoded, shipped

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SOURCES = ("in/0", "in/1", "in/2")
VOUCHING = (SOURCES, SOURCES, SOURCES[:1], SOURCES[1:], ())
_FEW = settings(max_examples=settings().max_examples // 4, suppress_health_check=[HealthCheck.too_slow])


@cache
def every_rule(halves: int = 2) -> Rulebook:
    """All shipped rules, those too that are shipped disabled, with limits of so many halves of what they are."""
    found: list[Rule] = []
    for rule in shipped().rulebook.rules:
        changes: dict[str, object] = {"enabled": True}
        if isinstance(rule, DeadlineRule):
            changes["limit"] = tuple(
                choice.model_copy(update={"limit": _halves(choice.limit, halves)}) for choice in rule.limit
            )
        found.append(rule.model_copy(update=changes))
    return Rulebook(found, shipped().rulebook.calendar)


def _halves(limit: object, halves: int) -> object:
    if isinstance(limit, Elapsed):
        minutes = max(1, limit.microseconds * halves // 2 // MINUTE)
        return limit.model_copy(update={"microseconds": minutes * MINUTE, "text": f"{minutes} min"})
    if isinstance(limit, WorkingDays):
        days = max(1, limit.days * halves // 2)
        return limit.model_copy(update={"days": days, "text": f"{days} working days"})
    return limit


@cache
def entries_of(seed: int) -> list[tuple[int, Entry]]:
    """Copies for each subject as they come in, with when they were recorded."""
    found = []
    made = simulate(orders=12, seed=seed, start=date(2025, 3, 3), days=12)
    for number, event in enumerate(decoded(made.events)):
        for subject, copy in every_rule().copies_of(event):
            found.append((event.recorded, (subject, copy, f"in/0/{number}")))
    return found


@dataclass(frozen=True)
class Arrival:
    """How the orders of one seed come in: how much they are shuffled, and by how much time is vouched for too early."""

    orders: int
    seed: int
    jitter: int
    grace: int

    def log(self, again: float = 0.3) -> list[LogRecord]:
        """One partition's log: now behind and now late, and with sources that have yet to speak.

        ``again`` is how likely a record holds events that were in it, or long before it, too.
        """
        entries = entries_of(self.orders)
        rng, repetitions = Random(self.seed), Random(self.seed)
        order = sorted(range(len(entries)), key=lambda one: (entries[one][0] + rng.randint(0, self.jitter), one))
        found, at, position = [], 0, 0
        while position < len(order):
            size = rng.choice((0, 1, 3, 10, 40))
            own = [entries[one] for one in order[position : position + size]]
            at = max(at, *(recorded for recorded, _ in own)) if own else at
            position += size
            if order[:position] and repetitions.random() < again:
                own += [entries[one] for one in repetitions.choices(order[:position], k=repetitions.choice((1, 5, 30)))]
            raw = [entry_to_bytes(*entry) for _, entry in own]
            vouching = rng.choice(VOUCHING) if at else ()
            found.append(_record(raw, vouching, at - self.grace))
        found.append(_record([], SOURCES, at + 60 * DAY))
        return found


ARRIVALS = st.builds(
    Arrival,
    orders=st.integers(1, 40),
    seed=st.integers(0, 2**32),
    jitter=st.sampled_from([0, 0, HOUR, 3 * DAY]),
    grace=st.sampled_from([HOUR, -HOUR, -DAY]),  # a watermark that claims too much makes events late
)


def _record(raw: Sequence[bytes], vouching: Sequence[str], at: int) -> LogRecord:
    """As it comes off the topic."""
    written = record_to_bytes(raw, dict.fromkeys(vouching, at), {"in": len(SOURCES)})
    return record_from_bytes(written, unread=True)


@cache
def _native() -> NativeClocks | None:
    return native_clocks(shipped().rulebook, shipped().catalogue, None)


@given(ARRIVALS, st.sampled_from([HOUR, DAY, 8 * DAY, None]), st.booleans(), st.booleans(), st.data())
@_FEW
def test_a_crash_at_any_point_changes_no_alert(
    arrival: Arrival, keep_for: int | None, tracks_cases: bool, is_native: bool, data: st.DataObject
) -> None:
    def fresh(native: NativeClocks | None = None) -> ClockPartition:
        return ClockPartition(0, shipped().rulebook, keep_for=keep_for, tracks_cases=tracks_cases, native=native)

    crashing = World(lambda: fresh(_native() if is_native else None))
    assert_same(killed(arrival.log(), crashing, data), undisturbed(arrival.log(), fresh))


@given(ARRIVALS, st.sampled_from([8 * DAY, 10 * DAY]), st.booleans())  # nothing comes for the first time so late
@_FEW
def test_what_comes_again_tells_nothing_however_old_it_is(arrival: Arrival, keep_for: int, is_native: bool) -> None:
    """Also where its subject has been forgotten since: a source that is read from its beginning again."""

    def fresh() -> ClockPartition:
        return ClockPartition(0, shipped().rulebook, keep_for=keep_for, native=_native() if is_native else None)

    once, again = undisturbed(arrival.log(again=0), fresh), undisturbed(arrival.log(again=0.5), fresh)
    assert [alert.alert_id for alert in again.alerts] == [alert.alert_id for alert in once.alerts]


@given(ARRIVALS, st.data())
@_FEW
def test_a_writer_that_wakes_up_late_changes_no_alert(arrival: Arrival, data: st.DataObject) -> None:
    def fresh() -> ClockPartition:
        return ClockPartition(0, shipped().rulebook, keep_for=None, tracks_cases=True)

    log = arrival.log()
    assert_same(written_over(log, World(fresh), data), undisturbed(log, fresh))


BOOKS = [shipped().rulebook, every_rule(), every_rule(1), every_rule(5)]


@given(ARRIVALS, st.sampled_from(BOOKS), st.sampled_from(BOOKS), st.data())
@_FEW
def test_under_changed_rules_what_stands_is_what_they_alone_would_have_said(
    arrival: Arrival, before: Rulebook, after: Rulebook, data: st.DataObject
) -> None:
    """But for what was told by rules that are gone, which stands as it was told."""
    log = arrival.log()
    change = data.draw(st.integers(0, len(log) - 1))
    tracks = data.draw(st.booleans())  # one that begins to write cases writes them all
    world = undisturbed(log[:change], lambda: ClockPartition(0, before, keep_for=None, tracks_cases=tracks))
    told = world.standing()
    world.fresh = lambda: ClockPartition(0, after, keep_for=None, tracks_cases=True)
    killed(log, world, data)
    expected = undisturbed(log, world.fresh)
    assert world.cases == expected.cases
    alone = expected.standing()
    assert world.standing() == alone | {key for key in told if key[0] not in after.watched}
