"""Reads mapping files, and checks them against the event types and fields of the rulebook."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import ValidationError

import schemas.mappings as schema
from schemas.events import COMMON_FIELDS, EventCatalogue, Org
from schemas.fields import Count, Day, Flag, Instant, Number, ReadingDay
from streams.errors import ConfigError, did_you_mean, plain_message
from streams.rulebooks.schema_registry import SchemaRegistry
from streams.rulebooks.yaml_files import Keys, YamlFile, read_yaml
from streams.settings import Settings
from streams.wire.mapping import RowMapping
from streams.wire.values import IDS

_TEXTS: Final = frozenset({"null_values", "key", "column", "in", "not_in", "equals"})
"""Keys whose values are always texts: an unquoted NULL is the text NULL."""

_KINDS: Final[tuple[tuple[Any, schema.As], ...]] = (
    (Flag, "flag"),
    (Count, "integer"),
    (ReadingDay, "integer"),
    (Number, "number"),
    (Day, "date"),
    (Instant, "time"),
)


class MappingFile:
    """A mapping with the place of each of its keys."""

    def __init__(self, file: YamlFile, mapping: schema.Mapping, catalogue: EventCatalogue | None) -> None:
        self.path = file.path
        self.mapping = mapping
        self._file = file
        self.unused: tuple[ConfigError, ...] = ()
        """Fields that are not in the rulebook."""
        kinds = {} if catalogue is None else _kinds_of(mapping, catalogue)
        self.rows = RowMapping(mapping, file.path, kinds)
        if mapping.registry is not None:
            try:
                self.rows.schemas = SchemaRegistry(mapping.registry)
            except ConfigError as error:
                keys = tuple((error.key or "registry").split("."))
                raise self.error(keys, error.message) from error

    @property
    def fingerprint(self) -> str:
        """A continued replay must have the same value."""
        return hashlib.sha256(self.mapping.model_dump_json(by_alias=True).encode()).hexdigest()

    def error(self, keys: Keys, message: str, kind: type[ConfigError] = ConfigError) -> ConfigError:
        """The error at a key."""
        return kind(message, path=self.path, line=self._file.line(keys), key=_dotted(keys))

    def check_columns(self, columns: Sequence[str], name: str, hint: str = "") -> None:
        """Raise ``ConfigError`` for the first column that is missing or duplicate in the header."""
        known = set(columns)
        for keys, column in self.rows.columns():
            if column not in known:
                did = did_you_mean(column, known)
                raise self.error(keys, f"{name} has no column {column!r}; it has {', '.join(columns)}{did}{hint}")
            if columns.count(column) > 1:
                places = ", ".join(str(n) for n, one in enumerate(columns, start=1) if one == column)
                raise self.error(
                    keys,
                    f"{name} has {columns.count(column)} columns {column!r} (columns {places}): rename all but one",
                )

    def joined_ids(self) -> dict[Keys, list[str]]:
        """The columns of each id that is joined of several, by its keys."""
        found: dict[Keys, list[str]] = {}
        for keys, column in self.rows.columns():
            if keys[-1] in IDS and column not in (own := found.setdefault(keys, [])):
                own.append(column)
        return {keys: columns for keys, columns in found.items() if len(columns) > 1}

    def doubtful_ids(self, with_separator: Set[str]) -> Iterator[ConfigError]:
        """The joined ids of which two parts or more have the separator in some row: two of them may be one."""
        for keys, columns in self.joined_ids().items():
            if len(own := [column for column in columns if column in with_separator]) > 1:
                named = " and ".join(map(repr, own))
                yield self.error(
                    keys,
                    f"columns {named} have values with the / that joins them, so that two ids may be written alike, "
                    "and two things judged as one: write one of these columns without it",
                )

    def unseen(self, seen: Set[str], name: str) -> Iterator[ConfigError]:
        """The columns that no row of an input had, which is no error where rows need not have all: in JSON and logs."""
        found: dict[str, tuple[str | int, ...]] = {}
        for keys, column in self.rows.columns():
            if column not in seen:
                found.setdefault(column, keys)
        for column, keys in found.items():
            yield self.error(keys, f"no row of {name} has a column {column!r}{did_you_mean(column, seen)}")


def load_mapping(path: Path, catalogue: EventCatalogue | None = None) -> MappingFile:
    """Read and check one mapping file; with a catalogue also the types and fields that it names.

    Raises:
        ConfigError: names file, line and key; several problems are in its ``others``.
    """
    file = read_yaml(path)
    data = _as_texts(file.data, file.root)
    try:
        mapping = schema.Mapping.model_validate(data if isinstance(data, dict) else {})
    except ValidationError as error:
        problems = [
            ConfigError(
                plain_message(item),
                path=str(path),
                line=file.line(item["loc"]),
                key=_dotted(item["loc"]) or None,
            )
            for item in error.errors()
        ]
        raise ConfigError.first_of(problems) from error
    found = MappingFile(file, mapping, catalogue)
    if catalogue is not None:
        problems = list(_unknown(found, catalogue))
        refused = [problem for problem in problems if not isinstance(problem, _Unused)]
        if refused:
            raise ConfigError.first_of(refused)
        found.unused = tuple(problems)
    return found


def topic_mappings(settings: Settings, catalogue: EventCatalogue) -> dict[str, RowMapping]:
    """The mappings of source topics.

    Raises:
        ConfigError: naming file, line and key; also for a format that topics do not have.
    """
    found: dict[str, RowMapping] = {}
    for topic, path in settings.source_mappings.items():
        mapping = load_mapping(path, catalogue)
        if mapping.mapping.format not in (None, "json", "debezium", *schema.REGISTERED):
            raise mapping.error(("format",), f"topic {topic} cannot be read as {mapping.mapping.format}")
        if isinstance(mapping.rows.schemas, SchemaRegistry):
            mapping.rows.schemas.patience = 0  # a worker waits without blocking
        found[topic] = mapping.rows
    return found


class _Unused(ConfigError):
    """A field that no event has and that resembles none: it has no effect, and old mappings may have it."""


def _dotted(keys: Sequence[str | int]) -> str:
    return ".".join(str(key) for key in keys)


def _as_texts(data: Any, node: yaml.Node | None) -> Any:
    """The data with keys as written, and also the words of ``null_values`` and columns."""
    if isinstance(node, yaml.MappingNode) and isinstance(data, dict) and len(data) == len(node.value):
        found: dict[Any, Any] = {}
        for (key, value), (key_node, value_node) in zip(data.items(), node.value, strict=True):
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else key
            found[name] = _word(value, value_node) if name in _TEXTS else _as_texts(value, value_node)
        return found if len(found) == len(data) else data
    if isinstance(node, yaml.SequenceNode) and isinstance(data, list):
        return [_as_texts(value, own) for value, own in zip(data, node.value, strict=True)]
    return data


def _word(value: Any, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode) and all(isinstance(one, yaml.ScalarNode) for one in node.value):
        return [one.value for one in node.value]
    return _as_texts(value, node)


# --- against the rulebook -------------------------------------------------------------------------------


def _types(mapping: schema.Mapping, catalogue: EventCatalogue) -> Iterator[tuple[Keys, str]]:
    """Every event type named in the mapping, with its key."""
    if "event_type" in mapping.constants:
        yield ("constants", "event_type"), str(mapping.constants["event_type"])
    if mapping.event_type is not None:
        for word, event_type in mapping.event_type.values.items():
            yield ("event_type", "values", word), event_type
    for place, entry in enumerate(mapping.events):
        yield ("events", place, "event_type"), entry.event_type


def _fields(mapping: schema.Mapping) -> Iterator[tuple[Keys, str, frozenset[str] | None]]:
    """Every field with its key, and the event types of its entry."""
    for name in mapping.fields:
        yield ("fields", name), name, None
    for name in mapping.constants:
        yield ("constants", name), name, None
    for place, entry in enumerate(mapping.events):
        own = frozenset({entry.event_type})
        for part in ("fields", "constants"):
            for name in getattr(entry, part):
                yield ("events", place, part, name), name, own


def _unknown(found: MappingFile, catalogue: EventCatalogue) -> Iterator[ConfigError]:
    mapping = found.mapping
    named = list(_types(mapping, catalogue))
    for keys, event_type in named:
        if event_type == schema.UNANSWERED:
            yield found.error(
                keys, "name the event type, or leave this out: gridclock map types WORD lists event types"
            )
        elif event_type not in catalogue.types:
            near = catalogue.suggest(event_type)
            hint = f"; did you mean {near!r}?" if near else ""
            yield found.error(keys, f"the rulebook knows no event type {event_type!r}{hint}")
    types = {event_type for _, event_type in named if event_type in catalogue.types} or catalogue.types
    for keys, name, own in _fields(mapping):
        outer, _, inner = name.partition(".")
        known: set[str] = set(COMMON_FIELDS)
        for event_type in types if own is None else own & catalogue.types:
            known |= set(catalogue.models[event_type].model_fields)
        if outer not in known or (outer == "org" and inner not in Org.model_fields):
            names = [f"org.{one}" for one in Org.model_fields] if outer == "org" else sorted(known)
            said = f"the rulebook knows no field {name!r} of these events"
            if hint := did_you_mean(name, names):
                yield found.error(keys, f"{said}{hint}")
            else:
                yield found.error(keys, f"{said}; no rule looks at it", _Unused)


def _kinds_of(mapping: schema.Mapping, catalogue: EventCatalogue) -> dict[str, schema.As]:
    """The rulebook's declarations of fields, where all types of the mapping agree."""
    types = {name for _, name in _types(mapping, catalogue) if name in catalogue.types} or catalogue.types
    found: dict[str, set[schema.As | None]] = {}
    for event_type in types:
        for name, field in catalogue.models[event_type].model_fields.items():
            if name not in COMMON_FIELDS:
                found.setdefault(name, set()).add(_kind(field.annotation))
    return {name: kind for name, kinds in found.items() if len(kinds) == 1 and (kind := kinds.pop()) is not None}


def _kind(annotation: Any) -> schema.As | None:
    options = [one for one in get_args(annotation) if one is not type(None)] or [annotation]
    if len(options) != 1:
        return None
    return next((kind for known, kind in _KINDS if known == options[0]), None)
