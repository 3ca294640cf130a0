"""An element of a JSON array is what the same text on a line is; and an array is all of its file."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.cli import run
from streams.errors import ConfigError
from streams.replay.sources import json_rows
from streams.replay.sources.json_rows import elements_of
from tests.replay.runs import Runner, records_of

HEAD = (
    b'{"event_id":"e%d","event_type":"inspection.performed","occurred_at":"2026-03-02T09:00:00+08:00","order_id":"W%d"'
)
GOOD = HEAD % (0, 0) + b"}"
VALUES = (
    *(b"NaN", b"-Infinity", b"1E0", b"1e0", b"2.0", b"-0", b"-0.0", b"1e400", b"0.1e-400", b"1" * 30, b"1" * 5000),
    *(b'"\\ud83d"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xe7\x94\xb5"', b'"]\\"}[,"'),
    *(b'"a\tb"', b"null", b"true", b"[]", b"{}", b"[" * 100_000 + b"]" * 100_000, b'1,"kind":"theft","kind":"hazard"'),
)
FIELDS = (b"crew_size", b"kind", b"amount", b"order_id", b"event_id", b"unknown")
MAPPING = "format: json\nevent_type: event_type\nfields: {order_id: order_id, occurred_at: occurred_at, kind: kind}\n"


def element(number: int, field: bytes, value: bytes) -> bytes:
    return HEAD % (number, number) + b',"kind":"theft","%b":%b}' % (field, value)


def results(path: Path, content: bytes, *options: str, given: bytes | None = None) -> list[Any]:
    """The exit code, the bytes of alerts and cases, and the dead letters apart from the file's name.

    ``given`` comes through standard input instead.
    """
    path.write_bytes(content)
    files = {kind: path.with_suffix(f".{kind}") for kind in ("alerts", "cases", "dead-letters")}
    outputs = [f"--{kind}={file}" for kind, file in files.items()]
    if given is None:
        code = run(["replay", str(path), "--quiet", *options, *outputs])
    else:
        command = [sys.executable, "-m", "streams.cli", "replay", "-", "--quiet", *options, *outputs]
        code = subprocess.run(command, input=given, check=False).returncode
    letters = records_of(files["dead-letters"]) if files["dead-letters"].exists() else []
    for letter in letters:
        del letter["source"]
    return [code, files["alerts"].read_bytes(), files["cases"].read_bytes(), letters]


def assert_same(elements: list[bytes], *options: str) -> None:
    with TemporaryDirectory() as made:
        directory = Path(made)
        lines = results(directory / "lines.jsonl", b"\n".join(elements), *options)
        assert results(directory / "array.json", b"[" + b",".join(elements) + b"]", *options) == lines


@pytest.mark.parametrize("engine", ["native", "python"])
@pytest.mark.parametrize("field", FIELDS)
def test_an_element_is_judged_as_its_line(engine: str, field: bytes) -> None:
    assert_same([element(n, field, value) for n, value in enumerate(VALUES)], "--engine", engine)


def test_a_row_of_an_array_is_read_as_its_line(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(MAPPING, "utf-8")
    assert_same([element(n, b"kind", value) for n, value in enumerate(VALUES)], "--map", str(tmp_path / "map.yaml"))


@pytest.mark.parametrize("engine", ["native", "python"])
@settings(max_examples=20, deadline=None)
@given(drawn=st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(VALUES)), max_size=6))
def test_drawn_elements_are_judged_as_their_lines(engine: str, drawn: list[tuple[bytes, bytes]]) -> None:
    assert_same([GOOD, *(element(n, *one) for n, one in enumerate(drawn, 1)), b"7", b"[]"], "--engine", engine)


@pytest.mark.parametrize("engine", ["native", "python"])
def test_printed_over_several_lines_and_beyond_the_memory(tmp_path: Path, engine: str) -> None:
    events = [json.loads(element(n % 300, b"note", b'"\xe7\x94\xb5"')) | {"event_id": f"e{n}"} for n in range(600)]
    lines = "\n".join(map(json.dumps, events)).encode()
    printed = json.dumps(events, indent=2, ensure_ascii=False).encode()
    expected = results(tmp_path / "lines.jsonl", lines, "--engine", engine)
    assert results(tmp_path / "array.json", printed, "--engine", engine, "--memory", "90K") == expected
    assert expected[2]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("mapping", [None, MAPPING])
def test_standard_input_is_an_array_or_lines(
    tmp_path: Path, pack: Callable[[bytes], bytes], mapping: str | None
) -> None:
    elements = [element(n, b"crew_size", value) for n, value in enumerate(VALUES)]
    options = list[str]()
    if mapping is not None:
        (tmp_path / "map.yaml").write_text(mapping, "utf-8")
        options += ["--map", str(tmp_path / "map.yaml")]
    expected = results(tmp_path / "lines.jsonl", b"\n".join(elements), *options)
    for form in (b"\n".join(elements), b"\xef\xbb\xbf \n[" + b",\n".join(elements) + b"\n]\n"):
        assert results(tmp_path / "piped", form, *options, given=pack(form)) == expected


def test_an_array_on_standard_input_is_looked_up_again(tmp_path: Path) -> None:
    events = [json.loads(element(n % 300, b"note", b'"\xe7\x94\xb5"')) | {"event_id": f"e{n}"} for n in range(600)]
    (tmp_path / "array.json").write_text(json.dumps(events, indent=2), "utf-8")
    command = [sys.executable, "-m", "streams.cli", "explain", "W299", "--events"]
    ways = [[*command, str(tmp_path / "array.json")], [*command, "-"]]
    piped = (tmp_path / "array.json").read_bytes()
    said = [subprocess.run(way, input=piped, capture_output=True, check=True).stdout for way in ways]
    assert said[0] == said[1] != b""


SCALARS = st.none() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(
    texts=st.lists(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3))),
    chunk=st.integers(1, 9),
    indent=st.sampled_from([None, 1]),
)
def test_elements_are_their_own_text_wherever_a_piece_ends(texts: list[Any], chunk: int, indent: int | None) -> None:
    own = [json.dumps(one, ensure_ascii=False, indent=indent).encode(errors="surrogatepass") for one in texts]
    with TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "CHUNK", chunk)
        path = Path(made) / "a.json"
        path.write_bytes(b" [ " + b" ,\n".join(own) + b" ]\r\n \t")
        assert [raw for _, raw, _ in elements_of(str(path))] == own


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[%b][%b]", "1: text follows the array: put all elements in one array, or each on its own line"),
        (b"[%b]\n%b\n", "1: text follows"),
        (b"[%b],%b]", "1: text follows"),
        (b"[%b,%b] <html>", "2: text follows"),
        (b"[%b,%b]\0", "2: text follows"),
        (b"[%b %b]", "1: no comma before the next element"),
        (b"[%b%b]", "1: no comma before the next element"),
        (b"[%b,,%b]", "1: a comma without an element before it"),
        (b"[,%b,%b]", "0: a comma without an element before it"),
        (b"[%b,%b,]", "2: a comma without an element after it"),
        (b"[%b,%b,", "2: the array is not closed"),
        (b"[%b,%b\n", "2: the array is not closed"),
        (b"[%b,%b}", "2: no comma"),
    ],
)
def test_an_array_is_all_of_its_file(gridclock: Runner, pack: Any, text: bytes, said: str) -> None:
    path = gridclock.file("a.json", pack(text % (GOOD, GOOD.replace(b"e0", b"e1"))))
    mapping = gridclock.file("map.yaml", MAPPING)
    for command in (("replay", path), ("replay", path, "--map", mapping), ("map", "preview", mapping, path)):
        ran = gridclock(*command)
        assert ran.code == 2
        assert f"a.json: damaged after element {said}" in ran.err


@pytest.mark.parametrize("text", [b"[]", b" [ ]\n\n", b"\xef\xbb\xbf[\n]"])
def test_an_array_may_be_empty(gridclock: Runner, text: bytes) -> None:
    ran = gridclock("replay", gridclock.file("a.json", text))
    assert (ran.code, ran.alerts) == (0, [])


def test_an_open_array_has_no_elements(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[", "utf-8")
    with pytest.raises(ConfigError, match="after element 0: the array is not closed"):
        list(elements_of(str(path)))


@pytest.mark.parametrize("envelope", [b"%b", b'{"op":"c","before":null,"after":%b}'])
def test_a_mapping_is_suggested_from_an_array_as_from_lines(gridclock: Runner, envelope: bytes) -> None:
    rows = [envelope % element(n, b"crew_size", value) for n, value in enumerate((b"2", b"3", b"NaN", b"1.50"))]
    lines = gridclock("map", "suggest", gridclock.file("a.json", b"\n".join(rows)))
    assert gridclock("map", "suggest", gridclock.file("a.json", b"[" + b",".join(rows) + b"]")) == lines
    assert ("format: debezium" in lines.out) is (b"op" in envelope)
