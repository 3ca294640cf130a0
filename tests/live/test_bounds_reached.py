"""A subject past a bound of a kind: what is not judged is counted, said in a log line, and marked on its alerts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import pytest

from schemas.limits import DAY
from streams.core import separable_engine
from streams.core.kinds import at_most, each, evidence
from streams.core.separable_engine import LeftOut
from streams.engine import subjects
from streams.live.applied import Applied
from streams.live.clock_partition import ClockPartition, position_key
from streams.live.incomplete import report_left_out
from streams.wire.pseudonyms import Hidden, is_pseudonym
from streams.wire.state_rows import entry_to_bytes, record_from_bytes, record_to_bytes
from tests.operations.test_metrics import Worker
from tests.stories import decoded, shipped, us, wire

RULES = ("two-calls-one-answer", "documents-asked-once", "restore-after-payment")
BOUND = 30
CALLS = "f{n} 2026-03-02T09:{n:02d} repair.reported F1 area=urban"
ASKED = "d{n} 2026-03-02T09:{n:02d} application.document_requested D1 document=id"
CUT_OFF = "c{n} 2026-03-02T09:{n:02d} disconnection.performed W{n} account=A1 cause=arrears"


@pytest.fixture(autouse=True)
def _low_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, name in ((evidence, "MOST_WAITING"), (at_most, "MOST_VIOLATIONS"), (each, "MOST_THINGS")):
        monkeypatch.setattr(kind, name, BOUND)


def many(line: str, count: int) -> list[str]:
    return [line.format(n=number) for number in range(count)]


class Partition:
    """A partition that is restored from its rows before every record."""

    def __init__(self) -> None:
        self._table: dict[bytes, bytes] = {}
        self._offset = 0

    def apply(self, story: Sequence[str], until: str) -> Applied:
        rulebook = shipped(*RULES).rulebook
        partition = ClockPartition(0, rulebook, keep_for=30 * DAY)
        partition.restore(self._table.get(position_key(0)), self._table.items())
        copies = [copy for event in decoded(wire("\n".join(story))) for copy in rulebook.copies_of(event)]
        raw = record_to_bytes([entry_to_bytes(*copy, "in/0/0") for copy in copies], {"in/0": us(until)}, {"in": 1})
        applied = partition.apply(record_from_bytes(raw), self._offset)
        assert applied is not None
        self._table |= {key: value for key, value in applied.rows if value is not None}
        self._offset += 1
        return applied


@pytest.mark.parametrize("count", [BOUND, BOUND + 1, BOUND + 5])
def test_acts_that_wait_for_a_close_beyond_the_bound(count: int) -> None:
    partition = Partition()
    is_past = count > BOUND
    before = partition.apply(many(CALLS, count), "2026-03-02T10:00")
    assert before.left_out == ([LeftOut(("order", "F1"), "two-calls-one-answer", "waiting")] if is_past else [])
    assert partition.apply([], "2026-03-02T11:00").left_out == []  # said once
    closed = partition.apply(["fc 2026-03-02T12:00 repair.closed F1"], "2026-03-02T13:00")
    assert closed.left_out == []
    assert [(one.kind, one.incomplete) for one in closed.alerts] == [("violation", is_past)] * BOUND


def test_an_act_beyond_the_bound_at_the_instant_of_the_close_is_left_out_too() -> None:
    calls = [*many(CALLS, BOUND), "x 2026-03-02T12:00 repair.reported F1 area=urban"]
    applied = Partition().apply([*calls, "y 2026-03-02T12:00 repair.closed F1"], "2026-03-02T13:00")
    assert [one.bound for one in applied.left_out] == ["waiting"]
    assert Counter(one.incomplete for one in applied.alerts) == {True: BOUND}


@pytest.mark.parametrize("more", [0, 1, 3])
def test_acts_that_count_together_beyond_the_bound(more: int) -> None:
    """One is allowed, and thirty more are violations."""
    applied = Partition().apply(many(ASKED, 1 + BOUND + more), "2026-03-02T10:00")
    assert [one.bound for one in applied.left_out] == (["violations"] if more else [])
    assert Counter(one.incomplete for one in applied.alerts) == {more > 0: BOUND}


@pytest.mark.parametrize("more", [0, 1])
def test_things_beyond_the_bound(more: int) -> None:
    """Once a clock of the account begins, by the payment."""
    partition = Partition()
    assert partition.apply(many(CUT_OFF, BOUND + more), "2026-03-02T10:00").left_out == []
    paid = ["p 2026-03-02T11:00 bill.paid - account=A1 amount=300 owing=false"]
    applied = partition.apply(paid, "2026-03-02T12:00")
    assert [(one.subject, one.bound) for one in applied.left_out] == [(("account", "A1"), "things")] * more
    assert partition.apply([], "2026-03-02T13:00").left_out == []


def test_it_is_counted_from_zero_on() -> None:
    worker = Worker("2026-03-02T10:00", rules=RULES)
    name = "gridclock_bounds_reached_total"
    value_of = worker.metrics.registry.get_sample_value
    assert [value_of(name, {"bound": bound}) for bound in ("waiting", "violations", "things")] == [0, 0, 0]
    worker.metrics.applied(Partition().apply(many(CALLS, BOUND + 1), "2026-03-02T10:00"), 0.0)
    assert [value_of(name, {"bound": bound}) for bound in ("waiting", "violations", "things")] == [1, 0, 0]


def test_the_line_names_subject_rule_and_bound(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        report_left_out(LeftOut(("account", "A1"), "restore-after-payment", "things"), Hidden(None))
        report_left_out(LeftOut(("account", "A1"), "restore-after-payment", "things"), Hidden(b"sixteen bytes or more"))
    said, hidden = caplog.messages
    assert said.startswith("account A1: rule restore-after-payment does not judge all of it")
    assert "orders or meters for which a condition holds" in said
    assert is_pseudonym(hidden.split()[1].rstrip(":"))


def test_what_the_native_engine_decides_is_past_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """It decides subjects with so few events only; all others are Python's, which knows what is past a bound."""
    monkeypatch.undo()
    assert subjects.MOST_EVENTS < separable_engine.FEWEST_PAST_A_BOUND
    bounds = evidence.MOST_WAITING, at_most.MOST_VIOLATIONS, each.MOST_THINGS
    assert min(bounds) >= separable_engine.FEWEST_PAST_A_BOUND
