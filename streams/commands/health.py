"""``gridclock health``: check that a worker on this machine is alive, for containers and service managers."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import click

from streams.commands.common import DONE
from streams.loopback import in_url
from streams.settings import load_settings

UNHEALTHY = 1


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
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
    try:
        with opener.open(url, timeout=timeout) as answer:
            click.echo(answer.read().decode().strip())
            return DONE
    except urllib.error.HTTPError as error:
        with error:
            click.echo(f"gridclock: {error.read().decode().strip()}", err=True)
    except OSError as error:
        click.echo(f"gridclock: no answer from {url}: {getattr(error, 'reason', error)}", err=True)
    return UNHEALTHY
