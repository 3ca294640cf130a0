"""``gridclock replay``: the live engine over events of the past."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import Any

import click

from schemas.dead_letters import DeadLetter
from schemas.events import EventCatalogue
from streams.commands.common import (
    DEAD_LETTERS,
    DONE,
    INSTANT,
    need_broker,
    progress,
    progress_of_events,
    rulebook_of,
    rulebook_options,
    topic_sources,
)
from streams.commands.replay_tables import print_comparison, print_summary
from streams.core.instants import format_us
from streams.files import STANDARD, write_whole
from streams.kafka.acls import reading
from streams.live.gc_tuning import rare_collections
from streams.replay.checkpoints import Checkpoint
from streams.replay.comparison import CHANGE_COLUMNS, Comparison
from streams.replay.output_form import OutputForm
from streams.replay.replay import MEMORY, Replay
from streams.replay.results import ALERT_COLUMNS, CASE_COLUMNS, Results, form_of, open_results
from streams.replay.sources import Source
from streams.replay.sources.opening import close_sources, open_sources
from streams.rulebooks.loader import LoadedRulebook, load_rulebook
from streams.settings import Settings, load_settings
from streams.wall_clock import WallClock
from streams.wire.decoder import Decoder
from streams.wire.pseudonyms import Hidden, cloud_events

_SHOWN = 5
_CHANGES_SHOWN = 10
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class _Bytes(click.ParamType):
    """A number of bytes: ``512M``, ``2G``."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([1-9][0-9]*)([KMG]?)", str(value).upper())
        if match is None:
            self.fail(f"{value!r} is not an amount of memory; for example 512M or 2G")
        return int(match[1]) * _UNITS[match[2]]


@click.command(short_help="Judge past events, from files or from Kafka.")
@click.argument("events", nargs=-1, metavar="[EVENTS]...")
@rulebook_options
@click.option("--map", "mapping", type=click.Path(path_type=Path), metavar="FILE", help="Columns of CSV, Parquet, XES.")
@click.option("--topic", "topics", multiple=True, metavar="T", help="Read this topic; may be given several times.")
@click.option("--log", "from_log", is_flag=True, help="Read the internal log of a live worker: the alerts it told.")
@click.option("--name", help="Prefix of the worker's topics, for --log (gridclock).")
@click.option("--bootstrap", metavar="HOST:PORT", help="Brokers, separated by commas (KAFKA_BOOTSTRAP_SERVERS).")
@click.option("--from", "since", type=INSTANT, metavar="INSTANT", help="Read topics from this broker timestamp on.")
@click.option("--until", type=INSTANT, metavar="INSTANT", help="End of time; later events are left out.")
@click.option("--as-of", type=INSTANT, metavar="INSTANT", help="Judge by what was recorded by then, and no more.")
@click.option("--alerts", type=click.Path(path_type=Path), metavar="FILE", help="Write alerts here, not to stdout.")
@click.option("--cases", type=click.Path(path_type=Path), metavar="FILE", help="Write every case as of the end.")
@click.option("--dead-letters", type=click.Path(path_type=Path), metavar="FILE", help="Write refused lines here.")
@click.option("--compare", type=click.Path(path_type=Path), metavar="DIR", help="What if: these rules on top of all.")
@click.option("--compare-only", type=click.Path(path_type=Path), metavar="DIR", help="What if: these rules alone.")
@click.option("--comparison", type=click.Path(path_type=Path), metavar="FILE", help="Write what would change here.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a page for people (HTML) here.")
@click.option("--memory", type=_Bytes(), default=MEMORY, metavar="BYTES", help="Hold at most this of events (512M).")
@click.option("--checkpoint", type=click.Path(path_type=Path), metavar="FILE", help="Go on here after an interruption.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=1,
    metavar="N",
    help="Read and judge in N processes; the results are the same. Plain files are read in ranges.",
)
@click.option(
    "--pseudonym-key-file", type=click.Path(path_type=Path), metavar="FILE", envvar="GRIDCLOCK_PSEUDONYM_KEY_FILE",
    help="Write account and meter numbers as pseudonyms under the key in this file, as workers with that key do.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="No summary and no progress.")
def replay(
    events: tuple[str, ...],
    rules: tuple[Path, ...],
    only: Path | None,
    mapping: Path | None,
    topics: tuple[str, ...],
    from_log: bool,
    name: str | None,
    bootstrap: str | None,
    since: int | None,
    until: int | None,
    as_of: int | None,
    alerts: Path | None,
    cases: Path | None,
    dead_letters: Path | None,
    compare: Path | None,
    compare_only: Path | None,
    comparison: Path | None,
    report: Path | None,
    memory: int,
    jobs: int,
    checkpoint: Path | None,
    pseudonym_key_file: Path | None,
    quiet: bool,
) -> int:
    """Judge past events and write the alerts, one CloudEvent a line.

    EVENTS are files of JSON lines, plain, .gz or .zst ("-" is standard input), or, with --map, files of CSV,
    Parquet or XES. Time ends at --until or at the last event. Results are JSON lines, CSV or Parquet, by the
    file's name. Exits 0 when done, breaches or not; 2 for a bad file or rulebook; 3 when done, but some lines were
    refused.

    \b
    Examples:
      gridclock replay orders.jsonl.gz --until 2026-04-01T00:00:00+08:00 --alerts alerts.jsonl --cases cases.parquet
      gridclock replay export.csv --map export.yaml --only rules/ --cases cases.csv
      gridclock replay orders.jsonl --compare stricter/ --comparison changes.csv --report report.html
      gridclock replay --log --name gridclock --bootstrap localhost:9092
      gridclock replay --topic gridclock.events --bootstrap localhost:9092 --from 2026-03-01T00:00:00+08:00
    """
    if from_log:
        others = (events, mapping, topics, since, until, as_of, cases, dead_letters, compare, compare_only, comparison)
        if any(others) or report or checkpoint:
            raise click.UsageError("--log gives the alerts that live gave, nothing else: --rules, --only, --alerts")
        settings = load_settings(name=name, bootstrap=bootstrap, pseudonym_key_file=pseudonym_key_file)
        return _replay_log(rulebook_of(rules, only), settings, alerts)
    if not events and not topics:
        raise click.UsageError("nothing to replay: name files, or a --topic")
    if since is not None and not topics:
        raise click.UsageError("--from is a place in a --topic; files are read from their beginning")
    if checkpoint is not None and STANDARD in events:
        raise click.UsageError("standard input cannot be read again after an interruption: no --checkpoint with it")
    if comparison is not None and compare is None and compare_only is None:
        raise click.UsageError("--comparison needs a second rulebook: --compare or --compare-only")
    hidden = Hidden(load_settings(pseudonym_key_file=pseudonym_key_file).pseudonyms if pseudonym_key_file else None)
    loaded = rulebook_of(rules, only)
    rival = _rival(rules, only, compare, compare_only)
    sources: list[Source] = open_sources(events, mapping)
    if topics:
        sources += topic_sources(topics, bootstrap, since, until)
    catalogue = loaded.catalogue
    if rival is not None:  # an event that only one of the two knows is no dead letter
        catalogue = EventCatalogue({**rival.catalogue.models, **catalogue.models})
    with_summary = report is not None or not quiet
    kept = None if checkpoint is None else Checkpoint(checkpoint)
    replayed = Replay(
        loaded.rulebook,
        Decoder(catalogue),
        received=WallClock().now(),
        until=until,
        as_of=as_of,
        rival=None if rival is None else rival.rulebook,
        memory=memory,
        jobs=jobs,
        output_form=OutputForm(
            form_of(alerts, ALERT_COLUMNS),
            None if cases is None else form_of(cases, CASE_COLUMNS),
            with_summary=with_summary,
            hidden=hidden,
        ),
        checkpoint=kept,
    )
    compared = None if rival is None else Comparison()
    first_changes: list[dict[str, Any]] = []
    with closing(replayed), rare_collections(), ExitStack() as files:
        files.callback(close_sources, sources)
        letters = files.enter_context(write_whole(dead_letters)) if dead_letters else None

        def on_dead_letter(letter: DeadLetter) -> None:
            if letters is not None:
                letters.write(letter.model_dump_json().encode() + b"\n")
            if not quiet and replayed.tally.total_dead_letters <= _SHOWN:
                where = f"{letter.source}:{letter.position}"
                field = f"{letter.field}: " if letter.field else ""
                click.echo(f"gridclock: {where}: {letter.reason}: {field}{letter.detail}", err=True)

        replayed.on_dead_letter = on_dead_letter
        with progress(_total(sources), "reading", quiet=quiet) as moved:
            replayed.read(sources, moved)
        interrupted = False
        with progress_of_events(replayed.total, "judging", quiet=quiet) as judged:
            try:
                replayed.judge(judged)
            except KeyboardInterrupt:
                interrupted = True  # what is finished is written, under .partial
            stdout = click.get_binary_stream("stdout")
            target = files.enter_context(open_results(alerts, ALERT_COLUMNS)) if alerts else Results(stdout)
            for alert in replayed.alerts(judged):
                target.write_bytes(alert)
            stdout.flush()
        if cases is not None or with_summary:
            rows = files.enter_context(open_results(cases, CASE_COLUMNS)) if cases else None
            for judged_cases in replayed.cases():
                if rows is not None:
                    rows.write_bytes(judged_cases)
        if compared is not None:
            changes = files.enter_context(open_results(comparison, CHANGE_COLUMNS)) if comparison else None
            for change in compared.changes(*replayed.sides()):
                hidden.change(change)
                if changes is not None:
                    changes.write(change)
                if len(first_changes) < _CHANGES_SHOWN:
                    first_changes.append(change)
        if report is not None:
            page = _page(replayed, compared, sources, loaded, is_as_of=as_of is not None)
            files.enter_context(write_whole(report)).write(page)
        if interrupted:
            raise KeyboardInterrupt
    if kept is not None:
        kept.remove()
    if not quiet:
        print_summary(replayed.tally, replayed.summary)
        if compared is not None:
            print_comparison(compared, first_changes)
    return DEAD_LETTERS if replayed.tally.total_dead_letters else DONE


def _replay_log(loaded: LoadedRulebook, settings: Settings, alerts: Path | None) -> int:
    """The alerts of a live worker's log, by partition, in the order in which its clocks told them."""
    from streams.replay.log_replay import replay_log  # kafka-python takes a third of a second

    need_broker(settings, reading(settings.log_topic))
    security = settings.security()
    writer = cloud_events(loaded.rulebook.calendar, settings.pseudonyms)
    stdout = click.get_binary_stream("stdout")
    with open_results(alerts, ALERT_COLUMNS) if alerts else nullcontext(Results(stdout)) as target:
        for alert in replay_log(
            settings.bootstrap, settings.log_topic, loaded.rulebook, keep_for=settings.keep_for, security=security
        ):
            target.write(writer.alert(alert))
    stdout.flush()
    return DONE


def _rival(
    rules: tuple[Path, ...], only: Path | None, compare: Path | None, compare_only: Path | None
) -> LoadedRulebook | None:
    if compare is not None and compare_only is not None:
        raise click.UsageError("--compare adds to the rulebook, --compare-only leaves it out: give one of them")
    if compare is not None and only is not None:
        raise click.UsageError("with --only there is nothing for --compare to add to: use --compare-only")
    if compare is not None:
        return load_rulebook((*rules, compare))
    return None if compare_only is None else load_rulebook(only=compare_only)


def _page(
    replayed: Replay,
    compared: Comparison | None,
    sources: Sequence[Source],
    loaded: LoadedRulebook,
    *,
    is_as_of: bool,
) -> bytes:
    from streams.replay.report import render  # a template engine and charts, which other replays do without

    end, zone = replayed.ends_at, loaded.rulebook.calendar.zone
    return render(
        replayed.summary,
        replayed.tally,
        sources=[source.name for source in sources],
        ends_at="—" if end is None else format_us(end, zone)[:19].replace("T", " "),
        is_as_of=is_as_of,
        comparison=compared,
    ).encode()


def _total(sources: Iterable[Source]) -> int | None:
    sizes = [source.size for source in sources]
    return None if None in sizes else sum(size or 0 for size in sizes)
