"""What of a subject's history may be left out: state that does not grow.

Definition. A *cut* is an instant at or before which nothing can change any more: an event that happened no later than
it, and a correction of such an event, are refused as too old. Of the events up to a cut, each fold says which it still
needs (``Fold.needed``). What no fold needs is left out. What some need is kept for those alone: another rule, for which
it was over, must not begin a case with it again. What was due by the cut stands for ever: it is neither reported
nor taken back any more, because what is left of a case that is over may say something else.

The cut is ``keep_for`` behind the watermark. Past ``MOST_EVENTS`` it is where the newest half begins, so that no
subject can make its row, or the work on it, grow without end. A history is looked at when it has doubled since the last
look, so that looking costs each event the same on average.

Example, ``monthly-reading`` with 90 days: a meter read every month since January has, in December, the reading of
August for the turn of September, and those of September to December. An August reading that comes now is too old.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from streams.core.event import Event
from streams.core.history import History, Route, effective, names_one_of
from streams.core.records import Pruned, Snapshot, SubjectRecord
from streams.core.rulebook import Rulebook
from streams.core.verdicts import Fold, Needed, Verdict

FEWEST_EVENTS: Final = 8
"""Events of a subject that are not worth a look."""

MOST_EVENTS: Final = 2_000
"""Events of a subject past which all but the newest half are left out where they can be, whatever their age."""


def is_worth_a_look(events: int, looked_at: int) -> bool:
    """Whether a history of that many events may be pruned, having been that long at the last look."""
    return events >= FEWEST_EVENTS and (events >= 2 * looked_at or events > MOST_EVENTS >= looked_at)


def cut_of(record: SubjectRecord, watermark: int, keep_for: int) -> int:
    """The cut (microseconds) for a subject that was decided at a watermark; always before it."""
    events, cut = record.history.events, watermark - keep_for
    if len(events) > MOST_EVENTS:
        # Not at the instant itself: many may come that happened at one.
        cut = max(cut, events[-MOST_EVENTS // 2].at - 1)
    return min(cut, watermark - 1)


def refuses(history: History, pruned: Pruned, event: Event) -> bool:
    """Whether an event comes too late for a history that was pruned; repetitions of what is kept do not."""
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
    """Whether an event corrects, or is corrected by, one that is over, or corrects one that may have been left out."""
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
    """The snapshot with nothing that is over at the cut; ``None`` where all of it must stay.

    ``history`` is that of the snapshot.
    """
    events = snapshot.events
    if not events or events[0].at > cut:
        return None
    if any(event.corrects is not None and event.event_id not in history.roots for event in events):
        return None  # corrections in a circle are none, for as long as all of them are there
    over = [event for event in history.effective() if event.at <= cut]
    needed = _needed(history, over, rulebook.folds, rulebook.routes(snapshot.subject[0]), cut)
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
    return replace(
        snapshot,
        events=kept,
        reported=tuple((key, alert) for key, alert in snapshot.reported if alert.due_at > cut),
        pruned=Pruned(cut, len(kept), tuple(only.items())),
    )


class _Group:
    """An event with all that corrects it: kept or left out together."""

    __slots__ = ("ids", "is_young")

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.is_young = False


def _groups(events: Sequence[Event], roots: Mapping[str, str], cut: int) -> dict[str, _Group]:
    """By the id of the event that is corrected.

    A group is young while one of its events is later than the cut, or what it corrects is still to come.
    """
    groups: dict[str, _Group] = {}
    known = {event.event_id for event in events}
    for event in events:
        group = groups.setdefault(roots.get(event.event_id, event.event_id), _Group())
        group.ids.append(event.event_id)
        group.is_young = group.is_young or event.at > cut or roots.get(event.event_id, event.event_id) not in known
    return groups


def _needed(
    history: History, over: Sequence[Event], folds: Sequence[Fold], routes: Callable[[str], Sequence[Route]], cut: int
) -> dict[str, tuple[tuple[str, ...], bool]]:
    """By id of an event that is over: the rules that need it, and whether those are all that see it."""
    answers: dict[int, Needed | None] = {}
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
    """Whether a case had ended by the cut: what is found of it now may rest on less than it was judged by."""
    if pruned.until is None or verdict.outcome == "running":
        return False
    # A month may be met before it begins.
    return max(verdict.started_at, verdict.ended_at) <= pruned.until
