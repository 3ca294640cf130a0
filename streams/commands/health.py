"""``gridclock health``: check that a worker on this machine is alive, for containers and service managers."""

from __future__ import annotations

from typing import Any, Final

import click

from streams.commands.common import DONE
from streams.errors import BrokerError
from streams.log_lines import printable
from streams.loopback import in_url
from streams.operations.asking import ask
from streams.settings import load_settings

UNHEALTHY: Final = 1
MOST_SHOWN: Final = 4096
"""Most characters of an answer that are shown."""


@click.command(short_help="Check that a worker is alive.")
@click.option("--metrics-host", help="Address of its metrics port (127.0.0.1).")
@click.option("--metrics-port", type=int, help="That port (9464).")
@click.option("--ready", is_flag=True, help="Check that it is ready, not only alive.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds to wait.")
def health(ready: bool, timeout: float, **given: Any) -> int:
    """Request a worker's /healthz, or /readyz; exit 0 if it answers yes, 1 if it answers no or not at all.

    The port is that of the worker's settings, so in its container no option is needed.

    \b
    Example:
      gridclock health && echo alive
    """
    settings = load_settings(**given)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.metrics_host, settings.metrics_host)
    url = f"http://{in_url(host)}:{settings.metrics_port}/{'readyz' if ready else 'healthz'}"
    try:
        status, text = ask(url, timeout)
        is_well = status < 300
        said = _shown(text) or ("" if is_well else f"{url} answers HTTP {status}")
    except BrokerError as error:
        is_well, said = False, str(error)
    click.echo(said if is_well else f"gridclock: {said}", err=not is_well)
    return DONE if is_well else UNHEALTHY


def _shown(text: str) -> str:
    return "\n".join(map(printable, text[:MOST_SHOWN].strip().splitlines()))
