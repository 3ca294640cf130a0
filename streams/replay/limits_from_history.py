"""Limits from history: the time used under rules without a fixed limit, and the limit this suggests.

A clause that says "promptly" has a rule of basis C that is shipped disabled, with a limit that is only a suggestion.
From the cases of such rules this module computes, for each limit, the time used and the smallest whole number of the
limit's own unit with which a case would have been on time. The suggested limit is the P95 of that number, so it is
rounded up to the unit and counted as the engine counts: working days by the calendar, days on local dates.

A case that has not stopped is late for every limit that has run out by then, and undecided for the others. Cancelled
cases are left out. Time for which a case was paused is taken from its end, also for a limit of days. A limit that is
not a length of time (an agreed instant, the same working day) has shares only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from itertools import chain
from math import ceil
from typing import Any, Final

import yaml

from schemas.fields import parse_time
from schemas.limits import BusinessTime, Elapsed, Limit, SameWorkingDay, UntilDate, parse_limit
from schemas.rules import CalendarByField, DeadlineRule, Rule
from streams.core.deadlines import deadline_of
from streams.core.follow_ups import followed_by
from streams.core.instants import instant_us
from streams.core.rulebook import Rulebook
from streams.core.working_days import WorkingCalendar
from streams.errors import ConfigError
from streams.replay.quantiles import Quantiles
from streams.replay.summary import duration_text, seconds_of
from streams.rulebooks.loader import LoadedRulebook

SHARE: Final = 0.95
"""The suggested limit is kept by this share of the completed cases."""

BEYOND: Final = 1 << 40
"""A number above the largest limit of every unit."""

Case = Mapping[str, Any]
"""A case as ``gridclock replay --cases`` writes it: the ``data`` of a CloudEvent, or the row of a table."""


def rules_without_limit(loaded: LoadedRulebook) -> list[DeadlineRule]:
    """The newest version of each deadline rule of basis C that is disabled, in the order of the rulebook."""
    newest: dict[str, DeadlineRule] = {}
    for item in loaded.loaded:
        rule = item.rule
        if isinstance(rule, DeadlineRule) and rule.basis == "C" and not rule.enabled:
            known = newest.get(rule.id)
            if known is None or known.effective_from < rule.effective_from:
                newest[rule.id] = rule
    return list(newest.values())


def enabled_rulebook(rules: Iterable[DeadlineRule], loaded: LoadedRulebook) -> Rulebook:
    """Only these rules, enabled for all of the past, and the enabled ones whose breaches they follow."""
    always = {"enabled": True, "effective_from": date(1900, 1, 1), "effective_to": None}
    book = loaded.rulebook
    judged: dict[str, list[Rule]] = {rule.id: [rule.model_copy(update=always)] for rule in rules}
    waiting = [rule for versions in judged.values() for rule in versions]
    while waiting:
        name = followed_by(waiting.pop())
        if name is not None and name not in judged:
            judged[name] = book.versions.get(name, [])
            waiting += judged[name]
    return Rulebook(chain.from_iterable(judged.values()), book.calendar, calendars=book.calendars)


@dataclass(slots=True)
class LimitHistory:
    """The cases of one limit. Keys of ``done`` and ``unfinished`` are numbers of the limit's unit.

    ``done`` counts completed cases by the smallest number that keeps them, ``unfinished`` the others by the smallest
    that has not run out. ``seconds`` are running times of completed cases, without pauses.
    """

    limit: Limit
    seconds: Quantiles = field(default_factory=Quantiles)
    done: Counter[int] = field(default_factory=Counter)
    unfinished: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def unit(self) -> str | None:
        """The unit of the limit; ``None`` where it is not a length of time."""
        return None if isinstance(self.limit, UntilDate | SameWorkingDay) else self.limit.text.split(maxsplit=1)[1]

    def add(self, case: Case, calendar: WorkingCalendar) -> None:
        """Count one case; it must not be cancelled.

        Raises:
            ValueError: naming the field that is missing or cannot be read.
        """
        outcome, stopped = case["outcome"], case.get("stopped_at") or None
        completed = outcome in ("met", "met_late") and stopped is not None
        started = _instant(case, "started_at")
        if isinstance(self.limit, BusinessTime):  # open time, as counted by the engine
            end = started + _duration(case, "elapsed")
        else:
            end = _instant(case, "stopped_at" if completed else "as_of") - _duration(case, "paused")
        self.outcomes[outcome] += 1
        if completed:
            self.seconds.add((end - started) / 1_000_000)
        if self.unit is not None:
            number = smallest(self.limit, self.unit, started, end, calendar)
            (self.done if completed else self.unfinished)[number] += 1

    @property
    def completed(self) -> int:
        """Completed cases."""
        return len(self.seconds)

    @property
    def open(self) -> int:
        """Cases that have not stopped, whether their limit has run out or not."""
        return self.outcomes["breached"] + self.outcomes["running"]

    def number(self, share: float) -> int:
        """The smallest number of units that the share (0 to 1] of at least one completed case keeps."""
        rank = max(ceil(share * self.completed), 1)
        for number in sorted(self.done):
            rank -= self.done[number]
            if rank <= 0:
                return number
        return BEYOND

    def in_time(self, number: int | None = None) -> float | None:
        """The share kept with so many units, 0 to 1 (default: with the present limit); ``None`` without cases."""
        if self.unit is None:
            kept, late = self.outcomes["met"], self.outcomes["met_late"] + self.outcomes["breached"]
        else:
            most = int(self.limit.text.split()[0]) if number is None else number
            kept = sum(count for units, count in self.done.items() if units <= most)
            late = self.completed - kept + sum(count for units, count in self.unfinished.items() if units > most)
        return kept / (kept + late) if kept + late else None

    def suggested(self, at_least: int) -> str | None:
        """The limit as a rulebook writes it; ``None`` where fewer than ``at_least`` cases are completed."""
        if self.completed < max(at_least, 1):
            return None
        if self.unit is None:
            return self.limit.text
        number = self.number(SHARE)
        return None if number >= BEYOND else _written(number, self.unit)


def smallest(limit: Limit, unit: str, started: int, end: int, calendar: WorkingCalendar) -> int:
    """The smallest whole number of units, from 1, with which a case from ``start`` to ``end`` is on time.

    Instants are microseconds since the epoch; of a ``BusinessTime`` the time between them is open time. ``BEYOND``
    where no limit can be that long.
    """
    if isinstance(limit, Elapsed | BusinessTime):
        one = _limit(1, unit)
        assert isinstance(one, Elapsed | BusinessTime)
        return max(-((started - end) // one.microseconds), 1)

    def is_enough(number: int) -> bool:
        due = deadline_of(_limit(number, unit), started, (), calendar).at
        return due is not None and due >= end

    high = 1
    try:
        while not is_enough(high):
            high *= 2
    except ValueError:
        return BEYOND
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


@lru_cache(maxsize=4096)
def _limit(number: int, unit: str) -> Limit:
    return parse_limit(_written(number, unit))


def _written(number: int, unit: str) -> str:
    if not unit.removesuffix("s").endswith(("day", "cycle", "month")):
        return f"{number} {unit}"
    return f"{number} {unit.removesuffix('s')}{'' if number == 1 else 's'}"


def _instant(case: Case, name: str) -> int:
    value = case.get(name)
    try:
        return instant_us(value if isinstance(value, datetime) else parse_time(value))
    except ValueError as error:
        raise ValueError(f"{name}: {value!r} is not an instant with an offset") from error


def _duration(case: Case, name: str) -> int:
    value = case.get(name) or 0.0
    try:
        return round((value if isinstance(value, float) else seconds_of(value)) * 1_000_000)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {value!r} is not a duration such as PT60S") from error


class History:
    """The cases of all rules that wait for a limit. ``cases`` are those counted."""

    def __init__(self, rules: Sequence[DeadlineRule], book: Rulebook) -> None:
        """Take the rules of a rulebook, with its calendars.

        Raises:
            ConfigError: naming a rule whose calendar is chosen by a field that cases do not have.
        """
        self.rules = tuple(rules)
        self.cases = 0
        self._book = book
        self._choices = {rule.id: rule.calendar for rule in rules}
        for name, choice in self._choices.items():
            if isinstance(choice, CalendarByField) and not choice.by.startswith("org."):
                raise ConfigError(
                    f"cases do not say {choice.by!r}: choose by a member of org, or name one calendar",
                    rule=name,
                    key="calendar.by",
                )
        self._limits = {
            rule.id: {choice.limit.text: LimitHistory(choice.limit) for choice in rule.limit} for rule in rules
        }

    def limits(self, rule: DeadlineRule) -> list[LimitHistory]:
        """The history of each limit of the rule, in the rule's order."""
        return list(self._limits[rule.id].values())

    def add(self, case: Case) -> None:
        """Count a case of one of the rules; others, and cancelled ones, are skipped.

        Raises:
            ValueError: naming the field that is missing or cannot be read, or a limit that the rule does not have.
        """
        limits = self._limits.get(str(case.get("rule")))
        outcome = case.get("outcome")
        if limits is None or outcome == "cancelled":
            return
        if outcome not in ("met", "met_late", "breached", "running"):
            raise ValueError(f"outcome: {outcome!r} is not an outcome of a deadline")
        text = next(iter(limits)) if len(limits) == 1 else str(case.get("limit"))
        if text not in limits:
            raise ValueError(f"limit: {text!r} is none of {', '.join(limits)}; replay with the limits of this rulebook")
        limits[text].add(case, self._calendar_of(case))
        self.cases += 1

    def _calendar_of(self, case: Case) -> WorkingCalendar:
        choice = self._choices[case["rule"]]
        if isinstance(choice, CalendarByField):
            org = case.get("org")  # a table has a column for each member
            member = case.get(choice.by) if not isinstance(org, Mapping) else org.get(choice.by.removeprefix("org."))
            choice = choice.of.get(str(member), choice.otherwise)
        return self._book.calendar if choice is None else self._book.calendars[choice]

    def add_from(self, cases: Iterable[tuple[int, Case]], name: str) -> None:
        """Count the cases of a file, each with its line.

        Raises:
            ConfigError: naming file, line and field.
        """
        for line, case in cases:
            try:
                self.add(case)
            except ValueError as error:
                key, _, problem = str(error).partition(": ")
                raise ConfigError(problem, path=name, line=line, rule=str(case.get("rule")), key=key) from error


@dataclass(frozen=True, slots=True)
class RulebookText:
    """The rulebook file that enables the limits: its sources, and the local date from which it applies."""

    history: History
    sources: Sequence[str]
    effective_from: date
    at_least: int

    def suggested(self, rule: DeadlineRule) -> dict[str, str] | None:
        """Old limit -> new limit; ``None`` where one of the rule's limits has too few completed cases."""
        new = {found.limit.text: found.suggested(self.at_least) for found in self.history.limits(rule)}
        kept = {old: text for old, text in new.items() if text is not None}
        return kept if len(kept) == len(new) else None

    @property
    def enabled(self) -> list[DeadlineRule]:
        """The rules with enough history."""
        return [rule for rule in self.history.rules if self.suggested(rule) is not None]

    def __iter__(self) -> Iterator[str]:
        """Yield the file's text in parts; the form of a ``RulebookFile``."""
        yield (
            "# Limits from history, for a person to check and to sign: each is the P95 of the completed cases,\n"
            "# rounded up to its unit. What is usual need not be right: change a limit that is too long or too short.\n"
            f"# From: {', '.join(map(_one_line, self.sources))}\n"
            "# Check it with `gridclock rules check DIR`, use it with `--rules DIR`, DIR being this file's directory.\n"
            "#\n# 签字 Signed (name, date): \n\n"
            "chapter: LOCAL\n"
            "title: {zh: 本单位时限, en: Limits of our own}\n"
            f"rules:{'' if self.enabled else ' []'}\n"
        )
        for rule in self.history.rules:
            new = self.suggested(rule)
            yield f"\n  # {rule.id}: {rule.title.zh} {rule.title.en}\n"
            for found in self.history.limits(rule):
                yield f"  #   {_figures(found, None if new is None else new[found.limit.text])}\n"
            if new is None:
                yield f"  #   not enabled: fewer than {self.at_least} completed cases, or too long for a limit\n"
            else:
                yield "".join(f"  {line}\n" for line in self._rule(rule, new).splitlines())

    def _rule(self, rule: DeadlineRule, new: Mapping[str, str]) -> str:
        choices = tuple(
            choice if choice.limit.text == new[choice.limit.text]
            else choice.model_copy(update={"limit": parse_limit(new[choice.limit.text])})
            for choice in rule.limit
        )  # fmt: skip
        changed: dict[str, Any] = {
            "version": f"history-{self.effective_from}",
            "effective_from": self.effective_from,
            "effective_to": None,
            "source": f"{rule.source}；本单位历史数据 P95 / P95 of our own history",
            "enabled": True,
            "limit": choices,
        }
        written = rule.model_copy(update=changed).model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return yaml.safe_dump([written], allow_unicode=True, sort_keys=False, width=10_000)


def _one_line(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)


def share_text(share: float | None) -> str:
    """A share in percent; rounded down, so that 100.0 % means all."""
    return "-" if share is None else f"{int(share * 1000 + 1e-9) / 10:.1f} %"


def times_of(found: LimitHistory) -> list[str]:
    """Median, P90 and P95 of the running time, for people; ``-`` without cases."""
    return [duration_text(seconds) or "-" for seconds in found.seconds.quantiles(0.5, 0.9, SHARE)]


def _figures(found: LimitHistory, new: str | None) -> str:
    median, p90, p95 = times_of(found)
    text = f"{found.limit.text}: {found.completed} completed, {found.open} open"
    if found.completed:
        text += f"; median {median}, P90 {p90}, P95 {p95}"
    text += f"; in time with {found.limit.text}: {share_text(found.in_time())}"
    if new is not None and found.unit is not None:
        text += f"; with {new}: {share_text(found.in_time(int(new.split()[0])))}"
    return text
