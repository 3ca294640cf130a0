"""What is costly to make of a value and never changes is made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Given = TypeVar("Given")
MappedEvent = TypeVar("MappedEvent")


def once_each(make: Callable[[Given], MappedEvent]) -> Callable[[Given], MappedEvent]:
    """Like ``functools.cache``, by identity: for values that are never changed and have no hash.

    Each value is kept for ever, so that no other can get its ``id``: not for what is drawn anew in every example.
    """
    known: dict[int, tuple[Given, MappedEvent]] = {}

    @wraps(make)
    def found(given: Given) -> MappedEvent:
        entry = known.get(id(given))
        if entry is None:
            entry = known[id(given)] = (given, make(given))
        return entry[1]

    return found
