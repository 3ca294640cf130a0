"""Work-order events: the common envelope and every type of the vocabulary, as one union discriminated by type.

An event is one flat JSON object. Required are ``event_id``, ``event_type``, ``occurred_at`` and one subject id; the
fields of a type are checked if they are present. Unknown fields are kept. ``EVENT`` validates any event of the shipped
vocabulary; an ``EventCatalogue`` adds the types that a rulebook declares.

The models are in one module per chapter of the standard: ``counter``, ``connection``, ``metering``, ``reading``,
``inspection``; ``envelope`` has the common fields, ``vocabulary`` the union.
"""

from __future__ import annotations

from schemas.events.catalogue import EventCatalogue
from schemas.events.envelope import COMMON_FIELDS, CONDITION_FIELDS, SUBJECT_FIELDS, Envelope, Org
from schemas.events.vocabulary import CLOSED_WORDS, EVENT, Event

__all__ = [
    "CLOSED_WORDS",
    "COMMON_FIELDS",
    "CONDITION_FIELDS",
    "EVENT",
    "SUBJECT_FIELDS",
    "Envelope",
    "Event",
    "EventCatalogue",
    "Org",
]
