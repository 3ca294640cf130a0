"""The summary at the head of a subject's row: with it a restart judges the subject only at its next event.

It is computed from the events, the rulebook and the watermark of the last decision, and valid only under the same
rulebook. Most subjects get no event for hours after a restart; judging all of them took nearly the whole restart time.
"""

from __future__ import annotations

import msgspec

from streams.core.outcome_counts import Running


class Standing(msgspec.Struct, frozen=True):
    """The state of a subject at its last decision, at ``decided_at``.

    ``due`` is the next instant at which time changes a verdict; ``open_cases`` are rule id and city of each open case.
    """

    decided_at: int
    due: int | None
    open_cases: tuple[tuple[str, str | None], ...]
    running: tuple[Running, ...]

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is open and time alone changes nothing."""
        return self.due is None and not self.open_cases
