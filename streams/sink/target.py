"""Where results are written, as the sink sees it: what a batch is, and what a place must be able to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from streams.errors import GridclockError
from streams.sink.rows import Table

Partition = tuple[str, int]
"""Topic and number of a partition."""


class SinkError(GridclockError):
    """The place and the topics do not fit; nothing is written."""


class Moved(Exception):
    """Another process has written in the meantime: its offsets are the right ones."""


@dataclass(slots=True)
class Batch:
    """What some records come to: by table the last row of each key (``None``: to be deleted), offsets, refusals.

    ``offsets`` are by partition: the offset from which the batch was read, and the one to read on from. A refusal is
    topic, partition, offset, reason and value; ``records`` and ``refused_of`` count by table.
    """

    rows: dict[Table, dict[str, dict[str, Any] | None]] = field(default_factory=lambda: {"cases": {}, "alerts": {}})
    offsets: dict[Partition, tuple[int, int]] = field(default_factory=dict)
    refused: list[tuple[str, int, int, str, bytes | None]] = field(default_factory=list)
    records: Counter[Table] = field(default_factory=Counter)
    refused_of: Counter[Table] = field(default_factory=Counter)


class Store(Protocol):
    """One session with a place. Each method may raise an error of its target's ``away``."""

    def own(self) -> bool:
        """Take the place for this session; false while another sink has it."""

    def migrate(self) -> int:
        """Make what is missing, or bring it up to this program's version; how many steps that took.

        Raises:
            SinkError: where a newer program made it.
        """

    def offsets(self) -> dict[Partition, int]:
        """Where to read on, by partition."""

    def write(self, batch: Batch) -> None:
        """Write rows together with their offsets: both or neither.

        Raises:
            Moved: where the offsets are not those that the batch was read from.
        """

    def settle(self, *, is_end: bool = False) -> None:
        """What is to be done between batches, and when the sink stops in order."""

    def close(self) -> None:
        """End the session; what was not committed is not there."""


class Target(Protocol):
    """A place. Errors of ``away`` pass by themselves; those of ``failed`` end the sink."""

    away: tuple[type[Exception], ...]
    failed: tuple[type[Exception], ...]
    afresh: str
    """What to do where the topics were made anew."""

    @property
    def place(self) -> str:
        """Its name in messages; no secret."""

    def remedy(self, error: Exception) -> str:
        """What to do about an error of ``failed``, to be put after its text; empty where that says it."""

    def open(self) -> Store:
        """A session."""
