"""``gridclock explain``: one subject's history on a time line, with every rule's verdict and its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, assert_never

import click

from schemas.base import Text
from streams.commands.common import (
    DONE,
    INSTANT,
    note_future,
    note_future_event,
    options_as,
    rulebook_of,
    rulebook_options,
)
from streams.commands.inputs import (
    closing_sources,
    load_mappings,
    mapping_options,
    note_removed,
    print_refused,
    print_unseen,
    sources_of,
)
from streams.core.alerts import Subject
from streams.core.event import Event
from streams.core.explanations import SUBJECTS_ZH
from streams.core.faults import local_time
from streams.core.notices import place_of
from streams.core.records import JudgedCase
from streams.errors import ConfigError, InputError
from streams.replay.input_counts import InputCounts
from streams.replay.judging import Arrived, Judging, deduplicate
from streams.replay.replay import Replay, ReplayOptions
from streams.replay.sources import Source, event_of
from streams.rulebooks.decoding import decoder_of
from streams.rulebooks.loader import LoadedRulebook
from streams.settings import load_settings
from streams.wall_clock import WallClock
from streams.wire.cloudevents import CloudEvents
from streams.wire.decoder import decode_json, encode_json
from streams.wire.mapping import Skipped
from streams.wire.pseudonyms import Pseudonyms, is_pseudonym
from streams.wire.time_line import KINDS_ZH, Moment, Reported, TimeLine, fields_of, outcome_of

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_RELATED_SHOWN = 8
_HASH = re.compile(r"[0-9a-f]{32}")
"""The id of an alert or a case."""
_COLOURS = {"met": "green", "running": "yellow", "cancelled": None}


@dataclass(frozen=True)
class _Options:
    """The options of ``gridclock explain``."""

    number: str
    names: tuple[str, ...]
    topics: tuple[str, ...]
    bootstrap: str | None
    since: int | None
    rules: tuple[Path, ...]
    only: Path | None
    mappings: tuple[str, ...]
    sheet: str | None
    until: int | None
    lang: str


@click.command(short_help="Explain one order: its events, clocks and verdicts.")
@click.argument("number", metavar="ID")
@click.option("--events", "names", multiple=True, metavar="FILE", help="Events; may be given again.")
@click.option("--topic", "topics", multiple=True, metavar="T", help="Read this topic; may be given again.")
@click.option("--bootstrap", metavar="HOST:PORT", help="Brokers of --topic (KAFKA_BOOTSTRAP_SERVERS).")
@click.option("--from", "since", type=INSTANT, metavar="INSTANT", help="Read topics from this broker timestamp on.")
@rulebook_options
@mapping_options
@click.option("--until", type=INSTANT, metavar="INSTANT", help="End of time; the last event of the files if left out.")
@click.option("--lang", type=click.Choice(["zh", "en"]), default="en", help="Language of the sentences.")
@options_as(_Options)
def explain(options: _Options) -> int:
    """Print the events of ID on a time line, and every rule's verdict with its reason.

    ID is that of an order, account, meter or notice batch, or of an event, alert or case; with a pseudonym key also a
    pseudonym of alerts. The output shows real account and meter numbers, and the organisation of each case by its name
    in organisations.yaml (or .csv) of the rules, else by its code. The files are read as replay reads them, with the
    same rules, so the verdicts are the same. Refused lines are counted, and those with the ID shown.

    \b
    Example:
      gridclock explain WO1042 --events orders.jsonl --lang zh
      gridclock explain WO1042 --topic gridclock.events --bootstrap localhost:9092
    """
    if not options.names and not options.topics:
        raise click.UsageError("no events: name files by --events, or a --topic")
    loaded = rulebook_of(options.rules, options.only)
    mappings = load_mappings(options.mappings, loaded.catalogue, options.sheet)
    sources = sources_of(options.names, options.topics, mappings, (options.bootstrap, options.since))
    note_future(options.until)
    if options.topics:
        note_removed(sources)
    with closing_sources(sources):
        search = _Search(loaded, sources, options.until)
        subjects = search.subjects_of(options.number)
        if not subjects:
            searched = ", ".join((*options.names, *options.topics))
            searched += f"; this{search.refusals()}" if search.tally.total_dead_letters else ""
            message = f"no order, account, meter, batch, event, alert or case {options.number!r} in {searched}"
            if _HASH.fullmatch(options.number):
                message += (
                    "; an alert that was withdrawn since, or sent under other rules, may be none of these events: give "
                    "the number of its order, account or meter, or look in gridclock replay --log"
                )
            raise ConfigError(message, key="ID")
        history = search.history(subjects)
        if options.until is None:
            note_future_event(search.end, loaded.rulebook.calendar.zone)
        for position, subject in enumerate(subjects):
            if position:
                click.echo()
            for line in _Story(search, history, subject, options.lang).lines():
                click.echo(line)
    if search.tally.total_dead_letters:
        click.echo(f"gridclock: note: what was judged{search.refusals()}", err=True)
    print_unseen(search.tally, sources)
    return DONE


class _Search:
    """Finds the subjects of an id, and their events; holds no other events in memory."""

    def __init__(self, loaded: LoadedRulebook, sources: Sequence[Source], until: int | None) -> None:
        self._loaded = loaded
        self.rulebook = loaded.rulebook
        self.organisations = loaded.organisations
        self._sources = sources
        self._until = until
        self._received = WallClock().now()
        settings = load_settings()
        self._key, self._inside = settings.pseudonyms, settings.pseudonyms_inside
        self.names = None if self._key is None else Pseudonyms(self._key)
        self.end = until or 0
        self._last = ""
        """The id of the last event."""
        self.tally = InputCounts()
        self.refused = 0
        """Refused records in which the id occurs."""

    def _events(self, on_refused: Callable[[str, int, bytes, InputError], None] | None = None) -> Iterator[Event]:
        decoder = decoder_of(self._loaded, self._key, inside=self._inside)
        for source in self._sources:
            see = self.tally.columns_of(source)
            for position, raw, note in source.records():
                see(note)
                try:
                    event = event_of(decoder, raw, note, self._received)
                except InputError as error:
                    if on_refused is not None:
                        on_refused(source.name, position, raw, error)
                    continue
                if not isinstance(event, Skipped):
                    yield event

    def subjects_of(self, number: str) -> list[Subject]:
        """The subjects that have the id, or an event, alert or case with that id."""
        named: dict[Subject, None] = {}
        by_event: dict[Subject, None] = {}
        wanted = number.encode()

        def on_refused(name: str, position: int, raw: bytes, error: InputError) -> None:
            self.tally.refuse(error)
            if wanted in raw:
                self.refused += 1
                print_refused(name, position, error, self.refused)

        for event in self._events(on_refused):
            if self._until is None and event.at > self.end:
                self.end, self._last = event.at, event.event_id
            for subject, _ in self._loaded.rulebook.copies_of(event):
                if self._is(subject, number):
                    named[subject] = None
                elif event.event_id == number:
                    by_event[subject] = None
            named.update((subject, None) for subject in event.subjects() if self._is(subject, number))
        return list(named or by_event) or self._by_verdict(number)

    def refusals(self) -> str:
        """How much of the input is not among the events, if anything."""
        count = self.tally.total_dead_letters
        found = f" leaves out {count:,} refused lines, {self.refused:,} of them with this id" if count else ""
        return f"{found}: gridclock replay says why" if found else ""

    def _is(self, subject: Subject, number: str) -> bool:
        """Whether the number is the subject's, or its pseudonym."""
        if subject[1] == number:
            return True
        return self.names is not None and is_pseudonym(number) and self.names.number(*subject) == number

    def _shown(self, *known: str) -> set[str]:
        """The ids, and their pseudonyms under a key."""
        return {*known, *(map(self.names.id, known) if self.names is not None else ())}

    def _by_verdict(self, number: str) -> list[Subject]:
        """The subject of an alert or a case, from a whole replay, which computes their ids."""
        with self._replay() as replay:
            found = None
            for alert in map(decode_json, replay.alerts()):
                if number in self._shown(alert["id"], alert["data"]["case_id"]):
                    found = alert["data"]["subject"]
            for line in chain.from_iterable(map(bytes.splitlines, replay.cases())) if found is None else ():
                case = decode_json(line)
                if number in self._shown(case["id"]):
                    found = case["data"]["subject"]
                    break
        return [] if found is None else [(found["type"], found["id"])]

    @contextmanager
    def _replay(self) -> Iterator[Replay]:
        """A whole replay."""
        decoder = decoder_of(self._loaded, self._key, inside=self._inside)
        with closing(Replay(self._loaded.rulebook, decoder, ReplayOptions(self._received, self._until))) as replay:
            replay.read(self._sources)
            replay.judge()
            yield replay

    def history(self, subjects: Sequence[Subject]) -> list[Arrived]:
        """Every event about the subjects, in the order of arrival, with their copies only.

        Now it is also known whether the last event counts, at which time ends: if its id came with another instant too,
        or it corrects or is corrected, or was taken back, only a replay of all events knows.
        """
        found: list[Arrived] = []
        wanted = set(subjects)
        instants: set[int | None] = set()
        for event in self._events():
            if event.event_id == self._last:
                instants.add(None if event.void or event.corrects is not None else event.at)
            elif event.corrects == self._last:
                instants.add(None)
            copies = [copy for copy in self._loaded.rulebook.copies_of(event) if copy[0] in wanted]
            copies += [
                (subject, event)
                for subject in event.subjects()
                if subject in wanted and subject not in {known for known, _ in copies}
            ]
            if copies:
                found.append((event.order, len(found), event, 0, copies))
        if None in instants or len(instants) > 1:
            with self._replay() as replay:
                self.end = replay.ends_at or 0
        return found


class _Story:
    """One subject's time line and verdicts as lines of text."""

    def __init__(self, search: _Search, arrived: Iterable[Arrived], subject: Subject, lang: str) -> None:
        rulebook, end = search.rulebook, search.end
        self._calendar = rulebook.calendar
        self._names, self._organisations = search.names, search.organisations
        self._end = end
        self._zh = lang == "zh"
        own = [
            (order, number, event, origin, [copy for copy in copies if copy[0] == subject])
            for order, number, event, origin, copies in arrived
        ]
        events = deduplicate(item for item in own if item[4])
        judging = Judging(rulebook, end)
        alerts = [Reported.of(alert) for _, alert in judging.alerts(events.events, filtered=True)]
        kept = [event for _, _, event, _, _ in events.events]
        self._time_line = TimeLine(rulebook, subject, kept, list(judging.cases()), alerts, end)
        self._refused = sorted((event for _, event in events.conflicts.values()), key=lambda event: event.order)

    def lines(self) -> Iterator[str]:
        """Head, time line, verdicts."""
        yield click.style(self._name(self._time_line.subject), bold=True)
        yield self._in_language(f"判定截至 {self._time(self._end)}", f"as of {self._time(self._end)}")
        related = [self._name(other) for other in self._time_line.related()]
        if related:
            more = len(related) - _RELATED_SHOWN
            rest = self._in_language(f" 等{len(related)}个", f" and {more} more") if more > 0 else ""
            yield self._in_language("相关：", "see also: ") + ", ".join(related[:_RELATED_SHOWN]) + rest
        yield ""
        for at, moment in self._time_line.moments():
            mark, text, colour = self._moment(moment)
            yield f"{self._time(at):<23}  {mark} {click.style(_safe(text), fg=colour)}"
        for event in self._refused:
            yield (
                self._in_language("拒收：编号重复而内容不同 ", "refused, an id seen before with other content: ")
                + event.event_id
            )
        yield ""
        for case in self._time_line.cases:
            yield from self._verdict(case)
        names = self._time_line.never_started()
        if names:
            yield self._in_language("未起算：", "never started: ") + ", ".join(names)

    def _in_language(self, zh: str, en: str) -> str:
        return zh if self._zh else en

    def _text(self, text: Text) -> str:
        return self._in_language(text.zh, text.en)

    def _time(self, instant: int) -> str:
        return local_time(instant, self._calendar)

    def _name(self, subject: Subject) -> str:
        kind, number = subject
        return _safe(f"{SUBJECTS_ZH[kind]} {number}" if self._zh else f"{kind} {number}")

    def _moment(self, moment: Moment) -> tuple[str, str, str | None]:
        """Its mark, text and colour."""
        match moment:
            case Event():
                return "●", self._event_text(moment), None
            case JudgedCase():
                title = self._text(moment.verdict.rule.title)
                return "◷", self._in_language(f"到期：{title}", f"due: {title}"), None
            case Reported():
                kind = KINDS_ZH[moment.kind] if self._zh else moment.kind.replace("_", " ")
                return "▲", f"{kind}: {self._text(moment.sentence)}", "cyan" if moment.retracts else "red"
            case _:
                assert_never(moment)

    def _event_text(self, event: Event) -> str:
        fields = fields_of(event)
        parts = [event.type]
        if fields:
            parts.append(encode_json(fields).decode())
        parts.append(f"[{event.event_id}]")
        if event.recorded > event.at:
            parts.append(
                self._in_language(
                    f"（录入于 {self._time(event.recorded)}）", f"(recorded {self._time(event.recorded)})"
                )
            )
        if event.corrects is not None:
            undone = self._in_language("作废", "voids") if event.void else self._in_language("更正", "corrects")
            parts.append(f"{undone} {event.corrects}")
        return " ".join(parts)

    def _verdict(self, case: JudgedCase) -> Iterator[str]:
        rule = case.verdict.rule
        outcome = click.style(self._text(outcome_of(case)), fg=_COLOURS.get(case.verdict.outcome, "red"), bold=True)
        yield f"{outcome}  {_safe(self._text(rule.title))}  ({rule.clause}, {rule.id})"
        yield f"    {_safe(self._text(self._time_line.sentence(case)))}"
        data = CloudEvents(self._calendar).case(case, self._end)["data"]
        place = place_of(data, "zh" if self._zh else "en", self._organisations)
        if place:
            yield f"    {self._in_language('单位', 'organisation')}: {_safe(place)}"
        yield from self._arithmetic(data["arithmetic"])
        evidence = ", ".join(_safe(number) for number in data["evidence"])
        yield f"    {self._in_language('依据事件', 'evidence')}: {evidence}"
        case_id = case.case_id if self._names is None else self._names.id(case.case_id)
        yield f"    {self._in_language('时钟编号', 'case')}: {case_id}"

    def _arithmetic(self, found: dict[str, Any]) -> Iterator[str]:
        if found.get("counted_days"):
            yield f"    {self._in_language('计入', 'days counted')}: {', '.join(found['counted_days'])}"
        if found.get("days_off"):
            off = ", ".join(f"{day['date']} {day['name'] or ''}".strip() for day in found["days_off"])
            yield f"    {self._in_language('不计', 'days off')}: {off}"
        for pause in found.get("pauses", ()):
            until = pause["to"] or self._in_language("至今", "now")
            yield f"    {self._in_language('暂停', 'paused')}: {pause['from']} – {until}"


def _safe(text: str) -> str:
    """Without control characters for terminals or the writing direction."""
    return "".join(sign if sign.isprintable() and sign not in _TURNING else "\ufffd" for sign in text)
