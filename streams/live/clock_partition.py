"""One partition of the clocks: log records in; alerts, dead letters and changed rows out.

Independent of Kafka and Faust. Applying a record changes the engine in memory at once; the caller must write the
results in this order: alerts, then the changed rows with the partition's own row last, then the record's offset. A
crash in between repeats the record from the stored rows, and gives the same alerts with the same ids.

The partition's own row, its *position*, has the last record that all other rows include; rows may be ahead of it, never
behind. For a row that is ahead, the repeated events are duplicates and the reports were already made. So after a start
the log must be read on from the position, whatever the consumer group's offset.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final

from msgspec.structs import replace as structs_replace

from streams.core.alerts import Alert, Subject, order_of
from streams.core.case_changes import CaseChange, CaseTracker
from streams.core.driver import Driver, Entry, Step
from streams.core.outcome_counts import ClocksAt, OutcomeCounts
from streams.core.records import Snapshot
from streams.core.rulebook import Rulebook
from streams.core.separable_engine import SeparableEngine
from streams.core.watermark import SourceWatermarks, is_due
from streams.engine.clocks import NativeClocks
from streams.engine.native_engine import NativeEngine
from streams.engine.written_alerts import WrittenAlert, whole
from streams.live.applied import Applied, Held, Row
from streams.live.incomplete import rests_on_silence
from streams.wire.state_rows import (
    Aside,
    DamagedError,
    LogRecord,
    Position,
    StateError,
    check_numbers,
    position_from_bytes,
    position_to_bytes,
    record_from_bytes,
    snapshot_from_bytes,
    snapshot_to_bytes,
    sources_of,
    standing_from_bytes,
)

logger = logging.getLogger(__name__)

JUDGED_AT_ONCE: Final = 1_000
"""Subjects judged again per record after a change of rules. All at once would take longer than a worker's session, and
so would every later attempt.
"""

ALERTS_AT_ONCE: Final = 50_000
"""Alerts that one piece of ``applying`` marks."""

ROWS_AT_ONCE: Final = 500
"""Rows per piece of ``applying``."""

CASES_MARK: Final = "+cases"
"""The end of a fingerprint of judging where cases are written."""


class RestoreError(Exception):
    """The program fails at the rows of some subjects, or the rows are damaged."""

    def __init__(self, errors: Mapping[Subject, Exception]) -> None:
        super().__init__(f"the rows of {len(errors)} subjects cannot be restored, such as {sorted(errors)[0]}")
        self.errors = errors


def _prefix(partition: int) -> bytes:
    # The table holds the rows of all its partitions as one mapping.
    return b"%d/" % partition


def subject_key(partition: int, subject: Subject) -> bytes:
    """The key of a subject's row."""
    return _prefix(partition) + f"{subject[0]}/{subject[1]}".encode()


def position_key(partition: int) -> bytes:
    """The key of the partition's own row."""
    return _prefix(partition) + b"*"


def partition_of_key(key: bytes) -> int:
    """The partition whose row this is."""
    return int(key.split(b"/", 1)[0])


def subject_of_key(key: bytes) -> Subject | None:
    """The subject whose row this is; ``None`` for a partition's own row."""
    _, _, rest = key.partition(b"/")
    if rest == b"*":
        return None
    kind, _, number = rest.decode().partition("/")
    return kind, number


def recreated(partition: int, offset: int, seen: str) -> StateError:
    """The message for a log that is not the one from which the state was made."""
    return StateError(
        f"the state of partition {partition} is of offset {offset}, but {seen}: the log was recreated; use another "
        "--name, or remove the state's topic and the local copies too"
    )


def fingerprint_of(rulebook: Rulebook, *, tracks_cases: bool) -> str:
    """The fingerprint of the judging. It includes whether cases are written: a change judges all subjects again."""
    return rulebook.fingerprint + (CASES_MARK if tracks_cases else "")


class ClockPartition:
    """The engine of one partition and its position in the log.

    ``prunes``: from the beginning, and not only from the record of the log on that says so. ``hashed_by``: the mark
    of the key of pseudonyms that account and meter numbers inside are. ``native`` decides where it can.
    """

    def __init__(
        self,
        partition: int,
        rulebook: Rulebook,
        *,
        keep_for: int | None,
        tracks_cases: bool = False,
        prunes: bool = True,
        hashed_by: str | None = None,
        native: NativeClocks | None = None,
    ) -> None:
        self.partition = partition
        self.tally = OutcomeCounts()
        self._take_written_alerts: Callable[[], list[WrittenAlert]] = list
        self._tracker = CaseTracker(rulebook) if tracks_cases else None
        options: dict[str, Any] = {"keep_for": keep_for, "tally": self.tally, "tracker": self._tracker}
        if native is None:
            self.engine = SeparableEngine(rulebook, **options)
        else:
            self.engine = engine = NativeEngine(native, rulebook, **options)
            self._take_written_alerts = engine.take_written_alerts
        self.offset = -1
        self.checksum: int | None = None
        """Of the record at that offset; ``None`` where an older version wrote the position."""
        self.sources: dict[str, int] = {}
        self.lost_before: int | None = None
        """Records of a source from before this instant (microseconds) were removed before they were read."""
        self._keep_for = keep_for
        self._prune_from_now_on(prunes)
        self.hashed_by = hashed_by
        self.aside: dict[Subject, Aside] = {}
        """The subjects that are set aside; they are not in the engine."""
        self._aside_rows: dict[Subject, bytes] = {}
        self._watermarks = SourceWatermarks()
        self._driver = Driver(self.engine, stepwise=False)  # for events; for watermarks see ``applying``
        self.fingerprint = fingerprint_of(rulebook, tracks_cases=tracks_cases)
        self._judged_by = self.fingerprint
        """The rulebook under which all subjects have been judged."""
        self._to_judge: Iterator[Subject] | None = None
        self._judged_otherwise: list[Subject] = []
        """Restored subjects whose rows do not name this rulebook, though the position does."""
        self._subjects: int | None = None  # as in the restored position

    def _prune_from_now_on(self, prunes: bool) -> None:
        self.prunes = prunes
        self.engine.prunes_after = self._keep_for if prunes else None

    @property
    def watermark(self) -> int | None:
        """Microseconds; ``None`` until every source has a watermark."""
        return self._watermarks.at

    def source_watermarks(self) -> Mapping[str, int]:
        """The watermark of every source partition that has one; a copy, safe for another thread."""
        return dict(self._watermarks.by_source)

    def read_rows_by(self, row_of: Callable[[bytes], bytes | None]) -> None:
        """Read rows by their keys from there, instead of keeping all in memory; for ``restore`` and after it."""
        self.engine.read_rows_by(lambda subject: row_of(subject_key(self.partition, subject)))

    def restore(self, position: bytes | None, rows: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Restore the state: first the position, then all other rows, here or by ``restore_subjects``.

        Raises:
            StateError: where a row was written by a newer version.
        """
        if position is not None:
            found = position_from_bytes(position)
            if found.offset >= 0:  # before its first record it has no numbers
                check_numbers(self.partition, found, hashed_by=self.hashed_by)
            self.offset, self.checksum = found.offset, found.checksum
            self.sources, self.lost_before = dict(found.sources), found.lost_before
            self._watermarks = SourceWatermarks(found.watermarks, found.at)
            self._watermarks.expect(sources_of(found.sources))
            if found.at is not None:
                self.engine.watermark = found.at
            self._judged_by = found.judged_by
            self._prune_from_now_on(found.prunes or self.prunes)
            self.aside = {one.subject: one for one in found.aside}
            self._subjects = found.subjects
        self.restore_subjects(rows)

    def restore_subjects(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Restore some of this partition's rows, in any order; rows of other partitions and the position are skipped.

        A row with a standing is decoded in full only at the subject's next event.

        Raises:
            StateError: where a row was written by a newer version.
            RestoreError: where the program fails at some of them, or their rows are damaged; all others are then
                restored.
        """
        prefix, position = _prefix(self.partition), position_key(self.partition)
        rules_changed = self._judged_by != self.fingerprint
        errors: dict[Subject, Exception] = {}
        if not rules_changed:
            rows, aside = list(rows), {subject_key(self.partition, subject) for subject in self.aside}
            others = [row for row in rows if row[0] not in aside]
            left = self.engine.rest_rows(others, prefix, self.fingerprint)
            rows = [*(row for row in rows if row[0] in aside), *left]
        for key, value in rows:
            if key.startswith(prefix) and key != position:
                kind, _, number = key[len(prefix) :].decode().partition("/")
                subject = kind, number
                if subject in self.aside:
                    self._aside_rows[subject] = value
                    continue
                standing = None if rules_changed else standing_from_bytes(value, self.fingerprint)
                if standing is None or standing.decided_at > self.engine.watermark:
                    if standing is None and not rules_changed:
                        self._judged_otherwise.append(subject)
                    try:
                        snapshot = snapshot_from_bytes(subject, value)
                        self.engine.restore(snapshot if standing is not None else self._still_to_judge(snapshot))
                    except Exception as error:
                        if isinstance(error, StateError) and not isinstance(error, DamagedError):
                            raise
                        errors[subject] = error
                else:
                    self.engine.restore_asleep(subject, standing, partial(snapshot_from_bytes, subject, value))
        if errors:
            raise RestoreError(errors)

    def _still_to_judge(self, snapshot: Snapshot) -> Snapshot:
        """One judged by other rules, as if decided now: what is open by those must outlive a change that is taken back.

        Otherwise the first watermark would drop an old subject in which only the other rules have an open case.
        """
        return structs_replace(snapshot, decided_at=max(snapshot.decided_at, self.engine.watermark))

    def set_aside(self, subject: Subject, since: int, reason: str) -> None:
        """From that offset on, the next to be applied, hold all entries of a subject and leave its row unchanged."""
        row = self.row(subject)[1] if subject not in self.aside else self._aside_rows.get(subject)
        self.engine.take_out(subject)
        self.aside[subject] = Aside(subject, since, since - 1, reason, self.watermark)
        if row is not None:
            self._aside_rows[subject] = row

    def concerned(self, record: LogRecord) -> list[Subject]:
        """The subjects that a record may change, in a fixed order; under changed rules all."""
        record.read()
        named = {subject for subject, _, _ in record.entries} | record.released.keys()
        named.update(self._judged_otherwise)
        if self._judged_by != self.fingerprint:
            return sorted(named.union(self.engine.subjects()))
        at = self._time_after(record)
        return sorted(named if at is None else named | self.engine.concerned(at))

    def concerned_rows(self, record: LogRecord, rows: Iterable[tuple[bytes, bytes]]) -> list[Subject]:
        """The subjects, among some rows, with a timer due at a record, or whose row is decoded in full on restore.

        The position must have been restored.
        """
        rules_changed, at = self._judged_by != self.fingerprint, self._time_after(record)
        found: list[Subject] = []
        for key, value in rows:
            subject = subject_of_key(key)
            if subject is None or subject in self.aside:
                continue
            standing = None if rules_changed else standing_from_bytes(value, self.fingerprint)
            if standing is None or (at is not None and standing.due is not None and is_due(standing.due, at)):
                found.append(subject)
        return found

    def _time_after(self, record: LogRecord) -> int | None:
        after = SourceWatermarks(self._watermarks.by_source, self.watermark)
        after.expect(sources_of(self.sources if record.is_control else record.sources))
        return after.update(record.watermarks)

    def miscounted(self) -> str | None:
        """The difference between the number of restored subjects and the number in the position; ``None`` if equal.

        Rows may be ahead of their position after a crash, so a complete copy of the state may differ too.
        """
        found = len(self.engine) + len(self._aside_rows)
        return None if self._subjects in (None, found) else f"{found} subjects where there were {self._subjects}"

    def apply(self, record: LogRecord, offset: int) -> Applied | None:
        """Apply the record at an offset of the log; ``None`` where its rows were written before.

        Raises:
            StateError: where they cannot have been, because the record's watermarks are ahead of the state's.
        """
        pieces = self.applying(record, offset)
        while True:
            try:
                next(pieces)
            except StopIteration as end:
                found: Applied | None = end.value
                return found

    def applying(self, record: LogRecord, offset: int) -> Generator[None, None, Applied | None]:
        """``apply`` in pieces of less than a second: a worker sends its heartbeats between two of them.

        Many clocks may end at one instant (day limits do so at midnight). The engine is inconsistent until the last
        piece is done: a caller that stops earlier must restore it from the rows.

        Raises:
            StateError: as ``apply`` does.
        """
        if self._is_known(record, offset):
            return None
        if record.prunes:
            self._prune_from_now_on(True)
        step, alerts = Step(), list[Alert]()
        is_plain = not (self.aside or record.is_control)
        entries, held = ([], []) if is_plain else self._held(record, offset)
        for subject, refused_at in record.refused:
            if subject not in self.aside:
                self.engine.note_refused(subject, refused_at)
        self._driver.feed(self._taken(record, step) if is_plain else entries, step)
        if not record.is_control:
            # A worker with stale metadata must not cause a partition to be dropped; a topic no longer read is dropped.
            self.sources = {topic: max(count, self.sources.get(topic, 0)) for topic, count in record.sources.items()}
            self._watermarks.expect(sources_of(self.sources))
        if record.lost_before is not None:
            self.lost_before = max(record.lost_before, self.lost_before or record.lost_before)
        at = self._watermarks.update(record.watermarks)
        if at is not None:
            self._rejudge_some()
            yield from self.engine.advancing(at, alerts)
            yield
        told: list[Alert | WrittenAlert] = sorted([*alerts, *self._take_written_alerts()], key=order_of)
        for number, alert in enumerate(told, 1):
            told[number - 1] = self._marked(alert)
            if number % ALERTS_AT_ONCE == 0:
                yield
        self.offset, self.checksum = offset, record.checksum
        rows = self.engine.take_rows(self.fingerprint, _prefix(self.partition))
        for number, subject in enumerate(self.engine.take_changed(), 1):
            rows.append(self.row(subject))
            if number % ROWS_AT_ONCE == 0:
                yield
        rows.sort(key=lambda row: row[0])
        rows.append(self._position())
        counts, left_out = self.tally.take_counts(), self.engine.take_left_out()
        cases = self._changed_cases()
        return Applied(step, rows, *counts, held, self.partition, cases=cases, left_out=left_out, told=told)

    def clocks_at(self) -> list[ClocksAt]:
        """All running clocks, a place perhaps twice; also from another thread."""
        return self.tally.clocks_at() + self.engine.clocks_at()

    def _changed_cases(self) -> list[CaseChange]:
        return [] if self._tracker is None else self._tracker.take()

    def _marked(self, alert: Alert | WrittenAlert) -> Alert | WrittenAlert:
        """An alert that says whether it rests on silence in which an event was lost."""
        known = [at for at in (self.lost_before, self.engine.lacks(alert.subject)) if at is not None]
        may_lack = bool(known) and rests_on_silence(alert.kind, alert.started_at, max(known), self._keep_for)
        return replace(whole(alert), incomplete=True) if may_lack else alert

    def read(self, raw: bytes) -> LogRecord:
        """A record of the log, for ``applying``.

        Raises:
            StateError: where a newer version wrote it, or it is damaged.
        """
        return record_from_bytes(raw, unread=self.engine.takes_written)

    def _taken(self, record: LogRecord, step: Step) -> list[Entry]:
        """The entries that are still to be fed, after the engine has taken what it can as it is written."""
        left = None if record.unread is None else self.engine.take_written(record.unread, step)
        if left is None:
            record.read()
        return record.entries if left is None else left

    def _held(self, record: LogRecord, offset: int) -> tuple[list[Entry], list[Held]]:
        """The entries to judge, and those held for subjects set aside; the record's releases come first."""
        record.read()
        for subject, since, _ in record.aside:
            if (known := self.aside.get(subject)) is not None and known.since == since:
                self.aside[subject] = replace(known, is_logged=True)
        incomplete = set()
        for subject, up_to in record.released.items():
            if (known := self.aside.get(subject)) is None or known.since == offset:
                continue  # released already, or the program failed at it again
            if known.held > up_to:
                incomplete.add(subject)  # more was held since; all entries here are held already
                continue
            del self.aside[subject]
            row = self._aside_rows.pop(subject, None)
            if row is not None:
                self.engine.bring_back(snapshot_from_bytes(subject, row))
        entries: list[Entry] = []
        held: list[Held] = []
        for number, entry in enumerate(record.entries):
            if entry[0] in incomplete:
                continue
            if entry[0] in self.aside:
                held.append(Held(self.aside[entry[0]], offset, number, entry))
            else:
                entries.append(entry)
        begun = {one.subject for one in self.aside.values() if one.since == offset}
        bare = sorted(begun - {subject for subject, _, _ in record.entries})
        held += [Held(self.aside[one], offset, len(record.entries) + at, None) for at, one in enumerate(bare)]
        for subject in {one.aside.subject for one in held}:
            self.aside[subject] = replace(self.aside[subject], held=offset)
        return entries, held

    def _is_known(self, record: LogRecord, offset: int) -> bool:
        """Whether the record was applied before."""
        if offset > self.offset:
            return False
        known = self._watermarks.by_source
        if any(at > known.get(source, at) for source, at in record.watermarks.items()):
            raise recreated(self.partition, self.offset, f"record {offset} of the log is newer than that")
        return True

    def _rejudge_some(self) -> None:
        """Under changed rules, some subjects with each record. A restart begins again and repeats no report.

        Where the change is taken back before all are judged, or before the position is written, it is those whose rows
        name the other rulebook.
        """
        if self._judged_by == self.fingerprint:
            some = self._judged_otherwise[-JUDGED_AT_ONCE:]
            del self._judged_otherwise[-JUDGED_AT_ONCE:]
            self.engine.rejudge(some)
            return
        if self._to_judge is None:
            self._to_judge = iter(self.engine.subjects())
            logger.info("partition %d: the rules are others: %d subjects to judge", self.partition, len(self.engine))
        some = list(islice(self._to_judge, JUDGED_AT_ONCE))
        self.engine.rejudge(some)
        if len(some) < JUDGED_AT_ONCE:
            self._judged_by, self._to_judge = self.fingerprint, None
            logger.info("partition %d: all subjects are judged by the rules in force now", self.partition)

    def all_rows(self) -> list[Row]:
        """All rows, changed or not, the position last."""
        aside = [(subject_key(self.partition, subject), row) for subject, row in sorted(self._aside_rows.items())]
        return [*map(self.row, self.engine.subjects()), *aside, self._position()]

    def all_cases(self) -> Applied:
        """Every case of the subjects kept, as of the watermark; none where they are not tracked."""
        at, found = self.engine.watermark, [] if self._tracker is None else list(self.engine.cases())
        changes = [CaseChange(case.case_id, case, at) for case in found]
        return Applied(Step(), [], Counter(), Counter(), partition=self.partition, cases=changes)

    def row(self, subject: Subject) -> Row:
        """The row of a subject; without a value where it is no longer kept."""
        key, row = subject_key(self.partition, subject), self.engine.row(subject, self.fingerprint)
        if row is not None:
            return key, row
        snapshot = self.engine.snapshot(subject)
        if snapshot is None:
            return key, None
        events = self.engine.encoded_events(subject)
        return key, snapshot_to_bytes(snapshot, self.engine.standing(subject), self.fingerprint, events)

    def _position(self) -> Row:
        position = Position(
            self.offset,
            self._watermarks.at,
            self._watermarks.by_source,
            self.sources,
            self._judged_by,
            len(self.engine) + len(self._aside_rows),
            self.tally.clocks,
            self.checksum,
            tuple(self.aside.values()),
            self.fingerprint,
            self.lost_before,
            prunes=self.prunes,
            hashed_by=self.hashed_by,
        )
        return position_key(self.partition), position_to_bytes(position)
