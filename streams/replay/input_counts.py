"""Counts of a replay: the quality of its input, and the alerts by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.limits import DAY, HOUR
from streams.errors import InputError
from streams.wire.mapping import Skipped

VALUES: Final = 50
"""Most distinct values counted by name; the others are counted together."""

_LONGEST: Final = 60

# The other reasons are found while judging.
_COUNTED_IN_READING = (
    "lines",
    "events",
    "after_until",
    "not_yet_recorded",
    "unwatched",
    "out_of_order",
    "recorded_late",
    "dead_letters",
    "refused",
    "passed",
)


@dataclass(slots=True)
class InputCounts:
    """Counts of one replay.

    ``recorded_late`` counts events entered more than a minute, an hour, a day after they occurred; ``out_of_order``
    those read after a later event.
    """

    lines: int = 0
    events: int = 0
    after_until: int = 0
    not_yet_recorded: int = 0
    duplicates: int = 0
    unwatched: int = 0
    out_of_order: int = 0
    recorded_late: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Reasons for refused rows of mappings, with the value: at most ``VALUES`` distinct ones by name."""
    passed: Counter[str] = field(default_factory=Counter)
    """Reasons for rows skipped by a mapping, with the value: likewise."""
    alerts: Counter[tuple[str, str]] = field(default_factory=Counter)
    orphans: Counter[str] = field(default_factory=Counter)

    def refuse(self, error: InputError) -> None:
        """Count a refused record."""
        self.dead_letters[error.reason] += 1
        if error.value is not None:
            _count(self.refused, f"{error.reason}: {error.field or 'row'}", error.value)

    def skip(self, found: Skipped) -> None:
        """Count a part without an event by the mapping."""
        _count(self.passed, found.reason, found.value)

    def note_late(self, late: int) -> None:
        """Count an event by how late it was entered (microseconds)."""
        self.recorded_late["day" if late > DAY else "hour" if late > HOUR else "minute"] += 1

    def to_state(self) -> dict[str, Any]:
        """The counts of reading, as JSON values."""
        return {name: getattr(self, name) for name in _COUNTED_IN_READING}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> InputCounts:
        """The counts that ``to_state`` gave."""
        values: dict[str, Any] = {
            name: Counter(value) if isinstance(value, dict) else value for name, value in state.items()
        }
        return cls(**values)

    def add(self, other: InputCounts) -> None:
        """Add the counts of another reader."""
        for name in _COUNTED_IN_READING:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, name, mine + theirs)

    @property
    def total_dead_letters(self) -> int:
        """Refused records."""
        return sum(self.dead_letters.values())


def _count(counts: Counter[str], what: str, value: str) -> None:
    shown = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    name = f"{what}: {shown}" if shown else what
    counts[name if name in counts or len(counts) < VALUES else f"{what}: other values"] += 1
