"""``gridclock subscriptions``: check, list and try a file of subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import click
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from schemas.limits import MINUTE
from schemas.rules import Rule
from schemas.subscriptions import KafkaChannel, Match, OrgMatch, Subscription, SubscriptionFile
from streams.commands.common import (
    DONE,
    WRONG_USE,
    broker_options,
    need_broker,
    print_problems,
    rulebook_of,
    rulebook_options,
)
from streams.core.delivery_message import Delivery
from streams.core.instants import format_us
from streams.errors import BrokerError, ConfigError, did_you_mean
from streams.kafka.acls import writing
from streams.kafka.connection import kafka_options
from streams.notify.channels.contract import Channel, NotDelivered
from streams.notify.process import channels_of, check_channels
from streams.notify.subscription_checks import own_topics, without_effect
from streams.notify.subscription_files import load_subscriptions, missing_secrets
from streams.rulebooks.yaml_files import Keys, read_yaml
from streams.settings import Settings, load_settings
from streams.wall_clock import WallClock

FAILED: Final = 1
_FILE = click.argument("path", type=click.Path(path_type=Path), metavar="FILE")


@click.group(short_help="Check, list and try a file of subscriptions.")
def subscriptions() -> None:
    """Who gets which alerts, by which channel, and when.

    订阅：谁在何时、通过何种渠道收到哪些告警。

    \b
    Example of a file:
      channels:
        dispatch: {kind: webhook, url: "https://desk.example/alerts", secret: {env: DESK_SECRET}}
      subscriptions:
        - name: red-lines
          match: {severity: red_line, org: {city: "3201"}}
          channels: dispatch
    """


@subscriptions.command()
@_FILE
@rulebook_options
@click.option("--secrets", is_flag=True, help="Fail if a secret or certificate named in the file is missing here.")
def check(path: Path, rules: tuple[Path, ...], only: Path | None, secrets: bool) -> int:
    """Check a file: its form, its channels, and that its filters match some rule.

    No channel may write to a topic of the installation; GRIDCLOCK_NAME and GRIDCLOCK_SOURCES say which these are.

    \b
    Example:
      gridclock subscriptions check subscriptions.yaml
    """
    loaded = rulebook_of(rules, only)
    file = load_subscriptions(path, loaded.organisations)
    problems = [
        *own_topics(path, file, load_settings()),
        *without_effect(path, file),
        *never_matching(path, file, loaded.rulebook.rules),
    ]
    if problems:
        raise ConfigError.first_of(problems)
    missing = missing_secrets(file)
    for problem in missing:
        print_problems(problem)
    if secrets and not missing:
        asyncio.run(check_channels(file))
    click.echo(f"{path}: {len(file.channels)} channels, {len(file.subscriptions)} subscriptions: in order")
    return WRONG_USE if missing and secrets else DONE


def never_matching(path: Path, file: SubscriptionFile, rules: Sequence[Rule]) -> list[ConfigError]:
    """What a subscription asks for that no alert of these rules ever has: it would never match, and nobody be told."""
    lines = read_yaml(path)
    found = []
    for index, item in enumerate(file.subscriptions):
        for keys, message in (*_unknown_rules(item.match, rules), *_odd_values(item.match)):
            place: Keys = ("subscriptions", index, "match", *keys)
            key = ".".join(str(one) for one in place)
            found.append(ConfigError(message, path=str(path), line=lines.line(place), key=key))
    return found


def _unknown_rules(match: Match, rules: Sequence[Rule]) -> Iterator[tuple[Keys, str]]:
    known, enabled = {rule.id for rule in rules}, {rule.id for rule in rules if rule.enabled}
    asked = set(match.rule or known)
    for name in match.rule or ():
        if name not in known:
            yield ("rule",), f"{name!r} is not a rule of this rulebook{did_you_mean(name, known)}"
        elif name not in enabled:
            yield ("rule",), f"{name!r} is not enabled in this rulebook: it reports nothing"
    if not asked <= enabled and match.rule is not None:
        return
    fitting = [rule for rule in rules if rule.enabled and rule.id in asked]
    wanted: list[tuple[str, Keys, Sequence[str] | None, Callable[[Rule], set[str]]]] = [
        ("chapter", ("chapter",), match.chapter, lambda rule: {rule.clauses[0].partition("-")[0]}),
        ("severity", ("severity",), match.severity, lambda rule: {rule.severity}),
        ("subject type", ("subject", "type"), match.subject.type, lambda rule: set(rule.subject)),
    ]
    for word, keys, values, has in wanted:
        if values is None:
            continue
        having = {value for rule in fitting for value in has(rule)}
        fitting = [rule for rule in fitting if has(rule) & set(values)]
        if not fitting:
            yield (
                keys,
                f"{word} {' or '.join(values)} is that of no such rule; here it is {' or '.join(sorted(having))}",
            )
            return


def _odd_values(match: Match) -> Iterator[tuple[Keys, str]]:
    for level in OrgMatch.model_fields:
        for value in getattr(match.org, level) or ():
            if not value or value != value.strip() or "*" in value:
                yield (
                    ("org", level),
                    f"{value!r} is never the code of an organisation: codes are compared whole; "
                    "list them, or ask for the level above",
                )
    for value in match.subject.id or ():
        if not value or value != value.strip() or "*" in value[:-1]:
            yield (
                ("subject", "id"),
                f"{value!r} is never the id of a subject: write it whole, or its beginning and one *",
            )


@subscriptions.command(name="list")
@_FILE
def list_(path: Path) -> int:
    """Show the subscriptions, one per line.

    \b
    Example:
      gridclock subscriptions list subscriptions.yaml
    """
    file = load_subscriptions(path)
    table = Table("name 名称", "what 内容", "to 渠道", "when 时间", "then 升级", box=None, pad_edge=False)
    for item in file.subscriptions:
        table.add_row(item.name, what_of(item), ", ".join(item.channels), when_of(item), then_of(item))
    console = Console()
    (console if console.is_terminal else Console(width=240)).print(table)
    return DONE


def what_of(item: Subscription) -> str:
    """The filter of a subscription, in words."""
    match = item.match
    org = {level: getattr(match.org, level) for level in OrgMatch.model_fields}
    parts: list[tuple[str, Sequence[str] | None]] = [
        ("", match.kind),
        ("rule ", match.rule),
        ("chapter ", match.chapter),
        ("", match.severity),
        *((f"{level} ", wanted) for level, wanted in org.items()),
        ("", match.subject.type),
        ("subject ", match.subject.id),
    ]
    return "; ".join(word + "/".join(wanted) for word, wanted in parts if wanted)


def when_of(item: Subscription) -> str:
    """The timing of a subscription, in words."""
    parts = []
    if item.digest:
        red = "" if item.digest.red_lines == "wait" else ", red lines at once"
        parts.append(f"every {item.digest.every // MINUTE} min{red}")
    if item.quiet:
        red = ", red lines pass" if item.quiet.red_lines == "pass" else ""
        parts.append(f"not {item.quiet.start:%H:%M}-{item.quiet.end:%H:%M}{red}")
    return "; ".join(parts) or "at once"


def then_of(item: Subscription) -> str:
    """The escalation of a breach, in words."""
    return "; ".join(f"{step.after // MINUTE} min: {step.to} ({', '.join(step.channels)})" for step in item.escalate)


@subscriptions.command()
@click.argument("name")
@_FILE
@broker_options
@click.option("--escalations", is_flag=True, help="Try the channels of its escalation steps, too.")
def test(name: str, path: Path, escalations: bool, **given: Any) -> int:
    """Send a test alert, marked as such (测试), to every channel of the subscription NAME.

    It is a breach of no real order. Each channel gets one attempt. A broker is needed for Kafka channels only.

    \b
    Example:
      gridclock subscriptions test red-lines subscriptions.yaml
    """
    file = load_subscriptions(path)
    found = next((item for item in file.subscriptions if item.name == name), None)
    if found is None:
        known = ", ".join(item.name for item in file.subscriptions)
        raise ConfigError(f"no subscription {name!r}; the file has {known}", path=str(path))
    names = list(found.channels)
    if escalations:
        names += [channel for step in found.escalate for channel in step.channels]
    settings = load_settings(**given)
    if problems := own_topics(path, file, settings):
        raise ConfigError.first_of(problems)
    topics = [one.topic for name in names if isinstance(one := file.channels[name], KafkaChannel)]
    if topics:
        need_broker(settings, writing(*topics))
    only = file.model_copy(update={"channels": {channel: file.channels[channel] for channel in names}})
    outcomes = asyncio.run(_try(settings, only, found))
    for channel in dict.fromkeys(names):
        problem = outcomes[channel]
        click.echo(f"{channel}: {'test alert delivered' if problem is None else problem}", err=problem is not None)
    return FAILED if any(outcomes.values()) else DONE


async def _try(settings: Settings, file: SubscriptionFile, found: Subscription) -> Mapping[str, NotDelivered | None]:
    producer = None
    if any(isinstance(channel, KafkaChannel) for channel in file.channels.values()):
        producer = AIOKafkaProducer(acks="all", **kafka_options(settings))
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise BrokerError(f"{settings.bootstrap}: {error}") from error
    problems: dict[str, NotDelivered | None] = {}
    try:
        opened = channels_of(file, producer)
        event = test_alert(found, WallClock().now())
        for name, channel in opened.items():
            problems[name] = await _attempt(channel, name, found.name, event)
    finally:
        if producer is not None:
            await producer.stop()
    return problems


async def _attempt(channel: Channel, name: str, subscription: str, event: dict[str, Any]) -> NotDelivered | None:
    delivery = Delivery(name, subscription, event["id"], (event,), 0)
    try:
        await channel.deliver(delivery, test=True)
    except NotDelivered as problem:
        return problem
    finally:
        await channel.close()
    return None


def test_alert(item: Subscription, now: int) -> dict[str, Any]:
    """An alert that matches the subscription and is recognisable as a test."""
    match, when = item.match, format_us(now)
    number = blake2b(f"test\x1f{item.name}\x1f{now}".encode(), digest_size=16).hexdigest()
    org = {level: wanted[0] for level in OrgMatch.model_fields if (wanted := getattr(match.org, level))}
    words = {
        "zh": f"这是订阅“{item.name}”的测试告警，并无工单超时。",
        "en": f"this is a test alert of subscription {item.name!r}; no order has run out of time.",
    }
    data: dict[str, Any] = {
        "alert_id": number,
        "case_id": number,
        "kind": "breach",
        "rule": match.rule[0] if match.rule else "test",
        "rule_version": "test",
        "clause": f"{match.chapter[0]}-test" if match.chapter else "TEST",
        "severity": match.severity[0] if match.severity else "norm",
        "title": {"zh": "测试告警", "en": "Test alert"},
        "subject": {"type": "order", "id": "TEST"},
        "order_id": "TEST",
        "account_id": None,
        "org": org or None,
        "started_at": when,
        "deadline": when,
        "due_at": when,
        "detected_at": when,
        "stopped_at": None,
        "limit": None,
        "elapsed": "PT0S",
        "paused": "PT0S",
        "retracts": None,
        "evidence": [],
        "explanation": words,
        "arithmetic": {},
        "calendar_provisional": False,
    }
    return {
        "specversion": "1.0",
        "id": number,
        "source": "gridclock/test",
        "type": "gridclock.alert.breach",
        "time": when,
        "subject": number,
        "datacontenttype": "application/json",
        "data": data,
    }
