"""One partition of the clocks under crashes: whatever was kept of what was to be kept, the same alerts come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules import DeadlineRule
from streams.core import pruning
from streams.core.driver import Entry
from streams.core.rulebook import Rulebook
from streams.engine import native_module
from streams.engine.clocks import NativeClocks
from streams.live import clock_partition
from streams.live.applied import Row
from streams.live.clock_partition import JUDGED_AT_ONCE, ClockPartition, position_key
from streams.wire.state_rows import LogRecord, StateError, entry_to_bytes, record_from_bytes, record_to_bytes
from tests.property.crashing import World, assert_same, killed, undisturbed, written_over
from tests.stories import decoded, shipped, us, wire

SOURCES = {"in": 2}
START = us("2026-03-02T09:00")
MINUTE = 60_000_000
LENIENT = DeadlineRule.model_validate(
    {**shipped("fee-5-minutes").rulebook.rules[0].model_dump(by_alias=True), "limit": "20 min"}
)


def fresh() -> ClockPartition:
    return ClockPartition(3, shipped().rulebook, keep_for=30 * MINUTE)


def entries(story: str) -> list[Entry]:
    return [
        (("order", str(event.order_id)), event, f"in/0/{number}") for number, event in enumerate(decoded(wire(story)))
    ]


def record(story: str, at: int, vouching: Sequence[str] = ("in/0", "in/1")) -> LogRecord:
    """As it comes off the topic; sources vouch up to so many minutes after nine."""
    raw = [entry_to_bytes(*one) for one in entries(story)]
    return record_from_bytes(record_to_bytes(raw, dict.fromkeys(vouching, START + at * MINUTE), SOURCES))


def test_time_waits_for_every_partition_of_every_source() -> None:
    partition = fresh()
    late = record("e1 2026-03-02T09:00 counter.service_started WO1 business=fee", 10)
    one = LogRecord(late.entries, {"in/0": START + 10 * MINUTE}, {"in": 2})
    found = partition.apply(one, 0)
    assert found is not None
    assert (found.alerts, partition.watermark) == ([], None)
    other = partition.apply(LogRecord([], {"in/1": START + 6 * MINUTE}, {"in": 2}), 1)
    assert other is not None
    assert [alert.kind for alert in other.alerts] == ["breach"]
    assert partition.watermark == START + 6 * MINUTE


def test_a_new_partition_holds_time_and_a_dropped_topic_does_not() -> None:
    partition = fresh()
    partition.apply(LogRecord([], {"a/0": 10, "b/0": 10}, {"a": 1, "b": 1}), 0)
    partition.apply(LogRecord([], {"a/0": 20, "b/0": 20}, {"a": 2, "b": 1}), 1)
    assert partition.watermark == 10
    partition.apply(LogRecord([], {"a/0": 30}, {"a": 1, "b": 1}), 2)  # from a worker that has not heard of a/1
    assert partition.watermark == 10
    partition.apply(LogRecord([], {"a/1": 25}, {"a": 2, "b": 1}), 3)
    assert partition.watermark == 20
    partition.apply(LogRecord([], {"a/0": 30}, {"a": 2}), 4)  # b is no longer read: nobody will ever vouch for it
    assert partition.watermark == 25


def test_a_record_that_was_applied_before_is_passed_over() -> None:
    partition = fresh()
    first = record("e1 2026-03-02T09:00 counter.service_started WO1 business=fee", 10)
    assert partition.apply(first, 7) is not None
    assert partition.apply(first, 7) is None
    assert partition.apply(first, 6) is None


def test_a_record_that_cannot_have_been_applied_before_says_that_the_log_was_made_anew() -> None:
    partition = fresh()
    for offset in range(3):
        partition.apply(record("", 10 * offset), offset)
    assert partition.apply(record("", 20), 1) is None
    with pytest.raises(StateError, match=r"partition 3 is of offset 2, but record 0 of the log is newer than that"):
        partition.apply(record("", 21), 0)


def test_a_row_of_a_newer_version_is_refused() -> None:
    with pytest.raises(StateError, match="format 99"):
        fresh().restore(b'{"v":99,"offset":0}')
    with pytest.raises(StateError, match="format 99"):
        fresh().restore(None, [(b"3/order/WO1", b'{"v":99}')])


def test_rows_of_other_partitions_are_left_alone() -> None:
    partition = fresh()
    partition.restore(None, [(b"33/order/WO1", b"unreadable"), (b"4/order/WO1", b"unreadable")])
    assert len(partition.engine) == 0


def test_what_rests_on_silence_says_after_a_loss_that_it_may_be_wrong() -> None:
    partition = fresh()
    first = partition.apply(record("e1 2026-03-02T09:00 counter.service_started WO1 business=fee", 1), 0)
    assert first is not None
    lost = replace(
        record("e2 2026-03-02T09:03 counter.service_started WO2 business=fee", 3), lost_before=START + MINUTE
    )
    applied = [partition.apply(lost, 1)]
    assert applied[0] is not None
    again = fresh()  # after a crash the position says it
    rows = {key: value for one in (first, applied[0]) for key, value in one.rows if value is not None}
    again.restore(rows.pop(position_key(3)), rows.items())
    end = record("e3 2026-03-02T09:10 counter.service_completed WO1", 20)
    earlier = replace(end, lost_before=START - MINUTE)  # another source's, before the one that is known
    for one in (again, partition):
        applied.append(one.apply(earlier, 2))
    expected = [("WO1", "late_completion", False), ("WO1", "breach", True), ("WO2", "breach", False)]
    for found in applied[1:]:
        assert found is not None
        alerts = [alert for alert in found.alerts if alert.rule == "fee-5-minutes" and alert.kind != "warning"]
        assert sorted((one.subject[1], one.kind, one.incomplete) for one in alerts) == sorted(expected)


@pytest.mark.parametrize(("lost", "is_incomplete"), [(11, True), (10, True), (-20, True), (-21, False)])
def test_an_act_may_lack_anything_before_it_that_is_still_kept(lost: int, is_incomplete: bool) -> None:
    partition = fresh()
    story = "s 2026-03-02T09:10 survey.performed WO1\np 2026-03-02T09:11 survey.appointed WO1"
    applied = partition.apply(replace(record(story, 20), lost_before=START + lost * MINUTE), 0)
    assert applied is not None
    found = {alert.incomplete for alert in applied.alerts if alert.kind == "violation"}
    assert found == {is_incomplete}


def taken_back(found: Sequence[Row], keep_for: int = 30 * MINUTE) -> ClockPartition:
    """Another one, from the rows of the first."""
    again = ClockPartition(3, shipped().rulebook, keep_for=keep_for)
    rows = {key: value for key, value in found if value is not None}
    again.restore(rows.pop(position_key(3)), rows.items())
    return again


def test_what_may_rest_on_a_dead_letter_of_its_subject_says_so() -> None:
    """The letter of WO1 may be its stop, that of WO3 the appointment before its survey; WO2 has none."""
    partition = fresh()
    starts = "\n".join(f"e{n} 2026-03-02T09:00 counter.service_started WO{n} business=fee" for n in (1, 2))
    letters = [(("order", "WO1"), START + MINUTE), (("order", "WO3"), START + MINUTE)]
    first = partition.apply(replace(record(starts, 2), refused=letters), 0)
    assert first is not None
    story = "\n".join(f"s{n} 2026-03-02T09:10 survey.performed WO{n}" for n in (3, 4))
    story += "\nx 2026-03-02T09:03 counter.service_started WO5 business=fee"
    whole = fresh()
    whole.apply(record(starts, 2), 0)
    undisturbed = whole.apply(record(story, 20), 1)
    assert undisturbed is not None
    for one in (partition, taken_back(first.rows)):
        applied = one.apply(replace(record(story, 20), refused=[(("order", "WO5"), START)]), 1)
        assert applied is not None
        assert [replace(alert, incomplete=False) for alert in applied.alerts] == undisturbed.alerts
        found = {
            (alert.subject[1], alert.kind): alert.incomplete
            for alert in applied.alerts
            if alert.kind in ("breach", "violation")
        }
        assert found["WO1", "breach"] is found["WO3", "violation"] is True
        # of the last one the letter is older than its case
        assert found["WO2", "breach"] is found["WO4", "violation"] is found["WO5", "breach"] is False


def test_a_subject_of_which_only_a_letter_is_known_is_dropped_like_any_other() -> None:
    partition = fresh()
    letters = [(("order", "WO1"), START), (("order", "WO2"), START - 60 * MINUTE)]
    assert partition.apply(record("", 1), 0) is not None
    applied = partition.apply(replace(record("", 1), refused=letters), 1)
    assert applied is not None
    assert partition.engine.subjects() == [("order", "WO1")]  # what is older than what is kept would be dropped at once
    again = taken_back(applied.rows)
    for one in (partition, again):
        assert one.apply(record("", 40), 2) is not None
        assert one.apply(record("", 41), 3) is not None
        assert one.engine.subjects() == []
    whole = ClockPartition(3, shipped().rulebook, keep_for=30 * MINUTE, prunes=False)  # 0.1 may have to read its rows
    whole.apply(replace(record("", 1), refused=letters), 0)
    assert whole.engine.subjects() == []


def test_what_may_rest_on_an_event_that_came_too_late_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a case that is open the stop comes when its history has been cut behind it."""
    monkeypatch.setattr(pruning, "MOST_EVENTS", 20)
    partition = ClockPartition(3, shipped("fee-5-minutes").rulebook, keep_for=30 * 1440 * MINUTE)
    story = "s 2026-03-02T09:00 counter.service_started WO1 business=fee"
    partition.apply(record(story, 0), 0)
    for number in range(40):
        story = f"c{number} 2026-03-02T09:00:{number + 10} counter.resumed WO1"
        partition.apply(record(story, 1), number + 1)
    late = record("z 2026-03-02T09:00:05 counter.service_completed WO1", 2)
    applied = partition.apply(late, 50)
    assert applied is not None
    assert [notice for _, notice in applied.step.refused] == ["too_old"]
    again = ClockPartition(3, shipped("fee-5-minutes").rulebook, keep_for=30 * 1440 * MINUTE)
    rows = {key: value for key, value in partition.all_rows() if value is not None}
    again.restore(rows.pop(position_key(3)), rows.items())
    for one in (partition, again):
        applied = one.apply(record("", 20), 51)
        assert applied is not None
        assert [(alert.kind, alert.incomplete) for alert in applied.alerts] == [("breach", True)]


def test_a_record_of_events_that_are_over_is_repeated_after_a_crash_and_nothing_of_it_is_refused() -> None:
    """The row was kept and the position was not; what is over for good would be refused then."""
    begun = "s 2026-03-02T09:00 counter.service_started WO1 business=fee"
    done = "\n".join(
        [
            *(f"i{number} 2026-03-02T09:00:{number + 10} counter.resumed WO1" for number in range(9)),
            "e 2026-03-02T09:03 counter.service_completed WO1",
            "x 2026-03-02T10:40 counter.resumed WO1",
        ]
    )
    log = [record(begun, 0), record(done, 100), record("y 2026-03-02T10:41 counter.resumed WO1", 101)]
    world, partition = World(fresh), fresh()
    first = partition.apply(log[0], 0)
    assert first is not None
    world.keep(first.rows)
    applied = partition.apply(log[1], 1)
    assert applied is not None
    assert applied.step.refused == []
    world.keep(applied.rows[:-1])
    again = world.restored()
    for offset in (1, 2):
        repeated = again.apply(log[offset], offset)
        assert repeated is not None
        assert repeated.step.refused == []
    partition.apply(log[2], 2)
    assert again.all_rows() == partition.all_rows()


# --- crashes ------------------------------------------------------------------------------------------------

ACTS = (
    "counter.service_started {order} business=fee",
    "counter.interrupted {order} reason=system_failure",
    "counter.resumed {order}",
    "counter.service_completed {order}",
)


@st.composite
def logs(draw: st.DrawFn) -> list[LogRecord]:
    """A few orders at a counter, events early and late, twice and corrected, over some records."""
    count = draw(st.integers(1, 8))
    found = []
    now = 0
    lines: list[str] = []
    for _ in range(count):
        story = []
        for _ in range(draw(st.integers(0, 4))):
            if lines and draw(st.integers(0, 5)) == 0:
                story.append(draw(st.sampled_from(lines)))  # again
                continue
            minute = draw(st.integers(max(0, now - 12), now + 3))
            order = draw(st.sampled_from(["WO1", "WO2", "WO3"]))
            act = draw(st.sampled_from(ACTS)).format(order=order)
            fields = ""
            if lines and draw(st.integers(0, 4)) == 0:
                fields = f" corrects={draw(st.sampled_from(lines)).split()[0]}"
            event_type, *rest = act.split()
            story.append(f"e{len(lines)} 2026-03-02T09:{minute:02d} {event_type} {' '.join(rest)}{fields}")
            lines.append(story[-1])
        now += draw(st.integers(0, 7))
        # For as long as one of them has not spoken, no time has passed at all.
        vouching = draw(st.sampled_from([("in/0", "in/1"), ("in/0", "in/1"), ("in/0",), ("in/1",), ()]))
        found.append(record("\n".join(story), now, vouching))
    found.append(record("", 59))
    return found


@given(logs(), st.data())
def test_a_crash_at_any_point_changes_no_alert(log: list[LogRecord], data: st.DataObject) -> None:
    assert_same(killed(log, World(fresh), data), undisturbed(log, fresh))


@given(logs(), st.data())
def test_a_writer_that_wakes_up_late_changes_no_alert(log: list[LogRecord], data: st.DataObject) -> None:
    def fresh() -> ClockPartition:
        return ClockPartition(3, shipped().rulebook, keep_for=None)

    assert_same(written_over(log, World(fresh), data), undisturbed(log, fresh))


@given(logs(), st.data())
def test_all_rows_are_what_the_table_has(log: list[LogRecord], data: st.DataObject) -> None:
    partition = fresh()
    world = World(fresh)
    for offset, one in enumerate(log[: data.draw(st.integers(1, len(log)))]):
        applied = partition.apply(one, offset)
        assert applied is not None
        world.keep(applied.rows)
    again = World(fresh)
    again.keep(partition.all_rows())
    assert again.table == world.table


def test_a_row_that_is_ahead_by_some_records_takes_nothing_back_on_the_way() -> None:
    log = [
        record("e1 2026-03-02T09:00 counter.service_started WO1 business=power", 1),
        record("e2 2026-03-02T09:00 counter.service_started WO2 business=fee", 2),
        record("", 4),
        record("", 6),
    ]
    world, partition = World(fresh), fresh()
    written, told = [], []
    for offset, one in enumerate(log):
        applied = partition.apply(one, offset)
        assert applied is not None
        told += [alert.kind for alert in applied.alerts]
        world.keep(applied.rows)
        written.append(applied.rows)
    assert told == ["warning", "breach"]
    world.keep(written[0])  # from a writer that wakes up
    again = world.restored()
    assert again.offset == 0
    for offset, one in enumerate(log[1:], 1):
        applied = again.apply(one, offset)
        assert applied is not None
        assert applied.alerts == []


def test_what_came_before_any_time_had_passed_is_kept_for_as_long_after_a_restart() -> None:
    """A correction of an order at the counter that was done in time before anybody had vouched for anything."""
    done = """
        e1 2026-03-02T09:00 counter.service_started WO1 business=fee
        e2 2026-03-02T09:04 counter.service_completed WO1
    """
    world, partition = World(fresh), fresh()
    log = [
        record(done, 6, ("in/0",)),
        record("", 6),
        record("", 20),
        record("e3 2026-03-02T09:09 counter.service_completed WO1 corrects=e2", 21),
    ]
    told = []
    for offset, one in enumerate(log):
        applied = partition.apply(one, offset)
        assert applied is not None
        told += [alert.kind for alert in applied.alerts if alert.rule == "fee-5-minutes"]
        world.keep(applied.rows)
        partition = world.restored()
    assert told == ["breach", "late_completion"]


def test_a_row_that_no_watermark_has_rewritten_is_kept_too() -> None:
    """As versions before this one left them behind."""
    started = record("e1 2026-03-02T09:00 counter.service_started WO1 business=fee", 6, ("in/0",))
    completed = record("e2 2026-03-02T09:04 counter.service_completed WO1", 6, ("in/0",))
    partition, world = fresh(), World(fresh)
    for offset, one in enumerate((started, completed)):
        applied = partition.apply(one, offset)
        assert applied is not None
        world.keep(applied.rows)
    applied = partition.apply(record("", 6), 2)
    assert applied is not None
    world.keep(applied.rows[-1:])
    again = world.restored()
    assert again.apply(record("", 30), 3) is not None
    assert again.engine.subjects() == [("order", "WO1")]
    assert again.apply(record("", 61), 4) is not None
    assert again.engine.subjects() == []


def test_changed_rules_are_taken_up_some_subjects_at_a_time_and_a_restart_on_the_way_repeats_nothing() -> None:
    tightened = shipped("fee-5-minutes").rulebook
    eased = Rulebook([rule.model_copy(update={"limit": LENIENT.limit}) for rule in tightened.rules], tightened.calendar)
    count = 2 * JUDGED_AT_ONCE + 1
    story = "\n".join(
        f"e{number} 2026-03-02T09:00 counter.service_started WO{number} business=fee" for number in range(count)
    )
    world, partition = World(fresh), ClockPartition(3, tightened, keep_for=None)
    applied = partition.apply(record(story, 6), 0)
    assert applied is not None
    breaches = {alert.alert_id for alert in applied.alerts if alert.kind == "breach"}
    assert len(breaches) == count
    world.keep(applied.rows)
    retracted: list[list[str | None]] = []
    for offset in range(1, 6):
        if offset < 3:
            partition = ClockPartition(3, eased, keep_for=None)
            partition.restore(world.table[position_key(3)], world.table.items())
        applied = partition.apply(record("", 6), offset)
        assert applied is not None
        world.keep(applied.rows)
        retracted.append([alert.retracts for alert in applied.alerts])
    # The second worker begins with those that the first one has judged.
    assert list(map(len, retracted)) == [JUDGED_AT_ONCE, 0, JUDGED_AT_ONCE, 1, 0]
    assert {alert_id for some in retracted for alert_id in some} == breaches


TIGHT = shipped("fee-5-minutes").rulebook
EASED = Rulebook([rule.model_copy(update={"limit": LENIENT.limit}) for rule in TIGHT.rules], TIGHT.calendar)


@pytest.mark.parametrize("natively", [False, True])
@pytest.mark.parametrize(("ours", "other"), [(TIGHT, EASED), (EASED, TIGHT)])
@pytest.mark.parametrize("lost", ["nothing", "position", "first position"])
def test_a_change_of_rules_that_is_taken_back_before_all_are_judged_leaves_nothing_behind(
    ours: Rulebook, other: Rulebook, lost: str, natively: bool
) -> None:
    """Also where the process died before its position was written, once at its very first record."""
    module = native_module()
    if natively and module is None:
        pytest.skip("the native engine is not built")

    def by(rulebook: Rulebook) -> ClockPartition:
        clocks = NativeClocks(module, rulebook, shipped().catalogue) if natively and module is not None else None
        partition = ClockPartition(3, rulebook, keep_for=None, native=clocks)
        partition.read_rows_by(world.table.get)
        partition.restore(world.table.get(position_key(3)), world.table.items())
        return partition

    def take(partition: ClockPartition, one: LogRecord, offset: int, *, is_lost: bool = False) -> None:
        applied = partition.apply(one, offset)
        assert applied is not None
        world.alerts += applied.alerts
        world.keep(applied.rows[:-1] if is_lost else applied.rows)

    count = JUDGED_AT_ONCE + 1
    starts = [f"e{number} 2026-03-02T09:00 counter.service_started WO{number} business=fee" for number in range(count)]
    first = record("\n".join(starts), 6)
    world = World(fresh)
    at = 0
    if lost == "first position":
        take(by(other), first, 0, is_lost=True)
    else:
        take(by(ours), first, 0)
        take(by(other), record("", 6), 1, is_lost=lost == "position")
        at = 2 if lost == "nothing" else 1
    assert len(world.standing()) not in (0, count) or lost == "first position"
    again = by(ours)
    take(again, first if lost == "first position" else record("", 6), at)
    again = by(ours)  # a restart on the way
    for offset in range(at + 1, at + 4):
        take(again, record("", 6), offset)
    assert len(world.standing()) == (count if ours is TIGHT else 0)
    net = Counter((alert.case_id, alert.kind) for alert in world.alerts if alert.kind != "warning")
    assert max(net.values(), default=0) <= 2
    told = len(world.alerts)
    take(by(ours), record("", 6), at + 4)
    assert len(world.alerts) == told


def test_a_restart_under_changed_rules_takes_back_what_no_longer_holds_and_repeats_nothing() -> None:
    tightened = shipped("fee-5-minutes").rulebook
    eased_rules = [rule.model_copy(update={"limit": LENIENT.limit}) for rule in tightened.rules]
    eased = Rulebook(eased_rules, tightened.calendar)
    partition = ClockPartition(3, tightened, keep_for=None)
    story = "e1 2026-03-02T09:00 counter.service_started WO1 business=fee"
    applied = partition.apply(record(story, 6), 0)
    assert applied is not None
    (breach,) = [alert for alert in applied.alerts if alert.kind == "breach"]
    *rows, (_, position) = applied.rows
    kept = [(key, value) for key, value in rows if value is not None]
    for rulebook, told in ((tightened, []), (eased, [("retraction", breach.alert_id)])):
        again = ClockPartition(3, rulebook, keep_for=None)
        again.restore(position, kept)
        more = again.apply(record("", 7), 1)
        assert more is not None
        assert [(alert.kind, alert.retracts) for alert in more.alerts] == told
        once_more = again.apply(record("", 8), 2)
        assert once_more is not None
        assert once_more.alerts == []


@pytest.mark.parametrize("natively", [False, True])
def test_a_case_outlives_rules_without_it_that_are_taken_back(natively: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clocks stand still for longer than subjects are kept; the other rules know neither."""
    module = native_module()
    if natively and module is None:
        pytest.skip("the native engine is not built")
    monkeypatch.setattr(clock_partition, "JUDGED_AT_ONCE", 1)
    other = shipped("repair-arrival").rulebook
    world = World(fresh)
    steps = [
        (TIGHT, PAUSED, 1),
        (TIGHT, "", 100),
        *[(other, "", at) for at in (101, 102, 103)],
        (TIGHT, "a3 2026-03-02T10:44 counter.resumed WO1\nb3 2026-03-02T10:44 counter.resumed WO2", 104),
        (TIGHT, "", 120),
    ]
    for offset, (rulebook, story, at) in enumerate(steps):
        clocks = NativeClocks(module, rulebook, shipped().catalogue) if natively and module is not None else None
        partition = ClockPartition(3, rulebook, keep_for=30 * MINUTE, native=clocks)
        partition.read_rows_by(world.table.get)
        partition.restore(world.table.get(position_key(3)), world.table.items())
        applied = partition.apply(record(story, at), offset)
        assert applied is not None
        world.alerts += applied.alerts
        world.keep(applied.rows)
    told = [(alert.subject[1], alert.kind) for alert in world.alerts if alert.kind != "warning"]
    assert sorted(told) == [("WO1", "breach"), ("WO2", "breach")]


PAUSED = """
    a1 2026-03-02T09:00 counter.service_started WO1 business=fee
    a2 2026-03-02T09:01 counter.interrupted WO1 reason=system_failure
    b1 2026-03-02T09:00 counter.service_started WO2 business=fee
    b2 2026-03-02T09:01 counter.interrupted WO2 reason=system_failure
"""
