"""One simulated order: what it emits, and the verdicts that follow from how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from streams.simulation.times import midnight, text

CITIES: Final = {"3201": 4, "3202": 3, "3205": 4, "3206": 2, "3211": 2}
"""City code and its number of counties."""

MS: Final = timedelta(milliseconds=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

SLIP_PERCENT: Final = 12
"""The share of orders that take an unlawful variant, where violations are enabled."""


@dataclass(frozen=True, slots=True)
class Fact:
    """An event that was emitted: its id and instant."""

    event_id: str
    at: datetime


@dataclass
class Order:
    """Collects the events and expectations of one order, up to the instant ``as_of``."""

    number: str
    rng: Random
    as_of: datetime
    source: str
    account: str | None = None
    meter: str | None = None
    batch: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    expected: list[dict[str, Any]] = field(default_factory=list)
    slips: Random | None = None
    """Draws the unlawful variants, apart from ``rng``, so that orders stay the same without violations."""

    def __post_init__(self) -> None:
        city = self.rng.choice(sorted(CITIES))
        county = f"{city}{self.rng.randint(1, CITIES[city]):02d}"
        self.org = {"province": "32", "city": city, "county": county, "unit": f"U{self.rng.randint(1, 3):03d}"}
        self.staff = f"S{self.rng.randint(1, 400):04d}"

    def minutes(self, low: float, high: float) -> timedelta:
        """A random length, whole milliseconds."""
        return timedelta(milliseconds=self.rng.randint(round(low * 60_000), round(high * 60_000)))

    def emit(self, event_type: str, at: datetime, *, delay: timedelta = timedelta(0), **fields: Any) -> Fact | None:
        """One event, recorded ``delay`` later; ``None`` (and no event) where that is after the end."""
        recorded = at + delay
        if recorded > self.as_of:
            return None
        fact = Fact(f"{self.number}-{len(self.events) + 1:02d}", at)
        event: dict[str, Any] = {
            "event_id": fact.event_id,
            "event_type": event_type,
            "occurred_at": text(at),
            "recorded_at": text(recorded),
            "source": self.source,
        }
        event["order_id"] = self.number
        if self.account:
            event["account_id"] = self.account
        if self.meter:
            event["meter_id"] = self.meter
        if self.batch:
            event["batch_id"] = self.batch
        event |= {"org": self.org, "staff_id": self.staff, **fields}
        self.events.append(event)
        return fact

    def correct(self, wrong: Fact, event_type: str, at: datetime, *, recorded: datetime, **fields: Any) -> Fact | None:
        """A correction of an event, entered at ``recorded``; ``None`` where that is after the end."""
        return self.emit(event_type, at, delay=recorded - at, corrects=wrong.event_id, **fields)

    def send_twice(self) -> None:
        """Send the last event twice, byte for byte."""
        self.events.append(self.events[-1])

    def slip(self, *rules: str) -> str:
        """Which of these rules this order breaks: at most one, mostly none (an empty text)."""
        if self.slips is None or self.slips.randrange(100) >= SLIP_PERCENT:
            return ""
        return self.slips.choice(rules)

    def violate(self, rule: str, act: Fact | None, *, subject: tuple[str, str] | None = None) -> None:
        """Expect a violation by an act, without a deadline.

        Rules about a whole order or service are judged from its start: there ``act`` is that start.
        """
        if act is not None:
            self._row(rule, act, None, None, "violated", subject)

    def expect(
        self,
        rule: str,
        start: Fact | None,
        deadline: datetime | None,
        stop: Fact | None,
        *,
        cancel: Fact | None = None,
        subject: tuple[str, str] | None = None,
    ) -> None:
        """The verdict of one clock. ``start`` names the event as first sent, at the instant that is true."""
        if start is None:
            return
        stopped = None
        if cancel is not None and (deadline is None or cancel.at <= deadline):
            outcome = "cancelled"
        elif stop is not None:
            stopped = stop.at
            outcome = "met" if deadline is None or stop.at <= deadline else "met_late"
        else:
            outcome = "breached" if deadline is not None and deadline <= self.as_of else "running"
        self._row(rule, start, deadline, stopped, outcome, subject)

    def _row(
        self,
        rule: str,
        start: Fact,
        deadline: datetime | None,
        stopped: datetime | None,
        outcome: str,
        subject: tuple[str, str] | None,
    ) -> None:
        kind, number = subject or ("order", self.number)
        self.expected.append(
            {
                "rule": rule,
                "subject": {"type": kind, "id": number},
                "start_event_id": start.event_id,
                "started_at": text(start.at),
                "deadline": deadline and text(deadline),
                "stopped_at": stopped and text(stopped),
                "outcome": outcome,
                "as_of": text(self.as_of),
            }
        )


def next_morning(at: datetime, rng: Random) -> datetime:
    """Some time in office hours of the next day."""
    return midnight(at.date() + timedelta(days=1)) + timedelta(milliseconds=rng.randint(31_000_000, 60_000_000))


def pick(rng: Random, weighted: Sequence[tuple[str, int]]) -> str:
    """One of some names, by weight."""
    return rng.choices([name for name, _ in weighted], [weight for _, weight in weighted])[0]
