"""``gridclock replay`` as users and other tools rely on it: arguments, files, exit codes, and what is said."""

from __future__ import annotations

import gzip
import io
import json
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from schemas.alerts import AlertEvent, CaseEvent
from schemas.dead_letters import REASONS, DeadLetter
from streams.cli import run
from tests.stories import wire

STORY = """
    e1 2026-03-02T09:00 counter.service_started WO1 business=fee
    z1 +7m counter.service_completed WO1
    e2 +10m counter.service_started WO2 business=fee
    z2 +14m counter.service_completed WO2
    e3 +20m counter.service_started WO3 business=fee
"""
RULES = """\
chapter: T
title: {zh: 测试, en: Test}
events: {gas.reported: {}, gas.arrived: {}}
rules:
  - id: leak
    effective_from: 2024-01-01
    clauses: [T-S1]
    source: a test
    kind: deadline
    subject: order
    title: {zh: 抢修, en: Leak}
    start: gas.reported
    stop: gas.arrived
    limit: 30 min
"""


def lines(story: str = STORY) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in wire(story))


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines())
    return path


Called = tuple[int, list[Any], str]


@pytest.fixture
def replay(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Called]:
    """Run the command: exit code, alerts on standard output, text on standard error."""

    def call(*arguments: object) -> Called:
        code = run(["replay", *map(str, arguments)])
        out, error = capfdbinary.readouterr()
        return code, [AlertEvent.model_validate_json(line).data for line in out.splitlines()], error.decode()

    return call


def told(alerts: list[Any]) -> list[tuple[str, str]]:
    watched = ("fee-5-minutes", "leak")
    return [(alert.order_id, alert.kind) for alert in alerts if alert.kind != "warning" and alert.rule in watched]


LATE = [("WO1", "breach"), ("WO1", "late_completion")]


# -- what comes out --------------------------------------------------------------------------------------


def test_alerts_on_standard_output_and_a_summary_beside_them(replay: Callable[..., Called], events: Path) -> None:
    code, alerts, error = replay(events)
    assert (code, told(alerts)) == (0, LATE)  # the end of input is not the end of time: WO3 is still running
    assert "5 lines, 5 events" in error
    assert "fee-5-minutes" in error


def test_quiet_says_nothing(replay: Callable[..., Called], events: Path) -> None:
    assert replay(events, "--quiet")[2] == ""


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2026-03-02T09:04:59.999+08:00", []),
        ("2026-03-02T09:05:00+08:00", LATE[:1]),
        ("2026-03-02T09:07:00+08:00", LATE),
        ("2026-03-02T09:25:00+08:00", [*LATE, ("WO3", "breach")]),
        ("2026-03-02T01:25:00Z", [*LATE, ("WO3", "breach")]),
    ],
)
def test_time_ends_at_until(
    replay: Callable[..., Called], events: Path, until: str, expected: list[tuple[str, str]]
) -> None:
    code, alerts, _ = replay(events, "--until", until)
    assert (code, told(alerts)) == (0, expected)


def test_alerts_and_cases_in_files(replay: Callable[..., Called], events: Path, tmp_path: Path) -> None:
    alerts, cases = tmp_path / "alerts.jsonl", tmp_path / "cases.jsonl"
    code, on_stdout, _ = replay(
        events, "--alerts", alerts, "--cases", cases, "--until", "2026-03-02T09:21:00+08:00", "--quiet"
    )
    assert (code, on_stdout) == (0, [])
    found = [AlertEvent.model_validate_json(line).data for line in alerts.read_bytes().splitlines()]
    assert told(found) == LATE
    judged = [CaseEvent.model_validate_json(line).data for line in cases.read_bytes().splitlines()]
    assert [(case.order_id, case.outcome) for case in judged if case.rule == "fee-5-minutes"] == [
        ("WO1", "met_late"), ("WO2", "met"), ("WO3", "running"),
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alerts.jsonl", "cases.jsonl", "events.jsonl"]


def test_the_same_files_give_the_same_bytes(events: Path, tmp_path: Path) -> None:
    outputs = []
    for name in ("a", "b"):
        assert run(["replay", str(events), "--alerts", str(tmp_path / name), "--quiet"]) == 0
        outputs.append((tmp_path / name).read_bytes())
    assert outputs[0] == outputs[1] != b""


# -- what goes in ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz", "e.jsonl.zst", "gzip-by-another-name"])
def test_plain_and_compressed_files_are_read_alike(replay: Callable[..., Called], tmp_path: Path, name: str) -> None:
    raw = lines()
    if "gz" in name:
        half = len(raw) // 2
        raw = gzip.compress(raw[:half]) + gzip.compress(raw[half:])  # of two members, as appended logs are
    elif "zst" in name:
        raw = zstandard.compress(raw)
    (tmp_path / name).write_bytes(raw)
    code, alerts, _ = replay(tmp_path / name)
    assert (code, told(alerts)) == (0, LATE)


def test_standard_input(replay: Callable[..., Called], monkeypatch: pytest.MonkeyPatch) -> None:
    for raw in (lines(), gzip.compress(lines())):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(raw))))
        code, alerts, _ = replay("-")
        assert (code, told(alerts)) == (0, LATE)


def test_several_files_in_any_order_are_one_stream(replay: Callable[..., Called], tmp_path: Path) -> None:
    first, *rest = lines().splitlines(keepends=True)
    (tmp_path / "late.jsonl").write_bytes(b"".join(reversed(rest)))
    (tmp_path / "early.jsonl").write_bytes(first)
    code, alerts, _ = replay(tmp_path / "late.jsonl", tmp_path / "early.jsonl")
    assert (code, told(alerts)) == (0, LATE)


def test_empty_lines_and_an_empty_file_are_no_error(replay: Callable[..., Called], tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"\n\r\n" + lines().replace(b"\n", b"\r\n\n"))
    code, alerts, _ = replay(tmp_path / "e")
    assert (code, told(alerts)) == (0, LATE)
    (tmp_path / "empty").write_bytes(b"")
    assert replay(tmp_path / "empty", "--cases", tmp_path / "cases")[:2] == (0, [])
    assert (tmp_path / "cases").read_bytes() == b""


def test_only_a_rulebook_with_its_own_event_types(replay: Callable[..., Called], tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "gas.yaml").write_text(RULES, encoding="utf-8")
    gas = "g 2026-03-02T09:00 gas.reported WO9\nh +31m gas.arrived WO9\n"
    (tmp_path / "e").write_bytes(lines(gas))
    for option in ("--only", "--rules"):
        code, alerts, _ = replay(tmp_path / "e", option, rules)
        assert (code, told(alerts)) == (0, [("WO9", "breach"), ("WO9", "late_completion")])
    assert replay(tmp_path / "e")[0] == 3  # the shipped rulebook does not know those types


# -- bad input -------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "event_id": "b", "event_type": "counter.service_started", "occurred_at": "2026-03-02T09:00:00+08:00",
    "order_id": "WO8", "business": "fee",
}  # fmt: skip


def bad(**change: object) -> bytes:
    return json.dumps({key: value for key, value in {**GOOD, **change}.items() if value is not None}).encode()


BAD_LINES = [
    (b'{"event_id": "\xff\xfe"}', "not_utf8"),
    (b'{"event_id": ', "not_json"),
    (b"[1, 2]", "not_an_object"),
    (b'{"event_id": "' + b"x" * 10_000_000 + b'"}', "too_large"),
    (b'{"a":' * 60 + b"1" + b"}" * 60, "too_deep"),
    (bad(event_type="counter.service_startet"), "unknown_type"),
    (bad(event_id=None), "missing_field"),
    (bad(business="gift"), "bad_field"),
    (bad(occurred_at="2026-03-02T09:00:00"), "naive_time"),
    (bad(occurred_at="2026-02-30T09:00:00+08:00"), "impossible_time"),
    (bad(occurred_at="2999-03-02T09:00:00+08:00"), "future_time"),
    (bad(order_id=None), "no_subject"),
    (bad(event_id="e1", order_id="WO1", business="power"), "conflicting_duplicate"),
]


NOT_OF_FILES = {"too_old", "quarantined", "impossible_timestamp", "undecodable", "unknown_schema"}
"""A replay of files keeps everything, and no line of one has a timestamp of Kafka or a schema."""


def test_there_is_a_line_for_every_reason() -> None:
    assert {reason for _, reason in BAD_LINES} == set(REASONS) - NOT_OF_FILES


def test_bad_lines_become_dead_letters_and_the_rest_is_judged(replay: Callable[..., Called], tmp_path: Path) -> None:
    first, *rest = lines().splitlines(keepends=True)
    path, letters = tmp_path / "events.jsonl", tmp_path / "letters.jsonl"
    path.write_bytes(first + b"".join(line + b"\n" for line, _ in BAD_LINES) + b"".join(rest))
    code, alerts, error = replay(path, "--dead-letters", letters)
    assert (code, told(alerts)) == (3, LATE)
    written = [DeadLetter.model_validate_json(text) for text in letters.read_bytes().splitlines()]
    assert [(letter.reason, letter.source, letter.position, letter.size) for letter in written] == [
        (reason, str(path), 2 + number, len(line)) for number, (line, reason) in enumerate(BAD_LINES)
    ]
    for letter, (line, _) in zip(written, BAD_LINES, strict=True):
        kept = letter.payload.encode() if letter.encoding == "utf-8" else b64decode(letter.payload)
        assert kept == (line[: len(kept)] if letter.truncated else line)
    assert f"{path}:2: not_utf8" in error
    assert f"{len(BAD_LINES)} lines refused: bad_field 1, conflicting_duplicate 1" in error


def test_many_bad_lines_are_counted_and_only_the_first_are_shown(replay: Callable[..., Called], tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"no\n" * 100)
    code, _, error = replay(tmp_path / "e", "--dead-letters", tmp_path / "letters")
    assert code == 3
    assert error.count("not_json: ") == 5
    assert "not_json 100" in error
    assert len((tmp_path / "letters").read_bytes().splitlines()) == 100


def test_a_repeated_event_is_counted_and_no_dead_letter(replay: Callable[..., Called], tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(lines() + lines())
    code, alerts, error = replay(tmp_path / "e")
    assert (code, told(alerts)) == (0, LATE)
    assert "5 duplicate" in error


# -- wrong use -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "EVENTS"),
        (["{events}", "--until", "2026-03-02T09:00:00"], "offset"),
        (["{events}", "--until", "soon"], "soon"),
        (["{events}", "--unknown"], "--unknown"),
        (["{events}", "--rules", "{rules}", "--only", "{rules}"], "give one of them"),
        (["{events}", "--only", "{absent}"], "{absent}"),
        (["{absent}"], "{absent}: cannot be read"),
        (["{events}", "--alerts", "{absent}/alerts"], "cannot be written"),
        (["{events}", "--only", "{wrong}"], "{wrong}/gas.yaml:14: rule leak: limit.0.is: '30 mins' is not a limit"),
        (["{broken}"], "{broken}: damaged: Compressed file ended"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_and_where(
    replay: Callable[..., Called], events: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    places = {name: str(tmp_path / name) for name in ("events", "rules", "wrong", "absent", "broken")}
    places["events"] = str(events)
    for name, text in (("rules", RULES), ("wrong", RULES.replace("30 min", "30 mins"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gas.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "broken").write_bytes(gzip.compress(lines())[:-6])
    code, alerts, error = replay(*(argument.format(**places) for argument in arguments))
    assert (code, alerts) == (2, [])
    assert says.format(**places) in error
    assert "Traceback" not in error


def test_a_failed_replay_leaves_no_output_behind(replay: Callable[..., Called], events: Path, tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.jsonl"
    alerts.write_text("of yesterday\n", encoding="utf-8")
    assert replay(events, tmp_path / "absent", "--alerts", alerts)[0] == 2
    assert alerts.read_text(encoding="utf-8") == "of yesterday\n"


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "--help"]) == 0
    assert "gridclock replay orders.jsonl.gz --until" in capsys.readouterr().out
