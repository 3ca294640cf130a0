"""Diagnoses an installation from two observations: one line for each cause, in the order of urgency.

Consequences of a reported cause are left out: where no worker runs, partitions without an owner are not listed;
partitions that wait for the same source are reported together, with that source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from streams.core.instants import format_us
from streams.live.incomplete import Incompleteness
from streams.operations.installation import Observation, Partition, Source

NAMED: Final = 20
"""Most subjects set aside that are named."""

MOVES: Final = 0.1
"""A watermark that advances by less than this part of the interval between two observations counts as standing
still.
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """A line for people; ``what`` is its kind for programs, from a closed set."""

    what: str
    text: str


def lag(partition: Partition, seen: Observation, speed: float = 1) -> float | None:
    """The lag of a partition's watermark, in real seconds; ``None`` before the first one."""
    return None if partition.watermark is None else max(0, seen.at - partition.watermark) / 1e6 / speed


def holder(partition: Partition) -> str | None:
    """The source that holds a partition's watermark back: one without a watermark, else the one furthest behind."""
    if partition.awaited:
        return partition.awaited[0]
    return min(partition.by_source, key=lambda source: partition.by_source[source], default=None)


def problems(before: Observation, after: Observation, *, late: float, speed: float = 1) -> list[Problem]:
    """The problems as of the second observation; ``late`` is the allowed lag in real seconds."""
    found = [Problem("said", text) for text in after.trouble]
    found += [Problem("sharing", f"group {group} is sharing out its partitions (rebalance)") for group in after.sharing]
    found += [
        Problem(
            "no_topic", f"source topic {topic} does not exist, and time waits for it: create it, or correct --source"
        )
        for topic in after.absent
    ]
    found += _ownerless(after)
    found += _strangers(after)
    found += _lost(after)
    found += _rulebooks(after)
    found += _unread(before, after, speed)
    found += _standing(before, after, late, speed)
    found += _quarantined(after)
    found += _sink(before, after, speed)
    return found


def incompleteness_text(one: Incompleteness) -> str:
    """One cause for which verdicts may be incomplete, as a line."""
    match one.cause:
        case "lost":
            return f"source {one.source}: up to {one.count:,} records removed before they were read 未读即被清除"
        case "refused":
            return f"source {one.source}: {one.count:,} dead letters 死信 (gridclock dead-letters list)"
        case "too_old":
            return f"source {one.source}: {one.count:,} events too old to be judged 过期事件 (dead letters too_old)"
        case "quarantined":
            assert one.subject is not None
            return f"{one.subject[0]} {one.subject[1]}: set aside, nothing is judged of it 已隔离"
        case _:
            assert_never(one.cause)


def _quarantined(seen: Observation) -> Iterator[Problem]:
    """One line for each subject set aside, up to a number; then how many more."""
    aside = sorted((one for part in seen.partitions for one in part.aside), key=lambda one: one.subject)
    for one in aside[:NAMED]:
        since = "" if one.at is None else f" since {format_us(one.at)}"
        yield Problem(
            "quarantined",
            f"{one.subject[0]} {one.subject[1]}: set aside{since}, nothing is judged of it: {one.reason}; after a "
            "repair gridclock dead-letters retry --all --reason quarantined brings it back",
        )
    counted = sum(part.quarantined for part in seen.partitions) - len(aside)
    if (more := max(0, len(aside) - NAMED) + max(0, counted)) > 0:
        yield Problem("quarantined", f"{more:,} {'more ' if aside else ''}subjects are set aside: see gridclock status")


def _ownerless(seen: Observation) -> Iterator[Problem]:
    known = [one for one in seen.partitions if one.end is not None]
    free = [one.number for one in known if one.owner is None]
    if known and len(free) == len(known) and not seen.sharing:
        yield Problem("no_worker", "no worker is at work: no partition of the log has an owner")
    else:
        yield from (Problem("no_owner", f"partition {number}: no owner") for number in free)
    readers = [source for source in seen.sources if source.owner is not None]
    if readers:
        yield from (
            Problem("no_reader", f"source {source.name}: no worker reads it")
            for source in seen.sources
            if source.owner is None
        )
    elif seen.sources and seen.sources[0].end is not None and len(free) < len(known):
        yield Problem("no_reader", "no worker reads the sources, although workers are running")


def _strangers(seen: Observation) -> Iterator[Problem]:
    """One line for each program that takes the workers' records."""
    for name in seen.strangers:
        taken = [source.name for source in seen.sources if source.owner == name]
        yield Problem(
            "stranger",
            f"{name} is in a consumer group of the workers and is no worker: what it reads "
            f"({', '.join(taken) or 'nothing now'}) is judged by nobody; end it, and send these events again",
        )


def _rulebooks(seen: Observation) -> Iterator[Problem]:
    """One line where the workers judge by different rulebooks; partitions without an owner are ignored."""
    parts: dict[str, list[Partition]] = defaultdict(list)
    for one in seen.partitions:
        if one.rulebook is not None and one.owner is not None:
            parts[one.rulebook].append(one)
    if len(parts) > 1:
        texts = [
            f"partition{'s' if len(ones) > 1 else ''} {', '.join(str(one.number) for one in ones)} by {rulebook} "
            f"({', '.join(sorted({str(one.owner) for one in ones}))})"
            for rulebook, ones in sorted(parts.items(), key=lambda item: item[1][0].number)
        ]
        yield Problem(
            "rulebooks",
            f"the workers judge by different rulebooks: {'; '.join(texts)}: give all of them the same rules, calendar "
            "and version, and restart them",
        )


def _lost(seen: Observation) -> Iterator[Problem]:
    for source in seen.sources:
        if source.lost:
            first, last = source.lost[0].first, source.lost[-1].last
            count, at = sum(loss.count for loss in source.lost), source.lost[-1].at
            yield Problem(
                "lost",
                f"source {source.name}: up to {count:,} records, offsets {first} to {last}, were removed by the "
                f"topic's retention before they were read, noticed at {format_us(at)}: verdicts may be wrong",
            )


def _unread(before: Observation, after: Observation, speed: float) -> Iterator[Problem]:
    """Sources with a backlog. Records added between two observations are not counted."""
    then = {source.name: source for source in before.sources}
    seconds = (after.at - before.at) / 1e6 / speed
    for source in after.sources:
        old = then.get(source.name)
        if not source.behind or old is None or not old.behind:
            continue
        text = f"source {source.name}: {source.behind:,} behind"
        read = (source.read or 0) - (old.read or 0)
        if read <= 0 and source.owner is None:
            yield Problem("unread", f"{text}, and it is not being read")
        elif read <= 0:
            yield Problem("unread", f"{text}, and its reader finished nothing of it within {length(seconds)}")
        elif (source.read or 0) < (old.end or 0):  # records of the first observation are not read yet
            yield Problem("behind", f"{text}, read at {read / seconds:,.0f}/s{_to_go(old, source, seconds)}")


def _sink(before: Observation, after: Observation, speed: float) -> Iterator[Problem]:
    """The sink of the database that the settings name: whether one writes, and keeps up."""
    sink, old = after.sink, before.sink
    if sink is None or old is None:
        return
    if sink.away is not None:
        yield Problem("sink_away", f"{sink.place}: cannot be asked how far the sink is: {sink.away}")
        return
    had, behind = sum(old.behind.values()), sum(sink.behind.values())
    text = f"{sink.place}: {behind:,} records of cases and alerts are not written"
    if sink.writer is None:
        yield Problem("no_sink", f"{text}, and no sink writes: start gridclock sink")
    elif had and behind:
        seconds = (after.at - before.at) / 1e6 / speed
        done = sum(offset - old.written.get(part, offset) for part, offset in sink.written.items())
        if done <= 0:
            yield Problem("sink_stuck", f"{text}, and its sink ({sink.writer}) wrote none within {length(seconds)}")
        elif done < had:  # records of the first observation are not written yet
            yield Problem("sink_behind", f"{text}; its sink ({sink.writer}) writes {done / seconds:,.0f}/s")


def _to_go(old: Source, new: Source, seconds: float) -> str:
    gained = (old.behind or 0) - (new.behind or 0)
    if gained <= 0:
        return ", and it grows"
    return f", about {length((new.behind or 0) / gained * seconds)} to go"


def _standing(before: Observation, after: Observation, late: float, speed: float) -> Iterator[Problem]:
    """Partitions whose watermark stands still or lags, by the source that holds them back."""
    then = {one.number: one for one in before.partitions}
    least = MOVES * (after.at - before.at)
    causes: dict[tuple[str, str | None], list[Partition]] = defaultdict(list)
    for one in after.partitions:
        if one.end is not None and one.owner is None:
            continue  # reported already
        old = then.get(one.number)
        behind = lag(one, after, speed)
        source = holder(one)
        if source is not None and source.rpartition("/")[0] in after.absent:
            continue  # reported already
        if one.watermark is None or behind is None:
            causes["not_begun", source].append(one)
        elif old is not None and old.watermark is not None and one.watermark - old.watermark < least:
            unapplied = bool(old.behind and one.behind) and old.applied == one.applied
            causes["stuck" if unapplied else "standing", None if unapplied else source].append(one)
        elif behind > late:
            causes["late", source].append(one)
    for (what, source), ones in causes.items():
        yield Problem(what, _text_of(what, source, ones, after, speed))


def _text_of(what: str, source: str | None, ones: list[Partition], seen: Observation, speed: float) -> str:
    numbers = ", ".join(str(one.number) for one in ones)
    where = f"partition{'s' if len(ones) > 1 else ''} {numbers}"
    held = f": held by source {source}" if source else ""
    most = max((lag(one, seen, speed) or 0 for one in ones), default=0)
    match what:
        case "not_begun":
            return f"{where}: time has not begun{held}"
        case "stuck":
            return f"{where}: {max(one.behind or 0 for one in ones):,} records of the log lie there and none is applied"
        case "standing":
            return f"{where}: time stands still, {length(most)} behind{held}{_why(source, seen.sources)}"
        case _:
            return f"{where}: time is {length(most)} behind{held}{_why(source, seen.sources)}"


def _why(name: str | None, sources: Iterable[Source]) -> str:
    by_name: Mapping[str, Source] = {source.name: source for source in sources}
    source = by_name.get(name or "")
    if source is None:
        return ""
    parts = [f"{source.behind:,} behind"] if source.behind else []
    parts += [f"an open transaction holds back offsets from {source.end} on"] if source.held else []
    return f" ({', '.join(parts)})" if parts else ""


def length(seconds: float) -> str:
    """A duration for people, to about two digits."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"
