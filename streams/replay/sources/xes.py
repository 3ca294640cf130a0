"""Event logs in XES (IEEE 1849), the standard of process mining, through a mapping.

The file is parsed as it is read, event by event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streams.replay.sources import Record
from streams.replay.sources.rows import Rows
from streams.replay.sources.xml import Parser, Refused, parse
from streams.wire.cells import Several

_ATTRIBUTES = frozenset({"string", "date", "int", "float", "boolean", "id"})
_PREFIX = "case:"


class XesLog(Rows):
    """One log; positions are the numbers of its events from 1, in the order of the file."""

    def records(self) -> Iterator[Record]:
        """See ``Source``. An attribute that an event lacks is an empty column."""
        for number, row in enumerate(xes_rows(self.name), start=1):
            yield from self.made(number, row)


def xes_rows(name: str) -> Iterator[dict[str, Any]]:
    """The events of a log as rows.

    Raises:
        ConfigError: where it is not a log, or damaged; names the line.
    """
    log = _Log()
    for _ in parse(name, "XES log", Parser(log.start, log.end, None)):
        yield from log.take()


class _Log:
    """Collects events; attributes nested in attributes, and those of the log itself, are left out."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._trace: dict[str, Any] = {}
        self._event: dict[str, Any] = {}
        self._events: list[dict[str, Any]] = []
        self._late: list[dict[str, Any]] = []

    def take(self) -> list[dict[str, Any]]:
        found, self._events = self._events, []
        return found

    def start(self, tag: str, attributes: dict[str, Any]) -> None:
        tag = tag.rpartition(":")[2]
        path = self._path
        if not path and tag != "log":
            raise Refused(f"it begins with <{tag}> and not with <log>")
        if tag in _ATTRIBUTES and "key" in attributes:
            if path[1:] == ["trace"]:
                Several.put(self._trace, _PREFIX + attributes["key"], attributes.get("value", ""))
            elif path[1:] == ["trace", "event"] or path[1:] == ["event"]:
                Several.put(self._event, attributes["key"], attributes.get("value", ""))
        path.append(tag)

    def end(self, _tag: str) -> None:
        path = self._path
        if path[1:] in (["trace", "event"], ["event"]):
            self._late.append(self._event)
            self._event = {}
        if path[1:] in (["trace"], ["event"]):
            # a trace's own attributes may follow its events
            self._events.extend(_joined(self._trace, event) for event in self._late)
            self._late, self._trace = [], {}
        path.pop()


def _joined(trace: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    found = {**trace, **event}
    for name in trace.keys() & event.keys():  # an event may have an attribute named "case:…" of its own
        found[name] = trace[name]
        Several.put(found, name, event[name])
    return found
