"""One event in two roles: which holds. The table of decisions is in streams/README.md; the oracle is asked too."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.test_acts import at, judged, outcomes, told

TWO_HOURS = {"kind": "deadline", "start": "start", "stop": "stop", "limit": "2 h"}
PAUSES = {**TWO_HOURS, "pause": "wait", "resume": "work"}
APART = {**TWO_HOURS, "pause": ["wait", "hold"], "resume": [{"type": "work", "ends": "wait"}, "note"]}
"""*work* ends a *wait*, *note* whatever the clock stands still for."""
BY_VALUE = {
    **TWO_HOURS,
    "pause": {"type": "wait", "where": {"k": [1, 2]}},
    "resume": [{"type": "work", "ends": {"type": "wait", "where": {"k": 2}}}, "note"],
}
"""*work* ends only a *wait* with k=2."""
UNLESS = {**TWO_HOURS, "pause": {"type": "wait", "unless": "note"}, "resume": ["note", "work"]}
"""The clock stands still from *wait* until *note*, which may have come before."""
CANCELS = {**PAUSES, "cancel": "cancel"}
WHILE = {**TWO_HOURS, "only_while": {"since": "since", "until": "until"}}

ROWS: list[tuple[str, dict[str, Any], str, list[str], list[str]]] = [
    # --- start and pause: both; the clock begins standing still
    (
        "a start that pauses",
        {**PAUSES, "start": ["start", "wait"]},
        "a 02T09:00 wait; b 02T10:00 work; c 02T11:30 stop",
        ["a met"],
        [],
    ),
    (
        "a start, and a pause at its instant",
        {**PAUSES, "start": ["start", "wait"]},
        "a 02T09:00 start; b 02T09:00 wait; c 02T10:00 work; d 02T12:00:00.001 stop",
        ["a met_late"],
        ["breach 03-02T12:00:00", "late_completion 03-02T12:00:00"],
    ),
    (
        "a pause at the instant of the start, its id before",
        {**PAUSES, "start": ["start", "wait"]},
        "a 02T09:00 wait; b 02T09:00 start; c 02T10:00 work; d 02T12:00 stop",
        ["a met"],
        [],
    ),
    (
        "a start that pauses and is never resumed",
        {**PAUSES, "start": "wait"},
        "a 02T09:00 wait; b 09T09:00 other",
        ["a running"],
        [],
    ),
    # --- start and resume: both; the clock begins running, whatever came before
    (
        "a start that resumes",
        {**PAUSES, "start": "work", "resume": ["work", "note"]},
        "a 02T08:00 wait; b 02T09:00 work; c 02T18:00 stop",
        ["b met_late"],
        ["breach 03-02T11:00:00", "late_completion 03-02T18:00:00"],
    ),
    (
        "resumed at the instant of a start that resumes",
        {**PAUSES, "start": "work", "resume": ["work", "note"]},
        "a 02T08:00 wait; b 02T09:00 note; c 02T09:00 work; d 02T18:00 stop",
        ["c met_late"],
        ["breach 03-02T11:00:00", "late_completion 03-02T18:00:00"],
    ),
    (
        "a start that resumes, never done",
        {**PAUSES, "start": "work"},
        "a 02T08:00 wait; b 02T09:00 work",
        ["b breached"],
        ["breach 03-02T11:00:00"],
    ),
    (
        "a start that resumes, and pauses again later",
        {**PAUSES, "start": "work"},
        "a 02T08:00 wait; b 02T09:00 work; c 02T10:00 wait; d 02T12:00 work; e 02T13:00 stop",
        ["b met"],
        [],
    ),
    # --- start and stop: it ends the case before and starts the next, never its own
    (
        "a start that stops",
        {**TWO_HOURS, "stop": ["stop", "start"]},
        "a 02T09:00 start; b 02T10:00 start",
        ["a met", "b breached"],
        ["breach 03-02T12:00:00"],
    ),
    # --- start and cancel: likewise; what stood still before it is over
    (
        "a start that cancels",
        {**CANCELS, "start": ["start", "cancel"]},
        "a 02T09:00 start; b 02T09:30 wait; c 02T10:00 cancel; d 02T12:00:00.001 stop",
        ["a cancelled", "c met_late"],
        ["breach 03-02T12:00:00", "late_completion 03-02T12:00:00"],
    ),
    # --- start, and the condition of only_while: since counts at once, until afterwards
    (
        "a start that makes the condition hold",
        {**WHILE, "only_while": {"since": "start"}},
        "a 02T09:00 start",
        ["a breached"],
        ["breach 03-02T11:00:00"],
    ),
    (
        "a start that ends the condition",
        {**WHILE, "only_while": {"since": "since", "until": "start"}},
        "s 02T08:00 since; a 02T09:00 start; b 02T09:30 stop; c 02T10:00 start",
        ["a met"],
        [],
    ),
    (
        "one event makes the condition hold and ends it",
        {**WHILE, "only_while": {"since": "since", "until": "since"}},
        "s 02T08:00 since; a 02T09:00 start",
        [],
        [],
    ),
    # --- stop and cancel: done is done
    (
        "a stop that cancels",
        {**CANCELS, "stop": ["stop", "cancel"]},
        "a 02T09:00 start; b 02T10:00 cancel",
        ["a met"],
        [],
    ),
    # --- stop and pause: it ends this case, and the next begins standing still
    (
        "a stop that pauses",
        {**PAUSES, "pause": ["wait", "stop"]},
        "a 02T09:00 start; b 02T10:00 stop; c 02T11:00 start; d 02T14:00 work; e 02T16:00 stop",
        ["a met", "c met"],
        [],
    ),
    # --- stop and resume: it ends the case at its instant, paused or not
    (
        "a stop that resumes",
        {**PAUSES, "resume": ["work", "stop"]},
        "a 02T09:00 start; b 02T10:00 wait; c 02T18:00 stop",
        ["a met"],
        [],
    ),
    # --- pause and resume: the pause holds
    (
        "a resume that pauses",
        {**PAUSES, "pause": ["wait", "work"], "resume": ["work", "note"]},
        "a 02T09:00 start; b 02T10:00 wait; c 02T11:00 work; d 02T18:00 note; e 02T19:00 stop",
        ["a met"],
        [],
    ),
    # --- several pauses at once: the clock stands still until each is ended
    (
        "a pause within another is ended, the other goes on",
        APART,
        "a 02T09:00 start; b 02T10:00 hold; c 02T11:00 wait; d 02T12:00 work; e 02T18:00 note; f 02T19:00 stop",
        ["a met"],
        [],
    ),
    (
        "the first of two pauses is ended, the second goes on",
        APART,
        "a 02T09:00 start; b 02T10:00 wait; c 02T11:00 hold; d 02T12:00 work; e 02T18:00 note; f 02T19:00:00.001 stop",
        ["a met_late"],
        ["breach 03-02T19:00:00", "late_completion 03-02T19:00:00"],
    ),
    (
        "a pause twice is ended once",
        APART,
        "a 02T09:00 start; b 02T10:00 wait; c 02T11:00 wait; d 02T12:00 work; e 02T13:00:00.001 stop",
        ["a met_late"],
        ["breach 03-02T13:00:00", "late_completion 03-02T13:00:00"],
    ),
    (
        "a resume of another pause, and of none",
        APART,
        "a 02T09:00 start; b 02T09:30 work; c 02T10:00 hold; d 02T10:30 work; e 09T09:00 other",
        ["a running"],
        [],
    ),
    (
        "both at once are ended by what ends all, and what was ended does not come again",
        APART,
        "a 02T09:00 start; b 02T09:00 wait; c 02T09:00 hold; d 02T09:00 note; e 02T09:00 work; f 02T11:00:00.001 stop",
        ["a met_late"],
        ["breach 03-02T11:00:00", "late_completion 03-02T11:00:00"],
    ),
    (
        "before the start, too, only its own resume ends a pause",
        APART,
        "a 02T08:00 hold; b 02T08:30 work; c 02T09:00 start; d 02T10:00 work; e 02T18:00 note; f 02T20:00 stop",
        ["c met"],
        [],
    ),
    (
        "one kind of a pause is ended, the other goes on",
        BY_VALUE,
        "a 02T09:00 start; b 02T10:00 wait k=1; c 02T11:00 work; d 02T18:00 note; e 02T19:00 stop",
        ["a met"],
        [],
    ),
    (
        "the latest pause by one event type counts",
        BY_VALUE,
        "a 02T09:00 start; b 02T10:00 wait k=1; c 02T10:30 wait k=2; d 02T11:00 work; e 02T12:00:00.001 stop",
        ["a met_late"],
        ["breach 03-02T12:00:00", "late_completion 03-02T12:00:00"],
    ),
    (
        "before the start, too, one kind of a pause is ended",
        BY_VALUE,
        "a 02T08:00 wait k=1; b 02T08:30 work; c 02T09:00 start; d 02T18:00 note; e 02T20:00 stop",
        ["c met"],
        [],
    ),
    # --- a pause that is none after what has come already
    (
        "what it waits for comes later",
        UNLESS,
        "a 02T09:00 start; b 02T10:00 wait; c 02T18:00 note; d 02T19:00 stop",
        ["a met"],
        [],
    ),
    (
        "what it would wait for has come",
        UNLESS,
        "a 02T09:00 start; b 02T09:30 note; c 02T10:00 wait; d 02T11:00:00.001 stop",
        ["a met_late"],
        ["breach 03-02T11:00:00", "late_completion 03-02T11:00:00"],
    ),
    (
        "what it would wait for has come before the start",
        UNLESS,
        "a 02T08:00 note; b 02T09:00 start; c 02T10:00 wait; d 02T11:00:00.001 stop",
        ["b met_late"],
        ["breach 03-02T11:00:00", "late_completion 03-02T11:00:00"],
    ),
    (
        "both before the start",
        UNLESS,
        "a 02T08:00 note; b 02T08:30 wait; c 02T09:00 start; d 02T11:00:00.001 stop",
        ["c met_late"],
        ["breach 03-02T11:00:00", "late_completion 03-02T11:00:00"],
    ),
    (
        "both at once, whichever is first",
        UNLESS,
        "a 02T09:00 start; b 02T10:00 note; c 02T10:00 wait; d 02T11:00:00.001 stop",
        ["a met_late"],
        ["breach 03-02T11:00:00", "late_completion 03-02T11:00:00"],
    ),
    (
        "both at once, the other way round",
        UNLESS,
        "a 02T09:00 start; b 02T10:00 wait; c 02T10:00 note; d 02T11:00:00.001 stop",
        ["a met_late"],
        ["breach 03-02T11:00:00", "late_completion 03-02T11:00:00"],
    ),
    (
        "it came in the case before: the next waits for its own",
        UNLESS,
        "a 02T09:00 start; b 02T09:30 note; c 02T10:00 stop; d 02T11:00 start; e 02T12:00 wait; f 02T20:00 note;"
        "g 02T21:00 stop",
        ["a met", "d met"],
        [],
    ),
    # --- cancel and pause: it ends this case, and the next begins standing still; cancel and resume: it runs
    (
        "a cancel that pauses",
        {**CANCELS, "pause": ["wait", "cancel"]},
        "a 02T09:00 start; b 02T10:00 cancel; c 02T11:00 start; d 02T14:00 work; e 02T16:00 stop",
        ["a cancelled", "c met"],
        [],
    ),
    (
        "a cancel that resumes",
        {**CANCELS, "resume": ["work", "cancel"]},
        "p 02T08:00 wait; q 02T08:30 cancel; a 02T09:00 start; e 02T11:00:00.001 stop",
        ["a met_late"],
        ["breach 03-02T11:00:00", "late_completion 03-02T11:00:00"],
    ),
    # --- acts: two roles of one event are two events at one instant; what helps is earlier, what is held against later
    (
        "an act that is its own need",
        {"kind": "prerequisite", "act": "act", "needs": {"any": ["need", "act"]}},
        "a 02T09:00 act",
        ["a met"],
        [],
    ),
    (
        "an act that is its own notice is no notice of an earlier day",
        {"kind": "minimum_notice", "act": "act", "notice": ["notice", "act"], "limit": "2 days"},
        "a 02T09:00 act; b 05T09:00 act",
        ["a violated", "b met"],
        ["violation 03-02T09:00:00"],
    ),
    (
        "an act that resets: from the next act on nothing earlier counts",
        {"kind": "prerequisite", "act": "act", "needs": "need", "reset": "act"},
        "n 02T08:00 need; a 02T09:00 act; b 02T10:00 act",
        ["a met", "b violated"],
        ["violation 03-02T10:00:00"],
    ),
    (
        "a need that resets is a need",
        {"kind": "prerequisite", "act": "act", "needs": "need", "reset": "need"},
        "n 02T08:00 need; a 02T09:00 act",
        ["a met"],
        [],
    ),
    (
        "an act that makes what forbids it hold",
        {"kind": "forbidden_while", "act": "act", "during": {"since": ["since", "act"]}},
        "a 02T09:00 act; b 02T10:00 act",
        ["a met", "b violated"],
        ["violation 03-02T10:00:00"],
    ),
    (
        "an act from which the time counts",
        {"kind": "not_before", "act": "act", "since": ["since", "act"], "limit": "1 day"},
        "a 02T09:00 act; b 02T10:00 act",
        ["a violated", "b violated"],
        ["violation 03-02T09:00:00", "violation 03-02T10:00:00"],
    ),
    (
        "an act counted, and reset by itself",
        {"kind": "at_most", "act": "act", "reset": "act"},
        "a 02T09:00 act; b 02T10:00 act",
        ["a met", "b met"],
        [],
    ),
    (
        "an act that is its own close",
        {"kind": "evidence", "act": "act", "needs": "need", "by": ["close", "act"]},
        "a 02T09:00 act; n 02T10:00 need",
        ["a violated"],
        ["violation 03-02T09:00:00"],
    ),
]


@pytest.mark.parametrize(("text", "story", "cases", "alerts"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_two_roles(text: dict[str, Any], story: str, cases: list[str], alerts: list[str]) -> None:
    run = judged(text, story, at("20T00:00"))
    assert outcomes(run) == cases
    assert told(run) == alerts
