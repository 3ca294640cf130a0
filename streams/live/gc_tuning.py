"""When Python looks for unreachable cycles.

What is held here are events and what was folded from them: millions of objects that form no cycle, and each search goes
through all of them.
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
    """For a process that soon ends: young objects are looked at after each half million, all hardly ever."""
    before = gc.get_threshold()
    gc.set_threshold(500_000, 10, 500)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def short_collections() -> Iterator[None]:
    """For a process that must answer within seconds, for months: no search goes through more than has come lately.

    What has been looked at twice is set aside for good (``gc.freeze``); it is freed all the same when nothing refers to
    it any more. Else the process would stand still for a second for every two million objects, with a million subjects
    for longer than its session lasts. A cycle that lives past the second look and is given up later is never found;
    those of the libraries are given up at once or never.
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
