"""The output of the demo: a line for each alert, a status at the foot of a terminal, a summary.

In a pipe only the lines and the summary are printed, without colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from schemas.fields import parse_time
from streams.demonstration.net_alerts import Comparison, Fact, NetAlerts
from streams.demonstration.worker import AtWork

KINDS: Final = ("warning", "breach", "late_completion", "violation", "retraction")
_COLOURS: Final = {
    "warning": "yellow",
    "breach": "bold red",
    "late_completion": "magenta",
    "violation": "bold red",
    "retraction": "cyan",
}
_KIND: Final = {
    "en": ("warning", "BREACH", "late finish", "VIOLATION", "taken back"),
    "zh": ("预警", "超时", "逾期完成", "违规", "撤回"),
}
_PLURAL: Final = {
    "en": ("warnings", "breaches", "late finishes", "violations", "taken back"),
    "zh": ("预警", "超时", "逾期完成", "违规", "撤回"),
}
_DETAIL: Final = {
    "en": {
        "warning": "due {deadline}, {elapsed} gone",
        "breach": "due {deadline}, not done",
        "late_completion": "due {deadline}, done {late} late",
        "violation": "not kept, {started}",
        "never": "entered later: it never began",
        "withdrawn": "entered later: done {stopped}",
        "changed": "entered later: a change",
    },
    "zh": {
        "warning": "须于 {deadline} 前完成，已用 {elapsed}",
        "breach": "应于 {deadline} 前完成，未完成",
        "late_completion": "应于 {deadline} 前完成，逾期 {late} 完成",
        "violation": "未遵守，{started}",
        "never": "更正，该业务并未开始",
        "withdrawn": "补录或更正，实际 {stopped} 完成",
        "changed": "补录或更正改变了结果",
    },
}
_TEXT: Final = {
    "en": {
        "columns": "SIMULATED    WHAT         SUBJECT    CLAUSE LIMIT",
        "status": "simulated time {now}   {sent} of {all} events sent",
        "summary": "What came out, by rule",
        "rule": "rule",
        "limit": "limit",
        "total": "all",
        "agree": "AGREED. The simulator made these orders and knows, without the engine, which limits were broken:",
        "differ": "NOT AGREED. The simulator made these orders and knows which limits were broken:",
        "counts": "{expected} expected, {agreed} came out and stand",
        "missing": "expected, and did not come out",
        "unexpected": "came out, and was not expected",
        "more": "and {count} more",
    },
    "zh": {
        "columns": "模拟时间     类别         对象       条款   时限",
        "status": "模拟时间 {now}   已发送事件 {sent}/{all}",
        "summary": "告警汇总（按规则）",
        "rule": "规则",
        "limit": "时限",
        "total": "合计",
        "agree": "一致。模拟器生成这些工单，不经引擎即知哪些超时，与 Kafka 中的告警逐条相符：",
        "differ": "不一致。模拟器生成这些工单，已知哪些超时，与 Kafka 中的告警不符：",
        "counts": "应有 {expected}，实有且未撤回 {agreed}",
        "missing": "应有而未出现",
        "unexpected": "出现而不应有",
        "more": "另有 {count} 条",
    },
}
_SHOWN: Final = 10
_PLAIN_WIDTH: Final = 160


@dataclass(frozen=True, slots=True)
class Status:
    """The progress of the demo; ``part`` is the share of simulated time that has passed, 0 to 1."""

    now: str
    sent: int
    events: int
    part: float


class Screen:
    """Prints to standard output. Use as a context while alerts come in; ``summary`` afterwards."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._console = Console(highlight=False)
        self.is_live = self._console.is_terminal
        if not self.is_live:
            self._console = Console(highlight=False, width=_PLAIN_WIDTH)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True) if self.is_live else None

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def print_line(self, en: str, zh: str, *, style: str = "") -> None:
        """Print a line of text."""
        self._console.print(Text(zh if self._lang == "zh" else en, style=style), soft_wrap=True)

    def at_work(self, ready: AtWork) -> None:
        """The worker is ready, and alerts begin."""
        self.print_line(
            f"worker: at work with {ready.rules} rules; its metrics for Prometheus: {ready.metrics}",
            f"监测进程：已启动，{ready.rules} 条规则；Prometheus 指标：{ready.metrics}",
        )
        self._console.print()
        self._console.print(Text(_TEXT[self._lang]["columns"], style="bold"), no_wrap=True, overflow="crop")

    def alert(self, data: Mapping[str, Any], taken_back: Mapping[str, Any] | None) -> None:
        """One alert; of a retraction also the one that it withdraws."""
        kind = data["kind"]
        line = Text(f"{_time(data['detected_at'])}  ")
        line.append(_cell(_KIND[self._lang][KINDS.index(kind)], 13), style=_COLOURS[kind])
        line.append(_cell(data["subject"]["id"], 11))
        line.append(_cell(data["clause"], 7), style="dim")
        line.append(f"{data['title'][self._lang]}: " if self._lang == "en" else f"{data['title'][self._lang]}：")
        line.append(self._detail(data, taken_back), style="" if kind == "warning" else _COLOURS[kind])
        self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    def _detail(self, data: Mapping[str, Any], taken_back: Mapping[str, Any] | None) -> str:
        words, kind = _DETAIL[self._lang], data["kind"]
        if kind == "retraction":
            stopped = data["stopped_at"] is not None
            word = "withdrawn" if stopped and data["deadline"] is not None else "changed"
            if not stopped and "never" in data["explanation"]["en"]:
                word = "never"
            before = "" if taken_back is None else _KIND[self._lang][KINDS.index(taken_back["kind"])]
            return f"{before.lower()}, {words[word].format(**_times(data))}"
        if kind == "violation":
            return words[kind].format(**_times(data))
        elapsed = _share(data) if kind == "warning" else ""
        late = _late(data, self._lang) if kind == "late_completion" else ""
        return words[kind].format(**_times(data), elapsed=elapsed, late=late)

    def status(self, status: Status, net: NetAlerts) -> None:
        """Replace the status at the foot of a terminal."""
        if self._live is None:
            return
        counts = net.counts()
        line = Text()
        for kind, word in zip(KINDS, _PLURAL[self._lang], strict=True):
            count = sum(n for (_, own), n in counts.items() if own == kind)
            if count or kind != "violation":
                line.append(f"{word} {count}   ", style=_COLOURS[kind])
        text = _TEXT[self._lang]["status"].format(
            now=status.now[:16].replace("T", " "), sent=f"{status.sent:,}", all=f"{status.events:,}"
        )
        bar = ProgressBar(total=1.0, completed=min(1.0, max(0.0, status.part)))
        self._live.update(Panel(Group(Text(text), line, bar), border_style="dim"))

    def summary(self, net: NetAlerts, titles: Mapping[str, str], expected: set[Fact], comparison: Comparison) -> None:
        """Counts by rule and kind, and whether they are those that the simulator expects."""
        words, counts = _TEXT[self._lang], net.counts()
        kinds = [kind for kind in KINDS if kind != "violation" or any(own == kind for _, own in counts)]
        table = Table(title=words["summary"], title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column(words["rule"], no_wrap=True)
        table.add_column(words["limit"], no_wrap=True)
        for kind in kinds:
            table.add_column(_PLURAL[self._lang][KINDS.index(kind)], justify="right", style=_COLOURS[kind])
        for rule in sorted({rule for rule, _ in counts}):
            table.add_row(rule, titles.get(rule, ""), *(str(counts[rule, kind] or "") for kind in kinds))
        sums = (sum(n for (_, own), n in counts.items() if own == kind) for kind in kinds)
        table.add_row(words["total"], "", *(str(count) for count in sums), style="bold")
        self._console.print()
        self._console.print(table)
        self._console.print()
        verdict = words["agree"] if comparison.agrees else words["differ"]
        self._console.print(Text(verdict, style="bold green" if comparison.agrees else "bold red"), soft_wrap=True)
        for kind in KINDS:
            wanted = sum(fact[0] == kind for fact in expected)
            if wanted or comparison.agreed[kind]:
                word = _PLURAL[self._lang][KINDS.index(kind)]
                text = words["counts"].format(expected=wanted, agreed=comparison.agreed[kind])
                self._console.print(Text(f"  {word}: {text}"), soft_wrap=True)
        self._differences(words["missing"], comparison.missing)
        self._differences(words["unexpected"], comparison.unexpected)

    def _differences(self, word: str, facts: Sequence[Fact]) -> None:
        for kind, rule, _, number, started, about in facts[:_SHOWN]:
            name = _KIND[self._lang][KINDS.index(kind)]
            self._console.print(Text(f"  {word}: {name} {rule} {number}, {started} / {about}"), soft_wrap=True)
        if len(facts) > _SHOWN:
            more = _TEXT[self._lang]["more"].format(count=len(facts) - _SHOWN)
            self._console.print(f"  {word}: {more}")


def _cell(text: str, width: int) -> str:
    """Padded to a width in columns of the terminal: a Chinese character takes two."""
    return text + " " * max(1, width - Text(text).cell_len)


def _time(text: str) -> str:
    return text[5:16].replace("T", " ")


def _exact(text: str | None) -> str:
    """``03-02 09:05:00``; without fractions of a second."""
    return "-" if text is None else text[5:19].replace("T", " ")


def _times(data: Mapping[str, Any]) -> dict[str, str]:
    return {
        "deadline": _exact(data["deadline"]),
        "stopped": _exact(data["stopped_at"]),
        "started": _exact(data["started_at"]),
    }


_UNITS: Final = (
    (86_400_000, "d", "天"),
    (3_600_000, "h", "小时"),
    (60_000, "min", "分"),
    (1000, "s", "秒"),
    (1, "ms", "毫秒"),
)


def _late(data: Mapping[str, Any], lang: str) -> str:
    """How late a stop came, in its two largest units."""
    left = (parse_time(data["stopped_at"]) - parse_time(data["deadline"])) // timedelta(milliseconds=1)
    parts: list[str] = []
    for size, en, zh in _UNITS:
        count, left = divmod(left, size)
        if parts or count:
            parts.append(f"{count}{zh}" if lang == "zh" else f"{count} {en}")
    shown = [part for part in parts[:2] if not part.startswith("0")]
    return ("" if lang == "zh" else " ").join(shown)


def _share(data: Mapping[str, Any]) -> str:
    """The limit and the share of it that is used, as in the alert's sentence."""
    found = [word for word in data["explanation"]["en"].split() if word.endswith("%")]
    return found[0] if found else ""
