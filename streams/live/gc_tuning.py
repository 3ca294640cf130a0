"""Tuning of Python's garbage collector.

The heap holds events and states folded from them: millions of objects without cycles, and each full collection scans
all of them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_YOUNG = 50_000
_TWICE_SEEN = 4


@contextmanager
def rare_collections() -> Iterator[None]:
    """For a short-lived process: young objects are collected after each five million, full collections are rare.

    A replay holds some thirteen objects an event, and has no cycles: with each half million, looking for them took an
    eighth of its time. What it holds is bounded by the memory that it may use, and ends with each task.
    """
    before = gc.get_threshold()
    gc.set_threshold(5_000_000, 10, 500)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def short_collections() -> Iterator[None]:
    """For a process that must answer within seconds, for months: each collection scans recent objects only.

    Objects that survive two collections are frozen (``gc.freeze``); reference counting still frees them. Otherwise the
    process would pause for a second per two million objects, with a million subjects for longer than its session. A
    cycle that becomes unreachable after its second collection is never freed; the libraries' cycles become unreachable
    at once or never.
    """
    before = gc.get_threshold()

    def set_aside(phase: str, information: dict[str, Any]) -> None:
        if phase == "stop" and information["generation"] > 0:
            gc.freeze()

    gc.freeze()
    gc.set_threshold(_YOUNG, _TWICE_SEEN, 1_000_000)
    gc.callbacks.append(set_aside)
    try:
        yield
    finally:
        gc.callbacks.remove(set_aside)
        gc.set_threshold(*before)
