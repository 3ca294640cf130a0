"""Counts of a replay: the quality of its input, and the alerts by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from schemas.limits import DAY, HOUR
from streams.errors import ConfigError, InputError
from streams.replay.sources import Note, Source
from streams.rulebooks.mapping_files import MappingFile
from streams.wire.mapping import MappedEvent, Skipped

VALUES: Final = 50
"""Most distinct values counted by name; the others are counted together."""

NAMES: Final = 1_000
"""Most names of columns kept that the mapping does not have: they are only for hints."""

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

_SETS: Final = ("columns", "separated")


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
    columns: dict[str, set[str]] = field(default_factory=dict)
    """By path of a mapping: its columns that some row had, and up to ``NAMES`` others while one is missing."""
    separated: dict[str, set[str]] = field(default_factory=dict)
    """By path of a mapping: its columns of joined ids of which some row had a value with the separator."""

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

    def columns_of(self, source: Source) -> Callable[[Note], None]:
        """Notes the columns of the source's records, one by one, as far as a mapping reads them."""
        mapping = mapping_of(source)
        if mapping is None:
            return lambda _note: None
        wanted = {column for _, column in mapping.rows.columns()}
        found = self.columns.setdefault(mapping.path, set())
        parts = {column for columns in mapping.joined_ids().values() for column in columns}
        separated = self.separated.setdefault(mapping.path, set())
        note_columns = partial(_note_columns, wanted - found, found)
        if not parts:
            return note_columns

        def see(note: Note) -> None:
            note_columns(note)
            _note_separators(parts, separated, note)

        return see

    def unseen(self, sources: Iterable[Source]) -> Iterator[ConfigError]:
        """The columns of mappings that no row of their sources had; nothing of mappings whose sources had no rows."""
        names: dict[str, tuple[MappingFile, list[str]]] = {}
        for source in sources:
            if (mapping := mapping_of(source)) is not None:
                names.setdefault(mapping.path, (mapping, []))[1].append(source.name)
        for path, (mapping, own) in names.items():
            if found := self.columns.get(path):
                more = f" and {len(own) - 1} more" if len(own) > 1 else ""
                yield from mapping.unseen(found, f"{own[0]}{more}")

    def doubtful_ids(self, sources: Iterable[Source]) -> Iterator[ConfigError]:
        """The ids of mappings that two things may have, because of the values that were read."""
        mappings = {mapping.path: mapping for source in sources if (mapping := mapping_of(source)) is not None}
        for path, mapping in mappings.items():
            yield from mapping.doubtful_ids(self.separated.get(path, set()))

    def to_state(self) -> dict[str, Any]:
        """The counts of reading, as JSON values."""
        sets = {name: {path: sorted(found) for path, found in getattr(self, name).items()} for name in _SETS}
        return {**{name: getattr(self, name) for name in _COUNTED_IN_READING}, **sets}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> InputCounts:
        """The counts that ``to_state`` gave."""
        values: dict[str, Any] = {
            name: Counter(value) if isinstance(value, dict) else value
            for name, value in state.items()
            if name not in _SETS
        }
        # a checkpoint of before has none
        sets: dict[str, Any] = {
            name: {path: set(found) for path, found in state.get(name, {}).items()} for name in _SETS
        }
        return cls(**values, **sets)

    def add(self, other: InputCounts) -> None:
        """Add the counts of another reader."""
        for name in _COUNTED_IN_READING:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, name, mine + theirs)
        for name in _SETS:
            for path, found in getattr(other, name).items():
                getattr(self, name).setdefault(path, set()).update(found)

    @property
    def total_dead_letters(self) -> int:
        """Refused records."""
        return sum(self.dead_letters.values())


def mapping_of(source: Source) -> MappingFile | None:
    """The mapping by which a source is read."""
    for found in (getattr(getattr(source, "input", None), "mapping", None), getattr(source, "mapping", None)):
        if isinstance(found, MappingFile):
            return found
    return None


def _note_columns(missing: set[str], found: set[str], note: Note) -> None:
    if not missing or not isinstance(note, MappedEvent):
        return
    columns = note.row.keys()
    seen = missing & columns
    missing -= seen
    found |= seen
    if len(found) < NAMES:
        found.update(columns)


def _note_separators(parts: set[str], found: set[str], note: Note) -> None:
    if isinstance(note, MappedEvent):
        found.update(column for column in parts - found if "/" in str(note.row.get(column)))


def _count(counts: Counter[str], what: str, value: str) -> None:
    shown = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    name = f"{what}: {shown}" if shown else what
    counts[name if name in counts or len(counts) < VALUES else f"{what}: other values"] += 1
