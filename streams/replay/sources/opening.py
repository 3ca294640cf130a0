"""Opens files with the reader for their format, given by the mapping or the file's name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from streams.errors import ConfigError
from streams.replay.sources import Source
from streams.replay.sources.lines import Lines
from streams.replay.sources.tables import CsvTable, ParquetTable
from streams.replay.sources.xes import XesLog
from streams.wire.mapping import RowMapping, load_mapping

_BY_SUFFIX = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".xes": "xes"}


def format_of(name: str) -> str | None:
    """``csv``, ``parquet`` or ``xes`` by a file's name, compressed or not; ``None`` for JSON lines."""
    path = Path(name)
    suffix = path.with_suffix("").suffix if path.suffix in (".gz", ".zst") else path.suffix
    return _BY_SUFFIX.get(suffix.lower())


def open_sources(names: Sequence[str], mapping_file: Path | None = None) -> list[Source]:
    """A source for every file; all share the given mapping.

    Raises:
        ConfigError: for a mapping that is wrong, or missing where one is needed.
    """
    mapping = None if mapping_file is None else load_mapping(mapping_file)
    return [_source(name, mapping) for name in names]


def close_sources(sources: Iterable[Source]) -> None:
    """Release what sources store for reading again."""
    for source in sources:
        if isinstance(source, Lines):
            source.close()


def _source(name: str, mapping: RowMapping | None) -> Source:
    form = format_of(name)
    if form is None and mapping is not None and name == "-":
        form = mapping.mapping.format
    if form is None:
        return Lines(name)
    if mapping is None:
        raise ConfigError(f"a {form} file needs a mapping: --map FILE", path=name, key="map")
    if mapping.mapping.format not in (None, form):
        raise ConfigError(
            f"is a mapping of {mapping.mapping.format}, and {name} is {form}", path=str(mapping.path), key="format"
        )
    match form:
        case "csv":
            return CsvTable(name, mapping)
        case "parquet":
            return ParquetTable(name, mapping)
        case _:
            return XesLog(name, mapping)
