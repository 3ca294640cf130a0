"""New connections, from the application to supply, and the steps limited to working days."""

from __future__ import annotations

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
    rng = order.rng
    category = pick(rng, _CATEGORIES)
    zero_cost = category == "low_voltage" and rng.random() < 0.6
    own_steps = category != "residential" and not zero_cost
    order.emit("application.received", at - order.minutes(5, 15))
    order.emit("application.notice_issued", at - order.minutes(1, 4))
    accepted = _accept(order, at, category, zero_cost)
    pauses: list[Pause] = []  # of the whole connection
    ended = _suspend_or_withdraw(order, at, pauses)
    _connect(order, at, category, zero_cost, own_steps, accepted, pauses, ended)


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


def _connect(
    order: Order,
    at: datetime,
    category: str,
    zero_cost: bool,
    own_steps: bool,
    accepted: Fact | None,
    pauses: list[Pause],
    ended: Fact | None,
) -> None:
    def whole(stop: Fact | None) -> None:
        days = 15 if zero_cost else _WHOLE[category]
        order.expect("whole-connection", accepted, after_working_days(at, days, pauses), stop, cancel=ended)

    days = _SCHEME[category]
    suspended = list(pauses)
    deadline = after_working_days(at, days, suspended)
    if ended is not None:
        order.expect("scheme-reply", accepted, deadline, None, cancel=ended)
        whole(None)
        return
    done = None if suspended and suspended[-1][1] is None else reply(order, at, days, suspended)
    if done is not None and category != "residential":
        _survey(order, at, done)
    replied = None if done is None else order.emit("scheme.replied", done)
    order.expect("scheme-reply", accepted, deadline, replied)
    if done is None or replied is None:
        whole(None)
        return
    if own_steps:
        pauses.append((done, None))

    def requested(event_type: str, since: datetime) -> tuple[Fact | None, datetime]:
        asked = next_morning(since + DAY * order.rng.randint(0, 4), order.rng)
        fact = order.emit(event_type, asked)
        if fact is not None and pauses and pauses[-1][1] is None:
            pauses[-1] = (pauses[-1][0], asked)
        return fact, asked

    now = done
    if category.startswith("hv"):
        for step, table in (("design_review", _REVIEW), ("mid_inspection", _MID)):
            asked, now = requested(f"{step}.requested", now)
            finished = reply(order, now, table[category], [])
            told = finished and order.emit(f"{step}.completed", finished, passed=True)
            order.expect(step.replace("_", "-"), asked, after_working_days(now, table[category]), told or None)
            if not told or finished is None:
                whole(None)
                return
            now = finished
            if own_steps:
                pauses.append((now, None))
    asked, now = requested("completion_inspection.requested", now)
    finished = reply(order, now, _COMPLETION[category], [])
    passed = finished and order.emit("completion_inspection.completed", finished, passed=True)
    order.expect("completion-inspection", asked, after_working_days(now, _COMPLETION[category]), passed or None)
    if not passed or finished is None:
        whole(None)
        return
    signing = finished + order.minutes(-300, 600)
    signed = order.emit("contract.signed", signing)
    if signed is None:
        whole(None)
        return
    later = max(passed, signed, key=lambda fact: (fact.at, fact.event_id))
    live = reply(order, later.at, _ENERGIZE[category], [])
    energized = live and order.emit("connection.energized", live)
    order.expect("energize", later, after_working_days(later.at, _ENERGIZE[category]), energized or None)
    whole(energized or None)
