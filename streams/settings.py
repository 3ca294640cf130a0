"""Settings of the live worker: from flags, then environment (``GRIDCLOCK_...``), then defaults; checked once."""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from streams.errors import ConfigError, plain_message
from streams.log_lines import announce

SECRETS = ("sasl_password", "ssl_key_password", "pseudonym_key", "database_password")
"""Settings that come from the environment or from a file (``<name>_file``), never from a flag, and are never shown."""

PREFIX: Final = "GRIDCLOCK_"
_OF_OPTIONS: Final = frozenset(
    ("BY", "ENGINE", "ONLY", "RULES", "NOTIFY_METRICS_PORT", "SINK_METRICS_PORT")
)  # fmt: skip
_OF_SCRIPTS: Final = frozenset(
    ("ALERTMANAGER_URL", "BROKER", "CONFIG", "OPS", "SPARK", "SUBSCRIPTIONS", "WEBHOOK_SECRET", "WEBHOOK_URL")
)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,79}$"
"""Characters that Kafka allows in a topic's name, with room for a suffix."""

HEADER_PATTERN = r"^([A-Za-z][A-Za-z0-9\-]{0,99})?$"
"""A header's name, or nothing. No underscores: proxies drop such headers or let them through unchecked."""

TOPIC_PATTERN = r"^[A-Za-z0-9._\-]{1,249}$"
"""What Kafka takes for a topic's name."""


_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MOST_BYTES: Final = 1 << 50

MOST_DAYS: Final = 365_000
"""The longest time in days: a thousand years, which is "for ever" and still counted in microseconds."""

ADDRESS_PATTERN = r"^\S+$"
"""An address to listen on. Never an empty one, which the operating system takes for all of the machine's addresses."""


_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s:/@\[\]]+)(?::([0-9]{1,5}))?")
_BROKER_PORT: Final = 9092
"""Where an address names none, as in Kafka's own clients."""

_PATHS: Final = (
    "data_dir", "sasl_password_file", "ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_key_password_file",
    "pseudonym_key_file", "database_password_file",
)  # fmt: skip


def _address_of(given: str) -> str:
    """A broker's address with its port.

    Raises:
        ValueError: where it is none.
    """
    match = _BROKER.fullmatch(given)
    port = _BROKER_PORT if match is None or match[2] is None else int(match[2])
    if match is None or not 0 < port < 65_536:
        raise ValueError(f"{given!r} is no broker's address: write HOST:PORT, several separated by commas")
    return f"{match[1]}:{port}"


def bytes_of(given: int | str) -> int:
    """An amount of memory in bytes, such as ``512M`` or ``2G``.

    Raises:
        ValueError: where it is none, or more than 2**50.
    """
    match = re.fullmatch(r"([1-9][0-9]*)([KMG]?)", str(given).upper())
    if match is None:
        raise ValueError(f"{given!r} is not an amount of memory; for example 512M or 2G")
    if (found := int(match[1]) * _UNITS[match[2]]) > _MOST_BYTES:
        raise ValueError(f"{given!r} is more memory than a machine has; for example 512M or 2G")
    return found


class Settings(BaseSettings):
    """All settings; see ``gridclock run --help``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )

    bootstrap: str = Field(
        default="",
        validation_alias=AliasChoices("bootstrap", "GRIDCLOCK_BOOTSTRAP", "KAFKA_BOOTSTRAP_SERVERS"),
        description="host:port of one or more brokers, separated by commas",
    )
    name: str = Field(default="gridclock", pattern=NAME_PATTERN, description="prefix of topics and consumer groups")
    sources: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="topics that events come from, each with a mapping or without: TOPIC=map.yaml"
    )
    partitions: int = Field(default=8, ge=1, le=1024, description="of the log, where it is to be created")
    replication: int | None = Field(default=None, ge=1, description="default: 3, or the number of brokers if less")
    retention_days: float = Field(
        default=14, gt=0, le=MOST_DAYS, description="how long topics other than state are kept"
    )
    acks_days: float = Field(
        default=1095, gt=0, le=MOST_DAYS,
        description="how long is kept who acknowledged, silenced or was assigned what: staff data",
    )  # fmt: skip
    cases: bool = Field(default=False, description="each case's present state is written to the topic `<name>.cases`")
    state_format: int = Field(
        default=2, ge=1, le=2,
        description="newest form of state rows: 1 keeps the way back to 0.1, and state grows; the same for all workers",
    )  # fmt: skip
    data_dir: Path = Field(default=Path("gridclock-data"), description="local copy of the state")
    store: Literal["rocksdb", "memory"] = Field(default="rocksdb", description="local copy: on disk or in memory")
    memory: Annotated[int, BeforeValidator(bytes_of)] = Field(
        default=512 << 20,
        description="about what subjects may need in memory, such as 2G; others rest in the local copy of the state",
    )
    grace_ms: int = Field(
        default=1000, ge=0, le=30 * 86_400_000, description="how long an event may be under way before it is late"
    )
    tick_ms: int = Field(default=250, ge=10, le=3_600_000, description="how often time moves when nothing comes in")
    batch: int = Field(default=4000, ge=1, le=1_000_000, description="events read at a time")
    fetch_wait_ms: int = Field(default=500, ge=1, le=10_000, description="how long the broker may hold an empty answer")
    session_s: float = Field(default=15, ge=6, le=300, description="a worker silent for so long loses its partitions")
    max_ahead_s: int = Field(
        default=3600, ge=0, le=MOST_DAYS * 86_400, description="event time this far after the broker's is refused"
    )
    keep_days: float = Field(
        default=90, gt=0, le=MOST_DAYS, description="closed subjects are kept this long for late events"
    )
    metrics_host: str = Field(
        default="127.0.0.1", pattern=ADDRESS_PATTERN, description="address of /metrics, /healthz and /readyz"
    )
    metrics_port: int = Field(default=9464, ge=0, le=65535, description="its port; 0: any free one")
    metrics_counties: int = Field(default=200, ge=0, description="counties named in metrics; further ones are other")
    board_host: str = Field(default="127.0.0.1", pattern=ADDRESS_PATTERN, description="address of the board")
    board_port: int = Field(default=9465, ge=0, le=65535, description="0: any free port")
    board_names: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="host names that a board on loopback answers to besides its own"
    )
    board_clients: int = Field(default=64, ge=1, le=10_000, description="pages open at the same time")
    board_trust_header: str = Field(
        default="",
        pattern=HEADER_PATTERN,
        description="the header in which a proxy names whom it logged in, who may act on alerts; empty: nobody may",
    )
    board_trust_groups_header: str = Field(
        default="", pattern=HEADER_PATTERN, description="the header in which the proxy names that person's groups"
    )
    board_may_act: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="groups that may act; without: everybody whom the proxy logs in"
    )
    board_trust_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="addresses and networks of the proxy, which alone may name people; default: loopback"
    )
    clock_origin: int | None = Field(default=None, description="a scaled clock showed this instant (microseconds)")
    clock_anchor: int | None = Field(default=None, description="at this real instant (microseconds)")
    clock_speed: float = Field(default=1, gt=0, allow_inf_nan=False, description="and runs this many times as fast")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="warning", description="to standard error")
    log_format: Literal["text", "json"] = Field(default="text", description="lines for people, or a JSON object a line")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="protocol to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how to log in to the brokers, with SASL"
    )
    sasl_username: str | None = Field(default=None, description="the name to log in with")
    sasl_password: SecretStr | None = Field(default=None, description="its password; never printed")
    sasl_password_file: Path | None = Field(default=None, description="a file that holds it")
    ssl_cafile: Path | None = Field(default=None, description="certificates to trust; default: the system's")
    ssl_certfile: Path | None = Field(default=None, description="the client certificate, where the brokers require one")
    ssl_keyfile: Path | None = Field(default=None, description="its private key")
    ssl_key_password: SecretStr | None = Field(
        default=None, description="the password of the private key; never printed"
    )
    ssl_key_password_file: Path | None = Field(default=None, description="a file that holds it")
    pseudonym_key: SecretStr | None = Field(
        default=None, min_length=16, description="account and meter numbers are replaced by pseudonyms under this key"
    )
    pseudonym_key_file: Path | None = Field(default=None, description="a file that holds it")
    pseudonyms_inside: bool = Field(
        default=False,
        description="account and meter numbers are replaced as they come in, so that log and state never hold them: "
        "only under a new --name",
    )

    database: str = Field(
        default="",
        description="where `gridclock sink` writes, and the board reads trends: postgresql://USER@HOST:PORT/NAME",
    )
    database_schema: str = Field(
        default="gridclock", pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="the schema of its tables"
    )
    database_password: SecretStr | None = Field(default=None, description="the database's password; never printed")
    database_password_file: Path | None = Field(default=None, description="a file that holds it")

    @field_validator("bootstrap")
    @classmethod
    def _addresses(cls, value: str) -> str:
        return ",".join(_address_of(one.strip()) for one in value.split(",") if one.strip())

    @field_validator(*_PATHS, mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if isinstance(value, str) and not value.strip():  # as of ${VARIABLE:-}; it would be the working directory
            raise ValueError("is empty: name a file or directory, or leave it out")
        return value

    @field_validator("sasl_password", "ssl_key_password", "database_password", mode="before")
    @classmethod
    def _without_line_break(cls, value: object) -> object:
        return value.rstrip("\r\n") if isinstance(value, str) else value  # as of a file

    @field_validator("pseudonym_key", mode="before")
    @classmethod
    def _one_key(cls, value: object) -> object:
        if isinstance(value, str) and value.endswith(("\r", "\n")):
            # Without it pseudonyms would be others than before, with it others than with the same key in a file.
            raise ValueError("ends with a line break, which is no part of a key in a file: take it away")
        return value

    @field_validator("sources", "board_names", "board_may_act", "board_trust_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value

    @field_validator("sources")
    @classmethod
    def _topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        topics = [one.partition("=")[0] for one in value]
        for topic in topics:
            if not re.match(TOPIC_PATTERN, topic):
                raise ValueError(f"{topic!r} is not a topic's name: letters, digits, . _ - and at most 249 of them")
            if topics.count(topic) > 1:
                raise ValueError(f"topic {topic} stands twice: give it one mapping")
        return value

    @field_validator("board_trust_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ip_network(one)
            except ValueError as error:
                raise ValueError(f"{error}; write 10.1.2.3, or 10.1.2.0/24 for a network") from None
        return value

    @property
    def source_topics(self) -> tuple[str, ...]:
        """The topics that events come from."""
        return tuple(one.partition("=")[0] for one in self.sources) or (f"{self.name}.events",)

    @property
    def source_mappings(self) -> dict[str, Path]:
        """The mapping files of the topics that have one."""
        named = (one.partition("=") for one in self.sources)
        return {topic: Path(path) for topic, equals, path in named if equals}

    @property
    def log_topic(self) -> str:
        """The ordered log."""
        return f"{self.name}.log"

    @property
    def alerts_topic(self) -> str:
        """The topic of alerts."""
        return f"{self.name}.alerts"

    @property
    def cases_topic(self) -> str:
        """The topic of cases, where they are written: the present state of each."""
        return f"{self.name}.cases"

    @property
    def acks_topic(self) -> str:
        """The topic of acknowledgements and notes: the audit trail."""
        return f"{self.name}.acks"

    @property
    def deliveries_topic(self) -> str:
        """The notifier's state: what was sent to whom."""
        return f"{self.name}.deliveries"

    @property
    def undelivered_topic(self) -> str:
        """Messages that a channel refused."""
        return f"{self.name}.undelivered"

    @property
    def dead_letters_topic(self) -> str:
        """The topic of refused records."""
        return f"{self.name}.dead-letters"

    @property
    def changelog_topic(self) -> str:
        """The topic of the state; Faust determines its name."""
        return f"{self.name}-state-changelog"

    @property
    def keep_for(self) -> int:
        """``keep_days`` in microseconds."""
        return int(self.keep_days * 86_400 * 1_000_000)

    def kafka_python(self) -> dict[str, Any]:
        """The options of kafka-python's clients: brokers and security."""
        return {"bootstrap_servers": self.bootstrap.split(","), **self.security()}

    def security(self) -> dict[str, Any]:
        """The security options of kafka-python's and aiokafka's clients."""
        options: dict[str, Any] = {"security_protocol": self.security_protocol}
        if (context := self.ssl_context()) is not None:
            options["ssl_context"] = context
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = revealed(self.sasl_password)
        return options

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context with trusted and own certificates; ``None`` without TLS.

        Raises:
            ConfigError: naming the file that is missing or invalid.
        """
        if not self.security_protocol.endswith("SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
        except (OSError, ssl.SSLError) as error:
            raise _unfit(self.ssl_cafile, "ssl_cafile", error) from error
        if self.ssl_certfile is not None:
            try:
                # Without a password OpenSSL would ask for one on the terminal.
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, revealed(self.ssl_key_password) or "")
            except (OSError, ssl.SSLError) as error:
                raise _unfit(self.ssl_certfile, "ssl_certfile", error) from error
        return context

    @property
    def pseudonyms(self) -> bytes | None:
        """The key of pseudonyms."""
        return None if self.pseudonym_key is None else self.pseudonym_key.get_secret_value().encode()

    def shown(self) -> dict[str, Any]:
        """The settings for printing; secrets are masked."""
        return self.model_dump(mode="json")


def revealed(secret: SecretStr | None) -> str | None:
    """The secret's value."""
    return None if secret is None else secret.get_secret_value()


def _unfit(path: Path | None, key: str, error: OSError) -> ConfigError:
    # An SSLError is an OSError without a useful strerror.
    problem = "is not such a file in PEM" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
    return ConfigError(problem, path=None if path is None else str(path), key=key)


def secret_in(path: Path, key: str) -> SecretStr:
    """The secret in a file: its text without the line break at the end.

    Raises:
        ConfigError: where the file cannot be read or is empty; without its content.
    """
    try:
        text = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "is no UTF-8"
        raise ConfigError(f"cannot be read: {problem}", path=str(path), key=key) from None
    if not text:
        raise ConfigError("is empty", path=str(path), key=key)
    return SecretStr(text)


_named: set[str] = set()


def misspelled(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that are no setting but are spelled nearly as one, each with that one.

    Others with the prefix are ignored: subscriptions name variables of their own, and container platforms add some.
    """
    known = {name.upper() for name in Settings.model_fields} | _OF_OPTIONS
    found = {}
    for variable in sorted(environment):
        name = variable.upper().removeprefix(PREFIX)
        if variable.upper().startswith(PREFIX) and name not in known | _OF_SCRIPTS:
            begins = [one for one in known if name and one.startswith(name)]  # GRACE for GRACE_MS
            near = begins if len(begins) == 1 else get_close_matches(name, sorted(known), 1, cutoff=0.85)
            if near:
                found[variable] = PREFIX + near[0]
    return found


def load_settings(**given: Any) -> Settings:
    """Settings from the values given (``None`` means not given) and the environment.

    Variables that look like a misspelled setting are named on standard error, once each.

    Raises:
        ConfigError: naming the setting, and the variable where it came from one.
    """
    for variable, near in misspelled(os.environ).items():
        if variable not in _named:
            _named.add(variable)
            announce(f"{variable} is no setting and is ignored: is {near} meant?", level=logging.WARNING)
    values = {name: value for name, value in given.items() if value is not None}
    settings = _checked(values)
    files = {name: getattr(settings, f"{name}_file") for name in SECRETS}
    for name, path in files.items():
        if path is not None:
            if getattr(settings, name) is not None:
                raise ConfigError(f"give {name} or {name}_file, not both", path="settings", key=name)
            values[name] = secret_in(path, f"{name}_file")
    settings = _checked(values) if any(files.values()) else settings
    if settings.security_protocol.startswith("SASL"):
        for name in ("sasl_username", "sasl_password"):
            if not getattr(settings, name):
                raise ConfigError(f"{settings.security_protocol} needs it", path="settings", key=name)
    return settings


def _checked(values: Mapping[str, Any]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        problems = []
        for item in error.errors(include_url=False):
            name = str(item["loc"][0]) if item["loc"] else "settings"
            variables = (f"{PREFIX}{name.upper()}", *(["KAFKA_BOOTSTRAP_SERVERS"] if name == "bootstrap" else []))
            variable = next((one for one in variables if one in os.environ and name not in values), None)
            where = "settings" if variable is None else f"environment variable {variable}"
            message = plain_message(item)
            value = "a secret" if name in SECRETS else repr(item.get("input"))
            problems.append(ConfigError(f"{value}: {message}", path=where, key=name))
        raise ConfigError.first_of(problems) from error
