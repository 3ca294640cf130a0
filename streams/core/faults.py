"""The faults of an act, as values: each is one half-sentence in Chinese and English.

A rule kind finds the faults; this module words them. ``key`` identifies a fault of an act: when the faults change, the
alert is withdrawn and made again; otherwise it stays. Instants are microseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import assert_never

import msgspec

from schemas.events import CLOSED_WORDS
from streams.core.working_days import WorkingCalendar


class Explanation(msgspec.Struct):
    """The same sentence, or part of one, in both languages. Immutable in use."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Label:
    """The title of some events; ``key`` are their types and values, which stay the same when a title is reworded."""

    zh: str
    en: str
    key: str


@dataclass(frozen=True, slots=True)
class Without:
    """An event that the act needs is missing (``on_day``: on the act's own day; ``by``: the close)."""

    what: Label
    on_day: bool = False
    by: int | None = None

    @property
    def key(self) -> str:
        """Identity on the act."""
        return f"without {self.what.key}"

    def text(self, calendar: WorkingCalendar) -> Explanation:
        """The half-sentence."""
        if self.by is not None:
            when = local_time(self.by, calendar)
            return Explanation(f"至 {when} 办结时仍无「{self.what.zh}」", f"no {self.what.en} by the close at {when}")
        if self.on_day:
            return Explanation(f"当日此前无「{self.what.zh}」", f"no {self.what.en} earlier on the same day")
        return Explanation(f"此前无「{self.what.zh}」", f"no {self.what.en} before it")


@dataclass(frozen=True, slots=True)
class TooEarly:
    """The act came before ``lawful_from`` (inclusive), counted from ``since``, or ``agreed`` by the event there."""

    what: Label
    since: int
    lawful_from: int
    since_on: int | None = None
    agreed: bool = False

    @property
    def key(self) -> str:
        """Identity on the act."""
        return f"early {self.lawful_from}"

    def since_text(self, calendar: WorkingCalendar) -> str:
        """The instant, or the local date where the event gave one, from which the limit is counted."""
        if self.since_on is None:
            return local_time(self.since, calendar)
        return date.fromordinal(self.since_on).isoformat()

    def text(self, calendar: WorkingCalendar) -> Explanation:
        """The half-sentence."""
        since = self.since_text(calendar)
        lawful = local_time(self.lawful_from, calendar)
        if self.agreed:
            return Explanation(
                f"按「{self.what.zh}」（{since}）所定，{lawful} 起方可进行",
                f"by {self.what.en} ({since}) it is lawful from {lawful} on",
            )
        return Explanation(
            f"自「{self.what.zh}」（{since}）起算，{lawful} 起方可进行",
            f"counted from {self.what.en} ({since}) it is lawful from {lawful} on",
        )


@dataclass(frozen=True, slots=True)
class TooLate:
    """The act came after ``lawful_until`` (inclusive), counted from ``since``: the notice has lapsed."""

    what: Label
    since: int
    lawful_until: int

    @property
    def key(self) -> str:
        """Identity on the act."""
        return f"late {self.lawful_until}"

    def text(self, calendar: WorkingCalendar) -> Explanation:
        """The half-sentence."""
        since, until = local_time(self.since, calendar), local_time(self.lawful_until, calendar)
        return Explanation(
            f"「{self.what.zh}」（{since}）已于 {until} 失效",
            f"{self.what.en} ({since}) lapsed at {until}",
        )


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The act came while a condition held, since ``since``."""

    what: Label
    since: int

    @property
    def key(self) -> str:
        """Identity on the act."""
        return f"while {self.what.key}"

    def text(self, calendar: WorkingCalendar) -> Explanation:
        """The half-sentence."""
        since = local_time(self.since, calendar)
        return Explanation(f"「{self.what.zh}」（{since}）之后不得进行", f"not lawful after {self.what.en} ({since})")


def sayable(value: str) -> str:
    """A field's value for a sentence: the value itself if it is of a closed list, else its hash.

    Senders write names and telephone numbers into fields meant for codes, and sentences have many readers. The hash
    distinguishes two values; the value is in the events that the alert names as evidence.
    """
    return value if value in CLOSED_WORDS else "#" + blake2b(value.encode(), digest_size=4).hexdigest()


@dataclass(frozen=True, slots=True)
class TooMany:
    """One act more than ``allowed``; ``value`` of the field by which they are counted."""

    count: int
    allowed: int
    value: str | None

    @property
    def key(self) -> str:
        """Identity on the act."""
        return f"number {self.count}"

    def text(self, calendar: WorkingCalendar) -> Explanation:
        """The half-sentence."""
        shown = None if self.value is None else sayable(self.value)
        of_zh, of_en = ("", "") if shown is None else (f"（{shown}）", f" for {shown}")
        return Explanation(
            f"第{self.count}次{of_zh}，至多{self.allowed}次",
            f"number {self.count}{of_en}, at most {self.allowed} allowed",
        )


@dataclass(frozen=True, slots=True)
class Lacks:
    """The act's own fields are not as required; ``fields`` are names with the required values."""

    fields: tuple[str, ...]

    @property
    def key(self) -> str:
        """Identity on the act."""
        return "lacks " + " ".join(self.fields)

    def text(self, calendar: WorkingCalendar) -> Explanation:
        """The half-sentence."""
        return Explanation(
            f"所附内容不符合要求（应为 {' 或 '.join(self.fields)}）",
            f"what it carries is not as required ({' or '.join(self.fields)})",
        )


@dataclass(frozen=True, slots=True)
class RecordedLate:
    """The act was recorded at ``recorded``, later than ``recorded_by`` (inclusive)."""

    recorded: int
    recorded_by: int

    @property
    def key(self) -> str:
        """Identity on the act."""
        return f"recorded {self.recorded}"

    def text(self, calendar: WorkingCalendar) -> Explanation:
        """The half-sentence."""
        recorded, by = local_time(self.recorded, calendar), local_time(self.recorded_by, calendar)
        return Explanation(f"于 {recorded} 录入，应于 {by} 前录入", f"recorded {recorded}, to be recorded by {by}")


@dataclass(frozen=True, slots=True)
class Backwards:
    """The first event of a stage is later than the first of a later stage, which was at ``at``."""

    stage: Label
    before: Label
    at: int

    @property
    def key(self) -> str:
        """Identity on the act."""
        return f"after {self.before.key}"

    def text(self, calendar: WorkingCalendar) -> Explanation:
        """The half-sentence."""
        at = local_time(self.at, calendar)
        return Explanation(
            f"晚于「{self.before.zh}」（{at}），环节时间倒置",
            f"later than {self.before.en} ({at}): the stages run backwards",
        )


Fault = Without | TooEarly | TooLate | Forbidden | TooMany | Lacks | RecordedLate | Backwards


def local_time(instant: int, calendar: WorkingCalendar) -> str:
    """An instant as text for people, in the calendar's zone.

    Milliseconds and microseconds only where there are any; the offset only where the local time occurs twice.
    """
    return shown_time(calendar.local_text(instant), occurs_twice=calendar.occurs_twice(instant))


def shown_time(text: str, *, occurs_twice: bool) -> str:
    """``local_time`` of the instant with that ``local_text``."""
    shown = text[: -len("+00:00")].replace("T", " ").removesuffix(".000")
    return f"{shown} {text[-len('+00:00') :]}" if occurs_twice else shown


def arithmetic_of(fault: Fault, calendar: WorkingCalendar) -> dict[str, str | int]:
    """The instants and counts behind a fault, as JSON values."""
    match fault:
        case TooEarly():
            return {"since": fault.since_text(calendar), "lawful_from": local_time(fault.lawful_from, calendar)}
        case TooLate():
            return {
                "since": local_time(fault.since, calendar),
                "lawful_until": local_time(fault.lawful_until, calendar),
            }
        case Forbidden():
            return {"since": local_time(fault.since, calendar)}
        case TooMany():
            return {"count": fault.count, "allowed": fault.allowed}
        case RecordedLate():
            return {
                "recorded": local_time(fault.recorded, calendar),
                "recorded_by": local_time(fault.recorded_by, calendar),
            }
        case Backwards():
            return {"before": local_time(fault.at, calendar)}
        case Without():
            return {} if fault.by is None else {"close": local_time(fault.by, calendar)}
        case Lacks():
            return {}
        case _:
            assert_never(fault)
