"""Log lines on standard error: text for people, or one JSON object a line for log collectors.

As JSON every line is an object of ``time`` (UTC), ``level``, ``logger``, ``message``, and ``exception`` with a
traceback where there is one; so are announcements at start and end, Python's warnings and uncaught exceptions. The
objects are ASCII, so they do not depend on a terminal's encoding.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

import click

from streams.log_limits import LineLimit

FORMATS: Final = ("text", "json")
_OURS: Final = "gridclock"
_OWN: Final = ("streams", "schemas", _OURS)


class TextLines(logging.Formatter):
    """One line a record: what would forge another line or steer a terminal is escaped. A traceback stands below."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line."""
        return printable(super().formatMessage(record))


class JsonLines(logging.Formatter):
    """One JSON object a record. ``fields`` of a record, given by ``announce``, are added to it."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, without a line break in it."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        elif record.stack_info:
            found["exception"] = self.formatStack(record.stack_info)
        return json.dumps(found, default=str)


def is_json() -> bool:
    """Whether this process logs JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def use_json() -> None:
    """From now on every line on standard error is a JSON object. Called once, at the start of a process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    handler.addFilter(LineLimit(_OWN, always=(_OURS,)))
    logging.getLogger().addHandler(handler)
    logging.getLogger(_OURS).setLevel(logging.INFO)  # announcements come out at any level
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda failure: _uncaught(
        failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback, where=failure.thread
    )
    sys.unraisablehook = lambda failure: _uncaught(
        failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback, where=failure.err_msg
    )


def _uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None, *, where: object = None
) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    place = "" if where is None else f" in {where}"
    logging.getLogger(_OURS).critical("uncaught%s: %s", place, kind.__name__, exc_info=(kind, error, traceback))


def start_logging(level: str) -> None:
    """Log to standard error, at a level and above.

    The libraries' own debug lines stay off at any level: they contain whole requests, with records, addresses with
    robot keys and, at a login, the password. So ``debug`` applies to this program's own loggers alone.
    """
    root = logging.getLogger()
    if not root.handlers:  # ``use_json`` may have set its own
        handler = logging.StreamHandler()
        handler.setFormatter(TextLines("%(asctime)s %(levelname)s %(name)s %(message)s"))
        handler.addFilter(LineLimit(_OWN, always=(_OURS,)))
        root.addHandler(handler)
    wanted = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(logging.INFO, wanted))
    for name in _OWN:
        logging.getLogger(name).setLevel(wanted)
    if is_json():
        logging.getLogger(_OURS).setLevel(min(logging.INFO, wanted))  # announcements come out at any level
    # Ten warnings a second while a topic takes no writes; streams.kafka.producer reports it once a minute.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)


def printable(text: str) -> str:
    """The text with all characters escaped that would control a terminal or change the direction of writing."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def announce(text: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Announce something on standard error, whatever the level of logging.

    ``fields`` are JSON values; in text they are appended.
    """
    if is_json():
        logging.getLogger(_OURS).log(level, "%s", text, extra={"fields": fields})
    else:
        shown = "".join(f" {json.dumps(value)}" for value in fields.values())
        lines = f"{text}{shown}".split("\n")
        click.echo("gridclock: " + "\n".join(map(printable, lines)), err=True)
