"""Shared by the commands: common options, reading a rulebook, instants, errors on standard error, exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource
from pydantic_core import PydanticCustomError
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from schemas.fields import parse_time
from schemas.limits import MINUTE
from streams.core.instants import format_us, instant_us
from streams.engine import ENGINES, VARIABLE
from streams.errors import ConfigError
from streams.kafka.acls import Permission, reading
from streams.kafka.outage import outage_lines
from streams.log_lines import FORMATS, announce, use_json
from streams.replay.sources import Source
from streams.replay.sources.opening import Mappings
from streams.rulebooks.loader import LoadedRulebook, load_rulebook
from streams.settings import Settings, bytes_of, load_settings
from streams.wall_clock import WallClock

DONE: Final = 0
WRONG_USE: Final = 2
DEAD_LETTERS: Final = 3


class Bytes(click.ParamType):
    """A number of bytes: ``512M``, ``2G``."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; fails where it is none."""
        try:
            return bytes_of(value)
        except ValueError as error:
            self.fail(str(error))


err = Console(stderr=True, highlight=False, soft_wrap=True)


LAST_YEAR: Final = 2999
"""Later instants mean that something is wrong: limits are counted up to then, and local time must have four digits."""


class InstantType(click.ParamType):
    """An instant with its offset, as microseconds since the epoch."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See ``schemas.fields.parse_time``."""
        if isinstance(value, int):
            return value
        try:
            moment = parse_time(value)
        except PydanticCustomError as error:
            self.fail(f"{value!r}: {error.message()}; for example 2026-04-01T00:00:00+08:00")
        if moment.year > LAST_YEAR:
            self.fail(f"{value!r}: lies after {LAST_YEAR}")
        return instant_us(moment)


INSTANT: Final = InstantType()

Command = Callable[..., Any]
Options = TypeVar("Options")


def options_as(kind: type[Options]) -> Callable[[Callable[[Options], int]], Command]:
    """The command's options as one value: a dataclass that has a field for each of them."""

    def with_kind(command: Callable[[Options], int]) -> Command:
        @wraps(command)
        def with_options(**given: Any) -> int:
            return command(kind(**given))

        return with_options

    return with_kind


def rulebook_options(command: Command) -> Command:
    """The options ``--rules`` and ``--only``; by default GRIDCLOCK_RULES and GRIDCLOCK_ONLY.

    One on the command line replaces both of the environment.
    """

    @wraps(command)
    def with_one_of_them(*args: Any, rules: tuple[Path, ...], only: Path | None, **given: Any) -> Any:
        source = click.get_current_context().get_parameter_source
        named = [name for name in ("rules", "only") if source(name) is ParameterSource.COMMANDLINE]
        if named == ["rules"]:
            only = None
        elif named == ["only"]:
            rules = ()
        return command(*args, rules=rules, only=only, **given)

    option = click.option(
        "--only",
        type=click.Path(path_type=Path),
        metavar="DIR",
        envvar="GRIDCLOCK_ONLY",
        help="Use only this rulebook directory, without the shipped one (GRIDCLOCK_ONLY).",
    )
    return click.option(
        "--rules",
        "rules",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        envvar="GRIDCLOCK_RULES",
        help="A rulebook directory on top of the shipped one; may be given several times "
        "(GRIDCLOCK_RULES, separated by colons).",
    )(option(with_one_of_them))


engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    envvar=VARIABLE,
    help="The engine: the native one if it is built and supported (auto), or only one of the two.",
)


def broker_options(command: Command) -> Command:
    """The options ``--bootstrap`` and ``--name``."""
    command = click.option("--name", help="Prefix of topics and consumer groups (gridclock).")(command)
    return click.option(
        "--bootstrap", metavar="HOST:PORT", help="Brokers, separated by commas (KAFKA_BOOTSTRAP_SERVERS)."
    )(command)


def log_options(command: Command) -> Command:
    """The options ``--log-level`` and ``--log-format``; the format applies before other options are read."""
    command = click.option(
        "--log-format", type=click.Choice(FORMATS), envvar="GRIDCLOCK_LOG_FORMAT", is_eager=True, callback=_set_format,
        help="Lines for people, or one JSON object per line (text).",
    )(command)  # fmt: skip
    return click.option(
        "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="(warning)"
    )(command)  # fmt: skip


def _set_format(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    if given == "json":
        use_json()
    return given


def need_broker(settings: Settings, permissions: Sequence[Permission] = ()) -> None:
    """Check that brokers are named and, where they authenticate, that they accept the login and grant the permissions.

    Raises:
        ConfigError: where none is named, or a certificate cannot be read.
        BrokerError: where they refuse the login, or naming every missing permission.
    """
    if not settings.bootstrap:
        raise ConfigError("no broker given: use --bootstrap or KAFKA_BOOTSTRAP_SERVERS", key="bootstrap")
    if settings.security_protocol != "PLAINTEXT":
        from streams.kafka.authentication import check_login  # late: commands without Kafka do not need it
        from streams.kafka.connection import kafka_options, permissions_at

        check_login(kafka_options(settings))
        if (lacking := permissions_at(settings, permissions).lacking()) is not None:
            raise lacking


def log_outages(settings: Settings) -> Callable[[], None]:
    """While this command runs, log the begin and the end of outages of the brokers.

    Call the result when the command has begun its work: until then an outage may end it.
    """
    outage = click.get_current_context().with_resource(outage_lines(settings.bootstrap))

    def begun() -> None:
        outage.waits = True

    return begun


def rulebook_of(rules: Sequence[Path], only: Path | None) -> LoadedRulebook:
    """The rulebook of the options.

    Raises:
        ConfigError: naming file, line, rule and key.
        click.UsageError: where both options are given.
    """
    if rules and only:
        raise click.UsageError(
            "--rules adds to the shipped rulebook, --only replaces it: give one of them "
            "(GRIDCLOCK_RULES and GRIDCLOCK_ONLY stand for them)"
        )
    return load_rulebook(rules, only)


_FUTURE: Final = "limits that have not run out yet are judged as if nothing came in"
_TOLERATED: Final = 5 * MINUTE
"""How far ahead of this machine's clock the last event may be: clocks differ."""


def note_future(*ends: int | None) -> None:
    """Say on standard error where time ends later than now: a limit that runs out until then has not done so yet.

    ``ends`` are instants in microseconds, of which the first in time counts.
    """
    end = min((at for at in ends if at is not None), default=0)
    if end > WallClock().now():
        announce(f"note: time ends in the future, so {_FUTURE}")


def note_future_event(end: int | None, zone: tzinfo) -> None:
    """The same where time ends at the last event, ``end`` (microseconds): one wrong date makes false breaches."""
    if end is not None and end > WallClock().now() + _TOLERATED:
        announce(
            f"note: time ends at the last event, {format_us(end, zone)}, which is in the future, so {_FUTURE}: "
            "give --until"
        )


def print_problems(error: ConfigError) -> None:
    """Print every problem of a configuration, one per line, on standard error."""
    for problem in (error, *error.others):
        announce(str(problem), level=logging.ERROR)


@contextmanager
def progress(total: int | None, what: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar over bytes on a terminal, nothing in a pipe; yields the function that advances it."""
    if quiet or not sys.stderr.isatty():
        yield lambda _amount: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount: bar.advance(task, amount)


class _Rate(ProgressColumn):
    """Events per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


@contextmanager
def progress_of_events(total: int, what: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar over events on a terminal, with rate and time left; nothing in a pipe."""
    if quiet or not sys.stderr.isatty():
        yield lambda _amount: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda amount: bar.advance(task, amount)


def size_of(names: Sequence[str]) -> int | None:
    """Bytes in files, or ``None`` where it is unknown (standard input, compressed files)."""
    plain = [name for name in names if name != "-" and not name.endswith((".gz", ".zst"))]
    if len(plain) < len(names):
        return None
    try:
        return sum(Path(name).stat().st_size for name in plain)
    except OSError:
        return None


def topic_sources(
    topics: tuple[str, ...],
    bootstrap: str | None,
    since: int | None,
    mappings: Mappings | None = None,
) -> list[Source]:
    """Topics as sources, from a broker timestamp on.

    Raises:
        ConfigError: where no broker was named.
        BrokerError: where it cannot be read.
    """
    from streams.replay.sources.topics import topic_slices  # kafka-python takes a third of a second

    settings = load_settings(bootstrap=bootstrap)
    need_broker(settings, reading(*topics))
    slices = topic_slices(settings, topics, since)
    for part in slices:
        part.mapping = None if mappings is None else mappings.of_topic(part.topic)
    return [*slices]
