"""A partition whose program fails at some subjects: what is set aside, held and released, in rows and in the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from streams.core.alerts import Alert, Subject
from streams.errors import InputError
from streams.kafka.topics import message_limits, topics_of
from streams.live.applied import Applied
from streams.live.clock_partition import ClockPartition, RestoreError, position_key, subject_key
from streams.live.quarantine import TooLargeError, is_fault, letter_of_held
from streams.live.setting_aside import SettingAside
from streams.live.worker_parts import Output
from streams.operations.dead_letters import EditedLetter, Letters
from streams.operations.releasing import entries_of, held_of
from streams.replay.log_replay import LogReplay
from streams.settings import load_settings
from streams.wire.decoder import event_of, wire_fields
from streams.wire.state_rows import (
    CONTROL_KEY,
    LogRecord,
    Position,
    StateError,
    Suspect,
    control_to_bytes,
    entry_to_bytes,
    position_from_bytes,
    position_to_bytes,
    record_from_bytes,
    record_to_bytes,
)
from tests.live.test_intake import NOTICE
from tests.stories import decoded, shipped, us, wire

POISON: Subject = ("order", "POISON")
SOURCES = {"in": 1}


def record(story: str, at: str, origin: int = 0) -> bytes:
    """A record of the log with a story's events and the watermark."""
    found = [
        entry_to_bytes(subject, copy, f"in/0/{origin + number}")
        for number, event in enumerate(decoded(wire(story)))
        for subject, copy in shipped().rulebook.copies_of(event)
    ]
    return record_to_bytes(found, {"in/0": us(f"2026-03-02T{at}")}, SOURCES)


class KilledError(BaseException):
    """The process is gone: nothing catches it, and what is in memory is lost."""


class FaultyPartition(ClockPartition):
    """Fails at a record that concerns a subject of ``faulty``, with the error, unless it is set aside."""

    faulty: frozenset[Subject] = frozenset()
    error: type[BaseException] = ZeroDivisionError

    def applying(self, record: LogRecord, offset: int) -> Any:
        applied = yield from super().applying(record, offset)
        if applied is not None and ({entry[0] for entry in record.entries} - self.aside.keys()) & self.faulty:
            raise self.error
        return applied


@dataclass
class Work:
    """What a worker does with one partition: rows, log, alerts and dead letters are what outlives it."""

    log: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    letters: Letters = field(default_factory=Letters)
    make: Callable[[int], ClockPartition] = lambda number: FaultyPartition(number, shipped().rulebook, keep_for=None)
    largest: int = 10**9
    deaths: int = 0
    marks: list[Suspect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.partition = self.make(0)
        self.aside = SettingAside(
            "log", self.make, self.encode,
            row_of=lambda _number, key: self.rows.get(key), rows_of=lambda _number: iter(sorted(self.rows.items())),
            keep_position=self._keep_position, write_control=self._write_control,
        )  # fmt: skip

    def encode(self, applied: Applied) -> Output:
        for key, value in applied.rows:
            if value is not None and not key.endswith(b"*") and len(value) > self.largest:
                raise TooLargeError("its state", len(value), "state", self.largest)
        return Output(applied, (), (), ())

    async def _keep_position(self, number: int, row: bytes) -> None:
        self.rows[position_key(number)] = row
        if (suspect := position_from_bytes(row).suspect) is not None:
            self.marks.append(suspect)

    async def _write_control(self, _number: int, value: bytes) -> None:
        self.log.append((CONTROL_KEY, value))

    async def restored(self) -> ClockPartition:
        self.partition = self.make(0)
        self.partition.restore(self.rows.get(position_key(0)), self.rows.items())
        await self.aside.log(self.partition)
        return self.partition

    def run(self, *, restart: bool = False) -> Work:
        """Apply what is in the log, as a worker does; its own control records too."""
        if restart:
            asyncio.run(self.restored())
        while self.partition.offset + 1 < len(self.log):
            asyncio.run(self._apply(self.partition.offset + 1))
        return self

    def run_killed(self) -> Work:
        """As processes do that die, and others that take over from the rows."""
        while True:
            try:
                return self._run_process()
            except KilledError:
                self.deaths += 1
                assert self.deaths < 20

    def _run_process(self) -> Work:
        following = position_from_bytes(self.rows[position_key(0)]).offset + 1 if self.rows else 0
        if following < len(self.log):
            asyncio.run(self.aside.before_first(0, following, self.log[following][1]))
        return self.run(restart=True)

    async def _apply(self, offset: int) -> None:
        raw, tries = self.log[offset][1], 0
        while True:
            try:
                skipped = self.aside.skipped.pop((0, offset), None)
                applied = self.partition.apply(record_from_bytes(raw) if skipped is None else skipped, offset)
                assert applied is not None
                self.encode(applied)
                break
            except Exception as error:
                if not is_fault(error):
                    raise
                if tries:
                    await self.aside.set_aside(0, offset, raw, error, self.restored)
                tries += 1
                await self.restored()
        self.alerts += applied.alerts
        for key, value in applied.rows:
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        for one in applied.held:
            self.letters.add(letter_of_held(one, "log/0").model_dump_json().encode(), None, "letters/0/0")

    def release(self, edited: dict[str, EditedLetter] | None = None) -> Work:
        held = held_of(self.letters, POISON)
        control = LogRecord(
            entries_of(held, edited or {}), {}, SOURCES, released={POISON: held[-1].letter.position}
        )  # fmt: skip
        self.log.append((CONTROL_KEY, control_to_bytes(control)))
        return self

    def from_log(self) -> list[Alert]:
        replay = LogReplay(shipped().rulebook, keep_for=None)
        for key, value in self.log:
            if key == CONTROL_KEY:
                replay.expect(0, value)
        return [alert for offset, (_, value) in enumerate(self.log) for alert in replay.apply(0, offset, value)]

    def told(self, subject: str) -> list[tuple[str, str]]:
        return [
            (alert.rule, alert.kind)
            for alert in self.alerts
            if alert.subject[1] == subject and alert.rule == "fee-5-minutes"
        ]


FIRST = "e1 2026-03-02T09:00 counter.service_started POISON business=fee\ne2 2026-03-02T09:00 counter.ticket_taken WO2"
SECOND = """
e3 2026-03-02T09:01 counter.ticket_taken POISON
e4 2026-03-02T09:01 counter.service_started WO2 business=fee
"""
THIRD = "e5 2026-03-02T09:08 counter.service_completed POISON"


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(FaultyPartition, "faulty", frozenset({POISON}))
    return monkeypatch


def story(*parts: tuple[str, str]) -> Work:
    return Work([(None, record(text, at, 10 * number)) for number, (text, at) in enumerate(parts)])


def test_all_others_go_on_and_the_log_gives_the_same_alerts(faulty: pytest.MonkeyPatch) -> None:
    work = story((FIRST, "09:01"), (SECOND, "09:02"), (THIRD, "09:10")).run()
    assert work.told("WO2") == [("fee-5-minutes", "breach")]
    assert work.told("POISON") == []
    assert work.from_log() == work.alerts
    assert [one.letter.id for one in held_of(work.letters, POISON)] == ["log/0/0/0", "log/0/1/0", "log/0/2/0"]
    (aside,) = position_from_bytes(work.rows[position_key(0)]).aside
    assert (aside.subject, aside.since, aside.held, aside.is_logged) == (POISON, 0, 2, True)
    assert aside.reason.startswith("ZeroDivisionError")

    faulty.setattr(FaultyPartition, "faulty", frozenset())
    work.release().run(restart=True)
    assert work.told("POISON") == [("fee-5-minutes", "breach"), ("fee-5-minutes", "late_completion")]
    assert work.from_log() == work.alerts
    undisturbed = story((FIRST, "09:01"), (SECOND, "09:02"), (THIRD, "09:10")).run()
    assert work.rows.keys() == undisturbed.rows.keys()
    events = [json.loads(made.rows[subject_key(0, POISON)])["events"] for made in (work, undisturbed)]
    assert events[0] == events[1]
    assert asyncio.run(work.restored()).miscounted() is None


def test_a_subject_that_was_known_stands_still_and_goes_on(faulty: pytest.MonkeyPatch) -> None:
    """Its clock ran out while it was set aside: that is reported when it is back, and not before."""
    faulty.setattr(FaultyPartition, "faulty", frozenset())
    work = story((FIRST, "09:01")).run()
    before = work.rows[subject_key(0, POISON)]
    faulty.setattr(FaultyPartition, "faulty", frozenset({POISON}))
    work.log += [(None, record(SECOND, "09:02", 10)), (None, record("", "09:30"))]
    work.run(restart=True)
    assert (work.rows[subject_key(0, POISON)], work.told("POISON")) == (before, [])
    faulty.setattr(FaultyPartition, "faulty", frozenset())
    work.release().run(restart=True)
    assert work.told("POISON") == [("fee-5-minutes", "breach")]
    assert work.from_log() == work.alerts


def test_it_is_not_released_while_more_is_held_than_the_release_knows(faulty: pytest.MonkeyPatch) -> None:
    work = story((FIRST, "09:01"), (SECOND, "09:02")).run()
    faulty.setattr(FaultyPartition, "faulty", frozenset())
    work.release()
    work.log.insert(-1, (None, record(THIRD, "09:10", 20)))  # it came between reading the letters and the release
    work.run(restart=True)
    assert [one.letter.entry for one in held_of(work.letters, POISON)] == [0, 0, 0]
    assert (work.told("POISON"), POISON in work.partition.aside) == ([], True)
    work.release().run()
    assert work.told("POISON") == [("fee-5-minutes", "breach"), ("fee-5-minutes", "late_completion")]
    assert work.from_log() == work.alerts


def test_one_that_fails_again_is_set_aside_again_with_all_that_was_held(faulty: pytest.MonkeyPatch) -> None:
    work = story((FIRST, "09:01"), (SECOND, "09:02"), (THIRD, "09:10")).run()
    work.release().run()
    assert (work.told("POISON"), len(held_of(work.letters, POISON))) == ([], 6)
    faulty.setattr(FaultyPartition, "faulty", frozenset())
    work.release().run(restart=True)
    assert work.told("POISON") == [("fee-5-minutes", "breach"), ("fee-5-minutes", "late_completion")]
    assert work.from_log() == work.alerts


def test_an_event_edited_to_null_is_left_out_and_a_corrected_one_counts(faulty: pytest.MonkeyPatch) -> None:
    work = story((FIRST, "09:01"), (SECOND, "09:02"), (THIRD, "09:10")).run()
    faulty.setattr(FaultyPartition, "faulty", frozenset())
    (corrected,) = decoded(wire(THIRD.replace("09:08", "09:04")))
    edited = {
        "log/0/1/0": EditedLetter("log/0/1/0", b"null"),
        "log/0/2/0": EditedLetter("log/0/2/0", json.dumps(wire_fields(corrected)).encode()),
    }
    work.release(edited).run(restart=True)
    assert work.told("POISON") == []
    assert len(json.loads(work.rows[subject_key(0, POISON)])["events"]) == 2
    assert work.from_log() == work.alerts


def test_a_row_larger_than_its_topic_takes_sets_its_subject_aside() -> None:
    work = story((FIRST, "09:01"), (SECOND, "09:02"), (THIRD, "09:10"))
    work.largest = 1 + max(len(value) for value in story((FIRST, "09:01")).run().rows.values())
    work.run()
    assert all("takes" in one.reason for one in work.partition.aside.values())
    assert POISON in work.partition.aside
    assert work.from_log() == work.alerts


def test_a_record_that_cannot_be_read_is_passed_over() -> None:
    work = story((FIRST, "09:01"))
    work.log += [(None, b'{"v":1,"entries":'), (None, record(SECOND, "09:10", 10))]
    work.run()
    assert (work.told("WO2"), work.partition.aside) == ([("fee-5-minutes", "breach")], {})
    assert work.from_log() == work.alerts


def test_a_record_of_a_newer_version_is_no_fault_of_the_data() -> None:
    work = story((FIRST, "09:01"))
    work.log.append((None, b'{"v":99}'))
    with pytest.raises(StateError, match="format 99"):
        work.run()


def test_a_row_that_cannot_be_read_sets_its_subject_aside() -> None:
    work = story((FIRST, "09:01")).run()
    work.rows[subject_key(0, POISON)] = b'{"v":1,"events":[['
    with pytest.raises(RestoreError, match="POISON") as error:
        asyncio.run(work.restored())
    asyncio.run(work.aside.set_aside(0, 1, b"", error.value, work.restored))
    work.log.append((None, record(SECOND, "09:10", 10)))
    work.run(restart=True)
    assert (list(work.partition.aside), work.told("WO2")) == ([POISON], [("fee-5-minutes", "breach")])


def test_a_fault_without_a_subject_is_no_fault_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def position(_self: ClockPartition) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(ClockPartition, "_position", position)
    with pytest.raises(ZeroDivisionError):
        story((FIRST, "09:01")).run()


def test_what_0_1_makes_of_a_control_record() -> None:
    """Entries, no watermarks, and the sources as they were: it goes on as if it were any other."""
    control = LogRecord([], {}, SOURCES, aside=[(POISON, 3, "why")], released={POISON: 2}, skipped={5: "why"})
    raw = control_to_bytes(control)
    found = {key: value for key, value in json.loads(raw).items() if key in ("v", "entries", "watermarks", "sources")}
    assert found == {"v": 1, "entries": [], "watermarks": {}, "sources": SOURCES}
    back = record_from_bytes(raw)
    assert (back.aside, back.released, back.skipped) == ([(POISON, 3, "why")], {POISON: 2}, {5: "why"})


def test_a_held_event_comes_back_as_it_was() -> None:
    """Also the copies of a notice for many meters, which are no events that a sender could write."""
    notice = {**NOTICE, "event_id": "n2", "meters": ["M1", "M2"], "version": [3, 1], "snapshot": True}
    void = {**NOTICE, "event_id": "n3", "corrects": "n2", "void": True, "meters": ["M1"]}
    copies = [
        found for event in decoded([notice, void, *wire(SECOND)]) for found in shipped().rulebook.copies_of(event)
    ]
    assert {subject[0] for subject, _ in copies} == {"batch", "meter", "order"}
    for subject, copy in copies:
        back = event_of(json.loads(json.dumps(wire_fields(copy))))
        assert entry_to_bytes(subject, back, "") == entry_to_bytes(subject, copy, "")
    with pytest.raises(InputError, match="no event as the log has it"):
        event_of({"event_id": "e1"})


# --- processes that are killed ---------------------------------------------------------------------------------------


@pytest.fixture
def killing(faulty: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    faulty.setattr(FaultyPartition, "error", KilledError)
    return faulty


def test_the_deaths_of_a_subject_are_counted(killing: pytest.MonkeyPatch) -> None:
    work = story((FIRST, "09:01"), (SECOND, "09:02"), (THIRD, "09:10")).run_killed()
    assert work.deaths == 2  # once written down as the whole record, once alone
    assert [(mark.offset, mark.tries, mark.subjects) for mark in work.marks] == [
        (0, 1, None), (0, 2, ()), (0, 2, (POISON,)), (0, 1, None),
    ]  # fmt: skip
    (aside,) = work.partition.aside.values()
    assert (aside.subject, aside.reason) == (POISON, "the process died at it, 2 times")
    assert (work.told("WO2"), work.told("POISON")) == ([("fee-5-minutes", "breach")], [])
    assert position_from_bytes(work.rows[position_key(0)]).suspect is None
    assert work.from_log() == work.alerts
    killing.setattr(FaultyPartition, "faulty", frozenset())
    work.release().run(restart=True)
    assert work.told("POISON") == [("fee-5-minutes", "breach"), ("fee-5-minutes", "late_completion")]
    assert work.from_log() == work.alerts


def test_many_subjects_are_parted_twice(killing: pytest.MonkeyPatch) -> None:
    more = "".join(f"\nx{n} 2026-03-02T09:00 counter.ticket_taken N{n}" for n in range(150))
    work = story((FIRST + more, "09:01"), (SECOND, "09:10")).run_killed()
    assert (list(work.partition.aside), work.deaths) == ([POISON], 3)
    assert work.told("WO2") == [("fee-5-minutes", "breach")]
    assert work.from_log() == work.alerts


def test_two_that_kill_are_found_one_after_the_other(killing: pytest.MonkeyPatch) -> None:
    killing.setattr(FaultyPartition, "faulty", frozenset({POISON, ("order", "WO2")}))
    work = story((FIRST, "09:01"), (SECOND, "09:10")).run_killed()
    assert (sorted(work.partition.aside), work.deaths) == ([POISON, ("order", "WO2")], 4)


def test_processes_killed_by_something_else_set_nothing_aside() -> None:
    """However often that is while a record is tried whole; and once while one subject is."""
    work = story((FIRST, "09:01"), (SECOND, "09:02"), (THIRD, "09:10"))
    for _ in range(3):
        asyncio.run(work.aside.before_first(0, 0, work.log[0][1]))
    assert [(mark.tries, mark.subjects) for mark in work.marks][-4:] == [
        (2, ()), (2, (POISON,)), (2, (("order", "WO2"),)), (1, None),
    ]  # fmt: skip
    work.run_killed()
    assert (work.partition.aside, work.told("WO2")) == ({}, [("fee-5-minutes", "breach")])

    work = story((FIRST, "09:01"), (SECOND, "09:02"), (THIRD, "09:10"))
    alone = Suspect(0, 1, (POISON,))
    work.rows[position_key(0)] = position_to_bytes(Position(-1, None, {}, {}, suspect=alone))
    work.run_killed()
    assert work.partition.aside == {}


def test_records_applied_before_are_not_written_down() -> None:
    """The group's offset may be behind the position: what the process dies of is the first record beyond it."""
    work = story((FIRST, "09:01"), (SECOND, "09:02")).run()
    work.marks.clear()
    assert not asyncio.run(work.aside.before_first(0, 1, work.log[1][1]))
    assert work.marks == []


def test_a_record_that_kills_while_it_is_read_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    work = story((FIRST, "09:01"), (SECOND, "09:02"))
    work.log.insert(1, (None, b"KILLS"))

    whole = record_from_bytes

    def reading(raw: bytes) -> LogRecord:
        if raw == b"KILLS":
            raise KilledError
        return whole(raw)

    monkeypatch.setattr("streams.live.setting_aside.record_from_bytes", reading)
    monkeypatch.setattr("tests.live.test_setting_aside.record_from_bytes", reading)
    work.log += [(None, record(THIRD, "09:10", 20))]
    work.run_killed()
    assert work.told("WO2") == [("fee-5-minutes", "breach")]
    assert work.deaths == 3  # the first one was not written down


def test_what_is_too_large_for_a_topic_says_what_to_do_before_it_is_brought_back() -> None:
    """A worker knows the limit of its start: brought back without a restart it failed again, with the same words."""
    (spec,) = [one for one in topics_of(load_settings(bootstrap="x:1")) if one.name == "gridclock.alerts"]
    limit = message_limits([spec], {spec.name: {"max.message.bytes": "900"}})[spec.name]
    said = str(TooLargeError("an alert", 1_348, spec.name, limit))
    assert said.endswith("gridclock.alerts takes 0 (max.message.bytes): raise that and restart the workers")
