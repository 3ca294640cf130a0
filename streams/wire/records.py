"""Records of topics to events: as they are, or through the mapping of their topic.

A record's timestamp bounds its events: an event cannot be later than the record that reports it. It is a statement
of the producer, whose clock may be wrong, so it counts only up to the brokers' clock (``arrival_of``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from streams.core.event import Event
from streams.core.instants import format_us
from streams.errors import InputError
from streams.wire.decoder import Arrival, Decoder
from streams.wire.envelopes import changes_of
from streams.wire.mapping import MappedEvent, Place, RowMapping, Skipped
from streams.wire.registered import Schemas, frame_of

LOG_APPEND_TIME: Final = 1
"""Kafka's ``timestamp_type`` of a timestamp that the broker has set, and not the producer."""

NO_TIMESTAMP: Final = -1
"""The value for a missing timestamp; ``None`` for records of before Kafka 0.10."""

YEAR_2000: Final = 946_684_800_000
"""Milliseconds; an earlier time means that the clock was never set."""

_STAFF: Final = frozenset({"staff_id"})

CLOCKS_AGREE: Final = 2_000_000
"""Microseconds by which two correct clocks may differ."""


class KafkaRecord(Protocol):
    """The common part of the clients' records; ``timestamp`` is in milliseconds."""

    @property
    def value(self) -> bytes | None: ...  # noqa: D102

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...  # noqa: D102

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def timestamp(self) -> int | None: ...  # noqa: D102

    @property
    def timestamp_type(self) -> int | None: ...  # noqa: D102


def stamp_of(record: KafkaRecord, now: int, max_ahead: int) -> int | None:
    """A record's timestamp; ``None`` where it has no usable one. All in microseconds.

    ``now`` is real time by the brokers' clock. A timestamp set by a broker is never refused: it is not the producer's.

    Raises:
        InputError: where the producer's timestamp is before the year 2000, or after ``now`` by more than ``max_ahead``.
    """
    stamp, is_brokers = record.timestamp, record.timestamp_type == LOG_APPEND_TIME
    if stamp is None or stamp == NO_TIMESTAMP or (is_brokers and stamp < YEAR_2000):
        return None
    if not is_brokers and not YEAR_2000 <= stamp <= (now + max(max_ahead, CLOCKS_AGREE)) // 1000:
        raise InputError(
            "impossible_timestamp",
            None,
            f"the record's Kafka timestamp is {stamp} ms since 1970, and the time is {format_us(now)}: "
            "set the clock of its producer",
        )
    return stamp * 1000


def stamps_of(records: Iterable[KafkaRecord], now: int, max_ahead: int) -> list[int | None]:
    """The timestamp of each record by ``stamp_of``; ``None`` also where that refuses it."""
    latest = (now + max(max_ahead, CLOCKS_AGREE)) // 1000
    found: list[int | None] = []
    for record in records:
        stamp = record.timestamp
        if stamp is not None and YEAR_2000 <= stamp <= latest:  # as nearly all are
            found.append(stamp * 1000)
            continue
        try:
            found.append(stamp_of(record, now, max_ahead))
        except InputError:
            found.append(None)
    return found


def arrival_of(record: KafkaRecord, now: int, max_ahead: int) -> int:
    """When a record came in: its timestamp, or ``now`` where that is earlier or there is none. See ``stamp_of``.

    Raises:
        InputError: as ``stamp_of``.
    """
    stamp = stamp_of(record, now, max_ahead)
    return now if stamp is None else min(stamp, now + CLOCKS_AGREE)


class RecordDecoder:
    """Decodes the records of several topics; ``mappings`` by topic are for topics in other formats."""

    def __init__(self, decoder: Decoder, mappings: Mapping[str, RowMapping] | None = None) -> None:
        self._decoder = decoder
        self._mappings = mappings or {}

    def keeps_all(self, topic: str) -> bool:
        """Whether a topic has events as they are, and the decoder changes nothing in them."""
        return topic not in self._mappings and self._decoder.keeps(_STAFF)

    def _schemas_of(self, topic: str) -> Schemas | None:
        mapping = self._mappings.get(topic)
        return None if mapping is None else mapping.schemas

    def has_schemas(self, topic: str) -> bool:
        """Whether records of a topic may need a schema of the registry."""
        return self._schemas_of(topic) is not None

    def is_ready(self, topic: str, record: KafkaRecord) -> bool:
        """Whether ``events`` can be called without ``prepare``."""
        schemas = self._schemas_of(topic)
        if schemas is None or not record.value:
            return True
        frame = frame_of(record.value, record.headers)
        return frame is None or schemas.has(frame.schema_id)

    def prepare(self, topic: str, record: KafkaRecord) -> None:
        """Get the record's schema from the schema registry; blocks.

        Raises:
            RegistryAwayError: where it does not answer.
        """
        schemas, frame = self._schemas_of(topic), frame_of(record.value or b"", record.headers)
        if schemas is not None and frame is not None:
            with suppress(InputError):  # the decoder refuses the record for it
                schemas.get(frame.schema_id)

    def events(
        self, topic: str, partition: int, record: KafkaRecord, *, received: int, max_ahead: int
    ) -> Iterator[Event | InputError | Skipped]:
        """The results of one record: events, errors or skipped parts; at least one.

        ``received`` (microseconds) is when it came in; ``max_ahead`` how far events may be ahead of that.
        """
        mapping, decode = self._mappings.get(topic), self._decoder.decode
        if mapping is None:
            try:
                yield decode(record.value or b"", received=received, max_ahead=max_ahead)
            except InputError as error:
                yield error
            return
        place = Place.of_record(partition, record.offset, Arrival(received, max_ahead))
        for made in changes_of(mapping, record.value, record.headers, place):
            if not isinstance(made, MappedEvent):
                yield made
            elif made.note is not None:
                yield made.note
            else:
                try:
                    yield decode(made.raw, received=received, max_ahead=max_ahead)
                except InputError as error:
                    yield made.error_at(error)
