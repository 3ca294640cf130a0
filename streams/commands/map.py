"""``gridclock map``: suggest a mapping from a file, check it, and preview its events."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.events import COMMON_FIELDS
from schemas.exporting import schemas
from streams.commands.common import DEAD_LETTERS, DONE, rulebook_of, rulebook_options, topic_sources
from streams.commands.inputs import Command, closing_sources, load_mappings, print_unseen, sources_of, taken
from streams.commands.outputs import check_outputs
from streams.commands.replay_tables import print_refusals
from streams.core.event import Event
from streams.core.instants import format_us
from streams.errors import ConfigError, InputError
from streams.files import write_whole
from streams.log_lines import printable
from streams.replay.input_counts import InputCounts
from streams.replay.sources import Record, Source
from streams.replay.sources.guesses import nearest_types
from streams.replay.sources.profile import json_settings, profile_of, profiled
from streams.replay.sources.registered import registered_settings
from streams.replay.sources.suggestion import Vocabulary, suggestion
from streams.rulebooks.loader import LoadedRulebook
from streams.rulebooks.mapping_files import load_mapping
from streams.wire.cells import ConversionError, text_of
from streams.wire.decoder import Decoder
from streams.wire.mapping import MappedEvent, Skipped, flat

_WIDE = 160
_CELL = 60


@click.group(name="map", short_help="Write, check and try a mapping of columns to events.")
def map() -> None:
    """Write a mapping of columns to events, check it, and preview its events.

    \b
    Examples:
      gridclock map suggest orders.xlsx --out orders.yaml
      gridclock map types 停电
      gridclock map check orders.yaml orders.xlsx
      gridclock map preview orders.yaml orders.xlsx
    """


_SHEET = click.option("--sheet", metavar="NAME", help="The sheet of a spreadsheet (the only one with rows).")


def _TOPIC(command: Command) -> Command:
    command = click.option("--bootstrap", metavar="HOST:PORT", help="Brokers of --topic (KAFKA_BOOTSTRAP_SERVERS).")(
        command
    )
    return click.option("--topic", metavar="T", help="Use the records of this topic instead of a file.")(command)


def _one_of(file: str | None, topic: str | None) -> None:
    if (file is None) == (topic is None):
        raise click.UsageError("name a FILE, or a --topic")


@map.command(short_help="Suggest a mapping from the content of a file or topic.")
@click.argument("file", required=False, metavar="[FILE]")
@_TOPIC
@click.option("--registry", metavar="URL", help="The schema registry that the records of --topic are framed for.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it here, not to stdout.")
@_SHEET
@rulebook_options
def suggest(
    file: str | None, topic: str | None, bootstrap: str | None, out: Path | None, sheet: str | None,
    rules: tuple[Path, ...], **given: Any,
) -> int:  # fmt: skip
    """Profile the columns (times and their forms, words and their counts, ids) and write a mapping.

    Open questions are comments with a question mark.

    \b
    Example:
      gridclock map suggest orders.xlsx --sheet 工单 --out orders.yaml
      gridclock map suggest --topic orders --registry http://127.0.0.1:8081 --out orders.yaml
    """
    _one_of(file, topic)
    url: str | None = given["registry"]
    if url is not None and topic is None:
        raise click.UsageError("--registry is for the records of a --topic")
    check_outputs({"out": out}, () if file is None else (file,), {"out": "text"})
    loaded = rulebook_of(rules, given["only"])
    if file is not None:
        found = profile_of(file, sheet)
    else:
        assert topic is not None
        values = (
            raw for source in topic_sources((topic,), bootstrap, None, None) for _, raw, _ in source.records() if raw
        )
        found = profiled(topic, *(json_settings(values) if url is None else registered_settings(values, url)))
    text = suggestion(found, _vocabulary(loaded))
    if out is None:
        click.echo(text, nl=False)
    else:
        with write_whole(out) as target:
            target.write(text.encode())
    where = "MAPPING" if out is None else shlex.quote(str(out))
    data = f"--topic {topic}" if file is None else shlex.quote(file)
    click.echo(f"gridclock: answer the lines with ?, then: gridclock map preview {where} {data}", err=True)
    return DONE


@map.command(short_help="Check a mapping, alone or with a file.")
@click.argument("mapping", metavar="MAP")
@click.argument("file", required=False, metavar="[FILE]")
@_TOPIC
@_SHEET
@rulebook_options
def check(mapping: str, file: str | None, rules: tuple[Path, ...], only: Path | None, **given: Any) -> int:
    """Check that the types and fields of a mapping are in the rulebook, and that a file has its columns.

    With FILE or --topic all its rows are read. Exits 2 for an error in the mapping, 3 where rows are refused. A column
    that no row of JSON or of a log has is noted.

    \b
    Example:
      gridclock map check orders.yaml orders.xlsx
      gridclock map check orders.yaml --topic orders
    """
    loaded = rulebook_of(rules, only)
    found = load_mapping(Path(mapping), loaded.catalogue)
    if found.unused:
        raise ConfigError.first_of([*found.unused])
    for keys, column in found.rows.entry_times_of_events():
        said = f"a later row in which column {column!r} is empty, too, does not take its event back"
        remedy = "name a column that every row has, such as the time of its last change"
        click.echo(f"gridclock: note: {found.error(keys, f'{said}: {remedy}')}", err=True)
    if file is None and given["topic"] is None:
        click.echo(f"gridclock: {mapping}: no errors", err=True)
        return DONE
    _one_of(file, given["topic"])
    tally = InputCounts()
    with closing_sources(sources := _sources(mapping, file, loaded, **given)):
        for source in sources:
            for _ in taken(source, Decoder(loaded.catalogue), tally):
                pass
    return _summed_up(tally, sources)


@map.command(short_help="Show the first rows with their events.")
@click.argument("mapping", metavar="MAP")
@click.argument("file", required=False, metavar="[FILE]")
@_TOPIC
@click.option("--rows", type=click.IntRange(1), default=10, help="How many rows are shown (10).")
@_SHEET
@rulebook_options
def preview(mapping: str, file: str | None, rows: int, only: Path | None, **given: Any) -> int:
    """Show rows with their events; then, over all rows, the refusals by reason and value.

    \b
    Example:
      gridclock map preview orders.yaml orders.xlsx --rows 5
      gridclock map preview orders.yaml --topic orders
    """
    _one_of(file, given["topic"])
    loaded = rulebook_of(given.pop("rules"), only)
    tally = InputCounts()
    table = Table(box=None, pad_edge=False, show_lines=False)
    topic = given["topic"]
    for name in ("row" if topic is None else "partition/offset", "columns", "events"):
        table.add_column(name, overflow="fold")
    shown, zone, decoder = 0, loaded.rulebook.calendar.zone, Decoder(loaded.catalogue)
    with closing_sources(sources := _sources(mapping, file, loaded, **given)):
        for source in sources:
            for position, own in groupby(taken(source, decoder, tally), key=lambda pair: pair[0][0]):
                pairs = list(own)
                if shown < rows:
                    table.add_row(
                        str(position) if topic is None else f"{source.name.rpartition('/')[2]}/{position}",
                        Text(_cells(pairs[0][0])),
                        Text("\n".join(_result(one, zone) for _, one in pairs)),
                    )
                    shown += 1
    _print(table)
    code = _summed_up(tally, sources)
    if tally.events:
        quoted = shlex.quote(mapping)
        data = shlex.quote(file or "") if topic is None else f"--topic {topic}"
        live = "" if topic is None else f"; live: gridclock run --source {topic}={quoted}"
        click.echo(f"gridclock: to judge it: gridclock replay {data} --map {quoted}{live}", err=True)
    return code


@map.command(short_help="List the event types that a mapping may name.")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@rulebook_options
def types(words: tuple[str, ...], rules: tuple[Path, ...], only: Path | None) -> int:
    """List event types with their titles and fields, nearest first where WORDs are given.

    \b
    Example:
      gridclock map types 停电 notice
    """
    known = _vocabulary(rulebook_of(rules, only))
    names = nearest_types(words, known.titles) if words else sorted(known.catalogue.types)
    if not names:
        raise click.UsageError(f"no event type has a name or title like {' '.join(words)}: leave out WORD to list all")
    table = Table(box=None, pad_edge=False)
    for heading in ("event type", "title 名称", "fields"):
        table.add_column(heading, overflow="fold")
    for name in names:
        own = sorted(set(known.catalogue.models[name].model_fields) - COMMON_FIELDS)
        listed = {one: "|".join(str(value) for value in known.catalogue.values_of(name, one)) for one in own}
        fields = ", ".join(f"{one} ({values})" if values else one for one, values in listed.items())
        title = known.titles.get(name)
        table.add_row(name, "" if title is None else f"{title.zh}, {title.en}", fields)
    _print(table)
    return DONE


@map.command(short_help="The JSON Schema of a mapping, for editors.")
def schema() -> int:
    """The JSON Schema of a mapping file, for editors.

    \b
    Example:
      gridclock map schema > mapping.schema.json
    """
    click.echo(schemas()["mapping.json"], nl=False)
    return DONE


def _sources(
    mapping: str,
    file: str | None,
    loaded: LoadedRulebook,
    *,
    topic: str | None,
    bootstrap: str | None,
    sheet: str | None,
) -> list[Source]:
    """All rows of the file or topic, read by the mapping."""
    given = mapping if topic is None else f"{topic}={mapping}"
    mappings = load_mappings((given,), loaded.catalogue, sheet)
    return sources_of(() if file is None else (file,), () if topic is None else (topic,), mappings, (bootstrap, None))


def _vocabulary(loaded: LoadedRulebook) -> Vocabulary:
    titles = {name: title for name, title in loaded.titles.items() if name in loaded.catalogue.types}
    return Vocabulary(titles, loaded.catalogue, loaded.rulebook.rules, loaded.rulebook.calendar.zone.key)


def _print(table: Table) -> None:
    console = Console(highlight=False, soft_wrap=False)
    (console if console.is_terminal else Console(highlight=False, width=_WIDE)).print(table)


def _cells(record: Record) -> str:
    note = record[2]
    if not isinstance(note, MappedEvent):
        return printable(record[1].decode(errors="replace"))[:_CELL]
    filled = ((name, value) for name, value in note.row.items() if value not in (None, ""))
    return "\n".join(printable(f"{name}={_short(_value(value))}") for name, value in filled)


def _value(value: object) -> str:
    try:
        return text_of(value).strip()
    except ConversionError:
        return repr(value)


def _short(text: str) -> str:
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _result(found: Event | InputError | Skipped, zone: ZoneInfo) -> str:
    match found:
        case Event():
            if found.void:
                return f"(no {found.type}: an earlier one of this row would be withdrawn)"
            at = format_us(found.at, zone)
            data = " ".join(f"{name}={_value(value)}" for name, value in flat(found.data).items())
            subjects = " ".join(f"{kind} {number}" for kind, number in found.subjects())
            return printable(f"{found.type} {at} {subjects} {data}".rstrip())
        case Skipped():
            return printable(f"skipped: {found.reason} {found.value}".rstrip())
        case _:
            return printable(f"REFUSED {found}")


def _summed_up(tally: InputCounts, sources: Sequence[Source]) -> int:
    click.echo(f"{tally.lines:,} rows, {tally.events:,} events", err=True)
    print_refusals(tally)
    print_unseen(tally, sources)
    return DEAD_LETTERS if tally.total_dead_letters else DONE
