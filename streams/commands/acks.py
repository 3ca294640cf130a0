"""``gridclock acks``: print the acknowledgements."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
from pydantic import ValidationError

from schemas.acknowledgements import Acknowledgement
from streams.commands.alerts import read_records
from streams.commands.common import DONE, broker_options, err, need_broker
from streams.kafka.acls import permissions_of
from streams.log_lines import printable
from streams.operations.dead_letters import OF_A_NEWER_VERSION
from streams.settings import load_settings

_WORDS = {
    "acknowledge": "acknowledged 确认",
    "annotate": "annotated 备注",
    "assign": "assigned 指派",
    "silence": "silenced 静默",
}


@click.command(short_help="Print the acknowledgements.")
@click.argument("alert_id", metavar="[ID]", required=False)
@broker_options
@click.option("--follow", "-f", is_flag=True, help="Continue with new ones, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="The records unchanged, one per line.")
def acks(alert_id: str | None, follow: bool, as_json: bool, **given: Any) -> int:
    """Print who acknowledged, noted, assigned or silenced which alert, oldest first; with ID for that alert only.

    \b
    Example:
      gridclock acks --bootstrap 127.0.0.1:9092
    """
    settings = load_settings(**given)
    need_broker(settings, permissions_of("acks", settings))
    for place, value in read_records(settings, settings.acks_topic, follow=follow):
        try:
            made = Acknowledgement.model_validate_json(value)
        except ValidationError:
            err.print(f"{place} is not an acknowledgement, or {OF_A_NEWER_VERSION}", soft_wrap=True)
            continue
        if alert_id is not None and made.alert_id != alert_id:
            continue
        click.echo(value if as_json else printable(line_of(made)))
    return DONE


def line_of(made: Acknowledgement) -> str:
    """One entry of the trail: when, which alert, what, who, the note."""
    note = f"  {made.note}" if made.note else ""
    whom = f" to {made.to}" if made.to is not None else ""
    until = f" until {_local(made.until)}" if made.until is not None else ""
    return f"{_local(made.at)}  {made.alert_id}  {_WORDS[made.action]}{whom}{until}  {made.by}{note}"


def _local(moment: datetime) -> str:
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")
