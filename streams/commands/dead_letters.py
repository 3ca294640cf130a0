"""``gridclock dead-letters``: refused records with their reasons; correct them and send them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from schemas.dead_letters import REASONS, DeadLetter
from streams.commands.common import (
    DEAD_LETTERS,
    DONE,
    INSTANT,
    Command,
    broker_options,
    need_broker,
    options_as,
    rulebook_of,
    rulebook_options,
)
from streams.commands.outputs import check_outputs
from streams.core.event import Event
from streams.core.instants import format_us
from streams.errors import BrokerError, ConfigError, InputError
from streams.files import write_named
from streams.kafka.acls import reading, releasing, writing
from streams.kafka.topics import check_present, check_target
from streams.log_lines import printable
from streams.operations.dead_letters import (
    OF_A_NEWER_VERSION,
    EditedLetter,
    Letters,
    Retry,
    StoredLetter,
    as_json,
    as_unedited,
    check,
    editable,
    edited_in,
    letters_in_files,
    letters_on_topic,
    one_line,
    topic_of,
)
from streams.operations.releasing import Releasing, held_of
from streams.settings import Settings, load_settings
from streams.wall_clock import WallClock
from streams.wire.decoder import Decoder
from streams.wire.state_rows import StateError

_NAMED = 20
"""Most records that are named one by one."""

_ROW = (
    "the letter holds a row of {}, which is read through a mapping: let its producer send it again, or write the event "
    "in its line (--out), and send that to a source without a mapping (--from, --topic)"
)


@click.group("dead-letters", short_help="List refused records; correct them and send them again.")
def dead_letters() -> None:
    """Records that were refused as events, on the topic NAME.dead-letters or in files of gridclock replay.

    死信：查看被拒收的记录、原因，修改后重新发送。

    An ID is the source and the position: TOPIC/PARTITION/OFFSET, or FILE/LINE; of an entry held for a subject that was
    set aside, its place in the log, TOPIC/PARTITION/OFFSET/NUMBER.

    \b
    Example:
      gridclock dead-letters list --reason unknown_type --bootstrap 127.0.0.1:9092
    """


def _source_options(command: Command) -> Command:
    command = click.option(
        "--file", "files", multiple=True, metavar="FILE",
        help="Letters in a file of gridclock replay --dead-letters, not on the topic; may be given several times.",
    )(command)  # fmt: skip
    return broker_options(command)


def _filter_options(command: Command) -> Command:
    command = click.option("--since", type=INSTANT, metavar="INSTANT", help="Refused at this instant or later.")(
        command
    )
    command = click.option("--source", metavar="TEXT", help="Source begins with this: a topic, or a file.")(command)
    return click.option("--reason", type=click.Choice(REASONS), help="Refused for this reason.")(command)


def _read(settings: Settings, files: Sequence[str]) -> Letters:
    if files:
        return letters_in_files(files)
    need_broker(settings, reading(settings.dead_letters_topic))
    found = letters_on_topic(settings.kafka_python(), settings.dead_letters_topic)
    for place in found.unreadable[:_NAMED]:
        click.echo(f"gridclock: {place}: left out: it is no dead letter, or {OF_A_NEWER_VERSION}", err=True)
    if len(found.unreadable) > _NAMED:
        click.echo(f"gridclock: {len(found.unreadable) - _NAMED:,} more such records left out", err=True)
    return found


def _chosen(letters: Letters, reason: str | None, source: str | None, since: int | None) -> list[StoredLetter]:
    found = list(letters.by_id.values())
    if since is not None and any(stored.at is None for stored in found):
        raise click.UsageError("--since is for the topic: files have no time of writing")
    return [
        stored
        for stored in found
        if (reason is None or stored.letter.reason == reason)
        and (source is None or stored.letter.source.startswith(source))
        and (since is None or (stored.at or 0) >= since)
    ]


def _at(stored: StoredLetter) -> str | None:
    return None if stored.at is None else format_us(stored.at)


@dead_letters.command("list", short_help="One line a letter.")
@_source_options
@_filter_options
@click.option("--retried", is_flag=True, help="Include those that were sent again.")
@click.option("--json", "json_lines", is_flag=True, help="Whole letters, one per line.")
def list_(
    files: tuple[str, ...],
    reason: str | None,
    source: str | None,
    since: int | None,
    retried: bool,
    json_lines: bool,
    **given: Any,
) -> int:
    """List records that were refused and not sent again yet, oldest first.

    \b
    Example:
      gridclock dead-letters list --source gridclock.events --since 2026-03-01T00:00:00+08:00
    """
    chosen = _chosen(_read(load_settings(**given), files), reason, source, since)
    shown = [stored for stored in chosen if retried or not stored.retried_to]
    for stored in shown:
        click.echo(as_json(stored, _at(stored)) if json_lines else _line(stored))
    if not json_lines:
        counts = Counter(stored.letter.reason for stored in shown)
        by_reason = "".join(f", {name} {count:,}" for name, count in sorted(counts.items()))
        click.echo(f"gridclock: {len(shown):,} dead letters{by_reason}", err=True)
    return DONE


def _line(stored: StoredLetter) -> str:
    letter = stored.letter
    field = f"{letter.field}: " if letter.field else ""
    marks = "".join((" [cut]" if letter.truncated else "", " [sent again]" if stored.retried_to else ""))
    at = f"{_at(stored)}  " if stored.at is not None else ""
    subject = f"{letter.subject[0]} {letter.subject[1]}: " if letter.subject else ""
    return printable(f"{at}{letter.id}  {letter.reason}: {field}{subject}{letter.detail}{marks}")


@dead_letters.command(short_help="One letter with its payload.")
@click.argument("letter_id", metavar="ID")
@_source_options
@click.option("--json", "json_lines", is_flag=True, help="As one line of JSON.")
def show(letter_id: str, files: tuple[str, ...], json_lines: bool, **given: Any) -> int:
    """Show the letter ID. Control characters of its payload are printed as escapes, never sent to the terminal.

    \b
    Example:
      gridclock dead-letters show gridclock.events/0/1234
    """
    stored = _named(_read(load_settings(**given), files), letter_id)
    if json_lines:
        click.echo(as_json(stored, _at(stored)))
        return DONE
    letter = stored.letter
    rows = {
        "id": letter.id,
        "refused at": _at(stored),
        "reason": letter.reason,
        "subject": " ".join(letter.subject) if letter.subject else None,
        "origin": letter.origin,
        "field": letter.field,
        "detail": letter.detail,
        "size": f"{letter.size} bytes" + (", only the beginning was kept" if letter.truncated else ""),
        "personal data": "removed" if letter.personal_removed else None,
        "encoding": letter.encoding,
        "sent again to": ", ".join(stored.retried_to) or None,
    }
    for name, value in rows.items():
        if value is not None:
            click.echo(f"{name + ':':<15}{printable(value)}")
    click.echo()
    click.echo("\n".join(printable(line) for line in letter.payload.split("\n")))
    return DONE


def _named(letters: Letters, letter_id: str) -> StoredLetter:
    if letter_id not in letters.by_id:
        raise ConfigError(f"no dead letter {printable(letter_id)!r}; see gridclock dead-letters list --retried")
    return letters.by_id[letter_id]


@dataclass(frozen=True)
class _RetryOptions:
    """The options of ``gridclock dead-letters retry``."""

    letter_ids: tuple[str, ...]
    files: tuple[str, ...]
    bootstrap: str | None
    name: str | None
    rules: tuple[Path, ...]
    only: Path | None
    reason: str | None
    source: str | None
    since: int | None
    every: bool
    out: Path | None
    edited: str | None
    topic: str | None
    to: Path | None
    again: bool


@dead_letters.command(short_help="Correct letters and send them again.")
@click.argument("letter_ids", nargs=-1, metavar="[ID]...")
@_source_options
@rulebook_options
@_filter_options
@click.option("--all", "every", is_flag=True, help="All letters that --reason, --source and --since select.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write them to this file for editing; send none."
)
@click.option("--from", "edited", metavar="FILE", help="Send the lines of this file, made by --out and then edited.")
@click.option("--topic", metavar="TOPIC", help="Send to this topic, not to each letter's own.")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="Letters of files: write events here.")
@click.option("--again", is_flag=True, help="Include those that were sent again before.")
@options_as(_RetryOptions)
def retry(options: _RetryOptions) -> int:
    """Send letters again: unchanged (after the rulebook was corrected), or edited by hand in a file.

    Each is decoded first, as by the worker; letters that would be refused again, or were kept only in part, are
    reported and not sent. A letter is sent once, unless --again. A letter of a subject that is set aside releases the
    subject, with all its held entries; an event edited to null is left out. Letters of files are written to --to or
    standard output as lines of events. Exits 0 when all were sent; 3 when some were not, or
    --all found records on the topic that this version cannot read.

    \b
    Example:
      gridclock dead-letters retry --all --reason bad_field --out mend.jsonl
      $EDITOR mend.jsonl
      gridclock dead-letters retry --from mend.jsonl
    """
    _check_use(options)
    inputs = (*options.files, *([] if options.edited is None else [options.edited]))
    check_outputs({"out": options.out, "to": options.to}, inputs, {"out": "lines", "to": "lines"})
    settings = load_settings(bootstrap=options.bootstrap, name=options.name)
    if options.topic is not None:
        check_target(settings, options.topic)
    loaded = rulebook_of(options.rules, options.only)
    letters = _read(settings, options.files)
    if options.edited is not None:
        wanted = list(edited_in(options.edited))
    else:
        if options.every:
            chosen = _chosen(letters, options.reason, options.source, options.since)
        else:
            chosen = [_named(letters, one) for one in options.letter_ids]
        if options.out is not None:
            return _write_editable(options.out, chosen, options.again)
        wanted = as_unedited(chosen)
    named = {one.id: _named(letters, one.id) for one in wanted}
    held = [one for one in wanted if topic_of(named[one.id].letter) == settings.log_topic]
    wanted = [one for one in wanted if topic_of(named[one.id].letter) != settings.log_topic]
    of_topics = () if options.files else tuple(named.values())  # those of files hold the events of rows
    rows = frozenset(stored.letter.id for stored in of_topics if _is_row(stored.letter, settings))
    ready, left, refused = _checked(wanted, letters, Decoder(loaded.catalogue), options.again, rows)
    if options.files:
        _write_events(options.to, ready)
        sent = len(ready)
    else:
        sent = _send(settings, ready, options.topic, rows)
        refused += len(ready) - sent
        back, failed = _bring_back(settings, held, letters)
        sent, refused = sent + back, refused + failed
    click.echo(f"gridclock: {sent:,} sent again, {left:,} sent before, {refused:,} refused", err=True)
    return DEAD_LETTERS if refused or (options.every and letters.unreadable) else DONE


def _check_use(options: _RetryOptions) -> None:
    if bool(options.letter_ids) + options.every + (options.edited is not None) != 1:
        raise click.UsageError("give IDs, or --all, or --from FILE")
    if not options.every and (options.reason or options.source or options.since is not None):
        raise click.UsageError("--reason, --source and --since go with --all")
    if options.out is not None and options.edited is not None:
        raise click.UsageError("--out writes the file, --from sends it: give one of them")
    if options.to is not None and not options.files:
        raise click.UsageError("--to goes with --file")
    if options.topic is not None and options.files:
        raise click.UsageError("letters of files are written, not sent: use --to, then gridclock send --topic")


Ready = list[tuple[EditedLetter, Event, StoredLetter]]


def _is_row(letter: DeadLetter, settings: Settings) -> bool:
    """Whether it is a record that a worker reads through a mapping.

    The settings of this command need not be the workers', so what only a mapping writes tells it, too.
    """
    is_mapped = letter.reason in ("unknown_schema", "undecodable") or "(mapping key: " in letter.detail
    return is_mapped or topic_of(letter) in settings.source_mappings


def _checked(
    wanted: Iterable[EditedLetter], letters: Letters, decoder: Decoder, again: bool, rows: Container[str]
) -> tuple[Ready, int, int]:
    """The letters to send; the number sent before; the number that would be refused again (each is reported).

    ``rows`` are the ids of those that hold rows, which are no events as they are.
    """
    ready: Ready = []
    left = refused = 0
    now = WallClock().now()
    for one in wanted:
        stored = _named(letters, one.id)
        if stored.retried_to and not again:
            left += 1
            continue
        try:
            ready.append((one, check(one, stored, decoder, now), stored))
        except InputError as error:
            refused += 1
            why = f"; {_ROW.format(topic_of(stored.letter))}" if one.id in rows else ""
            click.echo(printable(f"gridclock: {one.id}: not sent: {error}{why}"), err=True)
    return ready, left, refused


def _write_editable(out: Path, chosen: Iterable[StoredLetter], again: bool) -> int:
    written = left = 0
    with write_named(out) as target:
        for stored in chosen:
            if stored.letter.truncated or (stored.retried_to and not again):
                left += 1
                continue
            target.write(editable(stored.letter) + b"\n")
            written += 1
    note = f", {left:,} left out (sent before, or kept only in part)" if left else ""
    click.echo(f"gridclock: {written:,} written to {out} for editing{note}", err=True)
    return DONE


def _write_events(to: Path | None, ready: Ready) -> None:
    with ExitStack() as stack:
        target = stack.enter_context(write_named(to)) if to else click.get_binary_stream("stdout")
        for one, _, _ in ready:
            target.write(one_line(one.raw) + b"\n")
        target.flush()


def _bring_back(settings: Settings, held: Sequence[EditedLetter], letters: Letters) -> tuple[int, int]:
    """Release the subjects of the letters, and records of the log; the numbers of letters sent and of failures."""
    subjects = sorted({subject for one in held if (subject := letters.by_id[one.id].letter.subject) is not None})
    waiting = [subject for subject in subjects if held_of(letters, subject)]
    records = [letters.by_id[one.id] for one in held if letters.by_id[one.id].letter.subject is None]
    records = [one for one in records if not one.retried_to]
    if not waiting and not records:
        return 0, 0
    need_broker(settings, [*writing(settings.dead_letters_topic), *releasing(settings)])
    edited = {one.id: one for one in held}
    sent = failed = 0
    with closing(Releasing(settings)) as sender:
        for stored in records:
            try:
                click.echo(printable(f"{stored.letter.id} -> {sender.send_record(stored.letter)}"))
                sent += 1
            except (BrokerError, InputError, StateError) as error:
                failed += 1
                click.echo(printable(f"gridclock: {stored.letter.id}: not sent: {error}"), err=True)
        for subject in waiting:
            try:
                done = sender.bring_back(subject, edited, lambda: _read(settings, ()))
            except (BrokerError, InputError) as error:
                failed += 1
                click.echo(printable(f"gridclock: not released: {error}"), err=True)
            else:
                sent += len(done.letters)
                click.echo(printable(f"{subject[0]} {subject[1]} -> {done.place}: {len(done.letters):,} letters"))
    return sent, failed


def _send(settings: Settings, ready: Ready, topic: str | None, rows: Container[str]) -> int:
    """Send those with a topic; returns their number. ``rows`` are not sent to the topic that they came from."""
    sent: list[tuple[EditedLetter, Event, str]] = []
    for one, event, stored in ready:
        target = topic or topic_of(stored.letter)
        if target is None:
            click.echo(printable(f"gridclock: {one.id}: not sent: its source is not a topic; use --topic"), err=True)
        elif target in settings.source_mappings or (topic is None and one.id in rows):
            # There the event would be a row, refused again or passed over.
            why = f"not sent: {target} is read through a mapping, and this is an event: name another source by --topic"
            click.echo(printable(f"gridclock: {one.id}: {why}"), err=True)
        else:
            sent.append((one, event, target))
    if sent:
        targets = sorted({target for *_, target in sent})
        need_broker(settings, writing(settings.dead_letters_topic, *targets))
        check_present(settings, targets)
        with closing(Retry(settings.kafka_python(), settings.dead_letters_topic)) as sender:
            for one, event, target in sent:
                click.echo(printable(f"{one.id} -> {sender.send(one, event, target)}"))
    return len(sent)
