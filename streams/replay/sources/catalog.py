"""A table of Spark's catalog as a source; its rows are read in Spark's executors (``streams/spark/tables.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streams.errors import ConfigError
from streams.replay.sources import Record
from streams.rulebooks.mapping_files import MappingFile


@dataclass(frozen=True)
class CatalogTable:
    """A table or view by its name in Spark's catalog; without a mapping its rows are events."""

    name: str
    mapping: MappingFile | None = None
    size: int | None = None

    def records(self) -> Iterator[Record]:
        """See ``Source``; always raises ``ConfigError``."""
        raise ConfigError("is a table of Spark's catalog, which --engine spark alone reads", path=self.name)
