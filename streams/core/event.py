"""An event as the core sees it: a fact about one or more subjects, at an instant.

``data`` holds every field of the wire event but the common ones below, as JSON values; conditions of the
rulebook look there. ``at`` is event time (``occurred_at``), ``recorded`` when it was entered; both in
microseconds since the epoch.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

SUBJECT_TYPES: Final = ("order", "account", "meter", "batch")
"""What a clock can be about, in the order in which an event names them."""


ORG_LEVELS: Final = ("province", "city", "county", "unit")
"""What is kept of where something happened; other members of ``org`` are not."""


def _compared(data: dict[str, Any]) -> dict[str, Any]:
    """The fields by which a repetition is recognised: 0.1 kept unknown members of ``org``, later versions do not."""
    org = data.get("org")
    if not isinstance(org, dict) or org.keys() <= set(ORG_LEVELS):
        return data
    return {**data, "org": {level: org[level] for level in ORG_LEVELS if level in org}}


_STAFF: Final = "staff_id"
_HASHED: Final = re.compile(r"~[0-9a-f]{20}")


class Event(msgspec.Struct, array_like=True, eq=False, gc=False):
    """One event. Treated as immutable; a struct, because millions are made and none is ever part of a cycle.

    In JSON it is the list of its fields in this order: what rows of the state and records of the log hold.
    """

    event_id: str
    type: str
    at: int
    recorded: int
    data: dict[str, Any]
    order_id: str | None = None
    account_id: str | None = None
    meter_id: str | None = None
    batch_id: str | None = None
    corrects: str | None = None
    void: bool = False
    version: tuple[int, ...] | None = None
    """Of events with one id the one with the highest version counts; without it the first one does."""
    first_recorded: int | None = None
    """When the fact was first entered, where this event stands in place of an earlier one."""
    snapshot: bool = False
    """Whether it comes with all that is known of its subject, so that no age makes it too old."""

    @property
    def entered(self) -> int:
        """When the fact was first entered; a correction or a higher version does not make it later."""
        return self.recorded if self.first_recorded is None else self.first_recorded

    @property
    def order(self) -> tuple[int, int, str]:
        """The order of histories (DESIGN.md 3)."""
        return self.at, self.recorded, self.event_id

    def id_of(self, kind: str) -> str | None:
        """The id of the subject of that type, where the event names one."""
        if kind == "order":
            return self.order_id
        if kind == "account":
            return self.account_id
        return self.meter_id if kind == "meter" else self.batch_id

    def subjects(self) -> list[tuple[str, str]]:
        """Every subject the event names."""
        named = (self.order_id, self.account_id, self.meter_id, self.batch_id)
        return [(kind, number) for kind, number in zip(SUBJECT_TYPES, named, strict=True) if number is not None]

    def fields_with_ids(self) -> dict[str, Any]:
        """The fields, and the ids of the subjects that it names."""
        return {**self.data, **{f"{kind}_id": number for kind, number in self.subjects()}}

    def content(self) -> tuple[Any, ...]:
        """Everything but id and version, to tell a repeated event from another one under the same id."""
        return (
            self.type,
            self.at,
            self.recorded,
            self.order_id,
            self.account_id,
            self.meter_id,
            self.batch_id,
            self.corrects,
            self.void,
            _compared(self.data),
        )

    def repeats(self, other: Event) -> bool:
        """Whether the other one, of the same id, says the same.

        A staff number says the same as its hash: one of the two came in before a pseudonym key was set.
        """
        mine, theirs = self.content(), other.content()
        if mine == theirs:
            return True
        numbers = [one.data.get(_STAFF) for one in (self, other)]
        if len([one for one in numbers if isinstance(one, str) and _HASHED.fullmatch(one)]) != 1 or None in numbers:
            return False
        return mine[:-1] == theirs[:-1] and {**mine[-1], _STAFF: None} == {**theirs[-1], _STAFF: None}

    def for_meter(self, meter_id: str, data: dict[str, Any]) -> Event:
        """A copy for one meter of many, with other fields."""
        return Event(
            self.event_id, self.type, self.at, self.recorded, data,
            meter_id=meter_id, corrects=self.corrects, void=self.void, version=self.version,
            snapshot=self.snapshot,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Event({self.event_id!r}, {self.type!r}, at={self.at}, {self.subjects()})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return self.event_id == other.event_id and self.content() == other.content()

    def __hash__(self) -> int:
        return hash(self.event_id)
