"""What if: the same events under two rulebooks, and the cases with different verdicts.

A case has the same id under both, because the id is derived from the rule, the subject and the event that started it.
So a changed limit shows as a changed verdict; a rule or a start that only one rulebook has shows as a new or a gone
case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from streams.replay.summary import BROKEN, org_of
from streams.wire.cloudevents import ReportedCase
from streams.wire.time_line import OUTCOMES_ZH

_SIDE: Final = ("outcome", "rule_version", "limit", "deadline", "stopped_at")
CHANGE_COLUMNS: Final = (
    "case_id", "change", "rule", "clause", "title.zh", "title.en", "subject.type", "subject.id", "order_id",
    "org.province", "org.city", "org.county", "org.unit", "started_at",
    *(f"{side}.{name}" for side in ("before", "after") for name in _SIDE), "why.zh", "why.en",
)  # fmt: skip


@dataclass(slots=True)
class Sums:
    """Counts of one rule in one organisation: cases and broken cases on either side, and the kinds of change."""

    cases_before: int = 0
    cases_after: int = 0
    broken_before: int = 0
    broken_after: int = 0
    changes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Sums) -> None:
        """Add another's counts."""
        self.cases_before += other.cases_before
        self.cases_after += other.cases_after
        self.broken_before += other.broken_before
        self.broken_after += other.broken_after
        self.changes.update(other.changes)


class Comparison:
    """Compares while ``changes`` is read, once; the sums are complete afterwards."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], Sums] = {}
        self.changed = 0

    def changes(self, before: Iterable[ReportedCase], after: Iterable[ReportedCase]) -> Iterator[dict[str, Any]]:
        """The cases whose verdict changes; both sides must be sorted by subject, as a replay gives them.

        ``change`` is ``broken`` (kept before, broken now), ``kept`` (the reverse), ``new``, ``gone`` or ``other``.
        """
        for old, new in _by_subject(before, after):
            for case_id in sorted(old.keys() | new.keys()):
                change = self._compare(old.get(case_id), new.get(case_id))
                if change is not None:
                    self.changed += 1
                    yield change

    def _compare(self, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any] | None:
        data = new or old
        assert data is not None
        sums = self.sums.setdefault((data["rule"], org_of(data)), Sums())
        was_broken = old is not None and old["outcome"] in BROKEN
        is_broken = new is not None and new["outcome"] in BROKEN
        sums.cases_before += old is not None
        sums.cases_after += new is not None
        sums.broken_before += was_broken
        sums.broken_after += is_broken
        if old is not None and new is not None and old["outcome"] == new["outcome"]:
            return None
        if old is None:
            change = "new"
        elif new is None:
            change = "gone"
        else:
            change = "other" if was_broken == is_broken else "broken" if is_broken else "kept"
        sums.changes[change] += 1
        zh, en = _why(old, new)
        kept = ("case_id", "rule", "clause", "title", "subject", "order_id", "org", "started_at")
        return {
            "change": change,
            **{name: data[name] for name in kept},
            "before": None if old is None else {name: old[name] for name in _SIDE},
            "after": None if new is None else {name: new[name] for name in _SIDE},
            "why": {"zh": zh, "en": en},
        }

    def by_rule(self) -> dict[str, Sums]:
        """The sums of each rule over all organisations."""
        return self._over(0)

    def by_org(self) -> dict[str, Sums]:
        """The sums of each organisation over all rules."""
        return self._over(1)

    def _over(self, place: int) -> dict[str, Sums]:
        found: dict[str, Sums] = {}
        for key, sums in sorted(self.sums.items()):
            found.setdefault(key[place], Sums()).add(sums)
        return found


Cases = dict[str, Mapping[str, Any]]


def _by_subject(before: Iterable[ReportedCase], after: Iterable[ReportedCase]) -> Iterator[tuple[Cases, Cases]]:
    left, right = _grouped(before), _grouped(after)
    old, new = next(left, None), next(right, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[0] < new[0]):
            assert old is not None
            yield old[1], {}
            old = next(left, None)
        elif old is None or new[0] < old[0]:
            yield {}, new[1]
            new = next(right, None)
        else:
            yield old[1], new[1]
            old, new = next(left, None), next(right, None)


def _grouped(cases: Iterable[ReportedCase]) -> Iterator[tuple[tuple[str, str], Cases]]:
    def subject(reported: ReportedCase) -> tuple[str, str]:
        found = reported.event["data"]["subject"]
        return found["type"], found["id"]

    for key, group in groupby(cases, subject):
        yield key, {reported.event["data"]["case_id"]: reported.event["data"] for reported in group}


def _why(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> tuple[str, str]:
    if old is None or new is None:
        found = new or old
        assert found is not None
        only_zh, only_en = ("对比规则", "compared rulebook") if old is None else ("原规则", "present rulebook")
        outcome = found["outcome"]
        return (
            f"仅{only_zh}对此计时，结果为{OUTCOMES_ZH[outcome]}",
            f"only the {only_en} has this clock; it ends {outcome.replace('_', ' ')}",
        )
    zh, en = [], []
    if old["limit"] != new["limit"]:
        zh.append(f"时限由 {old['limit'] or '无'} 改为 {new['limit'] or '无'}")
        en.append(f"limit {new['limit'] or 'none'} instead of {old['limit'] or 'none'}")
    if old["deadline"] != new["deadline"]:
        zh.append(f"到期由 {_time(old['deadline'], '无')} 改为 {_time(new['deadline'], '无')}")
        en.append(f"due {_time(new['deadline'], 'never')} instead of {_time(old['deadline'], 'never')}")
    if old["stopped_at"] != new["stopped_at"]:
        zh.append(f"完成时间由 {_time(old['stopped_at'], '未完成')} 改为 {_time(new['stopped_at'], '未完成')}")
        en.append(f"done {_time(new['stopped_at'], 'never')} instead of {_time(old['stopped_at'], 'never')}")
    elif old["stopped_at"] is not None and en:
        zh.append(f"完成于 {_time(old['stopped_at'], '')}")
        en.append(f"done {_time(old['stopped_at'], '')}")
    if not en:
        zh.append(f"规则版本 {old['rule_version']} 与 {new['rule_version']} 所依据的事件不同")
        en.append(f"version {new['rule_version']} goes by other events than version {old['rule_version']}")
    return "，".join(zh), ", ".join(en)


def _time(text: str | None, nothing: str) -> str:
    return nothing if text is None else text[:19].replace("T", " ")
