"""One clear sentence in Chinese and in English for every alert, and the arithmetic behind it.

Sentences name rule, clause, subject and local times, so that a supervisor can forward them unchanged. They contain no
names and no personal data: intake removes these from events.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar

from schemas.limits import (
    BillingCycles,
    BusinessTime,
    CalendarDays,
    Elapsed,
    Limit,
    NaturalMonths,
    SameWorkingDay,
    UntilDate,
    UntilInstant,
    WorkingDays,
)
from streams.core.deadlines import DayCount, deadline_of, hours_of, time_counted
from streams.core.faults import Explanation, arithmetic_of, local_time
from streams.core.verdicts import Report, Verdict
from streams.core.working_days import WorkingCalendar

MOST_SPANS = 3
"""Most runs of paused days that a sentence names by date."""

SUBJECTS_ZH = {"order": "工单", "account": "户号", "meter": "电能表", "batch": "批次"}
_UNITS_ZH = {"ms": "毫秒", "s": "秒", "min": "分钟", "h": "小时", "day": "日"}


LESS = Explanation("（扣除暂停{}）", " (less {} paused)")
NOT_COUNTED = Explanation("（暂停不计：{}）", " (not counted while paused: {})")
SPAN = Explanation("{}至{}", "{} to {}")
BETWEEN = Explanation("、", ", ")
AND_OTHERS = Explanation("{}等，共{}日", "{} and others, {} days in all")
"""The texts about pauses: the time subtracted, the days not counted, a run of days, the separator, the rest."""


def limit_zh(limit: Limit) -> str:
    """A limit in Chinese: 5分钟, 5个工作日."""
    amount, _, unit = limit.text.partition(" ")
    match limit:
        case Elapsed():
            return f"{amount}{_UNITS_ZH[unit]}"
        case BusinessTime():
            return f"{amount}{'营业小时' if 'hour' in unit else '营业分钟'}"
        case WorkingDays():
            return f"{limit.days}个工作日"
        case CalendarDays():
            return f"{limit.days}日"
        case BillingCycles():
            return f"{limit.cycles}个抄表周期"
        case NaturalMonths():
            return f"{limit.months}个自然月"
        case UntilInstant():
            return "约定时间"
        case UntilDate():
            return "约定日期当日"
        case SameWorkingDay():
            return "当个工作日内"


def _limit_en(limit: Limit) -> str:
    if isinstance(limit, UntilInstant):
        return "by the agreed time"
    return "by the agreed date" if isinstance(limit, UntilDate) else limit.text


@lru_cache(maxsize=1024)
def _limit_said(limit: Limit) -> Explanation:
    return Explanation(f"，时限{limit_zh(limit)}", f", limit {_limit_en(limit)}")


def duration(microseconds: int) -> tuple[str, str]:
    """A length of time in Chinese and English, to the second (below one second in ms or µs)."""
    if 0 < microseconds < 1000:
        return f"{microseconds}微秒", f"{microseconds} µs"
    if 0 < microseconds < 1_000_000:
        return f"{microseconds // 1000}毫秒", f"{microseconds // 1000} ms"
    seconds = microseconds // 1_000_000
    parts = [(seconds // 86400, "天", "d"), (seconds // 3600 % 24, "小时", "h")]
    parts += [(seconds // 60 % 60, "分", "min"), (seconds % 60, "秒", "s")]
    kept = [part for part in parts if part[0]] or [(0, "秒", "s")]
    return "".join(f"{n}{zh}" for n, zh, _ in kept), " ".join(f"{n} {en}" for n, _, en in kept)


def explain(verdict: Verdict, report: Report, subject: tuple[str, str], calendar: WorkingCalendar) -> Explanation:
    """The sentence of one report."""
    rule = verdict.rule
    kind, number = subject
    zh = f"{SUBJECTS_ZH[kind]} {number}「{rule.title.zh}」（{rule.clause}）"
    en = f'{kind.capitalize()} {number}, "{rule.title.en}" ({rule.clause}): '
    body = _act_sentence(verdict, calendar) if verdict.faults else _deadline_sentence(verdict, report, calendar)
    zh, en = zh + body.zh, en + body.en
    if verdict.provisional:
        zh += "（节假日安排尚未公布，按周末推算）"
        en += " (holidays of that year are not announced yet; weekends counted)"
    return Explanation(zh + "。", en + ".")


def _act_sentence(verdict: Verdict, calendar: WorkingCalendar) -> Explanation:
    act = verdict.facts["act"]
    at = local_time(verdict.anchor.at, calendar)
    texts = [fault.text(calendar) for fault in verdict.faults]
    return Explanation(
        f"违规：{at}「{act.zh}」，{'；'.join(text.zh for text in texts)}",
        f"violation: {act.en} at {at}; {'; '.join(text.en for text in texts)}",
    )


def _deadline_sentence(verdict: Verdict, report: Report, calendar: WorkingCalendar) -> Explanation:
    started = local_time(verdict.started_at, calendar)
    assert verdict.deadline is not None
    assert verdict.limit is not None
    due = local_time(verdict.deadline, calendar)
    span_zh, span_en = f"{started} 起算", f"started {started}"
    after = verdict.facts.get("after")
    if after is not None:
        span_zh, span_en = f"{started}「{after.title.zh}」超时起算", f'{span_en} with the breach of "{after.title.en}"'
    limit = _limit_said(verdict.limit)
    span_zh, span_en = span_zh + limit.zh, span_en + limit.en
    without = left_out(verdict, calendar)
    if without is not None:
        span_zh, span_en = span_zh + without.zh, span_en + without.en
    match report.kind:
        case "warning":
            used = f"{float(report.cause):.0%}"
            return Explanation(
                f"即将到期：{span_zh}，已用{used}，须于 {due} 前完成",
                f"running out: {span_en}, {used} used, due {due}",
            )
        case "breach":
            return Explanation(
                f"超时：{span_zh}，应于 {due} 前完成，届时未完成",
                f"breached: {span_en}, due {due}, not done by then",
            )
        case _:
            assert verdict.stopped_at is not None
            stopped = local_time(verdict.stopped_at, calendar)
            late, _ = time_counted(verdict.limit, verdict.deadline, verdict.stopped_at, (), _own(verdict, calendar))
            late_zh, late_en = duration(late)
            if isinstance(verdict.limit, BusinessTime):
                late_zh, late_en = f"{late_zh}（营业时间）", f"{late_en} of open time"
            return Explanation(
                f"逾期完成：{span_zh}，应于 {due} 前完成，实际 {stopped} 完成，逾期{late_zh}",
                f"completed late: {span_en}, due {due}, done {stopped}, {late_en} late",
            )


def left_out(verdict: Verdict, calendar: WorkingCalendar) -> Explanation | None:
    """The part of pauses not counted: a length of time for minutes and hours, dates for a day limit."""
    assert verdict.deadline is not None
    if not verdict.pauses:
        return None
    if isinstance(verdict.limit, Elapsed | BusinessTime):
        own = _own(verdict, calendar)
        _, paused = time_counted(verdict.limit, verdict.started_at, verdict.deadline, verdict.pauses, own)
        if not paused:
            return None
        zh, en = duration(paused)
        return Explanation(LESS.zh.format(zh), LESS.en.format(en))
    count = _days_counted(verdict, calendar)
    if not count.paused:
        return None
    spans = _spans(count)
    shown = [(_day_text(first), _day_text(last)) for first, last in spans[:MOST_SPANS]]
    zh = BETWEEN.zh.join(first if first == last else SPAN.zh.format(first, last) for first, last in shown)
    en = BETWEEN.en.join(first if first == last else SPAN.en.format(first, last) for first, last in shown)
    if len(spans) > MOST_SPANS:
        days = len(count.paused)
        zh, en = AND_OTHERS.zh.format(zh, days), AND_OTHERS.en.format(en, days)
    return Explanation(NOT_COUNTED.zh.format(zh), NOT_COUNTED.en.format(en))


def _own(verdict: Verdict, calendar: WorkingCalendar) -> WorkingCalendar:
    """The calendar by which the verdict was counted."""
    return verdict.calendar or calendar


def _days_counted(verdict: Verdict, calendar: WorkingCalendar) -> DayCount:
    assert verdict.limit is not None
    count = DayCount([], [], [])
    own = _own(verdict, calendar)
    deadline_of(verdict.limit, verdict.started_at, verdict.pauses, own, until=verdict.until, trace=count)
    return count


def _spans(count: DayCount) -> list[tuple[int, int]]:
    """The paused days as first and last of each run; days off do not separate a run."""
    found: list[tuple[int, int]] = []
    for day in count.paused:
        if found and bisect_left(count.counted, found[-1][1]) == bisect_left(count.counted, day):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


_KINDS_ZH = {"breach": "超时", "late_completion": "逾期完成", "violation": "违规", "warning": "预警"}
_OUTCOMES = {
    "met": ("按时完成", "met"),
    "met_late": ("逾期完成", "met late"),
    "breached": ("超时", "breached"),
    "violated": ("违规", "violated"),
    "cancelled": ("已撤销", "cancelled"),
    "running": ("进行中", "running"),
}


def explain_retraction(
    kind: str,
    title_zh: str,
    title_en: str,
    subject: tuple[str, str],
    now: Verdict | None,
    calendar: WorkingCalendar,
) -> Explanation:
    """The sentence of a retraction: the withdrawn alert and the present state of the case."""
    zh = f"{SUBJECTS_ZH[subject[0]]} {subject[1]}「{title_zh}」：撤回此前的{_KINDS_ZH.get(kind, kind)}告警，"
    en = f'{subject[0].capitalize()} {subject[1]}, "{title_en}": the earlier {kind.replace("_", " ")} is withdrawn; '
    stands = how_it_stands(now, calendar)
    return Explanation(zh + stands.zh, en + stands.en)


def how_it_stands(now: Verdict | None, calendar: WorkingCalendar) -> Explanation:
    """The state of a case after an alert on it was withdrawn; ``None``: the case does not exist."""
    if now is None:
        return Explanation(
            "后到或更正的事件表明该时钟并未开始。",
            "events that came later or corrected earlier ones show that this clock never started.",
        )
    outcome_zh, outcome_en = _OUTCOMES[now.outcome]
    due = "" if now.deadline is None else local_time(now.deadline, calendar)
    due_zh, due_en = (f"，到期时间 {due}", f", due {due}") if due else ("", "")
    if not due and now.pauses:
        due_zh, due_en = "，暂停中", ", paused"
    if now.stopped_at is not None:
        stopped = local_time(now.stopped_at, calendar)
        due_zh, due_en = due_zh + f"，完成时间 {stopped}", due_en + f", done {stopped}"
    return Explanation(
        f"根据后到或更正的事件，现为{outcome_zh}{due_zh}。",
        f"by events that came later or corrected earlier ones it is now {outcome_en}{due_en}.",
    )


@lru_cache(maxsize=4096)
def _day_text(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


MOST_LISTED = 40
"""Most events and pauses listed by an alert or a case: the first and the last ones."""

MOST_DAYS = 400
"""Most days listed: a year."""

T = TypeVar("T")


def first_and_last(items: Sequence[T], most: int = MOST_LISTED) -> Sequence[T]:
    """The items, or the first and the last of them if there are more than ``most``."""
    return items if len(items) <= most else [*items[: most // 2], *items[-(most // 2) :]]


_MOST = {
    "counted_days": MOST_DAYS,
    "days_off": MOST_DAYS,
    "paused_days": MOST_DAYS,
    "open_hours": MOST_LISTED,
    "pauses": MOST_LISTED,
}
"""Most items of each list of the arithmetic."""


def arithmetic(verdict: Verdict, calendar: WorkingCalendar) -> dict[str, Any]:
    """How the limit was counted, as JSON values: days counted, days off with their names, pauses.

    Long lists hold the first and the last items; ``omitted`` has the number left out, of the evidence too.
    """
    found = _arithmetic(verdict, calendar)
    pauses, paused_by = verdict.facts.get("omitted", (0, 0))
    omitted = {"evidence": max(0, len(verdict.evidence) - MOST_LISTED) + paused_by}
    for name in [name for name in found if name in _MOST]:
        omitted[name] = max(0, len(found[name]) - _MOST[name]) + (pauses if name == "pauses" else 0)
        found[name] = first_and_last(found[name], _MOST[name])
    if any(omitted.values()):
        found["omitted"] = {name: count for name, count in omitted.items() if count}
    return found


def _arithmetic(verdict: Verdict, calendar: WorkingCalendar) -> dict[str, Any]:
    found: dict[str, Any] = {}
    limit = verdict.limit
    if verdict.deadline is not None and (type(limit) is WorkingDays or type(limit) is CalendarDays):
        count = _days_counted(verdict, calendar)
        found["counted_days"] = [_day_text(day) for day in count.counted]
        found["days_off"] = [
            {"date": _day_text(day), "name": _own(verdict, calendar).day_name(day)} for day in count.days_off
        ]
        found["paused_days"] = [_day_text(day) for day in count.paused]
    elif verdict.deadline is not None and isinstance(limit, BusinessTime):
        spans = hours_of(_own(verdict, calendar)).spans(verdict.started_at, verdict.deadline)
        found["open_hours"] = [
            {"from": local_time(opened, calendar), "to": local_time(closed, calendar)} for opened, closed in spans
        ]
    elif verdict.deadline is not None and verdict.pauses and not isinstance(limit, Elapsed):
        found["paused_days"] = [_day_text(day) for day in _days_counted(verdict, calendar).paused]
    if (after := verdict.facts.get("after")) is not None:
        found["after_breach_of"] = after.id
    if verdict.faults:
        found["faults"] = [
            {"text": {"zh": text.zh, "en": text.en}, **arithmetic_of(fault, calendar)}
            for fault in verdict.faults
            for text in [fault.text(calendar)]
        ]
    if verdict.pauses:
        found["pauses"] = [
            {
                "from": local_time(since, calendar),
                "to": None if until is None else local_time(until, calendar),
            }
            for since, until in verdict.pauses
        ]
    return found
