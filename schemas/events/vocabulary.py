"""Every event type of the shipped vocabulary, as one union discriminated by ``event_type``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ConfigDict, Field, TypeAdapter

from schemas.events.connection import DOCUMENTS, ConnectionEvent
from schemas.events.counter import CounterEvent
from schemas.events.envelope import Envelope
from schemas.events.inspection import InspectionEvent
from schemas.events.metering import MeteringEvent
from schemas.events.reading import ReadingEvent

Event = Annotated[
    CounterEvent | ConnectionEvent | MeteringEvent | ReadingEvent | InspectionEvent,
    Field(discriminator="event_type"),
]
"""Any event of the shipped vocabulary."""


def _words(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from (word for word in get_args(annotation) if isinstance(word, str))
    else:
        for part in get_args(annotation):
            yield from _words(part)


CLOSED_WORDS = DOCUMENTS | frozenset(
    word
    for model in get_args(get_args(Event)[0])
    for name, field in model.model_fields.items()
    if name != "event_type"
    for word in _words(field.annotation)
)
"""Every value of the fields with closed lists: values that may appear in a sentence."""

EVENT: TypeAdapter[Envelope] = TypeAdapter(Event, config=ConfigDict(defer_build=True))
