"""State as it is kept in the changelog: one row a subject, one row a partition of the log.

Rows carry their format's version. A newer program reads every older version; an older program refuses a newer
one. Instants are microseconds since the epoch.
"""

from __future__ import annotations

from typing import Any, Final

from schemas.base import Model

STATE_VERSION: Final = 2
"""The newest format that this program reads; rows of pruned histories have it."""

FIRST_VERSION: Final = 1
"""The format of all else, which version 0.1 reads too."""


class SubjectState(Model):
    """What is kept of one subject.

    ``events`` are lists of ``[event_id, type, at, recorded, data, order_id, account_id, meter_id, batch_id,
    corrects, void]``. ``told`` are the reports made and not withdrawn, each with its key ``[rule, root event id,
    kind, cause]``; ``withdrawn`` counts how often each report was withdrawn. ``standing`` is where the subject stood
    at ``decided_at``: ``[fingerprint of the rulebook, next due instant, open cases, running clocks]``, a case
    ``[rule, city]``, a clock ``[rule, city, county, start, deadline]``; rows of older programs do not have it.
    ``cases`` are there where the worker writes cases (``--cases``): ``[rule, root event id, digest of what was
    written]`` of each.
    ``pruned`` is ``[until, looked at, only]``: no event at or before ``until`` is taken any more (null: any is), how
    many events there were at the last look, and the events that some rules alone may still see, ``[event_id, rules]``.
    """

    v: int
    events: list[list[Any]]
    told: list[tuple[tuple[str, str, str, str], dict[str, Any]]]
    withdrawn: list[tuple[tuple[str, str, str, str], int]]
    decided_at: int
    standing: (
        tuple[
            str,
            int | None,
            list[tuple[str, str | None]],
            list[tuple[str, str | None, str | None, int, int | None]],
        ]
        | None
    ) = None
    cases: list[tuple[str, str, str]] = []
    pruned: tuple[int | None, int, list[tuple[str, list[str]]]] | None = None


class PartitionState(Model):
    """How far a partition of the log has been applied: everything up to ``offset``, inclusive.

    ``judged_by`` is the fingerprint of the rulebook and calendar that judged it: under another one every subject is
    judged anew. ``rulebook`` is that of the worker that wrote this; the two differ until all subjects are judged.
    ``subjects`` and ``open_cases`` are how much was kept then, for people; the cases are counted now and then only.
    ``checksum`` is the CRC-32 of the record at ``offset``, to know the log again by. Rows of older programs do not have
    them. ``aside`` are the subjects set aside, where there are any: ``[subject type, subject id, offset of the log from
    which on, offset of the last record with something held, reason, time of the partition then, whether the log has
    been seen to say so]``. ``lost_before`` is the latest of the log's records so far.
    ``suspect`` is what is about to be tried first by a process that has taken the partition over: ``[offset of the
    record of the log, tries so far, [[subject type, subject id]] or null for all]``; it is gone with the next row.
    """

    v: int
    offset: int
    at: int | None
    watermarks: dict[str, int]
    sources: dict[str, int]
    judged_by: str = ""
    subjects: int | None = None
    open_cases: int | None = None
    checksum: int | None = None
    aside: list[tuple[str, str, int, int, str, int | None, bool]] = []
    rulebook: str | None = None
    lost_before: int | None = None
    suspect: tuple[int, int, list[tuple[str, str]] | None] | None = None


class LogRecord(Model):
    """One record of the ordered log: events for the subjects of a partition, watermarks last.

    ``entries`` are ``[subject type, subject id, origin, event]``, the event a list as in ``SubjectState``, the
    origin ``topic/partition/offset``. ``watermarks`` are per source partition (``topic/partition``), in
    microseconds; ``sources`` says how many partitions each source topic has, all of which must have spoken before
    time moves.

    A control record (key ``control``) sets subjects aside (``aside``: ``[subject type, subject id, offset from which
    on, reason]``), brings them back with the events that were held (``released``: ``[subject type, subject id, offset
    up to which]``), or says which records cannot be read (``skipped``: ``[offset, reason]``). It says nothing of time.
    0.1 takes it for a record with those entries and without watermarks.

    ``lost_before`` is there where records of a source were removed before they were read: they had come in by that
    instant (microseconds).
    """

    v: int
    entries: list[tuple[str, str, str, list[Any]]]
    watermarks: dict[str, int]
    sources: dict[str, int]
    aside: list[tuple[str, str, int, str]] = []
    released: list[tuple[str, str, int]] = []
    skipped: list[tuple[int, str]] = []
    lost_before: int | None = None
