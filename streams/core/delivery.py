"""Plans which alert is sent to which channel and when: alerts and acknowledgements in, deliveries out.

Theory of operation. State is kept by case, because later messages about a case depend on earlier ones. For each alert
that matches a subscription, a case holds the *channels* to which it was sent and the *subscriptions* where it is
*waiting* (for a digest, or for the end of quiet hours). The promises:

- an alert is sent to a channel once, however many subscriptions match it and however often it is read;
- a retraction goes exactly to the channels that got the alert it withdraws. Where the alert still waits, both are
  dropped. An alert whose retraction came first is never sent;
- a late completion goes to the channels that got the case's breaches, and to the subscriptions that match it;
- a breach or violation that is not retracted, completed or acknowledged is escalated one step when the step's time has
  passed, counted from the subscription's first message about it. A retracted completion opens the breach again;
- while it is silenced it is not escalated; steps that fell due meanwhile are taken when the silence ends.

``step`` takes the new input and the current instant: first all input is applied, then what is due is planned. So an
alert that is retracted in the same step is never sent. The plan names the changed rows; restoring the rows into an
empty planner gives the same planner. A case is forgotten ``keep`` after it was last touched, with no step to come.

Example: a breach at 14:03 for a subscription with ``digest: 15 min`` and ``escalate: after 30 min``. Sent 14:15; at
14:45, still open, sent to the county; completed at 15:10: sent to both, to the first in the digest of 15:15.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from schemas.limits import HOUR
from schemas.subscriptions import EscalationStep, Subscription, SubscriptionFile
from streams.core.adoption import adopt
from streams.core.delivery_case import (
    FOLLOWING,
    OPENING,
    CaseState,
    Escalation,
    Event,
    Waiting,
    data_of,
    kind_of,
)
from streams.core.delivery_message import Delivery, message_of
from streams.core.matching import after_quiet, concerns, release_at

MAX_DIGEST = 100
"""Most alerts in one message; more are split into several messages."""

ORPHAN_KEEP = HOUR
"""How long a completion or retraction is kept whose breach has not been read: it may still arrive."""


@dataclass(slots=True)
class Plan:
    """The result of one step. ``cases``, ``acknowledged`` and ``silences`` are the rows to write.

    ``silences`` has the end of each alert's silence; ``None`` where it is over.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    cases: set[str] = field(default_factory=set)
    acknowledged: dict[str, int] = field(default_factory=dict)
    silences: dict[str, int | None] = field(default_factory=dict)
    forgotten_acknowledgements: list[str] = field(default_factory=list)
    duplicates: int = 0
    unasked: int = 0

    def __bool__(self) -> bool:
        rows = self.acknowledged or self.forgotten_acknowledgements or self.silences
        return bool(self.deliveries or self.cases or rows)


class Planner:
    """The deliveries of one set of subscriptions. Instants are microseconds since the epoch, ``keep`` microseconds."""

    def __init__(self, file: SubscriptionFile, *, keep: int) -> None:
        self._subscriptions: dict[str, Subscription] = {item.name: item for item in file.subscriptions}
        self._order = {name: number for number, name in enumerate(self._subscriptions)}
        self._zone = ZoneInfo(file.zone)
        self._there = frozenset(file.channels)
        self._keep = keep
        self.cases: dict[str, CaseState] = {}
        self.acknowledged: dict[str, int] = {}
        self.silenced: dict[str, int] = {}
        self._timers: list[tuple[int, str]] = []

    # -- state -------------------------------------------------------------------------------------------

    def restore(
        self, cases: Mapping[str, CaseState], acknowledged: Mapping[str, int], silenced: Mapping[str, int]
    ) -> None:
        """Restore from rows. What belongs to subscriptions that are gone goes to others (``adoption``)."""
        self.cases = dict(cases)
        self.acknowledged = dict(acknowledged)
        self.silenced = dict(silenced)
        self._timers = []
        for case_id, case in self.cases.items():
            adopt(case, self._subscriptions, self._zone)
            case.escalations = [
                item for item in case.escalations if self._next_step(item) and item.alert_id not in acknowledged
            ]
            self._schedule(case_id, case)

    def waiting(self) -> int:
        """The number of alerts that wait for a digest or for the end of quiet hours."""
        return sum(len(case.waiting) for case in self.cases.values())

    def firing_on(self, channel: str, *, since: Mapping[str, int], now: int) -> list[tuple[Event, str]]:
        """Alerts that are still active, each with the subscription that reported it to the channel.

        Only those reported there at or after the instant in ``since`` for their kind; other kinds are left out. A
        warning is active until its deadline, a violation until it is acknowledged.
        """
        return [
            (case.events[alert_id], case.sent_by[alert_id][channel])
            for case in self.cases.values()
            for alert_id, channels in case.sent.items()
            if channel in channels
            and channels[channel] >= since.get(kind_of(case.events[alert_id]), now + 1)
            and case.is_firing(alert_id, now)
            and not (kind_of(case.events[alert_id]) == "violation" and alert_id in self.acknowledged)
        ]

    # -- steps -------------------------------------------------------------------------------------------

    def step(
        self,
        now: int,
        alerts: Iterable[Event] = (),
        acknowledged: Iterable[str] = (),
        silenced: Iterable[tuple[str, int]] = (),
    ) -> Plan:
        """Apply all input up to ``now``, then plan everything that is due.

        ``silenced`` are alerts with the instant at which their silence ends, in order: the last entry of an alert
        counts.
        """
        plan = Plan()
        self._silence(silenced, now, plan)
        for alert_id in acknowledged:
            if alert_id not in self.acknowledged:
                self.acknowledged[alert_id] = now
                plan.acknowledged[alert_id] = now
        if plan.acknowledged:
            self._end_escalations(plan)
        for event in alerts:
            self._take(event, now, plan)
        self._release(now, plan)
        return plan

    def _end_escalations(self, plan: Plan) -> None:
        """At once: a step may be due later than the acknowledgement is remembered."""
        for case_id, case in self.cases.items():
            kept = [item for item in case.escalations if item.alert_id not in plan.acknowledged]
            if len(kept) < len(case.escalations):
                case.escalations = kept
                plan.cases.add(case_id)
                self._schedule(case_id, case)

    def _silence(self, silenced: Iterable[tuple[str, int]], now: int, plan: Plan) -> None:
        for alert_id, until in silenced:
            plan.silences[alert_id] = until if until > now else None
            if until > now:
                self.silenced[alert_id] = until
            else:
                self.silenced.pop(alert_id, None)
        if plan.silences:  # the next step of their cases may fall due earlier or later than before
            for case_id, case in self.cases.items():
                if any(item.alert_id in plan.silences for item in case.escalations):
                    self._schedule(case_id, case)

    def failed(self, delivery: Delivery) -> set[str]:
        """A delivery failed for good: its alerts count as not sent to that channel. Returns the changed cases."""
        changed = set()
        for event in delivery.events:
            data = data_of(event)
            case = self.cases.get(data["case_id"])
            if case is not None and case.sent.get(data["alert_id"], {}).pop(delivery.channel, None) is not None:
                changed.add(data["case_id"])
        return changed

    def wanted(self, delivery: Delivery) -> Delivery | None:
        """The message without follow-ups of alerts that did not reach the channel; ``None`` where nothing is left.

        Asked just before it is sent: an alert that was planned before it may have been given up since.
        """
        events = tuple(event for event in delivery.events if self._is_wanted(delivery, event))
        return replace(delivery, events=events) if events else None

    def _is_wanted(self, delivery: Delivery, event: Event) -> bool:
        data = data_of(event)
        case = self.cases.get(data["case_id"])
        if data["kind"] not in FOLLOWING or case is None:
            return True
        if data["kind"] == "retraction":
            targets = [data["retracts"]]
        else:
            asking = self._subscriptions.get(delivery.subscription)
            targets = [key for key in delivery.follows if key in case.events]
            if not targets or (asking is not None and concerns(asking.match, data)):
                return True
        return any(delivery.channel in case.sent.get(key, {}) for key in targets)

    def _take(self, event: Event, now: int, plan: Plan) -> None:
        data = data_of(event)
        alert_id, case_id, kind = data["alert_id"], data["case_id"], data["kind"]
        known = self.cases.get(case_id)
        if known is not None and alert_id in known.events:
            plan.duplicates += 1
            return
        asked = [item for item in self._subscriptions.values() if concerns(item.match, data)]
        if known is None and not asked and kind not in FOLLOWING:
            plan.unasked += 1
            return
        case = known or self.cases.setdefault(case_id, CaseState())
        case.events[alert_id] = event
        case.touched = now
        plan.cases.add(case_id)
        if kind == "retraction":
            self._retract(case, event, now)
        elif alert_id not in case.retracted:
            for item in asked:
                self._wait(case, item, event, now)
            if kind == "late_completion":
                breaches = [key for key, other in case.events.items() if kind_of(other) == "breach"]
                self._follow(case, event, breaches, now)
            elif kind == "breach" and asked:
                for key, other in case.events.items():  # that came before what it completes
                    if kind_of(other) == "late_completion" and key not in case.retracted:
                        self._follow(case, other, [alert_id], now)
        self._pause_escalations(case, now)
        self._schedule(case_id, case)

    def _wait(self, case: CaseState, item: Subscription, event: Event, now: int, follows: Sequence[str] = ()) -> None:
        data = data_of(event)
        due = release_at(item, self._zone, data["severity"], now)
        case.waiting.append(Waiting(item.name, data["alert_id"], due, due > now, tuple(follows)))

    def _follow(self, case: CaseState, event: Event, targets: Sequence[str], now: int) -> None:
        """Queue a follow-up for every subscription that sent ``targets`` or has them waiting."""
        names = {name for key in targets for name in case.sent_by.get(key, {}).values()}
        names |= {item.subscription for item in case.waiting if item.alert_id in targets}
        for name in sorted(names & set(self._subscriptions)):
            self._wait(case, self._subscriptions[name], event, now, targets)

    def _retract(self, case: CaseState, event: Event, now: int) -> None:
        target = data_of(event)["retracts"]
        case.retracted.add(target)
        case.waiting = [item for item in case.waiting if item.alert_id != target]
        case.escalations = [item for item in case.escalations if item.alert_id != target]
        self._follow(case, event, [target], now)

    def _pause_escalations(self, case: CaseState, now: int) -> None:
        """Stop the escalation of completed breaches; resume it where the completion was retracted."""
        for item in case.escalations:
            if not case.is_open(item.alert_id):
                item.due = None
            elif item.due is None:
                item.due = max(now, item.sent_at + self._steps(item)[item.step].after)

    def _steps(self, item: Escalation) -> tuple[EscalationStep, ...]:
        found = self._subscriptions.get(item.subscription)
        return found.escalate if found else ()

    def _next_step(self, item: Escalation) -> EscalationStep | None:
        steps = self._steps(item)
        return steps[item.step] if item.step < len(steps) else None

    # -- what is due -------------------------------------------------------------------------------------

    def _schedule(self, case_id: str, case: CaseState) -> None:
        dues = [item.due for item in case.waiting]
        steps = ((item.alert_id, item.due) for item in case.escalations if item.due is not None)
        dues += [max(due, self.silenced.get(alert_id, due)) for alert_id, due in steps]
        heapq.heappush(self._timers, (min(dues, default=case.touched + self._kept(case)), case_id))

    def _kept(self, case: CaseState) -> int:
        is_orphan = all(kind_of(event) in FOLLOWING for event in case.events.values()) and not case.sent
        return min(self._keep, ORPHAN_KEEP) if is_orphan else self._keep

    def next_due(self) -> int | None:
        """The latest instant for the next call of ``step`` without new input; may be too early, never too late."""
        return self._timers[0][0] if self._timers else None

    def _release(self, now: int, plan: Plan) -> None:
        due: set[str] = set()
        while self._timers and self._timers[0][0] <= now:
            due.add(heapq.heappop(self._timers)[1])
        ready: dict[str, list[tuple[CaseState, Waiting]]] = {name: [] for name in self._subscriptions}
        for case_id in sorted(due & set(self.cases)):
            case = self.cases[case_id]
            for item in case.waiting:
                if item.due <= now:
                    ready[item.subscription].append((case, item))
                    plan.cases.add(case_id)
            case.waiting = [item for item in case.waiting if item.due > now]
        for name, items in ready.items():
            self._report(self._subscriptions[name], items, now, plan)
        for case_id in sorted(due & set(self.cases)):
            case = self.cases[case_id]
            self._escalate(case_id, case, now, plan)
            goes_up = any(item.due is not None for item in case.escalations)
            if not case.waiting and not goes_up and case.touched + self._kept(case) <= now:
                del self.cases[case_id]
                plan.cases.add(case_id)
            else:
                self._schedule(case_id, case)
        for alert_id in [key for key, at in self.acknowledged.items() if at + self._keep <= now]:
            del self.acknowledged[alert_id]
            plan.forgotten_acknowledgements.append(alert_id)
        for alert_id in [key for key, until in self.silenced.items() if until <= now]:
            del self.silenced[alert_id]
            plan.silences[alert_id] = None

    def _report(
        self, subscription: Subscription, items: Sequence[tuple[CaseState, Waiting]], now: int, plan: Plan
    ) -> None:
        messages: dict[str, list[tuple[CaseState, Waiting]]] = {}
        for case, item in items:
            # The channels of each alert are decided here, one by one: a follow-up in the same digest sees the earlier
            # ones.
            for channel in self._channels(subscription, case, item):
                sent = case.sent.setdefault(item.alert_id, {})
                if channel in sent:
                    continue
                sent[channel] = now
                case.sent_by.setdefault(item.alert_id, {})[channel] = subscription.name
                messages.setdefault(channel, []).append((case, item))
            is_new = not item.follows and item.alert_id not in self.acknowledged
            if is_new and subscription.escalate and kind_of(case.events[item.alert_id]) in OPENING:
                due = now + subscription.escalate[0].after if case.is_open(item.alert_id) else None
                case.escalations.append(Escalation(subscription.name, item.alert_id, now, 0, due))
        for channel, found in messages.items():
            held = [pair for pair in found if pair[1].held]
            for pair in found:
                if not pair[1].held:
                    plan.deliveries.append(message_of(subscription.name, channel, [pair], now))
            for first in range(0, len(held), MAX_DIGEST):
                plan.deliveries.append(message_of(subscription.name, channel, held[first : first + MAX_DIGEST], now))

    def _channels(self, subscription: Subscription, case: CaseState, item: Waiting) -> Sequence[str]:
        if not item.follows:
            return subscription.channels
        # Only channels to which this subscription (or a step) sent, and that are there: one serves each channel.
        told = {
            channel
            for key in item.follows
            for channel in case.sent.get(key, {})
            if case.sent_by.get(key, {}).get(channel) == subscription.name
        }
        return sorted(told & self._there)

    def _escalate(self, case_id: str, case: CaseState, now: int, plan: Plan) -> None:
        kept = []
        # Where two escalate to one channel at once, the first in the file sends.
        for item in sorted(case.escalations, key=lambda item: self._order[item.subscription]):
            if item.alert_id not in self.acknowledged:
                is_silent = self.silenced.get(item.alert_id, now) > now
                if item.due is not None and item.due <= now and not is_silent:
                    plan.cases.add(case_id)
                    self._escalate_step(case, item, now, plan)
                if self._next_step(item) is not None:
                    kept.append(item)
        if kept != case.escalations:
            plan.cases.add(case_id)
        case.escalations = kept

    def _escalate_step(self, case: CaseState, item: Escalation, now: int, plan: Plan) -> None:
        subscription = self._subscriptions[item.subscription]
        event = case.events[item.alert_id]
        is_red = data_of(event)["severity"] == "red_line"
        sent = case.sent.setdefault(item.alert_id, {})
        while (step := self._next_step(item)) is not None:
            item.due = after_quiet(subscription.quiet, self._zone, red=is_red, at=max(now, item.sent_at + step.after))
            if item.due > now:
                return
            for channel in step.channels:
                if channel not in sent:
                    sent[channel] = now
                    case.sent_by.setdefault(item.alert_id, {})[channel] = item.subscription
                    plan.deliveries.append(
                        Delivery(channel, item.subscription, item.alert_id, (event,), now, level=step.to)
                    )
            case.touched = now
            item.step += 1
