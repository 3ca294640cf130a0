"""Small stories for tests: events written as lines, judged by the shipped rulebook or another one.

    e1 2026-03-02T09:00 counter.service_started WO1 business=fee

is an event with that id, time (Shanghai unless it carries an offset), type, order, and fields. ``+5m`` or
``+5m1ms`` instead of a time counts from the first line's. ``recorded=`` takes either form (``true`` and
``false`` are a field of that name); ``meter=``, ``account=`` and ``batch=`` name other subjects, ``-`` no order.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from schemas.events import EventCatalogue
from streams.core.alerts import Alert
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.instants import format_us, instant_us
from streams.core.records import JudgedCase
from streams.core.rulebook import Rulebook
from streams.rulebooks.loader import LoadedRulebook, load_rulebook
from streams.wire.decoder import Decoder
from tests.once import once_each

SHANGHAI = ZoneInfo("Asia/Shanghai")
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
FAR = 4_000_000_000_000_000


FEE_RULES = """
chapter: W
title: {zh: 收费, en: Fees}
rules:
  - id: fee
    effective_from: 2023-08-23
    clauses: [W-S5]
    source: a test
    kind: deadline
    subject: order
    title: {zh: 收费, en: Fee}
    start: counter.service_started
    stop: counter.service_completed
    limit: LIMIT
"""
"""A rulebook of one rule; put its limit in."""


@cache
def shipped(*names: str) -> LoadedRulebook:
    """The shipped rulebook, or those of its rules that are named by id or kind (disabled ones then run too)."""
    if not names:
        return load_rulebook()
    loaded = shipped()
    rules = [rule for rule in loaded.rulebook.rules if {rule.id, rule.kind} & set(names)]
    assert rules, names
    named = [rule.model_copy(update={"enabled": True}) if rule.id in names else rule for rule in rules]
    return replace(loaded, rulebook=Rulebook(named, loaded.rulebook.calendar))


def moment(text: str, first: datetime | None = None) -> datetime:
    """``2026-03-02T09:00`` in Shanghai, with an offset as it says, or ``+1h5m`` after ``first``."""
    if text.startswith(("+", "-")) and first is not None:
        sign = -1 if text[0] == "-" else 1
        parts = re.findall(r"(\d+)(ms|d|h|m|s)", text[1:])
        assert "".join(n + u for n, u in parts) == text[1:], text
        return first + sign * timedelta(milliseconds=sum(int(n) * _UNITS[u] for n, u in parts))
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


def us(text: str) -> int:
    return instant_us(moment(text))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def wire(lines: str) -> list[dict[str, Any]]:
    """The events of a story as wire objects, in the order written."""
    found: list[dict[str, Any]] = []
    first: datetime | None = None
    for line in lines.strip().splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        event_id, at, event_type, order, *fields = words
        occurred = moment(at, first)
        first = first or occurred
        event: dict[str, Any] = {"event_id": event_id, "event_type": event_type, "occurred_at": occurred.isoformat()}
        if order != "-":
            event["order_id"] = order
        for field in fields:
            name, _, value = field.partition("=")
            if name == "recorded" and value not in ("true", "false"):
                event["recorded_at"] = moment(value, first).isoformat()
            elif name in ("account", "meter", "batch"):
                event[f"{name}_id"] = value
            else:
                event[name] = _value(value)
        found.append(event)
    return found


@once_each
def _decoder(catalogue: EventCatalogue) -> Decoder:
    return Decoder(catalogue)


def open_cases(engine: Engine) -> Counter[tuple[str, str | None]]:
    """The open cases of the subjects kept, by rule id and city."""
    return Counter(case for record in engine._records.values() for case in record.open)


def decoded(events: Iterable[dict[str, Any]], loaded: LoadedRulebook | None = None) -> list[Event]:
    decoder = _decoder((loaded or shipped()).catalogue)
    return [decoder.decode(json.dumps(event).encode(), received=FAR) for event in events]


@dataclass
class Judged:
    alerts: list[Alert]
    cases: list[JudgedCase]

    def told(self, *kinds: str) -> list[tuple[str, str, str]]:
        """``(rule, kind, instant it is about)`` of the alerts; without kinds, of all but warnings."""
        return [
            (alert.rule, alert.kind, local(alert.due_at))
            for alert in self.alerts
            if (alert.kind in kinds if kinds else alert.kind != "warning")
        ]

    def outcomes(self, rule: str | None = None) -> list[tuple[str, str | None]]:
        """``(outcome, deadline)`` of the cases, of one rule where it is named."""
        return [
            (case.verdict.outcome, None if case.verdict.deadline is None else local(case.verdict.deadline))
            for case in self.cases
            if rule is None or case.verdict.rule.id == rule
        ]

    def net(self) -> set[str]:
        """Ids of the reports that stand, warnings left out."""
        standing = {alert.alert_id for alert in self.alerts if alert.kind not in ("warning", "retraction")}
        return standing - {alert.retracts for alert in self.alerts if alert.retracts}


def local(instant: int) -> str:
    """``2026-03-02T09:00:00.000`` in Shanghai."""
    return format_us(instant, SHANGHAI)[: -len("+08:00")]


def judge(
    story: str | Sequence[dict[str, Any]], until: str, *, loaded: LoadedRulebook | None = None, arrival: bool = False
) -> Judged:
    """Judge a story as of an instant.

    Events come in order of time, the watermark stepping to every due instant; with ``arrival`` they come as
    written, each followed by a watermark at its ``recorded_at``.
    """
    loaded = loaded or shipped()
    events = decoded(wire(story) if isinstance(story, str) else story, loaded)
    if not arrival:
        events.sort(key=lambda event: event.order)
    engine = Engine(loaded.rulebook)
    alerts: list[Alert] = []
    end = us(until)

    def advance(to: int) -> None:
        alerts.extend(engine.advance_to(engine.watermark))
        while (due := engine.next_due) is not None and due <= to:
            alerts.extend(engine.advance_to(due))
        alerts.extend(engine.advance_to(to))

    for event in events:
        at = event.recorded if arrival else event.at
        if at > end:
            continue
        advance(at - 1)
        for subject, copy in loaded.rulebook.copies_of(event):
            engine.handle(subject, copy)
    advance(end)
    return Judged(alerts, list(engine.cases(end)))
