"""The native engine gives the bytes of the Python engine: alerts, cases, dead letters, counts."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from schemas.rules import AtMostRule
from streams.core.rulebook import Rulebook
from streams.engine import native_module
from streams.engine.judged import NativeReplay
from streams.replay.output_form import OutputForm
from streams.replay.results import ALERT_COLUMNS, CASE_COLUMNS, CsvRow
from streams.rulebooks.loader import load_rulebook
from streams.simulation import simulate
from streams.wire.decoder import encode_json
from streams.wire.pseudonyms import Hidden
from tests.engine.equality import GOLDEN, KEY, RECEIVED, assert_same, decoded_line, replayed
from tests.stories import shipped, wire

pytestmark = [
    pytest.mark.skipif(native_module() is None, reason="the native engine is not built: deploy/native says why"),
    pytest.mark.usefixtures("compared_as_it_is"),
]


def test_simulated_orders(lines: Path) -> None:
    assert assert_same(lines, shipped().rulebook) > 300


def test_many_simulated_orders(tmp_path: Path) -> None:
    """In CI a few; ``GRIDCLOCK_ORDERS`` says how many."""
    orders = int(os.environ.get("GRIDCLOCK_ORDERS", "60"))
    path = tmp_path / "events.jsonl"
    with open(path, "wb") as target:
        for event in simulate(orders=orders, seed=15, start=date(2026, 3, 2), days=max(orders // 1500, 20)).events:
            target.write(encode_json(event) + b"\n")
    assert assert_same(path, shipped().rulebook) > orders // 2
    assert replayed(path, "native", shipped().rulebook)["left"] == {}


@pytest.mark.parametrize(
    "form",
    [
        OutputForm(cases=None),
        OutputForm(),
        OutputForm(cases=CsvRow(CASE_COLUMNS)),
        OutputForm(alerts=CsvRow(ALERT_COLUMNS)),
        OutputForm(hidden=Hidden(KEY)),
        OutputForm(CsvRow(ALERT_COLUMNS), CsvRow(CASE_COLUMNS), with_summary=True, hidden=Hidden(KEY)),
    ],
)
def test_every_form_of_results(form: OutputForm, lines: Path) -> None:
    assert_same(lines, shipped().rulebook, output_form=form)


def test_after_a_failure_python_judges_all(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: Any) -> None:
        raise RuntimeError("panic")

    monkeypatch.setattr(NativeReplay, "judge", fail)
    assert_same(lines, shipped().rulebook)


def test_a_rule_that_compares_staff_leaves_pseudonyms_to_python(lines: Path) -> None:
    """They are made of staff numbers as these are read."""
    rules = [
        rule.model_copy(update={"per": "staff_id"}) if isinstance(rule, AtMostRule) else rule
        for rule in shipped().rulebook.rules
    ]
    rulebook = Rulebook(rules, shipped().rulebook.calendar)
    assert_same(lines, rulebook)
    assert_same(lines, rulebook, is_native=False, output_form=OutputForm(hidden=Hidden(KEY)))


def test_cases_that_list_more_than_is_shown_are_left_to_python(lines: Path, tmp_path: Path) -> None:
    """One order with more evidence than a case lists, among the others."""
    found = lines.read_bytes().splitlines()
    start = {
        "event_type": "counter.service_started", "event_id": "many-0", "order_id": "many", "business": "fee",
        "occurred_at": "2026-03-03T09:00:00.000+08:00",
    }  # fmt: skip
    many = [start]
    for number in range(60):
        kind = "counter.resumed" if number % 2 else "counter.interrupted"
        at = f"2026-03-03T09:00:{number // 2 + 1:02d}.{number % 2}00+08:00"
        more = {"event_type": kind, "event_id": f"many-{number + 1}", "occurred_at": at, "reason": "system_failure"}
        many.append({**start, **more})
    many.append({**start, "event_type": "counter.service_completed", "event_id": "many-99",
                 "occurred_at": "2026-03-03T09:02:00.000+08:00"})  # fmt: skip
    path = tmp_path / "many.jsonl"
    path.write_bytes(b"\n".join((*found[:300], *map(encode_json, many), *found[300:])))
    assert_same(path, shipped().rulebook)
    case = next(json.loads(case) for case in replayed(path, "native", shipped().rulebook)["cases"] if b'"many"' in case)
    assert "omitted" in case["data"]["arithmetic"]


@pytest.mark.whole
def test_subjects_past_the_bounds_of_a_kind(tmp_path: Path) -> None:
    """2,010 orders cut off under one account and reports of one fault, and 510 requests for one document."""
    many = [(number, f"2026-03-02T09:{number % 60:02d}:{number // 60:02d}") for number in range(2_010)]
    story = [f"c{n} {at} disconnection.performed W{n} account=A1 cause=arrears" for n, at in many]
    story += [f"f{n} {at} repair.reported F1 area=urban" for n, at in many]
    story += [f"d{n} {at} application.document_requested D1 document=id" for n, at in many[:510]]
    story += ["fc 2026-03-02T12:00 repair.closed F1"]
    story += ["p 2026-03-03T09:00 bill.paid - account=A1 amount=300 owing=false"]
    story += [
        f"r{n} 2026-03-0{day}T10:00 disconnection.restored W{n} account=A1" for n, day in ((10, 3), (99, 5), (2_009, 5))
    ]
    path = tmp_path / "many.jsonl"
    path.write_bytes(b"".join(encode_json(event) + b"\n" for event in wire("\n".join(story))))
    rulebook = shipped("restore-after-payment", "two-calls-one-answer", "documents-asked-once").rulebook
    assert_same(path, rulebook)
    found = replayed(path, "native", rulebook)
    assert found["left"] == {"more evidence or days than are listed": 1}  # the requests
    counts = Counter((one["data"]["rule"], one["data"]["kind"]) for one in map(json.loads, found["alerts"]))
    assert counts["two-calls-one-answer", "violation"] == 2_000
    assert counts["documents-asked-once", "violation"] == 500
    assert counts["restore-after-payment", "breach"] == 1_999
    assert counts["restore-after-payment", "late_completion"] == 2


def test_simulated_subjects_are_judged_natively(lines: Path) -> None:
    """Also those with pauses, corrections, repeated events and lists of meters."""
    left = replayed(lines, "native", shipped().rulebook)["left"]
    assert left == {}


def test_an_id_with_other_content_is_left_to_python(lines: Path, tmp_path: Path) -> None:
    first, *others = lines.read_bytes().splitlines()
    assert b'"city":"32' in first
    path = tmp_path / "conflict.jsonl"
    path.write_bytes(b"\n".join((first, *others[:200], first.replace(b'"city":"32', b'"city":"33'))))
    assert_same(path, shipped().rulebook)
    left = replayed(path, "native", shipped().rulebook)["left"]
    assert left.keys() == {"an id that is repeated with other content"}


@pytest.mark.whole
def test_an_end_and_an_as_of_amid_the_events(lines: Path) -> None:
    middle = RECEIVED - 400 * 86_400_000_000
    moments = [event.at for line in lines.read_bytes().splitlines() for event in [decoded_line(line)]]
    middle = sorted(moments)[len(moments) // 2]
    assert_same(lines, shipped().rulebook, until=middle)
    assert_same(lines, shipped().rulebook, as_of=middle)
    assert_same(lines, shipped().rulebook, until=middle, as_of=middle + 1)


def test_several_jobs_are_threads(lines: Path) -> None:
    assert_same(lines, shipped().rulebook, jobs=3, output_form=OutputForm())
    assert replayed(lines, "native", shipped().rulebook, jobs=3) == replayed(lines, "native", shipped().rulebook)


def test_several_jobs_are_processes_where_lines_are_not_plain(lines: Path, tmp_path: Path) -> None:
    path = tmp_path / "escaped.jsonl"
    path.write_bytes(lines.read_bytes().replace(b'"org":{', b'"\\u006frg":{'))
    assert_same(path, shipped().rulebook, is_native=False, jobs=2, output_form=OutputForm())


def test_a_meter_removed_twice_and_read_as_it_is_removed(tmp_path: Path) -> None:
    """The reading, for a later month, comes at the instant of the second removal: no further one is due."""
    read, removed = "reading.collected - meter=M1 method=remote period=", "meter.removed - meter=M1"
    told = f"a 2026-03-05T09:00 {read}2026-03\nb +1h {removed}\nc +3d {removed}\nd +3d {read}2026-04\ne +99d {removed}"
    path = tmp_path / "removed.jsonl"
    path.write_bytes(b"".join(encode_json(event) + b"\n" for event in wire(told)))
    assert assert_same(path, shipped("monthly-reading").rulebook) == 0


@pytest.mark.parametrize("path", GOLDEN, ids=[path.parent.name for path in GOLDEN])
def test_golden_stories(path: Path) -> None:
    own = (path.parent / "rules.yaml").exists()
    assert_same(path, load_rulebook(only=path.parent).rulebook if own else shipped().rulebook)
