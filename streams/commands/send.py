"""``gridclock send``: files of events to a Kafka topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from kafka.errors import InvalidTimestampError, KafkaError

from schemas.fields import parse_time
from streams.commands.common import (
    broker_options,
    err,
    need_broker,
    progress,
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
    print_refused,
    print_unseen,
    refusal_options,
    sources_of,
    taken,
)
from streams.commands.replay_tables import print_refusals
from streams.core.event import Event
from streams.core.instants import format_us, instant_us
from streams.errors import BrokerError, InputError
from streams.files import STANDARD
from streams.kafka.acls import writing
from streams.kafka.admin import meaning_of
from streams.kafka.threaded_producer import ThreadedProducer
from streams.kafka.topics import check_present, check_target, check_unmapped
from streams.replay.input_counts import InputCounts
from streams.replay.sources import Source
from streams.replay.sources.json_rows import lines_or_elements
from streams.replay.sources.opening import open_sources
from streams.settings import Settings, load_settings
from streams.wall_clock import WallClock
from streams.wire.decoder import Decoder, decode_json

MAX_SENT = 1_000_000
"""Most bytes of a line: by default a broker takes 1,048,588 with headers."""


@click.command(short_help="Send files of events to Kafka.")
@click.argument("events", nargs=-1, required=True, metavar="EVENTS...")
@broker_options
@click.option("--topic", metavar="TOPIC", help="The target topic (NAME.events).")
@click.option(
    "--timestamps",
    type=click.Choice(["now", "recorded"]),
    default="now",
    help="Timestamp of the records: the present, or the event's recorded_at, which replays a backlog as it grew.",
)
@click.option("--quiet", is_flag=True, help="No summary and no progress.")
@mapping_options
@refusal_options
@rulebook_options
def send(events: tuple[str, ...], topic: str | None, timestamps: str, quiet: bool, **given: Any) -> int:
    """Send files of events to a topic, line by line and unchanged; "-" is standard input.

    Of a JSON array each element is a record. A table, or a file that is no text, is refused without --map.

    With --map, files of other formats are sent as the mapping's events; rows without events are not sent, and counted.
    A row with a key that is sent again after a change replaces its earlier events.

    Lines that gridclock would refuse are sent too: the worker refuses them. Only a line of more than a million bytes is
    refused here, because no broker takes it. Records are keyed by their order, account, meter or batch, so that events
    of one order stay in order.

    \b
    Example:
      gridclock send orders.jsonl --bootstrap 127.0.0.1:9092
      gridclock send orders.xlsx --map wide.yaml --sheet 工单
    """
    maps, sheet = given.pop("mappings"), given.pop("sheet")
    strict, at_most = given.pop("strict"), given.pop("at_most")
    rules, only = given.pop("rules"), given.pop("only")
    check_refusals(strict=strict, at_most=at_most)
    settings = load_settings(**given)
    target, is_recorded = topic or settings.source_topics[0], timestamps == "recorded"
    check_target(settings, target)
    if maps or topic is None:
        check_unmapped(settings, target, " by --topic" if maps else " by --topic, or this one if these are its rows")
    tally = InputCounts()
    if not maps:
        sent = send_files(settings, events, target, tally, recorded=is_recorded, quiet=quiet)
        return _finish(sent, target, tally, at_most, quiet=quiet)
    catalogue = rulebook_of(rules, only).catalogue
    sources = sources_of(events, (), load_mappings(maps, catalogue, sheet), version=(WallClock().now(),))
    with closing_sources(sources):
        lines = _made(sources, Decoder(catalogue), tally, quiet=quiet)
        sent = _send(settings, lines, target, recorded=is_recorded)
    print_unseen(tally, sources)
    return _finish(sent, target, tally, at_most, quiet=quiet)


def _finish(sent: int, target: str, tally: InputCounts, at_most: int | None, *, quiet: bool) -> int:
    if not quiet:
        err.print(f"{sent:,} records sent to {target}")
        print_refusals(tally)
    return code_for(tally.total_dead_letters, at_most)


def _made(sources: Sequence[Source], decoder: Decoder, tally: InputCounts, *, quiet: bool) -> Iterator[bytes]:
    """The events of rows; refused ones are reported and counted."""
    for source in sources:
        for (position, raw, _), found in taken(source, decoder, tally):
            if isinstance(found, Event):
                yield raw
            elif isinstance(found, InputError) and not quiet:
                print_refused(source.name, position, found, tally.total_dead_letters)


def send_files(
    settings: Settings, events: tuple[str, ...], topic: str, tally: InputCounts, *, recorded: bool, quiet: bool
) -> int:
    """Send, and wait for all acknowledgements; returns the number of records, and counts refused ones.

    Raises:
        BrokerError: where the broker refuses a record.
        ConfigError: where a file cannot be read, or is neither lines nor an array of JSON.
    """
    # Refuses tables, and what is no text, before anything is sent; a pipe could not be read a second time.
    open_sources([name for name in dict.fromkeys(events) if name != STANDARD and Path(name).is_file()])
    with progress(size_of(events), "sending", quiet=quiet) as moved:
        return _send(settings, _lines(events, moved, tally, quiet=quiet), topic, recorded=recorded)


def _lines(
    events: tuple[str, ...], moved: Callable[[int], None], tally: InputCounts, *, quiet: bool
) -> Iterator[bytes]:
    """The lines of files, or elements of arrays; what is too long for a broker is reported and counted."""
    for name in events:
        for number, line, error in lines_or_elements(name, MAX_SENT):
            moved(len(line) + 1)
            if error is None:
                yield line
                continue
            tally.refuse(error)
            if not quiet:
                print_refused(name, number, error, tally.total_dead_letters)


def _send(settings: Settings, lines: Iterable[bytes], topic: str, *, recorded: bool) -> int:
    need_broker(settings, writing(topic))
    check_present(settings, [topic])
    failed: list[BaseException] = []
    count, latest = 0, 0
    try:
        producer = ThreadedProducer(**settings.kafka_python(), linger_ms=20, batch_size=262_144)
        try:
            for line in lines:
                key, timestamp = _key_and_time(line)
                latest = max(latest, timestamp or 0)
                sending = producer.send(topic, line, key=key, timestamp_ms=timestamp if recorded else None)
                sending.add_errback(failed.append)
                count += 1
                if failed:
                    break
            producer.flush(timeout=120)
        finally:
            producer.close(timeout=30)
    except KafkaError as error:
        raise BrokerError(f"{settings.bootstrap}: {meaning_of(error)}") from error
    if failed:
        raise BrokerError(f"{settings.bootstrap}: {_refusal(failed, latest if recorded else None)}")
    return count


def _refusal(failed: Sequence[BaseException], latest: int | None) -> str:
    """Why records were refused. ``latest`` is the newest of their timestamps, where these are ``recorded_at``."""
    of_time = [error for error in failed if isinstance(error, InvalidTimestampError)]
    if latest is None or not of_time:
        return str(failed[0])
    return (
        f"{of_time[0]}; the latest recorded_at is {format_us(latest * 1000)}: correct it, let the topic take it "
        "(message.timestamp.after.max.ms), or send with --timestamps now; what was sent before counts once"
    )


def _key_and_time(line: bytes) -> tuple[bytes | None, int | None]:
    """The key of a record, and its ``recorded_at`` in milliseconds, as far as the line can be read."""
    try:
        fields = decode_json(line)
        key = next(
            (
                fields[name]
                for name in ("order_id", "account_id", "meter_id", "batch_id")
                if isinstance(fields.get(name), str)
            ),
            None,
        )
        stamp = fields.get("recorded_at") or fields.get("occurred_at")
        timestamp = instant_us(parse_time(stamp)) // 1000
    except Exception:  # the worker reports any error in it
        return None, None
    return key.encode() if key else None, timestamp
