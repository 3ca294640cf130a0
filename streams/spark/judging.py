"""Judging in Spark's executors: whole subjects, by the native engine where it can, else by Python; see ``steps``."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Container, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from streams.core.alerts import Subject
from streams.core.event import Event
from streams.core.rulebook import Rulebook
from streams.engine.judged import NativeReplay
from streams.replay.judging import Arrived, Deduplicated, Judging, deduplicate
from streams.replay.native import read_plain, sentence_of
from streams.replay.output_form import OutputForm
from streams.replay.summary import Summary
from streams.spark.steps import (
    AFTER,
    ALERT,
    BEFORE,
    CASE,
    DUPLICATE,
    JUDGED,
    LETTER,
    LINE,
    TOTALS,
    Job,
    Row,
    Totals,
    packed,
    record_batch,
)
from streams.wire.cloudevents import CloudEvents, ReportedCase, encode
from streams.wire.decoder import conflict_of, dead_letter_of, encode_json, wire_fields

ROWS: Final = 20_000
"""Copies of events judged together; one subject's are never parted."""

_RULE, _REPORT = JUDGED.get_field_index("rule"), JUDGED.get_field_index("report")
_NO_ARRIVAL: Final = None, None, None, None
"""The last columns of an alert: explanation and arrival."""

_log = logging.getLogger(__name__)

_read_event = msgspec.json.Decoder(Event, float_hook=Decimal).decode


def judge(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """``ROUTED`` copies, each subject's together and in order of arrival, to ``JUDGED`` rows."""
    judges = _Judges(job)
    for waiting in _waiting(batches):
        yield record_batch(judges.rows(waiting), JUDGED)
    yield record_batch([_row(TOTALS, payload=encode_json(judges.totals()))], JUDGED)


class _Copy(NamedTuple):
    """An event as one subject sees it, or its line, and its place in the order of arrival."""

    subject: Subject
    arrival: tuple[int, int, int]
    event: Event | bytes


def _waiting(batches: Iterable[pa.RecordBatch]) -> Iterator[list[_Copy]]:
    """The copies of whole subjects, at least ``ROWS`` at a time."""
    names = ("kind", "subject_type", "subject", "major", "minor", "position", "payload")
    waiting: list[_Copy] = []
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in names]
        for kind, subject_type, number, *arrival, payload in zip(*columns, strict=True):
            subject = subject_type, number
            if len(waiting) >= ROWS and subject != waiting[-1].subject:
                yield waiting
                waiting = []
            waiting.append(_Copy(subject, tuple(arrival), payload if kind == LINE else _read_event(payload)))
    if waiting:
        yield waiting


def _given(native: NativeReplay | None, waiting: list[_Copy]) -> tuple[list[_Copy], list[_Copy]]:
    """Give subjects to the native engine: the copies that it has now, by their numbers, and those that are left."""
    if native is None:
        return [], waiting
    native.clear()
    taken: list[_Copy] = []
    left: list[_Copy] = []
    for subject, own in groupby(waiting, key=attrgetter("subject")):
        copies = list(own)
        lines = [copy.event for copy in copies if isinstance(copy.event, bytes)]
        if len(lines) < len(copies):
            left += copies
            continue
        if not all(native.take_for(line, subject) for line in lines):
            native.clear()
            return [], waiting
        taken += copies
    return taken, left


def _decoded(job: Job, copies: Iterable[_Copy]) -> list[tuple[_Copy, Event]]:
    return [
        (copy, job.copy_for(copy.subject, copy.event) if isinstance(copy.event, bytes) else copy.event)
        for copy in copies
    ]


def _deduplicated(own: Iterable[tuple[_Copy, Event]]) -> Deduplicated:
    """The events of one subject, given in order of arrival."""
    return deduplicate(
        (event.order, number, event, number, [(copy.subject, event)]) for number, (copy, event) in enumerate(own)
    )


def _events_of(job: Job, copies: Iterable[_Copy], subjects: Container[Subject]) -> list[Arrived]:
    """The events of some subjects, without repetitions."""
    own = (copy for copy in copies if copy.subject in subjects)
    by_subject = groupby(own, key=attrgetter("subject"))
    return [event for _, some in by_subject for event in _deduplicated(_decoded(job, some)).events]


_Cases = tuple[Subject, list[Row] | bytes]
"""The cases of a subject: ``JUDGED`` rows, or in the form of the job."""


class _Judges:
    """Judges the subjects of a partition, some at a time, by one rulebook or by two."""

    def __init__(self, job: Job) -> None:
        assert job.ends_at is not None
        self._job = job
        self._end = job.ends_at
        self._rulebook = job.rulebook.load().rulebook
        self._rival = None if job.rival is None else job.rival.load().rulebook
        self._form = job.form
        self._with_cases = job.form is None or job.form.needs_cases
        self._native = job.native()
        self._summary = Summary()
        self._orphans: Counter[str] = Counter()
        self._alerts: Counter[tuple[str, str]] = Counter()
        self._kinds: Counter[str] = Counter()
        self._last_at: int | None = None
        self._cases: list[_Cases] = []
        self._sides: list[tuple[str, Subject, bytes]] = []

    def totals(self) -> Totals:
        """Of all subjects so far."""
        return Totals(
            self._orphans,
            [(*which, count) for which, count in self._alerts.items()],
            self._kinds[DUPLICATE],
            self._kinds[LETTER],
            self._summary.to_state() if self._form is not None and self._form.with_summary else None,
            self._last_at,
        )

    def rows(self, waiting: list[_Copy]) -> list[Row]:
        """The ``JUDGED`` rows of whole subjects."""
        self._cases, self._sides = [], []
        taken, left = _given(self._native, waiting)
        rows: list[Row] = []
        if self._native is not None and taken:
            left += self._natively(self._native, taken, rows)
        if left:
            rows += self._by_python(left)
        for row in rows:
            self._kinds[row[0]] += 1
            if row[0] == ALERT:
                self._alerts[row[_RULE], row[_REPORT]] += 1
        self._cases.sort(key=itemgetter(0))
        self._sides.sort()
        rows += (_row(kind, subject, payload=payload) for kind, subject, payload in self._sides)
        return [*rows, *_in_rows(self._cases)]

    def _note(self, last_at: int | None) -> None:
        if last_at is not None and (self._last_at is None or last_at > self._last_at):
            self._last_at = last_at

    def _natively(self, native: NativeReplay, taken: Sequence[_Copy], rows: list[Row]) -> list[_Copy]:
        """Add the rows of what the native engine was given; the copies that it leaves to Python."""
        try:
            if not self._job.is_end_certain:
                self._note(native.divide()[0])
            found = native.judge(self._end, 1)
        except RuntimeError:
            _log.warning("the native engine failed on these events; the Python engine judges them")
            return list(taken)
        self._orphans.update(found.orphans)
        rows += (_row(DUPLICATE, arrival=taken[number].arrival) for number in found.repeated)
        for key, line in native.keyed_alerts():
            rows.append((ALERT, *key, None, self._alert(line), *_NO_ARRIVAL))
        if self._with_cases:
            self._native_cases(native, taken)
        if self._rival is not None:
            self._native_side(BEFORE, self._rulebook, native, taken)
            self._native_side(AFTER, self._rival, native, taken)
        return [copy for copy in taken if copy.subject in found.left_to_python]

    def _alert(self, line: bytes) -> bytes:
        form = self._form
        if form is None:
            return line
        return line + b"\n" if form.is_plain else form.alert(read_plain(line))

    def _native_cases(self, native: NativeReplay, taken: Sequence[_Copy]) -> None:
        form, left = self._form, set[Subject]()
        for found in native.cases(self._end, with_alerts=form is None or not form.has_plain_cases):
            if found.left_to_python:
                left.add(found.subject)
            elif form is None:
                explained = (
                    (line, alert and bytes(_read_explained(alert).data.explanation)) for line, alert in found.cases
                )
                self._cases.append((found.subject, _case_rows(found.subject, explained)))
            elif form.has_plain_cases:
                self._cases.append((found.subject, found.text))
            else:
                reported = (ReportedCase(read_plain(line), sentence_of(alert)) for line, alert in found.cases)
                self._cases.append((found.subject, self._written(form, reported)))
        if left:
            self._take_cases(self._judging_of(self._rulebook, taken, left))

    def _native_side(self, kind: str, rulebook: Rulebook, native: NativeReplay, taken: Sequence[_Copy]) -> None:
        left = set[Subject]()
        for found in native.cases(self._end, of_rival=rulebook is self._rival):
            if found.left_to_python:
                left.add(found.subject)
            elif found.cases:
                reported = (ReportedCase(read_plain(line), sentence_of(alert)) for line, alert in found.cases)
                self._add_side(kind, found.subject, reported)
        if left:
            self._take_side(kind, rulebook, self._judging_of(rulebook, taken, left))

    def _judging_of(self, rulebook: Rulebook, copies: Iterable[_Copy], subjects: Container[Subject]) -> Judging:
        """The judging of some subjects after all their events, for their cases."""
        judging = Judging(rulebook, self._end)
        deque(judging.due(_events_of(self._job, copies, subjects), filtered=self._rival is not None), maxlen=0)
        return judging

    def _by_python(self, waiting: Sequence[_Copy]) -> Iterator[Row]:
        events: list[Arrived] = []
        for _, own in groupby(waiting, key=attrgetter("subject")):
            copies = _decoded(self._job, own)
            found = _deduplicated(copies)
            events += found.events
            self._note(found.last_at)
            for number in found.duplicates:
                yield _row(DUPLICATE, arrival=copies[number][0].arrival)
            for number, event in found.conflicts.values():
                arrival = copies[number][0].arrival
                raw = encode_json(wire_fields(event))
                letter = dead_letter_of(raw, conflict_of(event.event_id), source="", position=arrival[2])
                payload = letter.model_dump_json().encode()
                yield _row(LETTER, id=event.event_id, payload=payload, arrival=arrival)
        writer, form = CloudEvents(self._rulebook.calendar), self._form
        keeps_cases = self._with_cases or self._rival is not None
        judging = Judging(self._rulebook, self._end, keeps_cases=keeps_cases)
        for key, alert in judging.alerts(events, filtered=self._rival is not None):
            cloud_event = writer.alert(alert)
            payload = encode(cloud_event) if form is None else form.alert(cloud_event)
            yield ALERT, *key, None, payload, *_NO_ARRIVAL
        self._orphans.update(judging.orphans())
        if self._with_cases:
            self._take_cases(judging)
        if self._rival is not None:
            self._take_side(BEFORE, self._rulebook, judging)
            second = Judging(self._rival, self._end)
            deque(second.due(events, filtered=True), maxlen=0)
            self._take_side(AFTER, self._rival, second)

    def _take_cases(self, judging: Judging) -> None:
        form = self._form
        for subject, cases in self._by_subject(self._rulebook, judging):
            if form is not None:
                self._cases.append((subject, self._written(form, cases)))
                continue
            encoded = ((encode(one.event), encode(one.explanation) if one.explanation else None) for one in cases)
            self._cases.append((subject, _case_rows(subject, encoded)))

    def _written(self, form: OutputForm, cases: Iterable[ReportedCase]) -> bytes:
        written = []
        for reported in cases:
            written.append(form.case(reported))
            if form.with_summary:
                self._summary.add(reported)
        return b"".join(written)

    def _take_side(self, kind: str, rulebook: Rulebook, judging: Judging) -> None:
        for subject, cases in self._by_subject(rulebook, judging):
            self._add_side(kind, subject, cases)

    def _add_side(self, kind: str, subject: Subject, cases: Iterable[ReportedCase]) -> None:
        self._sides.append((kind, subject, encode([(one.event, one.explanation) for one in cases])))

    def _by_subject(self, rulebook: Rulebook, judging: Judging) -> Iterator[tuple[Subject, list[ReportedCase]]]:
        writer = CloudEvents(rulebook.calendar)
        for subject, cases in groupby(judging.cases(), attrgetter("subject")):
            yield subject, [writer.reported(case, self._end) for case in cases]


class _CaseData(msgspec.Struct):
    rule: str
    case_id: str


class _Case(msgspec.Struct):
    """What a case is sorted by."""

    data: _CaseData


class _AlertData(msgspec.Struct):
    explanation: msgspec.Raw


class _Alert(msgspec.Struct):
    """The sentence of an alert, as it is written."""

    data: _AlertData


_read_case = msgspec.json.Decoder(_Case).decode
_read_explained = msgspec.json.Decoder(_Alert).decode


def _case_rows(subject: Subject, cases: Iterable[tuple[bytes, bytes | None]]) -> list[Row]:
    """``JUDGED`` rows of one subject's cases: each a CloudEvent and the explanation of its verdict."""
    rows = []
    for place, (line, said) in enumerate(cases):
        case = _read_case(line).data
        rows.append(_row(CASE, subject, rule=case.rule, id=case.case_id, place=place, payload=line, explanation=said))
    return rows


def _in_rows(cases: Sequence[_Cases]) -> Iterator[Row]:
    """The ``JUDGED`` rows of cases; those in the form of the job are packed."""
    yield from (row for _, own in cases if isinstance(own, list) for row in own)
    for pack in packed(own for _, own in cases if own and isinstance(own, bytes)):
        yield _row(CASE, payload=pack)


def _row(
    kind: str,
    subject: Subject | None = None,
    arrival: tuple[int, int, int] | None = None,
    **columns: str | bytes | int | None,
) -> Row:
    """A ``JUDGED`` row that is no alert."""
    found: dict[str, Any] = {"kind": kind, **columns}
    found["subject_type"], found["subject"] = subject or (None, None)
    found["major"], found["minor"], found["position"] = arrival or (None, None, None)
    return tuple(found.get(name) for name in JUDGED.names)
