"""Alertmanager, by its v2 API.

Alertmanager identifies an alert by its labels, so each alert carries its ``alert_id`` as a label; the other labels are
closed sets to route, group and silence by (``group_by: [rule, city]``). An alert fires until a completion or retraction
resolves it, or until it was not refreshed three times, so nothing fires for ever after the notifier died. Refreshing
a warning ends at its deadline; refreshing a violation, which nothing completes, ends when it is acknowledged or after
``violation_hold``.

An alert whose message could not be delivered is sent with the next refresh for as long as it holds.

Times are real ones, also under a scaled clock: an alert starts at the instant at which it fell due (a breach's
deadline).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from schemas.subscriptions import AlertmanagerChannel, OrgLevel, Subscription
from streams.core.delivery_case import Event
from streams.core.delivery_message import Delivery
from streams.core.instants import format_us, instant_us
from streams.core.matching import AlertData
from streams.core.notices import NO_NAMES, Names, doubt_of, languages, place_of
from streams.notify.channels.http import Http
from streams.wall_clock import WallClock
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
        name: str,
        http: Http,
        spec: AlertmanagerChannel,
        subscriptions: dict[str, Subscription],
        clock: WallClock,
        names: Names = NO_NAMES,
    ) -> None:
        """``name`` is the channel's, ``clock`` that of the alerts."""
        self._name = name
        self._names = names
        self._http = http
        self._spec = spec
        self._subscriptions = subscriptions
        self._clock = clock

    @property
    def refresh_us(self) -> int:
        """How often alerts are refreshed."""
        return self._spec.refresh

    @property
    def holds_us(self) -> Mapping[str, int]:
        """How long alerts are refreshed, by kind."""
        return {"breach": self._spec.hold, "warning": self._spec.hold, "violation": self._spec.violation_hold}

    async def deliver(self, delivery: Delivery, *, test: bool = False) -> None:
        """Fire new alerts, resolve ended ones; see ``Channel``."""
        wanted = self._languages(delivery.subscription)
        level = delivery.level or self._level(delivery.subscription)
        over = {event["data"]["alert_id"] for event in delivery.closes}
        firing = [event for event in (*delivery.events, *delivery.opens) if event["data"]["kind"] in NAMES]
        body = [
            {**self._alert(event["data"], wanted, level=level, test=test), **self._times(event["data"])}
            for event in firing
            if event["data"]["alert_id"] not in over
        ]
        body += [
            {**self._alert(event["data"], wanted, level=level), **self._times(event["data"], is_over=True)}
            for event in delivery.closes
            if event["data"]["kind"] in NAMES
        ]
        await self._post(body)

    async def remind(self, standing: Sequence[tuple[Event, str]]) -> None:
        """Refresh alerts that still hold."""
        body = [
            {
                **self._alert(event["data"], self._languages(name), level=self._level(name)),
                **self._times(event["data"]),
            }
            for event, name in standing
        ]
        for first in range(0, len(body), 500):
            await self._post(body[first : first + 500])

    def _times(self, alert: AlertData, *, is_over: bool = False) -> dict[str, str]:
        """When it starts and ends: in real time, whatever the clock of the alerts."""
        now = self._clock.real(self._clock.now())
        starts = min(now, self._real(alert["due_at"]))
        ends = now if is_over else now + self._spec.refresh * _MISSED_REFRESHES
        if alert["kind"] == "warning" and alert["deadline"] is not None:
            ends = min(ends, max(now, self._real(alert["deadline"])))
        return {"startsAt": format_us(starts), "endsAt": format_us(ends)}

    def _real(self, moment: str) -> int:
        return self._clock.real(instant_us(datetime.fromisoformat(moment)))

    def _languages(self, subscription: str) -> Sequence[str]:
        found = self._subscriptions.get(subscription)
        return languages(found.language) if found else ("zh",)

    def _level(self, subscription: str) -> OrgLevel | None:
        """To whom a subscription escalates through this channel: it is one of its own channels, or of one step."""
        found = self._subscriptions.get(subscription)
        steps = found.escalate if found else ()
        return next((step.to for step in steps if self._name in step.channels), None)

    def _alert(
        self, alert: AlertData, wanted: Sequence[str], *, level: str | None = None, test: bool = False
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
            "description": "\n".join(doubt_of(alert, language) + alert["explanation"][language] for language in wanted),
            "place": " / ".join(place_of(alert, language, self._names) for language in wanted) if self._names else None,
            "case_id": alert["case_id"],
            "subject": f"{alert['subject']['type']} {alert['subject']['id']}",
            "deadline": alert["deadline"],
            "evidence": ", ".join(alert["evidence"]),
            "escalated_to": level,
        }
        return {
            "labels": {name: str(value) for name, value in labels.items() if value},
            "annotations": {name: str(value) for name, value in annotations.items() if value},
        }

    async def _post(self, body: Sequence[dict[str, Any]]) -> None:
        if body:
            await self._http.post("/api/v2/alerts", encode_json(body), {"Content-Type": "application/json"})

    async def close(self) -> None:
        """Close its connections."""
        await self._http.close()
