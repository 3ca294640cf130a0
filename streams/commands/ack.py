"""``gridclock ack``: acknowledge an alert, or add a note to it."""

from __future__ import annotations

import getpass
from typing import Any

import click
from kafka import KafkaProducer
from kafka.errors import KafkaError
from pydantic import ValidationError

from schemas.acknowledgements import MAX_NOTE, Acknowledgement
from streams.commands.alerts import read_records
from streams.commands.common import DONE, broker_options, need_broker
from streams.core.instants import moment_of
from streams.errors import BrokerError, ConfigError
from streams.kafka.acls import permissions_of
from streams.settings import Settings, load_settings
from streams.wall_clock import WallClock
from streams.wire.decoder import decode_json


@click.command(short_help="Acknowledge an alert, or add a note to it.")
@click.argument("alert_id", metavar="ID")
@broker_options
@click.option("--note", metavar="TEXT", help=f"At most {MAX_NOTE} characters; NO names, telephone numbers, addresses.")
@click.option(
    "--by", metavar="WHO", help="Staff number or role (GRIDCLOCK_BY, else the login name).", envvar="GRIDCLOCK_BY"
)
@click.option("--annotate", is_flag=True, help="Only add the note; the breach goes on escalating.")
def ack(alert_id: str, note: str | None, by: str | None, annotate: bool, **given: Any) -> int:
    """Acknowledge the alert ID (its alert_id): an acknowledged breach stops escalating.

    确认告警，停止升级。An id that is not on the topic NAME.alerts is refused.

    Who, when and what is kept for ever on the topic NAME.acks, for everybody who may read it. A note must hold no
    personal data 备注不得含个人信息: no names, telephone numbers or addresses of customers or staff.

    \b
    Example:
      gridclock ack 0123456789abcdef0123456789abcdef --note "crew on site" --by D1024
    """
    settings = load_settings(**given)
    if annotate and not note:
        raise click.UsageError("--annotate needs a --note")
    try:
        made = Acknowledgement(
            alert_id=alert_id,
            action="annotate" if annotate else "acknowledge",
            by=by or getpass.getuser(),
            at=moment_of(WallClock().now()),
            note=note,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(str(first["msg"]).lower(), key=str(first["loc"][0])) from None
    need_broker(settings, permissions_of("ack", settings))
    _find(settings, alert_id)
    write_acknowledgement(settings, made)
    click.echo(f"{'note added to' if annotate else 'acknowledged'} {alert_id}")
    return DONE


def _find(settings: Settings, alert_id: str) -> None:
    """Make sure that there is such an alert.

    Raises:
        ConfigError: where there is none.
        BrokerError: where the topic cannot be read.
    """
    wanted = alert_id.encode()
    for value in read_records(settings, settings.alerts_topic, follow=False):
        if wanted in (value or b"") and _id_of(value) == alert_id:
            return
    raise ConfigError(
        f"no alert {alert_id} on topic {settings.alerts_topic}: give the alert_id of an alert that was sent under "
        "this --name and is still kept there (gridclock alerts --json prints them)",
        key="ID",
    )


def _id_of(value: bytes) -> object:
    try:
        return decode_json(value)["data"]["alert_id"]
    except (ValueError, KeyError, TypeError):  # no alert
        return None


def write_acknowledgement(settings: Settings, made: Acknowledgement) -> None:
    """Write it to the topic and wait for the brokers' acknowledgement.

    Raises:
        BrokerError: where they refuse it.
    """
    try:
        producer = KafkaProducer(**settings.kafka_python(), acks="all")
        try:
            value = made.model_dump_json().encode()
            producer.send(settings.acks_topic, value, key=made.alert_id.encode()).get(timeout=30)
        finally:
            producer.close(timeout=30)
    except KafkaError as error:
        raise BrokerError(f"{settings.bootstrap}: {error}") from error
