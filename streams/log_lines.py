"""What a process says on standard error: lines for people, or one JSON object a line for whoever collects them.

As JSON every line is an object of ``time`` (UTC), ``level``, ``logger``, ``message``, and ``exception`` with a
traceback where there is one; so are the announcements at start and end, warnings of Python and what ends the process.
The objects are ASCII: a collector decodes them, and no terminal setting can break one.
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

FORMATS: Final = ("text", "json")
_OURS: Final = "gridclock"
_OWN: Final = ("streams", "schemas", _OURS)


class TextLines(logging.Formatter):
    """One line a record: what would forge another line or steer a terminal is escaped. A traceback stands below."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line."""
        return printable(super().formatMessage(record))


class JsonLines(logging.Formatter):
    """One JSON object a record. ``fields`` of a record, given by ``say``, stand beside the message."""

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
    """Whether this process speaks JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def speak_json() -> None:
    """From now on everything on standard error is a JSON object a line. For once, at the start of a process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    logging.getLogger(_OURS).setLevel(logging.INFO)  # announcements come out at any level
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda told: _uncaught(
        told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback, where=told.thread
    )
    sys.unraisablehook = lambda told: _uncaught(
        told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback, where=told.err_msg
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

    The libraries' own debugging stays off at any level: it writes whole requests, with the records in them, addresses
    with robot keys and, as one logs in, the password. So ``debug`` is for this program's own loggers alone.
    """
    root = logging.getLogger()
    if not root.handlers:  # ``speak_json`` may have put its own there
        handler = logging.StreamHandler()
        handler.setFormatter(TextLines("%(asctime)s %(levelname)s %(name)s %(message)s"))
        root.addHandler(handler)
    wanted = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(logging.INFO, wanted))
    for name in _OWN:
        logging.getLogger(name).setLevel(wanted)
    if is_json():
        logging.getLogger(_OURS).setLevel(min(logging.INFO, wanted))  # announcements come out at any level
    # Ten warnings a second while a topic takes no writes; streams.kafka.producer says it once a minute.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)


def printable(text: str) -> str:
    """The text as it may go to a terminal: what would move its cursor, colour it or turn its direction is escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def say(text: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Announce something on standard error, whatever the level of logging.

    ``fields`` are JSON values; for people they stand behind the text.
    """
    if is_json():
        logging.getLogger(_OURS).log(level, "%s", text, extra={"fields": fields})
    else:
        shown = "".join(f" {json.dumps(value)}" for value in fields.values())
        lines = f"{text}{shown}".split("\n")
        click.echo("gridclock: " + "\n".join(map(printable, lines)), err=True)
