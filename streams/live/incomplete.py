"""Since when verdicts may be incomplete, and of which sources and subjects: what was lost, in one list.

Four causes: records of a source that retention removed before they were read (``lost``); records that became dead
letters (``refused``), of these apart the events that came too late to be judged (``too_old``); subjects that are set
aside (``quarantined``). The first three are listed for a day, letters no longer than until they are sent again; a
subject for as long as it is set aside. ``gridclock status`` and the board show the same list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, assert_never

import msgspec

from schemas.limits import DAY
from streams.core.alerts import Subject
from streams.core.separable_engine import LeftOut
from streams.core.verdicts import AlertKind
from streams.live.source_positions import Loss
from streams.wire.pseudonyms import Hidden
from streams.wire.state_rows import Aside

logger = logging.getLogger(__name__)

MOST_LETTERS: Final = 20_000
"""The newest dead letters that are looked at."""

_BOUNDS: Final = {
    "waiting": "acts that wait for one close",
    "violations": "violations that count together",
    "things": "orders or meters for which a condition holds",
}
"""What a log line calls each bound of a kind (``Bounded``)."""

Cause = Literal["lost", "refused", "too_old", "quarantined"]


@dataclass(frozen=True, slots=True)
class Incompleteness:
    """One cause: of a source (``topic/partition``) or a subject, since an instant (microseconds) where it is known.

    ``count`` is how many records at most; 0 for a subject.
    """

    cause: Cause
    since: int | None
    source: str | None = None
    subject: Subject | None = None
    count: int = 0


class _Letter(msgspec.Struct):
    reason: str
    source: str
    subject: Sequence[str] | None = None


class RecentLetters:
    """The dead letters of the last day that were not sent again; at most ``MOST_LETTERS``."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, tuple[int, Cause, str]] = {}

    def take(self, key: bytes, value: bytes | None, at: int) -> None:
        """Take a record of the dead-letter topic, written ``at``; without a value it marks a letter as sent again."""
        self._by_id.pop(key, None)
        if value is None:
            return
        try:
            letter = msgspec.json.decode(value, type=_Letter)
        except msgspec.MsgspecError:
            return  # no dead letter
        if letter.subject is None:  # else held of a subject that is set aside
            self._by_id[key] = at, "too_old" if letter.reason == "too_old" else "refused", letter.source
            if len(self._by_id) > MOST_LETTERS:
                del self._by_id[next(iter(self._by_id))]

    def incompleteness(self, now: int) -> list[Incompleteness]:
        """By source and cause: since the oldest letter of the last day, and how many."""
        found: dict[tuple[str, Cause], tuple[int, int]] = {}
        for at, cause, source in self._by_id.values():
            if at > now - DAY:
                first, count = found.get((source, cause), (at, 0))
                found[source, cause] = min(first, at), count + 1
        return [Incompleteness(cause, at, source, None, count) for (source, cause), (at, count) in found.items()]


def incompleteness(
    lost: Mapping[str, Sequence[Loss]], letters: RecentLetters, aside: Iterable[Aside], now: int
) -> list[Incompleteness]:
    """Every cause as of ``now``, the oldest first; ``lost`` by source."""
    found = [Incompleteness("quarantined", one.at, subject=one.subject) for one in aside]
    for source, losses in lost.items():
        recent = [loss for loss in losses if loss.at > now - DAY]
        if recent:
            first = min(loss.at for loss in recent)
            found.append(Incompleteness("lost", first, source, None, sum(loss.count for loss in recent)))
    found += letters.incompleteness(now)
    return sorted(found, key=lambda one: (one.since or 0, one.cause, one.source or "", one.subject or ()))


def since_of(found: Iterable[Incompleteness]) -> int | None:
    """Since when verdicts may be incomplete; ``None`` where they are whole, or where that is not known."""
    return min((one.since for one in found if one.since is not None), default=None)


def report_left_out(found: LeftOut, hidden: Hidden) -> None:
    """A log line on a subject that is past a bound; ``hidden`` replaces its number where there is a key."""
    kind, number = found.subject
    logger.warning(
        "%s %s: rule %s does not judge all of it: it has more than the bound on %s allows (deploy/README.md, Bounds); "
        "its alerts that may be wrong by that are marked incomplete; find out who sends so much under one number",
        kind, hidden.number(kind, number), found.rule, _BOUNDS.get(found.bound, found.bound),
    )  # fmt: skip


def rests_on_silence(kind: AlertKind, started_at: int, lost_before: int, keep_for: int | None) -> bool:
    """Whether an alert on a case that began then may be wrong: an event from that instant or before is missing.

    A case that had started by then may have ended by a lost event. For an act, the lost event may be any one before it
    that would still be kept.
    """
    match kind:
        case "warning" | "breach":
            return started_at <= lost_before
        case "violation":
            return keep_for is None or started_at <= lost_before + keep_for
        case "late_completion" | "retraction":
            return False
        case _:
            assert_never(kind)
