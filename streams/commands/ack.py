"""``gridclock ack``: acknowledge an alert, add a note to it, assign it, or silence its escalation."""

from __future__ import annotations

import getpass
from datetime import timedelta
from typing import Any, get_args

import click
from kafka.errors import KafkaError
from pydantic import ValidationError

from schemas.acknowledgements import MAX_NOTE, MAX_SILENCE, Acknowledgement, Action
from schemas.subscriptions import parse_span
from streams.commands.alerts import read_records
from streams.commands.common import DONE, broker_options, need_broker
from streams.core.instants import moment_of
from streams.errors import BrokerError, ConfigError, plain_message
from streams.kafka.acls import permissions_of, writing
from streams.kafka.admin import meaning_of
from streams.kafka.connection import clock_of
from streams.kafka.threaded_producer import ThreadedProducer
from streams.settings import Settings, load_settings
from streams.wire.decoder import decode_json
from streams.wire.pseudonyms import Hidden

_END = "end"


class _Silence(click.ParamType):
    """The length of a silence; ``end`` means none."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return timedelta(0) if value == _END else timedelta(microseconds=parse_span(value))
        except ValueError as error:
            self.fail(f"{error}, or {_END}")


@click.command(short_help="Acknowledge an alert, note, assign, silence.")
@click.argument("alert_id", metavar="ID")
@broker_options
@click.option("--note", metavar="TEXT", help=f"At most {MAX_NOTE} characters; NO names, telephone numbers, addresses.")
@click.option(
    "--by", metavar="WHO", help="Staff number or role (GRIDCLOCK_BY, else the login name).", envvar="GRIDCLOCK_BY"
)
@click.option("--annotate", is_flag=True, help="Only add the note; the breach continues to escalate.")
@click.option("--assign", metavar="WHO", help="Only assign it; the breach continues to escalate.")
@click.option(
    "--silence", metavar="TIME", type=_Silence(),
    help=f"Only suspend its escalation, for 30 min, 2 h, at most {MAX_SILENCE.days} days; {_END} ends the silence.",
)  # fmt: skip
@click.option(
    "--unchecked", is_flag=True,
    help="Do not look up the alert: for one that is no longer on the topic, or without permission to read it.",
)  # fmt: skip
def ack(alert_id: str, note: str | None, by: str | None, unchecked: bool, **given: Any) -> int:
    """Acknowledge the alert ID (its alert_id): an acknowledged breach stops escalating.

    确认告警，停止升级；备注、指派、限时静默。An id that is not on the topic NAME.alerts is refused. While an alert is
    silenced no escalation of it is sent; steps that fall due meanwhile are sent when the silence ends.

    Who, when and what is written to the topic NAME.acks, readable by all who may read it, and kept for
    GRIDCLOCK_ACKS_DAYS (three years). With a pseudonym key staff numbers are written as pseudonyms. A note must hold no
    personal data 备注不得含个人信息: no names, telephone numbers or addresses of customers or staff.

    \b
    Example:
      gridclock ack 0123456789abcdef0123456789abcdef --note "crew on site" --by D1024
      gridclock ack 0123456789abcdef0123456789abcdef --silence "2 h" --by D1024
    """
    annotate, to, silence = given.pop("annotate"), given.pop("assign"), given.pop("silence")
    action = _action(annotate=annotate, assign=to is not None, silence=silence is not None)
    if annotate and not note:
        raise click.UsageError("--annotate needs a --note")
    settings = load_settings(**given)
    made = _made(settings, alert_id, action, by or getpass.getuser(), note=note, to=to, silence=silence)
    need_broker(settings, writing(settings.acks_topic) if unchecked else permissions_of("ack", settings))
    if not unchecked:
        _find(settings, alert_id)
    write_acknowledgement(settings, made)
    click.echo(_done(made))
    return DONE


def _action(**asked: bool) -> Action:
    found: list[Action] = [name for name in get_args(Action) if asked.get(name)]
    if len(found) > 1:
        raise click.UsageError("--annotate, --assign and --silence are three actions: give one at a time")
    return found[0] if found else "acknowledge"


def _made(
    settings: Settings,
    alert_id: str,
    action: Action,
    by: str,
    *,
    note: str | None,
    to: str | None,
    silence: timedelta | None,
) -> Acknowledgement:
    at = moment_of(clock_of(settings).now())
    given = {
        "alert_id": alert_id,
        "action": action,
        "by": by,
        "at": at,
        "note": note,
        "to": to,
        "until": None if silence is None else at + silence,
    }
    try:
        made = Acknowledgement.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = str(first["loc"][0]) if first["loc"] else "silence"
        raise ConfigError(plain_message(first).lower(), key=key) from None
    return made.pseudonymous(Hidden(settings.pseudonyms).staff)


def _done(made: Acknowledgement) -> str:
    match made.action:
        case "acknowledge":
            return f"acknowledged {made.alert_id}"
        case "annotate":
            return f"note added to {made.alert_id}"
        case "assign":
            return f"assigned {made.alert_id} to {made.to}"
        case "silence" if made.until is not None and made.until > made.at:
            return f"silenced {made.alert_id} until {made.until.astimezone().isoformat(sep=' ', timespec='seconds')}"
        case "silence":
            return f"ended the silence of {made.alert_id}"


def _find(settings: Settings, alert_id: str) -> None:
    """Check that the alert exists.

    Raises:
        ConfigError: where it does not exist.
        BrokerError: where the topic cannot be read.
    """
    wanted = alert_id.encode()
    for _, value in read_records(settings, settings.alerts_topic, follow=False):
        if wanted in value and _id_of(value) == alert_id:
            return
    raise ConfigError(
        f"no alert {alert_id} on topic {settings.alerts_topic}: give the alert_id of an alert that was sent under "
        "this --name and is still kept there (gridclock alerts --json prints them); --unchecked for an older one",
        key="ID",
    )


def _id_of(value: bytes) -> object:
    try:
        return decode_json(value)["data"]["alert_id"]
    except (ValueError, KeyError, TypeError, RecursionError):  # no alert
        return None


def write_acknowledgement(settings: Settings, made: Acknowledgement) -> None:
    """Write it to the topic and wait for the brokers' acknowledgement.

    Raises:
        BrokerError: where they refuse it.
    """
    try:
        producer = ThreadedProducer(**settings.kafka_python())
        try:
            producer.send(settings.acks_topic, made.to_bytes(), key=made.alert_id.encode()).get(timeout=30)
        finally:
            producer.close(timeout=30)
    except KafkaError as error:
        raise BrokerError(f"{settings.bootstrap}: {meaning_of(error)}") from error
