"""``gridclock status``: the state of an installation or one worker, and its problems."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Table

from streams.commands.common import DONE, broker_options, need_broker
from streams.core.instants import format_us
from streams.kafka.acls import permissions_of
from streams.kafka.connection import clock_of
from streams.live.incomplete import Incompleteness, since_of
from streams.log_lines import printable
from streams.operations.diagnosis import Problem, incompleteness_text, lag, length, problems
from streams.operations.installation import Observation, observe
from streams.operations.worker_page import observe_worker
from streams.settings import load_settings

if TYPE_CHECKING:
    from streams.sink.observing import SinkState

UNHEALTHY: Final = 1
_WIDTH: Final = 160
_NAMED: Final = 20


@click.command(short_help="Show partitions, watermarks, backlog and state, and the problems.")
@broker_options
@click.option("--source", "sources", multiple=True, metavar="TOPIC", help="A source topic of events (NAME.events).")
@click.option("--database", metavar="ADDRESS", help="That of the sink, which is looked at too (GRIDCLOCK_DATABASE).")
@click.option("--schema", "database_schema", help="The schema of its tables (gridclock).")
@click.option("--worker", metavar="HOST:PORT", help="Read this worker's metrics port only, and no broker.")
@click.option(
    "--late", type=click.FloatRange(min=0), default=60, show_default=True, metavar="SECONDS",
    help="The allowed lag of the watermark.",
)  # fmt: skip
@click.option(
    "--wait", type=click.FloatRange(min=0.1), default=3, show_default=True, metavar="SECONDS",
    help="Time between two observations, which show what advances.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
@click.option("--clock-origin", type=int, hidden=True)
@click.option("--clock-anchor", type=int, hidden=True)
@click.option("--clock-speed", type=float, hidden=True)
def status(sources: tuple[str, ...], worker: str | None, late: float, wait: float, as_json: bool, **given: Any) -> int:
    """Show the state of the whole installation, read from Kafka; or of one worker, from its metrics port.

    运行状态：分区、时间水位、积压、在办案件、状态大小；有问题逐条列出。

    It also says since when verdicts may be incomplete, and of which sources and subjects: records that were lost or
    became dead letters within a day, subjects that are set aside. Dead letters alone are no problem here. With a
    database it shows, too, which sink writes there and how many records it has still to write.

    Exits 0 without problems; 1 with problems, one line per cause; 2 where it cannot be determined. A watermark lag of a
    second or two is normal.

    \b
    Example:
      gridclock status --bootstrap kafka:9092
      gridclock status --worker 127.0.0.1:9464
    """
    settings = load_settings(sources=sources or None, **given)
    clock = clock_of(settings)
    speed = float(clock.speed)
    if worker is None:
        need_broker(settings, permissions_of("status", settings))
        take: Callable[[], Observation] = lambda: observe(settings, clock.now())  # noqa: E731
        wait = max(wait, 4 * settings.tick_ms / 1000)
    else:
        take = partial(_of_worker, worker, clock.now, speed)
    first = take()
    time.sleep(wait)
    seen = take()
    wrong = problems(first, seen, late=late, speed=speed)
    if wrong:  # a pause of a second or two is normal
        time.sleep(wait)
        seen = take()
        wrong = problems(first, seen, late=late, speed=speed)
    if as_json:
        click.echo(json.dumps(_object(seen, wrong, speed), ensure_ascii=False))
    else:
        _print(seen, speed)
        _print_incomplete(seen.incomplete)
        for problem in wrong:
            click.echo(printable(f"! {problem.text}"))
        click.echo(_summary(seen, wrong, speed))
    return UNHEALTHY if wrong else DONE


def _of_worker(address: str, now: Callable[[], int], speed: float) -> Observation:
    return observe_worker(address, now(), speed)


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _open_cases(seen: Observation) -> int | None:
    return seen.open_cases if seen.open_cases is not None else _sum([one.open_cases for one in seen.partitions])


def _object(seen: Observation, wrong: Sequence[Problem], speed: float) -> dict[str, Any]:
    return {
        "healthy": not wrong,
        "problems": [asdict(problem) for problem in wrong],
        "incomplete": {
            "since_us": since_of(seen.incomplete),
            "causes": [
                {
                    "cause": one.cause,
                    "since_us": one.since,
                    "source": one.source,
                    "subject": None if one.subject is None else " ".join(one.subject),
                    "count": one.count,
                }
                for one in seen.incomplete
            ],
        },
        "open_cases": _open_cases(seen),
        "subjects": _sum([one.subjects for one in seen.partitions]),
        "changelog_bytes": seen.changelog,
        "local_store_bytes": seen.local,
        "partitions": [
            {
                "partition": one.number,
                "owner": one.owner,
                "watermark_us": one.watermark,
                "behind_seconds": lag(one, seen, speed),
                "log_behind": one.behind,
                "open_cases": one.open_cases,
                "subjects": one.subjects,
                "rulebook": one.rulebook,
                "quarantined": [
                    {"subject": " ".join(each.subject), "since_us": each.at, "reason": each.reason}
                    for each in one.aside
                ],
            }
            for one in seen.partitions
        ],
        "sources": [
            {
                "source": one.name,
                "owner": one.owner,
                "read": one.read,
                "end": one.end,
                "behind": one.behind,
                "held": one.held,
                "lost": [[loss.first, loss.last, loss.at] for loss in one.lost],
            }
            for one in seen.sources
        ],
        "sink": _sink_object(seen.sink),
    }


def _sink_object(sink: SinkState | None) -> dict[str, Any] | None:
    if sink is None:
        return None
    return {
        "place": sink.place,
        "away": sink.away,
        "writer": sink.writer,
        "partitions": [
            {"topic": topic, "partition": number, "written": offset, "behind": sink.behind[topic, number]}
            for (topic, number), offset in sorted(sink.written.items())
        ],
    }


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _print(seen: Observation, speed: float) -> None:
    console = Console(highlight=False, soft_wrap=True, width=_WIDTH)
    rows = Table(box=None, pad_edge=False)
    for name in ("partition 分区", "owner 归属", "time behind 时间落后", "log unread 待处理", "open 在办", "kept 在册"):
        rows.add_column(name, justify="left" if name.startswith("owner") else "right")
    for one in seen.partitions:
        behind = lag(one, seen, speed)
        rows.add_row(
            str(one.number),
            printable(one.owner or "NOBODY 无"),
            "not begun 未开始" if behind is None else length(behind),
            _number(one.behind),
            _number(one.open_cases),
            _number(one.subjects),
        )
    console.print(rows)
    inputs = Table(box=None, pad_edge=False)
    for name in ("source 来源", "reader 读取者", "end 末位", "read 已读", "behind 积压"):
        inputs.add_column(name, justify="left" if name.startswith(("source", "reader")) else "right")
    for source in seen.sources:
        known = "NOBODY 无" if source.end is not None else "-"
        inputs.add_row(
            printable(source.name),
            printable(source.owner or known),
            _number(source.end),
            _number(source.read),
            _number(source.behind),
        )
    if seen.sources:
        console.print()
        console.print(inputs)
    if (sink := seen.sink) is not None and sink.away is None:
        console.print()
        console.print(
            printable(
                f"sink 入库 {sink.writer or 'NOBODY 无'} · {sink.place} · behind 积压 {sum(sink.behind.values()):,}"
            )
        )
    console.print()


def _print_incomplete(found: Sequence[Incompleteness]) -> None:
    if not found:
        return
    since = since_of(found)
    words = "" if since is None else f" since {format_us(since)} 自此起"
    click.echo(f"verdicts may be incomplete{words} 判定可能不全:")
    for one in found[:_NAMED]:
        when = "" if one.since is None else f", since {format_us(one.since)}"
        click.echo(printable(f"  {incompleteness_text(one)}{when}"))
    if len(found) > _NAMED:
        click.echo(f"  and {len(found) - _NAMED:,} more: see --json")
    click.echo()


def _summary(seen: Observation, wrong: Sequence[Problem], speed: float) -> str:
    lags = [behind for one in seen.partitions if (behind := lag(one, seen, speed)) is not None]
    subjects = _sum([one.subjects for one in seen.partitions])
    parts = [
        f"NOT WELL 异常: {len(wrong)}" if wrong else "well 正常",
        f"partitions 分区 {len(seen.partitions)}",
        f"behind 落后 {length(max(lags))}" if lags else None,
        f"open cases 在办 {_number(_open_cases(seen))}",
        f"subjects kept 在册 {_number(subjects)}",
        None if seen.changelog is None else f"changelog 变更日志 {_size(seen.changelog)}",
        None if seen.local is None else f"local store 本地状态 {_size(seen.local)}",
    ]
    return " · ".join(part for part in parts if part)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
