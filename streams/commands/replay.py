"""``gridclock replay``: the live engine over files of past events."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from streams.adapters.codec import Decoder
from streams.adapters.files import write_whole
from streams.adapters.outputs import CloudEvents, encode
from streams.adapters.replay import Replay
from streams.adapters.wall_clock import WallClock
from streams.commands.common import (
    DEAD_LETTERS,
    DONE,
    INSTANT,
    err,
    progress,
    rulebook_of,
    rulebook_options,
    size_of,
)

_SHOWN = 5


@click.command(short_help="Judge files of past events.")
@click.argument("events", nargs=-1, required=True, metavar="EVENTS...")
@rulebook_options
@click.option("--until", type=INSTANT, metavar="INSTANT", help="End of time; later events are left out.")
@click.option("--alerts", type=click.Path(path_type=Path), metavar="FILE", help="Write alerts here, not to stdout.")
@click.option("--cases", type=click.Path(path_type=Path), metavar="FILE", help="Write every case as of the end.")
@click.option("--dead-letters", type=click.Path(path_type=Path), metavar="FILE", help="Write refused lines here.")
@click.option("--quiet", is_flag=True, help="No summary and no progress.")
def replay(
    events: tuple[str, ...],
    rules: tuple[Path, ...],
    only: Path | None,
    until: int | None,
    alerts: Path | None,
    cases: Path | None,
    dead_letters: Path | None,
    quiet: bool,
) -> int:
    """Judge files of past events and write the alerts, one CloudEvent a line.

    EVENTS are files of JSON lines, plain, .gz or .zst; "-" is standard input. Time ends at --until or at the
    last event. Exits 0 when done, breaches or not; 2 for a bad file or rulebook; 3 when done, but some lines
    were refused.

    \b
    Example:
      gridclock replay orders.jsonl.gz --until 2026-04-01T00:00:00+08:00 --alerts alerts.jsonl --cases cases.jsonl
    """
    loaded = rulebook_of(rules, only)
    replayed = Replay(loaded.rulebook, Decoder(loaded.catalogue), received=WallClock().now(), until=until)
    with ExitStack() as files:
        letters = files.enter_context(write_whole(dead_letters)) if dead_letters else None

        def on_dead_letter(letter: Any) -> None:
            if letters is not None:
                letters.write(letter.model_dump_json().encode() + b"\n")
            if not quiet and replayed.tally.total_dead_letters <= _SHOWN:
                where = f"{letter.source}:{letter.position}"
                field = f"{letter.field}: " if letter.field else ""
                click.echo(f"gridclock: {where}: {letter.reason}: {field}{letter.detail}", err=True)

        replayed.on_dead_letter = on_dead_letter
        with progress(size_of(events), "reading", quiet=quiet) as moved:
            replayed.read(events, moved)
        writer = CloudEvents(loaded.rulebook.calendar)
        target = files.enter_context(write_whole(alerts)) if alerts else click.get_binary_stream("stdout")
        for alert in replayed.run():
            target.write(encode(writer.alert(alert)) + b"\n")
        if cases is not None:
            judged = files.enter_context(write_whole(cases))
            assert replayed.ends_at is not None or not replayed.tally.events
            for case in replayed.cases():
                judged.write(encode(writer.case(case, replayed.ends_at or 0)) + b"\n")
        target.flush()
    if not quiet:
        _summary(replayed)
    return DEAD_LETTERS if replayed.tally.total_dead_letters else DONE


def _summary(replayed: Replay) -> None:
    tally = replayed.tally
    table = Table(title=None, box=None, pad_edge=False)
    kinds = ("warning", "breach", "late_completion", "violation", "retraction")
    table.add_column("rule")
    for kind in kinds:
        table.add_column(kind, justify="right")
    for rule in sorted({rule for rule, _ in tally.alerts}):
        table.add_row(rule, *(str(tally.alerts[rule, kind] or "") for kind in kinds))
    if tally.alerts:
        err.print(table)
    notes: Iterable[tuple[int, str]] = (
        (tally.duplicates, "duplicate"),
        (tally.unwatched, "that no rule watches"),
        (tally.after_until, "after the end"),
    )
    said = "".join(f", {count:,} {what}" for count, what in notes if count)
    err.print(f"{tally.lines:,} lines, {tally.events:,} events{said}; {sum(tally.alerts.values()):,} alerts")
    if tally.total_dead_letters:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(tally.dead_letters.items()))
        err.print(f"{tally.total_dead_letters:,} lines refused: {reasons}")
