"""What the live board shows: open cases, alerts and acknowledgements in; a bounded view of them out.

A *view* is a pure function of the input so far, a filter and an instant. The order of the input does not matter, and
duplicates have no effect. After the first view only the difference between two views is sent (``difference``); the page
applies it to the view that it has.

Example. Filter ``city=3201``, three cases shown at most: the view lists the three of that city with the nearest
deadlines, counts all of them, and names the counties that a narrower filter may choose. When the first of them is met,
the difference removes one case, adds one, and has the new counts.

Bounds: ``KEPT`` alerts with their endings, ``KEPT`` ids with their acknowledgements, at most ``MOST`` rows of each
list.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush, nlargest, nsmallest
from itertools import chain
from typing import Any, Final, Literal

from schemas.base import Text
from schemas.limits import MINUTE
from streams.core.alerts import Subject
from streams.core.counted_day import within_limit_day
from streams.core.filters import Filter, choices_of
from streams.core.open_cases import OpenCase, OpenCases, Place
from streams.core.working_days import WorkingCalendar

KEPT: Final = 20_000
MOST: Final = 500
ROWS: Final = 24
_ACKS_SHOWN: Final = 5
_ACKS_KEPT: Final = 100
_RUNNING, _SOON, _OVERDUE = range(3)
_TODAY: Final = (
    "breaches_reported_today",
    "breaches_due_today",
    "violations_reported_today",
    "violations_due_today",
    "red_lines_reported_today",
    "red_lines_due_today",
)
ROW_COUNTS: Final = ("running", "due_1_h", "overdue", *_TODAY)
"""The figures of a row; they mean what they mean in ``COUNTS``."""

_BESIDE: Final = ("beside", "handover")
_PLACES: Final = {name: place for place, name in enumerate(ROW_COUNTS)}

Row = tuple[str, tuple[int, ...]]
"""A code, and the ``ROW_COUNTS`` of it."""


@dataclass(frozen=True, slots=True)
class BoardAlert:
    """The parts of an alert that the board shows. Instants are microseconds since the epoch."""

    alert_id: str
    case_id: str
    kind: str
    rule: str
    clause: str
    severity: str
    title: Text
    subject: Subject
    place: Place
    started_at: int
    due_at: int
    detected_at: int
    sentence: Text
    retracts: str | None = None
    incomplete: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Acknowledgement:
    """What a person did about an alert, or noted: who, what and when (microseconds).

    ``to`` is whom it is assigned to, empty in other actions; ``until`` when a silence ends, 0 in other actions.
    """

    at: int
    by: str
    action: str
    note: str
    to: str = ""
    until: int = 0


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """A breach or violation with its ending and its acknowledgements.

    ``ending`` is the sentence of the late completion or the retraction. ``acks`` are the last few and the last of
    each action, oldest first.
    """

    alert: BoardAlert
    state: Literal["open", "completed_late", "retracted"]
    ending: Text | None
    acks: tuple[Acknowledgement, ...]


@dataclass(frozen=True, slots=True)
class View:
    """The view of one filter at one instant.

    ``cases`` and ``alerts`` stand in the order shown. ``places`` counts by the level under the filter's, ``rules`` by
    rule. ``choices`` are the codes available for each level of the filter. ``cities`` counts those whose position is
    known, all of the filter's province, also where the filter names one of them.
    """

    cases: Mapping[str, OpenCase] = field(default_factory=dict)
    alerts: Mapping[str, ShownAlert] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    places: Sequence[Row] = ()
    rules: Sequence[Row] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cities: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """The change from one view to the next: new or changed items, and the ids of removed ones."""

    cases: tuple[OpenCase, ...]
    cases_gone: tuple[str, ...]
    alerts: tuple[ShownAlert, ...]
    alerts_gone: tuple[str, ...]
    counts: Mapping[str, int] | None
    places: Sequence[Row] | None
    rules: Sequence[Row] | None
    choices: Mapping[str, Sequence[str]] | None
    cities: Sequence[Row] | None


def difference(old: View, new: View) -> Change | None:
    """The difference of two views; ``None`` where they are equal."""
    change = Change(
        tuple(case for key, case in new.cases.items() if old.cases.get(key) != case),
        tuple(key for key in old.cases if key not in new.cases),
        tuple(alert for key, alert in new.alerts.items() if old.alerts.get(key) != alert),
        tuple(key for key in old.alerts if key not in new.alerts),
        None if old.counts == new.counts else new.counts,
        None if old.places == new.places else new.places,
        None if old.rules == new.rules else new.rules,
        None if old.choices == new.choices else new.choices,
        None if old.cities == new.cities else new.cities,
    )
    return change if change != _NOTHING else None


_NOTHING: Final = Change((), (), (), (), None, None, None, None, None)
COUNTS: Final = (
    "running",
    "untimed",
    "overdue",
    "due_15_min",
    "due_1_h",
    "due_today",
    "due_in_shift",
    *_TODAY,
    "unacknowledged_breaches_today",
    "unacknowledged_violations_today",
    "unacknowledged_today",
)
"""The figures of a view, of alerts that were not retracted.

*Reported today* is by the instant of detection, *due today* by the deadline that passed or the act that was against the
rule, on its day by ``counted_day``: a deadline at 24:00 is of the day that ends. So what became due at the end of
yesterday, or was entered days late, is reported today and not due today. The ``unacknowledged_`` ones are of what was
reported today.
"""


def ids_of(item: OpenCase | BoardAlert) -> tuple[str, ...]:
    """The ids by which an item can be found."""
    own = (item.case_id,) if isinstance(item, OpenCase) else (item.alert_id, item.case_id)
    return (item.subject[1], *own)


class Board:
    """The input so far, bounded. ``version`` grows with every change; ``kept`` alerts are kept, newest first.

    ``ids_of`` gives the ids as a page shows them; only these can be searched for. ``placed`` are the codes of
    organisations whose position is known.
    """

    def __init__(
        self,
        running: OpenCases,
        calendar: WorkingCalendar,
        *,
        kept: int = KEPT,
        ids_of: Callable[[OpenCase | BoardAlert], tuple[str, ...]] = ids_of,
        placed: Set[str] = frozenset(),
    ) -> None:
        self.running = running
        self.is_reading = False
        """Whether alerts of before are still being read, so that a view lacks some."""
        self._placed = placed
        self._ids_of = ids_of
        self._calendar = calendar
        self._kept = kept
        self._told: dict[str, BoardAlert] = {}
        self._oldest: list[tuple[int, str]] = []
        self._late: dict[str, dict[str, BoardAlert]] = {}
        self._retracted: dict[str, BoardAlert] = {}
        self._acks: dict[str, set[Acknowledgement]] = {}
        self._unknown: dict[str, int] = {}
        self._changes = 0

    @property
    def version(self) -> tuple[int, int, int]:
        """A value that changes whenever a view may change, other than by time."""
        return id(self.running), self.running.version, self._changes

    # -- take in -----------------------------------------------------------------------------------------

    def take_alert(self, alert: BoardAlert) -> None:
        """Add one alert of any kind. Warnings are ignored: the board shows the time left of each limit."""
        if alert.rule not in self.running.rules:
            self._unknown[alert.rule] = max(alert.detected_at, self._unknown.get(alert.rule, alert.detected_at))
            _trim(self._unknown, ROWS)
        match alert.kind:
            case "breach" | "violation":
                if alert.alert_id in self._told:
                    return
                self._told[alert.alert_id] = alert
                heappush(self._oldest, (alert.detected_at, alert.alert_id))
                if len(self._oldest) > self._kept:
                    del self._told[heappop(self._oldest)[1]]
            case "late_completion":
                self._late.setdefault(alert.case_id, {})[alert.alert_id] = alert
                _trim(self._late, self._kept)
            case "retraction" if alert.retracts is not None:
                self._retracted[alert.retracts] = alert
                _trim(self._retracted, self._kept)
            case _:
                return
        self._changes += 1

    def take_ack(self, alert_id: str, ack: Acknowledgement) -> None:
        """Add an acknowledgement or a note; it may come before its alert."""
        said = self._acks.setdefault(alert_id, set())
        said.add(ack)
        if len(said) > _ACKS_KEPT:
            # What was done says how the alert stands; a note says no more than itself.
            said.remove(min(said, key=lambda one: (one.action != "annotate", one)))
        _trim(self._acks, self._kept)
        self._changes += 1

    def has_alert(self, alert_id: str) -> bool:
        """Whether it is a breach or violation that is still kept here."""
        return alert_id in self._told

    def unknown_rules(self, now: int) -> list[str]:
        """Rules named by alerts of the last hour that this board's rulebook lacks: their open cases are not shown."""
        return sorted(rule for rule, told_at in self._unknown.items() if told_at > now - 60 * MINUTE)

    # -- look up -----------------------------------------------------------------------------------------

    def alerts_of(self, is_wanted: Callable[[BoardAlert], bool]) -> list[BoardAlert]:
        """The alerts kept that are wanted, of any kind but warnings, in the order in which they were detected."""
        late = (alert for alerts in self._late.values() for alert in alerts.values())
        found = [alert for alert in chain(self._told.values(), late, self._retracted.values()) if is_wanted(alert)]
        return sorted(found, key=lambda alert: (alert.detected_at, alert.alert_id))

    def acks_of(self, alert_id: str) -> list[Acknowledgement]:
        """What is kept of what was said of an alert, oldest first."""
        return sorted(self._acks.get(alert_id, ()))

    # -- show --------------------------------------------------------------------------------------------

    def view(self, wanted: Filter, now: int, *, most: int = MOST) -> View:
        """The view of a filter at an instant (microseconds); the instant decides what is due soon and what is today.

        ``most`` bounds each list, also where the filter allows more.
        """
        tally, listed, told = self._counted(wanted, now)
        nearest = _nearest(listed, min(wanted.cases, most), is_beside=wanted.state in _BESIDE and not wanted.find)
        newest = nlargest(min(wanted.alerts, most), told, key=lambda alert: (alert.detected_at, alert.alert_id))
        return View(
            {case.case_id: case for case in nearest},
            {alert.alert_id: self._shown(alert) for alert in newest},
            {name: tally.counts[name] for name in COUNTS},
            tally.rows(tally.by_place),
            tally.rows(tally.by_rule),
            tally.choices(),
            self._cities(wanted, now, tally),
        )

    def _counted(self, wanted: Filter, now: int) -> tuple[_Tally, list[OpenCase], list[BoardAlert]]:
        """All counts of a filter, the cases that it lists and its alerts."""
        tally = _Tally(wanted, self._ids_of)
        today = self._calendar.local_date(now)
        begins, ends = self._calendar.start_of_day(today), self._calendar.start_of_day(today + 1)
        listed = [case for case in self.running.cases.values() if tally.case(case, now, ends)]
        told = [alert for alert in self._told.values() if tally.is_wanted(alert)]
        for alert in told:
            if alert.alert_id not in self._retracted:
                tally.alert(alert, (begins, ends), acknowledged=self._is_acknowledged(alert.alert_id))
        return tally, listed, told

    def _cities(self, wanted: Filter, now: int, tally: _Tally) -> list[Row]:
        if not self._placed:
            return []
        if wanted.level != 1:
            tally, _, _ = self._counted(replace(wanted, city=None, county=None, unit=None), now)
        none = [0] * len(ROW_COUNTS)
        known = (code for code in tally.choices()["city"] if code in self._placed)
        return [(code, tuple(tally.by_place.get(code, none))) for code in known]

    def _shown(self, alert: BoardAlert) -> ShownAlert:
        said = sorted(self._acks.get(alert.alert_id, ()))
        standing = {one.action: one for one in said}  # the last of each action
        acks = tuple(sorted({*said[-_ACKS_SHOWN:], *standing.values()}))
        withdrawn = self._retracted.get(alert.alert_id)
        if withdrawn is not None:
            return ShownAlert(alert, "retracted", withdrawn.sentence, acks)
        if alert.kind == "breach":
            late = [one for key, one in self._late.get(alert.case_id, {}).items() if key not in self._retracted]
            if late:
                last = max(late, key=lambda one: (one.detected_at, one.alert_id))
                return ShownAlert(alert, "completed_late", last.sentence, acks)
        return ShownAlert(alert, "open", None, acks)

    def _is_acknowledged(self, alert_id: str) -> bool:
        return any(ack.action == "acknowledge" for ack in self._acks.get(alert_id, ()))


def _nearest(cases: Sequence[OpenCase], most: int, *, is_beside: bool) -> list[OpenCase]:
    if not is_beside:
        return nsmallest(most, cases, key=_urgency)
    parts = ([case for case in cases if (case.outcome == "breached") is so] for so in (False, True))
    return [case for part in parts for case in nsmallest(most, part, key=_urgency)]


def _trim(kept: dict[str, Any], most: int) -> None:
    """Drop the oldest entries."""
    while len(kept) > most:
        del kept[next(iter(kept))]


def _urgency(case: OpenCase) -> tuple[int, str]:
    return case.started_at if case.deadline is None else case.deadline, case.case_id


class _Tally:
    """One pass over everything: counts, places and choices."""

    def __init__(self, wanted: Filter, ids_of: Callable[[OpenCase | BoardAlert], tuple[str, ...]]) -> None:
        self._wanted = wanted
        self._find = wanted.find.casefold() if wanted.find else None
        self._ids_of = ids_of
        self._place = wanted.place
        self._level = wanted.level
        self._is_everywhere = self._place == (None, None, None, None)
        self._seen: set[Place] = set()
        self.by_place: dict[str, list[int]] = defaultdict(lambda: [0] * len(ROW_COUNTS))
        self.by_rule: dict[str, list[int]] = defaultdict(lambda: [0] * len(ROW_COUNTS))
        self.counts: Counter[str] = Counter()

    def _is_here(self, place: Place) -> bool:
        """Whether a place passes the filter; its codes are added to the choices either way."""
        self._seen.add(place)
        return self._is_everywhere or all(
            asked is None or asked == code for asked, code in zip(self._place, place, strict=True)
        )

    def is_wanted(self, item: OpenCase | BoardAlert) -> bool:
        """Whether the item passes the filter."""
        return self._is_here(item.place) and self._wanted.takes(item) and self._is_found(item)

    def _is_found(self, item: OpenCase | BoardAlert) -> bool:
        find = self._find
        return find is None or any(one.casefold().startswith(find) for one in self._ids_of(item))

    def _count(self, item: OpenCase | BoardAlert, *columns: int) -> None:
        for row in (self.by_place[item.place[self._level] or ""], self.by_rule[item.rule]):
            for column in columns:
                row[column] += 1

    def case(self, case: OpenCase, now: int, ends: int) -> bool:
        """Count a case; returns whether it is listed."""
        if not self.is_wanted(case):
            return False
        counts, deadline = self.counts, case.deadline
        if case.outcome == "breached":
            counts["overdue"] += 1
            self._count(case, _OVERDUE)
            return self._wanted.state in ("overdue", *_BESIDE) or self._find is not None
        counts["running"] += 1
        self._count(case, _RUNNING)
        if deadline is None:
            counts["untimed"] += 1
            return self._wanted.state == "untimed" or self._find is not None
        left = deadline - now
        if left <= 60 * MINUTE:
            counts["due_1_h"] += 1
            self._count(case, _SOON)
            if left <= 15 * MINUTE:
                counts["due_15_min"] += 1
        if within_limit_day(deadline) < ends:
            counts["due_today"] += 1
        is_in_shift = left <= self._wanted.shift * 60 * MINUTE
        counts["due_in_shift"] += is_in_shift
        if self._wanted.state == "handover" and self._find is None:
            return is_in_shift
        return self._wanted.state in ("running", "beside") or self._find is not None

    def alert(self, alert: BoardAlert, today: tuple[int, int], *, acknowledged: bool) -> None:
        """Count an alert that was not retracted, where it is of today: from an instant to another, exclusive."""
        begins, ends = today
        if alert.kind == "breach":
            kind, due_at = "breaches", within_limit_day(alert.due_at)
        else:
            kind, due_at = "violations", alert.started_at
        names = (kind, "red_lines") if alert.severity == "red_line" else (kind,)
        is_reported = begins <= alert.detected_at < ends
        for word, is_so in (("reported", is_reported), ("due", begins <= due_at < ends)):
            for name in names if is_so else ():
                self.counts[f"{name}_{word}_today"] += 1
                self._count(alert, _PLACES[f"{name}_{word}_today"])
        if is_reported and not acknowledged:
            self.counts["unacknowledged_today"] += 1
            self.counts[f"unacknowledged_{kind}_today"] += 1

    def rows(self, rows: Mapping[str, Sequence[int]]) -> list[Row]:
        """Sorted by red lines, overdue, due within an hour, running; largest first."""
        red = _PLACES["red_lines_reported_today"]
        found = [(code, tuple(row)) for code, row in rows.items()]
        found.sort(key=lambda item: (*(-item[1][place] for place in (red, _OVERDUE, _SOON, _RUNNING)), item[0]))
        return found[:ROWS]

    def choices(self) -> dict[str, tuple[str, ...]]:
        """The codes available for each level, given the levels above."""
        return choices_of(self._place, self._seen)
