"""``gridclock acls``: the permissions that each process needs at the brokers."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click

from streams.commands.common import DONE
from streams.kafka.acls import NEEDS, Permission, permissions_of
from streams.settings import load_settings


@click.command(short_help="Print the permissions that each process needs at the brokers.")
@click.argument("process", type=click.Choice(sorted(NEEDS)))
@click.option("--user", required=True, metavar="NAME", help="The user that the process logs in as.")
@click.option("--name", help="Prefix of topics and consumer groups (gridclock).")
@click.option("--source", "sources", multiple=True, metavar="TOPIC", help="A source topic of events (NAME.events).")
@click.option("--channel-topic", "channels", multiple=True, metavar="TOPIC", help="A topic of a notifier's channel.")
@click.option("--json", "as_json", is_flag=True, help="One permission per line, as JSON.")
def acls(
    process: str, user: str, sources: tuple[str, ...], channels: tuple[str, ...], as_json: bool, **given: Any
) -> int:
    """Print the least permissions of a process, as commands of Kafka's kafka-acls.sh.

    They suffice once the topics exist: create them beforehand, or start the first worker as an administrator.
    The commands need kafka-acls.sh on the PATH, and how an administrator logs in from the file admin.properties, or
    from the one that ADMIN_CONFIG names.

    \b
    Example:
      gridclock acls run --user gridclock-worker | BOOTSTRAP=kafka:9093 sh
    """
    settings = load_settings(sources=sources or None, **given)
    for permission in permissions_of(process, settings, channels):
        click.echo(_json(permission, user) if as_json else _command(permission, user))
    return DONE


def _json(permission: Permission, user: str) -> str:
    fields = {
        "user": user,
        "resource": permission.resource,
        "name": permission.name,
        "operations": list(permission.operations),
    }
    return json.dumps(fields)


def _command(permission: Permission, user: str) -> str:
    operations = " ".join(f"--operation {operation.capitalize()}" for operation in permission.operations)
    return (
        'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "${ADMIN_CONFIG:-admin.properties}" --add '
        f"--allow-principal {shlex.quote(f'User:{user}')} {operations} "
        f"--{permission.resource} {shlex.quote(permission.name)}"
    )
