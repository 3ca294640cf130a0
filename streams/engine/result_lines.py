"""Alerts and cases of a replay as JSON lines, for the Python engine: one text for all of a kind of a rule, filled in.

The texts are those that the native engine fills in (``texts``): they are made by the code that makes every alert, so
this writes the same bytes as ``CloudEvents`` does, without an object for each of them and each part. A test compares
the two. Where a title could be taken for a place, ``CloudEvents`` writes the line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from schemas.limits import CalendarDays, Elapsed, WorkingDays
from streams.core.alerts import DueAlert, org_of
from streams.core.deadlines import time_counted
from streams.core.explanations import MOST_LISTED, arithmetic, duration, first_and_last, left_out
from streams.core.faults import shown_time
from streams.core.records import JudgedCase
from streams.core.verdicts import Verdict
from streams.core.working_days import WorkingCalendar
from streams.engine.texts import case_line, inside, line_of
from streams.wire.cloudevents import CloudEvents, duration_text, encode

_VALUES: Final = (
    "alert", "case", "id", "order", "account", "org", "evidence", "elapsed", "paused", "arithmetic",
    "started", "started full", "reported full", "detected full", "due", "due full", "stopped", "stopped full",
    "late zh", "late en", "left out zh", "left out en", "after zh", "after en", "faults zh", "faults en",
)  # fmt: skip
_CASE_VALUES: Final = (
    "case", "id", "order", "account", "org", "evidence", "elapsed", "paused", "arithmetic",
    "started full", "as of", "outcome", "deadline", "stopped full", "provisional",
)  # fmt: skip
"""The places of all lines, in the order in which ``_values`` and ``case`` give what is written there."""

_PLACE: Final = re.compile("⟦([^⟧]*)⟧")
_NONE: Final = ("", "")
_MOST_KEPT: Final = 4096
_PLAIN: Final = frozenset({"act", "no_limit"})
"""Facts of which the arithmetic says nothing."""


class _Template:
    """A line with its places. A line without places is none."""

    __slots__ = ("_parts", "_pick")

    def __init__(self, line: str, values: Sequence[str]) -> None:
        parts = _PLACE.split(line)
        self._parts = [part.encode() for part in parts]
        self._pick = itemgetter(*map(values.index, parts[1::2]))

    def filled(self, values: Sequence[str]) -> bytes:
        """The line with those values. As parts of a JSON text they have no zero character: they are encoded as one."""
        parts = self._parts.copy()
        parts[1::2] = "\0".join(self._pick(values)).encode().split(b"\0")
        return b"".join(parts)


class ResultLines:
    """Writes alerts and cases by one calendar, that of the rulebook; lines are without a line break."""

    def __init__(self, calendar: WorkingCalendar) -> None:
        self._calendar = calendar
        self._writer = CloudEvents(calendar)
        self._templates: dict[tuple[Any, ...], _Template | None] = {}
        self._case_templates: dict[tuple[Any, ...], _Template | None] = {}
        self._days: dict[tuple[Any, ...], str] = {}
        self._orgs: dict[int, tuple[Any, str]] = {}
        self._time = lru_cache(maxsize=4096)(self._time_of)

    def alert(self, alert: DueAlert) -> bytes:
        """One alert."""
        verdict, report = alert.verdict, alert.report
        rule, limit = verdict.rule, verdict.limit
        key: tuple[Any, ...] = (rule.id, rule.version, report.kind, alert.subject[0], verdict.provisional)
        if limit is not None:
            key = (*key, report.cause if report.kind == "warning" else "", type(limit), limit.text)
        if verdict.faults:
            act = verdict.facts["act"]
            key = (*key, act.zh, act.en)
        try:
            template = self._templates[key]
        except KeyError:
            template = self._templates[key] = _template_of(alert)
        if template is None:
            return encode(self._writer.alert(alert.made(self._calendar)))
        return template.filled(self._values(alert, verdict))

    def case(self, case: JudgedCase, as_of: int) -> bytes:
        """One case as of an instant."""
        verdict, (kind, number) = case.verdict, case.subject
        rule, limit, anchor, time = verdict.rule, verdict.limit, verdict.anchor, self._time
        key = (rule.id, rule.version, kind, None if limit is None else (type(limit), limit.text))
        try:
            template = self._case_templates[key]
        except KeyError:
            is_clear = not _has_places(rule.title.zh, rule.title.en, rule.clause)
            template = _Template(case_line(rule, limit, kind), _CASE_VALUES) if is_clear else None
            self._case_templates[key] = template
        if template is None:
            return encode(self._writer.case(case, as_of))
        own, quoted = verdict.calendar or self._calendar, _quoted(number)
        running, paused = time_counted(limit, verdict.started_at, verdict.ended_at, verdict.pauses, own)
        return template.filled((
            case.case_id, quoted[1:-1], quoted if anchor.order_id == number else _quoted(anchor.order_id),
            _quoted(anchor.account_id), self._org(anchor.data.get("org")),
            _listed(first_and_last(verdict.evidence)),
            duration_text(running), duration_text(paused) if paused else "PT0S",
            self._days_counted(verdict) or encode(arithmetic(verdict, self._calendar)).decode(),
            time(verdict.started_at)[1], time(as_of)[1], verdict.outcome,
            "null" if verdict.deadline is None else f'"{time(verdict.deadline)[1]}"',
            "null" if verdict.stopped_at is None else f'"{time(verdict.stopped_at)[1]}"',
            "true" if verdict.provisional else "false",
        ))  # fmt: skip

    def _time_of(self, instant: int) -> tuple[str, str]:
        """An instant as a sentence has it, and as JSON has it, without quotation marks."""
        text = self._calendar.local_text(instant)
        return shown_time(text, occurs_twice=self._calendar.occurs_twice(instant)), text

    def _values(self, alert: DueAlert, verdict: Verdict) -> Sequence[str]:
        time, anchor, number = self._time, verdict.anchor, _quoted(alert.subject[1])
        own = verdict.calendar or self._calendar
        running, paused = time_counted(verdict.limit, verdict.started_at, verdict.ended_at, verdict.pauses, own)
        due, stopped, late, without, after, faults = _NONE, _NONE, _NONE, _NONE, _NONE, _NONE
        if verdict.deadline is not None:
            due = time(verdict.deadline)
            if verdict.stopped_at is not None:
                stopped = time(verdict.stopped_at)
                late = duration(time_counted(verdict.limit, verdict.deadline, verdict.stopped_at, (), own)[0])
        if verdict.pauses and (some := left_out(verdict, self._calendar)) is not None:
            without = inside(some.zh), inside(some.en)
        if (followed := verdict.facts.get("after")) is not None:
            after = inside(followed.title.zh), inside(followed.title.en)
        counted = self._days_counted(verdict)
        if counted is None:
            found = arithmetic(verdict, self._calendar)
            counted = encode(found).decode()
            if verdict.faults:  # the sentence has them as well
                texts = [fault["text"] for fault in found["faults"]]
                faults = inside("；".join(one["zh"] for one in texts)), inside("; ".join(one["en"] for one in texts))
        return (
            alert.alert_id, alert.case_id, number[1:-1],
            number if anchor.order_id == alert.subject[1] else _quoted(anchor.order_id), _quoted(anchor.account_id),
            self._org(anchor.data.get("org")), _listed(first_and_last(verdict.evidence)),
            duration_text(running), duration_text(paused) if paused else "PT0S", counted,
            *time(verdict.started_at), time(alert.report.due)[1], time(alert.detected_at)[1], *due,
            stopped[0], f'"{stopped[1]}"' if stopped[1] else "null", *late, *without, *after, *faults,
        )  # fmt: skip

    def _org(self, org: Any) -> str:
        """The codes of an organisation; the events of a replay share the blocks that are equal."""
        known = self._orgs.get(id(org))
        if known is not None and known[0] is org:
            return known[1]
        text = encode(org_of({"org": org})).decode()
        if len(self._orgs) >= _MOST_KEPT:
            self._orgs.clear()
        self._orgs[id(org)] = org, text
        return text

    def _days_counted(self, verdict: Verdict) -> str | None:
        """The arithmetic of a limit that depends on its first day only, if on anything; ``None`` for any other."""
        limit = verdict.limit
        if verdict.faults or verdict.pauses or len(verdict.evidence) > MOST_LISTED:
            return None
        if verdict.facts and verdict.facts.keys() - _PLAIN:
            return None
        if type(limit) is Elapsed or verdict.deadline is None:
            return "{}"
        if type(limit) is not WorkingDays and type(limit) is not CalendarDays:
            return None
        calendar = verdict.calendar or self._calendar
        key = type(limit), limit.days, calendar.local_date(verdict.started_at), id(verdict.calendar)
        found = self._days.get(key)
        if found is None:
            if len(self._days) >= _MOST_KEPT:
                self._days.clear()
            found = self._days[key] = encode(arithmetic(verdict, self._calendar)).decode()
        return found


def _template_of(alert: DueAlert) -> _Template | None:
    """The line of all alerts like this one; ``None`` where a title could be taken for a place."""
    verdict, report = alert.verdict, alert.report
    rule, act = verdict.rule, verdict.facts.get("act")
    if _has_places(rule.title.zh, rule.title.en, rule.clause, *((act.zh, act.en) if act else ())):
        return None
    cause = report.cause if report.kind == "warning" else ""
    variant = alert.subject[0], verdict.provisional
    return _Template(line_of(rule, verdict.limit, report.kind, cause, act, variant), _VALUES)


def _has_places(*texts: str) -> bool:
    return any("⟦" in text or "⟧" in text for text in texts)


def _quoted(text: str | None) -> str:
    """A text as JSON."""
    return f'"{text}"' if text is not None and _is_clear(text) else encode(text).decode()


def _listed(texts: Sequence[str]) -> str:
    """Texts as the members of a JSON list."""
    joined = '","'.join(texts)
    return f'"{joined}"' if texts and _is_clear(" ".join(texts)) else encode(texts).decode()[1:-1]


def _is_clear(text: str) -> bool:
    """Whether a text is the same in JSON."""
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text
