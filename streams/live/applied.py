"""The result of one record of the log, by the clocks of its partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.core.alerts import Alert
from streams.core.case_changes import CaseChange
from streams.core.driver import Entry, Step
from streams.core.outcome_counts import Ending
from streams.core.separable_engine import LeftOut
from streams.engine.written_alerts import WrittenAlert, whole
from streams.wire.state_rows import Aside

Row = tuple[bytes, bytes | None]
"""A key of the changelog with its new value; ``None`` deletes it."""


@dataclass(slots=True)
class Applied:
    """The result of one record. ``rows`` end with the position; the counts are the tally's.

    ``told`` are its alerts, in order; the step has none.

    ``held`` are entries for subjects that are set aside. ``cases`` are those that changed, where cases are tracked;
    they must be written before the rows.
    """

    step: Step
    rows: list[Row]
    ended: Counter[Ending]
    reopened: Counter[Ending]
    held: list[Held] = field(default_factory=list)
    partition: int = 0
    skipped: tuple[int, str, bytes] | None = None
    """Offset, cause and bytes of a record that cannot be read."""
    cases: list[CaseChange] = field(default_factory=list)
    left_out: Sequence[LeftOut] = ()
    told: Sequence[Alert | WrittenAlert] = ()

    @property
    def alerts(self) -> list[Alert]:
        """What was told, each alert with all of it."""
        return [whole(alert) for alert in self.told]


@dataclass(frozen=True, slots=True)
class Held:
    """An entry of a subject that is set aside, by its index in the record.

    ``entry`` is ``None`` where the subject was set aside at a record without an entry of it.
    """

    aside: Aside
    offset: int
    number: int
    entry: Entry | None
