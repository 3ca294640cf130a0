"""Local days and working days: instants to local dates and back, and counting days that are worked.

Nothing here reads a clock or a file (except the zone's data, once): a calendar is a pure value. An instant is
microseconds since the Unix epoch in UTC and a local date is its proleptic Gregorian ordinal (``date.toordinal``),
because both are compared and added millions of times in a replay.

Theory of operation. A zone is converted once into its list of offset changes. Day ``d`` is then the half-open span
``[start_of_day(d), start_of_day(d + 1))`` of instants, so "24:00 of ``d``" and "0:00 of ``d + 1``" are one instant, and
a day has 23, 24 or 25 hours. Where midnight is skipped the day starts at the instant of the change. Where a change
turns the wall clock back over midnight (St John's until 2011), the day ends when its date is shown for the last time. A
date that a zone skipped (Apia, 2011-12-30) is an empty span. After the last change of a zone (Shanghai: 1991) all of
this is one multiplication.

A day is worked unless it is on the weekend or a holiday; a make-up day is worked whatever its weekday. In a year
whose holidays are not announced only the weekend is known: such days are provisional.

Example. Two working days from Thursday 2026-02-12 in China: Friday 13 and Saturday 14 February (a make-up day for
the Spring Festival, which runs from 15 to 23), so the limit ends on 14 February at 24:00 in Shanghai, which is
2026-02-14T16:00Z. Three working days end on Tuesday 24 February.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from io import BytesIO
from itertools import accumulate, compress
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from schemas.limits import DAY, MINUTE, SECOND
from streams.core.instants import format_us, moment_of

if TYPE_CHECKING:
    from streams.core.opening_hours import OpeningHours

EPOCH_ORDINAL = 719_163
"""The ordinal of 1970-01-01."""

SATURDAY, SUNDAY = 5, 6

# Zone data is read between these years. Before, the first offset holds; after, the last one. Rules of daylight saving
# after 2100 are unknown, and a date so far ahead is a typing error.
_FIRST_YEAR, _LAST_YEAR = 1900, 2100

# Days of these years are looked up in a table, all others are computed.
_TABLE_FIRST = date(2000, 1, 1).toordinal()
_TABLE_LAST = date(2060, 12, 31).toordinal()
TABLE_DAYS = range(_TABLE_FIRST, _TABLE_LAST + 1)

_CLOCK = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(24 * 60)]

_MARGIN = 26 * 3600 * SECOND  # no offset is that large
_BEGINNING = -(1 << 62)  # before every instant


# --- zones ----------------------------------------------------------------------------------------------


class _PinnedZone(ZoneInfo):
    """A zone from the ``tzdata`` package that survives pickling (``ZoneInfo.from_file`` alone does not)."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return zone_named, (self.key,)


@lru_cache(maxsize=64)
def zone_named(name: str) -> ZoneInfo:
    """The IANA zone from the ``tzdata`` package, never from the operating system; one object per name.

    Raises:
        ValueError: for a name that the package does not have.
    """
    try:
        return _PinnedZone.from_file(BytesIO(_zone_data(name)), key=name)
    except (OSError, ImportError, ValueError) as error:
        raise ValueError(f"{name!r} is not a time zone; use an IANA name such as Asia/Shanghai") from error


def _zone_data(name: str) -> bytes:
    *folders, file_name = name.split("/")
    if not all(part[:1].isalpha() and part.isascii() for part in (*folders, file_name)):
        raise FileNotFoundError(name)
    return resources.files(".".join(["tzdata.zoneinfo", *folders])).joinpath(file_name).read_bytes()


def _may_change(data: bytes, days: range) -> list[int]:
    """Of days (from 1970, UTC; each without its first instant, with its last) those in which a zone may change.

    ``data`` is TZif (RFC 9636). It lists the transitions; a rule of daylight saving may follow, as in Berlin, after
    which any later day may have one.
    """
    if data[4:5] < b"2":  # transitions of 32 bits alone
        return list(days)
    counts = struct.Struct(">20x6l")
    utc, standard, leaps, listed, types, characters = counts.unpack_from(data)
    start = counts.size + 5 * listed + 6 * types + characters + 8 * leaps + standard + utc  # those of 64 bits
    listed = counts.unpack_from(data, start)[3]
    found = [(at - 1) // 86_400 for at in struct.unpack_from(f">{listed}q", data, start + counts.size)]
    is_followed = b"," in data[data.rindex(b"\n", 0, -1) :]
    later = days[bisect_right(days, found[-1]) if found else 0 :] if is_followed else ()
    return [*(day for day in dict.fromkeys(found) if day in days), *later]


@dataclass(frozen=True, slots=True)
class ZoneOffsets:
    """The offsets of a zone: from ``changes[i]`` (inclusive) local time is UTC plus ``offsets[i]``.

    All in microseconds. ``turns_back`` is true where some change turns the wall clock back over midnight.
    """

    changes: tuple[int, ...]
    offsets: tuple[int, ...]
    turns_back: bool


@lru_cache(maxsize=64)
def offsets_of(name: str) -> ZoneOffsets:
    """Read the offset changes of a zone from its data, to the second."""
    zone = zone_named(name)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)

    def offset_at(second: int) -> int:
        found = (epoch + timedelta(seconds=second)).astimezone(zone).utcoffset()
        assert found is not None
        return found // timedelta(seconds=1)

    def second_of(year: int) -> int:
        return (date(year, 1, 1).toordinal() - EPOCH_ORDINAL) * 86_400

    before = second_of(_FIRST_YEAR)
    known = offset_at(before)
    changes, offsets, turns_back = [_BEGINNING], [known], False
    # No zone has ever changed twice within one day.
    for day in _may_change(_zone_data(name), range(before // 86_400, second_of(_LAST_YEAR + 1) // 86_400 - 1)):
        after = (day + 1) * 86_400
        new = offset_at(after)
        if new != known:
            low, high = after - 86_400, after
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if offset_at(middle) == new else (middle, high)
            changes.append(high * SECOND)
            offsets.append(new)
            turns_back = turns_back or (high - 1 + known) // 86_400 > (high + new) // 86_400
            known = new
    return ZoneOffsets(tuple(changes), tuple(offset * SECOND for offset in offsets), turns_back)


class LocalTexts:
    """Instants as text in a zone; equal to ``format_us``, but composed of parts after the last change of the zone.

    ``text`` gives an instant with date, time to the millisecond (microsecond where there are any), and offset. An alert
    has each of its instants several times, and nearly all of a replay are within a few days: so both are kept a while.
    """

    __slots__ = ("_days", "_offset", "_since", "_suffix", "_until", "_zone", "text")

    def __init__(self, zone: ZoneInfo, since: int, offset: int) -> None:
        self._zone = zone
        self._since = max(since, 0)
        self._until = (date(_LAST_YEAR, 1, 1).toordinal() - EPOCH_ORDINAL) * DAY
        self._offset = offset
        self._suffix = moment_of(self._since, zone).isoformat(timespec="seconds")[19:]
        self._days: dict[int, str] = {}
        self.text: Callable[[int], str] = lru_cache(maxsize=4096)(self._composed)

    def _composed(self, instant: int) -> str:
        if not self._since <= instant < self._until:
            return format_us(instant, self._zone)
        day, rest = divmod(instant + self._offset, DAY)
        prefix = self._days.get(day)
        if prefix is None:
            prefix = self._days[day] = date.fromordinal(day + EPOCH_ORDINAL).isoformat() + "T"
        minute, rest = divmod(rest, MINUTE)
        second, microsecond = divmod(rest, SECOND)
        part = f"{microsecond:06d}" if microsecond % 1000 else f"{microsecond // 1000:03d}"
        return f"{prefix}{_CLOCK[minute]}:{second:02d}.{part}{self._suffix}"


# --- working days ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class SpecialDay:
    """A day that differs from its weekday's rule: a holiday or a make-up working day. Names may be empty."""

    ordinal: int
    is_working: bool
    name_zh: str = ""
    name_en: str = ""


@dataclass(frozen=True, slots=True)
class WorkingCalendar:
    """Maps instants to local dates, and knows which dates are worked. A value: hashable, picklable.

    ``zone_name`` is an IANA name. ``weekend`` holds weekdays off (Monday is 0), at most six of them. ``special_days``
    has each date at most once. ``known_years`` are the years whose holidays are announced; ``None`` means that nothing
    is announced and no day is provisional. ``hours`` are its opening hours, if any.

    Ordinals outside the years 1 to 9999 are allowed; they are provisional if ``known_years`` is set.
    """

    zone_name: str = "UTC"
    weekend: frozenset[int] = frozenset({SATURDAY, SUNDAY})
    special_days: tuple[SpecialDay, ...] = ()
    known_years: frozenset[int] | None = None
    hours: OpeningHours | None = field(default=None, repr=False, compare=False)

    zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _changes: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _offsets: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _turns_back: bool = field(init=False, repr=False, compare=False)
    _settled_at: int = field(init=False, repr=False, compare=False)
    _settled_day: int = field(init=False, repr=False, compare=False)
    _settled_offset: int = field(init=False, repr=False, compare=False)
    _special: dict[int, SpecialDay] = field(init=False, repr=False, compare=False)
    _works: bytes = field(init=False, repr=False, compare=False)
    _worked: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _rank: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _provisional: bytes = field(init=False, repr=False, compare=False)
    _texts: LocalTexts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.weekend <= frozenset(range(7)) or len(self.weekend) == 7:
            raise ValueError(f"weekend {sorted(self.weekend)} must be weekdays 0 to 6, and not all of them")
        special = {day.ordinal: day for day in self.special_days}
        if len(special) != len(self.special_days):
            raise ValueError("a date stands twice among the special days")
        offsets = offsets_of(self.zone_name)
        settled_at, settled_offset = offsets.changes[-1], offsets.offsets[-1]
        settled_day = settled_at
        if len(offsets.changes) > 1:
            # No earlier offset has an effect two days later.
            settled_day = (settled_at + settled_offset) // DAY + EPOCH_ORDINAL + 2
            settled_at = (settled_day - EPOCH_ORDINAL) * DAY - settled_offset

        table = range(_TABLE_FIRST, _TABLE_LAST + 1)
        week = bytes((ordinal - 1) % 7 not in self.weekend for ordinal in table[:7])
        works = bytearray((week * (len(table) // 7 + 1))[: len(table)])
        for ordinal, day in special.items():
            if ordinal in table:
                works[ordinal - _TABLE_FIRST] = day.is_working
        derived: dict[str, object] = {
            "zone": zone_named(self.zone_name),
            "_changes": offsets.changes,
            "_offsets": offsets.offsets,
            "_turns_back": offsets.turns_back,
            "_settled_at": settled_at,
            "_settled_day": settled_day,
            "_settled_offset": settled_offset,
            "_special": special,
            "_works": bytes(works),
            "_worked": tuple(compress(table, works)),
            "_rank": tuple(accumulate(works)),
            "_provisional": self._provisional_days(),
            "_texts": LocalTexts(zone_named(self.zone_name), settled_at, settled_offset),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return WorkingCalendar, (self.zone_name, self.weekend, self.special_days, self.known_years, self.hours)

    @property
    def settled(self) -> tuple[int, int, int]:
        """The instant and the local date after which the zone has no more changes, and its offset then (µs)."""
        return self._settled_at, self._settled_day, self._settled_offset

    # --- instants and local dates ---

    def local_date(self, instant: int) -> int:
        """The ordinal of the local date on which ``instant`` (µs, UTC) falls."""
        if instant >= self._settled_at:
            return (instant + self._settled_offset) // DAY + EPOCH_ORDINAL
        offset = self._offsets[bisect_right(self._changes, instant) - 1]
        ordinal = (instant + offset) // DAY + EPOCH_ORDINAL
        # Where the wall clock goes back over midnight, the first minutes of the new day belong to the day before.
        if self._turns_back and instant < self.start_of_day(ordinal):
            ordinal -= 1
        return ordinal

    def start_of_day(self, ordinal: int) -> int:
        """The first instant (µs, UTC) of a local date; also the end (24:00) of the date before."""
        midnight = (ordinal - EPOCH_ORDINAL) * DAY
        if ordinal >= self._settled_day:
            return midnight - self._settled_offset
        # The day starts where an earlier date is shown for the last time: under the latest offset that shows it.
        changes, offsets = self._changes, self._offsets
        index = bisect_right(changes, midnight + _MARGIN) - 1
        until = midnight - offsets[index]
        while changes[index] >= until:
            until = min(changes[index], midnight - offsets[index - 1])
            index -= 1
        return until

    def local_text(self, instant: int) -> str:
        """``2026-03-02T09:00:00.000+08:00``: the instant as ``format_us`` gives it in the calendar's zone."""
        return self._texts.text(instant)

    def occurs_twice(self, instant: int) -> bool:
        """Whether another instant has the same local time: the hour before or after a clock was turned back."""
        if instant >= self._settled_at:
            return False
        changes, offsets = self._changes, self._offsets
        index = bisect_right(changes, instant) - 1
        if index > 0 and instant - changes[index] < offsets[index - 1] - offsets[index]:
            return True
        following = index + 1
        return following < len(changes) and changes[following] - instant <= offsets[index] - offsets[following]

    # --- days that are worked ---

    def is_working_day(self, ordinal: int) -> bool:
        """Whether the date is worked: decided by its weekday, unless it is a holiday or a make-up working day."""
        index = ordinal - _TABLE_FIRST
        if 0 <= index < len(self._works):
            return self._works[index] == 1
        day = self._special.get(ordinal)
        return (ordinal - 1) % 7 not in self.weekend if day is None else day.is_working

    def is_provisional(self, ordinal: int) -> bool:
        """Whether the holidays of the date's year are not announced, so that only weekends are known.

        The last days of an announced year are not provisional, although the announcement for the next year
        has moved working days there before (2018-12-29).
        """
        index = ordinal - _TABLE_FIRST
        if 0 <= index < len(self._provisional):
            return self._provisional[index] == 1
        if self.known_years is None:
            return False
        if not 1 <= ordinal <= date.max.toordinal():
            return True
        return date.fromordinal(ordinal).year not in self.known_years

    def has_provisional(self, first: int, last: int) -> bool:
        """Whether any date from ``first`` to ``last`` (both inclusive) is provisional: whole years are, or are not."""
        return (
            self.is_provisional(last)
            or self.is_provisional(first)
            or (last - first > 365 and any(self.is_provisional(day) for day in range(first, last, 365)))
        )

    def _provisional_days(self) -> bytes:
        days = bytearray()
        for year in range(date.fromordinal(_TABLE_FIRST).year, date.fromordinal(_TABLE_LAST).year + 1):
            known = self.known_years is None or year in self.known_years
            days += bytes([not known]) * (date(year + 1, 1, 1) - date(year, 1, 1)).days
        return bytes(days)

    def next_working_day(self, ordinal: int) -> int:
        """The first working day after the date; ``next_working_day(d - 1)`` is the first on or after ``d``."""
        return self.add_working_days(ordinal, 1)

    def add_working_days(self, ordinal: int, days: int) -> int:
        """The last of ``days`` working days counted from the next working day after the date.

        Zero days give the date itself, worked or not.

        Raises:
            ValueError: for a negative number of days.
        """
        if days < 0:
            raise ValueError(f"cannot count {days} working days: the number must not be negative")
        if days == 0:
            return ordinal
        index = ordinal - _TABLE_FIRST
        if 0 <= index < len(self._rank):
            position = self._rank[index] + days - 1
            if position < len(self._worked):
                return self._worked[position]
        while days:
            ordinal += 1
            if self.is_working_day(ordinal):
                days -= 1
        return ordinal

    def working_days_between(self, after: int, until: int) -> Iterator[int]:
        """The working days later than ``after`` up to and including ``until``, in order.

        So the days between ``d`` and ``add_working_days(d, n)`` are the ``n`` that were counted.
        """
        return (ordinal for ordinal in range(after + 1, until + 1) if self.is_working_day(ordinal))

    def day_name(self, ordinal: int, language: Literal["zh", "en"] = "zh") -> str | None:
        """The name of a holiday or make-up working day; ``None`` for an ordinary day."""
        day = self._special.get(ordinal)
        if day is None:
            return None
        return (day.name_zh if language == "zh" else day.name_en) or None

    @property
    def fingerprint(self) -> str:
        """Equal for calendars that count alike, also across processes: shows that a calendar has changed."""
        parts = (
            self.zone_name,
            offsets_of(self.zone_name),
            sorted(self.weekend),
            sorted((day.ordinal, day.is_working) for day in self.special_days),
            None if self.known_years is None else sorted(self.known_years),
            *([] if self.hours is None else [self.hours.table]),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
