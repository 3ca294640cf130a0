"""``gridclock dead-letters`` on files: what is listed, shown, mended and written; and the ways to use it wrongly."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.cli import run
from streams.operations.dead_letters import Letters, _take
from tests.stories import wire

Called = tuple[int, str, str]
(GOOD,) = wire("e1 2026-03-02T09:00 counter.service_started WO1 business=fee")
TYPO = {**GOOD, "event_id": "e2", "event_type": "counter.service_startd", "personal": {"name": "MARKED"}}
NAIVE = {**GOOD, "event_id": "e3", "occurred_at": "2026-03-02T09:00:00"}
HOSTILE = '{"event_id": "\x1b[2J\x9b31m\u202e"'


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    def called(*arguments: object) -> Called:
        code = run(["dead-letters", *map(str, arguments)])
        return code, *capfd.readouterr()

    return called


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with events and the letters that a replay made of them."""
    folder = tmp_path_factory.mktemp("replayed")
    lines = [json.dumps(GOOD), json.dumps(TYPO), json.dumps(NAIVE), HOSTILE]
    with contextlib.chdir(folder):
        Path("in.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")
        assert run(["replay", "in.jsonl", "--dead-letters", "letters.jsonl", "--quiet"]) == 3
    return folder


@pytest.fixture
def letters(replayed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("in.jsonl", "letters.jsonl"):
        shutil.copy(replayed / name, name)
    capfd.readouterr()
    return Path("letters.jsonl")


def test_one_line_a_letter(call: Callable[..., Called], letters: Path) -> None:
    code, out, error = call("list", "--file", letters)
    assert code == 0
    assert [line.split(": ")[0] for line in out.splitlines()] == [
        "in.jsonl/2  unknown_type", "in.jsonl/3  naive_time", "in.jsonl/4  not_json",
    ]  # fmt: skip
    assert "did you mean 'counter.service_started'" in out
    assert error == "gridclock: 3 dead letters, naive_time 1, not_json 1, unknown_type 1\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--reason", "naive_time"), ["in.jsonl/3"]),
        (("--source", "in."), ["in.jsonl/2", "in.jsonl/3", "in.jsonl/4"]),
        (("--source", "other"), []),
        (("--source", "in", "--reason", "not_json"), ["in.jsonl/4"]),
    ],
)
def test_filters(call: Callable[..., Called], letters: Path, options: tuple[str, ...], expected: list[str]) -> None:
    code, out, _ = call("list", "--file", letters, "--json", *options)
    assert (code, [json.loads(line)["id"] for line in out.splitlines()]) == (0, expected)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_terminal_is_not_hurt(call: Callable[..., Called], letters: Path, options: tuple[str, ...]) -> None:
    code, out, _ = call("show", "in.jsonl/4", "--file", letters, *options)
    assert code == 0
    assert all(character.isprintable() or character == "\n" for character in out)
    if options:
        assert json.loads(out)["payload"] == HOSTILE
    else:
        assert out.endswith('\n{"event_id": "\\x1b[2J\\x9b31m\\u202e"\n')


def test_a_letter_with_what_was_taken_out_of_it(call: Callable[..., Called], letters: Path) -> None:
    _, out, _ = call("show", "in.jsonl/2", "--file", letters)
    assert "personal data: removed" in out
    assert "MARKED" not in out
    assert b"MARKED" not in letters.read_bytes()


def test_mended_by_hand(call: Callable[..., Called], letters: Path, tmp_path: Path) -> None:
    code, out, error = call("retry", "--all", "--file", letters, "--out", "mend.jsonl")
    assert (code, out) == (0, "")
    assert "3 written to mend.jsonl" in error
    lines: list[dict[str, Any]] = [json.loads(line) for line in Path("mend.jsonl").read_text("utf-8").splitlines()]
    assert [(line["id"], line["reason"]) for line in lines] == [
        ("in.jsonl/2", "unknown_type"), ("in.jsonl/3", "naive_time"), ("in.jsonl/4", "not_json"),
    ]  # fmt: skip
    lines[0]["event"]["event_type"] = "counter.service_started"
    lines[1]["event"]["occurred_at"] += "+08:00"
    lines[2]["payload"] = json.dumps({**GOOD, "event_id": "e4"})
    Path("mend.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    code, out, error = call("retry", "--from", "mend.jsonl", "--file", letters, "--to", "events.jsonl")
    assert (code, out, error) == (0, "", "gridclock: 3 sent again, 0 sent before, 0 refused\n")
    events = [json.loads(line) for line in Path("events.jsonl").read_text("utf-8").splitlines()]
    assert events == [
        {key: value for key, value in TYPO.items() if key != "personal"} | {"event_type": "counter.service_started"},
        {**NAIVE, "occurred_at": "2026-03-02T09:00:00+08:00"},
        {**GOOD, "event_id": "e4"},
    ]
    assert run(["replay", "events.jsonl", "--quiet"]) == 0


def test_one_letter_of_bytes_does_not_hinder_the_others_of_the_file(
    call: Callable[..., Called], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--out`` wrote it as ``payload_base64``, and ``--from`` then refused the whole file."""
    monkeypatch.chdir(tmp_path)
    sound, named = json.dumps(GOOD), json.dumps({**NAIVE, "event_id": "e3"})
    Path("in.jsonl").write_bytes(b"\xff\xe0{}\n" + named.encode() + b"\n\x82\n")
    assert run(["replay", "in.jsonl", "--quiet", "--dead-letters", "bytes.jsonl"]) == 3
    assert call("retry", "--all", "--file", "bytes.jsonl", "--out", "mend.jsonl")[0] == 0
    lines = [json.loads(line) for line in Path("mend.jsonl").read_text("utf-8").splitlines()]
    assert ["payload_base64" in line for line in lines] == [True, False, True]
    lines[1]["event"]["occurred_at"] += "+08:00"
    lines[2]["payload_base64"] = base64.b64encode(sound.encode()).decode()
    Path("mend.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    code, out, error = call("retry", "--from", "mend.jsonl", "--file", "bytes.jsonl")
    assert (code, [json.loads(line)["event_id"] for line in out.splitlines()]) == (3, ["e3", GOOD["event_id"]])
    assert "in.jsonl/1: not sent: not_utf8" in error
    lines[0]["payload_base64"] = "no base64!"
    Path("mend.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    code, _, error = call("retry", "--from", "mend.jsonl", "--file", "bytes.jsonl")
    assert (code, "mend.jsonl:1: is not a line of a file made by --out" in error) == (2, True)


def test_what_would_be_refused_again_is_not_written(call: Callable[..., Called], letters: Path) -> None:
    code, out, error = call("retry", "in.jsonl/2", "in.jsonl/3", "--file", letters)
    assert (code, out) == (3, "")
    assert "in.jsonl/2: not sent: unknown_type" in error
    assert "0 sent again, 0 sent before, 2 refused" in error


def test_a_rulebook_that_knows_the_type_now(call: Callable[..., Called], letters: Path, tmp_path: Path) -> None:
    Path("rules").mkdir()
    Path("rules", "own.yaml").write_text(
        "chapter: X\ntitle: {zh: 甲, en: A}\nevents: {counter.service_startd: {}}\nrules: []\n", "utf-8"
    )
    code, out, _ = call("retry", "in.jsonl/2", "--file", letters, "--rules", "rules")
    assert (code, json.loads(out)["event_id"]) == (0, "e2")


def test_what_was_cut_is_not_sent(call: Callable[..., Called], letters: Path) -> None:
    cut = {**json.loads(letters.read_text("utf-8").splitlines()[0]), "payload": json.dumps(GOOD), "truncated": True}
    letters.write_text(json.dumps(cut) + "\n", "utf-8")
    code, out, error = call("retry", "in.jsonl/2", "--file", letters)
    assert (code, out) == (3, "")
    assert "only the beginning" in error
    assert "1 left out" in call("retry", "--all", "--file", letters, "--out", "x")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry", "--file", "letters.jsonl"), "give IDs, or --all, or --from"),
        (("retry", "x", "--all", "--file", "letters.jsonl"), "give IDs, or --all, or --from"),
        (("retry", "x", "--reason", "not_json", "--file", "letters.jsonl"), "go with --all"),
        (("retry", "--from", "x", "--out", "y", "--file", "letters.jsonl"), "give one of them"),
        (("retry", "--all", "--to", "y"), "--to goes with --file"),
        (("retry", "--all", "--topic", "y", "--file", "letters.jsonl"), "gridclock send"),
        (("retry", "nothing/1", "--file", "letters.jsonl"), "no dead letter 'nothing/1'"),
        (("show", "nothing/1", "--file", "letters.jsonl"), "no dead letter 'nothing/1'"),
        (("list", "--since", "2026-01-01T00:00:00Z", "--file", "letters.jsonl"), "--since is for the topic"),
        (("list", "--file", "missing.jsonl"), "missing.jsonl: cannot be read"),
        (("list", "--file", "in.jsonl"), "in.jsonl:1: is not a dead letter"),
        (
            ("retry", "--from", "in.jsonl", "--file", "letters.jsonl"),
            "in.jsonl:1: is not a line of a file made by --out",
        ),
        (("list", "--reason", "bad"), "not_json"),
    ],
)
def test_wrong_use(call: Callable[..., Called], letters: Path, arguments: tuple[str, ...], said: str) -> None:
    code, out, error = call(*arguments)
    assert (code, out) == (2, "")
    assert said in error


def test_without_a_broker(call: Callable[..., Called], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    code, _, error = call("list")
    assert code == 2
    assert "no broker given" in error


def test_records_of_a_newer_version_are_named(
    call: Callable[..., Called], letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_topic(options: dict[str, Any], topic: str) -> Letters:
        found = Letters()
        for offset, line in enumerate(letters.read_bytes().splitlines()):
            raw = line if offset else json.dumps({**json.loads(line), "reason": "of_tomorrow"}).encode()
            _take(found, SimpleNamespace(topic=topic, partition=2, offset=offset, value=raw, timestamp=0))
        return found

    monkeypatch.setattr("streams.commands.dead_letters.letters_on_topic", on_topic)
    monkeypatch.setattr("streams.commands.dead_letters.need_broker", lambda *_: None)
    code, out, error = call("list")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "gridclock.dead-letters/2/0: left out" in error
    assert "newer version of gridclock: read it with that version" in error
    code, _, error = call("retry", "--all", "--reason", "too_large")
    assert code == 3
    assert "gridclock.dead-letters/2/0: left out" in error
