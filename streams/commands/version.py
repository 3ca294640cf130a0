"""``gridclock version``: the version, and the engine that judges."""

from __future__ import annotations

from importlib.metadata import version as version_of

import click

from streams.commands.common import DONE, engine_option
from streams.engine import chosen, why_not


@click.command(short_help="Print the version, and the engine that judges.")
@engine_option
def version(engine: str | None) -> int:
    """The version, and the engine that judges here.

    \b
    Example:
      gridclock version
    """
    click.echo(f"gridclock {version_of('gridclock')}")
    if chosen(engine) is not None:
        click.echo("engine: native; for replays of JSON lines and the clocks of workers, Python for all else")
    else:
        reason = why_not()
        click.echo("engine: python" + (f"; the native engine is off: {reason}" if reason else ""))
    return DONE
