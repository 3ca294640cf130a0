"""Alertmanager, by its v2 API.

An alert there *is* its set of labels, so each of ours carries its ``alert_id`` as one; everything else is a closed
set to route, group and silence by (``group_by: [rule, city]``). It fires until it is told to be over, by a completion
or a retraction, or is not heard of for three refreshes: so a notifier that has died leaves nothing burning for ever.
Times are real ones. A warning ends with its deadline, of which Alertmanager hears by no longer being reminded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from schemas.subscriptions import AlertmanagerChannel, Subscription
from streams.core.delivery import Delivery, Event
from streams.core.instants import format_us
from streams.core.matching import AlertData
from streams.core.notices import languages
from streams.notify.channels.http import Http
from streams.wire.decoder import encode_json

NAMES: Final = {"breach": "GridclockBreach", "violation": "GridclockViolation", "warning": "GridclockWarning"}
LABELS: Final = (
    "alertname", "alert_id", "rule", "clause", "chapter", "severity", "kind", "province", "city", "county", "unit",
    "test",
)  # fmt: skip
_MISSED_REFRESHES: Final = 3


class Alertmanager:
    """One Alertmanager, or the address that several share."""

    def __init__(
        self,
        http: Http,
        spec: AlertmanagerChannel,
        subscriptions: dict[str, Subscription],
        real_now: Callable[[], int],
    ) -> None:
        self._http = http
        self._spec = spec
        self._subscriptions = subscriptions
        self._real_now = real_now

    @property
    def refresh_us(self) -> int:
        """How often to remind it."""
        return self._spec.refresh

    @property
    def hold_us(self) -> int:
        """How long to remind it."""
        return self._spec.hold

    async def deliver(self, delivery: Delivery, *, test: bool = False) -> None:
        """Fire what is told, end what is over; see ``Channel``."""
        wanted = self._languages(delivery.subscription)
        over = {event["data"]["alert_id"] for event in delivery.closes}
        firing = [event for event in (*delivery.events, *delivery.opens) if event["data"]["kind"] in NAMES]
        now = self._real_now()
        lasts = now + self._spec.refresh * _MISSED_REFRESHES
        body = [
            _alert(event["data"], wanted, lasts, level=delivery.level, test=test)
            for event in firing
            if event["data"]["alert_id"] not in over
        ]
        body += [_alert(event["data"], wanted, now) for event in delivery.closes if event["data"]["kind"] in NAMES]
        await self._post(body)

    async def remind(self, standing: Sequence[tuple[Event, str]]) -> None:
        """Say again that these stand."""
        lasts = self._real_now() + self._spec.refresh * _MISSED_REFRESHES
        body = [_alert(event["data"], self._languages(name), lasts) for event, name in standing]
        for first in range(0, len(body), 500):
            await self._post(body[first : first + 500])

    def _languages(self, subscription: str) -> Sequence[str]:
        found = self._subscriptions.get(subscription)
        return languages(found.language) if found else ("zh",)

    async def _post(self, body: Sequence[dict[str, Any]]) -> None:
        if body:
            await self._http.post("/api/v2/alerts", encode_json(body), {"Content-Type": "application/json"})

    async def close(self) -> None:
        """Close its connections."""
        await self._http.close()


def _alert(
    alert: AlertData, wanted: Sequence[str], ends_at: int, *, level: str | None = None, test: bool = False
) -> dict[str, Any]:
    org = alert["org"] or {}
    labels = {
        "alertname": NAMES[alert["kind"]],
        "alert_id": alert["alert_id"],
        "rule": alert["rule"],
        "clause": alert["clause"],
        "chapter": str(alert["clause"]).partition("-")[0],
        "severity": alert["severity"],
        "kind": alert["kind"],
        **{level: org.get(level) for level in ("province", "city", "county", "unit")},
        "test": "true" if test else None,
    }
    annotations = {
        "summary": " / ".join(alert["title"][language] for language in wanted),
        "description": "\n".join(alert["explanation"][language] for language in wanted),
        "case_id": alert["case_id"],
        "subject": f"{alert['subject']['type']} {alert['subject']['id']}",
        "deadline": alert["deadline"],
        "evidence": ", ".join(alert["evidence"]),
        "escalated_to": level,
    }
    return {
        "labels": {name: str(value) for name, value in labels.items() if value},
        "annotations": {name: str(value) for name, value in annotations.items() if value},
        "endsAt": format_us(ends_at),
    }
