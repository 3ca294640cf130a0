"""The edge decisions of CLOCKS.md as rows with real times; each row is judged in order and checked by hand."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from tests.stories import judge as judge_by
from tests.stories import local, moment, shipped

judge = partial(judge_by, loaded=shipped("deadline"))

SERVICE = "e1 2026-03-02T09:00 counter.service_started WO1 business=fee\n"


# 1. Exactly at the deadline is on time.
@pytest.mark.parametrize(
    ("business", "stop", "outcome", "deadline"),
    [
        ("fee", "2026-03-02T09:04:59.999", "met", "2026-03-02T09:05:00.000"),
        ("fee", "2026-03-02T09:05:00.000", "met", "2026-03-02T09:05:00.000"),
        ("fee", "2026-03-02T09:05:00.001", "met_late", "2026-03-02T09:05:00.000"),
        ("power", "2026-03-02T09:20:00.000", "met", "2026-03-02T09:20:00.000"),
        ("power", "2026-03-02T09:20:00.001", "met_late", "2026-03-02T09:20:00.000"),
        ("fee", "2026-03-02T09:00:00.000", "met", "2026-03-02T09:05:00.000"),  # at the very instant of the start
    ],
)
def test_exactly_at_the_deadline_is_on_time(business: str, stop: str, outcome: str, deadline: str) -> None:
    story = f"""
        e1 2026-03-02T09:00 counter.service_started WO1 business={business}
        e0 {stop} counter.service_completed WO1
    """
    judged = judge(story, "2026-03-03T00:00")
    assert judged.outcomes() == [(outcome, deadline)]
    rule = "fee-5-minutes" if business == "fee" else "power-20-minutes"
    late = [(rule, "breach", deadline), (rule, "late_completion", stop)] if outcome == "met_late" else []
    assert judged.told() == late


@pytest.mark.parametrize(
    ("until", "outcome"),
    [("2026-03-02T09:04:59.999", "running"), ("2026-03-02T09:05", "breached"), ("2026-04-01T00:00", "breached")],
)
def test_silence_is_a_breach_from_the_deadline_on(until: str, outcome: str) -> None:
    assert judge(SERVICE, until).outcomes() == [(outcome, "2026-03-02T09:05:00.000")]


def test_a_breach_is_detected_at_its_deadline_and_warned_of_at_four_fifths() -> None:
    judged = judge(SERVICE, "2026-03-02T12:00")
    assert [(alert.kind, local(alert.detected_at)) for alert in judged.alerts] == [
        ("warning", "2026-03-02T09:04:00.000"),
        ("breach", "2026-03-02T09:05:00.000"),
    ]


# 3. Working days: from the next working day after the start's local date, to 24:00 of the last.
@pytest.mark.parametrize(
    ("start", "deadline"),
    [
        ("2026-03-02T00:00", "2026-03-10T00:00:00.000"),  # Monday: Tuesday to Friday, and Monday
        ("2026-03-02T23:59:59.999", "2026-03-10T00:00:00.000"),
        ("2026-03-06T10:00", "2026-03-14T00:00:00.000"),  # Friday
        ("2026-03-07T10:00", "2026-03-14T00:00:00.000"),  # Saturday: counts from Monday
        ("2026-03-08T10:00", "2026-03-14T00:00:00.000"),  # Sunday
        ("2026-02-13T10:00", "2026-02-28T00:00:00.000"),  # 14 is a make-up day, 15 to 23 the Spring Festival
        ("2026-02-16T10:00", "2026-03-01T00:00:00.000"),  # in the festival: 24 to 27, and 28, a make-up day
        ("2026-09-25T16:00", "2026-10-10T00:00:00.000"),  # Mid-Autumn and the National Day together
        ("2026-03-01T17:00:00+00:00", "2026-03-10T00:00:00.000"),  # already the 2nd in Shanghai
        ("2026-03-01T15:59:59.999+00:00", "2026-03-07T00:00:00.000"),  # still Sunday the 1st
    ],
)
def test_five_working_days(start: str, deadline: str) -> None:
    story = f"c1 {start} calibration.requested WO9 meter=M1"
    before = (moment(deadline) - timedelta(milliseconds=1)).isoformat()
    assert judge(story, before).outcomes() == [("running", deadline)]
    assert judge(story, deadline).outcomes() == [("breached", deadline)]
    assert judge(story, "2026-12-31T00:00").told() == [("calibration-5-working-days", "breach", deadline)]


# 7. Pause and resume.
@pytest.mark.parametrize(
    ("between", "stop", "outcome", "deadline"),
    [
        ("p +3m counter.interrupted WO1 reason=system_failure\nr +10m counter.resumed WO1",
         "+12m", "met", "09:12:00.000"),
        (
            "p +3m counter.interrupted WO1 reason=system_failure\nr +10m counter.resumed WO1",
            "+12m1ms",
            "met_late",
            "09:12:00.000",
        ),
        # a reason that does not count stops nothing
        ("p +3m counter.interrupted WO1 reason=lunch\nr +10m counter.resumed WO1", "+12m", "met_late", "09:05:00.000"),
        # at the deadline itself the time is used up: a pause comes too late
        ("p +5m counter.interrupted WO1 reason=system_failure\nr +10m counter.resumed WO1",
         "+10m", "met_late", "09:05:00.000"),
        # completed while still paused: the pause ends with it
        ("p +3m counter.interrupted WO1 reason=system_failure", "+3h", "met", "12:02:00.000"),
        # two pauses, and a second interruption while paused changes nothing
        (
            "p +1m counter.interrupted WO1 reason=system_failure\nq +2m counter.interrupted WO1 reason=system_failure\n"
            "r +3m counter.resumed WO1\ns +4m counter.interrupted WO1 reason=system_failure\nt +5m counter.resumed WO1",
            "+8m",
            "met",
            "09:08:00.000",
        ),
    ],
)  # fmt: skip
def test_pauses_add_to_an_elapsed_limit(between: str, stop: str, outcome: str, deadline: str) -> None:
    story = SERVICE + between + f"\nz {stop} counter.service_completed WO1"
    assert judge(story, "2026-03-03T00:00").outcomes() == [(outcome, f"2026-03-02T{deadline}")]


def test_a_pause_without_resume_keeps_the_clock_stopped_and_says_so() -> None:
    judged = judge(SERVICE + "p +3m counter.interrupted WO1 reason=system_failure", "2026-12-31T00:00")
    assert judged.outcomes() == [("running", None)]
    assert judged.told() == []
    (case,) = judged.cases
    assert local(case.verdict.facts["paused_since"]) == "2026-03-02T09:03:00.000"


# Monday 2 March, residential: scheme 3 working days, to 24:00 of Thursday the 5th.
@pytest.mark.parametrize(
    ("since", "until", "deadline"),
    [
        ("2026-03-03T09:00", "2026-03-03T17:00", "2026-03-06T00:00:00.000"),  # part of a day: counts
        ("2026-03-03T00:00", "2026-03-04T00:00", "2026-03-07T00:00:00.000"),  # Tuesday all day: left out
        ("2026-03-03T00:00", "2026-03-03T23:59:59.999", "2026-03-06T00:00:00.000"),  # one millisecond short
        ("2026-03-02T12:00", "2026-03-05T12:00", "2026-03-10T00:00:00.000"),  # Tuesday and Wednesday left out
        ("2026-03-05T15:00", "2026-03-06T09:00", "2026-03-07T00:00:00.000"),  # its last midnight while paused
        ("2026-03-06T00:00", "2026-03-09T00:00", "2026-03-06T00:00:00.000"),  # after the deadline: too late
        ("2026-03-07T00:00", "2026-03-09T00:00", "2026-03-06T00:00:00.000"),
    ],
)
def test_whole_days_of_standstill_are_left_out_of_a_day_limit(since: str, until: str, deadline: str) -> None:
    story = f"""
        a 2026-03-02T10:00 application.accepted WO3 category=residential
        s {since} application.suspended WO3 reason=customer
        r {until} application.resumed WO3
    """
    assert judge(story, "2026-06-01T00:00").outcomes("scheme-reply") == [("breached", deadline)]


# 8. Withdrawn or rejected: no verdict, but what is certain stays.
@pytest.mark.parametrize(
    ("end", "at", "outcome", "told"),
    [
        ("application.withdrawn", "2026-03-04T10:00", "cancelled", []),
        ("application.rejected", "2026-03-06T00:00", "cancelled", []),  # at the deadline itself
        ("application.terminated", "2026-03-06T00:00:00.001", "breached",
         [("scheme-reply", "breach", "2026-03-06T00:00:00.000")]),
    ],
)  # fmt: skip
def test_a_withdrawal_cancels_unless_the_breach_is_certain(
    end: str, at: str, outcome: str, told: list[tuple[str, str, str]]
) -> None:
    story = f"""
        a 2026-03-02T10:00 application.accepted WO3 category=residential
        w {at} {end} WO3 reason=x
    """
    judged = judge(story, "2026-03-07T00:00")
    assert judged.outcomes("scheme-reply") == [(outcome, "2026-03-06T00:00:00.000")]
    assert [row for row in judged.told() if row[0] == "scheme-reply"] == told


# 9. A stop without a start is kept: the start may still come.
def test_a_stop_that_comes_before_its_start_is_found_by_it() -> None:
    alone = "z 2026-03-02T09:03 counter.service_completed WO1"
    assert judge(alone, "2026-03-03T00:00").cases == []
    late_start = alone + "\ne1 2026-03-02T09:00 counter.service_started WO1 business=fee recorded=2026-03-02T09:30"
    judged = judge(late_start, "2026-03-03T00:00", arrival=True)
    assert judged.outcomes() == [("met", "2026-03-02T09:05:00.000")]
    assert judged.told() == []


# 10. A start seen twice; a restart after completion.
def test_the_first_of_two_starts_counts() -> None:
    story = SERVICE + "e2 +3m counter.service_started WO1 business=fee\nz +6m counter.service_completed WO1"
    assert judge(story, "2026-03-03T00:00").outcomes() == [("met_late", "2026-03-02T09:05:00.000")]


def test_a_restart_after_completion_is_a_new_case() -> None:
    story = (
        SERVICE
        + """
        z1 +4m counter.service_completed WO1
        e2 +1h counter.service_started WO1 business=fee
        z2 +1h6m counter.service_completed WO1
    """
    )
    judged = judge(story, "2026-03-03T00:00")
    assert judged.outcomes() == [("met", "2026-03-02T09:05:00.000"), ("met_late", "2026-03-02T10:05:00.000")]
    assert len({case.case_id for case in judged.cases}) == 2


# 11. Corrections.
LATE = SERVICE + "z +7m counter.service_completed WO1\n"


@pytest.mark.parametrize(
    ("correction", "kinds", "outcome"),
    [
        # entered wrongly: it was done in time
        (
            "k +4m counter.service_completed WO1 corrects=z recorded=+2h",
            ["breach", "late_completion", "retraction", "retraction"],
            "met",
        ),
        # it never started
        (
            "k +0s counter.service_started WO1 corrects=e1 void=true recorded=+2h",
            ["breach", "late_completion", "retraction", "retraction"],
            None,
        ),
        # it was not completed at all
        (
            "k +7m counter.service_completed WO1 corrects=z void=true recorded=+2h",
            ["breach", "late_completion", "retraction"],
            "breached",
        ),
        # it was another business, with 20 minutes
        (
            "k +0s counter.service_started WO1 business=power corrects=e1 recorded=+2h",
            ["breach", "late_completion", "retraction", "retraction"],
            "met",
        ),
    ],
)
def test_a_correction_takes_back_what_no_longer_holds(correction: str, kinds: list[str], outcome: str | None) -> None:
    judged = judge(LATE + correction, "2026-03-03T00:00", arrival=True)
    assert [alert.kind for alert in judged.alerts if alert.kind != "warning"] == kinds
    assert [found for found, _ in judged.outcomes()] == ([outcome] if outcome else [])
    # ... as if it had always been so:
    assert judged.net() == judge(LATE + correction, "2026-03-03T00:00").net()


def test_a_correction_of_a_correction_and_its_withdrawal() -> None:
    story = (
        LATE
        + """
        k1 +4m counter.service_completed WO1 corrects=z recorded=+1h
        k2 +4m counter.service_completed WO1 corrects=k1 void=true recorded=+2h
    """
    )
    judged = judge(story, "2026-03-03T00:00", arrival=True)
    assert judged.outcomes() == [("met_late", "2026-03-02T09:05:00.000")]
    # told, taken back, and told again under new ids
    kinds = [alert.kind for alert in judged.alerts if alert.kind != "warning"]
    assert kinds == ["breach", "late_completion", "retraction", "retraction", "breach", "late_completion"]
    assert len({alert.alert_id for alert in judged.alerts}) == len(judged.alerts)


def test_a_retraction_names_the_alert_and_says_how_it_stands_now() -> None:
    judged = judge(
        LATE + "k +4m counter.service_completed WO1 corrects=z recorded=+2h", "2026-03-03T00:00", arrival=True
    )
    breach = next(alert for alert in judged.alerts if alert.kind == "breach")
    retraction = next(alert for alert in judged.alerts if alert.retracts == breach.alert_id)
    assert retraction.case_id == breach.case_id
    assert set(retraction.evidence) == {"e1", "k"}
    assert "met" in retraction.explanation.en
    assert "按时完成" in retraction.explanation.zh


# 12. Offsets compare as instants.
def test_offsets_compare_as_instants() -> None:
    story = """
        e1 2026-03-02T09:00:00+08:00 counter.service_started WO1 business=fee
        z 2026-03-02T02:05:00+01:00 counter.service_completed WO1
    """
    assert judge(story, "2026-03-03T00:00").outcomes() == [("met", "2026-03-02T09:05:00.000")]


# Limits by field, dates in fields, starts of two halves.
@pytest.mark.parametrize(("area", "minutes"), [("area=urban", 45), ("area=rural", 90), ("area=remote", 120), ("", 120)])
def test_repair_arrival_by_area(area: str, minutes: int) -> None:
    report = f"r 2026-03-02T22:30 repair.reported WO5 {area}\n"
    in_time = judge(report + f"a +{minutes}m repair.arrived WO5", "2026-03-04T00:00")
    too_late = judge(report + f"a +{minutes}m1ms repair.arrived WO5", "2026-03-04T00:00")
    assert [row[0] for row in in_time.outcomes("repair-arrival")] == ["met"]
    assert [row[0] for row in too_late.outcomes("repair-arrival")] == ["met_late"]


@pytest.mark.parametrize(
    ("on", "at", "outcome"),
    [
        ("2026-03-05", "2026-03-05T23:59:59.999", "met"),
        ("2026-03-05", "2026-03-06T00:00", "met"),
        ("2026-03-05", "2026-03-06T00:00:00.001", "met_late"),
        ("2026-03-02", "2026-03-02T18:00", "met"),  # the day of the request itself
        ("2026-02-27", "2026-03-09T18:00", "met"),  # a date already past cannot be kept: not judged
    ],
)
def test_sealed_on_the_day_requested(on: str, at: str, outcome: str) -> None:
    story = f"""
        q 2026-03-02T10:00 capacity.change_requested WO6 effective_on={on}
        s {at} capacity.sealed WO6
    """
    assert [row[0] for row in judge(story, "2026-04-01T00:00").outcomes()] == [outcome]


@pytest.mark.parametrize("contract_first", [True, False])
def test_energize_starts_at_the_later_of_inspection_and_contract(contract_first: bool) -> None:
    first, second = ("2026-03-03T10:00", "2026-03-05T10:00")
    contract, inspection = (first, second) if contract_first else (second, first)
    story = f"""
        a 2026-03-02T10:00 application.accepted WO7 category=low_voltage
        c {contract} contract.signed WO7
        i {inspection} completion_inspection.completed WO7 passed=true
    """
    judged = judge(story, "2026-06-01T00:00")
    assert judged.outcomes("energize") == [("breached", "2026-03-13T00:00:00.000")]  # 6, 9, 10, 11, 12 March


def test_restored_within_24_hours_only_of_what_was_cut() -> None:
    never_cut = "p 2026-03-02T10:00 bill.paid - account=A1 owing=false"
    assert judge(never_cut, "2026-04-01T00:00").cases == []
    cut = """
        d 2026-03-01T10:00 disconnection.performed - account=A1 cause=arrears
        q 2026-03-02T09:00 bill.paid - account=A1 owing=true
        p 2026-03-02T10:00 bill.paid - account=A1 owing=false
        r 2026-03-03T10:00:00.001 disconnection.restored - account=A1
    """
    judged = judge(cut, "2026-04-01T00:00")
    assert judged.outcomes("restore-after-payment") == [("met_late", "2026-03-03T10:00:00.000")]
