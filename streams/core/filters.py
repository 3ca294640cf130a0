"""Which of the cases and alerts a page of the board is about: by place, rule, chapter and severity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from streams.core.open_cases import LEVELS, Place, chapter_of

CHOICES: Final = 500
"""Codes of one level that a filter offers."""

State = Literal["running", "overdue", "untimed", "beside", "handover"]
"""What is listed of the open cases.

``beside``: the running ones and the overdue ones, as many of each. ``handover``: the overdue ones, and beside them
those that fall due in the next shift.
"""


class Filtered(Protocol):
    """What a filter looks at, places apart."""

    @property
    def rule(self) -> str:
        """The rule's id."""

    @property
    def clause(self) -> str:
        """Its main clause."""

    @property
    def severity(self) -> str:
        """``norm`` or ``red_line``."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The part of the board to show; ``None`` is everything.

    ``state``, ``cases`` and ``alerts`` apply to the lists only.

    ``find`` is the beginning of an id, upper or lower case: of the order, account or meter, of the case or the alert.
    With it cases of every state are listed. ``shift`` is the length of the next shift in hours, for ``due_in_shift``
    and the state ``handover``.
    """

    province: str | None = None
    city: str | None = None
    county: str | None = None
    unit: str | None = None
    rule: str | None = None
    chapter: str | None = None
    severity: str | None = None
    find: str | None = None
    state: State = "running"
    shift: int = 8
    cases: int = 60
    alerts: int = 40

    @property
    def place(self) -> Place:
        """The codes of the filter."""
        return self.province, self.city, self.county, self.unit

    @property
    def level(self) -> int:
        """The level (index into ``LEVELS``) whose places are counted: the one under the filter's, at least cities."""
        return 3 if self.unit or self.county else 2 if self.city else 1

    def takes(self, item: Filtered) -> bool:
        """Whether an item passes the filter, its place apart."""
        return (
            (self.rule is None or item.rule == self.rule)
            and (self.chapter is None or chapter_of(item.clause) == self.chapter)
            and (self.severity is None or item.severity == self.severity)
        )


def choices_of(asked_for: Place, seen: Iterable[Place]) -> dict[str, tuple[str, ...]]:
    """The codes of some places by level, each level under the codes that are asked for above it."""
    found: tuple[set[str], ...] = (set(), set(), set(), set())
    for place in seen:
        for asked, code, codes in zip(asked_for, place, found, strict=True):
            if code is not None:
                codes.add(code)
            if asked is not None and code != asked:
                break
    return {level: tuple(sorted(codes)[:CHOICES]) for level, codes in zip(LEVELS, found, strict=True)}
