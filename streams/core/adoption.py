"""What a changed file of subscriptions makes of what the file before it began.

An alert was sent to a channel, and its people saw it. Where the subscription that sent it was renamed or removed,
another one of the same channel, the *heir*, sends what follows: a retraction must reach everybody who was told. What
still waited for a digest, for the end of quiet hours or for a step of its escalation goes on under each subscription
that asks for the alert. What nobody asks for any more is dropped.

Example: ``team`` sent a breach to ``desk`` and is renamed ``county-team``. The retraction goes to ``desk``, sent by
``county-team``; the breach that waited for 07:00 is sent at 07:00.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

from schemas.subscriptions import Subscription
from streams.core.delivery_case import CaseState, Waiting
from streams.core.delivery_message import Delivery
from streams.core.matching import AlertData, after_quiet, concerns


def adopt(case: CaseState, subscriptions: Mapping[str, Subscription], zone: ZoneInfo) -> None:
    """Give what belongs to subscriptions that are gone to others, in place; what has no heir is dropped.

    ``zone`` is that of quiet hours.
    """
    asked: dict[str, list[str]] = {}
    gone = {name for channels in case.sent_by.values() for name in channels.values()}
    gone |= {item.subscription for item in case.waiting} | {step.subscription for step in case.escalations}
    if gone <= subscriptions.keys():
        return
    for alert_id, event in case.events.items():
        asked[alert_id] = [name for name, item in subscriptions.items() if concerns(item.match, event["data"])]
        sent_by = case.sent_by.get(alert_id, {})
        for channel, name in sent_by.items():
            if name not in subscriptions:
                sent_by[channel] = heir_of(channel, (event["data"],), subscriptions) or name
    _adopt_waiting(case, subscriptions, zone, asked)
    kept = []
    for step in case.escalations:
        if step.subscription in subscriptions:
            kept.append(step)
            continue
        has = {one.subscription for one in (*case.escalations, *kept) if one.alert_id == step.alert_id}
        for name in asked.get(step.alert_id, ()):
            steps = subscriptions[name].escalate
            if name not in has and step.step < len(steps):
                due = None if step.due is None else step.sent_at + steps[step.step].after
                kept.append(replace(step, subscription=name, due=due))
                break
    case.escalations = kept


def _adopt_waiting(
    case: CaseState, subscriptions: Mapping[str, Subscription], zone: ZoneInfo, asked: Mapping[str, list[str]]
) -> None:
    """First what waits for itself, then what follows it."""
    kept = [item for item in case.waiting if item.subscription in subscriptions]
    for item in sorted(case.waiting, key=lambda item: bool(item.follows)):
        if item.subscription in subscriptions:
            continue
        if item.follows:
            heirs = [name for key in item.follows for name in case.sent_by.get(key, {}).values()]
            heirs += [one.subscription for one in kept if one.alert_id in item.follows]
        else:
            told = set(case.sent_by.get(item.alert_id, {}).values())
            heirs = [name for name in asked[item.alert_id] if name not in told]
        for name in dict.fromkeys(heirs):
            if name in subscriptions and not _waits(kept, name, item):
                is_red = case.events[item.alert_id]["data"]["severity"] == "red_line"
                due = after_quiet(subscriptions[name].quiet, zone, red=is_red, at=item.due)
                kept.append(replace(item, subscription=name, due=due))
    case.waiting = kept


def _waits(kept: list[Waiting], name: str, item: Waiting) -> bool:
    return any(
        one.subscription == name and one.alert_id == item.alert_id and bool(one.follows) == bool(item.follows)
        for one in kept
    )


def heir_of(
    channel: str, alerts: tuple[AlertData, ...], subscriptions: Mapping[str, Subscription], *, asked: bool = False
) -> str | None:
    """The subscription that sends to the channel in place of one that is gone, if there is one.

    The first in the file that asks for one of the alerts, else, unless it must have ``asked``, the first with it.
    """
    having = [
        item
        for item in subscriptions.values()
        if channel in item.channels or any(channel in step.channels for step in item.escalate)
    ]
    asking = [item for item in having if any(concerns(item.match, alert) for alert in alerts)]
    found = next(iter(asking if asked else (*asking, *having)), None)
    return None if found is None else found.name


def adopted(delivery: Delivery, subscriptions: Mapping[str, Subscription]) -> Delivery | None:
    """A message on its way, of a subscription that may be gone; ``None`` where nobody asks for it any more."""
    if delivery.subscription in subscriptions:
        return delivery
    alerts = tuple(event["data"] for event in delivery.events)
    name = heir_of(delivery.channel, alerts, subscriptions, asked=not delivery.follows)
    return None if name is None else replace(delivery, subscription=name)
