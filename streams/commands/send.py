"""``gridclock send``: files of events to a Kafka topic."""

from __future__ import annotations

from typing import Any

import click
from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.fields import parse_time
from streams.commands.common import DONE, broker_options, err, need_broker, progress, size_of
from streams.core.instants import instant_us
from streams.errors import BrokerError
from streams.files import read_lines
from streams.kafka.acls import writing
from streams.settings import Settings, load_settings
from streams.wire.decoder import decode_json


@click.command(short_help="Send files of events to Kafka.")
@click.argument("events", nargs=-1, required=True, metavar="EVENTS...")
@broker_options
@click.option("--topic", metavar="TOPIC", help="Where to (NAME.events).")
@click.option(
    "--timestamps",
    type=click.Choice(["now", "recorded"]),
    default="now",
    help="Stamp records with this moment, or with the event's recorded_at: so a backlog is replayed as it grew.",
)
@click.option("--quiet", is_flag=True, help="No summary and no progress.")
def send(events: tuple[str, ...], topic: str | None, timestamps: str, quiet: bool, **given: Any) -> int:
    """Send files of events to a topic, line by line and as they are; "-" is standard input.

    Lines that gridclock would refuse are sent too: refusing them is the worker's business. Records are keyed by
    their order, account, meter or batch, so that events of one order stay in order.

    \b
    Example:
      gridclock send orders.jsonl --bootstrap 127.0.0.1:9092
    """
    settings = load_settings(**given)
    sent = send_files(
        settings, events, topic or settings.source_topics[0], recorded=timestamps == "recorded", quiet=quiet
    )
    if not quiet:
        err.print(f"{sent:,} records sent to {topic or settings.source_topics[0]}")
    return DONE


def send_files(settings: Settings, events: tuple[str, ...], topic: str, *, recorded: bool, quiet: bool) -> int:
    """Send and wait for the broker to have it all; returns the number of records.

    Raises:
        BrokerError: where the broker does not take a record.
        ConfigError: where a file cannot be read.
    """
    need_broker(settings, writing(topic))
    failed: list[BaseException] = []
    count = 0
    try:
        producer = KafkaProducer(**settings.kafka_python(), acks="all", linger_ms=20, batch_size=262_144)
        try:
            with progress(size_of(events), "sending", quiet=quiet) as moved:
                for name in events:
                    for _, line in read_lines(name):
                        key, timestamp = _key_and_time(line)
                        sending = producer.send(topic, line, key=key, timestamp_ms=timestamp if recorded else None)
                        sending.add_errback(failed.append)
                        count += 1
                        moved(len(line) + 1)
                        if failed:
                            raise BrokerError(f"{settings.bootstrap}: {failed[0]}")
            producer.flush(timeout=120)
        finally:
            producer.close(timeout=30)
    except KafkaError as error:
        raise BrokerError(f"{settings.bootstrap}: {error}") from error
    if failed:
        raise BrokerError(f"{settings.bootstrap}: {failed[0]}")
    return count


def _key_and_time(line: bytes) -> tuple[bytes | None, int | None]:
    """The key of a record, and its ``recorded_at`` in milliseconds, as far as the line can be read at all."""
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
    except Exception:  # whatever is wrong with it, the worker says so
        return None, None
    return key.encode() if key else None, timestamp
