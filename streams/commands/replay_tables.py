"""The terminal output at the end of a replay: its summary, and the changes by another rulebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.commands.common import err
from streams.log_lines import printable
from streams.replay.comparison import Comparison, Sums
from streams.replay.input_counts import InputCounts
from streams.replay.summary import Summary, duration_text

_WIDE = 160


def _print(first: str, names: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """A table of names and figures; empty columns are left out, and only names are shortened to the width."""
    table = Table(title=None, box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    shown = [place for place, _ in enumerate(names) if any(row[place] for row in rows.values())]
    for place in shown:
        table.add_column(names[place], justify="right", no_wrap=True)
    for name, row in rows.items():
        table.add_row(Text(printable(name)), *(row[place] for place in shown))
    # A pipe has no width.
    (err if err.is_terminal else Console(stderr=True, highlight=False, width=_WIDE)).print(table)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def print_summary(tally: InputCounts, summary: Summary) -> None:
    """The table by rule, and the input in one line."""
    rows: dict[str, list[str]] = {}
    for name, rule in sorted(summary.rules.items()):
        on_time = rule.total.on_time
        rows[name] = [
            f"{rule.cases:,}",
            "" if on_time is None else f"{on_time:.1%}",
            _count(rule.outcomes["breached"] + rule.outcomes["met_late"]),
            _count(rule.outcomes["violated"]),
            _count(tally.alerts[name, "retraction"]),
            *(duration_text(value) for value in rule.quantiles(0.5, 0.95, 1)),
        ]
    if rows:
        _print("rule", ("cases", "on time", "breached", "violated", "retracted", "median", "P95", "worst"), rows)
    notes: Iterable[tuple[int, str]] = (
        (tally.duplicates, "duplicate"),
        (tally.unwatched, "that no rule watches"),
        (tally.after_until, "after the end"),
        (tally.not_yet_recorded, "not recorded by then"),
        (sum(tally.orphans.values()), "without a start"),
    )
    notes_text = "".join(f", {count:,} {what}" for count, what in notes if count)
    err.print(f"{tally.lines:,} lines, {tally.events:,} events{notes_text}; {sum(tally.alerts.values()):,} alerts")
    print_refusals(tally)


def print_refusals(tally: InputCounts) -> None:
    """Skipped and refused lines, by reason and value."""
    for name, count in tally.passed.most_common():
        err.print(Text(f"{count:,} skipped: {printable(name)}"))
    if tally.total_dead_letters:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(tally.dead_letters.items()))
        err.print(f"{tally.total_dead_letters:,} lines refused: {reasons}")
        for name, count in tally.refused.most_common():
            err.print(Text(f"  {count:,} {printable(name)}"))


def print_comparison(compared: Comparison, first: Sequence[Mapping[str, Any]]) -> None:
    """The sums by rule and by organisation, and the first cases with another outcome."""
    columns = ("cases", "broken now", "broken then", "become broken", "become kept", "new", "gone", "other")
    for name, sums in (("rule", compared.by_rule()), ("org", compared.by_org())):
        err.print()
        _print(name, columns, {key: _sums(found) for key, found in sums.items()})
    err.print()
    for change in first:
        before, after = (change[side]["outcome"] if change[side] else "none" for side in ("before", "after"))
        subject = f"{change['subject']['type']} {change['subject']['id']}"
        line = f"{subject}  {change['rule']}: {before} -> {after}: {change['why']['en']}"
        err.print(Text(printable(line)))
    if compared.changed > len(first):
        err.print(f"... and {compared.changed - len(first):,} more; all of them with --comparison FILE")
    err.print(f"{compared.changed:,} cases with another outcome")


def _sums(sums: Sums) -> list[str]:
    changes = [_count(sums.changes[name]) for name in ("broken", "kept", "new", "gone", "other")]
    return [f"{sums.cases_before:,}", _count(sums.broken_before), _count(sums.broken_after), *changes]
