"""Subscriptions: who gets which alerts, how, and when. One YAML file holds one ``SubscriptionFile``.

A *channel* is one receiver of messages: a topic, a webhook, an Alertmanager, a group chat. A *subscription* sends some
alerts to some channels. A channel gets an alert once, however many subscriptions name it. Late completions and
retractions need no subscription: they follow their alert.

The file never contains secrets. It names an environment variable or another file instead.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from datetime import time
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import core_schema

from schemas.base import Model
from schemas.limits import DAY, HOUR, MINUTE, SECOND
from schemas.patterns import SubjectType
from schemas.rules import Severity

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_\-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
OrgLevel = Literal["province", "city", "county", "unit"]
Chapter = Literal["W", "B", "M", "R", "I", "F"]
Kind = Literal["warning", "breach", "late_completion", "violation"]
Language = Literal["zh", "en", "both"]
RedLines = Literal["pass", "wait"]

SPAN_PATTERN: Final = r"^[1-9][0-9]{0,5} (s|min|h|days?)$"
_SPANS: Final = {"s": SECOND, "min": MINUTE, "h": HOUR, "day": DAY, "days": DAY}
PLACEHOLDERS: Final = frozenset(
    {
        "alert_id", "case_id", "kind", "rule", "clause", "severity", "title", "subject", "order_id", "city", "county",
        "unit", "place", "started_at", "deadline", "detected_at", "stopped_at", "limit", "explanation", "evidence",
        "level",
    }
)  # fmt: skip
"""What a template may name. ``city``, ``county``, ``unit`` are names where known, else codes; ``place`` is all."""


def parse_span(value: object) -> int:
    """``30 s``, ``15 min``, ``2 h`` or ``7 days`` in microseconds.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, str) and re.match(SPAN_PATTERN, value):
        amount, unit = value.split(" ")
        return int(amount) * _SPANS[unit]
    raise ValueError(f"{value!r} is no length of time; write for example 30 s, 15 min, 2 h or 7 days")


def _span_text(span: int) -> str:
    unit = next(unit for unit in ("days", "h", "min", "s") if span % _SPANS[unit] == 0)
    return f"{span // _SPANS[unit]} {unit}"


Span = Annotated[
    int,
    BeforeValidator(parse_span),
    PlainSerializer(_span_text),
    WithJsonSchema({"type": "string", "pattern": SPAN_PATTERN, "examples": ["15 min"]}),
]
"""A length of time, microseconds."""


def _clock_time(value: object) -> time:
    if isinstance(value, time):
        return value
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    # YAML 1.1 reads an unquoted 22:00 as the number 1320.
    raise ValueError(f'{value!r} is no time of day; write it in quotes, for example "22:00"')


ClockTime = Annotated[
    time,
    BeforeValidator(_clock_time),
    PlainSerializer(lambda value: value.strftime("%H:%M")),
    WithJsonSchema({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$"}),
]


class _OneOrMore:
    """A single value is read as a list of it, also in the JSON Schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(_as_list, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        array = handler(schema)
        return {"anyOf": [array["items"], array]}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Item = TypeVar("Item")
Some = Annotated[tuple[Item, ...], Field(min_length=1), _OneOrMore()]


# --- secrets and addresses ------------------------------------------------------------------------------


class Secret(Model):
    """The place of a secret: an environment variable, or a file with only the secret in it."""

    env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    file: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("write either env or file")
        return self


def check_address(value: str) -> None:
    """Check that messages can be posted to an address, written in the file or kept as a secret.

    Raises:
        ValueError: without the address, which may be a secret.
    """
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", parts.netloc)
    except ValueError:  # brackets without an address of IPv6 in them
        is_address = False
    if not is_address:
        raise ValueError("is no address; write http://... or https://..., or {env: NAME} or {file: PATH}")
    try:
        is_port = parts.port != 0
    except ValueError:  # no number, or beyond 65535
        is_port = False
    if not is_port:
        raise ValueError("has a port that is none; write for example https://desk.example:8443/alerts")


def _plain_address(value: object) -> object:
    if isinstance(value, str):
        check_address(value)
        parts = urlsplit(value)
        if parts.username or parts.password or parts.query:
            raise ValueError("an address with a user, a password or a query is a secret: name it by {env: NAME}")
    return value


Address = Annotated[str | Secret, BeforeValidator(_plain_address, json_schema_input_type=str | Secret)]


# --- channels -------------------------------------------------------------------------------------------


class Retries(Model):
    """Retries: ``attempts`` in all, with pauses that double from ``first`` up to ``longest``."""

    attempts: int = Field(default=8, ge=1, le=100)
    first: Span = SECOND
    longest: Span = 5 * MINUTE
    timeout: Span = 10 * SECOND

    @model_validator(mode="after")
    def _in_order(self) -> Retries:
        if self.longest < self.first:
            raise ValueError("longest is shorter than first")
        return self


class ChannelBase(Model):
    """The common keys of all channels."""

    retries: Retries = Retries()
    queue: int = Field(default=10_000, ge=1, le=1_000_000)
    """Most messages that wait for the channel; beyond, new alerts become undelivered messages."""


class KafkaChannel(ChannelBase):
    """A topic of the same brokers: one record per alert, key and value as on the alerts topic."""

    kind: Literal["kafka"]
    topic: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,200}$")


class WebhookChannel(ChannelBase):
    """An HTTP endpoint; ``secret`` signs its messages. ``ca`` is a file of certificates to trust."""

    kind: Literal["webhook"]
    url: Address
    secret: Secret
    ca: str | None = None


class AlertmanagerChannel(ChannelBase):
    """An Alertmanager (its v2 API).

    Open alerts are sent again every ``refresh``: a breach until it is completed or retracted, for ``hold`` at most; a
    violation, which nothing completes, until it is acknowledged or retracted, for ``violation_hold`` at most. Both are
    real time, from when the alert was first reported.
    """

    kind: Literal["alertmanager"]
    url: Address
    ca: str | None = None
    refresh: Span = 1 * MINUTE
    hold: Span = 7 * DAY
    violation_hold: Span = 1 * DAY


class PeopleChannel(ChannelBase):
    """Group chats and mail through ``apprise``; its URL contains a token and is always a secret."""

    kind: Literal["people"]
    url: Secret


Channel = Annotated[
    KafkaChannel | WebhookChannel | AlertmanagerChannel | PeopleChannel,
    Field(discriminator="kind"),
]


# --- subscriptions --------------------------------------------------------------------------------------


class OrgMatch(Model):
    """A subtree of the organisation, by codes or names of ``organisations.yaml``; with several levels all must fit."""

    province: Some[str] | None = None
    city: Some[str] | None = None
    county: Some[str] | None = None
    unit: Some[str] | None = None


class SubjectMatch(Model):
    """Subjects by type, and by id: whole, or its beginning and ``*``."""

    type: Some[SubjectType] | None = None
    id: Some[str] | None = None


class Match(Model):
    """The filter of alerts; keys left out match all. ``chapter`` is the first letter of a clause."""

    rule: Some[str] | None = None
    chapter: Some[Chapter] | None = None
    severity: Some[Severity] | None = None
    kind: Some[Kind] = ("breach", "violation")
    org: OrgMatch = OrgMatch()
    subject: SubjectMatch = SubjectMatch()


class Digest(Model):
    """Alerts are collected and sent every ``every``: at its multiples on the local clock, and at midnight.

    Where it does not divide a day the last of a day is shorter: every 7 h is at 00:00, 07:00, 14:00 and 21:00.
    """

    every: Span
    red_lines: RedLines = "wait"

    @field_validator("every")
    @classmethod
    def _part_of_a_day(cls, value: int) -> int:
        if not MINUTE <= value <= DAY or value % MINUTE:
            raise ValueError("a digest is sent every so many whole minutes, a day at most")
        return value


class QuietHours(Model):
    """From (inclusive) and to (exclusive) in local time, over midnight if ``to`` is earlier."""

    start: ClockTime = Field(alias="from")
    end: ClockTime = Field(alias="to")
    red_lines: RedLines = "pass"

    @model_validator(mode="after")
    def _some_time(self) -> QuietHours:
        if self.start == self.end:
            raise ValueError("from and to are the same")
        return self


class EscalationStep(Model):
    """The recipients of a breach that is still open and not acknowledged so long after it was first sent."""

    after: Span
    to: OrgLevel
    channels: Some[Name]


def _as_digest(value: object) -> object:
    return {"every": value} if isinstance(value, str) else value


def check_template(template: str) -> str:
    """The template, if it has only allowed placeholders.

    Raises:
        ValueError: for an unknown name, an attribute, an index, a conversion or a format.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"is no template: {error}") from error
    for _, name, style, conversion in parts:
        if name is None:
            continue
        if name not in PLACEHOLDERS:
            raise ValueError(f"{{{name}}} is not known; a template may name {', '.join(sorted(PLACEHOLDERS))}")
        if style or conversion:
            raise ValueError(f"{{{name}}} takes no format")
    return template


class Subscription(Model):
    """One recipient's filter, channels and timing. ``escalate`` steps are in order of time, each with new channels."""

    name: Name
    match: Match = Match()
    channels: Some[Name]
    digest: Annotated[Digest | None, BeforeValidator(_as_digest, json_schema_input_type=Digest | str | None)] = None
    quiet: QuietHours | None = None
    escalate: tuple[EscalationStep, ...] = Field(default=(), max_length=10)
    language: Language = "zh"
    template: str | None = Field(default=None, min_length=1, max_length=1000)

    @field_validator("template")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        return None if value is None else check_template(value)


class SubscriptionFile(Model):
    """One file of subscriptions; ``zone`` is that of its quiet hours and digests."""

    zone: str = "Asia/Shanghai"
    channels: dict[Name, Channel] = Field(min_length=1)
    subscriptions: tuple[Subscription, ...] = Field(min_length=1)

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, LookupError) as error:
            raise ValueError("is not a time zone; use an IANA name such as Asia/Shanghai") from error
        return value

    def problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Checks across parts: duplicate names, unknown channels, steps out of order."""
        names: set[str] = set()
        for index, item in enumerate(self.subscriptions):
            place: tuple[str | int, ...] = ("subscriptions", index)
            if item.name in names:
                yield (*place, "name"), f"{item.name!r}: another subscription has this name"
            names.add(item.name)
            known = set(item.channels)
            yield from self._unknown((*place, "channels"), item.channels)
            before = 0
            for number, step in enumerate(item.escalate):
                here = (*place, "escalate", number)
                if step.after <= before:
                    yield (*here, "after"), "comes no later than the step before"
                before = step.after
                yield from self._unknown((*here, "channels"), step.channels)
                for channel in step.channels:
                    if channel in known:
                        yield (*here, "channels"), f"{channel!r} has got the alert already; escalate to another channel"
                known |= set(step.channels)

    def _unknown(self, place: tuple[str | int, ...], names: tuple[str, ...]) -> Iterator[tuple[Any, str]]:
        for name in names:
            if name not in self.channels:
                yield place, f"{name!r} is no channel of this file; it has {', '.join(sorted(self.channels))}"


def secrets_of(channel: Channel) -> Mapping[str, Secret]:
    """The secrets of a channel, by key."""
    found = {key: getattr(channel, key, None) for key in ("url", "secret")}
    return {key: value for key, value in found.items() if isinstance(value, Secret)}
