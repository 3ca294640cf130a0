"""What is left of a history when what is over has been left out: how much, what is refused, what is not seen again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from schemas.snapshots import FIRST_VERSION, PRUNED_VERSION, STATE_VERSION
from streams.core import pruning
from streams.core.alerts import Alert
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.kinds import at_most, each, evidence
from streams.core.pruning import FEWEST_EVENTS, MOST_EVENTS
from streams.core.rulebook import Rulebook
from streams.wire.state_rows import snapshot_from_bytes, snapshot_to_bytes
from tests.bench.subject import CASES, event_of
from tests.property.stories import rule
from tests.stories import decoded, open_cases, shipped, us, wire

DAY = 86_400_000_000
METER = ("meter", "M1")


def readings(months: int) -> Iterator[Event]:
    """A meter read on the 20th of every month from January 2024 on, but for each June."""
    for number in range(months):
        year, month = 2024 + number // 12, number % 12 + 1
        if month != 6:
            at = f"{year}-{month:02d}-20T09:00"
            yield decoded(wire(f"r{number:03d} {at} reading.collected - meter=M1 method=remote value=1"))[0]


def lived(engine: Engine, months: int) -> tuple[list[Alert], list[int]]:
    """All that is reported, and the sizes of the row."""
    alerts: list[Alert] = []
    sizes: list[int] = []
    for event in readings(months):
        engine.handle(METER, event)
        alerts += engine.advance_to(event.at)
        alerts += engine.advance_to(event.at + DAY)
        snapshot = engine.snapshot(METER)
        assert snapshot is not None
        sizes.append(len(snapshot_to_bytes(snapshot)))
    return alerts, sizes


def test_a_meter_read_for_ten_years_keeps_a_row_of_one_size() -> None:
    rulebook = shipped("monthly-reading").rulebook
    pruned, sizes = lived(Engine(rulebook, keep_for=90 * DAY), 120)
    whole, grown = lived(Engine(rulebook), 120)
    assert pruned == whole
    assert sum(alert.kind == "breach" for alert in pruned) == 10
    assert max(grown) > 3 * max(sizes)
    assert max(sizes[40:]) <= max(sizes[:40])


def test_no_subject_keeps_more_events_than_the_bound() -> None:
    engine = Engine(shipped("monthly-reading").rulebook, keep_for=90 * DAY)
    first = us("2026-03-02T09:00")
    sample = next(readings(1))
    for number in range(3 * MOST_EVENTS):
        at = first + number * 1_000_000
        event = Event(f"e{number}", sample.type, at, at, sample.data, meter_id="M1")
        engine.handle(METER, event)
        assert engine.advance_to(at) == []
        snapshot = engine.snapshot(METER) if number % 100 == 0 else None
        assert snapshot is None or len(snapshot.events) <= MOST_EVENTS + 1
    # What comes later than the newest half may still be late.
    late = Event("late", sample.type, at - 500_000_000, at, sample.data, meter_id="M1")
    assert engine.handle(METER, late) == "late"
    older = Event("older", sample.type, first, at, sample.data, meter_id="M1")
    assert engine.handle(METER, older) == "too_old"


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_kind_keeps_more_with_every_event(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One subject with ever more events, all younger than the days that are kept."""
    monkeypatch.setattr(pruning, "MOST_EVENTS", 60)
    monkeypatch.setattr(each, "MOST_THINGS", 20)
    monkeypatch.setattr(evidence, "MOST_WAITING", 20)
    monkeypatch.setattr(at_most, "MOST_VIOLATIONS", 20)
    case = CASES[name]
    subject = str(case.rule.get("subject", "order")), "S"
    engine = Engine(Rulebook([rule(dict(case.rule))], shipped().rulebook.calendar), keep_for=90 * DAY)
    sizes: list[int] = []
    for number in range(900):
        event = event_of(case, number, subject)
        assert engine.handle(subject, event) == "applied"
        engine.advance_to(event.at)
        snapshot = engine.snapshot(subject)
        assert snapshot is not None
        sizes.append(len(snapshot_to_bytes(replace(snapshot, reported=(), withdrawn=()))))
    assert max(sizes[450:]) <= 1.1 * max(sizes[:450])


ORDER = ("order", "WO1")


def calls(engine: Engine, count: int) -> None:
    """An order that is paid for again and again, an hour apart, each time within the limit."""
    start = us("2026-03-02T09:00")
    for number in range(count):
        at = start + number * 3_600_000_000
        for suffix, kind, more in (("a", "counter.service_started", 0), ("b", "counter.service_completed", 60_000_000)):
            data = {"business": "fee"} if suffix == "a" else {}
            event = Event(f"{number:03d}{suffix}", kind, at + more, at + more, data, order_id="WO1")
            assert engine.handle(ORDER, event) in ("applied", "late")
            engine.advance_to(at + more)


def test_what_would_change_what_is_over_is_refused() -> None:
    engine = Engine(shipped("fee-5-minutes").rulebook, keep_for=DAY)
    calls(engine, 48)
    snapshot = engine.snapshot(ORDER)
    assert snapshot is not None
    until = snapshot.pruned.until
    assert until is not None
    assert all(event.at > until for event in snapshot.events)
    kept, last = snapshot.events[0], snapshot.events[-1]

    def event(event_id: str, at: int, corrects: str | None = None) -> Event:
        return Event(event_id, last.type, at, last.recorded, {}, order_id="WO1", corrects=corrects)

    assert engine.handle(ORDER, event("x1", until)) == "too_old"
    assert engine.handle(ORDER, event("x2", until + 1)) == "late"
    assert engine.handle(ORDER, event("x3", last.at, corrects="000b")) == "too_old"  # left out
    assert engine.handle(ORDER, event("x4", until, corrects=last.event_id)) == "too_old"
    assert engine.handle(ORDER, event("x5", last.at, corrects=last.event_id)) == "late"
    assert engine.handle(ORDER, kept) == "duplicate"


def test_what_one_rule_needs_begins_no_case_of_another() -> None:
    """The overdue bill is needed for the count of 30 days; the rule that it began a case of must not begin again."""
    loaded = shipped()
    engine = Engine(loaded.rulebook, keep_for=DAY)
    account = ("account", "A1")
    lines = [
        f"b{n} 2026-{n // 28 + 1:02d}-{n % 28 + 1:02d}T09:00 bill.overdue - account=A1 since_on=2026-01-01"
        for n in range(2 * FEWEST_EVENTS)
    ]
    alerts: list[Alert] = []
    for event in decoded(wire("\n".join(lines))):
        engine.handle(account, event)
        alerts += engine.advance_to(event.at)
    snapshot = engine.snapshot(account)
    assert snapshot is not None
    assert snapshot.pruned.until is not None
    row = snapshot_to_bytes(snapshot, engine.standing(account), loaded.rulebook.fingerprint)
    assert snapshot_from_bytes(account, row) == snapshot
    again = Engine(loaded.rulebook, keep_for=DAY)
    again.watermark = engine.watermark
    again.restore(snapshot_from_bytes(account, row))
    assert again.advance_to(engine.watermark) == []
    assert open_cases(again) == open_cases(engine)


def test_another_rulebook_does_not_see_what_was_kept_for_other_rules() -> None:
    old, new = shipped("arrears-30-days").rulebook, shipped().rulebook
    engine = Engine(old, keep_for=DAY)
    account = ("account", "A1")
    for n in range(FEWEST_EVENTS):
        line = f"b{n} 2026-01-{n + 1:02d}T09:00 bill.overdue - account=A1 since_on=2026-01-01"
        event = decoded(wire(line))[0]
        engine.handle(account, event)
        engine.advance_to(event.at + 10 * DAY)
    snapshot = engine.snapshot(account)
    assert snapshot is not None
    later = Engine(new, keep_for=DAY)
    later.watermark = engine.watermark
    later.restore(snapshot)
    later.rejudge([account])
    assert [alert.rule for alert in later.advance_to(engine.watermark)] == []


def test_only_a_row_of_a_pruned_history_has_the_new_format() -> None:
    engine = Engine(shipped("fee-5-minutes").rulebook, keep_for=DAY)
    calls(engine, 3)
    snapshot = engine.snapshot(ORDER)
    assert snapshot is not None
    assert json.loads(snapshot_to_bytes(snapshot))["v"] == FIRST_VERSION
    calls_later = Engine(shipped("fee-5-minutes").rulebook, keep_for=DAY)
    calls(calls_later, 48)
    snapshot = calls_later.snapshot(ORDER)
    assert snapshot is not None
    assert json.loads(snapshot_to_bytes(snapshot))["v"] == PRUNED_VERSION


def paused(engine: Engine, times: int, sent: int = 0) -> list[Alert]:
    """An order paused for two seconds and resumed for one, so often; ``sent`` times it was before."""
    alerts: list[Alert] = []
    start = us("2026-03-02T09:00")
    if not sent:
        engine.handle(ORDER, Event("s", "counter.service_started", start, start, {"business": "fee"}, order_id="WO1"))
    for number in range(sent, sent + times):
        for more, kind in ((1, "counter.interrupted"), (3, "counter.resumed")):
            at = start + (3 * number + more) * 1_000_000
            data = {"reason": "system_failure"} if more == 1 else {}
            event = Event(f"p{number}-{more}", kind, at, at, data, order_id="WO1")
            assert engine.handle(ORDER, event) == "applied"
            alerts += engine.advance_to(at)
    return alerts


def test_a_case_paused_without_end_gives_the_same_alerts_from_a_small_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit of five minutes of running time is used up after 300 pauses."""
    monkeypatch.setattr(pruning, "MOST_EVENTS", 100)
    rulebook = shipped("fee-5-minutes").rulebook
    engine, whole = Engine(rulebook, keep_for=90 * DAY), Engine(rulebook)
    expected = paused(whole, 400)
    found = paused(engine, 150)
    row = engine.snapshot(ORDER)
    assert row is not None
    assert len(row.events) < 120
    stored = snapshot_to_bytes(row)
    assert json.loads(stored)["v"] == STATE_VERSION
    again = Engine(rulebook, keep_for=90 * DAY)
    again.watermark = engine.watermark
    again.restore(snapshot_from_bytes(ORDER, stored))
    found += paused(again, 250, 150)
    assert [alert.kind for alert in found] == ["warning", "breach"]
    assert found == expected
    assert found[-1].arithmetic["omitted"]["pauses"] == 300 - 40
    row = again.snapshot(ORDER)
    assert row is not None
    assert len(snapshot_to_bytes(row)) < 1.2 * len(stored)
    # What comes later than the cut may still be late; what is older is not read any more.
    until = row.pruned.until
    assert until is not None
    done = Event("done", "counter.service_completed", until, until, {}, order_id="WO1")
    assert again.handle(ORDER, done) == "too_old"
