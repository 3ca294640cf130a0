"""New connections, from the application to supply, and the steps limited to working days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from streams.simulation.order import DAY, HOUR, MS, Fact, Order, next_morning, pick
from streams.simulation.times import Pause, after_working_days, text

_CATEGORIES = (("residential", 45), ("low_voltage", 35), ("hv_single", 15), ("hv_dual", 5))
_SCHEME = {"residential": 3, "low_voltage": 8, "hv_single": 20, "hv_dual": 45}
_REVIEW = {"residential": 8, "low_voltage": 8, "hv_single": 20, "hv_dual": 20}
_MID = {"residential": 3, "low_voltage": 3, "hv_single": 5, "hv_dual": 5}
_COMPLETION = {"residential": 5, "low_voltage": 5, "hv_single": 7, "hv_dual": 7}
_ENERGIZE = {"residential": 3, "low_voltage": 5, "hv_single": 7, "hv_dual": 7}
_WHOLE = {"residential": 5, "low_voltage": 6, "hv_single": 22, "hv_dual": 32}


def reply(order: Order, start: datetime, days: int, pauses: list[Pause]) -> datetime | None:
    """When a step limited to some working days is done: mostly in time, sometimes at or after, or never."""
    how = pick(order.rng, (("punctual", 84), ("exact", 3), ("late", 10), ("never", 3)))
    deadline = after_working_days(start, days, pauses)
    if how == "never" or deadline is None:
        return None
    if how == "exact":
        return deadline
    if how == "late":
        return deadline + order.minutes(1, 60 * 72)
    begun = max([start, *(until for _, until in pauses if until)])
    return begun + (deadline - begun) * order.rng.uniform(0.2, 0.9) // MS * MS


def connection(order: Order, at: datetime) -> None:
    """A new connection from application to supply (B-R6, B-S10)."""
    category = pick(order.rng, _CATEGORIES)
    zero_cost = category == "low_voltage" and order.rng.random() < 0.6
    order.emit("application.received", at - order.minutes(5, 15))
    order.emit("application.notice_issued", at - order.minutes(1, 4))
    accepted = _accept(order, at, category, zero_cost)
    pauses: list[Pause] = []
    ended = _suspend_or_withdraw(order, at, pauses)
    run = _Connection(order, at, category, zero_cost, accepted, pauses)
    whole_days = 15 if zero_cost else _WHOLE[category]
    if ended is not None:
        run.withdraw(ended)
    stop = None if ended is not None else run.to_supply()
    order.expect("whole-connection", accepted, after_working_days(at, whole_days, pauses), stop, cancel=ended)


def _accept(order: Order, at: datetime, category: str, zero_cost: bool) -> Fact | None:
    """The acceptance, entered at once; or two days later, which is against W-R1."""
    if order.slip("acceptance-recorded-late"):
        late = order.emit("application.accepted", at, delay=2 * DAY, category=category, zero_cost=zero_cost)
        if late is not None:
            order.violate("acceptance-recorded-late", late)
            return late
    return order.emit("application.accepted", at, category=category, zero_cost=zero_cost)


def _survey(order: Order, at: datetime, done: datetime) -> None:
    """One survey an hour before the reply, appointed on the day of the application."""
    how = order.slip("survey-before-acceptance", "survey-by-appointment", "one-survey")
    appointed = at + order.minutes(5, 30)
    if how == "survey-before-acceptance":
        order.emit("survey.appointed", at - 26 * HOUR, for_at=text(at - 2 * HOUR))
        order.violate(how, order.emit("survey.performed", at - 2 * HOUR))
        return
    if how != "survey-by-appointment":
        order.emit("survey.appointed", appointed, for_at=text(done - HOUR))
    first = order.emit("survey.performed", done - HOUR)
    if how == "survey-by-appointment":
        order.violate(how, first)
    if how == "one-survey":
        order.emit("survey.appointed", done - HOUR / 2, for_at=text(done - HOUR / 4))
        order.violate(how, order.emit("survey.performed", done - HOUR / 4))


def _suspend_or_withdraw(order: Order, at: datetime, pauses: list[Pause]) -> Fact | None:
    """What the customer does before the reply; the withdrawal, where there is one."""
    how = pick(order.rng, (("nothing", 80), ("suspended", 14), ("withdrawn", 6)))
    then = next_morning(at, order.rng)
    if how == "withdrawn":
        return order.emit("application.withdrawn", then)
    if how == "suspended":
        until = next_morning(then + DAY * order.rng.randint(1, 6), order.rng)
        reason = order.rng.choice(("customer", "third_party", "force_majeure"))
        if order.emit("application.suspended", then, reason=reason):
            pauses.append((then, until if order.emit("application.resumed", until) else None))
    return None


@dataclass
class _Connection:
    """One connection after its acceptance; ``pauses`` are those of the whole: suspensions, the customer's own steps."""

    order: Order
    at: datetime
    category: str
    zero_cost: bool
    accepted: Fact | None
    pauses: list[Pause]

    @property
    def has_own_steps(self) -> bool:
        """Whether the customer builds something, for which the clock of the whole stands still."""
        return self.category != "residential" and not self.zero_cost

    def withdraw(self, ended: Fact) -> None:
        """Withdrawn before the reply."""
        deadline = after_working_days(self.at, _SCHEME[self.category], list(self.pauses))
        self.order.expect("scheme-reply", self.accepted, deadline, None, cancel=ended)

    def to_supply(self) -> Fact | None:
        """All steps to the supply; ``None`` where one of them never comes."""
        done = self._reply_to_scheme()
        if done is None:
            return None
        for step, days in self._inspections():
            finished = self._inspection(step, days, done)
            if finished is None:
                return None
            done, passed = finished
            if step != "completion_inspection" and self.has_own_steps:
                self.pauses.append((done, None))
        return self._energize(done, passed)

    def _reply_to_scheme(self) -> datetime | None:
        order, suspended = self.order, list(self.pauses)
        days = _SCHEME[self.category]
        done = None if suspended and suspended[-1][1] is None else reply(order, self.at, days, suspended)
        if done is not None and self.category != "residential":
            _survey(order, self.at, done)
        replied = None if done is None else order.emit("scheme.replied", done)
        order.expect("scheme-reply", self.accepted, after_working_days(self.at, days, suspended), replied)
        if done is None or replied is None:
            return None
        if self.has_own_steps:
            self.pauses.append((done, None))
        return done

    def _inspections(self) -> Iterator[tuple[str, int]]:
        if self.category.startswith("hv"):
            yield "design_review", _REVIEW[self.category]
            yield "mid_inspection", _MID[self.category]
        yield "completion_inspection", _COMPLETION[self.category]

    def _inspection(self, step: str, days: int, since: datetime) -> tuple[datetime, Fact] | None:
        """The customer asks for it some days after ``since``; when it was done, or ``None`` where it never was."""
        asked_at = next_morning(since + DAY * self.order.rng.randint(0, 4), self.order.rng)
        asked = self.order.emit(f"{step}.requested", asked_at)
        if asked is not None and self.pauses and self.pauses[-1][1] is None:
            self.pauses[-1] = (self.pauses[-1][0], asked_at)
        finished = reply(self.order, asked_at, days, [])
        passed = finished and self.order.emit(f"{step}.completed", finished, passed=True)
        self.order.expect(step.replace("_", "-"), asked, after_working_days(asked_at, days), passed or None)
        return (finished, passed) if finished is not None and passed else None

    def _energize(self, done: datetime, passed: Fact) -> Fact | None:
        signed = self.order.emit("contract.signed", done + self.order.minutes(-300, 600))
        is_still = bool(self.pauses) and self.pauses[-1][1] is None
        if self.has_own_steps and not is_still and (signed is None or signed.at > done):
            self.pauses.append((done, None if signed is None else signed.at))
        if signed is None:
            return None
        later = max(passed, signed, key=lambda fact: (fact.at, fact.event_id))
        live = reply(self.order, later.at, _ENERGIZE[self.category], [])
        energized = live and self.order.emit("connection.energized", live)
        deadline = after_working_days(later.at, _ENERGIZE[self.category])
        self.order.expect("energize", later, deadline, energized or None)
        return energized or None
