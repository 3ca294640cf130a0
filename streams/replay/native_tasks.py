"""Judges the spilled events of a task natively; the subjects that the native engine does not support go to Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from streams.core.alerts import Subject
from streams.replay.judging import AlertKey, Sorted
from streams.replay.native import NativeJudging, copies_for, read_plain
from streams.replay.output_form import OutputForm
from streams.wire.decoder import encode_json, wire_fields


class NativeTask(NativeJudging):
    """Judges the events of one task: ``judged``, then ``keyed`` and ``cases``."""

    def judged(self, events: Sequence[Sorted], end: int) -> list[Sorted]:
        """Judge events without repetitions up to an instant (inclusive); those that Python must judge."""
        native, refused = self._native, set[Subject]()
        for _, _, event, copies in events:
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
            (order, number, event, own)
            for order, number, event, copies in events
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
