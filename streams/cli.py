"""The command ``gridclock``."""

from __future__ import annotations

import os
import sys

from streams.early_signals import INTERRUPTED, RELOADING, hold_early, hold_reloads, imported

if __name__ == "__main__" or os.path.basename(sys.argv[0]).startswith("gridclock"):
    hold_early(sys.argv[1:])  # the imports below take a second

import errno
import importlib
import io
import logging
from collections.abc import Sequence
from typing import TextIO

import click

from streams.commands.common import WRONG_USE, print_problems
from streams.errors import ConfigError, GridclockError, InvariantError
from streams.log_lines import announce, is_json

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EBADF}

_COMMANDS = {
    "run": "Work live: events from Kafka, alerts to Kafka.",
    "replay": "Judge past events, from files or from Kafka.",
    "explain": "Explain one order: its events, clocks and verdicts.",
    "simulate": "Make a file of work orders, with the verdicts they must get.",
    "send": "Send files of events to Kafka.",
    "map": "Write, check and try a mapping of columns to events.",
    "calendar": "Look at the calendars: working days and opening hours.",
    "rules": "Look at the rulebook, check it, test it.",
    "feed": "Send simulated work orders as their time comes.",
    "health": "Check whether a worker is alive.",
    "status": "Show the state of an installation, and what is wrong.",
    "alerts": "Print the alerts that were sent.",
    "dead-letters": "List refused records; correct them and send them again.",
    "topics": "Make the topics of an installation, or check them.",
    "acls": "Print the permissions that each process needs at the brokers.",
    "board": "Show what runs out next, live, in a browser.",
    "sink": "Write cases and alerts to PostgreSQL.",
    "notify": "Send alerts to people and systems, by subscription.",
    "subscriptions": "Check, list and try a file of subscriptions.",
    "receiver": "Receive webhooks and show them, to try subscriptions out.",
    "ack": "Acknowledge an alert, or add a note to it.",
    "acks": "Print who acknowledged what, and when.",
    "ops": "Start the whole operations centre on simulated orders.",
    "demo": "Show everything at work, on a broker of its own.",
    "version": "Print the version, and which engine judges.",
}


class _Lazy(click.Group):
    """Imports a command when it is used: importing Kafka takes half a second, and most commands do not need it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = cmd_name.replace("-", "_")
        command = getattr(importlib.import_module(f"streams.commands.{module}"), module)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gridclock")
def gridclock() -> None:
    """Watch the time limits of an electricity supplier's front line: events in, breach alerts out.

    供电服务时限监测：按国家电网营销〔2023〕482号逐条计时，超时告警，附证据。

    \b
    Example, on this machine alone:
      gridclock demo
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in RELOADING:
        hold_reloads()
    imported()
    if sys.stdout is None:  # closed, by ``>&-``
        sys.stdout = _unwritable()
    if isinstance(sys.stdout, io.TextIOWrapper):  # of a terminal, or a file, that cannot show every character
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every expected error is one line on standard error."""
    try:
        return gridclock.main(arguments, prog_name="gridclock", standalone_mode=False) or 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        if is_json():
            announce(error.format_message(), level=logging.ERROR)
        else:
            error.show()
        return WRONG_USE
    except ConfigError as error:
        print_problems(error)
        return WRONG_USE
    except InvariantError:
        raise  # a bug: the traceback is needed
    except GridclockError as error:  # the brokers refuse, or the state is of a newer version
        announce(str(error), level=logging.ERROR)
        return WRONG_USE
    except (KeyboardInterrupt, click.Abort):
        announce("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # the reader closed the pipe (head): not an error
        return 0
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        announce(f"{error.filename or 'an output'}: cannot be written: {error.strerror}", level=logging.ERROR)
        _drop_output()
        return WRONG_USE


def _unwritable() -> TextIO:
    """In place of a closed standard output: writing fails as to a full disk, and no other file gets its number."""
    return open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")


def _drop_output() -> None:
    """Drop what is still to be written to standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
