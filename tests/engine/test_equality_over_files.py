"""Replays that go over files, go on from a checkpoint or take events back: both engines give the same bytes."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streams.engine import native_module
from streams.engine.judged import NativeReplay
from streams.replay.checkpoints import Checkpoint
from streams.replay.native import NativeReading
from streams.replay.output_form import OutputForm
from streams.replay.replay import MEMORY
from streams.replay.results import ALERT_COLUMNS, CsvRow
from streams.wire.decoder import encode_json
from streams.wire.pseudonyms import Hidden
from tests.engine.equality import KEY, assert_same, decoded_line, replayed
from tests.stories import shipped, wire

pytestmark = [
    pytest.mark.skipif(native_module() is None, reason="the native engine is not built: deploy/native says why"),
    pytest.mark.usefixtures("compared_as_it_is"),
]


@pytest.mark.parametrize(
    "form",
    [OutputForm(with_summary=True), OutputForm(CsvRow(ALERT_COLUMNS), hidden=Hidden(KEY)), OutputForm(cases=None)],
)
def test_memory_that_is_used_up_amid_the_events(form: OutputForm, lines: Path, tasks: list[tuple[int, int]]) -> None:
    """The events go over files, and are judged natively from there."""
    assert_same(lines, shipped().rulebook, is_native=False, memory=200_000, output_form=form)
    counted, left = map(sum, zip(*tasks, strict=True))
    assert counted > 1000
    assert left == 0


def test_lines_are_held_up_to_the_memory(lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held are the lines of one block of the file more, at most; what was put aside is all that there is."""
    path, most, held = tmp_path / "long.jsonl", 1 << 20, [0]
    path.write_bytes(lines.read_bytes() * 4)
    expected, bounded = replayed(path, "native", shipped().rulebook), NativeReading._bound

    def watched(self: NativeReading) -> None:
        held.append(self._native.memory)
        bounded(self)
        assert self._native.memory <= most

    monkeypatch.setattr(NativeReading, "_bound", watched)
    found = replayed(path, "native", shipped().rulebook, memory=most)
    assert max(held) < path.stat().st_size
    assert sum(before > after for before, after in pairwise(held)) >= 2
    assert found["tally"].duplicates > 3 * found["tally"].lines // 5
    assert {**found, "is_native": True} == expected


REPEATED = """
a 2026-03-03T09:00 counter.service_started W1 business=fee
b 2026-03-03T09:10 counter.service_completed W1 business=fee
c 2026-03-03T09:00 disconnection.performed W2 account=A1 cause=arrears
"""


@pytest.mark.parametrize("memory", [MEMORY, 1])
def test_an_event_taken_back_after_it_was_read(memory: int, lines: Path, tmp_path: Path) -> None:
    """Versions are Python's, and so is a void one, which is no event; the other subjects stay native."""
    events = [dict(event) for event in wire(REPEATED)]
    events[1]["version"] = [1]
    void = {**events[1], "version": [2], "void": True}
    other = {**events[2], "occurred_at": events[1]["occurred_at"]}
    path = tmp_path / "back.jsonl"
    path.write_bytes(
        b"\n".join(
            (*map(encode_json, events), *lines.read_bytes().splitlines()[:500], *map(encode_json, (void, other)))
        )
    )
    assert_same(path, shipped().rulebook, is_native=memory > 1, memory=memory)
    found = replayed(path, "native", shipped().rulebook, memory=memory)
    letters = [json.loads(letter) for letter in found["letters"]]
    assert [(letter["reason"], letter["position"]) for letter in letters] == [("conflicting_duplicate", 505)]
    breached = [data for data in (json.loads(alert)["data"] for alert in found["alerts"]) if data["order_id"] == "W1"]
    assert "breach" in {data["kind"] for data in breached}
    assert sum(found["left"].values()) == (2 if memory > 1 else 0)  # an order, and an account


@pytest.mark.parametrize("memory", [MEMORY, 1])
@pytest.mark.whole
def test_all_events_taken_back(memory: int, tmp_path: Path) -> None:
    """No event stands, so there is no end of time; the repetition is counted all the same."""
    (event,) = wire("m 2026-03-03T09:00 counter.service_started W1 business=fee")
    first, void = {**event, "version": [1]}, {**event, "version": [2], "void": True}
    path = tmp_path / "none.jsonl"
    path.write_bytes(b"".join(encode_json(one) + b"\n" for one in (first, void, void)))
    assert_same(path, shipped().rulebook, is_native=memory > 1, memory=memory)
    found = replayed(path, "native", shipped().rulebook, memory=memory)
    assert (found["end"], found["cases"], found["tally"].duplicates) == (None, [], 1)


@pytest.mark.whole
def test_spilled_events_that_are_left_to_python(lines: Path, tmp_path: Path, tasks: list[tuple[int, int]]) -> None:
    """Each task has subjects of both."""
    path = tmp_path / "some.jsonl"
    path.write_bytes(re.sub(rb'"order_id":"(\w+)7"', rb'"order_id":"\1\\\\7"', lines.read_bytes()))
    middle = sorted(decoded_line(line).at for line in lines.read_bytes().splitlines())[1000]
    for bounds in ({}, {"until": middle}, {"as_of": middle}):
        assert_same(path, shipped().rulebook, is_native=False, memory=200_000, **bounds)
    counted, left = map(sum, zip(*tasks, strict=True))
    assert 0 < left < counted / 2


def test_after_a_failure_python_judges_a_task(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: Any) -> None:
        raise RuntimeError("panic")

    monkeypatch.setattr(NativeReplay, "judge", fail)
    assert_same(lines, shipped().rulebook, is_native=False, memory=200_000)


def test_with_a_checkpoint(lines: Path, tmp_path: Path, tasks: list[tuple[int, int]]) -> None:
    found = replayed(lines, "native", shipped().rulebook, checkpoint=Checkpoint(tmp_path / "native"))
    expected = replayed(lines, "python", shipped().rulebook, checkpoint=Checkpoint(tmp_path / "python"))
    assert found == expected
    assert sum(left for _, left in tasks) == 0 < sum(counted for counted, _ in tasks)
