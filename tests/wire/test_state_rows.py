"""State to bytes and back; what a newer program wrote is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.snapshots import PRUNED_VERSION, STATE_VERSION, LogRecord, PartitionState, SubjectState
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.outcome_counts import Place, Running
from streams.core.records import Snapshot
from streams.core.standing import Standing
from streams.wire.state_rows import (
    Position,
    StateError,
    entry_to_bytes,
    position_from_bytes,
    position_to_bytes,
    record_from_bytes,
    record_to_bytes,
    snapshot_from_bytes,
    snapshot_to_bytes,
    sources_of,
    standing_from_bytes,
)
from tests.stories import decoded, shipped, us, wire

WO1 = ("order", "WO1")
STORY = """
    e1 2026-03-02T09:00:00.000123 counter.service_started WO1 business=fee account=A1 org={"city":"3201"} note=缴费
    z +7m counter.service_completed WO1
    k +4m counter.service_completed WO1 corrects=z recorded=+2h
    l +6m counter.service_completed WO1 corrects=k recorded=+3h
"""


def snapshot() -> Snapshot:
    engine = Engine(shipped().rulebook)
    engine.advance_to(us("2026-03-02T09:00"))
    for event in decoded(wire(STORY)):
        engine.handle(WO1, event)
        engine.advance_to(max(event.recorded, engine.watermark))
    found = engine.snapshot(WO1)
    assert found is not None
    return found


def test_a_subject_comes_back_as_it_was() -> None:
    kept = snapshot()
    assert kept.reported
    assert kept.withdrawn
    raw = snapshot_to_bytes(kept)
    assert snapshot_from_bytes(WO1, raw) == kept
    assert snapshot_to_bytes(snapshot_from_bytes(WO1, raw)) == raw
    SubjectState.model_validate_json(raw)


def test_where_a_subject_stands_is_read_ahead_of_its_events_under_the_same_rulebook_only() -> None:
    kept, place = snapshot(), Place("fee-5-minutes", "3201", None)
    clocks = (Running(place, 5, 9), Running(place, 6, None))
    standing = Standing(kept.decided_at, 9, (("fee-5-minutes", "3201"), ("fee-5-minutes", None)), clocks)
    raw = snapshot_to_bytes(kept, standing, "abc")
    assert standing_from_bytes(raw, "abc") == standing
    assert snapshot_from_bytes(WO1, raw) == kept
    SubjectState.model_validate_json(raw)
    assert standing_from_bytes(raw, "abd") is None
    assert standing_from_bytes(snapshot_to_bytes(kept), "abc") is None
    assert standing_from_bytes(raw.replace(b'"v":1', b'"v":9'), "abc") is None
    assert standing_from_bytes(raw[:-1], "abc") is None


SAVED = (
    (("1", ("e1", None), True, None, "e2", None, ("e5",)),),
    ("1", "e1", ("e1", "e0"), None, None, "", ((5, 9), (11, None)), ("e2", "e3"), (4, 7), ("e4",)),
    "e1",
    False,
)
"""A state with everything, as it is in the row."""


@pytest.mark.parametrize(
    ("pruned", "version"),
    [((7, 9, (("e1", ("a", "b")),)), PRUNED_VERSION), ((7, 9, (), (("a", (SAVED,)),)), STATE_VERSION)],
    ids=["since pruning", "with saved states"],
)
def test_a_pruned_history_comes_back_as_it_was(pruned: tuple[Any, ...], version: int) -> None:
    """The row is written down: it is read for ever."""
    raw = json.dumps({**json.loads(snapshot_to_bytes(snapshot())), "v": version, "pruned": pruned, "lacks": 3}).encode()
    found = snapshot_from_bytes(WO1, raw)
    assert (found.pruned.until, found.pruned.looked_at, found.lacks) == (7, 9, 3)
    assert json.loads(snapshot_to_bytes(found)) == json.loads(raw)
    SubjectState.model_validate_json(raw)
    if found.pruned.saved:
        ((rule, (saved,)),) = found.pruned.saved
        assert (rule, saved.since, saved.holds) == ("a", "e1", False)
        assert saved.case is not None
        assert (saved.case.pauses, saved.case.omitted) == (((5, 9), (11, None)), (4, 7))
        assert set(saved.events()) == {"e0", "e1", "e2", "e4", "e5"}
        assert saved.case.held == ("e4",)


def test_a_saved_case_of_before_pauses_were_told_apart_is_read() -> None:
    watches, case, *rest = SAVED
    before = ((watches[0][:-1],), case[:-1], *rest)
    row = {**json.loads(snapshot_to_bytes(snapshot())), "v": STATE_VERSION, "pruned": (7, 9, (), (("a", (before,)),))}
    ((_, (saved,)),) = snapshot_from_bytes(WO1, json.dumps(row).encode()).pruned.saved
    assert saved.case is not None
    assert (saved.case.omitted, saved.case.held, saved.watches[0].seen) == ((4, 7), (), ())


def test_amounts_come_back_with_every_digit() -> None:
    (event,) = decoded(wire("f 2026-03-02T09:00 fee.charged WO1"))
    event.data["amount"] = json.loads("1234567890.10", parse_float=__import__("decimal").Decimal)
    raw = snapshot_to_bytes(Snapshot(WO1, (event,), (), (), 0))
    assert b"1234567890.10" in raw
    assert snapshot_from_bytes(WO1, raw).events == (event,)


def test_a_record_comes_back_as_it_was() -> None:
    events = decoded(wire(STORY))
    entries = [(("order", "WO1"), event, f"gridclock.events/0/{n}") for n, event in enumerate(events)]
    written, refused = [entry_to_bytes(*entry) for entry in entries], [("order", "WO2", 7)]
    raw = record_to_bytes(written, {"t/0": 5, "t/1": -5}, {"t": 2}, refused=refused)
    record = record_from_bytes(raw)
    assert record.refused == [(("order", "WO2"), 7)]
    assert (record.entries, record.watermarks, record.sources) == (entries, {"t/0": 5, "t/1": -5}, {"t": 2})
    LogRecord.model_validate_json(raw)
    empty = record_from_bytes(record_to_bytes([], {}, {}))
    assert (empty.entries, empty.watermarks, empty.sources) == ([], {}, {})


TEXTS = st.sampled_from(('],"watermarks":{', '\\],"watermarks":{}', "watermarks", '"]', ""))
VALUES = st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2))


@given(st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=3), TEXTS)
def test_a_record_read_without_its_entries_has_all_else(data: list[dict[str, Any]], text: str) -> None:
    """Whatever its events hold, and the names of what was refused."""
    events = [Event(text, text, 0, 0, {"a": [], **fields}, order_id="O") for fields in data]
    written = [entry_to_bytes(WO1, event, text) for event in events]
    raw = record_to_bytes(written, {"t/0": 5}, {"t": 2}, 9, prunes=True, refused=[("order", text, 7)])
    expected, found = record_from_bytes(raw), record_from_bytes(raw, unread=True)
    assert (found.entries, found.unread) == ([], raw)
    found.read()
    assert found == expected


@pytest.mark.parametrize("at", [None, 0, -5, us("2026-03-02T09:00")])
def test_a_position_comes_back_as_it_was(at: int | None) -> None:
    position = Position(17, at, {"t/0": 5}, {"t": 2}, rulebook="ab12")
    raw = position_to_bytes(position)
    assert position_from_bytes(raw) == position
    PartitionState.model_validate_json(raw)


def test_sources_are_named_by_topic_and_partition() -> None:
    assert list(sources_of({"t": 2, "u": 1})) == ["t/0", "t/1", "u/0"]


READERS: list[tuple[str, Callable[[bytes], Any]]] = [
    ("the state of order WO1", lambda raw: snapshot_from_bytes(WO1, raw)),
    ("a record of the log", record_from_bytes),
    ("the position in the log", position_from_bytes),
]


@pytest.mark.parametrize(("name", "read"), READERS)
def test_a_newer_version_is_refused_by_name(name: str, read: Callable[[bytes], Any]) -> None:
    raw = json.dumps({"v": STATE_VERSION + 1}).encode()
    says = rf"^{name} was written in format {STATE_VERSION + 1}; this program knows formats up to {STATE_VERSION}: "
    with pytest.raises(StateError, match=says):
        read(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b'{"v":"1"}',
        b'{"v":1}',
        b"\xff",
        b'{"v":1,"events":7}',
        b'{"v":5E55555555555555555555}',
        b"[" * 2000 + b"]" * 2000,
    ],
)
@pytest.mark.parametrize(("name", "read"), READERS)
def test_damaged_bytes_are_refused_by_name(name: str, read: Callable[[bytes], Any], raw: bytes) -> None:
    with pytest.raises(StateError, match=f"^{name} is damaged"):
        read(raw)
