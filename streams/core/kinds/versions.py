"""Which version of a rule still matters after an instant, so that a history can be pruned (``Fold.needed``).

All versions see all events. What is kept because one of them needs it could begin a case of another anew; so a history
is pruned only where one version is left, and for what happened since it came into force.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from streams.core.event import Event


class InForce(Protocol):
    """A version: in force from ``first``, inclusive, to ``last``, exclusive (microseconds; ``None``: for ever)."""

    first: int
    last: int | None


V = TypeVar("V", bound=InForce)


def live_versions(versions: Sequence[V], until: int) -> list[V]:
    """Those that are in force at some instant after ``until``."""
    return [version for version in versions if version.last is None or version.last > until]


def all_since(live: InForce, versions: Sequence[InForce], events: Iterable[Event | None]) -> bool:
    """Whether no other version was in force when any of the events happened."""
    return len(versions) == 1 or all(event is None or event.at >= live.first for event in events)
