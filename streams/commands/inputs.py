"""Common to commands that read files: mappings, sheets, refused records and their allowed number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from schemas.dead_letters import DeadLetter
from schemas.events import EventCatalogue
from streams.commands.common import DEAD_LETTERS, DONE, err, topic_sources
from streams.core.event import Event
from streams.errors import ConfigError, InputError
from streams.log_lines import announce, printable
from streams.replay.input_counts import InputCounts
from streams.replay.sources import Record, Source, event_of
from streams.replay.sources.catalog import CatalogTable
from streams.replay.sources.opening import Mappings, close_sources, open_sources
from streams.wall_clock import WallClock
from streams.wire.decoder import Decoder
from streams.wire.mapping import Skipped

_SHOWN = 5
"""Most refusals printed one by one; the others are only counted."""

Taken = tuple[Record, Event | InputError | Skipped]
"""A record and its result."""

Command = Callable[..., Any]


def mapping_options(command: Command) -> Command:
    """The options ``--map`` and ``--sheet``."""
    command = click.option("--sheet", metavar="NAME", help="The sheet of a spreadsheet (the only one with rows).")(
        command
    )
    return click.option(
        "--map",
        "mappings",
        multiple=True,
        metavar="[NAME=]FILE",
        help="A mapping of columns to events, for all inputs, or for the file or topic NAME (* and ? allowed); "
        "may be given again. gridclock map suggest FILE writes one.",
    )(command)


def refusal_options(command: Command) -> Command:
    """The options ``--strict`` and ``--at-most``."""
    command = click.option(
        "--at-most", type=click.IntRange(0), metavar="N", help="Allow so many refused lines: exit 3 only above."
    )(command)
    return click.option("--strict", is_flag=True, help="Allow none: exit 3 for any refused line (default).")(command)


def check_refusals(*, strict: bool, at_most: int | None) -> None:
    """Refuse both options together.

    Raises: click.UsageError: which explains both.
    """
    if strict and at_most:
        raise click.UsageError("--strict allows no refused line, --at-most N allows N of them: give one of them")


def code_for(refused: int, at_most: int | None) -> int:
    """The exit code after so many refusals."""
    if at_most is None:
        return DEAD_LETTERS if refused else DONE
    if refused > at_most:
        err.print(f"{refused:,} lines refused; --at-most {at_most:,} allows no more")
    return DEAD_LETTERS if refused > at_most else DONE


def print_refused(name: str, position: int, error: InputError, so_far: int) -> None:
    """Print a refused record on standard error if it is one of the first; ``so_far`` includes it."""
    if so_far <= _SHOWN:
        click.echo(printable(f"gridclock: {name}:{position}: {error}"), err=True)


def print_letter(letter: DeadLetter, so_far: int) -> None:
    """``print_refused`` of a dead letter."""
    print_refused(letter.source, letter.position, InputError(letter.reason, letter.field, letter.detail), so_far)


def print_unseen(tally: InputCounts, sources: Sequence[Source]) -> None:
    """A note on standard error for each column of a mapping that no row had: misspelled, it is empty everywhere.

    And one for each id that two things may have.
    """
    for problem in (*tally.unseen(sources), *tally.doubtful_ids(sources)):
        click.echo(printable(f"gridclock: note: {problem}"), err=True)


def taken(source: Source, decoder: Decoder, tally: InputCounts) -> Iterator[Taken]:
    """Every record of a source with its result, counted."""
    now, last = WallClock().now(), -1
    see = tally.columns_of(source)
    for record in source.records():
        position, raw, note = record
        tally.lines += position != last  # a row may give several events
        last = position
        see(note)
        found: Event | InputError | Skipped
        try:
            found = event_of(decoder, raw, note, now)
        except InputError as error:
            found = error
            tally.refuse(error)
        if isinstance(found, Skipped):
            tally.skip(found)
        tally.events += isinstance(found, Event) and not found.void
        yield record, found


def sources_of(
    names: Sequence[str],
    topics: tuple[str, ...],
    mappings: Mappings,
    topics_from: tuple[str | None, int | None] = (None, None),
    version: tuple[int, ...] = (),
    tables: Sequence[str] = (),
) -> list[Source]:
    """Files, topics from brokers and a timestamp on, and tables of Spark's catalog; every mapping is used.

    Raises:
        ConfigError: naming the file or mapping, and the remedy.
        BrokerError: where a topic cannot be read.
    """
    sources = open_sources(names, mappings, version)
    if topics:
        bootstrap, since = topics_from
        sources += topic_sources(topics, bootstrap, since, mappings)
    for name in tables:
        mapping = mappings.of(name)
        sources.append(CatalogTable(name, None if mapping is None else mappings.use(mapping)))
    try:
        mappings.check_used((*names, *topics, *tables))
    except ConfigError:
        close_sources(sources)
        raise
    return sources


def note_removed(sources: Sequence[Source]) -> None:
    """A note on standard error for each partition of a topic of which retention has removed the beginning.

    A notice that was there is missing for its act, which the workers have judged with it.
    """
    from streams.replay.sources.topics import TopicSlice  # kafka-python takes a third of a second

    for source in sources:
        if isinstance(source, TopicSlice) and source.removed:
            announce(
                f"note: {source.name}: offsets 0 to {source.first - 1} were removed by the topic's retention: what "
                "rests on them is judged without them, falsely or not at all; add files that have them, or see "
                "gridclock replay --log"
            )


@contextmanager
def closing_sources(sources: Sequence[Source]) -> Iterator[None]:
    """Close the sources at the end."""
    try:
        yield
    finally:
        close_sources(sources)


def load_mappings(given: Sequence[str], catalogue: EventCatalogue, sheet: str | None) -> Mappings:
    """The mappings of a command, checked against the rulebook's types and fields.

    Raises:
        ConfigError: naming file, line and key.
    """
    found = Mappings.load(given, catalogue, sheet)
    for _, mapping in found.given:
        for problem in mapping.unused:
            click.echo(f"gridclock: note: {problem}", err=True)
    return found
