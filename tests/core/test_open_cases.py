"""Open cases followed from snapshots and watermarks: the same as an engine would list, at every moment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts import Subject
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.open_cases import OpenCase, OpenCases, chapter_of, place_of
from streams.core.records import BEGINNING, Snapshot
from tests.stories import decoded, local, shipped, us, wire

MINUTE = 60_000_000
RULEBOOK = shipped(
    "fee-5-minutes", "power-20-minutes", "scheme-reply", "two-calls-one-answer", "monthly-reading"
).rulebook
START = us("2026-03-02T09:00")


def snapshots(story: str, decided_at: int = BEGINNING) -> list[Snapshot]:
    """The rows of a story's subjects."""
    found: dict[Subject, list[Event]] = {}
    for event in sorted(decoded(wire(story)), key=lambda event: event.order):
        for subject, copy in RULEBOOK.copies_of(event):
            found.setdefault(subject, []).append(copy)
    return [Snapshot(subject, tuple(events), (), (), decided_at) for subject, events in found.items()]


def listed(cases: OpenCases) -> list[tuple[str, str, str | None]]:
    return sorted(
        (case.rule, case.outcome, None if case.deadline is None else local(case.deadline)[11:])
        for case in cases.cases.values()
    )


FEE = "e1 2026-03-02T09:00 counter.service_started WO1 business=fee"
PAUSED = FEE + "\ne2 +3m counter.interrupted WO1 reason=system_failure"


@pytest.mark.parametrize(
    ("story", "at", "expected"),
    [
        pytest.param(FEE, "2026-03-02T08:59:59", [], id="not begun, as far as the data go"),
        pytest.param(FEE, "2026-03-02T09:00", [("fee-5-minutes", "running", "09:05:00.000")], id="begins"),
        pytest.param(FEE, "2026-03-02T09:04:59.999", [("fee-5-minutes", "running", "09:05:00.000")], id="just before"),
        pytest.param(FEE, "2026-03-02T09:05", [("fee-5-minutes", "breached", "09:05:00.000")], id="at the deadline"),
        pytest.param(PAUSED, "2026-03-02T10:00", [("fee-5-minutes", "running", None)], id="the clock stands still"),
        pytest.param(FEE + "\ne2 +5m counter.service_completed WO1", "2026-03-02T09:05", [], id="met is gone"),
        pytest.param(FEE + "\ne2 +6m counter.service_completed WO1", "2026-03-02T09:06", [], id="met late is gone"),
        pytest.param(
            FEE + "\ne2 +6m counter.service_completed WO1",
            "2026-03-02T09:05:30",
            [("fee-5-minutes", "breached", "09:05:00.000")],
            id="a stop ahead of the watermark has not happened yet",
        ),
        pytest.param(
            "e1 2026-03-02T09:00 application.accepted WO1 category=residential\ne2 +30d application.withdrawn WO1",
            "2026-04-02T09:00",
            [],
            id="breached, then cancelled, is over",
        ),
        pytest.param(
            "e1 2026-03-02T09:00 repair.reported WO1 area=urban",
            "2026-03-02T10:00",
            [("two-calls-one-answer", "running", None)],
            id="an act that waits for its order's close has no deadline",
        ),
        pytest.param(
            "e1 2026-03-02T09:00 repair.reported WO1 area=urban\ne2 +1m repair.closed WO1",
            "2026-03-02T10:00",
            [],
            id="violated is over",
        ),
        pytest.param(
            "e1 2026-01-10T09:00 reading.collected - account=A1 period=2026-01 method=remote",
            "2026-03-10T00:00",
            [("monthly-reading", "breached", "00:00:00.000"), ("monthly-reading", "running", "00:00:00.000")],
            id="a month missed and a month begun",
        ),
    ],
)
@pytest.mark.parametrize("row_first", [True, False])
def test_open_cases_follow_the_watermark(story: str, at: str, expected: list[Any], row_first: bool) -> None:
    cases = OpenCases(RULEBOOK)
    rows = snapshots(story)
    if row_first:
        for row in rows:
            cases.put(0, row)
        cases.advance(0, us(at))
    else:
        cases.advance(0, us(at))
        for row in rows:
            cases.put(0, row)
    assert listed(cases) == expected


def test_a_month_begins_by_time_alone() -> None:
    cases = OpenCases(RULEBOOK)
    cases.advance(0, us("2026-01-10T09:00"))
    for row in snapshots("e1 2026-01-10T09:00 reading.collected - account=A1 period=2026-01 method=remote"):
        cases.put(0, row)
    cases.advance(0, us("2026-01-31T23:59:59.999"))
    assert listed(cases) == []
    cases.advance(0, us("2026-02-01T00:00"))
    assert listed(cases) == [("monthly-reading", "running", "00:00:00.000")]


def test_each_partition_has_its_own_time() -> None:
    cases = OpenCases(RULEBOOK)
    (one,), (two,) = snapshots(FEE), snapshots(FEE.replace("WO1", "WO2"))
    cases.put(0, one)
    cases.put(1, two)
    cases.advance(0, START + 6 * MINUTE)
    cases.advance(1, START + MINUTE)
    cases.advance(1, START)  # a watermark behind moves nothing
    assert {case.subject[1]: case.outcome for case in cases.cases.values()} == {"WO1": "breached", "WO2": "running"}
    assert cases.watermarks == {0: START + 6 * MINUTE, 1: START + MINUTE}


def test_a_row_says_how_far_it_was_decided_before_its_partition_does() -> None:
    cases = OpenCases(RULEBOOK)
    cases.advance(0, START)
    (row,) = snapshots(FEE, decided_at=START + 5 * MINUTE)
    cases.put(0, row)
    assert listed(cases) == [("fee-5-minutes", "breached", "09:05:00.000")]


def test_a_deleted_row_takes_its_cases_along() -> None:
    cases = OpenCases(RULEBOOK)
    (row,) = snapshots(FEE)
    cases.put(0, row)
    cases.advance(0, START + MINUTE)
    cases.drop(row.subject)
    cases.drop(row.subject)
    assert (cases.cases, cases._subjects) == ({}, {})


def test_subjects_with_nothing_to_come_are_not_kept() -> None:
    cases = OpenCases(RULEBOOK)
    (row,) = snapshots(FEE + "\ne2 +2m counter.service_completed WO1")
    cases.put(0, row)
    assert list(cases._subjects) == [row.subject]
    cases.advance(0, START + 3 * MINUTE)
    assert cases._subjects == {}


def test_the_version_grows_with_changes_only() -> None:
    cases = OpenCases(RULEBOOK)
    (row,) = snapshots(FEE)
    cases.put(0, row)
    cases.advance(0, START)
    before = cases.version
    cases.advance(0, START + MINUTE)
    cases.put(0, row)
    assert cases.version == before
    cases.advance(0, START + 5 * MINUTE)
    assert cases.version > before


@pytest.mark.parametrize(
    ("org", "expected"),
    [
        ({"province": "32", "city": "3201", "county": "320101", "unit": "U1"}, ("32", "3201", "320101", "U1")),
        ({"city": "3201", "staff": "x"}, (None, "3201", None, None)),
        ({"city": 3201, "county": "", "unit": ["x"]}, (None, None, None, None)),
        (None, (None, None, None, None)),
    ],
)
def test_places(org: object, expected: tuple[str | None, ...]) -> None:
    assert place_of(org) == expected


def test_chapters() -> None:
    assert [chapter_of(clause) for clause in ("W-S5", "F-R1", "X")] == ["W", "F", "X"]


# -- against the engine ------------------------------------------------------------------------------------

TYPES = ("counter.service_started", "counter.service_completed", "counter.interrupted", "counter.resumed")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("event"), st.integers(0, 1), st.sampled_from(TYPES), st.sampled_from(("fee", "power")),
            st.integers(0, 60), st.sampled_from((False, False, False, True)),
        ),
        st.tuples(st.just("advance"), st.integers(0, 15)),
    ),
    max_size=25,
)  # fmt: skip


def _as_listed(engine: Engine) -> dict[str, tuple[str, int | None]]:
    """What the engine says is open. The counter's rules have no cancel, so a breach without a stop is open."""
    return {
        case.case_id: (case.verdict.outcome, case.verdict.deadline)
        for case in engine.cases()
        if case.verdict.outcome == "running" or (case.verdict.outcome == "breached" and case.verdict.stopped_at is None)
    }


def _short(cases: dict[str, OpenCase]) -> dict[str, tuple[str, int | None]]:
    return {key: (case.outcome, case.deadline) for key, case in cases.items()}


@given(OPERATIONS)
def test_the_same_as_the_engine_and_as_from_scratch(operations: list[tuple[Any, ...]]) -> None:
    rulebook = RULEBOOK
    engine, followed = Engine(rulebook, keep_for=20 * MINUTE), OpenCases(rulebook)
    kept: dict[Subject, Snapshot] = {}
    watermark = START
    sent: list[Event] = []
    for operation in operations:
        match operation:
            case "event", number, kind, business, half_minutes, corrects:
                at = START + half_minutes * MINUTE // 2
                data = {"business": business, "reason": "system_failure"}
                earlier = [event for event in sent if event.order_id == f"WO{number}"]
                event = Event(
                    f"e{len(sent)}", kind, at, at, data, order_id=f"WO{number}",
                    corrects=earlier[0].event_id if corrects and earlier else None,
                )  # fmt: skip
                sent.append(event)
                engine.handle(("order", f"WO{number}"), event)
            case "advance", half_minutes:
                watermark += half_minutes * MINUTE // 2
                engine.advance_to(watermark)
                for subject in engine.take_changed():
                    snapshot = engine.snapshot(subject)
                    if snapshot is None:
                        kept.pop(subject, None)
                        followed.drop(subject)
                    else:
                        kept[subject] = snapshot
                        followed.put(0, snapshot)
                followed.advance(0, watermark)
                assert _short(followed.cases) == _as_listed(engine)
    scratch = OpenCases(rulebook)
    for snapshot in kept.values():
        scratch.put(0, snapshot)
    scratch.advance(0, followed.watermarks.get(0, BEGINNING))
    assert scratch.cases == followed.cases
