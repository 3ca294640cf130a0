"""Chooses the reader of a file: by its mapping, its name, and else its first bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from schemas.events import EventCatalogue
from schemas.mappings import REGISTERED
from streams.errors import ConfigError
from streams.files import STANDARD, check_is_read_again
from streams.replay.sources import Source
from streams.replay.sources.detection import check_is_utf8, content_form, first_bytes, suffix_form
from streams.replay.sources.json_rows import JsonArray, JsonRows
from streams.replay.sources.lines import Lines
from streams.replay.sources.ocel import OcelLog
from streams.replay.sources.rows import Input, Rows
from streams.replay.sources.tables import CsvTable, ParquetTable, Spreadsheet
from streams.replay.sources.xes import XesLog
from streams.rulebooks.mapping_files import MappingFile, load_mapping

_READERS: dict[str, type[Rows]] = {
    "json": JsonRows,
    "debezium": JsonRows,
    "array": JsonRows,
    "csv": CsvTable,
    "xlsx": Spreadsheet,
    "parquet": ParquetTable,
    "xes": XesLog,
    "ocel": OcelLog,
}
_JSON = ("json", "debezium")
_OF_TOPICS = (*_JSON, *REGISTERED)


@dataclass
class Mappings:
    """The mappings of a command: ``FILE`` for all inputs, ``NAME=FILE`` for those whose name matches the pattern.

    ``used`` are those used by an input.
    """

    given: Sequence[tuple[str | None, MappingFile]] = ()
    sheet: str | None = None
    used: set[str] = field(default_factory=set)

    @classmethod
    def load(
        cls, given: Sequence[str | Path], catalogue: EventCatalogue | None = None, sheet: str | None = None
    ) -> Mappings:
        """Read them all.

        Raises:
            ConfigError: for an invalid one.
        """
        found: list[tuple[str | None, MappingFile]] = []
        for one in map(str, given):
            name, equals, path = one.rpartition("=")
            if not equals or Path(one).exists():
                name, path = "", one
            found.append((name or None, load_mapping(Path(path), catalogue)))
        return cls(found, sheet)

    def of(self, name: str) -> MappingFile | None:
        """The mapping of a file or topic: one for its name before one for all."""
        for pattern, mapping in self.given:
            if pattern is not None and (name == pattern or Path(name).name == pattern or fnmatchcase(name, pattern)):
                return mapping
        return next((mapping for pattern, mapping in self.given if pattern is None), None)

    def of_topic(self, topic: str) -> MappingFile | None:
        """The mapping of a topic: one for its name, or one for all with a format of topics."""
        mapping = self.of(topic)
        if mapping is None or (mapping.mapping.format not in _OF_TOPICS and not self._names(topic)):
            return None
        return self.use(mapping)

    def _names(self, name: str) -> bool:
        return any(pattern is not None and fnmatchcase(name, pattern) for pattern, _ in self.given)

    def use(self, mapping: MappingFile) -> MappingFile:
        """Record that an input uses it."""
        self.used.add(mapping.path)
        return mapping

    def check_used(self, names: Iterable[str]) -> None:
        """Refuse a mapping that no input uses.

        Raises:
            ConfigError: naming it, with the remedy.
        """
        for pattern, mapping in self.given:
            if mapping.path not in self.used:
                which = f"no input is called {pattern!r}" if pattern else f"{', '.join(names)} is read as JSON lines"
                raise ConfigError(
                    f"this mapping is not used: {which}; set format in it (json, csv, …), or leave out --map",
                    path=mapping.path,
                    key="format",
                )


def open_sources(names: Sequence[str], mappings: Mappings | None = None, version: tuple[int, ...] = ()) -> list[Source]:
    """A source for every file; ``version`` precedes the numbers of file and row in the versions of rows.

    Raises:
        ConfigError: for a file that cannot be read here, or a missing mapping where one is needed.
    """
    known = Mappings() if mappings is None else mappings
    if names.count(STANDARD) > 1:
        raise ConfigError("standard input is read once: name it once", path=STANDARD)
    return [_source(name, known, (*version, number)) for number, name in enumerate(names)]


def close_sources(sources: Iterable[Source]) -> None:
    """Release the data that sources keep for repeated reading."""
    for source in sources:
        if isinstance(source, Lines):
            source.close()


def form_of(name: str, mapping: MappingFile | None) -> str | None:
    """The format in which a file is read; ``None`` for lines of events.

    Raises:
        ConfigError: where the file's format differs from the mapping's, or is not supported.
    """
    named = None if mapping is None else mapping.mapping.format
    if name == STANDARD:
        return named
    by_suffix = suffix_form(name)
    found = content_form(name) if mapping is None else content_form(name, mapping.mapping.encoding)
    # For a binary file its bytes decide, whatever its name.
    form = found if found not in (None, "array") else by_suffix
    if form == "xes" and found == "xes" and by_suffix not in (None, "xes"):
        form = by_suffix
    if form in ("parquet", "xlsx") and found is None and Path(name).is_file():
        if named == "csv":
            return named
        raise (
            ConfigError(
                f"is called {Path(name).suffix} and is a text; name it .csv, or set format: csv in a mapping"
                if named is None
                else f"is not a {form} file: it is a text",
                path=name,
            )
            if named in (None, form)
            else _mismatch(mapping, name, form)
        )
    if form is None:
        is_json = found == "array" or _is_json(name)
        if named is None:
            return "array" if found == "array" else None if is_json else ("csv" if mapping is not None else None)
        return None if is_json and named not in _JSON else named
    if named is not None and named != form:
        raise _mismatch(mapping, name, form)
    return form


def _mismatch(mapping: MappingFile | None, name: str, form: str) -> ConfigError:
    assert mapping is not None
    return ConfigError(
        f"is a mapping of {mapping.mapping.format}, and {name} is {form}", path=mapping.path, key="format"
    )


def _is_json(name: str) -> bool:
    if {".jsonl", ".ndjson", ".json"} & set(Path(name).suffixes):
        return True
    return first_bytes(name).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def _source(name: str, mappings: Mappings, version: tuple[int, ...]) -> Source:
    check_is_read_again(name)
    mapping = mappings.of(name)
    if mapping is None and (needed := suffix_form(name)) is not None and name != STANDARD and Path(name).is_file():
        content_form(name)  # an unsupported format is reported by its own name
        raise ConfigError(f"a {needed} file needs a mapping: --map FILE", path=name, key="map")
    if mapping is not None and mapping.mapping.registry is not None:
        raise mapping.error(("registry",), f"{name} is a file; records framed for a registry are read by --topic")
    form = form_of(name, mapping)
    if form in (None, "array", *_JSON):
        check_is_utf8(name)
    if form is None or (form == "array" and (mapping is None or mapping.mapping.format is None)):
        return Lines(name) if form is None else JsonArray(name)
    if mapping is None:
        raise ConfigError(f"a {form} file needs a mapping: --map FILE", path=name, key="map")
    return _READERS[form](Input(name, mappings.use(mapping), version, mappings.sheet))
