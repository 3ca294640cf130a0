"""Every event type of the shipped vocabulary, as one union discriminated by ``event_type``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter

from schemas.events.connection import ConnectionEvent
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

EVENT: TypeAdapter[Envelope] = TypeAdapter(Event)
