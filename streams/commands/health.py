"""``gridclock health``: ask a worker on this machine whether it lives, for containers and service managers."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import click

from streams.commands.common import DONE
from streams.settings import load_settings

UNHEALTHY = 1


@click.command(short_help="Ask a worker whether it lives.")
@click.option("--metrics-host", help="Address of its metrics port (127.0.0.1).")
@click.option("--metrics-port", type=int, help="That port (9464).")
@click.option("--ready", is_flag=True, help="Ask whether it is at work, not only whether it lives.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds to wait.")
def health(ready: bool, timeout: float, **given: Any) -> int:
    """Ask a worker's /healthz, or /readyz, and exit with 0 where the answer is yes, with 1 where it is no or none.

    The port is the one of the worker's own settings, so in its container no option is needed.

    \b
    Example:
      gridclock health && echo alive
    """
    settings = load_settings(**given)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.metrics_host, settings.metrics_host)
    where = f"[{host}]" if ":" in host else host
    url = f"http://{where}:{settings.metrics_port}/{'readyz' if ready else 'healthz'}"
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
