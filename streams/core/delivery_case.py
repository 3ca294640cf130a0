"""What the planner of deliveries remembers of one case: its alerts, what was sent where, what waits and goes up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streams.core.instants import instant_us
from streams.core.matching import AlertData

Event = Mapping[str, Any]
"""An alert as read: a CloudEvent, JSON values."""

OPENING = ("breach", "violation")
FOLLOWING = ("late_completion", "retraction")


def data_of(event: Event) -> AlertData:
    """The alert in a CloudEvent."""
    data: AlertData = event["data"]
    return data


def kind_of(event: Event) -> str:
    """The kind of the alert."""
    return str(data_of(event)["kind"])


@dataclass(slots=True)
class Waiting:
    """An alert that a subscription has yet to send. ``follows``: only where this alert was sent."""

    subscription: str
    alert_id: str
    due: int
    held: bool
    follows: tuple[str, ...] = ()


@dataclass(slots=True)
class Escalation:
    """The escalation of a breach: ``step`` is next, at ``due``; ``None`` while the breach is completed."""

    subscription: str
    alert_id: str
    sent_at: int
    step: int
    due: int | None


@dataclass(slots=True)
class CaseState:
    """The messages sent about one case. ``sent`` is alert id -> channel -> when."""

    events: dict[str, Event] = field(default_factory=dict)
    retracted: set[str] = field(default_factory=set)
    sent: dict[str, dict[str, int]] = field(default_factory=dict)
    sent_by: dict[str, dict[str, str]] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)
    touched: int = 0

    def is_completed(self) -> bool:
        """Whether a late completion is known that was not retracted."""
        return any(
            kind_of(event) == "late_completion" and key not in self.retracted for key, event in self.events.items()
        )

    def is_open(self, alert_id: str) -> bool:
        """Whether a breach or violation is neither retracted nor completed."""
        event = self.events.get(alert_id)
        return (
            event is not None
            and kind_of(event) in OPENING
            and alert_id not in self.retracted
            and not (kind_of(event) == "breach" and self.is_completed())
        )

    def is_firing(self, alert_id: str, now: int) -> bool:
        """Whether it is firing for an Alertmanager."""
        event = self.events[alert_id]
        if kind_of(event) == "warning":
            deadline = data_of(event)["deadline"]
            return (
                alert_id not in self.retracted
                and deadline is not None
                and instant_us(datetime.fromisoformat(deadline)) > now
            )
        return self.is_open(alert_id)
