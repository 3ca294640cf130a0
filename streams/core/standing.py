"""What a subject's row says ahead of its events, so that a restart need not judge it before something happens to it.

It follows from the events, the rulebook and the watermark of the last decision, and stands only as long as the
rulebook is the same. Most subjects of a restart have nothing happen to them for hours; judging each of them again
took nearly all of the time that a restart needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.core.outcome_counts import Running


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a subject stood when it was last decided, at ``decided_at``.

    ``due`` is when silence changes a verdict next; ``open_cases`` are rule id and city of each case open.
    """

    decided_at: int
    due: int | None
    open_cases: tuple[tuple[str, str | None], ...]
    running: tuple[Running, ...]
