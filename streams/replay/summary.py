"""The summary of a replay's cases: by rule, organisation, day and hour of the week; and the worst cases.

It is computed from cases as they are written, so a file of cases gives it again; several processes sum up their share,
and the sums are merged. A case counts as judged when it was kept or broken; running and cancelled cases are in neither.
*On time* is the share of those kept. A case belongs to the local day and hour on which it started.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from heapq import heappush, heappushpop
from math import ceil
from typing import Any, Final

from streams.replay.quantiles import Quantiles
from streams.wire.cloudevents import ReportedCase

BROKEN: Final = frozenset({"met_late", "breached", "violated"})
JUDGED: Final = BROKEN | {"met"}
STEP: Final = 0.1
"""Width of a class of the distribution of time used, as a share of the limit; upper ends are inclusive."""

LAST_STEP: Final = 20
"""The last class holds everything from twice the limit on."""

WORST: Final = 20
"""The worst cases of all that are kept."""

WORST_OF_A_RULE: Final = 3
NO_ORG: Final = "—"
_RED: Final = 1e6
_RED_WITHOUT_LIMIT: Final = 2e6


@dataclass(slots=True)
class Share:
    """Judged cases, and how many of them were broken."""

    judged: int = 0
    broken: int = 0

    def add(self, broken: bool) -> None:
        """Count one case."""
        self.judged += 1
        self.broken += broken

    @property
    def on_time(self) -> float | None:
        """The share kept, 0 to 1; ``None`` without cases."""
        return None if not self.judged else 1 - self.broken / self.judged


@dataclass(slots=True)
class RuleSummary:
    """One rule. ``seconds`` are the running times of its completed cases that have a deadline."""

    title: Mapping[str, str]
    clause: str
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: Quantiles = field(default_factory=Quantiles)
    used: Counter[int] = field(default_factory=Counter)
    by_day: dict[date, Share] = field(default_factory=lambda: defaultdict(Share))

    @property
    def cases(self) -> int:
        """All cases, including running and cancelled ones."""
        return sum(self.outcomes.values())

    @property
    def total(self) -> Share:
        """The judged cases together."""
        judged = sum(self.outcomes[outcome] for outcome in JUDGED)
        return Share(judged, judged - self.outcomes["met"])

    def quantiles(self, *shares: float) -> list[float | None]:
        """Quantiles of the time used, in seconds."""
        return self.seconds.quantiles(*shares)

    def add(self, other: RuleSummary) -> None:
        """Add another part's cases of the rule."""
        self.outcomes.update(other.outcomes)
        self.seconds += other.seconds
        self.used.update(other.used)
        _add_shares(self.by_day, other.by_day)


@dataclass(frozen=True, slots=True)
class Worst:
    """One of the worst cases; ``used`` is the share of the limit used, where there is a limit."""

    data: Mapping[str, Any]
    explanation: Mapping[str, str] | None
    used: float | None


_Ranked = tuple[float, str, Worst]


class Summary:
    """Adds up cases; memory grows with rules, organisations and days, and by eight bytes a case."""

    def __init__(self) -> None:
        self.rules: dict[str, RuleSummary] = {}
        self.orgs: dict[str, dict[date, Share]] = {}
        self.week: dict[tuple[int, int], Share] = defaultdict(Share)
        self.provisional = 0
        self._worst: list[_Ranked] = []
        self._worst_by_rule: dict[str, list[_Ranked]] = {}

    def add(self, reported: ReportedCase) -> None:
        """Add one case."""
        data = reported.event["data"]
        rule = self.rules.get(data["rule"])
        if rule is None:
            rule = self.rules[data["rule"]] = RuleSummary(data["title"], data["clause"])
        outcome = data["outcome"]
        rule.outcomes[outcome] += 1
        self.provisional += bool(data["calendar_provisional"])
        if outcome not in JUDGED:
            return
        started = datetime.fromisoformat(data["started_at"])
        broken = outcome in BROKEN
        day = started.date()
        rule.by_day[day].add(broken)
        self.orgs.setdefault(org_of(data), defaultdict(Share))[day].add(broken)
        self.week[started.weekday(), started.hour].add(broken)
        used = None
        if data["deadline"] is not None:
            seconds = seconds_of(data["elapsed"])
            if data["stopped_at"] is not None:
                rule.seconds.add(seconds)
            allowed = (datetime.fromisoformat(data["deadline"]) - started).total_seconds() - seconds_of(data["paused"])
            if allowed > 0:
                used = seconds / allowed
                rule.used[min(max(ceil(used / STEP - 1e-9) - 1, 0), LAST_STEP)] += 1
        if broken:
            self._note_worst(reported, used)

    def add_all(self, cases: Iterable[ReportedCase]) -> None:
        """Add several cases."""
        for case in cases:
            self.add(case)

    def merge(self, other: Summary) -> None:
        """Add the cases of another summary, in any order of summaries."""
        for name, rule in other.rules.items():
            known = self.rules.get(name)
            if known is None:
                self.rules[name] = rule
            else:
                known.add(rule)
        for org, by_day in other.orgs.items():
            _add_shares(self.orgs.setdefault(org, defaultdict(Share)), by_day)
        _add_shares(self.week, other.week)
        self.provisional += other.provisional
        for item in other._worst:
            _keep(self._worst, item, WORST)
        for rule_items in other._worst_by_rule.values():
            for item in rule_items:
                self._keep_worst_of_rule(item)

    def to_state(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return {
            "rules": {
                name: [rule.title, rule.clause, rule.outcomes, rule.seconds.values(), list(rule.used.items()),
                       _shares_state((day.toordinal(), share) for day, share in rule.by_day.items())]
                for name, rule in self.rules.items()
            },
            "orgs": {
                org: _shares_state((day.toordinal(), share) for day, share in by_day.items())
                for org, by_day in self.orgs.items()
            },
            "week": _shares_state((24 * day + hour, share) for (day, hour), share in self.week.items()),
            "provisional": self.provisional,
            "worst": _ranked_state(self._worst),
            "worst_by_rule": [item for items in self._worst_by_rule.values() for item in _ranked_state(items)],
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Summary:
        """The summary that ``to_state`` gave."""
        found = cls()
        for name, (title, clause, outcomes, seconds, used, by_day) in state["rules"].items():
            found.rules[name] = RuleSummary(
                title, clause, Counter(outcomes), Quantiles(seconds), Counter(dict(used)), _by_day(by_day)
            )
        found.orgs = {org: _by_day(by_day) for org, by_day in state["orgs"].items()}
        for place, judged, broken in state["week"]:
            found.week[divmod(place, 24)] = Share(judged, broken)
        found.provisional = state["provisional"]
        for rank, case_id, data, explanation, used in state["worst"]:
            _keep(found._worst, (rank, case_id, Worst(data, explanation, used)), WORST)
        for rank, case_id, data, explanation, used in state.get("worst_by_rule", ()):  # 0.1 has none
            found._keep_worst_of_rule((rank, case_id, Worst(data, explanation, used)))
        return found

    def _note_worst(self, reported: ReportedCase, used: float | None) -> None:
        data = reported.event["data"]
        rank = 1.0 if used is None else used
        if data["severity"] == "red_line":
            rank += _RED_WITHOUT_LIMIT if used is None else _RED
        item = rank, data["case_id"], Worst(data, reported.explanation, used)
        _keep(self._worst, item, WORST)
        self._keep_worst_of_rule(item)

    def _keep_worst_of_rule(self, item: _Ranked) -> None:
        _keep(self._worst_by_rule.setdefault(item[2].data["rule"], []), item, WORST_OF_A_RULE)

    @property
    def worst(self) -> list[Worst]:
        """The worst cases: red lines first, of them those without a limit, then by the share of the limit used."""
        return _worst_first(self._worst)

    @property
    def worst_by_rule(self) -> dict[str, list[Worst]]:
        """The worst cases of each rule that has any, in the order of ``worst``; rules by name."""
        return {rule: _worst_first(items) for rule, items in sorted(self._worst_by_rule.items())}


def _keep(heap: list[_Ranked], item: _Ranked, most: int) -> None:
    if len(heap) < most:
        heappush(heap, item)
    elif item[:2] > heap[0][:2]:
        heappushpop(heap, item)


def _worst_first(heap: list[_Ranked]) -> list[Worst]:
    return [item[2] for item in sorted(heap, key=lambda item: item[:2], reverse=True)]


def _ranked_state(heap: list[_Ranked]) -> list[tuple[Any, ...]]:
    return [(rank, case_id, one.data, one.explanation, one.used) for rank, case_id, one in heap]


def _add_shares(mine: dict[Any, Share], theirs: Mapping[Any, Share]) -> None:
    for key, share in theirs.items():
        known = mine[key]  # from a defaultdict
        known.judged += share.judged
        known.broken += share.broken


def _shares_state(shares: Iterable[tuple[int, Share]]) -> list[tuple[int, int, int]]:
    return [(key, share.judged, share.broken) for key, share in shares]


def _by_day(state: Iterable[Sequence[int]]) -> dict[date, Share]:
    found: dict[date, Share] = defaultdict(Share)
    for day, judged, broken in state:
        found[date.fromordinal(day)] = Share(judged, broken)
    return found


def org_of(data: Mapping[str, Any]) -> str:
    """The organisation a case is counted under: its city, or the nearest level that is known."""
    org = data["org"] or {}
    for level in ("city", "county", "unit", "province"):
        if org.get(level):
            return str(org[level])
    return NO_ORG


def seconds_of(duration: str) -> float:
    """The seconds of an ISO 8601 duration in the form of alerts and cases."""
    return float(duration[2:-1])


UNITS: Final = {"en": (" s", " min", " h", " d"), "zh": (" 秒", " 分钟", " 小时", " 天")}


def duration_text(seconds: float | None, language: str = "en") -> str:
    """A duration for a table: ``104 s``, ``7.3 min``, ``1.8 h``, ``2.6 d``; in Chinese (``zh``) ``7.3 分钟``."""
    if seconds is None:
        return ""
    *short, days = UNITS[language]
    for (size, most), unit in zip(((1, 120), (60, 120), (3_600, 48)), short, strict=True):
        if seconds < most * size:
            return (f"{seconds / size:.0f}" if size == 1 and seconds >= 10 else f"{seconds / size:.3g}") + unit
    return f"{seconds / 86_400:,.1f}{days}"
