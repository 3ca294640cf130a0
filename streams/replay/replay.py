"""Replay: the live engine over events of the past.

Events are sorted by the time at which they occurred, and the watermark advances as it would have live: to just before
each event's instant, stopping at every due instant. The end of input is not the end of time: the replay ends at
``until``, or at the instant of the last event that stands.

Three steps. ``read`` decodes every record and keeps the events that some rule watches (``reading``). ``judge`` takes
them, at once where they fit into memory, else task by task (``judging``, ``runs``). ``alerts`` and ``cases`` then give
the results, in an order that does not depend on which of the two it was.

Several processes share the reading and then the judging, over files: sources in splits, subjects in partitions. With
them, or with a checkpoint, everything goes over files; a single process keeps in memory what fits. Where the native
engine supports the lines, jobs are threads of one process. What goes over files is read by Python, and judged natively.
"""

from __future__ import annotations

import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from heapq import merge
from itertools import chain, groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

from schemas.dead_letters import DeadLetter
from streams.core.alerts import DueAlert, Subject
from streams.core.event import Event
from streams.core.records import JudgedCase
from streams.core.rulebook import Rulebook
from streams.engine import chosen
from streams.engine.document import Document
from streams.engine.judged import NativeReplay
from streams.engine.result_lines import ResultLines
from streams.replay.checkpoints import Checkpoint
from streams.replay.conflicts import refuse
from streams.replay.forks import run_forked
from streams.replay.input_counts import InputCounts
from streams.replay.judging import Copies, Deduplicated, Judging, deduplicate
from streams.replay.native import NativeJudging, NativeReading, WrittenCases, are_plain
from streams.replay.native_tasks import judge_task
from streams.replay.output_form import OutputForm
from streams.replay.reading import BEGINNING, InputSplits, Reading, Scope
from streams.replay.results import json_line
from streams.replay.runs import (
    AFTER,
    ALERTS,
    BEFORE,
    CASES,
    CONFLICTS,
    CasesOfSubject,
    JudgingTask,
    RunKind,
    conflicts_of,
    merged,
    side_of,
    tasks_of,
)
from streams.replay.sources import MAX_AHEAD, Source
from streams.replay.spill import Partitions, SpillBuffer
from streams.replay.summary import Summary
from streams.wire.cloudevents import CloudEvents, ReportedCase
from streams.wire.decoder import Decoder, encode_json

MEMORY = 512 * 1024 * 1024
"""Bytes of events held before they are spilled to disk."""

REPORT_EVERY = 2_000
"""Events between two reports of a process's progress."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay. Instants are microseconds since the epoch.

    ``received`` is the present; no event may be later. ``until`` (inclusive) leaves out later events and is the end of
    time. ``as_of`` leaves out events recorded later, and time ends there at the latest. ``memory`` bounds the events
    held, in bytes, by all processes together. ``jobs`` processes read and judge; the results are the same.
    ``output_form`` is the form of the results. ``engine`` is one of ``streams.engine.ENGINES`` (``None``: from the
    environment); the results are the same by each.
    """

    received: int
    until: int | None = None
    as_of: int | None = None
    memory: int = MEMORY
    jobs: int = 1
    output_form: OutputForm = field(default_factory=OutputForm)
    engine: str | None = None


def _copies_of_both(rulebook: Rulebook, rival: Rulebook, event: Event) -> Copies:
    copies = rulebook.copies_of(event)
    known = {subject for subject, _ in copies}
    return [*copies, *(copy for copy in rival.copies_of(event) if copy[0] not in known)]


class Replay:
    """One replay: ``read``, ``judge``, then ``alerts`` and ``cases``.

    ``rival`` is a second rulebook to judge the same events by.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        decoder: Decoder,
        options: ReplayOptions,
        *,
        rival: Rulebook | None = None,
        checkpoint: Checkpoint | None = None,
        on_dead_letter: Callable[[DeadLetter], None] = lambda _letter: None,
    ) -> None:
        until, as_of = options.until, options.as_of
        self.tally = InputCounts()
        self.summary = Summary()
        """The summary of the cases, once ``cases`` is exhausted, if ``output_form`` has one."""
        self.ends_at: int | None = as_of if until is None else until if as_of is None else min(until, as_of)
        self.on_dead_letter = on_dead_letter
        self._rulebook = rulebook
        self._rival = rival
        self._decoder = decoder
        self._received = options.received
        self._as_of = as_of
        self._memory = options.memory
        self._jobs = options.jobs
        self._output_form = options.output_form
        self._checkpoint = checkpoint
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._unwatched_at: int | None = None
        self._sources: list[Source] = []
        self._buffer: SpillBuffer | None = None
        self._partitions: Partitions | None = None
        self._deduplicated = Deduplicated()
        self._judged: list[JudgingTask] | None = None
        self._judging: Judging | None = None
        self._settled = False
        self._engine = options.engine
        self._native: NativeJudging | None = None
        self._copies_of = rulebook.copies_of if rival is None else partial(_copies_of_both, rulebook, rival)

    def _directory(self) -> Path:
        if self._checkpoint is not None:
            return self._checkpoint.directory
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="gridclock-")
        return Path(self._temporary.name)

    def close(self) -> None:
        """Remove all files except a checkpoint. Idempotent."""
        if self._temporary is not None:
            self._temporary.cleanup()

    # -- read --------------------------------------------------------------------------------------------

    def read(self, sources: Sequence[Source], on_record: Callable[[int], None] = lambda _n: None) -> None:
        """Read and decode every record of every source; refused records become dead letters.

        Raises:
            ConfigError: where a source cannot be read, or the checkpoint is another replay's.
        """
        self._sources = list(sources)
        if self._checkpoint is not None:
            self._received = self._checkpoint.open(self._job(), self._sources, received=self._received)
        if self._checkpoint is None and (self._jobs == 1 or self._are_threads()):
            self._read_at_once(self._scope, on_record)
            return
        splits = InputSplits(
            self._sources,
            self._directory(),
            self._scope,
            memory=self._memory // self._jobs,
            tally=self.tally,
            on_dead_letter=self._report_letter,
        )
        splits.read(self._jobs, on_record)
        self._partitions, self._unwatched_at = splits.partitions, splits.unwatched_at

    @property
    def _scope(self) -> Scope:
        return Scope(self._decoder, self._copies_of, self._received, self.ends_at, self._as_of)

    def _read_at_once(self, scope: Scope, on_record: Callable[[int], None]) -> None:
        buffer = SpillBuffer(self._memory, lambda: self._directory() / "events")
        reading: Reading | NativeReading
        native = self._native_replay()
        if native is None:
            reading = Reading(scope, buffer, self._report_letter, tally=self.tally)
        else:
            reading = NativeReading(scope, buffer, self._report_letter, native, memory=self._memory, tally=self.tally)
        for number, source in enumerate(self._sources):
            reading.read(number, source, source.records(), on_record)
        if isinstance(reading, NativeReading):
            self._native = reading.judging()
            if self._native is None:
                self._partitions = reading.partitions()
        self._unwatched_at = reading.unwatched_at
        if native is not None:
            return
        if buffer.is_spilled:
            self._partitions = Partitions(self._copies_of)
            self._partitions.put(buffer.store())
        else:
            self._buffer = buffer

    def _are_threads(self) -> bool:
        """Whether several jobs are threads of the native engine: if it supports the sources."""
        native = self._native_replay()
        return native is not None and are_plain(native, self._sources)

    @cached_property
    def _documents(self) -> tuple[Document, Document | None]:
        catalogue = self._decoder.catalogue
        rival = None if self._rival is None else Document(self._rival, catalogue)
        return Document(self._rulebook, catalogue, rival), rival

    def _native_replay(self) -> NativeReplay | None:
        """The native engine, if it is installed and supports this replay's options."""
        module = chosen(self._engine)
        if module is None:
            return None
        document, rival = self._documents
        if not self._decoder.keeps(document.watched):
            return None
        bounds = self._received + MAX_AHEAD, self.ends_at, self._as_of
        return NativeReplay(module, document.encoded, bounds, None if rival is None else rival.encoded)

    def _report_letter(self, letter: DeadLetter) -> None:
        self.on_dead_letter(letter)  # it may have been set since

    def _job(self) -> dict[str, Any]:
        """A continued replay must have the same value."""
        return {
            "rulebook": self._rulebook.fingerprint,
            "rival": None if self._rival is None else self._rival.fingerprint,
            **self._decoder.identity,
            "ends_at": self.ends_at,
            "as_of": self._as_of,
            "results": self._output_form.to_state(),
        }

    # -- judge -------------------------------------------------------------------------------------------

    def judge(self, on_events: Callable[[int], None] = lambda _n: None) -> None:
        """Judge spilled events; events in memory are judged when their alerts are read.

        After an interruption the results so far can still be read.
        """
        if self._partitions is not None:
            self._end(self._last_on_disk(self._partitions))
            self._judge_tasks(self._partitions, on_events)
        elif self._native is not None:
            if self.ends_at is None:
                self._end(self._native.last_at())
            self._deduplicated = self._native.judge(self._ends_at, self._jobs, on_events)
        elif self._buffer is not None:
            self._deduplicated = deduplicate(self._buffer.held())
            self._buffer = None
            self._end(self._deduplicated.last_at)
        if self._partitions is None and self.ends_at is not None:
            self._judging = self._new_judging()

    def _judge_tasks(self, partitions: Partitions, on_events: Callable[[int], None]) -> None:
        tasks = tasks_of(self._directory(), lambda: partitions.tasks(self._memory // self._jobs))
        steps = [partial(self._judge_task, task, partitions) for task in tasks if not task.is_done]
        try:
            if self._jobs > 1 and steps:
                run_forked(steps, on_events, jobs=self._jobs, step=REPORT_EVERY)
            else:
                for step in steps:
                    step(on_events)
        finally:
            self._judged = [task for task in tasks if task.is_done]

    def _new_judging(self) -> Judging:
        keeps_cases = self._output_form.needs_cases or self._rival is not None
        return Judging(self._rulebook, self._ends_at, keeps_cases=keeps_cases)

    @property
    def left_to_python(self) -> Counter[str]:
        """Subjects that the native engine left to the Python engine, by reason; after ``judge``."""
        return Counter() if self._native is None else Counter(self._native.left_to_python.values())

    @property
    def total(self) -> int:
        """Events kept for judging."""
        return 0 if (kept := self._buffer or self._partitions) is None else kept.count

    def _end(self, last_at: int | None) -> None:
        if self.ends_at is None:
            self.ends_at = max((at for at in (last_at, self._unwatched_at) if at is not None), default=None)

    @property
    def _ends_at(self) -> int:
        """The end of time; where no event stands, an instant before all: repetitions are still found."""
        return BEGINNING if self.ends_at is None else self.ends_at

    def _last_on_disk(self, partitions: Partitions) -> int | None:
        """The last instant of any valid event: a refused repetition may be the last on disk."""
        if self.ends_at is not None:
            return None
        found: int | None = None
        for part in sorted(partitions.parts(), key=lambda part: -partitions.last_at[part]):
            if found is not None and found >= partitions.last_at[part]:
                break
            last = deduplicate(partitions.load(part)).last_at
            found = last if found is None or (last is not None and last > found) else found
        return found

    def _judge_task(self, task: JudgingTask, partitions: Partitions, on_events: Callable[[int], None]) -> None:
        replay = self._native_replay()
        if replay is None:
            native, deduplicated = None, partitions.deduplicated(task.parts)
        else:
            native, deduplicated = judge_task(replay, self._scope, partitions, task.parts, self._ends_at, on_events)
        judging = self._new_judging()
        counted: Counter[tuple[str, str]] = Counter()
        summary = Summary()
        kinds: list[RunKind] = [ALERTS]
        with self._naming(judging):
            if native is None:
                task.write(ALERTS, self._alerts(judging, deduplicated, on_events, counted))
            else:
                own = self._alerts(judging, deduplicated, on_events, Counter(), json_line)
                task.write(ALERTS, native.keyed(own, counted, self._output_form))
            if self._output_form.needs_cases:
                cases = self._written(self._rulebook, judging, native, self._output_form)
                pieces = ((subject, self._case_bytes(own, summary)) for subject, own in cases)
                if self._output_form.cases is not None:
                    task.write(CASES, pieces)
                    kinds.append(CASES)
                else:
                    deque(pieces, maxlen=0)
            if self._rival is not None:
                task.write_side(BEFORE, self._sided(self._rulebook, judging, native))
        if self._rival is not None:
            rival = Judging(self._rival, self._ends_at)
            with self._naming(rival):
                deque(rival.due(deduplicated.events, filtered=True), maxlen=0)
                task.write_side(AFTER, self._sided(self._rival, rival, native))
            kinds += [BEFORE, AFTER]
        if deduplicated.conflicts:
            conflicts = sorted(deduplicated.conflicts.items())
            task.write(CONFLICTS, (((n,), encode_json((origin, event))) for n, (origin, event) in conflicts))
            kinds.append(CONFLICTS)
        found = {
            "duplicates": list(deduplicated.duplicates),
            "orphans": judging.orphans() if native is None else judging.orphans() + native.orphans,
            "alerts": [(*key, count) for key, count in counted.items()],
        }
        task.finish(found, summary.to_state() if self._output_form.with_summary else None, kinds)

    @contextmanager
    def _naming(self, judging: Judging) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            event = judging.at_event
            if event is not None:
                error.add_note(f"gridclock: while judging event {event.event_id!r} of {event.subjects()}")
            raise

    # -- results --------------------------------------------------------------------------------------------

    def alerts(self, on_events: Callable[[int], None] = lambda _n: None) -> Iterator[bytes]:
        """The alerts in ``output_form``, in the order in which they would have been reported."""
        if self._judged is not None:
            for _, alert in merged(ALERTS, self._judged):
                yield alert
        elif self._native is not None and self._judging is not None:
            counted: Counter[tuple[str, str]] = Counter()
            with self._naming(self._judging):
                own = self._alerts(self._judging, self._deduplicated, on_events, counted, json_line)
                yield from self._native.merged(own, self.tally.alerts, self._output_form)
        elif self._judging is not None:
            with self._naming(self._judging):
                for _, alert in self._alerts(self._judging, self._deduplicated, on_events, self.tally.alerts):
                    yield alert
        self._settle()

    def _alerts(
        self,
        judging: Judging,
        deduplicated: Deduplicated,
        on_events: Callable[[int], None],
        counted: Counter[tuple[str, str]],
        form: Callable[[dict[str, Any]], bytes] | None = None,
    ) -> Iterator[tuple[tuple[Any, ...], bytes]]:
        calendar, written = self._rulebook.calendar, form or self._output_form.alert
        writer, lines = CloudEvents(calendar), ResultLines(calendar)
        are_plain = form is json_line or self._output_form.is_plain
        for key, found in judging.due(deduplicated.events, on_events, filtered=self._rival is not None):
            counted[found.rule, found.kind] += 1
            if are_plain and isinstance(found, DueAlert):
                yield key, lines.alert(found) + b"\n"
            else:
                yield key, written(writer.alert(found.made(calendar) if isinstance(found, DueAlert) else found))

    def _settle(self) -> None:
        """Count repetitions, and report those with other content."""
        if self._settled:
            return
        self._settled = True
        if self._judged is None:
            conflicts = self._deduplicated.conflicts
            self.tally.duplicates = sum(n not in conflicts for n in self._deduplicated.duplicates)
            if self._judging is not None:
                self.tally.orphans = self._judging.orphans()
            if self._native is not None:
                self.tally.orphans += self._native.orphans
            refuse((one for _, one in sorted(conflicts.items())), self._sources, self.tally, self.on_dead_letter)
            return
        twice = bytearray(self.total // 8 + 1)  # a repetition may be in the partitions of several subjects
        for task in self._judged:
            counted = task.counted
            for number in counted["duplicates"]:
                twice[number >> 3] |= 1 << (number & 7)
            self.tally.orphans.update(counted["orphans"])
            for rule, kind, count in counted["alerts"]:
                self.tally.alerts[rule, kind] += count
        refuse(conflicts_of(self._judged, twice), self._sources, self.tally, self.on_dead_letter)
        self.tally.duplicates = sum(byte.bit_count() for byte in twice)

    def cases(self) -> Iterator[bytes]:
        """Every case as of the end, by subject, in ``output_form``; after ``alerts``. Also makes the summary."""
        if self._judged is not None:
            if self._output_form.with_summary:
                for task in self._judged:
                    self.summary.merge(Summary.from_state(task.summary()))
            if self._output_form.cases is not None:
                for _, cases in merged(CASES, self._judged):
                    yield cases
        elif self._judging is not None:
            for _, own in self._written(self._rulebook, self._judging, self._native, self._output_form):
                yield self._case_bytes(own, self.summary)

    def _written(
        self, rulebook: Rulebook, judging: Judging, native: NativeJudging | None, form: OutputForm
    ) -> Iterator[tuple[Subject, WrittenCases]]:
        """The cases of each subject by one rulebook or the other, in order."""
        parts: list[Iterable[tuple[Subject, WrittenCases]]] = [
            self._lines_by_subject(rulebook, judging) if form.has_plain_cases else self._by_subject(rulebook, judging)
        ]
        if native is not None and self.ends_at is not None:
            left = partial(self._cases_left, rulebook)
            parts.append(native.cases(self.ends_at, left, form, of_rival=rulebook is self._rival))
        return merge(*parts, key=itemgetter(0))

    def _cases_left(self, rulebook: Rulebook, left: Deduplicated, end: int) -> Iterator[tuple[Subject, WrittenCases]]:
        judging = Judging(rulebook, end)
        deque(judging.due(left.events, filtered=self._rival is not None), maxlen=0)
        return self._by_subject(rulebook, judging)

    def _case_bytes(self, own: WrittenCases, summary: Summary) -> bytes:
        if isinstance(own, bytes):
            return own
        output_form, found = self._output_form, []
        for reported in own:
            found.append(output_form.case(reported))
            if output_form.with_summary:
                summary.add(reported)
        return b"".join(found)

    def sides(self) -> tuple[Iterator[ReportedCase], Iterator[ReportedCase]]:
        """Every case by the rulebook and every one by its rival, by subject, with real numbers; after ``alerts``."""
        if self._judged is not None:
            return side_of(BEFORE, self._judged), side_of(AFTER, self._judged)
        if self._judging is None or self._rival is None or self.ends_at is None:
            return iter(()), iter(())
        second = Judging(self._rival, self.ends_at)
        with self._naming(second):
            deque(second.due(self._deduplicated.events, filtered=True), maxlen=0)
        before = self._sided(self._rulebook, self._judging, self._native)
        after = self._sided(self._rival, second, self._native)
        return chain.from_iterable(own for _, own in before), chain.from_iterable(own for _, own in after)

    def _sided(self, rulebook: Rulebook, judging: Judging, native: NativeJudging | None) -> Iterator[CasesOfSubject]:
        for subject, own in self._written(rulebook, judging, native, OutputForm(with_summary=True)):
            assert not isinstance(own, bytes)  # not in this form
            yield subject, own

    def _lines_by_subject(self, rulebook: Rulebook, judging: Judging) -> Iterator[tuple[Subject, bytes]]:
        assert self.ends_at is not None
        lines, as_of = ResultLines(rulebook.calendar), self.ends_at
        for subject, own in groupby(judging.cases(), attrgetter("subject")):
            yield subject, b"".join([lines.case(case, as_of) + b"\n" for case in own])

    def _by_subject(self, rulebook: Rulebook, judging: Judging) -> Iterator[tuple[Subject, Iterator[ReportedCase]]]:
        for subject, own in groupby(judging.cases(), attrgetter("subject")):
            yield subject, self._reported(rulebook, own)

    def _reported(self, rulebook: Rulebook, cases: Iterable[JudgedCase]) -> Iterator[ReportedCase]:
        writer = CloudEvents(rulebook.calendar)
        for case in cases:
            assert self.ends_at is not None
            yield writer.reported(case, self.ends_at)
