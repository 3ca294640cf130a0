"""A file of millions of events with hundreds of thousands of subjects open at a time, made of few: ``write_tiled``.

Some hundred thousand events are simulated once. Copies of them, with ids of their own and whole days later, lie over
one another like tiles: so many begin each day that the wanted number of subjects is open. Written day by day, in the
order of recording; in memory is one day.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from streams.rulebooks.loader import load_rulebook
from streams.simulation import simulate
from streams.wire.decoder import Decoder

DAYS = 20
FAR = 4_000_000_000_000_000
DAY = 86_400_000_000
REPEATED, CUT = 2_000, 5_000
"""One line in so many is sent twice, or cut off."""

_ID = re.compile(rb'"(WO|A|M|B)(?=\d{7,8}["-])')
_DATE = re.compile(rb'"(\d{4}-\d\d-\d\d)(?=[T"])')
_MARK, _DATE_MARK = b"\x00", b"\x01"

Template = tuple[bytes, bytes, tuple[tuple[bytes, int], ...]]
"""Time of day of recording; the line with marks for the tile and for its dates; each date mark and its ordinal."""


@dataclass(frozen=True)
class Tiled:
    """What was written: events are lines that are neither repetitions nor cut off."""

    lines: int
    events: int
    subjects_open: int
    tiles: int
    days: int


class Base:
    """The events that are copied, all of them of interest to some rule; by the day of their recording."""

    def __init__(self, *, orders: int, seed: int, start: date) -> None:
        loaded = load_rulebook()
        decode, copies_of = Decoder(loaded.catalogue).decode, loaded.rulebook.copies_of
        self.by_day: dict[int, list[Template]] = defaultdict(list)
        self.open_on: dict[int, int] = defaultdict(int)
        """Subjects between their first and last event at the end of a day."""
        self.count = 0
        lives: dict[tuple[str, str], tuple[int, int]] = {}
        for fields in simulate(orders=orders, seed=seed, start=start, days=DAYS).events:
            raw = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
            event = decode(raw, received=FAR)
            copies = copies_of(event)
            if not copies:
                continue
            self.count += 1
            for subject, _ in copies:
                first, last = lives.get(subject, (event.at, event.at))
                lives[subject] = min(first, event.at), max(last, event.at)
            text = fields["recorded_at"]
            self.by_day[date.fromisoformat(text[:10]).toordinal()].append(_template(raw, text[10:].encode()))
        zero = min(first for first, _ in lives.values()) // DAY
        self.first_day = min(self.by_day)
        for first, last in lives.values():
            for day in range(first // DAY, last // DAY):
                self.open_on[day - zero + self.first_day] += 1
        self.subject_days = sum(last - first for first, last in lives.values()) / DAY


def _template(raw: bytes, time: bytes) -> Template:
    dates: dict[bytes, int] = {}

    def marked(match: re.Match[bytes]) -> bytes:
        mark = dates_of.setdefault(match[1], b"%b%c" % (_DATE_MARK, 65 + len(dates_of)))
        dates[mark] = date.fromisoformat(match[1].decode()).toordinal()
        return b'"' + mark

    dates_of: dict[bytes, bytes] = {}
    line = _ID.sub(lambda match: match[0] + _MARK, _DATE.sub(marked, raw))
    return time, line + b"\n", tuple(dates.items())


def _day(base: Base, day: int, tiles: list[tuple[int, int]]) -> Iterator[bytes]:
    """The lines of one day, of every tile: its number and how many days later it lies."""
    found: list[tuple[bytes, int, bytes]] = []
    for tile, later in tiles:
        name = b"%04d" % tile
        texts: dict[int, bytes] = {}
        for time, template, dates in base.by_day.get(day - later, ()):
            line = template.replace(_MARK, name)
            for mark, ordinal in dates:
                text = texts.get(ordinal)
                if text is None:
                    text = texts[ordinal] = (date.fromordinal(ordinal) + timedelta(later)).isoformat().encode()
                line = line.replace(mark, text)
            found.append((time, tile, line))
    found.sort(key=lambda item: item[:2])
    for _, _, line in found:
        yield line


def write_tiled(path: Path, *, events: int, subjects_open: int, seed: int, orders: int = 20_000) -> Tiled:
    """Write so many events as JSON lines; fewer where the last tile ends before."""
    base = Base(orders=orders, seed=seed, start=date(2025, 3, 3))
    count = -(-events // base.count)
    a_day = max(subjects_open / base.subject_days, count / 200)
    tiles = [(tile, int(tile / a_day)) for tile in range(count)]
    last = max(base.by_day) + tiles[-1][1]
    written = lines = days = 0
    with open(path, "wb") as target:
        for day in range(base.first_day, last + 1):
            days += 1
            for line in _day(base, day, tiles):
                target.write(line)
                written += 1
                lines += 1
                if written % REPEATED == 0:
                    target.write(line)
                    lines += 1
                if written % CUT == 0:
                    target.write(line[: len(line) // 2] + b"\n")
                    lines += 1
                if written == events:
                    break
            if written == events:
                break
    most = max(
        sum(base.open_on.get(day - later, 0) for _, later in tiles)
        for day in range(base.first_day, base.first_day + days)
    )
    return Tiled(lines, written, most, count, days)
