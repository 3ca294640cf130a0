"""``gridclock rules suggest``: limits from your own history for clauses without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import click

from schemas.dead_letters import DeadLetter
from streams.commands.common import (
    DONE,
    INSTANT,
    options_as,
    progress,
    progress_of_events,
    rulebook_of,
    rulebook_options,
    size_of,
)
from streams.commands.inputs import (
    check_refusals,
    closing_sources,
    code_for,
    load_mappings,
    mapping_options,
    print_letter,
    print_unseen,
    refusal_options,
    sources_of,
)
from streams.errors import ConfigError
from streams.files import write_whole
from streams.live.gc_tuning import rare_collections
from streams.replay.case_files import Numbered, read_cases
from streams.replay.limits_from_history import (
    History,
    RulebookText,
    enabled_rulebook,
    rules_without_limit,
    share_text,
    times_of,
)
from streams.replay.replay import Replay, ReplayOptions
from streams.rulebooks.decoding import decoder_of
from streams.rulebooks.loader import LoadedRulebook
from streams.wall_clock import WallClock


@dataclass(frozen=True)
class _Options:
    """The options of ``gridclock rules suggest``."""

    events: tuple[str, ...]
    more: tuple[str, ...]
    cases: tuple[str, ...]
    out: Path | None
    effective_from: datetime | None
    at_least: int
    until: int | None
    rules: tuple[Path, ...]
    only: Path | None
    mappings: tuple[str, ...]
    sheet: str | None
    strict: bool
    at_most: int | None
    quiet: bool


@click.command(short_help="Limits from your history for clauses without one.")
@click.argument("more", nargs=-1, metavar="[FILE]...")
@click.option("--events", multiple=True, metavar="FILE", help="Replay these events; further files may follow.")
@click.option("--cases", multiple=True, metavar="FILE", help="Use cases written by gridclock replay --cases.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the rulebook file here (.yaml).")
@click.option(
    "--from",
    "effective_from",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The local date from which the limits apply (tomorrow).",
)
@click.option(
    "--at-least",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Enable a rule only if each of its limits has so many completed cases.",
)
@click.option("--until", type=INSTANT, metavar="INSTANT", help="End of time for --events; later events are left out.")
@rulebook_options
@mapping_options
@refusal_options
@click.option("--quiet", is_flag=True, help="No progress and no refused lines.")
@options_as(_Options)
def suggest(options: _Options) -> int:
    """Suggest limits, from your own history, for the rules that need one (basis C, disabled, of kind deadline).

    Prints the time used (median, P90, P95) and the share in time with the shipped suggestion; --out writes a rulebook
    file with the limits enabled: the P95, rounded up to the limit's own unit. A person checks and signs it. Cases that
    have not stopped count as late if the limit has run out. Exits 3 where lines of --events were refused.

    \b
    Examples:
      gridclock rules suggest --events orders-2025.jsonl.gz --out my-rules/history.yaml
      gridclock rules suggest --events export.csv --map export.yaml --at-least 100
      gridclock rules suggest --cases cases.parquet --out my-rules/history.yaml --from 2027-01-01
    """
    _check_use(options)
    loaded = rulebook_of(options.rules, options.only)
    candidates = rules_without_limit(loaded)
    if not candidates:
        raise ConfigError("no rule of this rulebook needs a limit (basis: C, enabled: false, kind: deadline)")
    history = History(candidates, loaded.rulebook)
    code = _replayed(options, loaded, history) if options.events else _read(options, history)
    names = (*options.events, *options.more, *options.cases)
    if not history.cases:
        raise ConfigError(
            f"no case of the {len(candidates)} rules that need a limit (gridclock rules needs-limit); "
            + ("check that the starts of these rules are among the events" if options.events else _NO_CASES),
            path=", ".join(names),
        )
    text = RulebookText(history, names, _day(options, loaded), options.at_least)
    _print(text)
    if options.out is not None:
        with write_whole(options.out) as target:
            for part in text:
                target.write(part.encode())
        enabled = len(text.enabled)
        click.echo(f"{options.out}: {enabled} of {len(candidates)} rules enabled; for a person to check and to sign")
    return code


_NO_CASES = "these rules are shipped disabled, so an ordinary replay has no cases: give the events, with --events"


def _check_use(options: _Options) -> None:
    check_refusals(strict=options.strict, at_most=options.at_most)
    if bool(options.events) == bool(options.cases):
        raise click.UsageError("give --events FILE... or --cases FILE, one of them")
    if options.more and not options.events:
        raise click.UsageError(f"{options.more[0]!r} belongs to no option; write --cases before it")
    if options.cases and (options.mappings or options.sheet or options.until is not None):
        raise click.UsageError("--map, --sheet and --until go with --events; cases are used unchanged")
    if options.out is not None:
        if options.out.suffix not in (".yaml", ".yml"):
            raise click.UsageError(f"--out {options.out}: the name of a rulebook file must end in .yaml")
        if options.out.exists():
            raise click.UsageError(f"--out {options.out} exists already and may be signed: name another file")


def _day(options: _Options, loaded: LoadedRulebook) -> date:
    if options.effective_from is not None:
        return options.effective_from.date()
    return date.fromordinal(loaded.rulebook.calendar.local_date(WallClock().now()) + 1)


def _read(options: _Options, history: History) -> int:
    with progress(size_of(options.cases), "reading", quiet=options.quiet) as moved:
        for name in options.cases:
            history.add_from(read_cases(name, moved), name)
    return DONE


def _replayed(options: _Options, loaded: LoadedRulebook, history: History) -> int:
    """Replay the events with the rules enabled; the exit code."""
    names = (*options.events, *options.more)
    sources = sources_of(names, (), load_mappings(options.mappings, loaded.catalogue, options.sheet))
    rulebook = enabled_rulebook(history.rules, loaded)
    run = Replay(rulebook, decoder_of(loaded, None), ReplayOptions(WallClock().now(), options.until))

    def on_dead_letter(letter: DeadLetter) -> None:
        if not options.quiet:
            print_letter(letter, run.tally.total_dead_letters)

    run.on_dead_letter = on_dead_letter
    with closing(run), closing_sources(sources), rare_collections():
        with progress(size_of(names), "reading", quiet=options.quiet) as moved:
            run.read(sources, moved)
        with progress_of_events(run.total, "judging", quiet=options.quiet) as judged:
            run.judge(judged)
            for _ in run.alerts(judged):
                pass
        history.add_from(_cases_of(run), "replay")
    print_unseen(run.tally, sources)
    return code_for(run.tally.total_dead_letters, options.at_most)


def _cases_of(run: Replay) -> Iterator[Numbered]:
    lines = (line for piece in run.cases() for line in piece.splitlines())
    for number, line in enumerate(lines, start=1):
        yield number, json.loads(line)["data"]


def _print(text: RulebookText) -> None:
    head = ("rule", "limit", "completed", "open", "median", "P90", "P95", "in time", "suggested")
    rows: list[tuple[str, ...]] = [head]
    for rule in text.history.rules:
        new = text.suggested(rule) or {}
        for found in text.history.limits(rule):
            rows.append(
                (rule.id, found.limit.text, f"{found.completed:,}", f"{found.open:,}", *times_of(found),
                 share_text(found.in_time()), new.get(found.limit.text, "-"))
            )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
