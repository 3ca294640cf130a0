"""``gridclock notify``: send alerts to people and systems, by subscription."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from schemas.subscriptions import KafkaChannel, SubscriptionFile, parse_span
from streams.commands.common import DONE, broker_options, log_options, log_outages, need_broker, rulebook_options
from streams.core.notices import Names
from streams.errors import ConfigError
from streams.kafka.acls import permissions_of
from streams.live.reloading import run_reloading
from streams.log_lines import announce, start_logging
from streams.loopback import in_url
from streams.notify.process import NotifyReady, check_channels, run_notifier
from streams.notify.subscription_checks import own_topics
from streams.notify.subscription_files import load_subscriptions
from streams.rulebooks.organisations import names_of
from streams.settings import load_settings


class SpanType(click.ParamType):
    """A length of time, as microseconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See ``schemas.subscriptions.parse_span``."""
        try:
            return parse_span(value)
        except ValueError as error:
            self.fail(str(error))


@click.command(short_help="Send alerts to people and systems, by subscription.")
@broker_options
@rulebook_options
@click.option(
    "--subscriptions", "path", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="The subscriptions file; see gridclock subscriptions --help.",
)  # fmt: skip
@click.option(
    "--first-from", type=SpanType(), default="1 h", metavar="SPAN", show_default=True,
    help="A notifier without state begins with the alerts of this last period; with state it continues.",
)  # fmt: skip
@click.option("--metrics-host", help="Address of /metrics (127.0.0.1).")
@click.option(
    "--metrics-port", type=int, default=9466, envvar="GRIDCLOCK_NOTIFY_METRICS_PORT", show_default=True,
    help="Port of /metrics, 0 for any.",
)  # fmt: skip
@click.option("--clock-origin", type=int, hidden=True)
@click.option("--clock-anchor", type=int, hidden=True)
@click.option("--clock-speed", type=float, hidden=True)
@log_options
def notify(path: Path, first_from: int, rules: tuple[Path, ...], only: Path | None, **given: Any) -> int:
    """Deliver alerts to subscribers until SIGTERM or Ctrl-C: each alert once, and its follow-ups.

    按订阅投递告警：每条告警只通知一次，逾期完成与撤回随后通知。

    Several may run under one --name: one delivers, the others stand by and take over when it fails. The state is kept
    in the topic NAME.deliveries. A message in flight at a crash is sent again with the same key.

    With --rules, messages and subscriptions name organisations as organisations.yaml (or .csv) in that directory does.

    \b
    Example:
      gridclock notify --subscriptions subscriptions.yaml --bootstrap 127.0.0.1:9092
    """
    settings = load_settings(**given)
    start_logging(settings.log_level)
    begun = log_outages(settings)

    def read() -> tuple[SubscriptionFile, Names]:
        names = names_of(rules, only)
        file = load_subscriptions(path, names)
        if problems := own_topics(path, file, settings):
            raise ConfigError.first_of(problems)
        return file, names

    def check() -> None:
        load_settings(**given)  # secrets in files too
        asyncio.run(check_channels(read()[0]))

    file, names = read()
    topics = [channel.topic for channel in file.channels.values() if isinstance(channel, KafkaChannel)]
    need_broker(settings, permissions_of("notify", settings, topics))

    def on_ready(ready: NotifyReady) -> None:
        begun()
        word = "delivering" if ready.delivers else "standing by"
        announce(
            f"{word} on {settings.bootstrap}, {len(file.subscriptions)} subscriptions, "
            f"{len(file.channels)} channels, metrics http://{in_url(settings.metrics_host)}:{ready.metrics_port}/metrics"
        )

    run_reloading(
        lambda stop: run_notifier(settings, file, first_from_us=first_from, names=names, on_ready=on_ready, stop=stop),
        check,
    )
    announce("stopped in order")
    return DONE
