"""Prunes a subject's history, so that state is bounded.

Definition. A *cut* is an instant at or before which nothing can change any more: an event that happened no later than
it, and a correction of such an event, are refused as too old. Of the events up to a cut, each fold returns those it
still needs (``Fold.needed``). Events that no fold needs are dropped. Events that some need are kept for those folds
only: another rule, for which they were over, must not start a case with them again. Reports due by the cut are final:
they are neither made nor withdrawn any more, because the remaining events of a case that is over may give another
verdict. Only a warning can be missed by that: one of a case that was done in time and that a correction opens again.

The cut is ``keep_for`` behind the watermark. Past ``MOST_EVENTS`` it is where the newest half begins, so that the row
of a subject and the work on it are bounded. A history is examined when it has doubled since the last time, so the cost
per event is constant on average.

Example, ``monthly-reading`` with 90 days: a meter read every month since January has, in December, the reading of
August for the turn of September, and those of September to December. An August reading that comes now is too old.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from streams.core.event import Event
from streams.core.history import History, Route, effective, names_one_of
from streams.core.records import Pruned, Snapshot, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Fold, Needed, Verdict

FEWEST_EVENTS: Final = 8
"""Fewest events of a subject for pruning."""

MOST_EVENTS: Final = 2_000
"""Most events of a subject; beyond, all but the newest half are dropped where possible, whatever their age."""


def is_worth_a_look(events: int, looked_at: int) -> bool:
    """Whether a history of that many events is due for pruning, given its length at the last examination."""
    return events >= FEWEST_EVENTS and (events >= 2 * looked_at or events > MOST_EVENTS >= looked_at)


def cut_of(record: SubjectRecord, watermark: int, keep_for: int, came: int | None = None) -> int | None:
    """The cut (microseconds) for a subject that was decided at a watermark; always before it.

    ``came`` is when the earliest event happened that the subject got with this step. It is not cut off yet: if the step
    were repeated after a crash that kept the row, the event would be refused. ``None`` where nothing new is over.
    """
    events, cut = record.history.events, watermark - keep_for
    if len(events) > MOST_EVENTS:
        # Not at the instant itself: more events may have the same instant.
        cut = max(cut, events[-MOST_EVENTS // 2].at - 1)
    if came is not None and len(events) <= 2 * MOST_EVENTS:
        cut = min(cut, came - 1)
    cut, until = min(cut, watermark - 1), record.pruned.until
    return cut if until is None or cut > until else None


def refuses(history: History, pruned: Pruned, event: Event) -> bool:
    """Whether an event is too late for a pruned history; repetitions of kept events are not."""
    until = pruned.until
    if until is None:
        return False
    seen = history.find(event.event_id)
    if seen is not None:
        return min(seen.at, event.at) <= until and not seen.repeats(event)
    if event.at <= until:
        return True
    if event.corrects is None and not history.has_corrections:
        return False
    return _touches_what_is_over(history, event, until)


def _touches_what_is_over(history: History, event: Event, until: int) -> bool:
    """Whether an event corrects, or is corrected by, one at or before the cut, or corrects one possibly dropped."""
    roots = effective([*history.events, event])[1]
    before = effective(history.events)[1] if history.has_corrections else {}
    over = [other.event_id for other in history.events if other.at <= until]
    if any(roots.get(other) != before.get(other) for other in over):
        return True
    root = roots.get(event.event_id)
    if root is not None and history.find(root) is None:
        return True
    mine = root or event.event_id
    return any(roots.get(other, other) == mine for other in over)


def prune(snapshot: Snapshot, history: History, rulebook: Rulebook, cut: int) -> Snapshot | None:
    """The snapshot without the events that are over at the cut; ``None`` where all must stay.

    ``history`` is that of the snapshot.
    """
    events = snapshot.events
    if not events or events[0].at > cut:
        return None
    if any(event.corrects is not None and event.event_id not in history.roots for event in events):
        return None  # corrections in a circle are ignored only while all of them are present
    over = [event for event in history.effective() if event.at <= cut]
    answers: dict[int, Needed | None] = {}
    needed = _needed(history, over, rulebook.folds, rulebook.routes(snapshot.subject[0]), cut, answers)
    groups = _groups(events, history.roots, cut)
    kept_ids: set[str] = set()
    only: dict[str, tuple[str, ...]] = {}
    is_less = False
    for event in over:
        rules, is_all = needed[event.event_id]
        group = groups[history.roots.get(event.event_id, event.event_id)]
        if rules:
            kept_ids.update(group.ids)
        if not is_all and (rules or group.is_young):
            only[event.event_id] = rules
        is_less = is_less or not is_all
    for group in groups.values():
        if group.is_young:
            kept_ids.update(group.ids)
    kept = tuple(event for event in events if event.event_id in kept_ids)
    if not is_less and len(kept) == len(events):
        return None
    dropped = {event.event_id for event in events} - kept_ids
    saved = [(rulebook.folds[index].id, tuple(answer.saved)) for index, answer in answers.items() if answer is not None]
    return replace(
        snapshot,
        events=kept,
        reported=tuple((key, alert) for key, alert in snapshot.reported if alert.due_at > cut),
        # What a dropped event began is over, so it is not reported again.
        withdrawn=tuple((key, count) for key, count in snapshot.withdrawn if key[1].split("/")[0] not in dropped),
        pruned=Pruned(cut, len(kept), tuple(only.items()), tuple(sorted([one for one in saved if one[1]]))),
    )


class _Group:
    """An event with all that corrects it: kept or dropped together."""

    __slots__ = ("ids", "is_young")

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.is_young = False


def _groups(events: Sequence[Event], roots: Mapping[str, str], cut: int) -> dict[str, _Group]:
    """By the id of the event that is corrected.

    A group is young while one of its events is later than the cut, or the event that it corrects has not been read.
    """
    groups: dict[str, _Group] = {}
    known = {event.event_id for event in events}
    for event in events:
        group = groups.setdefault(roots.get(event.event_id, event.event_id), _Group())
        group.ids.append(event.event_id)
        group.is_young = group.is_young or event.at > cut or roots.get(event.event_id, event.event_id) not in known
    return groups


def _needed(
    history: History,
    over: Sequence[Event],
    folds: Sequence[Fold],
    routes: Callable[[str], Sequence[Route]],
    cut: int,
    answers: dict[int, Needed | None],
) -> dict[str, tuple[tuple[str, ...], bool]]:
    """By id of an event at or before the cut: the rules that need it, and whether these are all rules that see it.

    ``answers`` receives what each fold needs, by its position in the rulebook.
    """
    found: dict[str, tuple[tuple[str, ...], bool]] = {}
    for event in over:
        needing: list[str] = []
        is_all = True
        for index, fold, before in routes(event.type):
            if names_one_of(event, before):
                continue
            if not history.is_seen_by(index, event):
                is_all = False
                continue
            if index not in answers:
                answers[index] = fold.needed(history.caught_up(index, fold, before, over), cut)
            answer = answers[index]
            if answer is None or event.event_id in answer.ids or event.type in answer.types:
                needing.append(folds[index].id)
            else:
                is_all = False
        found[event.event_id] = tuple(needing), is_all
    return found


def is_over(verdict: Verdict, pruned: Pruned) -> bool:
    """Whether a case had ended by the cut: its verdict may now be based on fewer events than before."""
    if pruned.until is None or verdict.outcome == "running":
        return False
    # A month may be met before it begins.
    return max(verdict.started_at, verdict.ended_at) <= pruned.until
