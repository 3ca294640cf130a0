"""Dead letters: refused records with the reason, their place and their original bytes."""

from __future__ import annotations

import base64
from typing import Literal, get_args

from pydantic import Field

from schemas.base import Model

Reason = Literal[
    "not_utf8",
    "not_json",
    "not_an_object",
    "unknown_schema",
    "undecodable",
    "too_large",
    "too_deep",
    "unknown_type",
    "missing_field",
    "bad_field",
    "naive_time",
    "impossible_time",
    "future_time",
    "impossible_timestamp",
    "no_subject",
    "conflicting_duplicate",
    "too_old",
    "quarantined",
]
REASONS: tuple[str, ...] = get_args(Reason)


class DeadLetter(Model):
    """One refused record.

    ``source`` is a file, or ``topic/partition``; ``position`` the line in it (from 1) or the offset (from 0).
    ``payload`` is the record itself: as text, or in base64 where it is not UTF-8. Of a record that is too large only
    the beginning is kept, and ``truncated`` is true; ``size`` is always its full length in bytes. Where it is JSON,
    ``personal`` blocks were removed, and ``personal_removed`` is true; other records are kept unchanged. Headers are
    not kept: neither the attributes of a CloudEvent in binary mode nor a schema id in ``__value_schema_id``.
    ``quarantined`` letters of a ``subject`` (type and id) that is set aside are one per entry of the log: ``source``
    and ``position`` are a partition of the log and the offset, ``entry`` the index in that record, ``origin`` the
    event's source (``topic/partition/offset``). One without a payload only records that the subject is set aside.
    """

    reason: Reason
    field: str | None = None
    detail: str
    source: str
    position: int = Field(ge=0)
    encoding: Literal["utf-8", "base64"]
    payload: str
    size: int = Field(ge=0)
    truncated: bool = False
    personal_removed: bool = False
    subject: tuple[str, str] | None = None
    entry: int | None = Field(default=None, ge=0)
    origin: str | None = None

    @property
    def id(self) -> str:
        """Its id for people, and its key on the topic."""
        place = f"{self.source}/{self.position}"
        return place if self.entry is None else f"{place}/{self.entry}"

    def original(self) -> bytes:
        """The payload as bytes."""
        return self.payload.encode() if self.encoding == "utf-8" else base64.b64decode(self.payload)
