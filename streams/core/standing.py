"""The summary at the head of a subject's row: with it a restart judges the subject only at its next event.

It is computed from the events, the rulebook and the watermark of the last decision, and valid only under the same
rulebook. Most subjects get no event for hours after a restart; judging all of them took nearly the whole restart time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from streams.core.outcome_counts import Running

OpenCases = tuple[tuple[str, str | None], ...]
"""Rule id and city of each open case."""

_text: Final = lru_cache(4096)(repr)  # of few distinct values, each in the rows of many subjects


def _text_of(clock: Running) -> tuple[str, str, str]:
    return _text(clock.place), str(clock.started_at), str(clock.deadline)


def in_order(open_cases: OpenCases, running: tuple[Running, ...]) -> tuple[OpenCases, tuple[Running, ...]]:
    """Both in the order of their text, so that equal states give equal snapshots."""
    return (
        tuple(sorted(open_cases, key=_text)) if len(open_cases) > 1 else open_cases,
        tuple(sorted(running, key=_text_of)) if len(running) > 1 else running,
    )


class Standing(msgspec.Struct, frozen=True):
    """The state of a subject at its last decision, at ``decided_at``.

    ``due`` is the next instant at which time changes a verdict; ``open_cases`` are rule id and city of each open case.
    """

    decided_at: int
    due: int | None
    open_cases: OpenCases
    running: tuple[Running, ...]

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is open and time alone changes nothing."""
        return self.due is None and not self.open_cases
