"""Dead letters of events whose id was seen before with other content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from schemas.dead_letters import DeadLetter
from streams.replay.input_counts import InputCounts
from streams.replay.reading import POSITION_BITS
from streams.replay.runs import Conflict
from streams.replay.sources import Note, Source
from streams.wire.decoder import conflict_of, dead_letter_of, encode_json, wire_fields
from streams.wire.mapping import MappedEvent


def refuse(
    conflicts: Iterable[Conflict],
    sources: Sequence[Source],
    tally: InputCounts,
    on_dead_letter: Callable[[DeadLetter], None],
) -> None:
    """Report conflicts, given in the order of the input, with the original bytes.

    These are read once more, because keeping all of them would take too much memory.
    """
    for number, own in groupby(conflicts, key=lambda conflict: conflict[0] >> POSITION_BITS):
        source, base = sources[number], number << POSITION_BITS
        records = iter(source.records())
        at, raw = -1, b""
        note: Note = None
        for origin, event in own:
            position = origin - base
            while at < position and (record := next(records, None)) is not None:
                at, raw, note = record
            # a pipe is empty by now; the first event of a row does not stand for the others
            is_original = at == position and not isinstance(note, MappedEvent)
            found = raw if is_original else encode_json(wire_fields(event))
            tally.dead_letters["conflicting_duplicate"] += 1
            on_dead_letter(dead_letter_of(found, conflict_of(event.event_id), source=source.name, position=position))
