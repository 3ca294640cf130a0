"""A record that the program fails at is set aside with its bytes and the reason; all others go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from streams.core.event import Event
from streams.errors import InputError
from streams.live.intake import Intake, IntakeClients
from streams.live.quarantine import cause_of
from streams.live.routing import Router
from streams.live.trusted_clock import TrustedClock
from streams.settings import load_settings
from streams.wall_clock import WallClock
from streams.wire.decoder import Decoder
from streams.wire.mapping import Skipped
from streams.wire.records import KafkaRecord, RecordDecoder
from streams.wire.state_rows import entry_to_bytes as whole_entry
from streams.wire.state_rows import record_from_bytes, record_to_bytes
from tests.live.test_intake import Counts
from tests.stories import shipped, wire

POISON = "POISON"
STORY = """
e1 2026-03-02T09:00 counter.service_started WO1 business=fee
e2 2026-03-02T09:00 counter.service_started POISON business=fee
e3 2026-03-02T09:01 counter.service_completed WO1
"""


class FaultyDecoder(RecordDecoder):
    """Fails at the record of the poisoned order, as often as ``times``."""

    def __init__(self, decoder: Decoder, times: int, error: Exception) -> None:
        super().__init__(decoder)
        self.times = times
        self._error = error

    def events(
        self, topic: str, partition: int, record: KafkaRecord, *, received: int, max_ahead: int
    ) -> Iterator[Event | InputError | Skipped]:
        if POISON.encode() in (record.value or b"") and self.times:
            self.times -= 1
            raise self._error
        yield from super().events(topic, partition, record, received=received, max_ahead=max_ahead)


Taken = tuple[list[str], list[dict[str, Any]], Counts]


def taken(decoder: RecordDecoder) -> Taken:
    """The ids of the events logged, the dead letters, and what was counted, of the story."""
    counts, unused = Counts(), None
    clients: Any = [unused] * 6
    intake = Intake(
        load_settings(name="t", max_ahead_s=10**9), Router(shipped().rulebook, 4), decoder,
        IntakeClients(*clients), time=TrustedClock(WallClock()), metrics=counts,
    )  # fmt: skip
    entries: list[list[bytes]] = [[] for _ in range(4)]
    letters: list[tuple[bytes, bytes]] = []
    for offset, event in enumerate(wire(STORY)):
        value = json.dumps(event).encode()
        record = ConsumerRecord("in", 0, offset, 1_772_413_200_000, 0, None, value, None, 0, 0, ())
        intake._take(TopicPartition("in", 0), record, entries, letters)
    logged = record_from_bytes(record_to_bytes([entry for own in entries for entry in own], {}, {})).entries
    return sorted(event.event_id for _, event, _ in logged), [json.loads(value) for _, value in letters], counts


@pytest.mark.parametrize("error", [KeyError("王小明"), RecursionError(), MemoryError()])
def test_a_record_that_cannot_be_decoded_is_set_aside(error: Exception) -> None:
    logged, letters, counts = taken(FaultyDecoder(Decoder(shipped().catalogue), 2, error))
    assert logged == ["e1", "e3"]
    (letter,) = letters
    assert (letter["reason"], letter["source"], letter["position"]) == ("quarantined", "in/0", 1)
    assert json.loads(letter["payload"])["order_id"] == POISON
    assert type(error).__name__ in letter["detail"]
    assert "王小明" not in letter["detail"]  # what an exception quotes may be personal
    assert counts.letters == ["quarantined"]


def test_a_fault_that_does_not_come_again_sets_nothing_aside() -> None:
    logged, letters, _ = taken(FaultyDecoder(Decoder(shipped().catalogue), 1, MemoryError()))
    assert (logged, letters) == (["e1", "e2", "e3"], [])


def test_a_record_that_cannot_be_routed_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    rulebook = shipped().rulebook
    whole: Callable[[Any, Event], Any] = type(rulebook).copies_of

    def copies_of(self: Any, event: Event) -> Any:
        if event.order_id == POISON:
            raise ZeroDivisionError
        return whole(self, event)

    monkeypatch.setattr(type(rulebook), "copies_of", copies_of)
    logged, (letter,), counts = taken(RecordDecoder(Decoder(shipped().catalogue)))
    assert (logged, letter["reason"], letter["position"]) == (["e1", "e3"], "quarantined", 1)
    assert counts.events == ["counter.service_started", "counter.service_completed"]


def test_a_record_that_cannot_be_encoded_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_to_bytes(subject: Any, event: Event, origin: str) -> bytes:
        if event.order_id == POISON:
            raise TypeError("Encoding objects of type complex is unsupported")
        return whole_entry(subject, event, origin)

    monkeypatch.setattr("streams.live.routing.entry_to_bytes", entry_to_bytes)
    logged, (letter,), _ = taken(RecordDecoder(Decoder(shipped().catalogue)))
    assert (logged, letter["reason"]) == (["e1", "e3"], "quarantined")


def test_a_record_whose_letter_cannot_be_made_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_personal(raw: bytes) -> bytes:
        if raw:
            raise MemoryError
        return raw

    monkeypatch.setattr("streams.wire.decoder.without_personal", without_personal)
    _, (letter,), _ = taken(FaultyDecoder(Decoder(shipped().catalogue), 2, MemoryError()))
    assert (letter["source"], letter["position"], letter["payload"], letter["truncated"]) == ("in/0", 1, "", True)
    assert letter["size"] > 0


def test_a_cause_names_the_place_in_the_program_and_quotes_nothing() -> None:
    with pytest.raises(InputError) as found:
        Decoder(shipped().catalogue).decode(b"{}", received=0)
    assert cause_of(found.value).startswith("InputError in decoder.py:")
    assert cause_of(ValueError("secret")) == "ValueError"
