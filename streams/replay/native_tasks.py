"""Judges what was spilled of a task natively; the subjects that the native engine does not support go to Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import msgspec

from streams.core.alerts import Subject
from streams.engine.judged import Line, NativeReplay
from streams.replay.judging import AlertKey, Arrived, Deduplicated
from streams.replay.native import NativeJudging, copies_for, decoded, read_plain
from streams.replay.output_form import OutputForm
from streams.replay.reading import Scope
from streams.replay.spill import Partitions
from streams.replay.spilled_lines import LinePartitions, Row, arrived
from streams.wire.decoder import encode_json, wire_fields


def judge_task(
    native: NativeReplay,
    scope: Scope,
    partitions: Partitions,
    parts: Iterable[int],
    end: int,
    on_events: Callable[[int], None],
) -> tuple[NativeTask, Deduplicated]:
    """Judge some partitions natively up to an instant (inclusive): the results, and the events that Python must judge.

    ``native`` holds nothing yet.
    """
    if isinstance(partitions, LinePartitions):
        lines = LinesTask(native, scope)
        for part in parts:
            lines.take(partitions.rows(part))
        return lines, lines.judge(end, 1, on_events)
    events, deduplicated = NativeTask(native, [], partial(decoded, scope)), partitions.deduplicated(parts)
    count = len(deduplicated.events)
    deduplicated.events = events.judged(deduplicated.events, end)
    on_events(count - len(deduplicated.events))
    return events, deduplicated


class NativeTask(NativeJudging):
    """Judges the events of one task: ``judged``, then ``keyed`` and ``cases``."""

    def judged(self, events: Sequence[Arrived], end: int) -> list[Arrived]:
        """Judge events without repetitions up to an instant (inclusive); those that Python must judge."""
        native, refused = self._native, set[Subject]()
        for _, _, event, _, copies in events:
            line = encode_json(wire_fields(event))  # plain, whatever it was read from
            refused.update(subject for subject, _ in copies if not native.take_for(line, subject))
        if refused:
            native.note(events[0][2], refused)
        try:
            found = native.judge(end, 1)
        except RuntimeError:
            self.has_failed()
            return list(events)
        self.left_to_python, self.orphans = found.left_to_python, found.orphans
        return [
            (order, number, event, origin, own)
            for order, number, event, origin, copies in events
            if (own := copies_for(copies, found.left_to_python))
        ]

    def keyed(
        self, own: Iterable[tuple[AlertKey, bytes]], counted: Counter[tuple[str, str]], form: OutputForm
    ) -> Iterator[tuple[AlertKey, bytes]]:
        """All alerts in order and in a form; ``own`` are those of the Python engine, as JSON lines."""
        for key, line in own:
            self._native.add(key, line.removesuffix(b"\n"))
        for key, line in self._native.keyed_alerts():
            *_, rule, kind, _ = key
            counted[rule, kind] += 1
            yield key, line + b"\n" if form.is_plain else form.alert(read_plain(line))


class LinesTask(NativeTask):
    """Judges the rows of one task: ``take``, ``judge``, then ``keyed`` and ``cases``."""

    def __init__(self, native: NativeReplay, scope: Scope) -> None:
        self._scope = scope
        self._taken: list[_Taken] = []
        super().__init__(native, [], partial(_events_of, scope, self._taken))

    def take(self, rows: Iterable[Row]) -> None:
        """Take the rows of a partition, in order of arrival."""
        left: list[Row] = []
        for row in rows:
            number, origin, kind, name, is_line, raw = row
            self._taken.append((number, origin, kind, name))
            if not (is_line and self._native.take_for(bytes(raw), (kind, name))):
                self._native.keep([(kind, name)])
                left.append(row)
        self._kept += arrived(self._scope, left)

    def _arrival_of(self, number: int) -> int:
        return self._taken[number][0]


_Taken = tuple[int, int, str, str]
"""A row without its event."""


def _events_of(scope: Scope, taken: Sequence[_Taken], lines: Iterable[Line]) -> Iterator[Arrived]:
    return arrived(scope, ((*taken[place], True, msgspec.Raw(line)) for place, _, line in lines))
