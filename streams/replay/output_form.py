"""The output form of a replay's alerts and cases: pseudonyms or not, the file's format, with a summary or not.

Each judging process also encodes its results, so the work is shared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streams.replay.results import CsvRow, Form, json_line
from streams.wire.cloudevents import ReportedCase
from streams.wire.pseudonyms import Hidden


@dataclass(frozen=True, slots=True)
class OutputForm:
    """The form of alerts, and of cases if requested; whether a summary of cases is requested."""

    alerts: Form = json_line
    cases: Form | None = json_line
    with_summary: bool = False
    hidden: Hidden = field(default_factory=lambda: Hidden(None))

    @property
    def needs_cases(self) -> bool:
        """Whether cases are written or summed up."""
        return self.cases is not None or self.with_summary

    @property
    def is_plain(self) -> bool:
        """Whether alerts are written unchanged, one per line."""
        return self.alerts is json_line and self.hidden.fingerprint is None

    @property
    def has_plain_cases(self) -> bool:
        """Whether cases are written unchanged, one per line, and not summed up."""
        return self.cases is json_line and not self.with_summary and self.hidden.fingerprint is None

    def alert(self, event: dict[str, Any]) -> bytes:
        """One alert."""
        return self.alerts(self.hidden.reported(event))

    def case(self, reported: ReportedCase) -> bytes:
        """One case, with pseudonyms; empty if cases are not requested."""
        self.hidden.reported(reported.event, reported.explanation)
        return b"" if self.cases is None else self.cases(reported.event)

    def to_state(self) -> list[Any]:
        """Identifies the form, for checkpoints."""
        forms = [None if form is None else isinstance(form, CsvRow) for form in (self.alerts, self.cases)]
        return [*forms, self.with_summary, self.hidden.fingerprint]
