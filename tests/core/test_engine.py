"""The engine apart from any rule: timers, what is kept and forgotten, restored and counted."""

from __future__ import annotations

from datetime import date

import pytest

from streams.core.alerts import Alert, Subject
from streams.core.engine import Engine
from streams.core.records import BEGINNING
from streams.core.rulebook import Rulebook
from streams.core.working_days import SpecialDay, WorkingCalendar
from tests.stories import decoded, local, open_cases, shipped, us, wire

WO1 = ("order", "WO1")
STARTED = 'e1 2026-03-02T09:00 counter.service_started WO1 business=fee org={"city":"3201"}\n'
STOPPED = "z 2026-03-02T09:04 counter.service_completed WO1\n"
MINUTE = 60_000_000
DAY = 1440 * MINUTE


def sent(engine: Engine, story: str) -> list[str]:
    """Hand a story to its subjects; what became of each event."""
    rulebook = shipped("deadline").rulebook
    return [
        engine.handle(subject, copy) for event in decoded(wire(story)) for subject, copy in rulebook.copies_of(event)
    ]


def engine_at(time: str | None = None, *, keep_for: int | None = None) -> Engine:
    engine = Engine(shipped("deadline").rulebook, keep_for=keep_for)
    if time is not None:
        engine.advance_to(us(time))
    return engine


def told(alerts: list[Alert]) -> list[tuple[str, str]]:
    return [(alert.kind, local(alert.detected_at)[11:19]) for alert in alerts]


# -- timers ----------------------------------------------------------------------------------------------


def test_next_due_walks_from_warning_to_deadline_to_nothing() -> None:
    engine = engine_at("2026-03-02T09:00")
    assert engine.next_due is None
    sent(engine, STARTED)
    assert engine.next_due is None  # nothing is decided before time moves
    assert engine.advance_to(us("2026-03-02T09:00")) == []
    assert engine.next_due == us("2026-03-02T09:04")
    assert told(engine.advance_to(us("2026-03-02T09:04"))) == [("warning", "09:04:00")]
    assert engine.next_due == us("2026-03-02T09:05")
    assert engine.advance_to(us("2026-03-02T09:05") - 1) == []
    assert told(engine.advance_to(us("2026-03-02T09:05"))) == [("breach", "09:05:00")]
    assert engine.next_due is None


def test_after_a_gap_there_is_one_alert_and_no_burst() -> None:
    engine = engine_at("2026-03-02T08:00")
    sent(engine, STARTED)
    assert told(engine.advance_to(us("2026-03-02T12:00"))) == [("breach", "12:00:00")]


def test_a_stop_takes_the_timer_away() -> None:
    engine = engine_at("2026-03-02T09:00")
    sent(engine, STARTED)
    engine.advance_to(us("2026-03-02T09:01"))
    sent(engine, STOPPED.replace("09:04", "09:02"))
    engine.advance_to(us("2026-03-02T09:02"))
    assert engine.next_due is None
    assert engine.advance_to(us("2026-04-01T00:00")) == []


def test_timers_of_what_is_met_are_dropped_long_before_they_come_due() -> None:
    """Five thousand orders of a moment each, forgotten soon; one beside them goes on waiting."""
    engine = engine_at("2026-03-02T08:59", keep_for=MINUTE)
    sent(engine, STARTED)
    start, waiting = us("2026-03-02T09:00"), []
    for second in range(200):
        for number in range(25):
            at = f"2026-03-02T09:{second // 60:02d}:{second % 60:02d}"
            order = STARTED.replace("WO1", f"X{second}-{number}").replace("2026-03-02T09:00", at)
            sent(engine, order)
            engine.advance_to(start + second * 1_000_000)
            sent(engine, STOPPED.replace("WO1", f"X{second}-{number}").replace("2026-03-02T09:04", at))
            engine.advance_to(start + second * 1_000_000)
        waiting.append(len(engine._timers))
    assert max(waiting) <= 2 * (60 * 25 + 26) + 1000
    assert told(engine.advance_to(us("2026-03-02T09:05"))) == [("breach", "09:05:00")]


def test_a_watermark_behind_is_no_movement_but_decides_what_came() -> None:
    engine = engine_at("2026-03-02T12:00")
    sent(engine, STARTED)
    assert told(engine.advance_to(us("2026-03-02T08:00"))) == [("breach", "12:00:00")]
    assert engine.watermark == us("2026-03-02T12:00")
    assert engine.advance_to(us("2026-03-02T12:00")) == []


def test_alerts_of_one_step_come_in_the_order_of_what_they_are_about() -> None:
    engine = engine_at("2026-03-02T08:00")
    sent(engine, "b 2026-03-02T09:01 counter.service_started WO2 business=fee\n" + STARTED)
    alerts = engine.advance_to(us("2026-03-02T12:00"))
    assert [alert.subject[1] for alert in alerts] == ["WO1", "WO2"]


# -- what is so ------------------------------------------------------------------------------------------


def test_asking_changes_nothing_that_is_told() -> None:
    engine = engine_at("2026-03-02T09:00")
    sent(engine, STARTED)
    assert [case.verdict.outcome for case in engine.cases(us("2026-03-02T10:00"))] == ["breached"]
    assert [case.verdict.outcome for case in engine.cases()] == ["running"]
    assert list(engine.cases(us("2026-03-02T09:00") - 1)) == []
    assert told(engine.advance_to(us("2026-03-02T09:30"))) == [("breach", "09:30:00")]


def test_open_cases_are_counted_by_rule_and_city() -> None:
    engine = engine_at("2026-03-02T09:00")
    sent(engine, STARTED + "f 2026-03-02T09:00 counter.service_started WO2 business=fee\n")
    engine.advance_to(us("2026-03-02T09:01"))
    assert open_cases(engine) == {("fee-5-minutes", "3201"): 1, ("fee-5-minutes", None): 1}
    sent(engine, STOPPED)
    engine.advance_to(us("2026-03-02T09:04"))
    assert open_cases(engine) == {("fee-5-minutes", None): 1}
    # A breach does not close a case; a correction can take it away.
    engine.advance_to(us("2026-03-02T10:00"))
    assert open_cases(engine) == {("fee-5-minutes", None): 1}
    sent(engine, "v 2026-03-02T09:00 counter.service_started WO2 corrects=f void=true")
    engine.advance_to(engine.watermark)
    assert open_cases(engine) == {}


def test_the_version_in_force_when_it_started_judges_a_case_to_its_end() -> None:
    before = "a 2023-08-22T23:59:59.999 counter.service_started WO1 business=fee"
    after = "a 2023-08-23T00:00 counter.service_started WO1 business=fee"
    counts = []
    for story in (before, after):
        engine = engine_at("2023-08-01T00:00")
        sent(engine, story)
        counts.append(len(engine.advance_to(us("2023-09-01T00:00"))))
    assert counts == [0, 1]


# -- what is kept ----------------------------------------------------------------------------------------


def rows(engine: Engine) -> list[Subject]:
    return engine.take_changed()


def test_what_changed_is_said_once() -> None:
    engine = engine_at("2026-03-02T09:00")
    assert rows(engine) == []
    assert sent(engine, STARTED + STARTED) == ["late", "duplicate"]
    assert rows(engine) == [WO1]
    assert rows(engine) == []
    engine.advance_to(us("2026-03-02T09:00"))
    assert rows(engine) == [WO1]  # in that it has been decided
    sent(engine, STARTED)
    engine.advance_to(us("2026-03-02T09:01"))
    assert rows(engine) == []  # a duplicate changes nothing
    engine.advance_to(us("2026-03-02T09:05"))
    assert rows(engine) == [WO1]  # the breach was told


@pytest.mark.parametrize("restored", [False, True], ids=["same engine", "restored"])
@pytest.mark.parametrize("time", ["09:00", "09:03", "09:04", "09:04:30", "09:05", "12:00"])
def test_a_restored_engine_goes_on_where_the_other_was(time: str, restored: bool) -> None:
    engine = engine_at("2026-03-02T09:00")
    sent(engine, STARTED)
    first = engine.advance_to(us(f"2026-03-02T{time}"))
    if restored:
        snapshot = engine.snapshot(WO1)
        assert snapshot is not None
        engine, old = Engine(shipped("deadline").rulebook), engine
        engine.watermark = old.watermark
        engine.restore(snapshot)
        assert engine.snapshot(WO1) == snapshot
        assert engine.next_due == old.next_due
        assert open_cases(engine) == open_cases(old)
        assert engine.take_changed() == []
    sent(engine, STOPPED.replace("09:04", "09:06"))
    second = engine.advance_to(us("2026-03-02T13:00"))
    kinds = [alert.kind for alert in (*first, *second) if alert.kind != "warning"]
    assert kinds == ["breach", "late_completion"]
    sent(engine, "k 2026-03-02T09:04 counter.service_completed WO1 corrects=z recorded=2026-03-02T13:00")
    third = engine.advance_to(engine.watermark)
    breaches = {alert.alert_id for alert in (*first, *second) if alert.kind != "warning"}
    assert {alert.retracts for alert in third} == breaches
    sent(engine, "l 2026-03-02T09:04 counter.service_completed WO1 corrects=k void=true recorded=2026-03-02T14:00")
    fourth = engine.advance_to(engine.watermark)
    assert [alert.kind for alert in fourth] == ["breach", "late_completion"]
    assert breaches.isdisjoint(alert.alert_id for alert in fourth)


def test_kept_before_any_time_has_passed_it_is_decided_by_the_first_watermark() -> None:
    engine = Engine(shipped("deadline").rulebook)
    sent(engine, STARTED)
    snapshot = engine.snapshot(WO1)
    assert snapshot is not None
    assert snapshot.decided_at == BEGINNING
    fresh = Engine(shipped("deadline").rulebook)
    fresh.restore(snapshot)
    assert told(fresh.advance_to(us("2026-03-02T12:00"))) == [("breach", "12:00:00")]


# -- what is forgotten -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "subjects"), [(1.99, 1), (2, 0)])
def test_a_closed_subject_is_forgotten_after_keep_for(days: float, subjects: int) -> None:
    engine = engine_at("2026-03-02T09:00", keep_for=2 * DAY)
    sent(engine, STARTED + STOPPED)
    engine.advance_to(us("2026-03-02T09:10"))
    engine.take_changed()
    engine.advance_to(us("2026-03-02T09:10") + int(days * DAY))
    assert len(engine) == subjects
    assert engine.take_changed() == ([] if subjects else [WO1])
    assert (engine.snapshot(WO1) is None) == (subjects == 0)


def test_a_late_event_keeps_a_subject_from_then_on() -> None:
    engine = engine_at("2026-03-02T09:00", keep_for=2 * DAY)
    sent(engine, STARTED + STOPPED)
    engine.advance_to(us("2026-03-02T09:10"))
    engine.advance_to(us("2026-03-03T09:10"))
    sent(engine, STOPPED.replace("z ", "y "))
    engine.advance_to(us("2026-03-03T09:10"))
    engine.advance_to(us("2026-03-05T09:10") - 1)
    assert len(engine) == 1
    engine.advance_to(us("2026-03-05T09:10"))
    assert len(engine) == 0


@pytest.mark.parametrize(("time", "subjects"), [("09:03", 1), ("09:04", 0)])
def test_a_subject_that_is_ahead_of_time_is_kept_as_long_after_its_last_event(time: str, subjects: int) -> None:
    """One source partition is read to its end while another holds time back by more than a closed subject is kept."""
    engine = engine_at("2026-02-20T09:00", keep_for=2 * DAY)
    sent(engine, STARTED + STOPPED)
    engine.advance_to(us("2026-02-20T09:00"))
    engine.advance_to(us(f"2026-03-04T{time}"))
    assert len(engine) == subjects


def test_an_open_case_is_never_forgotten() -> None:
    engine = engine_at("2026-03-02T09:00", keep_for=DAY)
    sent(engine, STARTED)
    engine.advance_to(us("2026-03-02T09:10"))  # breached, and still open
    engine.advance_to(us("2026-12-31T00:00"))
    assert len(engine) == 1
    sent(engine, "z 2026-12-31T00:00 counter.service_completed WO1")
    assert [alert.kind for alert in engine.advance_to(us("2026-12-31T00:00"))] == ["late_completion"]
    engine.advance_to(us("2027-01-01T00:00"))
    assert len(engine) == 0


def test_half_a_start_is_kept_for_the_other_half() -> None:
    engine = engine_at("2026-03-02T09:00", keep_for=DAY)
    sent(engine, "c 2026-03-02T10:00 contract.signed WO7")
    engine.advance_to(us("2026-04-02T09:00"))
    assert len(engine) == 1


def test_a_restored_subject_is_forgotten_as_the_other_would_have_been() -> None:
    engine = engine_at("2026-03-02T09:00", keep_for=2 * DAY)
    sent(engine, STARTED + STOPPED)
    engine.advance_to(us("2026-03-02T09:10"))
    snapshot = engine.snapshot(WO1)
    assert snapshot is not None
    fresh = Engine(shipped("deadline").rulebook, keep_for=2 * DAY)
    fresh.watermark = us("2026-03-03T00:00")
    fresh.restore(snapshot)
    fresh.advance_to(us("2026-03-04T09:10") - 1)
    assert len(fresh) == 1
    fresh.advance_to(us("2026-03-04T09:10"))
    assert len(fresh) == 0


def test_an_obligation_that_begins_later_wakes_up_by_itself() -> None:
    """Meter removed in February and read again in March: known in February, April's missing reading is told in May."""
    loaded = shipped("monthly-reading")
    engine = Engine(loaded.rulebook)
    story = """
        m 2026-02-12T10:00 meter.removed - meter=M account=A
        r 2026-03-03T10:00 reading.collected - meter=M account=A
    """
    for event in decoded(wire(story)):
        for subject, copy in loaded.rulebook.copies_of(event):
            engine.handle(subject, copy)
    engine.advance_to(us("2026-02-13T00:00"))
    due = engine.next_due
    assert due is not None
    assert due <= us("2026-05-01T00:00")
    alerts = engine.advance_to(us("2026-05-01T00:00"))
    assert {alert.kind for alert in alerts} == {"breach"}


# -- another rulebook ------------------------------------------------------------------------------------------


def test_what_a_rule_told_that_has_gone_stands_and_what_still_holds_is_not_told_again() -> None:
    before, without = shipped("fee-5-minutes").rulebook, shipped("power-20-minutes").rulebook
    start = decoded(wire("e1 2026-03-02T09:00 counter.service_started WO1 business=fee"))[0]
    engine = Engine(before)
    engine.handle(("order", "WO1"), start)
    assert [alert.kind for alert in engine.advance_to(us("2026-03-02T09:10"))] == ["breach"]
    snapshot = engine.snapshot(("order", "WO1"))
    assert snapshot is not None
    for rulebook in (before, without):
        again = Engine(rulebook)
        again.watermark = engine.watermark
        again.restore(snapshot)
        again.rejudge(again.subjects())
        assert again.advance_to(us("2026-03-02T10:00")) == []


def test_when_a_year_is_announced_its_cases_are_judged_anew() -> None:
    loaded = shipped("calibration-5-working-days")
    unknown = loaded.rulebook.calendar
    known = WorkingCalendar(
        unknown.zone_name,
        unknown.weekend,
        (*unknown.special_days, SpecialDay(date(2027, 3, 3).toordinal(), False, "假日", "holiday")),
        (unknown.known_years or frozenset()) | {2027},
    )
    engine = Engine(loaded.rulebook)
    engine.handle(("order", "WO9"), decoded(wire("c1 2027-03-01T09:00 calibration.requested WO9"))[0])
    (breach,) = [alert for alert in engine.advance_to(us("2027-03-09T00:00")) if alert.kind == "breach"]
    assert breach.calendar_provisional
    snapshot = engine.snapshot(("order", "WO9"))
    assert snapshot is not None
    again = Engine(Rulebook(loaded.rulebook.rules, known))
    assert Rulebook(loaded.rulebook.rules, known).fingerprint != loaded.rulebook.fingerprint
    again.watermark = engine.watermark
    again.restore(snapshot)
    again.rejudge(again.subjects())
    told = [alert for alert in again.advance_to(us("2027-03-09T00:00")) if alert.kind != "warning"]
    assert [(alert.kind, alert.retracts) for alert in told] == [("retraction", breach.alert_id)]
    (later,) = [alert for alert in again.advance_to(us("2027-03-10T00:00")) if alert.kind == "breach"]
    assert local(later.due_at) == "2027-03-10T00:00:00.000"
    assert not later.calendar_provisional


def test_a_meter_disposed_of_is_forgotten_and_one_still_kept_is_not() -> None:
    rulebook = shipped("removed-meter-one-cycle").rulebook
    engine = Engine(rulebook, keep_for=DAY)
    story = """
        r 2026-03-02T09:00 meter.removed - meter=M1
        q 2026-03-02T09:00 meter.removed - meter=M2
        d 2026-05-02T09:00 meter.disposed - meter=M1
        l 2026-05-03T09:00 meter.stored - meter=M1
    """
    for event in decoded(wire(story)):
        for subject, copy in rulebook.copies_of(event):
            engine.handle(subject, copy)
        engine.advance_to(event.at)
    engine.advance_to(us("2026-12-01T00:00"))
    assert list(engine.subjects()) == [("meter", "M2")]


def test_a_repair_whose_close_was_the_last_event_is_neither_open_nor_kept() -> None:
    rulebook = shipped("two-calls-one-answer", "feedback-asked").rulebook
    engine = Engine(rulebook, keep_for=DAY)
    story = """
        r 2026-03-02T09:00 repair.reported WO1
        c 2026-03-02T09:05 repair.customer_contacted WO1 stage=received
        q 2026-03-02T09:30 repair.reported WO2
        z 2026-03-02T11:00 repair.closed WO1
    """
    opened = []
    for event in decoded(wire(story)):
        for subject, copy in rulebook.copies_of(event):
            engine.handle(subject, copy)
        engine.advance_to(event.at)
        opened.append(open_cases(engine).total())
    assert opened == [2, 2, 4, 2]
    engine.advance_to(us("2026-12-01T00:00"))
    assert list(engine.subjects()) == [("order", "WO2")]


def test_a_stop_on_a_subject_that_never_had_a_case_is_an_orphan() -> None:
    engine = engine_at()
    sent(engine, STARTED + STOPPED)
    sent(
        engine,
        """
        a 2026-03-02T09:04 counter.service_completed WO2
        b 2026-03-02T09:10 counter.service_completed WO3
        c 2026-03-02T09:11 counter.service_completed WO3 corrects=b void=true
        """,
    )
    engine.advance_to(us("2026-03-02T10:00"))
    assert engine.orphans() == {"fee-5-minutes": 1, "power-20-minutes": 1}
    sent(engine, "s 2026-03-02T09:01 counter.service_started WO2 business=fee")
    engine.advance_to(us("2026-03-02T10:01"))
    assert engine.orphans() == {}


def test_what_is_older_than_anything_kept_begins_no_case() -> None:
    """A start that is read again after its order was done with and forgotten would be breached for ever."""
    engine = Engine(shipped("fee-5-minutes").rulebook, keep_for=DAY)
    started, completed = decoded(
        wire("""
            e1 2026-03-02T09:00 counter.service_started WO1 business=fee
            e2 2026-03-02T09:04 counter.service_completed WO1
        """)
    )
    assert [engine.handle(WO1, event) for event in (started, completed)] == ["applied", "applied"]
    assert engine.advance_to(us("2026-03-02T09:04")) == []
    assert engine.handle(WO1, started) == "duplicate"
    engine.advance_to(us("2026-03-03T09:04"))
    assert engine.subjects() == [WO1]  # it has just got something again
    engine.advance_to(us("2026-03-03T09:04"))
    assert engine.subjects() == []
    assert [engine.handle(WO1, event) for event in (started, completed)] == ["too_old", "too_old"]
    (late,) = decoded(wire("e3 2026-03-02T09:04:00.001 counter.service_started WO2 business=fee"))
    assert engine.handle(("order", "WO2"), late) == "late"


def test_where_everything_is_kept_nothing_is_too_old() -> None:
    engine = Engine(shipped("fee-5-minutes").rulebook, keep_for=None)
    engine.advance_to(us("2036-03-03T09:00"))
    assert sent(engine, STARTED) == ["late"]
