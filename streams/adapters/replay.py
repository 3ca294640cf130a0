"""Replay: the live engine over events of the past.

Events are put in the order in which they occurred, and time passes between them as it would have live: the
watermark goes to just before each event's instant, stopping at every instant at which something was due. The
end of input is not the end of time: the replay ends at ``until``, or at the last event's instant.

Three steps. ``read`` decodes every record and keeps the events that some rule watches (``arrivals``). ``judge``
takes them, at once where they fit into memory, else part by part (``judging``). ``alerts`` and ``cases`` then give
what was found, in an order that does not depend on which of the two it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from heapq import merge
from pathlib import Path
from typing import Any

import msgspec

from schemas.dead_letters import DeadLetter
from streams.adapters.arrivals import Arrivals, part_of
from streams.adapters.checkpoints import EVERY, Checkpoint
from streams.adapters.codec import Decoder, conflict_of, dead_letter_of, decode_json, encode_json, wire_fields
from streams.adapters.forks import run_forked
from streams.adapters.judging import Copies, Judging, Sifted, sift
from streams.adapters.outputs import CloudEvents, encode
from streams.adapters.sources import Source
from streams.adapters.tally import MINUTE, Tally
from streams.core.engine import JudgedCase
from streams.core.event import Event
from streams.core.explanations import explain
from streams.core.rulebook import Rulebook
from streams.errors import InputError

MAX_AHEAD = 366 * 24 * 3600 * 1_000_000
"""How far (microseconds) past the moment of reading an event in a file may lie before it is taken for a
broken clock: simulated files may run into next year."""

MEMORY = 512 * 1024 * 1024
"""Bytes of events held before they are put on disk."""

_POSITION_BITS = 48
_plain = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class ToldCase:
    """A case as it is written, and why it stands so where there is something to say of it."""

    event: dict[str, Any]
    explanation: dict[str, str] | None


class Replay:
    """One replay: ``read``, ``judge``, then ``alerts`` and ``cases``.

    ``until`` (microseconds, inclusive) leaves later events unread and is where time ends. ``as_of`` leaves out what
    was recorded later than that, and time ends there at the latest. ``rival`` is a second rulebook to judge the same
    events by. ``memory`` bounds the events held, in bytes. ``jobs`` processes judge; what comes out is the same.
    ``with_cases`` says whether ``cases`` will be asked for.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        decoder: Decoder,
        *,
        received: int,
        until: int | None = None,
        as_of: int | None = None,
        rival: Rulebook | None = None,
        memory: int = MEMORY,
        jobs: int = 1,
        with_cases: bool = True,
        checkpoint: Checkpoint | None = None,
        on_dead_letter: Callable[[DeadLetter], None] = lambda _letter: None,
    ) -> None:
        self.tally = Tally()
        self.ends_at: int | None = as_of if until is None else until if as_of is None else min(until, as_of)
        self.on_dead_letter = on_dead_letter
        self._rulebook = rulebook
        self._rival = rival
        self._decoder = decoder
        self._received = received
        self._as_of = as_of
        self._jobs = jobs
        # One who goes on at a checkpoint may ask for what this one does not.
        self._with_cases = with_cases or rival is not None or checkpoint is not None
        self._checkpoint = checkpoint
        self._letters: list[DeadLetter] = []
        self._letters_length = 0
        self._marked = 0
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._arrivals = Arrivals(memory, self._directory, self._copies_of)
        self._unwatched_at: int | None = None
        self._highest = -(2**62)
        self._sources: list[Source] = []
        self._sifted = Sifted()
        self._judged: list[int] | None = None
        self._judging: Judging | None = None
        self._settled = False

    def _copies_of(self, event: Event) -> Copies:
        copies = self._rulebook.copies_of(event)
        if self._rival is not None:
            known = {subject for subject, _ in copies}
            copies += [copy for copy in self._rival.copies_of(event) if copy[0] not in known]
        return copies

    def _directory(self) -> Path:
        if self._checkpoint is not None:
            return self._checkpoint.directory
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="gridclock-")
        return Path(self._temporary.name)

    def close(self) -> None:
        """Remove what was put on disk, except for a checkpoint. Further calls do no harm."""
        if self._temporary is not None:
            self._temporary.cleanup()

    # -- read --------------------------------------------------------------------------------------------

    def read(self, sources: Sequence[Source], on_record: Callable[[int], None] = lambda _n: None) -> None:
        """Read and decode every record of every source; what cannot be taken becomes a dead letter.

        Raises:
            ConfigError: where a source cannot be read, or the checkpoint is another replay's.
        """
        self._sources = list(sources)
        begin, after, is_read = self._resume()
        if is_read:
            return
        for number, source in enumerate(self._sources):
            if number >= begin:
                self._read(number, source, after if number == begin else -1, on_record)
        self._arrivals.finish()
        if self._checkpoint is not None:
            self._mark(len(self._sources), 0, is_read=True)

    def _read(self, number: int, source: Source, after: int, on_record: Callable[[int], None]) -> None:
        decode, received, tally = self._decoder.decode, self._received, self.tally
        position, base = after, number << _POSITION_BITS
        try:
            for position, raw, note in source.records():
                if position <= after:
                    continue
                tally.lines += 1
                on_record(len(raw))
                try:
                    if note is None:
                        event = decode(raw, received=received, max_ahead=MAX_AHEAD)
                    elif isinstance(note, int):
                        event = decode(raw, received=note)
                    else:
                        raise note
                except InputError as error:
                    self._dead_letter(dead_letter_of(raw, error, source=source.name, position=position))
                else:
                    self._take(event, base | position, len(raw))
                if self._checkpoint is not None and (
                    tally.lines % EVERY == 0 or len(self._arrivals.index) > self._marked
                ):
                    self._mark(number, position, is_read=False)
        except Exception as error:
            error.add_note(f"gridclock: while reading {source.name}:{position}, or what follows it")
            raise

    def _take(self, event: Event, origin: int, size: int) -> None:
        tally = self.tally
        tally.events += 1
        at, recorded = event.at, event.recorded
        if self.ends_at is not None and at > self.ends_at:
            tally.after_until += 1
            return
        if self._as_of is not None and recorded > self._as_of:
            tally.not_yet_recorded += 1
            return
        if at < self._highest:
            tally.out_of_order += 1
        else:
            self._highest = at
        if recorded - at > MINUTE:
            tally.note_late(recorded - at)
        copies = self._copies_of(event)
        if copies:
            self._arrivals.add(event, copies, origin, size)
        else:
            tally.unwatched += 1
            if self._unwatched_at is None or at > self._unwatched_at:
                self._unwatched_at = at

    def _dead_letter(self, letter: DeadLetter) -> None:
        self.tally.dead_letters[letter.reason] += 1
        if self._checkpoint is not None:
            self._letters.append(letter)
        self.on_dead_letter(letter)

    # -- keep --------------------------------------------------------------------------------------------

    def _resume(self) -> tuple[int, int, bool]:
        """Number of the source to begin with, the position to begin after, whether all has been read."""
        if self._checkpoint is None:
            return 0, -1, False
        job = {
            "rulebook": self._rulebook.fingerprint,
            "rival": None if self._rival is None else self._rival.fingerprint,
            "ends_at": self.ends_at,
            "as_of": self._as_of,
        }
        kept = self._checkpoint.open(job, self._sources)
        if kept is None:
            return 0, -1, False
        self.tally = Tally.from_state(kept["tally"])
        self._received = kept["received"]
        self._highest, self._unwatched_at = kept["highest"], kept["unwatched_at"]
        self._arrivals.restore(kept["arrivals"])
        self._marked = len(self._arrivals.index)
        self._letters_length = kept["letters"]
        for letter in self._checkpoint.letters(self._letters_length):
            self.on_dead_letter(letter)
        return kept["source"], kept["position"], kept["is_read"]

    def _mark(self, source: int, position: int, *, is_read: bool) -> None:
        assert self._checkpoint is not None
        self._arrivals.spill()
        self._marked = len(self._arrivals.index)
        self._letters_length = self._checkpoint.keep_letters(self._letters, self._letters_length)
        self._letters = []
        state = {
            "source": source,
            "position": position,
            "is_read": is_read,
            "received": self._received,
            "highest": self._highest,
            "unwatched_at": self._unwatched_at,
            "letters": self._letters_length,
            "tally": self.tally.to_state(),
            "arrivals": self._arrivals.to_state(),
        }
        self._checkpoint.mark(state, self._sources)

    # -- judge -------------------------------------------------------------------------------------------

    def judge(self, on_events: Callable[[int], None] = lambda _n: None) -> None:
        """Judge what was read, where it lies on disk; what fits into memory is judged as its alerts are asked for.

        Interrupted, what has been judged can be asked for all the same.
        """
        arrivals = self._arrivals
        if not arrivals.is_spilled:
            self._sifted = sift(arrivals.held())
            arrivals.release()
            self._end(self._sifted.last_at)
            if self.ends_at is not None and self._jobs > 1:
                self._judge_parts(range(self._jobs), self._share, on_events)
            elif self.ends_at is not None:
                self._judging = Judging(self._rulebook, self.ends_at)
            return
        self._end(self._last_on_disk())
        self._judge_parts(arrivals.parts(), lambda part: sift(arrivals.load(part)), on_events)

    def _share(self, number: int) -> Sifted:
        """The events of every so many-th part, for one of the processes; what was left out, for the first."""
        found = Sifted()
        if number == 0:
            found.duplicates, found.conflicts = self._sifted.duplicates, self._sifted.conflicts
        for order, arrival, event, copies in self._sifted.events:
            own = [copy for copy in copies if part_of(copy[0]) % self._jobs == number]
            if own:
                found.events.append((order, arrival, event, own))
        return found

    def _judge_parts(
        self, parts: Iterable[int], load: Callable[[int], Sifted], on_events: Callable[[int], None]
    ) -> None:
        waiting = [part for part in parts if not self._path("done", part).exists()]

        def judge(own: Sequence[int], moved: Callable[[int], None]) -> None:
            for part in own:
                self._judge_part(part, load(part), moved)

        try:
            if self._jobs > 1:
                shares = [waiting[first :: self._jobs] for first in range(self._jobs)]
                run_forked([partial(judge, own) for own in shares if own], on_events)
            else:
                judge(waiting, on_events)
        finally:
            self._judged = [part for part in parts if self._path("done", part).exists()]

    @property
    def total(self) -> int:
        """Events that were kept for judging."""
        return self._arrivals.count

    def _end(self, last_at: int | None) -> None:
        if self.ends_at is None:
            known = [at for at in (last_at, self._unwatched_at) if at is not None]
            self.ends_at = max(known) if known else None

    def _last_on_disk(self) -> int | None:
        """The last instant of any event that counts: a refused repetition may well be the last on disk."""
        if self.ends_at is not None:
            return None
        arrivals, found = self._arrivals, None
        for part in sorted(arrivals.parts(), key=lambda part: -arrivals.last_at[part]):
            if found is not None and found >= arrivals.last_at[part]:
                break
            last = sift(arrivals.load(part)).last_at
            found = last if found is None or (last is not None and last > found) else found
        return found

    def _path(self, what: str, part: int) -> Path:
        return self._directory() / f"{what}-{part:03d}"

    def _judge_part(self, part: int, sifted: Sifted, on_events: Callable[[int], None]) -> None:
        assert self.ends_at is not None
        judging = Judging(self._rulebook, self.ends_at)
        writer = CloudEvents(self._rulebook.calendar)
        with self._naming(judging):
            with open(self._path("alerts", part), "wb") as target:
                for key, alert in judging.alerts(sifted.events, on_events, filtered=self._rival is not None):
                    target.write(encode((key, writer.alert(alert))) + b"\n")
            if self._with_cases:
                self._write_cases("cases", part, self._rulebook, judging)
        if self._rival is not None:
            rival = Judging(self._rival, self.ends_at)
            with self._naming(rival):
                for _ in rival.alerts(sifted.events, filtered=True):
                    pass
                self._write_cases("rival", part, self._rival, rival)
        done = {
            "duplicates": list(sifted.duplicates),
            "conflicts": [(n, origin, event) for n, (origin, event) in sifted.conflicts.items()],
            "orphans": judging.orphans(),
        }
        unfinished = self._path("partial", part)
        unfinished.write_bytes(encode_json(done))
        unfinished.replace(self._path("done", part))

    def _write_cases(self, what: str, part: int, rulebook: Rulebook, judging: Judging) -> None:
        with open(self._path(what, part), "wb") as target:
            for case in self._told(rulebook, judging.cases()):
                target.write(encode((case.event, case.explanation)) + b"\n")

    @contextmanager
    def _naming(self, judging: Judging) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            event = judging.at_event
            if event is not None:
                error.add_note(f"gridclock: while judging event {event.event_id!r} of {event.subjects()}")
            raise

    # -- tell --------------------------------------------------------------------------------------------

    def alerts(self, on_events: Callable[[int], None] = lambda _n: None) -> Iterator[dict[str, Any]]:
        """The alerts as CloudEvents, in the order in which they would have come out."""
        counted = self.tally.alerts
        if self._judged is not None:
            runs = [_lines(self._path("alerts", part)) for part in self._judged]
            for _, event in merge(*runs, key=lambda line: line[0]):
                counted[event["data"]["rule"], event["data"]["kind"]] += 1
                yield event
        elif self._judging is not None:
            writer = CloudEvents(self._rulebook.calendar)
            with self._naming(self._judging):
                for _, alert in self._judging.alerts(self._sifted.events, on_events, filtered=self._rival is not None):
                    counted[alert.rule, alert.kind] += 1
                    yield writer.alert(alert)
        self._settle()

    def _settle(self) -> None:
        """Count repetitions, and tell of those that said something else."""
        if self._settled:
            return
        self._settled = True
        conflicts = self._sifted.conflicts
        if self._judged is not None:
            twice = bytearray(self._arrivals.count // 8 + 1)  # a repetition may lie in the parts of several subjects
            for part in self._judged:
                done = decode_json(self._path("done", part).read_bytes())
                for number in done["duplicates"]:
                    twice[number >> 3] |= 1 << (number & 7)
                conflicts |= {n: (origin, msgspec.convert(state, Event)) for n, origin, state in done["conflicts"]}
                self.tally.orphans.update(done["orphans"])
            for number in conflicts:
                twice[number >> 3] &= ~(1 << (number & 7))
            self.tally.duplicates = sum(byte.bit_count() for byte in twice)
        else:
            self.tally.duplicates = sum(n not in conflicts for n in self._sifted.duplicates)
            if self._judging is not None:
                self.tally.orphans = self._judging.orphans()
        originals = self._originals({origin for origin, _ in conflicts.values()})
        for _, (origin, event) in sorted(conflicts.items()):
            source, position = self._sources[origin >> _POSITION_BITS], origin & ((1 << _POSITION_BITS) - 1)
            raw = originals.get(origin) or encode_json(wire_fields(event))
            self.tally.dead_letters["conflicting_duplicate"] += 1
            self.on_dead_letter(dead_letter_of(raw, conflict_of(event.event_id), source=source.name, position=position))

    def _originals(self, origins: set[int]) -> dict[int, bytes]:
        """The original bytes of a few records: read once more, because keeping all of them would cost all memory."""
        found: dict[int, bytes] = {}
        for number in sorted({origin >> _POSITION_BITS for origin in origins}):
            base = number << _POSITION_BITS
            last = max(origin for origin in origins if origin >> _POSITION_BITS == number)
            for position, raw, _ in self._sources[number].records():
                if base | position in origins:
                    found[base | position] = raw
                if base | position >= last:
                    break
        return found

    def cases(self, *, rival: bool = False) -> Iterator[ToldCase]:
        """Every case as of the end, by subject; after ``alerts``. ``rival``: by the second rulebook."""
        if self._judged is not None:
            runs = [_lines(self._path("rival" if rival else "cases", part)) for part in self._judged]
            for event, explanation in merge(*runs, key=_subject_of):
                yield ToldCase(event, explanation)
        elif self._judging is not None and not rival:
            yield from self._told(self._rulebook, self._judging.cases())
        elif self._rival is not None and self.ends_at is not None:
            second = Judging(self._rival, self.ends_at)
            with self._naming(second):
                for _ in second.alerts(self._sifted.events, filtered=True):
                    pass
                yield from self._told(self._rival, second.cases())

    def _told(self, rulebook: Rulebook, cases: Iterator[JudgedCase]) -> Iterator[ToldCase]:
        writer = CloudEvents(rulebook.calendar)
        for case in cases:
            said = None
            if case.verdict.reports:
                sentence = explain(case.verdict, case.verdict.reports[-1], case.subject, rulebook.calendar)
                said = {"zh": sentence.zh, "en": sentence.en}
            assert self.ends_at is not None
            yield ToldCase(writer.case(case, self.ends_at), said)


def _lines(path: Path) -> Iterator[tuple[Any, Any]]:
    with open(path, "rb") as source:
        for line in source:
            first, second = _plain(line)
            yield first, second


def _subject_of(line: tuple[Any, Any]) -> tuple[str, str]:
    subject = line[0]["data"]["subject"]
    return subject["type"], subject["id"]
