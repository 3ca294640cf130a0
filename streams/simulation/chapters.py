"""The six chapters' orders. Each maker decides first how its order will go, then writes it down.

Beside the events that a clock watches stand those that make the order lawful otherwise: receipts, contacts,
appointments, notices.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from streams.simulation.order import MS, Fact, Order, next_morning, pick
from streams.simulation.times import Pause, after, after_working_days, midnight, text

Maker = Callable[[Order, datetime], None]

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

_COUNTER = (
    ("punctual", 60), ("exact", 4), ("just_late", 4), ("late", 10), ("never", 4), ("paused", 6), ("paused_late", 2),
    ("paused_open", 1), ("lunch", 3), ("corrected_to_met", 3), ("corrected_to_late", 2), ("void_stop", 1),
    ("void_start", 1),
)  # fmt: skip


def fee(order: Order, at: datetime) -> None:
    """A payment at the counter, 5 minutes (W-S5)."""
    _service(order, at, "fee", "fee-5-minutes", 5)


def power(order: Order, at: datetime) -> None:
    """An application at the counter, 20 minutes (W-S5)."""
    _service(order, at, "power", "power-20-minutes", 20)


def _service(order: Order, at: datetime, business: str, rule: str, minutes: int) -> None:
    rng, limit = order.rng, timedelta(minutes=minutes)
    order.emit("counter.ticket_taken", at - order.minutes(1, 20))
    start = order.emit("counter.service_started", at, business=business)
    how = pick(rng, _COUNTER)
    pauses: list[Pause] = []
    if how.startswith("paused") or how == "lunch":
        since = at + order.minutes(0.5, minutes - 1)
        until = since + order.minutes(2, 40)
        order.emit("counter.interrupted", since, reason="lunch" if how == "lunch" else "system_failure")
        if how == "paused_open":
            order.expect(rule, start, None if since <= order.as_of else after(at, limit), None)
            return
        resumed = order.emit("counter.resumed", until)
        if how != "lunch":
            pauses = [(since, until if resumed else None)]
    deadline = after(at, limit, pauses)
    true_end = at + limit + sum(((u or s) - s for s, u in pauses), timedelta(0))
    done = {
        "punctual": at + order.minutes(0.5, minutes - 0.5),
        "exact": at + limit,
        "just_late": at + limit + MS,
        "late": at + limit + order.minutes(0.01, 30),
        "paused": true_end - order.minutes(0, 0.4),
        "paused_late": true_end + order.minutes(0.01, 5),
        "lunch": at + timedelta(minutes=45 + minutes),
        "corrected_to_met": at + limit + order.minutes(1, 30),
        "corrected_to_late": at + limit - order.minutes(0.1, 0.5),
        "void_stop": at + order.minutes(0.5, minutes - 0.5),
        "void_start": at + limit + order.minutes(1, 9),
    }.get(how)
    if done is None:
        order.expect(rule, start, deadline, None)
        return
    if business == "fee":
        order.emit("counter.receipt_issued", min(done, at + limit) - MS)
    stop = order.emit("counter.service_completed", done, business=business)
    if rng.random() < 0.03:
        order.send_twice()
    entered = done + order.minutes(30, 240)
    if stop is not None and start is not None:
        if how == "corrected_to_met":
            stop = order.correct(stop, "counter.service_completed", at + limit - MS, recorded=entered) or stop
        elif how == "corrected_to_late":
            stop = order.correct(stop, "counter.service_completed", at + limit + MS, recorded=entered) or stop
        elif how == "void_stop":
            if order.correct(stop, "counter.service_completed", done, recorded=entered, void=True):
                stop = None
        elif how == "void_start" and order.correct(start, "counter.service_started", at, recorded=entered, void=True):
            return
    order.expect(rule, start, deadline, stop)


# --- connection ---------------------------------------------------------------------------------------------

_CATEGORIES = (("residential", 45), ("low_voltage", 35), ("hv_single", 15), ("hv_dual", 5))
_SCHEME = {"residential": 3, "low_voltage": 8, "hv_single": 20, "hv_dual": 45}
_REVIEW = {"residential": 8, "low_voltage": 8, "hv_single": 20, "hv_dual": 20}
_MID = {"residential": 3, "low_voltage": 3, "hv_single": 5, "hv_dual": 5}
_COMPLETION = {"residential": 5, "low_voltage": 5, "hv_single": 7, "hv_dual": 7}
_ENERGIZE = {"residential": 3, "low_voltage": 5, "hv_single": 7, "hv_dual": 7}
_WHOLE = {"residential": 5, "low_voltage": 6, "hv_single": 22, "hv_dual": 32}


def _reply(order: Order, start: datetime, days: int, pauses: list[Pause]) -> datetime | None:
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
    accepted = order.emit("application.accepted", at, category=category, zero_cost=zero_cost)
    pauses: list[Pause] = []  # of the whole connection
    ended = _suspend_or_withdraw(order, at, pauses)
    _connect(order, at, category, zero_cost, own_steps, accepted, pauses, ended)


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
    done = None if suspended and suspended[-1][1] is None else _reply(order, at, days, suspended)
    if done is not None and category != "residential":
        order.emit("survey.appointed", at + order.minutes(5, 30), for_at=text(done - HOUR))
        order.emit("survey.performed", done - HOUR)
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
            finished = _reply(order, now, table[category], [])
            told = finished and order.emit(f"{step}.completed", finished, passed=True)
            order.expect(step.replace("_", "-"), asked, after_working_days(now, table[category]), told or None)
            if not told or finished is None:
                whole(None)
                return
            now = finished
            if own_steps:
                pauses.append((now, None))
    asked, now = requested("completion_inspection.requested", now)
    finished = _reply(order, now, _COMPLETION[category], [])
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
    live = _reply(order, later.at, _ENERGIZE[category], [])
    energized = live and order.emit("connection.energized", live)
    order.expect("energize", later, after_working_days(later.at, _ENERGIZE[category]), energized or None)
    whole(energized or None)


def grid_project(order: Order, at: datetime) -> None:
    """A grid project agreed for a day (B-S10)."""
    _by_date(order, at, "grid-project-on-time", "grid_project.agreed", "due_on", "grid_project.completed", 20)


def capacity(order: Order, at: datetime) -> None:
    """Capacity reduced from a day on (I-S5)."""
    _by_date(order, at, "sealed-as-requested", "capacity.change_requested", "effective_on", "capacity.sealed", 8)


def _by_date(order: Order, at: datetime, rule: str, start_type: str, name: str, stop_type: str, longest: int) -> None:
    day = at.date() + timedelta(days=order.rng.randint(0, longest))
    date_field: dict[str, Any] = {name: day.isoformat()}
    start = order.emit(start_type, at, **date_field)
    deadline = midnight(day + DAY)
    how = pick(order.rng, (("punctual", 75), ("exact", 5), ("just_late", 5), ("late", 10), ("never", 5)))
    done = {
        "punctual": at + (deadline - at) * order.rng.uniform(0.1, 0.95) // MS * MS,
        "exact": deadline,
        "just_late": deadline + MS,
        "late": deadline + order.minutes(60, 3000),
    }.get(how)
    order.expect(rule, start, deadline, None if done is None else order.emit(stop_type, done))


# --- metering, reading ----------------------------------------------------------------------------------------


def calibration(order: Order, at: datetime) -> None:
    """A meter test, 5 working days (M-S8)."""
    _working_days(order, at, "calibration-5-working-days", "calibration.requested", "calibration.result_issued")


def dispute(order: Order, at: datetime) -> None:
    """A disputed bill, 5 working days (R-S6)."""
    _working_days(order, at, "reading-dispute-5-working-days", "reading.disputed", "reading.dispute_answered")


def _working_days(order: Order, at: datetime, rule: str, start_type: str, stop_type: str) -> None:
    start = order.emit(start_type, at)
    done = _reply(order, at, 5, [])
    fields: dict[str, Any] = {"passed": order.rng.random() < 0.9} if stop_type == "calibration.result_issued" else {}
    stop = None if done is None else order.emit(stop_type, done, **fields)
    order.expect(rule, start, after_working_days(at, 5), stop)


def arrears(order: Order, at: datetime) -> None:
    """Arrears, a lawful disconnection, payment, and supply restored within 24 hours (R-S8)."""
    rng, account = order.rng, order.account or ""
    amount = f"{rng.randint(5000, 200_000) / 100:.2f}"
    since = at.date() - timedelta(days=45)
    due = (at.date() + timedelta(days=10)).isoformat()
    order.emit("bill.overdue", at - 10 * DAY, since_on=since.isoformat(), amount=amount)
    order.emit("arrears.customer_verified", at - 9 * DAY)
    order.emit("arrears.notice_delivered", at - 9 * DAY + HOUR, amount=amount, due_on=due, proof_ref="P1")
    order.emit(
        "disconnection.notice_delivered", at - 8 * DAY - 2 * HOUR, cause="arrears", proof_ref="P2", amount=amount
    )  # fmt: skip
    order.emit("arrears.status_rechecked", at - 30 * timedelta(minutes=1), owing=True)
    order.emit("disconnection.performed", at, cause="arrears", customer_class="ordinary", prepay=False)
    if rng.random() < 0.3:
        order.emit("bill.paid", at + order.minutes(10, 100), amount="1.00", owing=True)  # a part payment
    paid_at = at + order.minutes(120, 60 * 72)
    paid = order.emit("bill.paid", paid_at, amount=amount, owing=False)
    how = pick(rng, (("punctual", 78), ("exact", 4), ("just_late", 4), ("late", 9), ("never", 5)))
    done = {
        "punctual": paid_at + order.minutes(20, 1430),
        "exact": paid_at + DAY,
        "just_late": paid_at + DAY + MS,
        "late": paid_at + DAY + order.minutes(1, 3000),
    }.get(how)
    restored = None if done is None else order.emit("disconnection.restored", done)
    order.expect("restore-after-payment", paid, paid_at + DAY, restored, subject=("account", account))


# --- repair ---------------------------------------------------------------------------------------------------

_AREAS = {"urban": 45, "rural": 90, "remote": 120}


def repair(order: Order, at: datetime) -> None:
    """A fault repaired; on site within 45, 90 or 120 minutes (F-R1)."""
    rng = order.rng
    area = pick(rng, (("urban", 60), ("rural", 30), ("remote", 10)))
    minutes = _AREAS[area]
    limit = timedelta(minutes=minutes)
    start = order.emit("repair.reported", at, area=area, scope=rng.choice(("single", "multiple")))
    order.emit("repair.customer_contacted", at + order.minutes(0.5, 3), stage="received")
    order.emit("repair.dispatched", at + order.minutes(3, 5))
    order.emit("repair.payment_checked", at + order.minutes(5, 6))
    how = pick(rng, (("punctual", 72), ("exact", 4), ("just_late", 4), ("late", 12), ("never", 2), ("offline", 6)))
    arrived_at = {
        "exact": at + limit,
        "just_late": at + limit + MS,
        "late": at + limit + order.minutes(0.1, 90),
        "never": None,
    }.get(how, at + order.minutes(8, minutes))
    if arrived_at is None:
        order.expect("repair-arrival", start, at + limit, None)
        return
    # No signal at the site: entered hours later, when the alert had long gone out.
    delay = order.minutes(60, 480) if how == "offline" else timedelta(0)
    arrived = order.emit("repair.arrived", arrived_at, delay=delay)
    order.expect("repair-arrival", start, at + limit, arrived)
    if arrived is None:
        return
    order.emit("repair.customer_contacted", arrived_at + order.minutes(0.5, 2), delay=delay, stage="arrived")
    restored = arrived_at + order.minutes(10, 150)
    order.emit("repair.supply_restored", restored, delay=delay)
    order.emit("repair.completed", restored + order.minutes(1, 5), delay=delay)
    order.emit("repair.customer_contacted", restored + order.minutes(5, 9), delay=delay, stage="completed")
    order.emit("repair.feedback_asked", restored + order.minutes(9, 15), delay=delay)
    order.emit("repair.closed", restored + order.minutes(15, 30), delay=delay)


def inspection(order: Order, at: datetime) -> None:
    """An inspection by appointment, by two, as it should be; no clock runs on it."""
    order.emit("inspection.appointed", at - DAY, for_at=text(at))
    order.emit("inspection.performed", at, kind="routine", crew_size=2, recorded=True, customer_present=True)


MAKERS: Final[tuple[tuple[str, int, str, Maker], ...]] = (
    ("fee", 30, "counter", fee),
    ("power", 12, "counter", power),
    ("connection", 14, "marketing", connection),
    ("grid_project", 3, "marketing", grid_project),
    ("capacity", 4, "marketing", capacity),
    ("calibration", 5, "metering", calibration),
    ("dispute", 5, "marketing", dispute),
    ("arrears", 5, "marketing", arrears),
    ("repair", 18, "repair", repair),
    ("inspection", 4, "inspection", inspection),
)
"""Kind of order, weight, source system, maker."""

ROUND_THE_CLOCK: Final = frozenset({"repair"})
