"""``gridclock receiver``: a webhook receiver for trials of subscriptions."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Final

import click

from streams.commands.common import DONE
from streams.errors import ConfigError
from streams.loopback import in_url
from streams.notify.webhook_receiver import WebhookReceiver
from streams.wall_clock import WallClock

SECRET: Final = "GRIDCLOCK_WEBHOOK_SECRET"


@click.command(short_help="Receive webhooks and show them, for trials of subscriptions.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=9467, show_default=True, help="Its port, 0 for any.")
def receiver(host: str, port: int) -> int:
    """Receive webhooks until SIGTERM or Ctrl-C, check their signatures, print each alert, and show them as a page.

    The secret is in the variable GRIDCLOCK_WEBHOOK_SECRET, here and for the notifier. For trials only: nothing is kept,
    and everyone who reaches the address can read the page.

    \b
    Example:
      GRIDCLOCK_WEBHOOK_SECRET=... gridclock receiver
      then, with {kind: webhook, url: "http://127.0.0.1:9467", ...}: gridclock subscriptions test NAME
    """
    secret = os.environ.get(SECRET, "").strip()
    if not secret:
        raise ConfigError(f"environment variable {SECRET} is not set", key="secret")
    asyncio.run(_receive(secret, host, port))
    return DONE


async def _receive(secret: str, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    found = WebhookReceiver(secret, host, WallClock().now, click.echo)
    try:
        async with found.serve(port) as bound:
            click.echo(f"gridclock: receiver http://{in_url(host)}:{bound}/", err=True)
            await stop.wait()
    except OSError as error:
        raise ConfigError(f"{host}:{port}: {error.strerror}", key="port") from error
