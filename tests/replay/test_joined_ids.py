"""Ids joined of several columns by ``/``: where two may be written alike it is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.replay.runs import Runner

MAPPING = """format: json
time: {zone: Asia/Shanghai}
key: n
fields: {order_id: {column: [station, ticket]}}
events:
  - {event_type: repair.reported, occurred_at: at}
  - {event_type: repair.arrived, occurred_at: there, when: {column: there, present: true}}
"""
NOTE = "map.yaml:4: fields.order_id: columns 'station' and 'ticket' have values with the / that joins them"


def rows(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [
        {"n": number, "station": station, "ticket": ticket, "at": "2026-03-02 09:00", "there": None}
        for number, (station, ticket) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    "command",
    [
        ("map", "check"), ("map", "preview"), ("replay", "--quiet"), ("replay", "--jobs", "2"),
        ("replay", "--checkpoint", "point"), ("explain", "a/b/c"), ("rules", "suggest"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_two_rows_that_may_have_one_id_are_noted(gridclock: Runner, command: tuple[str, ...]) -> None:
    """``a/b`` and ``c`` make the id of ``a`` and ``b/c``: two repairs were judged as one, without a word."""
    mapping = gridclock.file("map.yaml", MAPPING)

    def notes(name: str, *pairs: tuple[Any, Any]) -> tuple[int, list[str]]:
        path = gridclock.lines(name, rows(*pairs))
        if command[0] == "map":
            arguments: tuple[Any, ...] = (*command, mapping, path)
        else:
            events = ("--events", path) if command[0] != "replay" else (path,)
            given = [gridclock.path / f"{name}.point" if one == "point" else one for one in command]
            arguments = (*given, *events, "--map", mapping)
        ran = gridclock(*arguments)
        return ran.code, [line for line in ran.err.splitlines() if "note:" in line]

    code, found = notes("both.jsonl", ("a/b", "c"), ("a", "b/c"))
    assert (code, len(found)) == (0, 1)
    assert NOTE in found[0]
    # What has the separator in one column only can be taken apart again.
    assert notes("one.jsonl", ("a/b", "c"), ("a/b/c", "d"))[1] == []
    assert notes("none.jsonl", ("a", 1), ("b", 2))[1] == []
