"""The clocks of a worker by the native engine: each record gives what it gives by the Python engine, byte for byte."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from schemas.events import EventCatalogue
from streams.core.alerts import Alert
from streams.core.event import Event
from streams.core.outcome_counts import Place
from streams.core.records import UNPRUNED, Pruned, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.separable_engine import SeparableEngine
from streams.engine import native_module
from streams.engine.clocks import FAILED, NativeClocks
from streams.engine.native_engine import NativeEngine
from streams.engine.written_alerts import WrittenAlert
from streams.errors import InputError
from streams.live.applied import Applied
from streams.live.clock_partition import ClockPartition, position_key
from streams.rulebooks.loader import LoadedRulebook, load_rulebook
from streams.simulation import simulate
from streams.wire.cloudevents import CloudEvents, encode
from streams.wire.decoder import Decoder, encode_json
from streams.wire.state_rows import entry_to_bytes, record_to_bytes
from tests.engine.equality import GOLDEN
from tests.oracle.common import Fact
from tests.property.runs import event_of, us
from tests.property.shipped import END, START, counted_by_calendars, kinds, rulebook_of, rules_of, shipped_histories
from tests.property.test_crashes import DAY, HOUR, MINUTE, every_rule
from tests.property.worlds import per_kind
from tests.rulebook import test_connection, test_counter, test_inspection, test_metering, test_reading, test_repair
from tests.stories import decoded, shipped, wire

pytestmark = pytest.mark.skipif(native_module() is None, reason="the native engine is not built: cargo is not here")

AHEAD = (0, 0, 0, -1, 1, 5 * MINUTE, 24 * HOUR, -24 * HOUR, 40 * DAY)
"""What a record's watermark is ahead of the latest event so far."""


def clocks_of(rulebook: Rulebook, catalogue: EventCatalogue) -> NativeClocks:
    module = native_module()
    assert module is not None
    return NativeClocks(module, rulebook, catalogue)


@cache
def native(rulebook: Rulebook) -> NativeClocks:
    return clocks_of(rulebook, shipped().catalogue)


class Both:
    """One partition by each engine; whatever can be seen of one is compared with the other.

    With ``memory`` (bytes) the subjects of the native one rest after each record, as far as they need more.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        keep_for: int | None,
        clocks: NativeClocks | None = None,
        *,
        tracks_cases: bool = False,
        memory: int | None = None,
        prunes: bool = True,
    ) -> None:
        self.memory, self.prunes = memory, prunes
        self._rulebook, self._keep_for, self._clocks = rulebook, keep_for, clocks or native(rulebook)
        self._tracks_cases = tracks_cases
        self._writer = CloudEvents(rulebook.calendar)
        self._table: dict[bytes, bytes] = {}
        self._offset = 0
        self._start()

    def _start(self) -> None:
        options: dict[str, Any] = {
            "keep_for": self._keep_for,
            "tracks_cases": self._tracks_cases,
            "prunes": self.prunes,
        }
        self.python = ClockPartition(0, self._rulebook, **options)
        self.native = ClockPartition(0, self._rulebook, **options, native=self._clocks)
        if self.memory is not None:
            self.native.read_rows_by(self._table.get)

    def restart(self, rulebook: Rulebook, *, tracks_cases: bool = False) -> None:
        """Both start again from the rows, which are those of either, under these rules."""
        self._rulebook, self._clocks, self._tracks_cases = rulebook, native(rulebook), tracks_cases
        self._start()
        for partition in (self.python, self.native):
            partition.restore(self._table.get(position_key(0)), self._table.items())

    def apply(self, entries: Sequence[bytes], watermark: int, refused: Sequence[tuple[str, str, int]] = ()) -> Applied:
        """One record of the log by both; that of the native engine."""
        raw = record_to_bytes(entries, {"in/0": watermark}, {"in": 1}, refused=refused)
        expected, found = (
            partition.apply(partition.read(raw), self._offset) for partition in (self.python, self.native)
        )
        assert expected is not None
        assert found is not None
        assert self._seen(found) == self._seen(expected)
        for alert in found.told:
            if isinstance(alert, WrittenAlert):
                assert encode(self._writer.alert(alert.read())) == alert.line
                assert alert.partition_hash == murmur2(alert.case_id.encode()) & 0x7FFFFFFF
        assert self._state(self.native) == self._state(self.python)
        for key, value in found.rows:
            if value is None:
                del self._table[key]
            else:
                self._table[key] = value
        self._offset += 1
        if self.memory is not None:
            self.native.engine.rest(self.memory)
        return found

    def _seen(self, applied: Applied) -> dict[str, Any]:
        return {
            "alerts": [encode(self._writer.alert(alert)) for alert in applied.alerts],
            "notices": applied.step.notices,
            "refused": applied.step.refused,
            "rows": applied.rows,
            "ended": applied.ended,
            "reopened": applied.reopened,
            "cases": [
                (change.case_id, change.case and encode(self._writer.case(change.case, change.as_of)))
                for change in applied.cases
            ],
        }

    @staticmethod
    def _state(partition: ClockPartition) -> dict[str, Any]:
        engine = partition.engine
        running: dict[Place, list[tuple[int, int | None]]] = defaultdict(list)
        for place, started, deadlines, others in partition.clocks_at():
            running[place] = sorted([*running[place], *zip(started, deadlines, strict=True), *[(0, None)] * others])
        return {"running": running, "due": engine.next_due, "kept": len(engine)}

    def ask(self) -> None:
        """Questions that look at every case; both go on after them."""
        assert list(self.native.engine.cases()) == list(self.python.engine.cases())
        assert self.native.engine.orphans() == self.python.engine.orphans()
        assert self.native.all_rows() == self.python.all_rows()


def entries_of(rulebook: Rulebook, events: Sequence[Event]) -> list[bytes]:
    return [entry_to_bytes(subject, copy, "in/0/0") for event in events for subject, copy in rulebook.copies_of(event)]


@cache
def rulebook_of_kind(kind: str) -> Rulebook:
    return Rulebook(rules_of(kind), shipped().rulebook.calendar)


def _again(facts: Sequence[Fact]) -> list[Fact]:
    """The same with other ids."""
    named = {fact: None if fact.corrects is None else f"{fact.corrects}2" for fact in facts}
    return [replace(fact, event_id=f"{fact.event_id}2", corrects=corrects) for fact, corrects in named.items()]


@st.composite
def _logs(draw: st.DrawFn, kind: str) -> tuple[list[Event], list[tuple[int, int, bool]]]:
    """Events as they come in; and for each record how many it has, how far its watermark is ahead, and whether the
    worker starts again after it.
    """
    facts = draw(shipped_histories(kind))[1]
    if draw(st.booleans()):
        facts += _again(draw(shipped_histories(kind))[1])
    if draw(st.booleans()):
        facts = [replace(fact, corrects=None, void=False) for fact in facts]
    events = sorted(map(event_of, facts), key=lambda event: event.order)
    if draw(st.sampled_from((False, False, True))):
        events = draw(st.permutations(events))
    changes: st.SearchStrategy[dict[str, Any]] = st.sampled_from(({}, {}, {"data": {"note": "x"}}, {"version": (2,)}))
    repeated = draw(st.lists(st.tuples(st.sampled_from(events), changes), max_size=3))
    events += [structs.replace(event, **change) for event, change in repeated]
    restarts = st.sampled_from((False,) * 5 + (True,))
    records = st.tuples(st.sampled_from((0, 1, 1, 1, 2, 3)), st.sampled_from(AHEAD), restarts)
    return events, draw(st.lists(records, min_size=3, max_size=20))


@pytest.mark.parametrize("kind", kinds())
@per_kind
@given(data=st.data())
def test_of_every_kind_of_rule(kind: str, data: st.DataObject) -> None:
    plain = st.sampled_from((rulebook_of_kind(kind), every_rule()))
    rulebook = data.draw(st.one_of(plain, plain, counted_by_calendars(tuple(rule.id for rule in rules_of(kind)))))
    tracks_cases = data.draw(st.booleans())
    keep_for = data.draw(st.sampled_from((None, HOUR, DAY, 40 * DAY)))
    memory = data.draw(st.sampled_from((None, 1, 1500)))
    prunes = data.draw(st.booleans())
    both = Both(rulebook, keep_for, tracks_cases=tracks_cases, memory=memory, prunes=prunes)
    begins_to = data.draw(st.sampled_from((tracks_cases, tracks_cases, not tracks_cases)))
    changed = data.draw(st.sampled_from((rulebook, rulebook, rulebook_of_kind(kind), every_rule(1))))
    events, records = data.draw(_logs(kind))
    latest, position = events[0].at, 0
    for count, ahead, restarts in (*records, (len(events), 0, False)):
        some = events[position : position + count]
        position += count
        latest = max(latest, *(event.at for event in some)) if some else latest
        named = [(*subject, event.at) for event in some for subject in event.subjects()]
        refused = named if data.draw(st.sampled_from((False,) * 7 + (True,))) else ()
        both.apply(entries_of(rulebook, some), latest + ahead, refused)
        if restarts:
            rulebook = changed
            both.restart(rulebook, tracks_cases=begins_to)
    if data.draw(st.booleans()):
        both.ask()
    both.apply([], us(END))
    both.ask()


def in_tens(
    loaded: LoadedRulebook, lines: Sequence[bytes], clocks: NativeClocks | None = None, *, tracks_cases: bool = False
) -> Both:
    """Events as they were entered, ten in a record; those that are refused are left out."""
    decoder, rulebook, events = Decoder(loaded.catalogue), loaded.rulebook, []
    for line in lines:
        with suppress(InputError):
            events.append(decoder.decode(line, received=us(END)))
    events.sort(key=lambda event: event.recorded)
    both = Both(rulebook, 90 * DAY, clocks or clocks_of(rulebook, loaded.catalogue), tracks_cases=tracks_cases)
    for first in range(0, len(events), 10):
        some = events[first : first + 10]
        both.apply(entries_of(rulebook, some), some[-1].recorded)
    both.apply([], us(END))
    return both


@pytest.mark.parametrize("path", GOLDEN, ids=[path.parent.name for path in GOLDEN])
def test_golden_stories(path: Path) -> None:
    own = (path.parent / "rules.yaml").exists()
    loaded = load_rulebook(only=path.parent) if own else shipped()
    for tracks_cases in (False, True):
        in_tens(loaded, path.read_bytes().splitlines(), tracks_cases=tracks_cases).ask()


CHAPTERS = (test_connection, test_counter, test_inspection, test_metering, test_reading, test_repair)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[chapter.__name__.rpartition("_")[2] for chapter in CHAPTERS])
def test_the_rows_of_the_rules(chapter: ModuleType) -> None:
    """Each under all rules, its events entered one by one."""
    for row in chapter.ROWS:
        both = Both(every_rule(), None)
        for event in decoded(wire(str(row.values[1]))):
            both.apply(entries_of(every_rule(), [event]), event.recorded)
        both.apply([], us(END))
        both.ask()


def decided_by_python(monkeypatch: pytest.MonkeyPatch) -> list[SubjectRecord]:
    """The records on which native engines leave decisions to Python from now on."""
    found: list[SubjectRecord] = []
    whole = SeparableEngine._decide_timed

    def counting(self: SeparableEngine, record: SubjectRecord, alerts: list[Alert]) -> None:
        if isinstance(self, NativeEngine):
            found.append(record)
        whole(self, record, alerts)

    monkeypatch.setattr(SeparableEngine, "_decide_timed", counting)
    return found


@pytest.mark.parametrize(("tracks_cases", "most"), [(False, 0.005), (True, 0.06)])
def test_nearly_all_decisions_on_simulated_orders_are_native(
    tracks_cases: bool, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_python = decided_by_python(monkeypatch)
    made = simulate(orders=300, seed=5, start=date(2026, 3, 2), days=20)
    lines = [encode_json(event) for event in made.events]
    in_tens(shipped(), lines, tracks_cases=tracks_cases).ask()
    assert len(by_python) < most * len(lines)


def test_a_field_with_the_name_of_an_id_is_left_to_python() -> None:
    """The decoder lets none through; conditions take such a field for the id."""
    rulebook, at = rulebook_of_kind("minimum_notice"), us(START)
    clocks = clocks_of(rulebook, shipped().catalogue)
    both = Both(rulebook, None, clocks)
    posted = Event("a", "meter.batch_notice_posted", at, at, {}, meter_id="M")
    later = at + 7 * DAY
    replaced = Event("b", "meter.replaced", later, later, {"planned": "batch", "batch_id": "B"}, meter_id="M")
    applied = both.apply(entries_of(rulebook, [posted, replaced]), later)
    assert [alert.kind for alert in applied.alerts] == ["violation"]
    assert clocks.fallbacks.total() == 1


def test_a_report_made_again_after_its_withdrawal_has_an_id_of_its_own() -> None:
    rulebook, at = rulebook_of("fee-5-minutes"), us(START)
    clocks = clocks_of(rulebook, shipped().catalogue)
    both = Both(rulebook, None, clocks)
    started = Event("a", "counter.service_started", at, at, {"business": "fee"}, order_id="O")
    in_time, late = (
        Event("b", "counter.service_completed", at + minutes * MINUTE, at + 9 * MINUTE, {}, order_id="O", version=(n,))
        for n, minutes in enumerate((4, 8))
    )
    steps = [
        both.apply(entries_of(rulebook, events), at + minutes * MINUTE).alerts
        for events, minutes in (([started], 1), ([], 6), ([in_time], 10), ([late], 11))
    ]
    assert [[alert.kind for alert in alerts] for alerts in steps] == [
        [],
        ["breach"],
        ["retraction"],
        ["breach", "late_completion"],
    ]
    assert steps[3][0].alert_id != steps[1][0].alert_id
    assert not clocks.fallbacks


def test_a_subject_with_corrections_and_withdrawn_reports_stays_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python decides only where a report is to be withdrawn, and the subject comes back with that."""
    by_python = decided_by_python(monkeypatch)
    rulebook, at = rulebook_of("fee-5-minutes"), us(START)
    both = Both(rulebook, None)
    started = Event("a", "counter.service_started", at, at, {"business": "fee"}, order_id="O")
    done, late = at + 4 * MINUTE, at + 8 * MINUTE
    in_time = Event("b", "counter.service_completed", done, done, {}, order_id="O")
    corrected = Event("c", "counter.service_completed", late, late, {}, order_id="O", corrects="b")
    void = Event("d", "counter.service_completed", late, late + MINUTE, {}, order_id="O", corrects="c", void=True)
    again = Event("e", "counter.service_completed", late, late + 2 * MINUTE, {}, order_id="O", corrects="b")
    steps: list[tuple[list[Event], list[str]]] = [
        ([started, in_time], []),
        ([corrected], ["breach", "late_completion"]),
        ([void], ["retraction", "retraction"]),
        ([], []),
        ([again], ["breach", "late_completion"]),
    ]
    for number, (events, kinds_of) in enumerate(steps, 9):
        applied = both.apply(entries_of(rulebook, events), at + number * MINUTE)
        assert sorted(alert.kind for alert in applied.alerts) == kinds_of
        assert len(by_python) == int(number >= 11)
        assert len(both.native.engine._records) == 0
    both.restart(rulebook)
    both.apply([], at + 20 * MINUTE)
    assert len(by_python) == 1
    both.ask()


def test_a_month_that_has_begun_is_counted_at_the_next_decision_whatever_that_is_about() -> None:
    """So it does not matter whether a subject was given back in between, when all is counted again."""
    read = us(START)
    disposed = read + 19 * DAY
    events = [
        Event("a", "reading.collected", read, read, {}, meter_id="M"),
        Event("b", "meter.disposed", read, read, {}, meter_id="M"),
        Event("c", "meter.disposed", disposed, disposed, {}, meter_id="M"),
    ]
    for first in range(1, 4):
        both = Both(every_rule(), None)
        both.apply(entries_of(every_rule(), events[:first]), events[first - 1].at)
        both.apply(entries_of(every_rule(), events[first:]), disposed)
        assert both.python.tally.clocks == 1
        both.ask()


def test_a_subject_that_got_an_event_of_a_known_id_is_dropped_a_step_later() -> None:
    rulebook, at = rulebook_of("fee-5-minutes"), us(START)
    both = Both(rulebook, HOUR)
    started = Event("a", "counter.service_started", at, at, {"business": "fee"}, order_id="O")
    completed = Event("b", "counter.service_completed", at + MINUTE, at + MINUTE, {}, order_id="O")
    both.apply(entries_of(rulebook, [started, completed]), at + 2 * MINUTE)
    other = Event("b", "counter.service_completed", at + MINUTE, at + MINUTE, {"note": "other"}, order_id="O")
    applied = both.apply(entries_of(rulebook, [other]), at + 2 * HOUR)
    assert applied.step.notices["conflict", other.type] == 1
    assert len(both.native.engine) == 1
    both.apply([], at + 3 * HOUR)
    assert len(both.native.engine) == 0


@pytest.mark.parametrize("org", [{"city": "HZ", "town": "X"}, {"city": "Zürich"}, {"city": ""}])
def test_an_organisation_that_alerts_may_not_show_as_it_is(org: dict[str, str]) -> None:
    """Rows of version 0.1 have unknown members."""
    clocks = clocks_of(shipped().rulebook, shipped().catalogue)
    both, at = Both(shipped().rulebook, None, clocks), us(START)
    both.apply(
        entries_of(
            shipped().rulebook,
            [Event("a", "counter.service_started", at, at, {"business": "fee", "org": org}, order_id="O")],
        ),
        at + 6 * MINUTE,
    )
    assert clocks.fallbacks.total() == 1


def test_events_that_only_some_rules_still_see_are_left_to_python_for_that_reason() -> None:
    clocks = clocks_of(shipped().rulebook, shipped().catalogue)
    record = SubjectRecord(("order", "O"))
    record.history.add(Event("a", "counter.service_started", us(START), us(START), {"business": "fee"}, order_id="O"))
    record.pruned = Pruned(None, 0, (("a", ("fee-5-minutes",)),))
    assert clocks.decide(record, us(END)) is None
    assert clocks.fallbacks == {"events that only some rules still see": 1}
    record.pruned = UNPRUNED
    assert clocks.decide(record, us(END)) is not None


@pytest.mark.parametrize("memory", [None, 1])
def test_histories_that_are_pruned_again_and_again_stay_native(
    memory: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A meter read every month, and an account whose bills are paid late, for two years; restarts in between."""
    by_python = decided_by_python(monkeypatch)
    both, at = Both(shipped().rulebook, 60 * DAY, memory=memory), us(START)
    for month in range(24):
        read, billed = at + 30 * month * DAY, at + (30 * month + 1) * DAY
        events = [
            Event(f"r{month}", "reading.collected", read, read, {"method": "remote"}, meter_id="M", account_id="A"),
            Event(f"b{month}", "bill.issued", billed, billed, {}, account_id="A"),
            Event(f"p{month}", "bill.paid", billed + 40 * DAY, billed + 40 * DAY, {}, account_id="A"),
        ]
        for event in events:
            both.apply(entries_of(shipped().rulebook, [event]), event.recorded)
        if month in (10, 17):
            both.restart(shipped().rulebook)
    pruned = [row for row in both._table.values() if b'"v":2' in row]
    assert pruned
    assert not by_python
    both.ask()


@pytest.mark.parametrize(("what", "does"), [("take_written", "takes"), ("decide", "decides")])
def test_a_failure_is_counted_and_logged_once_and_python_goes_on(
    what: str, does: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            if name == what:
                raise RuntimeError("panic")
            return getattr(self._inner, name)

    clocks = clocks_of(shipped().rulebook, shipped().catalogue)
    worker, subjects = clocks._inner, clocks._subjects
    monkeypatch.setattr(clocks, "_inner", Failing(worker))
    monkeypatch.setattr(clocks, "_subjects", lambda _worker: Failing(subjects(worker)))
    in_tens(shipped(), GOLDEN[0].read_bytes().splitlines(), clocks).ask()
    assert clocks.fallbacks[FAILED] > 1
    assert [record.message for record in caplog.records if "native engine failed" in record.message] == [
        f"the native engine failed at a subject; Python {does} it, and others like it"
    ]


def test_reports_of_several_rules_found_at_once_are_kept_in_the_same_order() -> None:
    """In the order in which the folds got their states, by the types of events and not by their fields.

    In the tests above nearly every decision has one report.
    """
    both = Both(every_rule(), None)
    both.apply([], us(END))
    story = """
    a 2025-03-03T09:00 counter.service_started WO1 business=fee
    b 2025-03-03T09:01 counter.service_started WO1 business=power
    c 2025-03-03T09:00 counter.service_started WO2 business=power
    d 2025-03-03T09:01 counter.service_started WO2 business=fee
    """
    applied = both.apply(entries_of(every_rule(), decoded(wire(story))), us(END))
    rules = Counter(alert.rule for alert in applied.alerts if alert.kind == "breach")
    assert len(rules) > 1
    assert set(rules.values()) == {2}
