"""``gridclock replay``: the live engine over events of the past."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from schemas.dead_letters import DeadLetter
from streams.commands.common import (
    DONE,
    INSTANT,
    Bytes,
    need_broker,
    note_future,
    note_future_event,
    options_as,
    progress,
    progress_of_events,
    rulebook_of,
    rulebook_options,
)
from streams.commands.inputs import (
    check_refusals,
    code_for,
    load_mappings,
    mapping_options,
    note_removed,
    print_letter,
    print_unseen,
    refusal_options,
    sources_of,
)
from streams.commands.outputs import Written, check_outputs
from streams.commands.replay_report import ReportFiles, beside, check_report, report_options
from streams.commands.replay_tables import print_comparison, print_summary
from streams.core.instants import format_us
from streams.engine import ENGINES, VARIABLE
from streams.errors import ConfigError
from streams.files import STANDARD, naming_errors, write_named
from streams.kafka.acls import replaying_log
from streams.live.gc_tuning import rare_collections
from streams.log_lines import announce
from streams.replay.checkpoints import Checkpoint
from streams.replay.comparison import CHANGE_COLUMNS, Comparison
from streams.replay.output_form import OutputForm
from streams.replay.replay import MEMORY, Replay, ReplayOptions
from streams.replay.results import (
    ALERT_COLUMNS,
    CASE_COLUMNS,
    NAME_COLUMNS,
    Form,
    Results,
    form_of,
    json_line,
    open_results,
)
from streams.replay.sources import Source
from streams.replay.sources.file_states import grown_since, states_of
from streams.replay.sources.opening import close_sources
from streams.rulebooks.decoding import decoder_of
from streams.rulebooks.loader import LoadedRulebook, catalogue_of_both, load_rulebook
from streams.settings import Settings, load_settings
from streams.wall_clock import WallClock
from streams.wire.pseudonyms import Hidden, cloud_events

if TYPE_CHECKING:
    from streams.spark.replay import SparkReplay

SPARK = "spark"
_CHANGES_SHOWN = 10
_NOT_WITH_LOG = (
    "events", "mappings", "topics", "tables", "since", "until", "as_of", "cases", "dead_letters", "compare",
    "compare_only", "comparison", "report", "checkpoint",
)  # fmt: skip


@dataclass(frozen=True)
class _Options:
    """The options of ``gridclock replay``."""

    events: tuple[str, ...]
    rules: tuple[Path, ...]
    only: Path | None
    mappings: tuple[str, ...]
    sheet: str | None
    topics: tuple[str, ...]
    tables: tuple[str, ...]
    from_log: bool
    name: str | None
    bootstrap: str | None
    since: int | None
    until: int | None
    as_of: int | None
    alerts: Path | None
    cases: Path | None
    dead_letters: Path | None
    compare: Path | None
    compare_only: Path | None
    comparison: Path | None
    report: Path | None
    report_language: Literal["zh", "en"]
    report_board: str | None
    memory: int
    jobs: int
    checkpoint: Path | None
    pseudonym_key_file: Path | None
    strict: bool
    at_most: int | None
    engine: str | None
    master: str | None
    quiet: bool

    @property
    def with_summary(self) -> bool:
        """Whether a summary of the cases is requested."""
        return self.report is not None or not self.quiet


@click.command(short_help="Judge past events, from files or from Kafka.")
@click.argument("events", nargs=-1, metavar="[EVENTS]...")
@rulebook_options
@mapping_options
@click.option("--topic", "topics", multiple=True, metavar="T", help="Read this topic; may be given several times.")
@click.option(
    "--table", "tables", multiple=True, metavar="NAME",
    help="With --engine spark: read this table of Spark's catalog (Hive, Iceberg, Delta, a view); may be given again.",
)  # fmt: skip
@click.option(
    "--log", "from_log", is_flag=True,
    help="Read the internal log of a live worker: the alerts that it sent, given its rules and GRIDCLOCK_KEEP_DAYS.",
)  # fmt: skip
@click.option("--name", help="Prefix of the worker's topics, for --log (gridclock).")
@click.option("--bootstrap", metavar="HOST:PORT", help="Brokers, separated by commas (KAFKA_BOOTSTRAP_SERVERS).")
@click.option("--from", "since", type=INSTANT, metavar="INSTANT", help="Read topics from this broker timestamp on.")
@click.option("--until", type=INSTANT, metavar="INSTANT", help="End of time; later events are left out.")
@click.option("--as-of", type=INSTANT, metavar="INSTANT", help="Judge only by events recorded by then.")
@click.option("--alerts", type=click.Path(path_type=Path), metavar="FILE", help="Write alerts here, not to stdout.")
@click.option("--cases", type=click.Path(path_type=Path), metavar="FILE", help="Write every case as of the end.")
@click.option("--dead-letters", type=click.Path(path_type=Path), metavar="FILE", help="Write refused lines here.")
@click.option("--compare", type=click.Path(path_type=Path), metavar="DIR", help="What if: these rules on top.")
@click.option("--compare-only", type=click.Path(path_type=Path), metavar="DIR", help="What if: only these rules.")
@click.option("--comparison", type=click.Path(path_type=Path), metavar="FILE", help="Write the changed cases here.")
@report_options
@click.option("--memory", type=Bytes(), default=MEMORY, metavar="BYTES", help="Memory for events (512M).")
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), metavar="FILE", help="Continue from here after an interruption."
)
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
@refusal_options
@click.option(
    "--engine",
    type=click.Choice([*ENGINES, SPARK]),
    envvar=VARIABLE,
    help="The engine: the native one if it is built and supported (auto), one of the two, or Spark, with the same "
    "results (pip install 'gridclock[spark]', Java 17).",
)
@click.option("--master", metavar="URL", help="With --engine spark: Spark's master URL (local[*]).")
@click.option("--quiet", is_flag=True, help="No summary and no progress.")
@options_as(_Options)
def replay(options: _Options) -> int:
    """Judge past events and write the alerts, one CloudEvent per line.

    EVENTS are files of JSON lines, plain, .gz or .zst ("-" is standard input), or, with --map, files of CSV, Excel
    (.xlsx, .xls), Parquet (also a directory), JSON of any shape, OCEL 2.0 or XES. Time ends at --until or --as-of, else
    at the last event that stands. Results are JSON lines, CSV, Parquet or .xlsx, by the file's name. Exits 0 when done,
    with or without breaches; 2 for an invalid file or rulebook; 3 when done, but lines were refused.

    \b
    Examples:
      gridclock replay orders.jsonl.gz --until 2026-04-01T00:00:00+08:00 --alerts alerts.jsonl --cases cases.parquet
      gridclock replay export.csv --map export.yaml --only rules/ --cases cases.csv
      gridclock replay orders.xlsx --map wide.yaml --sheet 工单 --at-most 10
      gridclock replay orders.jsonl --compare stricter/ --comparison changes.csv --report report.html
      gridclock replay orders.jsonl --report march.pdf --report-language en
      gridclock replay --engine spark --table lake.grid.orders --map orders.yaml --cases cases.parquet
      gridclock replay history/*.jsonl.gz --engine spark --master local[8] --cases cases.parquet
      gridclock replay --log --name gridclock --bootstrap localhost:9092
      gridclock replay --topic gridclock.events --bootstrap localhost:9092 --from 2026-03-01T00:00:00+08:00
    """
    if str(options.alerts) == STANDARD:
        options = replace(options, alerts=None)
    _check_use(options)
    _check_outputs(options)
    check_report(options.report)
    check_refusals(strict=options.strict, at_most=options.at_most)
    loaded = rulebook_of(options.rules, options.only)
    if options.from_log:
        key_file = options.pseudonym_key_file
        settings = load_settings(name=options.name, bootstrap=options.bootstrap, pseudonym_key_file=key_file)
        return _replay_log(loaded, settings, options.alerts)
    note_future(options.until, options.as_of)
    run = _Run(options, loaded, _rival(options))
    if options.topics:
        note_removed(run.sources)
    with closing(run.replay), rare_collections(), ExitStack() as files:
        files.callback(close_sources, run.sources)
        run.read(files)
        interrupted = run.judge(files)
        run.write_cases(files)
        run.write_comparison(files)
        run.write_report(files)
        if interrupted:
            raise KeyboardInterrupt
    return run.finish()


def _check_use(options: _Options) -> None:
    for name in ("cases", "dead_letters", "comparison", "report"):
        if str(getattr(options, name)) == STANDARD:
            raise click.UsageError(f"--{name.replace('_', '-')} needs a file; only --alerts can go to standard output")
    for name in ("master", "tables"):
        if options.engine != SPARK and getattr(options, name):
            raise click.UsageError(f"--{name.removesuffix('s')} needs --engine spark")
    if options.engine == SPARK:
        _check_use_of_spark(options)
    if options.from_log:
        if any(getattr(options, name) for name in _NOT_WITH_LOG):
            raise click.UsageError("--log only gives the alerts of the live run: it takes --rules, --only, --alerts")
        return
    if not options.events and not options.topics and not options.tables:
        raise click.UsageError("nothing to replay: name files, or a --topic")
    if options.since is not None and not options.topics:
        raise click.UsageError("--from is for a --topic; files are read from their beginning")
    if options.checkpoint is not None and STANDARD in options.events:
        raise click.UsageError("standard input cannot be read again after an interruption: no --checkpoint with it")
    if options.comparison is not None and options.compare is None and options.compare_only is None:
        raise click.UsageError("--comparison needs a second rulebook: --compare or --compare-only")
    if options.compare is not None and options.compare_only is not None:
        raise click.UsageError("--compare adds to the rulebook, --compare-only replaces it: give one of them")
    if options.compare is not None and options.only is not None:
        raise click.UsageError("with --only there is nothing for --compare to add to: use --compare-only")


_WRITTEN: Final[Mapping[str, Written]] = {
    "alerts": "results", "cases": "results", "comparison": "results", "dead-letters": "lines", "report": "text"
}  # fmt: skip


def _check_outputs(options: _Options) -> None:
    names = "alerts", "cases", "dead_letters", "comparison", "report"
    outputs: dict[str, Path | None] = {name.replace("_", "-"): getattr(options, name) for name in names}
    if options.report is not None:
        outputs["report, its workbook"] = beside(options.report)
    checkpoints = () if options.checkpoint is None else (options.checkpoint,)
    check_outputs(outputs, (*options.events, *options.mappings, *checkpoints), _WRITTEN)


def _check_use_of_spark(options: _Options) -> None:
    if options.from_log or options.topics or STANDARD in options.events:
        raise click.UsageError("Spark reads files: no --topic, --log or standard input with --engine spark")
    if options.checkpoint is not None or options.jobs != 1 or options.memory != MEMORY:
        raise click.UsageError(
            "--jobs, --memory and --checkpoint are for one machine; Spark has --master local[N], spark.driver.memory "
            "and spark.executor.memory in $SPARK_CONF_DIR/spark-defaults.conf, and retries failed tasks"
        )


class _Run:
    """One replay with its files. ``files`` of its methods are open until the end; each appears complete or not."""

    def __init__(self, options: _Options, loaded: LoadedRulebook, rival: LoadedRulebook | None) -> None:
        self._options = options
        self._loaded = loaded
        key_file = options.pseudonym_key_file
        settings = load_settings(pseudonym_key_file=key_file)
        key, inside = settings.pseudonyms, settings.pseudonyms_inside
        self._hidden = Hidden(key)
        catalogue = loaded.catalogue if rival is None else catalogue_of_both(loaded, rival)
        mappings = load_mappings(options.mappings, catalogue, options.sheet)
        self.sources: list[Source] = sources_of(
            options.events, options.topics, mappings, (options.bootstrap, options.since), tables=options.tables
        )
        self._states = states_of(options.events)
        self._checkpoint = None if options.checkpoint is None else Checkpoint(options.checkpoint)
        self._report: ReportFiles | None = None
        form = OutputForm(
            # a report needs them as they are, whatever --alerts is written as
            json_line if options.report is not None else self._form_of(options.alerts, ALERT_COLUMNS),
            None if options.cases is None else self._form_of(options.cases, CASE_COLUMNS),
            with_summary=options.with_summary,
            hidden=self._hidden,
        )
        decoder = decoder_of(loaded, key, catalogue, inside=inside)
        self.replay: Replay | SparkReplay
        if options.engine == SPARK:
            self.replay = _spark_replay(options, form, settings)
        else:
            self.replay = Replay(
                loaded.rulebook,
                decoder,
                ReplayOptions(
                    WallClock().now(), options.until, options.as_of, options.memory, options.jobs, form, options.engine
                ),
                rival=None if rival is None else rival.rulebook,
                checkpoint=self._checkpoint,
            )
        self._compared = None if rival is None else Comparison()
        self._first_changes: list[dict[str, Any]] = []

    @property
    def _aside(self) -> str | Path:
        """Where a replay puts what does not fit into memory: its outputs name themselves."""
        return tempfile.gettempdir() if self._checkpoint is None else self._checkpoint.directory

    def _columns(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        return (*columns, *NAME_COLUMNS) if self._loaded.organisations else columns

    def _form_of(self, path: Path | None, columns: tuple[str, ...]) -> Form:
        return form_of(path, self._columns(columns), self._loaded.organisations)

    def read(self, files: ExitStack) -> None:
        """Read all sources; refused records go to ``--dead-letters``, the first of them to the terminal."""
        options, replay = self._options, self.replay
        letters = files.enter_context(write_named(options.dead_letters)) if options.dead_letters else None

        def on_dead_letter(letter: DeadLetter) -> None:
            if letters is not None:
                letters.write(letter.model_dump_json().encode() + b"\n")
            if not options.quiet:
                print_letter(letter, replay.tally.total_dead_letters)

        replay.on_dead_letter = on_dead_letter
        with progress(_total(self.sources), "reading", quiet=options.quiet) as moved, naming_errors(self._aside):
            replay.read(self.sources, moved)
        for name in grown_since(self._states):
            announce(f"note: {name} grew while it was read: of what was added, all, some or none is judged")

    def judge(self, files: ExitStack) -> bool:
        """Judge and write the alerts; whether it was interrupted: results so far are then in .partial files."""
        options, replay, interrupted = self._options, self.replay, False
        with progress_of_events(replay.total, "judging", quiet=options.quiet) as judged:
            try:
                with naming_errors(self._aside):
                    replay.judge(judged)
            except KeyboardInterrupt:
                interrupted = True
            stdout = click.get_binary_stream("stdout")
            alerts = options.alerts
            target = (
                files.enter_context(open_results(alerts, self._columns(ALERT_COLUMNS))) if alerts else Results(stdout)
            )
            for alert in self._reported(files, replay.alerts(judged), self._form_of(alerts, ALERT_COLUMNS)):
                target.write_bytes(alert)
            stdout.flush()
        return interrupted

    def _reported(self, files: ExitStack, alerts: Iterator[bytes], form: Form) -> Iterator[bytes]:
        """The alerts in their form; the report takes them on the way."""
        if self._options.report is None:
            return alerts
        self._report = ReportFiles(self._options.report, self._options.report_language, self._options.report_board)
        files.callback(self._report.close)
        return self._report.take(alerts, form)

    def write_cases(self, files: ExitStack) -> None:
        """Every case to ``--cases``; they are also computed if only their summary is requested."""
        options = self._options
        if options.cases is None and not options.with_summary:
            return
        columns = self._columns(CASE_COLUMNS)
        rows = files.enter_context(open_results(options.cases, columns)) if options.cases else None
        for judged_cases in self.replay.cases():
            if rows is not None:
                rows.write_bytes(judged_cases)

    def write_comparison(self, files: ExitStack) -> None:
        """The changes by another rulebook, to ``--comparison``."""
        if self._compared is None:
            return
        path = self._options.comparison
        changes = files.enter_context(open_results(path, CHANGE_COLUMNS)) if path else None
        for change in self._compared.changes(*self.replay.sides()):
            self._hidden.change(change)
            if changes is not None:
                changes.write(change)
            if len(self._first_changes) < _CHANGES_SHOWN:
                self._first_changes.append(change)

    def write_report(self, files: ExitStack) -> None:
        """The page for people, to ``--report``, and the list of all breaches beside it."""
        if self._report is None:
            return
        self._report.write(
            files,
            self._loaded,
            self.replay,
            sources=[source.name for source in self.sources],
            is_as_of=self._options.as_of is not None,
            comparison=self._compared,
        )

    def finish(self) -> int:
        """Remove the checkpoint, print the summary; the exit code."""
        if self._checkpoint is not None:
            self._checkpoint.remove()
        if not self._options.quiet:
            print_summary(self.replay.tally, self.replay.summary)
            if self._compared is not None:
                print_comparison(self._compared, self._first_changes)
        if self._options.until is None and self._options.as_of is None:
            note_future_event(self.replay.ends_at, self._loaded.rulebook.calendar.zone)
        print_unseen(self.replay.tally, self.sources)
        return code_for(self.replay.tally.total_dead_letters, self._options.at_most)


def _spark_replay(options: _Options, form: OutputForm, settings: Settings) -> SparkReplay:
    try:  # 400 MB, not needed otherwise
        from streams.spark import rulebook_of as files_of
        from streams.spark.inputs import Inputs
        from streams.spark.replay import SparkReplay, session_of
        from streams.spark.steps import Job
    except ImportError as error:
        raise ConfigError(f"Spark is not installed ({error}): pip install 'gridclock[spark]'") from error
    rival = None
    if options.compare is not None:
        rival = files_of((*options.rules, options.compare))
    elif options.compare_only is not None:
        rival = files_of(only=options.compare_only)
    ends = [at for at in (options.until, options.as_of) if at is not None]
    job = Job(
        files_of(options.rules, options.only), WallClock().now(), min(ends, default=None), options.as_of,
        rival=rival, form=form, key=settings.pseudonyms, inside=settings.pseudonyms_inside,
    )  # fmt: skip
    inputs = Inputs(options.events, options.mappings, options.sheet)
    return SparkReplay(job, inputs, lambda: session_of(options.master, quiet=options.quiet))


def _replay_log(loaded: LoadedRulebook, settings: Settings, alerts: Path | None) -> int:
    """The alerts of a live worker's log, by partition, in the order in which its clocks reported them."""
    from streams.live.clock_partition import CASES_MARK
    from streams.operations.installation import rulebooks_of  # kafka-python takes a third of a second
    from streams.replay.log_replay import replay_log

    need_broker(settings, replaying_log(settings))
    own = loaded.rulebook.fingerprint
    found = rulebooks_of(settings)
    if others := sorted({one.removesuffix(CASES_MARK) for one in found} - {own}):
        announce(
            f"note: the workers judge by the rulebook {', '.join(others)}, and this is {own}: the alerts differ from "
            "those that were sent; give the workers' --rules and --only"
        )
    security = settings.security()
    writer = cloud_events(loaded.rulebook.calendar, settings.pseudonyms)

    def on_removed(partition: int, first: int, at_ms: int | None) -> None:
        left = (
            "nothing of it is left"
            if at_ms is None
            else f"it is there from {format_us(at_ms * 1000, loaded.rulebook.calendar.zone)} on"
        )
        announce(
            f"note: {settings.log_topic}/{partition}: offsets 0 to {first - 1} were removed by the topic's retention, "
            f"{left}: the alerts that rest on what was there are missing, or differ from those that were sent",
        )

    stdout = click.get_binary_stream("stdout")
    with open_results(alerts, ALERT_COLUMNS) if alerts else nullcontext(Results(stdout)) as target:
        for alert in replay_log(
            settings.bootstrap,
            settings.log_topic,
            loaded.rulebook,
            keep_for=settings.keep_for,
            tracks_cases=any(one.endswith(CASES_MARK) for one in found),
            security=security,
            on_removed=on_removed,
        ):
            target.write(writer.alert(alert))
    stdout.flush()
    return DONE


def _rival(options: _Options) -> LoadedRulebook | None:
    if options.compare is not None:
        return load_rulebook((*options.rules, options.compare))
    return None if options.compare_only is None else load_rulebook(only=options.compare_only)


def _total(sources: Iterable[Source]) -> int | None:
    sizes = [source.size for source in sources]
    return None if None in sizes else sum(size or 0 for size in sizes)
