"""An event as the core sees it: a fact about one or more subjects, at an instant.

``data`` holds every field of the wire event except the common ones below, as JSON values; conditions of the rulebook
read these fields. ``at`` is event time (``occurred_at``), ``recorded`` when it was entered; both in microseconds since
the epoch.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

SUBJECT_TYPES: Final = ("order", "account", "meter", "batch")
"""The types of subjects of a clock, in the order in which an event names them."""


ORG_LEVELS: Final = ("province", "city", "county", "unit")
"""The members of ``org`` that are kept; others are dropped."""


def _compared(data: dict[str, Any]) -> dict[str, Any]:
    """The members of ``org`` compared to recognise a repetition: 0.1 kept unknown members, later versions do not."""
    org = data.get("org")
    if not isinstance(org, dict) or org.keys() <= set(ORG_LEVELS):
        return data
    return {**data, "org": {level: org[level] for level in ORG_LEVELS if level in org}}


_STAFF: Final = "staff_id"
_HASHED: Final = re.compile(r"~[0-9a-f]{20}")


class Event(msgspec.Struct, array_like=True, eq=False, gc=False):
    """One event. Treated as immutable; a struct, because millions are created and none is part of a reference cycle.

    In JSON it is the list of its fields in this order, as in state rows and log records.
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
    """Whether it comes with everything known of its subject; it is then never too old."""

    @property
    def entered(self) -> int:
        """When the fact was first entered; a correction or a higher version does not change that."""
        return self.recorded if self.first_recorded is None else self.first_recorded

    @property
    def order(self) -> tuple[int, int, str]:
        """The order of histories (DESIGN.md 3)."""
        return self.at, self.recorded, self.event_id

    def id_of(self, kind: str) -> str | None:
        """The id of the subject of that type, if the event names one."""
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
        """The fields and the ids of its subjects."""
        return {**self.data, **{f"{kind}_id": number for kind, number in self.subjects()}}

    def content(self) -> tuple[Any, ...]:
        """Everything except id and version, to distinguish a repeated event from a different one with the same id."""
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
        """Whether the other event, with the same id, has the same content.

        A staff number is equal to its hash: one of the two may have been read before a pseudonym key was set.
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
