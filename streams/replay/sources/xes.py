"""Event logs in XES (IEEE 1849), the standard of process mining, through a mapping.

The file is parsed as it is read, event by event. A log has no need of entities, and a parser that resolves them
opens files and can be made to fill the memory: a file that declares one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from streams.errors import ConfigError
from streams.files import open_bytes
from streams.replay.sources import Record
from streams.wire.mapping import RowMapping

CHUNK = 1 << 16
_ATTRIBUTES = frozenset({"string", "date", "int", "float", "boolean", "id"})
_PREFIX = "case:"


class XesLog:
    """One log; positions are the numbers of its events from 1, in the order of the file."""

    def __init__(self, name: str, mapping: RowMapping) -> None:
        self.name = name
        self._mapping = mapping

    @property
    def size(self) -> int | None:
        """Unknown: the records given are not the file's own bytes."""
        return None

    def records(self) -> Iterator[Record]:
        """See ``Source``. An attribute that an event lacks is an empty column."""
        for number, row in enumerate(self._rows(), start=1):
            wire = self._mapping.event(row, self.name, number)
            if wire is not None:
                yield number, wire, None

    def _rows(self) -> Iterator[dict[str, str]]:
        parser = _Parser()
        with open_bytes(self.name) as raw:
            try:
                while chunk := raw.read(CHUNK):
                    parser.feed(chunk)
                    yield from parser.take()
                parser.feed(b"", last=True)
                yield from parser.take()
            except (expat.ExpatError, _RefusedError) as error:
                line = parser.line
                raise ConfigError(f"not an XES log: {error}", path=self.name, line=line) from error
            except (OSError, EOFError) as error:
                raise ConfigError(f"damaged after this line: {error}", path=self.name, line=parser.line) from error


class _RefusedError(Exception):
    pass


class _Parser:
    """Collects events; attributes nested in attributes, and those of the log itself, are left out."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.EntityDeclHandler = self._refuse
        self._path: list[str] = []
        self._trace: dict[str, str] = {}
        self._event: dict[str, str] = {}
        self._events: list[dict[str, str]] = []
        self._late: list[dict[str, str]] = []

    @property
    def line(self) -> int:
        return self._parser.CurrentLineNumber

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        self._parser.Parse(chunk, last)

    def take(self) -> list[dict[str, str]]:
        found, self._events = self._events, []
        return found

    def _start(self, tag: str, attributes: dict[str, Any]) -> None:
        tag = tag.rpartition(":")[2]
        path = self._path
        if not path and tag != "log":
            raise _RefusedError(f"it begins with <{tag}> and not with <log>")
        if tag in _ATTRIBUTES and "key" in attributes:
            if path[1:] == ["trace"]:
                self._trace[_PREFIX + attributes["key"]] = attributes.get("value", "")
            elif path[1:] == ["trace", "event"] or path[1:] == ["event"]:
                self._event[attributes["key"]] = attributes.get("value", "")
        path.append(tag)

    def _end(self, _tag: str) -> None:
        path = self._path
        if path[1:] in (["trace", "event"], ["event"]):
            self._late.append(self._event)
            self._event = {}
        if path[1:] in (["trace"], ["event"]):
            # a trace's own attributes may stand behind its events
            self._events.extend({**self._trace, **event} for event in self._late)
            self._late, self._trace = [], {}
        path.pop()

    def _refuse(self, name: str, *_rest: object) -> None:
        raise _RefusedError(f"it declares an entity ({name}), which no log needs")
