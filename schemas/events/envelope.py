"""The fields that every work-order event has, whatever its type."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from schemas.fields import Code, Flag, Id, Time, Version

SUBJECT_FIELDS = ("order_id", "account_id", "meter_id", "batch_id")
CustomerClass = Literal["ordinary", "important", "sensitive"]


class Org(BaseModel):
    """Where it happened: codes of the organisation, province down to unit."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    province: Code | None = None
    city: Code | None = None
    county: Code | None = None
    unit: Code | None = None


class Envelope(BaseModel):
    """The fields common to all events.

    ``occurred_at`` is event time, ``recorded_at`` when it was entered (default: the same). ``corrects`` names the event
    that this one replaces; with ``void`` that event never happened. Of events with one ``event_id`` the one with the
    highest ``version`` counts, as a correction would. A ``snapshot`` comes with everything known of its subject, so it
    is never too old. ``personal`` is the only place for personal data and is removed before anything is stored.

    The check of a type is built with its first event that needs it (see ``schemas.base.Model``).
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    event_id: Id
    event_type: str
    occurred_at: Time
    recorded_at: Time | None = None
    source: Code | None = None
    order_id: Id | None = None
    account_id: Id | None = None
    meter_id: Id | None = None
    batch_id: Id | None = None
    org: Org | None = None
    staff_id: Id | None = None
    corrects: Id | None = None
    void: Flag = False
    version: Version | None = None
    snapshot: Flag = False
    personal: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _about_something(self) -> Envelope:
        if not (self.order_id or self.account_id or self.meter_id or self.batch_id):
            raise PydanticCustomError("no_subject", "names none of order_id, account_id, meter_id, batch_id")
        if self.void and self.corrects is None and self.version is None:
            raise PydanticCustomError("bad_field", "void needs corrects: the id of the event that never was")
        if self.corrects == self.event_id:
            raise PydanticCustomError("bad_field", "an event cannot correct itself")
        return self


COMMON_FIELDS = frozenset(Envelope.model_fields)
CONDITION_FIELDS = frozenset({"source", "staff_id"})
"""The common fields that a rule's conditions may use."""
