"""How a replay's alerts and cases are told: hidden under a key or not, in the form of a file, summed up or not.

Whoever judges also writes, so that of several processes each does its share of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streams.replay.results import CsvRow, Form, json_line
from streams.wire.cloudevents import ReportedCase
from streams.wire.pseudonyms import Hidden


@dataclass(frozen=True, slots=True)
class OutputForm:
    """The form of alerts, and of cases where they are wanted; whether a summary of the cases is."""

    alerts: Form = json_line
    cases: Form | None = json_line
    with_summary: bool = False
    hidden: Hidden = field(default_factory=lambda: Hidden(None))

    @property
    def looks_at_cases(self) -> bool:
        """Whether anything is made of cases."""
        return self.cases is not None or self.with_summary

    def alert(self, event: dict[str, Any]) -> bytes:
        """One alert."""
        return self.alerts(self.hidden.reported(event))

    def case(self, reported: ReportedCase) -> bytes:
        """One case, which is hidden where it stands; nothing where cases are not wanted."""
        self.hidden.reported(reported.event, reported.explanation)
        return b"" if self.cases is None else self.cases(reported.event)

    def to_state(self) -> list[Any]:
        """What tells one telling from another."""
        forms = [None if form is None else isinstance(form, CsvRow) for form in (self.alerts, self.cases)]
        return [*forms, self.with_summary, self.hidden.fingerprint]
