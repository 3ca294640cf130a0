"""``gridclock topics``: makes the topics of an installation, and compares them with what they should be."""

from __future__ import annotations

from typing import Any

import click

from streams.commands.common import DONE, broker_options, need_broker
from streams.kafka.admin import ensure_topics
from streams.kafka.topics import differences, topics_of
from streams.settings import Settings, load_settings

DIFFERENT = 1


@click.group(short_help="Make the topics of an installation, or check them.")
def topics() -> None:
    """Make the topics that gridclock reads and writes, or compare those that are there with what they should be.

    \b
    Example, as an administrator, before the first worker:
      gridclock topics create --bootstrap kafka:9092 --partitions 32
    """


def topic_options(command: Any) -> Any:
    """The options that say which topics are meant."""
    command = click.option("--partitions", type=int, help="Partitions of topics that are to be made (8).")(command)
    command = click.option("--replication", type=int, help="Copies (3, or the number of brokers if less).")(command)
    command = click.option(
        "--source", "sources", multiple=True, metavar="TOPIC", help="A topic that events come in by (NAME.events)."
    )(command)
    command = click.option("--cases/--no-cases", default=None, help="With the topic NAME.cases (without).")(command)
    return broker_options(command)


@topics.command(short_help="Make those that are missing.")
@topic_options
def create(sources: tuple[str, ...], **given: Any) -> int:
    """Make the topics that are missing, as an administrator; those that are there stay as they are.

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


@topics.command(short_help="Compare those that are there with what they should be.")
@topic_options
def check(sources: tuple[str, ...], **given: Any) -> int:
    """Print a line for each topic that is missing or set otherwise, and how to correct it; exit 1 where there is one.

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
