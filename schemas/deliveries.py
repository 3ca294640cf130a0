"""State of the notifier in the deliveries topic, and undelivered messages.

Rows by the beginning of their key: ``case/<case id>``, ``delivery/<channel>/<key>``, ``channel/<channel>``,
``acknowledged/<alert id>``, ``silenced/<alert id>`` and ``position/<topic>/<partition>`` (all three ``NumberRow``),
``leader``. Instants are microseconds since the epoch.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from pydantic import AwareDatetime

from schemas.base import Model

ROW_VERSION: Final = 1

UndeliveredReason = Literal[
    "refused",
    "unreachable",
    "timeout",
    "tls",
    "server_error",
    "rate_limited",
    "bad_answer",
    "not_an_alert",
    "queue_full",
]
UNDELIVERED_REASONS: Final[tuple[str, ...]] = get_args(UndeliveredReason)


class WaitingRow(Model):
    """An alert that a subscription has yet to send."""

    subscription: str
    alert_id: str
    due: int
    held: bool
    follows: tuple[str, ...] = ()


class EscalationRow(Model):
    """The escalation of a breach."""

    subscription: str
    alert_id: str
    told_at: int
    step: int
    due: int | None


class CaseRow(Model):
    """The messages sent about one case; ``told`` is alert id -> channel -> when, ``told_by`` the subscription."""

    v: int
    events: dict[str, dict[str, Any]]
    retracted: tuple[str, ...]
    told: dict[str, dict[str, int]]
    told_by: dict[str, dict[str, str]]
    waiting: tuple[WaitingRow, ...]
    escalations: tuple[EscalationRow, ...]
    touched: int


class DeliveryRow(Model):
    """One message in flight to a channel; ``key`` is its idempotency key."""

    v: int
    channel: str
    subscription: str
    key: str
    events: tuple[dict[str, Any], ...]
    planned_at: int
    closes: tuple[dict[str, Any], ...]
    opens: tuple[dict[str, Any], ...]
    level: str | None
    follows: tuple[str, ...]


class ChannelRow(Model):
    """A channel whose last attempt failed; there is no row once a message was taken, or given up.

    ``delivery`` is the message that is tried, ``<channel>/<key>``; the others of the channel wait behind it.
    ``attempts`` of it have failed so far, the last for this ``reason``; the next comes at ``next_at``.
    """

    v: int
    delivery: str
    reason: UndeliveredReason
    detail: str
    attempts: int
    next_at: int


class NumberRow(Model):
    """An offset to continue from, or the instant of an acknowledgement or of a silence's end."""

    v: int
    at: int


class Undelivered(Model):
    """A message that a channel did not accept in any attempt; ``events`` are the alerts unchanged.

    For a record that is not an alert there is no channel, and ``key`` is its place (``topic/partition/offset``).
    """

    channel: str | None
    subscription: str | None
    key: str
    reason: UndeliveredReason
    detail: str
    attempts: int
    at: AwareDatetime
    events: tuple[dict[str, Any], ...]
