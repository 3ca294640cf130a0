"""The clauses of the standard, each with its rules or the reason why it has none: 112, of which 61 can be checked.

国家电网有限公司《一线员工供电服务行为规范》（国家电网营销〔2023〕482号）. A code is the chapter's letter, ``S``
(严格遵守, strictly observe) or ``R`` (严禁触碰红线, red line), and the number in that list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.base import Text


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter and the numbers of clauses of its two lists."""

    letter: str
    title: Text
    observe: int
    red_lines: int


CHAPTERS: Final = (
    Chapter("W", Text(zh="营业窗口", en="Counter service"), 10, 10),
    Chapter("B", Text(zh="业扩办电", en="New connections and capacity"), 10, 8),
    Chapter("M", Text(zh="装表接电", en="Metering"), 10, 10),
    Chapter("R", Text(zh="抄表收费", en="Reading and collection"), 10, 8),
    Chapter("I", Text(zh="用电检查", en="Inspection"), 10, 8),
    Chapter("F", Text(zh="故障抢修", en="Fault repair"), 10, 8),
)

_UNPROVABLE: Final = """
W-S1 W-S2 W-S7 W-S9 W-R3 W-R4 W-R6 W-R7 W-R8 W-R9 W-R10
B-S5 B-S7 B-S8 B-R2 B-R3 B-R4 B-R5 B-R7 B-R8
M-S1 M-S6 M-R1 M-R2 M-R3 M-R4 M-R5 M-R9 M-R10
R-R1 R-R3 R-R6 R-R8
I-S3 I-S4 I-S8 I-R2 I-R3 I-R4 I-R5 I-R6 I-R8
F-S2 F-S3 F-S5 F-S8 F-R2 F-R5 F-R6 F-R7 F-R8
"""
NO_EVENTS: Final = "not provable from work-order events"
OWN_DUTY: Final = "customer data must not be published: this program's own duty, no work-order event proves it"


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: its code, its place, and the reason why no rule can check it (``None``: one can)."""

    code: str
    place: Text
    reason: str | None


def _clauses() -> tuple[Clause, ...]:
    found = []
    unprovable = set(_UNPROVABLE.split())
    for chapter in CHAPTERS:
        for letter, zh, en, count in (
            ("S", "严格遵守", "strictly observe", chapter.observe),
            ("R", "红线", "red line", chapter.red_lines),
        ):
            for number in range(1, count + 1):
                code = f"{chapter.letter}-{letter}{number}"
                reason = None if code not in unprovable else OWN_DUTY if code == "R-R1" else NO_EVENTS
                place = Text(zh=f"{chapter.title.zh} {zh} 第{number}条", en=f"{chapter.title.en}, {en}, item {number}")
                found.append(Clause(code, place, reason))
    return tuple(found)


CLAUSES: Final = _clauses()
