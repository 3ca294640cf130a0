"""The schema registry of a mapping, by confluent-kafka's client: requests each schema once, and waits during outages.

An outage is: no answer, access refused, or an answer that is not a registry's (a wrong path). These are not caused by
the record, and are temporary. Only "no such schema" is an error of the record.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

import schemas.mappings as schema
from streams.errors import ConfigError, InputError, RegistryAwayError
from streams.log_limits import Absence
from streams.wall_clock import monotonic
from streams.wire.registered import MAX_REFERENCES, Reader, SchemaId, Text, reader_of

TRY_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 60.0
UNKNOWN_SECONDS: Final = 60.0
"""Time after which a schema not found in the registry is requested again."""

ANSWER_SECONDS: Final = 5
_MOST: Final = 1_000
"""Most schemas in the cache; beyond, the oldest is dropped."""

_UNKNOWN: Final = frozenset({40401, 40402, 40403})
_NEEDED: Final = ("confluent_kafka.schema_registry", "httpx2", "fastavro", "google.protobuf", "grpc_tools")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Time:
    """The clock of waits, in seconds, and its sleep."""

    now: Callable[[], float] = monotonic
    sleep: Callable[[float], None] = time.sleep


class SchemaRegistry:
    """The readers of a registry's schemas. ``patience`` is how many seconds ``get`` waits during an outage.

    ``client`` replaces confluent-kafka's.
    """

    def __init__(
        self,
        settings: schema.Registry,
        *,
        environment: Mapping[str, str] | None = None,
        client: Any = None,
        patience: float = PATIENCE_SECONDS,
        time: Time | None = None,
    ) -> None:
        self.url = settings.url
        self.patience = patience
        self._client = client or _client(settings, os.environ if environment is None else environment)
        self._time = time or Time()
        self._found: dict[SchemaId, Reader | InputError] = {}
        self._unknown_until: dict[SchemaId, float] = {}
        self._away: RegistryAwayError | None = None
        self._absence = Absence()
        self._next_try = 0.0

    def has(self, schema_id: SchemaId) -> bool:
        """Whether ``get`` answers without a request to the registry."""
        return schema_id in self._found and self._time.now() < self._unknown_until.get(schema_id, float("inf"))

    def get(self, schema_id: SchemaId) -> Reader:
        """The reader of a schema's records.

        Raises:
            InputError: where it is not in the registry, or cannot be used.
            RegistryAwayError: where the registry does not answer for longer than ``patience``.
        """
        began = self._time.now()
        while not self.has(schema_id):
            try:
                self._ask(schema_id)
            except RegistryAwayError:
                if self._time.now() - began >= self.patience:
                    raise
                self._time.sleep(TRY_SECONDS)
        found = self._found[schema_id]
        if isinstance(found, InputError):
            raise found
        return found

    def _ask(self, schema_id: SchemaId) -> None:
        now = self._time.now()
        if self._away is not None and now < self._next_try:
            raise self._away
        try:
            reader: Reader | InputError = reader_of(self._text(schema_id))
        except InputError as error:
            reader = InputError(error.reason, None, f"schema {schema_id} of {self.url}: {error.detail}")
        except RegistryAwayError as error:
            self._note(error)
            raise
        self._note(None)
        if len(self._found) >= _MOST:
            self._found.pop(next(iter(self._found)))
        self._found[schema_id] = reader
        self._unknown_until.pop(schema_id, None)
        if isinstance(reader, InputError):
            self._unknown_until[schema_id] = self._time.now() + UNKNOWN_SECONDS

    def _note(self, error: RegistryAwayError | None) -> None:
        """Log a line at the begin of an outage, one per minute, and one at its end."""
        now = self._time.now()
        if error is None:
            if (lasted := self._absence.ends(now)) is not None:
                logger.warning("schema registry %s: answers again after %.0f s", self.url, lasted)
            self._away = None
            return
        self._next_try = now + TRY_SECONDS
        if (seconds := self._absence.lasts(now)) is not None:
            logger.warning(
                "%s, for %.0f s; partitions whose records need a schema of it wait, nothing is lost", error, seconds
            )
        self._away = error

    def _text(self, schema_id: SchemaId) -> Text:
        """A schema with all schemas it refers to, each before those that refer to it."""
        if isinstance(schema_id, int):
            own = self._call(partial(self._client.get_schema, schema_id, None, "serialized"))
        else:
            own = self._call(partial(self._client.get_schema_by_guid, schema_id, "serialized"))
        found: dict[str, str] = {}
        asked: set[str] = set()
        waiting: list[tuple[Any, str | None]] = [(own, None)]
        while waiting:
            one, name = waiting[-1]
            missing = next((ref for ref in one.references or () if ref.name not in asked), None)
            if missing is None:
                waiting.pop()
                if name is not None:
                    found[name] = one.schema_str or ""
                continue
            asked.add(missing.name)
            if len(asked) > MAX_REFERENCES:
                raise InputError("undecodable", None, f"it refers to more than {MAX_REFERENCES} schemas")
            ask = partial(self._client.get_version, missing.subject, missing.version, True, "serialized")
            waiting.append((self._call(ask).schema, missing.name))
        return Text(own.schema_type or "AVRO", own.schema_str or "", tuple(found.items()))

    def _call(self, ask: Callable[[], Any]) -> Any:
        from confluent_kafka.schema_registry.error import SchemaRegistryError
        from httpx2 import HTTPError, InvalidURL

        try:
            return ask()
        except SchemaRegistryError as error:
            if error.http_status_code == 404 and error.error_code in _UNKNOWN:
                raise InputError("unknown_schema", None, "the registry does not know it") from None
            hint = {401: ": check user, password or token", 403: ": check its rights", 404: ": check the path of url"}
            said = f"answers {error.http_status_code}{hint.get(error.http_status_code, '')}"
        except (HTTPError, InvalidURL, OSError) as error:
            said = f"no answer ({error or type(error).__name__})"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = f"answers what is no schema ({error!r}): check url"
        raise RegistryAwayError(f"schema registry {self.url}: {said}")


def _client(settings: schema.Registry, environment: Mapping[str, str]) -> Any:
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing:
        raise ConfigError(
            f"a schema registry needs {', '.join(missing)}: pip install 'gridclock[registry]'", key="registry"
        )
    from confluent_kafka.schema_registry import SchemaRegistryClient

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs a line per request
    given: dict[str, Any] = {"url": settings.url, "timeout": ANSWER_SECONDS, "max.retries": 0}
    if settings.user is not None and settings.password is not None:
        user = _word(settings.user, "registry.user", environment)
        given["basic.auth.user.info"] = f"{user}:{_word(settings.password, 'registry.password', environment)}"
    if settings.token is not None:
        given |= {
            "bearer.auth.credentials.source": "STATIC_TOKEN",
            "bearer.auth.logical.cluster": "",  # Confluent's cloud alone has several behind one address
            "bearer.auth.token": _word(settings.token, "registry.token", environment),
        }
    if settings.ca is not None:
        given["ssl.ca.location"] = settings.ca
    try:
        return SchemaRegistryClient(given)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be used: {error}", key="registry") from None


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _word(value: str | schema.FromEnvironment, key: str, environment: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    found = environment.get(value.env, "").strip()
    if not found:
        raise ConfigError(f"environment variable {value.env} is not set", key=key)
    return found
