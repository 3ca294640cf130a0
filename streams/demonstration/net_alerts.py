"""A worker's alerts less those that it retracted, compared with what the simulator expects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final

from schemas.fields import parse_time

Fact = tuple[str, str, str, str, str, str]
"""Kind, rule, subject's type and id, start, and the instant that it is about; times as UTC text."""

COMPARED: Final = ("breach", "late_completion", "violation")


def _fact(kind: str, row: Mapping[str, Any], about: str) -> Fact:
    subject = row["subject"]
    times = (parse_time(row["started_at"]), parse_time(row[about]))
    started, instant = (time.astimezone(UTC).isoformat() for time in times)
    return kind, row["rule"], subject["type"], subject["id"], started, instant


_ABOUT: Final = {"breach": "deadline", "late_completion": "stopped_at", "violation": "started_at"}


def expected_facts(rows: Iterable[Mapping[str, Any]]) -> set[Fact]:
    """The alerts that must stand, by the simulator's expected verdicts."""
    kinds = {"breached": ("breach",), "met_late": ("breach", "late_completion"), "violated": ("violation",)}
    return {_fact(kind, row, _ABOUT[kind]) for row in rows for kind in kinds.get(row["outcome"], ())}


@dataclass
class NetAlerts:
    """Alerts about instants up to ``until``, less the retracted ones; a repeated id is the same alert.

    The worker judges on after the last event until it is stopped; alerts about later instants are left out.
    """

    until: str
    alerts: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, data: Mapping[str, Any]) -> bool:
        """Take an alert's ``data``; true where it is new and within the time."""
        if data["kind"] == "retraction":
            is_within = data["retracts"] in self.alerts
        else:
            is_within = parse_time(data["due_at"]) <= parse_time(self.until)
        if not is_within or data["alert_id"] in self.alerts:
            return False
        self.alerts[data["alert_id"]] = data
        return True

    def counts(self) -> Counter[tuple[str, str]]:
        """Alerts by rule and kind."""
        return Counter((data["rule"], data["kind"]) for data in self.alerts.values())

    def facts(self) -> set[Fact]:
        """The facts of the alerts that are not retracted."""
        withdrawn = {data["retracts"] for data in self.alerts.values() if data["retracts"]}
        return {
            _fact(data["kind"], data, _ABOUT[data["kind"]])
            for number, data in self.alerts.items()
            if data["kind"] in COMPARED and number not in withdrawn
        }


@dataclass(frozen=True)
class Comparison:
    """Expected facts compared with the actual ones, sorted."""

    agreed: Counter[str]
    missing: Sequence[Fact]
    unexpected: Sequence[Fact]

    @property
    def agrees(self) -> bool:
        """Whether nothing is missing and nothing is unexpected."""
        return not self.missing and not self.unexpected


def compare(expected: set[Fact], actual: set[Fact]) -> Comparison:
    """See ``Comparison``."""
    return Comparison(
        Counter(fact[0] for fact in expected & actual), sorted(expected - actual), sorted(actual - expected)
    )
