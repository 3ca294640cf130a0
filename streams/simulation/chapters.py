"""The six chapters' orders. Each maker first decides how its order goes, then emits its events.

Besides the events that a clock watches, makers emit those that other rules require: receipts, contacts, appointments,
notices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from streams.simulation.connection import connection, reply
from streams.simulation.order import DAY, HOUR, MS, Order, next_morning, pick
from streams.simulation.times import Pause, after, after_working_days, midnight, text

Maker = Callable[[Order, datetime], None]

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
    slip = order.slip("receipt-given") if business == "fee" and how in ("punctual", "exact", "late") else ""
    if business == "fee" and not slip:
        # Before the true end, which a correction sets earlier than the first entry.
        true_stop = at + limit if how == "corrected_to_met" else done
        order.emit("counter.receipt_issued", true_stop - timedelta(seconds=1))
    stop = order.emit("counter.service_completed", done, business=business)
    if slip and stop is not None:
        order.violate(slip, start)
    if rng.random() < 0.03:
        order.send_twice()
    # The same day, or by the office on the next one.
    entered = done + order.minutes(30, 240) if rng.random() < 0.5 else next_morning(done, rng)
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


# --- connection, capacity -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Dated:
    """Something agreed for a day at most ``longest`` days off; ``early``: it may be done on a day before."""

    rule: str
    start_type: str
    field: str
    stop_type: str
    longest: int
    early: bool


_GRID_PROJECT = _Dated("grid-project-on-time", "grid_project.agreed", "due_on", "grid_project.completed", 20, True)
_CAPACITY = _Dated("sealed-as-requested", "capacity.change_requested", "effective_on", "capacity.sealed", 8, False)


def grid_project(order: Order, at: datetime) -> None:
    """A grid project agreed for a day (B-S10)."""
    _by_date(order, at, _GRID_PROJECT)


def capacity(order: Order, at: datetime) -> None:
    """Capacity reduced from a day on (I-S5)."""
    _by_date(order, at, _CAPACITY)


def _by_date(order: Order, at: datetime, what: _Dated) -> None:
    """Done by the end of the day agreed, or later, or never."""
    day = at.date() + timedelta(days=order.rng.randint(0, what.longest))
    date_field: dict[str, Any] = {what.field: day.isoformat()}
    start = order.emit(what.start_type, at, **date_field)
    deadline = midnight(day + DAY)
    begins = at if what.early else max(at, midnight(day))
    how = pick(order.rng, (("punctual", 75), ("exact", 5), ("just_late", 5), ("late", 10), ("never", 5)))
    done = {
        "punctual": begins + (deadline - begins) * order.rng.uniform(0.1, 0.95) // MS * MS,
        "exact": deadline,
        "just_late": deadline + MS,
        "late": deadline + order.minutes(60, 3000),
    }.get(how)
    order.expect(what.rule, start, deadline, None if done is None else order.emit(what.stop_type, done))


# --- metering, reading ----------------------------------------------------------------------------------------


def calibration(order: Order, at: datetime) -> None:
    """A meter test, 5 working days (M-S8)."""
    _working_days(order, at, "calibration-5-working-days", "calibration.requested", "calibration.result_issued")


def dispute(order: Order, at: datetime) -> None:
    """A disputed bill, 5 working days (R-S6)."""
    _working_days(order, at, "reading-dispute-5-working-days", "reading.disputed", "reading.dispute_answered")


def _working_days(order: Order, at: datetime, rule: str, start_type: str, stop_type: str) -> None:
    start = order.emit(start_type, at)
    done = reply(order, at, 5, [])
    fields: dict[str, Any] = {"passed": order.rng.random() < 0.9} if stop_type == "calibration.result_issued" else {}
    stop = None if done is None else order.emit(stop_type, done, **fields)
    order.expect(rule, start, after_working_days(at, 5), stop)


def arrears(order: Order, at: datetime) -> None:
    """Arrears, a lawful disconnection, payment, and supply restored within 24 hours (R-S8)."""
    rng, account = order.rng, order.account or ""
    amount = f"{rng.randint(5000, 200_000) / 100:.2f}"
    slip = order.slip(
        "arrears-30-days", "verify-before-dunning", "dunning-content", "arrears-notice-7-days",
        "recheck-before-disconnection",
    )  # fmt: skip
    subject = ("account", account)
    since = at.date() - timedelta(days=20 if slip == "arrears-30-days" else 45)
    due = (at.date() + timedelta(days=10)).isoformat()
    order.emit("bill.overdue", at - 10 * DAY, since_on=since.isoformat(), amount=amount)
    verified = at - 9 * DAY + (2 * HOUR if slip == "verify-before-dunning" else timedelta(0))
    order.emit("arrears.customer_verified", verified)
    content: dict[str, Any] = {"amount": amount, "due_on": due, "proof_ref": "P1"}
    if slip == "dunning-content":
        del content["due_on"]
    dunned = order.emit("arrears.notice_delivered", at - 9 * DAY + HOUR, **content)
    if slip in ("verify-before-dunning", "dunning-content"):
        order.violate(slip, dunned, subject=subject)
    noticed = at - (4 * DAY if slip == "arrears-notice-7-days" else 8 * DAY + 2 * HOUR)
    order.emit(
        "disconnection.notice_delivered", noticed, cause="arrears", proof_ref="P2", amount=amount, due_on=due
    )  # fmt: skip
    if slip != "recheck-before-disconnection":
        order.emit("arrears.status_rechecked", at - HOUR / 2, owing=True)
    cut = order.emit("disconnection.performed", at, cause="arrears", customer_class="ordinary", prepay=False)
    if slip in ("arrears-30-days", "arrears-notice-7-days", "recheck-before-disconnection"):
        order.violate(slip, cut, subject=subject)
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
    order.expect("restore-after-payment", paid, paid_at + DAY, restored, subject=subject)


# --- repair ---------------------------------------------------------------------------------------------------

_AREAS = {"urban": 45, "rural": 90, "remote": 120}


def repair(order: Order, at: datetime) -> None:
    """A fault repaired; on site within 45, 90 or 120 minutes (F-R1)."""
    rng = order.rng
    area = pick(rng, (("urban", 60), ("rural", 30), ("remote", 10)))
    minutes = _AREAS[area]
    limit = timedelta(minutes=minutes)
    scope = rng.choice(("single", "multiple"))
    slip = order.slip(
        "two-calls-one-answer", "feedback-asked", *(("payment-check-first",) if scope == "single" else ())
    )
    start = order.emit("repair.reported", at, area=area, scope=scope)
    order.emit("repair.customer_contacted", at + order.minutes(0.5, 3), stage="received")
    order.emit("repair.dispatched", at + order.minutes(3, 5))
    checked = at + order.minutes(5, 6)
    if slip != "payment-check-first":
        order.emit("repair.payment_checked", checked)
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
    # No signal at the site: entered hours later, after the alert was sent.
    delay = order.minutes(60, 1200) if how == "offline" else timedelta(0)
    arrived = order.emit("repair.arrived", arrived_at, delay=delay)
    order.expect("repair-arrival", start, at + limit, arrived)
    if arrived is None:
        return
    if slip == "payment-check-first":
        order.violate(slip, arrived)
    called = arrived_at + order.minutes(0.5, 2)
    if slip != "two-calls-one-answer":
        order.emit("repair.customer_contacted", called, delay=delay, stage="arrived")
    restored = arrived_at + order.minutes(10, 150)
    order.emit("repair.supply_restored", restored, delay=delay)
    order.emit("repair.completed", restored + order.minutes(1, 5), delay=delay)
    order.emit("repair.customer_contacted", restored + order.minutes(5, 9), delay=delay, stage="completed")
    asked = restored + order.minutes(9, 15)
    if slip != "feedback-asked":
        order.emit("repair.feedback_asked", asked, delay=delay)
    closed = order.emit("repair.closed", restored + order.minutes(15, 30), delay=delay)
    if slip in ("two-calls-one-answer", "feedback-asked") and closed is not None:
        order.violate(slip, start)


def inspection(order: Order, at: datetime) -> None:
    """An inspection by appointment, by two, as it should be; no clock runs on it."""
    slip = order.slip("inspection-by-appointment", "two-inspectors")
    if slip != "inspection-by-appointment":
        order.emit("inspection.appointed", at - DAY, for_at=text(at))
    crew = 1 if slip == "two-inspectors" else 2
    done = order.emit(
        "inspection.performed", at, kind="routine", crew_size=crew, recorded=True, customer_present=True
    )  # fmt: skip
    if slip:
        order.violate(slip, done)


def replacement(order: Order, at: datetime) -> None:
    """A meter changed: in bulk after a week's notice, or singly by appointment; no clock runs on it."""
    rng = order.rng
    if rng.random() < 0.5:
        order.batch = f"B{order.number[2:]}"
        planned = (at - DAY * rng.randint(8, 15), at.date().isoformat())
        order.emit("meter.batch_filed", planned[0] - HOUR)
        order.emit("meter.batch_notice_posted", planned[0], meters=[order.meter], planned_on=planned[1])
        order.emit("meter.replaced", at, planned="batch", outage=False)
    else:
        slip = order.slip("sporadic-replacement-contact")
        if not slip:
            order.emit("meter.customer_contacted", at - 2 * DAY)
            order.emit("meter.replacement_appointed", at - 2 * DAY + HOUR / 12)
        done = order.emit("meter.replaced", at, planned="sporadic", outage=False)
        if slip:
            order.violate(slip, done)
    order.emit("meter.reading_photo_uploaded", at + order.minutes(1, 5), signed=True)
    order.emit("meter.wiring_verified", at + order.minutes(5, 15))
    order.emit("meter.removed", at + order.minutes(15, 20))
    order.emit("meter.stored", at + order.minutes(60, 180))


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
    ("replacement", 4, "metering", replacement),
    ("inspection", 4, "inspection", inspection),
)
"""Kind of order, weight, source system, maker."""

ROUND_THE_CLOCK: Final = frozenset({"repair"})
