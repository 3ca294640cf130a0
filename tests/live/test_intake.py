"""How far a partition has been read, what a record gives, and what was lost before it was read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from streams.core.engine import Engine
from streams.engine.clocks import NativeClocks
from streams.errors import InputError, RegistryAwayError
from streams.live.intake import Intake, IntakeClients, time_of
from streams.live.routing import Router
from streams.live.trusted_clock import TrustedClock
from streams.rulebooks.mapping_files import load_mapping
from streams.settings import load_settings
from streams.wall_clock import WallClock
from streams.wire.decoder import Decoder
from streams.wire.envelopes import rows_of
from streams.wire.records import RecordDecoder, stamps_of
from streams.wire.state_rows import LogRecord, record_from_bytes, record_to_bytes
from tests.stories import shipped, us

BROKER, SENDER = 1, 0
NOW = 1_772_413_200_000  # ms, 2026
HOURS = 3_600_000_000


@dataclass(frozen=True)
class Record:
    timestamp: int
    timestamp_type: int
    partition: int = 0
    offset: int = 0


@pytest.mark.parametrize(
    ("stamps", "kind", "found"),
    [
        ([NOW - 9, NOW - 8, NOW - 7], BROKER, NOW - 7),
        ([NOW - 9, NOW - 8, 7], BROKER, None),  # a broker that began with its clock at 1970
        ([NOW - 9], SENDER, NOW - 9),
        ([NOW - 9, NOW - 8], SENDER, NOW - 9),
        ([NOW - 9, NOW - 8, NOW - 7], SENDER, NOW - 8),
        ([NOW - 9, NOW + 3_600_000, NOW - 7], SENDER, NOW - 7),  # one clock is ahead, not impossibly
        ([NOW - 9, NOW + 9_999_999, NOW - 7], SENDER, NOW - 9),  # one is impossible, and has no part in it
        ([NOW - 9, NOW - 8, 0], SENDER, NOW - 9),  # one is at the epoch
        ([NOW - 9, NOW - 8, -1], SENDER, NOW - 9),  # one gave none
        ([NOW + 9_999_999], SENDER, None),
        ([7, -1], SENDER, None),
    ],
)
def test_no_single_senders_clock_moves_time(stamps: list[int], kind: int, found: int | None) -> None:
    records: list[Any] = [Record(stamp, kind) for stamp in stamps]
    assert time_of(records, stamps_of(records, NOW * 1000, HOURS)) == (None if found is None else found * 1000)


class Counts:
    """What the intake counts, as lists."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.letters: list[str] = []
        self.passed: list[str] = []

    def event_in(self, event_type: str, count: int) -> None:
        self.events += [event_type] * count

    def dead_letter(self, reason: str) -> None:
        self.letters.append(reason)

    def unwatched(self, count: int) -> None:
        pass

    def passed_over(self, topic: str) -> None:
        self.passed.append(topic)

    def records_lost(self, source: str, count: int) -> None:
        pass

    def transaction_open(self, source: str, seconds: float | None) -> None:
        pass


def taken(
    event: dict[str, Any] | None, mapping: Path | None = None, native: NativeClocks | None = None
) -> tuple[list[list[bytes]], list[dict[str, Any]], Counts]:
    """The entries of one record for four partitions, its dead letters, and what was counted."""
    loaded, counts = shipped(), Counts()
    unused: Any = None
    mappings = {} if mapping is None else {"in": load_mapping(mapping, loaded.catalogue).rows}
    decoder = RecordDecoder(Decoder(loaded.catalogue), mappings)
    intake = Intake(
        load_settings(name="t", max_ahead_s=10**9), Router(loaded.rulebook, 4, native), decoder,
        IntakeClients(*[unused] * 6), time=TrustedClock(WallClock()), metrics=counts,
    )  # fmt: skip
    entries: list[list[bytes]] = [[] for _ in range(4)]
    letters: list[tuple[bytes, bytes]] = []
    value = None if event is None else json.dumps(event).encode()
    record = ConsumerRecord("in", 0, 7, 1_772_413_200_000, 0, None, value, None, 0, 0, ())
    intake._take(TopicPartition("in", 0), record, entries, letters)
    return entries, [json.loads(value) for _, value in letters], counts


class Clients:
    """What every stand-in for the intake's clients does alike."""

    async def ask(self) -> None:
        pass

    @contextmanager
    def on(self, _what: str) -> Iterator[None]:
        yield

    def confirmed(self) -> asyncio.Future[Record]:
        done: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        done.set_result(Record(0, SENDER))
        return done


class Broker(Clients):
    """One partition of a source as the intake's clients show it; what is written to the log and committed is kept."""

    def __init__(self, *, begin: int, position: int, end: int, committed: int) -> None:
        self.begin, self.at, self.end = begin, position, end
        self.known = {"in": 1}
        self.logged: list[LogRecord] = []
        self.commits: list[int] = []
        self._committed = committed
        self.is_away = False

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("in", 0)}

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.end)

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self.is_away:
            raise KafkaError("away")
        return dict.fromkeys(partitions, self.begin)

    async def position(self, _tp: TopicPartition) -> int:
        return self.at

    def last_stable_offset(self, _tp: TopicPartition) -> int:
        return self.end

    highwater = last_stable_offset

    async def commit(self, offsets: dict[TopicPartition, tuple[int, str]]) -> None:
        self.commits += [offset for offset, _ in offsets.values()]

    async def group_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        return dict.fromkeys(partitions, OffsetAndMetadata(self._committed, ""))

    async def send(self, topic: str, value: bytes, **_options: Any) -> asyncio.Future[Record]:
        if topic == "t.log":
            self.logged.append(record_from_bytes(value))
        return self.confirmed()


def steps(broker: Any, *batches: list[int]) -> list[int | None]:
    """What the log says after each batch, of records with these offsets, about when lost records had come in."""
    clients = IntakeClients(broker, broker, broker, broker, broker, broker.group_offsets)
    loaded = shipped()
    intake = Intake(
        load_settings(name="t", sources=("in",)), Router(loaded.rulebook, 1), RecordDecoder(Decoder(loaded.catalogue)),
        clients, time=TrustedClock(WallClock()), metrics=Counts(),
    )  # fmt: skip
    found: list[int | None] = []

    async def run() -> None:
        await intake._write([()], {}, ())
        for offsets in batches:
            records = [ConsumerRecord("in", 0, at, NOW + at, 0, None, b"", None, 0, 0, ()) for at in offsets]
            if records:
                broker.at = offsets[-1] + 1
            await intake._take_up({TopicPartition("in", 0): records} if records else {})
            found.append(broker.logged[-1].lost_before)

    asyncio.run(run())
    return found


def test_what_was_lost_had_come_in_before_the_next_record_that_is_read() -> None:
    came_in = (NOW + 30) * 1000
    # the gap is seen with the batch behind it
    assert steps(Broker(begin=30, position=10, end=99, committed=10), [30], [31]) == [came_in, None]
    # or by the position, before anything behind it has been read; what is read next says when
    assert steps(Broker(begin=30, position=30, end=99, committed=10), [], [30], [31]) == [None, came_in, None]
    # a marker is no loss, and what was never committed is none
    assert steps(Broker(begin=5, position=10, end=99, committed=10), [30]) == [None]
    assert steps(Broker(begin=30, position=30, end=99, committed=-1), [30]) == [None]


def test_where_nothing_is_left_what_was_lost_had_come_in_before_now() -> None:
    broker = Broker(begin=30, position=30, end=30, committed=10)
    before = WallClock().now()
    (found,) = steps(broker, [])
    assert found is not None
    assert before <= found <= WallClock().now()
    assert broker.commits == [30]


def test_time_waits_until_it_is_known_whether_something_was_lost() -> None:
    broker = Broker(begin=30, position=30, end=30, committed=10)
    broker.is_away = True
    steps(broker, [])
    assert (len(broker.logged), broker.commits) == (1, []), "only the first, empty one"


NOTICE = {
    "event_id": "n",
    "event_type": "meter.batch_notice_posted",
    "occurred_at": "2026-03-01T09:00:00+08:00",
    "batch_id": "B",
}


def test_a_notice_of_20_000_meters_is_routed_without_what_no_type_declares() -> None:
    meters = [f"{number:x}" for number in range(20_000)]
    entries, letters, counts = taken({**NOTICE, "meters": meters, "note": "x" * 100_000})
    assert sum(map(len, entries)) == 20_001
    assert sum(len(entry) for own in entries for entry in own) < 5_000_000
    assert (letters, counts.events) == ([], ["meter.batch_notice_posted"])


def test_more_bytes_than_a_record_may_fan_out_to_are_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.live.routing.MAX_FAN_OUT", 100_000)
    few, _, _ = taken({**NOTICE, "meters": ["a", "b"]})
    assert sum(map(len, few)) == 3
    entries, letters, counts = taken({**NOTICE, "meters": [str(number) for number in range(2_000)]})
    assert entries == [[], [], [], []]
    assert [(letter["reason"], letter["position"]) for letter in letters] == [("too_large", 7)]
    assert "2001 subjects" in letters[0]["detail"]
    assert (counts.events, counts.letters) == ([], ["too_large"])


# --- topics with a mapping ------------------------------------------------------------------------------------------

DEBEZIUM = """format: debezium
time: {formats: [iso, epoch_us], zone: Asia/Shanghai}
key: [order_no]
events:
  - {event_type: repair.reported, occurred_at: reported_at}
  - {event_type: repair.arrived, occurred_at: arrived_at, when: {column: arrived_at, present: true}}
fields: {order_id: order_no}
constants: {area: urban}
"""
WALL = 1_772_442_000_000_000  # 2026-03-02 09:00 on the wall, counted as if it were UTC


@pytest.fixture
def changes(tmp_path: Path) -> Path:
    path = tmp_path / "changes.yaml"
    path.write_text(DEBEZIUM, "utf-8")
    return path


def change(op: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
    return {"op": op, "before": before, "after": after, "source": {"lsn": 77, "ts_ms": 1_772_413_200_000}}


def logged(entries: list[list[bytes]]) -> list[tuple[str, str, int, bool, tuple[int, ...] | None]]:
    record = record_from_bytes(record_to_bytes([entry for own in entries for entry in own], {}, {}))
    return [(number, event.event_id, event.at, event.void, event.version) for (_, number), event, _ in record.entries]


NINE = 1_772_413_200_000_000
ROW = {"order_no": "BX1", "reported_at": WALL, "arrived_at": WALL + 60_000_000}


def test_a_row_of_a_database_is_its_events_with_the_version_of_the_change(changes: Path) -> None:
    entries, letters, counts = taken(change("u", None, ROW), changes)
    assert logged(entries) == [
        ("BX1", "BX1/repair.reported", NINE, False, (77,)),
        ("BX1", "BX1/repair.arrived", NINE + 60_000_000, False, (77,)),
    ]
    assert (letters, counts.events) == ([], ["repair.reported", "repair.arrived"])


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_column_that_is_empty_again_takes_its_event_back(changes: Path, wrapped: bool) -> None:
    record = change("u", ROW, {**ROW, "arrived_at": None})
    entries, letters, _ = taken({"schema": None, "payload": record} if wrapped else record, changes)
    assert logged(entries) == [
        ("BX1", "BX1/repair.reported", NINE, False, (77,)),
        ("BX1", "BX1/repair.arrived", NINE, True, (77,)),
    ]
    assert letters == []


@pytest.mark.parametrize("op", ["u", "r"])
def test_changes_of_a_database_count_in_its_order_whatever_their_entry_times(changes: Path, op: str) -> None:
    text = changes.read_text("utf-8").replace("arrived_at, when", "arrived_at, recorded_at: entered_at, when")
    changes.write_text(text, "utf-8")
    entered = {**ROW, "entered_at": WALL + 120_000_000}
    for after, void in (
        (entered, False),
        ({**entered, "entered_at": WALL + 90_000_000}, False),  # the entry time was wrong
        ({**entered, "entered_at": None, "arrived_at": None}, True),
    ):
        entries, letters, _ = taken(change(op, ROW, after), changes)
        assert [(void, version) for _, name, _, void, version in logged(entries) if "arrived" in name] == [
            (void, (77,))
        ]
        assert letters == []


def test_a_row_that_moves_to_another_order_leaves_the_first(changes: Path) -> None:
    mapping = changes.read_text("utf-8").replace("key: [order_no]", "key: [id]")
    changes.write_text(mapping, "utf-8")
    entries, _, _ = taken(change("u", {**ROW, "id": 5}, {**ROW, "id": 5, "order_no": "BX2"}), changes)
    assert sorted(logged(entries)) == [
        ("BX1", "5/repair.arrived", NINE, True, (77,)),
        ("BX1", "5/repair.reported", NINE, True, (77,)),
        ("BX2", "5/repair.arrived", NINE + 60_000_000, False, (77,)),
        ("BX2", "5/repair.reported", NINE, False, (77,)),
    ]


def test_a_delete_takes_all_back(changes: Path) -> None:
    entries, letters, _ = taken(change("d", ROW, None), changes)
    assert [(number, name, void) for number, name, _, void, _ in logged(entries)] == [
        ("BX1", "BX1/repair.reported", True),
        ("BX1", "BX1/repair.arrived", True),
    ]
    assert letters == []


def test_a_delete_that_names_no_subject_is_a_dead_letter_that_says_what_to_do(changes: Path) -> None:
    changes.write_text(DEBEZIUM.replace("key: [order_no]", "key: [id]"), "utf-8")
    entries, letters, _ = taken(change("d", {"id": 5, "order_no": None}, None), changes)
    assert not any(entries)
    assert "REPLICA IDENTITY FULL" in letters[0]["detail"]


def test_a_tombstone_is_no_dead_letter(changes: Path) -> None:
    entries, letters, counts = taken(None, changes)
    assert (any(entries), letters, counts.passed) == (False, [], ["in"])


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        ({"a": 1}, "is JSON, but no Debezium envelope: it has no op with before or after"),
        (change("c", None, {**ROW, "reported_at": 1}), "column 'reported_at' has '1': as epoch_us gives the year 1970"),
        (change("c", None, {**ROW, "reported_at": None}), "column 'reported_at' is empty"),
    ],
)
def test_what_cannot_be_taken_keeps_its_record(changes: Path, record: dict[str, Any], detail: str) -> None:
    _, letters, _ = taken(record, changes)
    assert letters[0]["detail"].startswith(detail)
    assert json.loads(letters[0]["payload"]) == record
    assert (letters[0]["source"], letters[0]["position"]) == ("in/0", 7)


def test_a_row_of_a_snapshot_is_never_too_old(changes: Path) -> None:
    entries, _, _ = taken(change("r", None, ROW), changes)
    record = record_from_bytes(record_to_bytes([entry for own in entries for entry in own], {}, {}))
    year = 366 * 86_400_000_000
    for is_snapshot, notice in ((True, "late"), (False, "too_old")):
        engine = Engine(shipped().rulebook, keep_for=year // 4)
        engine.advance_to(NINE + year)
        for subject, event, _ in record.entries[:1]:
            assert (event.snapshot, event.recorded) == (True, event.at)
            assert engine.handle(subject, replace(event, snapshot=is_snapshot)) == notice


HEADERS = [("ce_specversion", b"1.0"), ("ce_id", b"e7"), ("ce_type", b"cn.example.reported"),
           ("ce_time", b"2026-03-02T09:00:00+08:00")]  # fmt: skip


def test_a_cloud_event_in_binary_mode_has_its_attributes_in_headers() -> None:
    raw = json.dumps({"data": {"order": {"no": "BX1"}}, "area": "urban"}).encode()
    found = rows_of("json", raw, HEADERS)
    assert isinstance(found, list)
    assert found[0].after == {
        "ce_specversion": "1.0", "ce_id": "e7", "ce_type": "cn.example.reported",
        "ce_time": "2026-03-02T09:00:00+08:00", "data.order.no": "BX1", "area": "urban",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\0\0\0\0\x2arest", "begins as with a schema registry (magic byte 0, schema id 42), not JSON"),
        (b"Obj\x01", "is an Avro container, not JSON"),
        (b"<a/>", "is XML, not JSON"),
        (b"\x0a\x03abc", "is not JSON (it begins with"),
    ],
)
def test_what_is_no_json_says_how_it_is_framed(raw: bytes, said: str) -> None:
    with pytest.raises(InputError, match="not_json") as error:
        rows_of("json", raw, ())
    assert error.value.detail.startswith(said)


def at_wall(microseconds: int) -> datetime:
    return datetime(2026, 3, 2, 9, 0, 0, microseconds, tzinfo=UTC).replace(tzinfo=None)


LOGICAL = [
    ("io.debezium.time.Timestamp", {}, 1_772_442_000_123, at_wall(123_000)),
    ("io.debezium.time.MicroTimestamp", {}, 1_772_442_000_000_001, at_wall(1)),
    ("io.debezium.time.NanoTimestamp", {}, 1_772_442_000_000_001_000, at_wall(1)),
    ("org.apache.kafka.connect.data.Timestamp", {}, 1_772_442_000_000, at_wall(0)),
    ("io.debezium.time.ZonedTimestamp", {}, "2026-03-02T01:00:00Z", "2026-03-02T01:00:00Z"),
    ("io.debezium.time.Date", {}, 20_514, date(2026, 3, 2)),
    ("io.debezium.time.IsoTimestamp", {}, "2026-03-02T09:00:00.000123Z", at_wall(123)),
    ("io.debezium.time.IsoTimestamp", {}, "tomorrow", "tomorrow"),
    ("io.debezium.time.IsoDate", {}, "2026-03-02Z", date(2026, 3, 2)),
    ("org.apache.kafka.connect.data.Decimal", {"scale": "2"}, "AMk=", Decimal("2.01")),
    ("io.debezium.data.VariableScaleDecimal", {}, {"scale": 1, "value": "/w=="}, Decimal("-0.1")),
]


@pytest.mark.parametrize(("name", "parameters", "value", "found"), LOGICAL)
def test_logical_types_are_read_by_their_schema(name: str, parameters: Any, value: Any, found: Any) -> None:
    column = {"field": "x", "name": name, "parameters": parameters, "type": "int64"}
    schema = {"fields": [{"field": "after", "fields": [column]}]}
    raw = json.dumps({"schema": schema, "payload": change("c", None, {"x": value})}).encode()
    changes_found = rows_of("debezium", raw, ())
    assert isinstance(changes_found, list)
    assert changes_found[0].after == {"x": found}
    assert changes_found[0].version == (77,)


class Reading:
    """The calls of a consumer that a wait for a schema registry makes, in order."""

    def __init__(self, *assigned: TopicPartition) -> None:
        self.assigned = set(assigned)
        self.calls: list[tuple[str, TopicPartition, int | None]] = []

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.calls.append(("seek", tp, offset))

    def pause(self, tp: TopicPartition) -> None:
        self.calls.append(("pause", tp, None))

    def resume(self, tp: TopicPartition) -> None:
        self.calls.append(("resume", tp, None))


class Away(RecordDecoder):
    """Lacks what records with a value of ``b"?"`` need, for as long as ``is_away``."""

    is_away = True

    def has_schemas(self, topic: str) -> bool:
        return True

    def is_ready(self, topic: str, record: Any) -> bool:
        return bool(record.value != b"?")

    def prepare(self, topic: str, record: Any) -> None:
        if self.is_away:
            raise RegistryAwayError("no answer")


def test_a_partition_waits_at_the_first_record_whose_schema_cannot_be_had_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("streams.live.intake.monotonic", lambda: now)
    first, other, only = (TopicPartition("in", number) for number in range(3))
    unused: Any = None
    decoder = Away(Decoder(shipped().catalogue))
    intake = Intake(
        load_settings(name="t"), Router(shipped().rulebook, 4), decoder,
        IntakeClients(reading := Reading(first, other, only), *[unused] * (len(fields(IntakeClients)) - 1)),
        time=TrustedClock(WallClock()), metrics=unused,
    )  # fmt: skip

    def records(*values: bytes) -> list[ConsumerRecord]:
        return [ConsumerRecord("in", 0, 10 + n, 0, 0, None, value, None, 0, 0, ()) for n, value in enumerate(values)]

    batches = {first: records(b"a", b"b", b"?", b"c"), other: records(b"d"), only: records(b"?")}
    ready = asyncio.run(intake._ready(batches))
    assert {tp: [one.value for one in found] for tp, found in ready.items()} == {first: [b"a", b"b"], other: [b"d"]}
    assert reading.calls == [("seek", first, 12), ("pause", first, None), ("seek", only, 10), ("pause", only, None)]
    reading.calls.clear()
    intake._resume()
    assert reading.calls == []
    now, reading.assigned = 101.0, {first, other}
    intake._resume()
    assert reading.calls == [("resume", first, None)], "the other one has gone to another worker"
    decoder.is_away = False
    assert asyncio.run(intake._ready({first: records(b"?", b"c")})) == {first: records(b"?", b"c")}


def test_the_log_names_the_subjects_of_records_that_became_dead_letters() -> None:
    """With the instant of what they say, or that of their arrival where it cannot be read."""
    broker: Any = Broker(begin=0, position=0, end=99, committed=0)
    loaded = shipped()
    intake = Intake(
        load_settings(name="t", sources=("in",)), Router(loaded.rulebook, 1),
        RecordDecoder(Decoder(loaded.catalogue, hide_number=lambda kind, number: f"{kind}~{number}")),
        IntakeClients(broker, broker, broker, broker, broker, broker.group_offsets),
        time=TrustedClock(WallClock()), metrics=Counts(),
    )  # fmt: skip
    good = {"event_id": "e", "event_type": "counter.service_started", "order_id": "WO1", "business": "fee"}
    values = [
        {**good, "occurred_at": "2026-03-02T09:00:00+08:00", "business": 7},
        {**good, "account_id": "A1", "order_id": 7, "occurred_at": "yesterday"},
        {**good, "event_type": "no.such_thing", "occurred_at": "2999-03-02T09:00:00+08:00"},
        {**good, "order_id": "WO2", "occurred_at": "2026-03-02T09:00:00+08:00"},
        "no object",
    ]
    records = [
        ConsumerRecord("in", 0, at, NOW, 0, None, json.dumps(value).encode(), None, 0, 0, ())
        for at, value in enumerate(values)
    ]
    broker.at = len(values)

    async def run() -> None:
        await intake._write([()], {}, ())
        await intake._take_up({TopicPartition("in", 0): records})
        await intake._take_up({})

    asyncio.run(run())
    came = NOW * 1000
    found = [list(one.refused) for one in broker.logged if one.refused]
    assert found == [
        [(("order", "WO1"), us("2026-03-02T09:00")), (("account", "account~A1"), came), (("order", "WO1"), came)]
    ]
