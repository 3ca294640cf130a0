"""Records become the same entries of the log natively as by Python, or Python makes them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from datetime import date
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.instants import instant_us
from streams.core.rulebook import Rulebook
from streams.engine import native_module
from streams.engine.clocks import FAILED, NativeClocks, PlainRecord
from streams.errors import InputError
from streams.live.routing import Placed, Router
from streams.simulation import simulate
from streams.wire.decoder import MAX_BYTES, Decoder, encode_json
from tests.engine.equality import GOLDEN
from tests.engine.mutation import SEEDS, mutated
from tests.live.test_intake import taken
from tests.property.shipped import END, rulebook_of
from tests.stories import shipped

pytestmark = pytest.mark.skipif(native_module() is None, reason="the native engine is not built: cargo is not here")

LATEST = instant_us(END) + 400 * 86_400_000_000
ORIGIN = "in/3/17"
PARTITIONS = 8


@cache
def native(rulebook: Rulebook) -> NativeClocks:
    module = native_module()
    assert module is not None
    return NativeClocks(module, rulebook, shipped().catalogue)


@cache
def router(rulebook: Rulebook) -> Router:
    return Router(rulebook, PARTITIONS, native(rulebook))


@cache
def decoder() -> Decoder:
    return Decoder(shipped().catalogue)


def by_python(raw: bytes, rulebook: Rulebook, latest: int = LATEST) -> tuple[str, Placed] | None:
    """The type of the event and its entries; ``None`` where it is refused."""
    try:
        event = decoder().decode(raw, received=latest, max_ahead=0)
        return event.type, sorted(router(rulebook).entries_of(event, ORIGIN), key=lambda placed: placed[0])
    except InputError:
        return None


def assert_same(raw: bytes, rulebook: Rulebook | None = None, latest: int = LATEST) -> bool:
    """Whether they were made natively."""
    rulebook = rulebook or shipped().rulebook
    found = natively(raw, rulebook, latest)
    if found is None:
        return False
    assert found == by_python(raw, rulebook, latest), raw
    return True


def natively(raw: bytes, rulebook: Rulebook, latest: int = LATEST) -> tuple[str, Placed] | None:
    """The type of the event and its entries; ``None`` where Python must make them."""
    entries: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    source, _, offset = ORIGIN.rpartition("/")
    found = router(rulebook).route([(int(offset), raw, latest)], 0, source, entries)
    if found is None:
        assert not any(entries)
        return None
    ((event_type, count),) = found.counts
    placed = [(partition, entry) for partition, own in enumerate(entries) for entry in own]
    assert (found.end, count, found.unwatched) == (1, 1, int(not placed))
    return event_type, placed


@cache
def simulated() -> Sequence[bytes]:
    found = simulate(orders=300, seed=5, start=date(2026, 2, 9), days=20)
    return [encode_json(event) for event in found.events]


def test_simulated_orders() -> None:
    made = [assert_same(raw) for raw in simulated()]
    assert sum(made) > 0.99 * len(made) > 1000


@pytest.mark.parametrize("path", GOLDEN, ids=[path.parent.name for path in GOLDEN])
def test_golden_stories(path: Any) -> None:
    for raw in path.read_bytes().splitlines():
        assert_same(raw)


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_bytes(seed: int) -> None:
    chance = random.Random(seed)
    made = [assert_same(mutated(raw, chance)) for raw in simulated()[seed % 2 :: 2]]
    assert 0.4 * len(made) < sum(made) < len(made)


TEXTS = ('"A-1"', '"甲站"', '"a b"', '"\\u7532"', '"\\\\"', '" "', '""', '"é"', '"\x7f"', f'"{"x" * 201}"')
NUMBERS = (
    "0", "-0", "7", "31", "32", "-1", "1.50", "0.000001", "0.0000001", "0.0000000", "-0.0", "1e3", "1E-7", "01",
    "9223372036854775807", "9223372036854775808", "123456789012345678", "100.0000000", "12345678901234567890.5",
)  # fmt: skip
TIMES = (
    '"2026-03-02T09:00:00.000+08:00"', '"2026-03-02T01:00:00Z"', '"2026-03-02T09:00:00.000001+08:00"',
    '"2026-03-02"', '"2999-01-01T00:00:00Z"', '"2026-03-02T09:00"',
)  # fmt: skip
OTHERS = (
    "null", "true", "false", "[]", '["M1"]', '[ "M1" , "M2","M1" ]', "{}", '{"city":"HZ"}',
    '{ "city" : "H Z" ,"county":"XH"}', '{"city":"HZ","city":"NB"}', '{"city":null}', '{"town":"X"}',
)  # fmt: skip
VALUES: Final[tuple[str, ...]] = (*TEXTS, *NUMBERS, *TIMES, *OTHERS)
COMMON: Final[dict[str, tuple[str, ...]]] = {
    "event_id": ('"e1"', '"事件"', *VALUES),
    "occurred_at": (*TIMES[:3], *VALUES),
    "recorded_at": (*TIMES[:3], "null"),
    "order_id": (*TEXTS[:3], "null", "7"),
    "account_id": (*TEXTS[:3], "null"),
    "meter_id": (*TEXTS[:3], "null"),
    "batch_id": (*TEXTS[:3], "null"),
    "corrects": ('"e0"', '"e1"', "null"),
    "void": ("true", "false", "null"),
    "version": ("null", "[1]", "[]"),
    "snapshot": ("true", "false", "null"),
    "personal": ("null", '{"name":"王"}', '{"name":7}'),
    "org": OTHERS,
    "specversion": ('"1.0"',),
    "note": VALUES,
}
NEEDED = {"event_id": '"e1"', "occurred_at": TIMES[0], "order_id": '"WO1"'}


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """Objects in JSON with the fields of one type, in any order, some of them twice."""
    name = draw(st.sampled_from(sorted(shipped().catalogue.types)))
    own = [field for field in shipped().catalogue.models[name].model_fields if field not in COMMON]
    some = draw(st.lists(st.sampled_from((*own, *COMMON)), max_size=6))
    values: Mapping[str, Sequence[str]] = dict.fromkeys(own, VALUES) | COMMON
    members = [(field, draw(st.sampled_from(values[field]))) for field in some]
    members += [(field, value) for field, value in NEEDED.items() if field not in some]
    members.append(("event_type", json.dumps(name)))
    blank = draw(st.sampled_from(("", "", " ", "\n\t ")))
    inside = f"{blank},{blank}".join(
        f'"{field}"{blank}:{blank}{value}' for field, value in draw(st.permutations(members))
    )
    return f"{blank}{{{blank}{inside}{blank}}}{blank}".encode()


@given(raw=records())
def test_any_object(raw: bytes) -> None:
    assert_same(raw)


def test_each_field_with_each_value() -> None:
    """One at a time, so that nothing else leaves the record to Python."""
    made = 0
    for name in shipped().catalogue.types:
        fields = shipped().catalogue.models[name].model_fields
        own: dict[str, tuple[str, ...]] = {field: VALUES for field in fields if field not in COMMON}
        for field, values in (own | COMMON).items():
            for value in values:
                members = {**NEEDED, "event_type": json.dumps(name), field: value}
                whole = ",".join(f'"{member}":{one}' for member, one in members.items())
                made += assert_same(f"{{{whole}}}".encode())
    assert made > 10_000


def test_an_event_of_the_future_is_refused_by_python() -> None:
    raw = simulated()[0]
    at = decoder().decode(raw, received=LATEST).recorded
    assert assert_same(raw, latest=at)
    assert not assert_same(raw, latest=at - 1)


def test_what_is_too_large_is_left_to_python() -> None:
    assert not assert_same(simulated()[0][:-1] + b',"note":"%s"}' % (b"x" * MAX_BYTES))


def test_an_event_that_no_rule_watches_has_no_entry() -> None:
    made = [assert_same(raw, rulebook_of("repair-urban-45-minutes")) for raw in simulated()]
    assert all(made)


def test_a_correction_concerns_every_subject_that_it_names() -> None:
    raw = (
        b'{"event_id":"c","event_type":"repair.arrived","occurred_at":"2026-03-02T09:00:00+08:00",'
        b'"order_id":"WO1","account_id":"A","meter_id":"M","batch_id":"B","corrects":"e"}'
    )
    assert assert_same(raw)
    found = natively(raw, shipped().rulebook)
    assert found is not None
    assert len(found[1]) == 4


def test_records_are_routed_together_up_to_one_that_python_must_decode() -> None:
    """Whichever is the first, with the entries in the order of the records."""
    raws = [*simulated()[:60], b"not JSON", *simulated()[60:90]]
    records = [(number, raw, None if number == 20 else LATEST) for number, raw in enumerate(raws)]

    def taken_by_python(number: int, entries: list[list[bytes]]) -> str | None:
        with suppress(InputError):
            event = decoder().decode(raws[number], received=LATEST, max_ahead=0)
            for partition, entry in router(shipped().rulebook).entries_of(event, f"in/3/{number}"):
                entries[partition].append(entry)
            return event.type
        return None

    expected: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    types = [taken_by_python(number, expected) for number in range(len(raws))]
    entries: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    left, place, counts = [], 0, Counter[str]()
    while place < len(records):
        found = router(shipped().rulebook).route(records, place, "in/3", entries)
        if found is None:
            left.append(place)
            taken_by_python(place, entries)
            place += 1
        else:
            assert found.end > place
            place = found.end
            counts.update(dict(found.counts))
    assert {20, 60} <= set(left)
    assert left == [place for place, raw in enumerate(raws) if place == 20 or natively(raw, shipped().rulebook) is None]
    assert entries == expected
    assert counts == Counter(found for place, found in enumerate(types) if found and place not in left)


def test_a_failure_is_counted_and_python_routes(caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def route(self, *_given: Any) -> None:
            raise RuntimeError("panic")

    failing = copy(native(shipped().rulebook))
    failing._inner, failing.fallbacks = Failing(), Counter()
    for _ in range(2):
        record: PlainRecord = 17, simulated()[0], LATEST
        assert Router(shipped().rulebook, 4, failing).route([record], 0, "in/3", [[], [], [], []]) is None
    assert failing.fallbacks == {FAILED: 2}
    assert len(caplog.records) == 1


PLAIN = {
    "event_id": "e1", "event_type": "repair.reported", "occurred_at": "2026-03-02T09:00:00+08:00", "order_id": "W1",
}  # fmt: skip


@pytest.mark.parametrize(
    "event",
    [
        PLAIN,
        {**PLAIN, "event_type": "bill.issued"},
        {**PLAIN, "occurred_at": "2026-03-02T09:00"},
        {**PLAIN, "snapshot": True},
        {"specversion": "1.0", "id": "e1", "data": PLAIN},
        None,
    ],
)
def test_an_intake_counts_and_refuses_alike(event: dict[str, Any] | None) -> None:
    entries, letters, counts = taken(event, native=native(shipped().rulebook))
    expected, as_expected, counted = taken(event)
    assert entries == expected
    assert [{**letter, "refused_at": None} for letter in letters] == [
        {**letter, "refused_at": None} for letter in as_expected
    ]
    assert vars(counts) == vars(counted)
