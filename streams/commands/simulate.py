"""``gridclock simulate``: simulated work orders, and their expected verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from streams.commands.common import DONE, err
from streams.commands.outputs import check_outputs
from streams.files import STANDARD, write_named
from streams.simulation import simulate as simulated

EARLIEST: Final = date(2023, 8, 23)
"""The standard's date: before it no rule is in force, and no clock runs."""

LATEST: Final = date(2090, 1, 1)


class DayType(click.ParamType):
    """A local date from the standard's date to 2090."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """See the class."""
        if isinstance(value, date):
            return value
        try:
            day = datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007 - a local date, no instant
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2026-03-02", param, ctx)
        if not EARLIEST <= day <= LATEST:
            self.fail(f"{value} is not within {EARLIEST} (the standard's date) and {LATEST}", param, ctx)
        return day


@click.command(short_help="Make a file of simulated work orders, with their expected verdicts.")
@click.option("--orders", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=1, show_default=True, help="The seed of the orders.")
@click.option(
    "--start", type=DayType(), default="2026-03-02", show_default=True, help="The first day on which orders begin."
)
@click.option("--days", type=click.IntRange(1, 1000), default=30, show_default=True, help="How many such days.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default=STANDARD,
    metavar="EVENTS",
    help='The file of events; compressed if the name ends in .gz or .zst; "-" is standard output (default).',
)
@click.option(
    "--expected",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the expected verdict of each clock as of the end, one per line.",
)
def simulate(orders: int, seed: int, start: date, days: int, out: Path, expected: Path | None) -> int:
    """Make work orders of all six chapters, in the order of their arrival.

    Most are punctual; some are late by a millisecond or by days, never done, paused, corrected afterwards, entered
    late, or sent twice. The verdicts of --expected follow from how an order was made, not from the engine. The same
    arguments give the same bytes on every machine.

    \b
    Example:
      gridclock simulate --orders 20000 --out orders.jsonl.gz --expected expected.jsonl
      gridclock replay orders.jsonl.gz --cases cases.jsonl --until 2026-04-01T00:00:00+08:00 > alerts.jsonl
    """
    if expected is not None and (str(expected) == STANDARD or expected.absolute() == out.absolute()):
        raise click.UsageError("--expected needs a separate file: standard output and --out are for events")
    check_outputs({"out": out, "expected": expected}, written={"out": "lines", "expected": "lines"})
    with err.status(f"making {orders:,} orders"):
        made = simulated(orders=orders, seed=seed, start=start, days=days)
    with ExitStack() as files:
        target: BinaryIO = (
            click.get_binary_stream("stdout") if str(out) == STANDARD else files.enter_context(write_named(out))
        )
        rows = files.enter_context(write_named(expected)) if expected is not None else None
        _write(made.events, target)
        if rows is not None:
            _write(made.expected, rows)
        target.flush()
    return DONE


def _write(rows: Iterable[Mapping[str, Any]], target: BinaryIO) -> None:
    for row in rows:
        target.write(line_of(row))


def line_of(row: Mapping[str, Any]) -> bytes:
    """One JSON line, as written to a file or sent to Kafka."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
