"""Small rulebooks of every kind: every option of the kind, in one version or two by effective date.

A kind joins by its line in ``WORLDS`` and in ``tests.oracle.KINDS``. Each option is a table of ways to write it, more
often the plain way. Event types are short words: *act*, *need*, *since* say what part they play in most of the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from schemas.rules import Rule
from tests.once import once_each
from tests.property.stories import (
    COUNTED_BY,
    WARNINGS,
    World,
    calendars,
    counting,
    deadline_worlds,
    follow_up_worlds,
    now_and_then,
    rule,
    subjects,
)

Options = Mapping[str, Sequence[Any]]
"""Key of the rule to the ways to write it; a key in brackets stands for several, each way is a mapping of them."""

ACTS = (*("act",) * 5, ["act", "act2"], {"type": "act", "where": {"k": [1, 2]}})
OF_ACTS: Options = {
    "act": ACTS,
    "(facts)": (
        *({},) * 5,
        {"when": {"k": {"not": 2}}},
        {"facts_from": "facts"},
        {"facts_from": "facts", "when": {"f": 1}},
        {"facts_from": "facts", "when": {"f": {"not": [1, 2]}}},
    ),
    "reset": ((), *("reset",) * 4, ["reset", {"type": "need", "where": {"k": 2}}], ["act", "need2"]),
    "closed_by": ((), (), "close", "close", ["close", "act", "reset"]),
}
NEEDS = (
    "need",
    "need",
    ["need", "need2"],
    {"any": ["need", "need2"]},
    {"any": ["need", "act"]},
    {"any": "need", "same_day": True},
    {"any": {"type": "need", "where": {"k": 1}}},
    {"any": "need", "after_start": True},
    {"any": "need", "same_day": True, "after_start": True},
    [{"any": "need", "if_act": {"k": 1}}, {"any": "need2", "if_act": {"k": {"not": 1}}, "same_day": True}],
    {"any": "need", "if_act": {"order_id": "O"}},
    {"any": {"type": "need", "where": {"k": {"is": "start.k"}}}},
    {"any": ["need2", {"type": "need", "where": {"k": {"more_than": "start.f"}}}], "same_day": True},
    [{"any": {"type": "need", "where": {"f": {"is": "start.f"}}}, "after_start": True}, {"any": "need2"}],
)
FIELDS: tuple[dict[str, Any], ...] = (
    *({},) * 3,
    {"k": 1},
    {"k": 2},
    {"k": True},
    {"f": 1},
    {"f": 1},
    {"f": 2},
    {"f": 2},
    {"k": 1, "f": 1},
    {"k": "x"},
    {"org": {"unit": "U1"}},
)
NAMED = (
    {"on": "2026-02-12"},
    {"on": "2026-02-13"},
    {"on": "2026-03-12"},
    {"on": "2026-02-12T09:05:00+08:00"},
    {"on": "2026-03-12T00:00:00.000001+08:00"},
)
"""Dates and instants that an event names: of days on which things happen."""
LENGTHS = (
    "5 min",
    "5 min",
    "24 h",
    "1 day",
    "2 days",
    "3 days",
    "1 working day",
    "3 working days",
    "1 natural month",
    "1 billing cycle",
    "2 business hours",
    "9 business hours",
)
# Days a natural month apart, ends of months, and a leap that is none.
DATES = ("2026-01-30", "2026-01-31", "2026-02-12", "2026-02-28", "2026-03-01", "2026-03-12", "2026-03-31", "2026-04-12")
CHANGES = (None, None, None, "2026-02-13", "2026-02-13", "2026-02-14", "2026-03-28", "2026-03-28")


_changes = st.sampled_from(CHANGES)
_counted_by = st.sampled_from(COUNTED_BY)


@once_each
def _ways(options: Options) -> st.SearchStrategy[Any]:
    """One way of writing each option."""
    return st.tuples(*(st.sampled_from(tuple(choices)) for choices in options.values()))


@st.composite
def _worlds(
    draw: st.DrawFn,
    kind: str,
    options: Options,
    types: Sequence[str],
    plots: Sequence[tuple[str, ...]],
    fields: Sequence[dict[str, Any]] = FIELDS,
    dates: Sequence[str] = (),
) -> World:
    ways = _ways(options)

    def version(number: int) -> dict[str, Any]:
        text: dict[str, Any] = {"kind": kind, "id": f"r{number}"}
        for key, way in zip(options, draw(ways), strict=True):
            text.update(way if key.startswith("(") else {key: way})
        limits = [text[name] for name in ("limit", "at_most", "every") if name in text]
        if limits and text.get("calendar") is not True:
            text.update(counting(limits, draw(_counted_by)))
        return text

    def versions(number: int) -> list[Rule]:
        subject = draw(subjects) if number else "order"
        first = {**version(number), "subject": subject}
        change = draw(_changes)
        if change is None:
            return [rule(first)]
        second = {**version(number), "subject": subject, "version": "2", "effective_from": change}
        return [rule({**first, "effective_to": change}), rule(second)]

    rules = versions(0)
    if draw(now_and_then):
        rules = rules + versions(1)
    calendar = draw(calendars)
    return World(calendar, rules, types, plots, fields, dates)


ANYTHING = ("act", "act", "act2", "need", "need2", "reset", "facts", "close", "other")

prerequisite_worlds = partial(
    _worlds,
    "prerequisite",
    {**OF_ACTS, "needs": NEEDS},
    ANYTHING,
    (
        (),
        ("act",),
        ("need", "act"),
        ("act", "need"),
        ("need", "reset", "act"),
        ("need", "reset", "need", "act"),
        ("need", "act", "reset", "act"),
        ("facts", "act"),
        ("facts", "need", "act", "facts", "act"),
        ("need", "need2", "act"),
    ),
)

forbidden_while_worlds = partial(
    _worlds,
    "forbidden_while",
    {
        **OF_ACTS,
        "during": (
            {"since": "since"},
            {"since": "since", "until": "until"},
            {"since": "since", "until": "until"},
            {"since": "since", "until": "until", "not_after": "late"},
            {"since": "since", "not_after": ["late", {"type": "since", "where": {"k": 2}}]},
            {"since": {"type": "since", "where": {"k": 1}}, "until": {"type": "since", "where": {"k": {"not": 1}}}},
            {"since": ["since", "act"], "until": ["until", "since"]},
            {"since": ["since", "act2"], "until": ["until", {"type": "act", "where": {"f": 1}}]},
        ),
    },
    ("act", "act", "act2", "since", "since", "until", "late", "reset", "facts", "close"),
    (
        (),
        ("since", "act"),
        ("act", "since", "act"),
        ("since", "until", "act"),
        ("since", "act", "until"),
        ("since", "since", "until", "act"),
        ("since", "until", "since", "act"),
        ("late", "since", "act"),
        ("since", "late", "act"),
        ("since", "reset", "act"),
        ("since", "reset", "act", "since", "act"),
        ("facts", "since", "act"),
    ),
)

minimum_notice_worlds = partial(
    _worlds,
    "minimum_notice",
    {
        **OF_ACTS,
        "notice": (
            "notice",
            "notice",
            ["notice", "need2"],
            ["notice", "act"],
            {"type": "notice", "where": {"k": {"present": True}}},
            {"type": "notice", "where": {"k": {"is": "start.k"}}},
            ["need2", {"type": "notice", "where": {"k": {"less_than": "start.f"}}}],
        ),
        "(limit)": (
            *({"limit": length} for length in LENGTHS),
            {"limit": "5 min", "at_most": "7 min"},
            {"limit": "3 min", "at_most": "1 day"},
            {"limit": "5 min", "at_most": "5 days"},
            {"limit": "1 day", "at_most": "5 days"},
            {"limit": "1 day", "at_most": "1 day"},
            {"limit": "1 day", "at_most": "3 days"},
            {"limit": "2 days", "at_most": "24 h"},
            {"limit": "1 working day", "at_most": "2 working days"},
            {"limit": "1 day", "at_most": "1 natural month"},
            {"limit": "90 business minutes", "at_most": "9 business hours"},
            {"limit": {"until": "on"}},
            {"limit": {"until": "on"}, "at_most": "2 days"},
            {"limit": "5 min", "at_most": {"until": "on"}},
            {"limit": {"until": "on"}, "at_most": {"until": "on"}},
        ),
        "covers": (*({},) * 5, {"k": "k"}, {"k": "ks"}, {"order_id": "of"}, {"order_id": "order_id", "k": "ks"}),
        "needs": (*((),) * 9, *NEEDS),
    },
    ("act", "act", "act2", "notice", "notice", "need", "need2", "reset", "facts", "close"),
    (
        (),
        ("act",),
        ("notice", "act"),
        ("notice", "notice", "act"),
        ("notice", "notice", "act"),
        ("notice", "notice", "notice", "act"),
        ("notice", "reset", "act"),
        ("notice", "reset", "notice", "act"),
        ("notice", "act", "act"),
        ("need", "notice", "act"),
        ("facts", "notice", "act"),
    ),
    (*FIELDS, {"k": 1, "ks": [1, 2]}, {"ks": [2]}, {"k": 2, "of": "O"}, {"of": "P", "ks": []}, *NAMED),
    DATES,
)

not_before_worlds = partial(
    _worlds,
    "not_before",
    {
        **OF_ACTS,
        "since": (
            "since",
            "since",
            ["since", "need2", "act2"],
            {"type": "since", "where": {"k": {"not": 2}}},
            {"type": "since", "where": {"k": {"is": "start.k"}}},
        ),
        "(limit)": (
            *({"limit": length} for length in LENGTHS),
            *({"limit": length, "date_field": "on"} for length in LENGTHS),
            *({"limit": {"until": "on"}},) * 4,
        ),
    },
    ("act", "act", "act2", "since", "since", "need", "need2", "reset", "facts", "close"),
    (
        (),
        ("act",),
        ("since", "act"),
        ("since", "act"),
        ("since", "since", "act"),
        ("since", "reset", "act"),
        ("since", "reset", "since", "act"),
        ("since", "act", "reset", "since", "act"),
        ("facts", "since", "act"),
    ),
    (*FIELDS, *({"on": day} for day in ("2026-02-10", "2026-02-11", "2026-02-12", "2026-02-12", "2026-03-01")), *NAMED),
    DATES,
)

retention_worlds = partial(
    _worlds,
    "retention",
    {
        **OF_ACTS,
        "since": ("since", "since", ["since", "need2", "act2"], {"type": "since", "where": {"k": {"not": 2}}}),
        "reading_days": ((), "reading", ["reading", "facts"]),
        "limit": ("1 billing cycle", "1 billing cycle", "2 billing cycles", *LENGTHS),
    },
    ("act", "act", "act2", "since", "since", "reading", "need2", "reset", "facts", "close"),
    (
        (),
        ("act",),
        ("since", "act"),
        ("since", "act"),
        ("since", "since", "act"),
        ("since", "reading", "act"),
        ("reading", "since", "act"),
        ("since", "reset", "act"),
        ("facts", "since", "reading", "act"),
    ),
    (*FIELDS, *({"reading_day": day} for day in (1, 12, 12, 13, 28, 30, 31, 0, 32, "x", True))),
    DATES,
)

at_most_worlds = partial(
    _worlds,
    "at_most",
    {
        **OF_ACTS,
        "n": (1, 1, 2),
        "per": (None, None, "k", "f"),
        "period": (None, None, "day", "natural month"),
    },
    ("act", "act", "act", "act2", "reset", "facts", "facts", "need", "close"),
    (
        (),
        ("act",),
        ("act", "act"),
        ("act", "act", "act"),
        ("act", "reset", "act"),
        ("act", "act", "reset", "act", "act"),
        ("facts", "act", "act"),
        ("facts", "act", "facts", "act"),
        ("act2", "act", "act2"),
    ),
    (*FIELDS, {"k": "x"}, {"k": [1]}),
    ("2026-01-31", "2026-02-28", "2026-03-01"),
)

evidence_worlds = partial(
    _worlds,
    "evidence",
    {
        **OF_ACTS,
        "(asks)": (
            {"carry": {"k": 1}},
            {"carry": [{"k": {"present": True}}, {"f": 1}]},
            {"carry": [{"k": {"at_least": 2}, "f": {"not": 2}}], "needs": "need"},
            *({"needs": needs} for needs in NEEDS),
        ),
        "(by)": (
            {},
            *({"by": "close"},) * 2,
            {"by": ["close", "facts"]},
            {"by": ["close", "act"], "cancel": ["cancel", "need2"]},
            *({"by": "close", "cancel": "cancel"},) * 4,
            {"by": "close", "cancel": ["cancel", {"type": "close", "where": {"k": 1}}]},
            {"by": {"type": "close", "where": {"k": {"not": 1}}}, "cancel": "need2"},
            {"cancel": "cancel"},
        ),
    },
    ("act", "act", "act2", "need", "need", "need2", "close", "close", "cancel", "reset", "facts"),
    (
        (),
        ("act",),
        ("need", "act"),
        ("act", "close"),
        ("act", "need", "close"),
        ("act", "need", "need", "close"),
        ("need", "act", "close"),
        ("act", "close", "need"),
        ("act", "cancel", "close"),
        ("act", "close", "cancel"),
        ("act", "need", "cancel", "close"),
        ("act", "need", "reset", "close"),
        ("need", "reset", "act", "close"),
        ("need", "reset", "act", "close"),
        ("act", "close", "act", "close"),
        ("facts", "act", "need", "facts", "close"),
    ),
)

recording_delay_worlds = partial(
    _worlds,
    "recording_delay",
    {
        **OF_ACTS,
        "limit": (
            "60 min",
            "1 h",
            "24 h",
            "1 day",
            "1 working day",
            "same working day",
            "same working day",
            "2 working days",
            "2 business hours",
            [{"when": {"event_type": "act"}, "is": "same working day"}, {"is": "1 working day"}],
            [{"when": {"k": 1}, "is": "59 min"}],
        ),
    },
    ("act", "act", "act2", "facts", "close", "need", "reset"),
    ((), ("act",), ("act",), ("act", "act2"), ("facts", "act"), ("act", "facts", "act")),
)

sequence_worlds = partial(
    _worlds,
    "sequence",
    {
        "stages": (
            ["one", "two"],
            ["one", "two", "three"],
            ["one", "two", "three"],
            [["one", {"type": "two", "where": {"k": 1}}], {"type": "two", "where": {"k": {"not": 1}}}, "three"],
            ["one", {"type": "two", "where": {"k": {"present": True}}}, ["three", "four"], "five"],
        ),
        "closed_by": ((), "close"),
    },
    ("one", "two", "three", "four", "five", "close"),
    (
        (),
        ("one", "two"),
        ("two", "one"),
        ("one", "two", "three"),
        ("three", "one", "two"),
        ("two", "one", "two"),
        ("three", "two", "one"),
        ("one", "three", "two", "five", "four"),
    ),
)

cadence_worlds = partial(
    _worlds,
    "cadence",
    {
        "act": (*ACTS, {"type": "act", "where": {"k": {"not": 2}}}),
        "since": ((), (), "since", ["since", "close"]),
        "until": ((), "until", "until", ["until", {"type": "act", "where": {"k": 2}}]),
        "(every)": (
            {"every": "5 min"},
            {"every": "2 days"},
            {"every": "1 working day"},
            {"every": "3 working days"},
            {"every": "2 business hours"},
            {"every": "1 natural month"},
            {"every": "2 natural months"},
            *({"every": "1 natural month", "calendar": True},) * 3,
            *({"every": "1 natural month", "calendar": True, "period": "period"},) * 3,
        ),
        "warn_at": WARNINGS,
    },
    ("act", "act", "act2", "since", "until", "close", "other"),
    (
        (),
        ("act",),
        ("act", "act"),
        ("act", "act", "act"),
        ("since", "act"),
        ("since", "until"),
        ("act", "until"),
        ("act", "act", "until", "act"),
        ("act", "until", "since", "act"),
        ("since", "act", "act", "until"),
    ),
    (
        *FIELDS,
        *({"period": month} for month in ("2026-02", "2026-02", "2026-03", "2026-03", "2026-04", "2026-13", "x")),
    ),
    ("2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01", "2026-03-31", "2026-04-01", "2026-04-30", "2026-05-01"),
)

WORLDS: dict[str, Callable[[], st.SearchStrategy[World]]] = {
    "deadline": deadline_worlds,
    "follow_up": follow_up_worlds,
    "prerequisite": prerequisite_worlds,
    "forbidden_while": forbidden_while_worlds,
    "minimum_notice": minimum_notice_worlds,
    "not_before": not_before_worlds,
    "retention": retention_worlds,
    "at_most": at_most_worlds,
    "evidence": evidence_worlds,
    "recording_delay": recording_delay_worlds,
    "sequence": sequence_worlds,
    "cadence": cadence_worlds,
}

# The kinds share twice the profile's examples: 2,000 in CI for each property, of which each kind has its part.
_PROFILE = settings().max_examples
per_kind = settings(max_examples=max(2 * _PROFILE // len(WORLDS) + 1, min(50, _PROFILE // 4)))
