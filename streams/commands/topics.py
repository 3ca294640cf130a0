"""``gridclock topics``: create the topics of an installation, and check their settings."""

from __future__ import annotations

from typing import Any

import click

from streams.commands.common import DONE, broker_options, need_broker
from streams.kafka.admin import ensure_topics
from streams.kafka.topics import differences, topics_of
from streams.settings import Settings, load_settings

DIFFERENT = 1


@click.group(short_help="Create the topics of an installation, or check them.")
def topics() -> None:
    """Create the topics that gridclock reads and writes, or check the settings of existing ones.

    \b
    Example, as an administrator, before the first worker:
      gridclock topics create --bootstrap kafka:9092 --partitions 32
    """


def topic_options(command: Any) -> Any:
    """The options that define the topics."""
    command = click.option("--partitions", type=int, help="Partitions of new topics (8).")(command)
    command = click.option("--replication", type=int, help="Copies (3, or the number of brokers if less).")(command)
    command = click.option(
        "--source", "sources", multiple=True, metavar="TOPIC", help="A source topic of events (NAME.events)."
    )(command)
    command = click.option("--cases/--no-cases", default=None, help="With the topic NAME.cases (without).")(command)
    return broker_options(command)


@topics.command(short_help="Create the missing topics.")
@topic_options
def create(sources: tuple[str, ...], **given: Any) -> int:
    """Create the missing topics, as an administrator; existing ones are not changed.

    \b
    Example:
      gridclock topics create --bootstrap kafka:9092 --partitions 32 --replication 3
    """
    settings = _settings(sources, given)
    report = ensure_topics(
        settings.bootstrap, topics_of(settings), replication=settings.replication, security=settings.security()
    )
    click.echo(report)
    return _report(settings)


@topics.command(short_help="Check the settings of existing topics.")
@topic_options
def check(sources: tuple[str, ...], **given: Any) -> int:
    """Print a line for each topic that is missing or differs, with the correction; exit 1 if there is any.

    \b
    Example:
      gridclock topics check --bootstrap kafka:9092 --partitions 32
    """
    return _report(_settings(sources, given))


def _settings(sources: tuple[str, ...], given: dict[str, Any]) -> Settings:
    settings = load_settings(sources=sources or None, **given)
    need_broker(settings)
    return settings


def _report(settings: Settings) -> int:
    found = differences(settings, topics_of(settings))
    for line in found:
        click.echo(line)
    return DIFFERENT if found else DONE
