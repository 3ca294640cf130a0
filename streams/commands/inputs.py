"""What commands that read files share: mappings, sheets, and how many refusals are borne."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from schemas.events import EventCatalogue
from streams.commands.common import DEAD_LETTERS, DONE, err, topic_sources
from streams.errors import ConfigError
from streams.replay.sources import Source
from streams.replay.sources.opening import Mappings, close_sources, open_sources

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
        help="How columns become events: a mapping for all inputs, or for the file or topic NAME (* and ? allowed); "
        "may be given again. gridclock map suggest FILE writes one.",
    )(command)


def refusal_options(command: Command) -> Command:
    """The options ``--strict`` and ``--at-most``."""
    command = click.option(
        "--at-most", type=click.IntRange(0), metavar="N", help="Bear so many refused lines: exit 3 only above."
    )(command)
    return click.option("--strict", is_flag=True, help="Bear none: exit 3 for any refused line (the default).")(command)


def check_refusals(*, strict: bool, at_most: int | None) -> None:
    """Refuse both options together.

    Raises:
        click.UsageError: saying what each does.
    """
    if strict and at_most:
        raise click.UsageError("--strict bears no refused line, --at-most N bears N of them: give one of them")


def code_for(refused: int, at_most: int | None) -> int:
    """The exit code after so many refusals."""
    if at_most is None:
        return DEAD_LETTERS if refused else DONE
    if refused > at_most:
        err.print(f"{refused:,} lines refused; --at-most {at_most:,} bears no more")
    return DEAD_LETTERS if refused > at_most else DONE


def sources_of(
    names: Sequence[str],
    topics: tuple[str, ...],
    mappings: Mappings,
    topics_from: tuple[str | None, int | None] = (None, None),
    version: tuple[int, ...] = (),
) -> list[Source]:
    """Files, and topics from brokers and a timestamp on, through their mappings; every mapping is used.

    Raises:
        ConfigError: naming the file or mapping, and what to do.
        BrokerError: where a topic cannot be read.
    """
    sources = open_sources(names, mappings, version)
    if topics:
        bootstrap, since = topics_from
        sources += topic_sources(topics, bootstrap, since, mappings)
    try:
        mappings.check_used((*names, *topics))
    except ConfigError:
        close_sources(sources)
        raise
    return sources


@contextmanager
def closing_sources(sources: Sequence[Source]) -> Iterator[None]:
    """Let go of the sources at the end."""
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
