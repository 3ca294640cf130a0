"""Records of topics to events: as they are, or through the mapping of their topic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from streams.core.event import Event
from streams.errors import InputError
from streams.wire.decoder import Decoder
from streams.wire.envelopes import changes_of
from streams.wire.mapping import Made, Passed, Place, RowMapping


class KafkaRecord(Protocol):
    """What the clients' records have in common; ``timestamp`` is in milliseconds."""

    @property
    def value(self) -> bytes | None: ...  # noqa: D102

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...  # noqa: D102

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def timestamp(self) -> int: ...  # noqa: D102


class RecordDecoder:
    """Decodes the records of several topics; ``mappings`` by topic are for those that hold no events of ours."""

    def __init__(self, decoder: Decoder, mappings: Mapping[str, RowMapping] | None = None) -> None:
        self._decoder = decoder
        self._mappings = mappings or {}

    def events(
        self, topic: str, partition: int, record: KafkaRecord, *, received: int, max_ahead: int
    ) -> Iterator[Event | InputError | Passed]:
        """What one record gives: events, why it gives none, or what of it is passed over; at least one thing.

        ``received`` (microseconds) is when it came in; ``max_ahead`` how far events may be ahead of that.
        """
        mapping, decode = self._mappings.get(topic), self._decoder.decode
        if mapping is None:
            try:
                yield decode(record.value or b"", received=received, max_ahead=max_ahead)
            except InputError as error:
                yield error
            return
        place = Place.of_record(partition, record.offset, record.timestamp)
        for made in changes_of(mapping, record.value, record.headers, place):
            if not isinstance(made, Made):
                yield made
            elif made.note is not None:
                yield made.note
            else:
                try:
                    yield decode(made.raw, received=received, max_ahead=max_ahead)
                except InputError as error:
                    yield made.blame(error)
