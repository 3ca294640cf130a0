"""State in the changelog: one row per subject, one row per partition of the log.

Rows have their format's version. A newer program reads every older version; an older program refuses a newer one.
Instants are microseconds since the epoch.
"""

from __future__ import annotations

from typing import Any, Final

from schemas.base import Model

STATE_VERSION: Final = 3
"""The newest format that this program reads; rows with saved states have it."""

PRUNED_VERSION: Final = 2
"""The format of other rows of pruned histories."""

FIRST_VERSION: Final = 1
"""The format of all other rows, which version 0.1 reads too."""


class SubjectState(Model):
    """The state of one subject.

    ``events`` are lists of ``[event_id, type, at, recorded, data, order_id, account_id, meter_id, batch_id, corrects,
    void]``. ``told`` are the reports made and not withdrawn, each with its key ``[rule, root event id, kind, cause]``;
    ``withdrawn`` counts how often each report was withdrawn. ``standing`` is the subject's state at ``decided_at``:
    ``[fingerprint of the rulebook, next due instant, open cases, running clocks]``, a case ``[rule, city]``, a clock
    ``[rule, city, county, start, deadline]``; rows of older programs do not have it. ``cases`` is present if the worker
    writes cases (``--cases``): ``[rule, root event id, digest of the content]`` of each. ``pruned`` is ``[until, looked
    at, only]``: events at or before ``until`` are refused (null: none), the number of events at the last examination,
    and the events that only some rules may still see, ``[event_id, rules]``. In format 3 a fourth member has the rules
    that go on from a saved state (``streams/core/saved.py``), ``[rule, states]``: they do not see the events up to
    ``until`` again. ``lacks`` is when the latest event happened that is known to have been refused.
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
    pruned: (
        tuple[int | None, int, list[tuple[str, list[str]]]]
        | tuple[int | None, int, list[tuple[str, list[str]]], list[tuple[str, list[Any]]]]
        | None
    ) = None
    lacks: int | None = None


class PartitionState(Model):
    """The position of a partition of the log: all records up to ``offset`` (inclusive) were applied.

    ``judged_by`` is the fingerprint of the rulebook and calendar that judged it: under another one every subject is
    judged again. ``rulebook`` is that of the worker that wrote this; the two differ until all subjects are judged.
    ``subjects`` and ``open_cases`` are counts for people; the cases are counted from time to time only. ``checksum`` is
    the CRC-32 of the record at ``offset``, to recognise the log. Rows of older programs do not have them. ``aside`` are
    the subjects set aside, if any: ``[subject type, subject id, first offset in the log, offset of the last record with
    a held entry, reason, the partition's watermark then, whether its control record was read]``. ``lost_before`` is the
    latest of the log's records so far. ``suspect`` is the first trial of a process that has taken over the partition:
    ``[offset of the log record, tries so far, [[subject type, subject id]] or null for all]``; the next row removes it.
    ``reads`` is the newest format of rows that the worker reads, 1 if absent. ``prunes`` is true once histories of the
    partition may be pruned, ``hashed`` where account and meter numbers are replaced by pseudonyms at intake; then
    ``key`` tells one key from another.
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
    reads: int = FIRST_VERSION
    prunes: bool = False
    hashed: bool = False
    key: str = ""


class LogRecord(Model):
    """One record of the ordered log: events for the subjects of a partition, watermarks last.

    ``entries`` are ``[subject type, subject id, origin, event]``, the event a list as in ``SubjectState``, the origin
    ``topic/partition/offset``. ``watermarks`` are per source partition (``topic/partition``), in microseconds;
    ``sources`` is the number of partitions of each source topic, all of which need a watermark before the combined one
    advances.

    A control record (key ``control``) sets subjects aside (``aside``: ``[subject type, subject id, first offset,
    reason]``), releases them with the held events (``released``: ``[subject type, subject id, last offset]``), or names
    records that cannot be read (``skipped``: ``[offset, reason]``). It has no watermarks. 0.1 reads it as a record with
    those entries and without watermarks.

    ``lost_before`` is present if records of a source were removed before they were read: they had been appended by that
    instant (microseconds).
    ``prunes`` is true where every worker reads rows of pruned histories: from then on the partition prunes.
    ``refused`` are subjects that records name which became dead letters: ``[subject type, subject id, when it happened,
    or came in]``.
    """

    v: int
    entries: list[tuple[str, str, str, list[Any]]]
    watermarks: dict[str, int]
    sources: dict[str, int]
    aside: list[tuple[str, str, int, str]] = []
    released: list[tuple[str, str, int]] = []
    skipped: list[tuple[int, str]] = []
    lost_before: int | None = None
    prunes: bool = False
    refused: list[tuple[str, str, int]] = []
