"""When a record came in: the earlier of its producer's timestamp and the brokers' clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import InputError
from streams.wire.records import CLOCKS_AGREE, arrival_of, stamp_of, stamps_of

PRODUCER, BROKER, NEITHER = 0, 1, None
NOW = 1_772_413_200_000_000
HOUR = 3_600_000_000
MS = 1_000


@dataclass(frozen=True)
class Record:
    timestamp: int | None
    timestamp_type: int | None
    value: bytes | None = None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    offset: int = 0


BOUNDS = NOW, NOW + CLOCKS_AGREE, NOW + HOUR, 946_684_800_000_000
STAMPS = st.builds(lambda bound, more: bound // MS + more, st.sampled_from(BOUNDS), st.integers(-5, 5))
KINDS = st.sampled_from((PRODUCER, BROKER))


@pytest.mark.parametrize(
    ("stamp", "kind", "came_in"),
    [
        (NOW, PRODUCER, NOW),
        (NOW - 10 * 365 * 24 * HOUR, PRODUCER, NOW - 10 * 365 * 24 * HOUR),  # a topic of ten years
        (946_684_800_000_000, PRODUCER, 946_684_800_000_000),  # 2000 exactly
        (NOW + CLOCKS_AGREE, PRODUCER, NOW + CLOCKS_AGREE),  # as the brokers' clock was heard some time ago
        (NOW + CLOCKS_AGREE + MS, PRODUCER, NOW + CLOCKS_AGREE),
        (NOW + HOUR, PRODUCER, NOW + CLOCKS_AGREE),  # an hour ahead must not let in an event that is two ahead
        (None, NEITHER, NOW),  # of before Kafka 0.10
        (-MS, PRODUCER, NOW),  # -1 ms: the producer gave none
        (NOW - HOUR, BROKER, NOW - HOUR),
        (NOW + 9 * HOUR, BROKER, NOW + CLOCKS_AGREE),  # brokers that disagree are no fault of the producer
        (7 * MS, BROKER, NOW),
    ],
)
def test_a_record_came_in_at_the_earlier_of_its_stamp_and_the_brokers_clock(
    stamp: int | None, kind: int | None, came_in: int
) -> None:
    assert arrival_of(Record(None if stamp is None else stamp // MS, kind), NOW, HOUR) == came_in


@pytest.mark.parametrize("stamp", [0, 7, 946_684_799_999, -2, (NOW + HOUR) // MS + 1, 2**62, -(2**62)])
def test_a_producer_with_an_impossible_clock_is_named_as_the_cause(stamp: int) -> None:
    with pytest.raises(InputError) as refused:
        arrival_of(Record(stamp, PRODUCER), NOW, HOUR)
    assert (refused.value.reason, refused.value.field) == ("impossible_timestamp", None)
    assert refused.value.detail == (
        f"the record's Kafka timestamp is {stamp} ms since 1970, and the time is 2026-03-02T01:00:00.000+00:00: "
        "set the clock of its producer"
    )


def test_without_any_tolerance_clocks_that_agree_are_right() -> None:
    assert arrival_of(Record((NOW + CLOCKS_AGREE) // MS, PRODUCER), NOW, 0) == NOW + CLOCKS_AGREE
    with pytest.raises(InputError, match="impossible_timestamp"):
        arrival_of(Record((NOW + CLOCKS_AGREE) // MS + 1, PRODUCER), NOW, 0)


@given(st.lists(st.tuples(st.none() | st.integers(-1, 2**62) | STAMPS, KINDS)), st.integers(0, HOUR))
def test_many_stamps_are_those_of_each_record(stamps: list[tuple[int | None, int]], max_ahead: int) -> None:
    records = [Record(*stamp) for stamp in stamps]

    def stamp(record: Record) -> int | None:
        try:
            return stamp_of(record, NOW, max_ahead)
        except InputError:
            return None

    assert stamps_of(records, NOW, max_ahead) == list(map(stamp, records))
