"""Dead letters: what could not be taken, why, and where it was; with its original bytes."""

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
    """One record that could not be taken.

    ``source`` is a file, or ``topic/partition``; ``position`` the line in it (from 1) or the offset (from 0).
    ``payload`` is the record itself: as text, or in base64 where it is not UTF-8. Of a record larger than may
    be sent on, the beginning is kept and ``truncated`` says so; ``size`` is always its full length in bytes.
    Where it could be read as JSON at all, ``personal`` blocks were taken out of it, and ``personal_removed`` says
    so; what cannot be read is kept whole.
    ``quarantined`` letters of a ``subject`` (type and id) that is set aside are one an entry of the log: ``source`` and
    ``position`` are a partition of the log and the offset, ``entry`` the number in that record, ``origin`` where the
    event came from (``topic/partition/offset``). One without a payload says only that the subject is set aside.
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
        """What people call it by, and its key on the topic."""
        place = f"{self.source}/{self.position}"
        return place if self.entry is None else f"{place}/{self.entry}"

    def original(self) -> bytes:
        """The payload as bytes."""
        return self.payload.encode() if self.encoding == "utf-8" else base64.b64decode(self.payload)
