"""``gridclock alerts``: follow the alerts topic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from streams.commands.common import DONE, broker_options, err, log_outages, need_broker, rulebook_options
from streams.core.notices import NO_NAMES, Names, doubt_of, place_of
from streams.kafka.acls import permissions_of
from streams.kafka.topic_reader import from_beginning
from streams.log_lines import printable, start_logging
from streams.rulebooks.organisations import names_of
from streams.settings import Settings, load_settings
from streams.wire.decoder import decode_json, encode_json

KINDS_ZH = {
    "warning": "预警",
    "breach": "超时",
    "late_completion": "逾期完成",
    "violation": "违规",
    "retraction": "撤回",
}
_COLOURS = {
    "warning": "yellow",
    "breach": "red",
    "late_completion": "magenta",
    "violation": "red",
    "retraction": "cyan",
}


@click.command(short_help="Print the alerts that were sent.")
@broker_options
@rulebook_options
@click.option("--follow", "-f", is_flag=True, help="Continue with new ones, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="CloudEvents, one per line.")
@click.option("--lang", type=click.Choice(["zh", "en"]), default="en", help="Language of the sentences.")
def alerts(follow: bool, as_json: bool, lang: str, rules: tuple[Path, ...], only: Path | None, **given: Any) -> int:
    """Print the alerts on the topic, oldest first in each partition; with --follow also new ones.

    With --rules, each line names the organisation as organisations.yaml (or .csv) in that directory does.

    \b
    Example:
      gridclock alerts --follow --bootstrap 127.0.0.1:9092
    """
    settings, names = load_settings(**given), names_of(rules, only)
    need_broker(settings, permissions_of("alerts", settings))
    for place, value in read_records(settings, settings.alerts_topic, follow=follow):
        try:
            event = decode_json(value)
            if as_json:
                line: str | bytes = _json_line(event, value)
            else:
                line = line_of(event["data"], lang, names)
        except (LookupError, ValueError, TypeError, AttributeError, RecursionError):
            err.print(f"{place} is not an alert", soft_wrap=True)
            continue
        click.echo(line)
    return DONE


def read_records(settings: Settings, topic: str, *, follow: bool) -> Iterator[tuple[str, bytes]]:
    """The records of a topic up to its end, or without end: topic, partition and offset of each, and its value.

    Records without a value are left out. One that follows the topic logs the begin and the end of outages.

    Raises:
        BrokerError: where the broker cannot be read.
    """
    place, begun = settings.bootstrap, None
    if follow:
        start_logging(settings.log_level)
        begun = log_outages(settings)
    missing = f"{place}: no topic {topic}"
    with from_beginning(topic, place, missing=missing, **settings.kafka_python()) as (consumer, parts):
        ends = consumer.end_offsets(parts)
        if begun is not None:
            begun()
        while follow or any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    if record.value is not None:
                        yield f"{topic}/{record.partition}/{record.offset}", record.value


def _json_line(event: Any, value: bytes) -> bytes:
    """The record unchanged where it is on one line, as programs write it."""
    if not isinstance(event["data"]["alert_id"], str):
        raise TypeError
    return encode_json(event) if b"\n" in value or b"\r" in value else value


def line_of(data: dict[str, Any], lang: str, names: Names = NO_NAMES) -> str:
    """One alert as one line for people: when, what, where (if organisations have names), the sentence."""
    kind = data["kind"]
    word = KINDS_ZH[kind] if lang == "zh" else kind.replace("_", " ")
    when = printable(str(data["detected_at"])[:19].replace("T", " "))
    place = place_of(data, lang, names) if names else ""
    sentence = (f"{place}: " if place else "") + doubt_of(data, lang) + data["explanation"][lang]
    return f"{when}  {click.style(f'{word:<15}', fg=_COLOURS[kind])}  {printable(sentence)}"
