"""The native engine gives the bytes of the Python engine: alerts, cases, dead letters, counts."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.limits import Elapsed
from schemas.rules import AtMostRule, DeadlineRule, Rule
from streams.core.instants import instant_us
from streams.core.rulebook import Rulebook
from streams.engine import mirrored, native_module
from streams.engine.document import Document
from streams.engine.judged import NativeReplay
from streams.replay import replay as replay_module
from streams.replay.checkpoints import Checkpoint
from streams.replay.comparison import Comparison
from streams.replay.judging import Deduplicated
from streams.replay.native import NativeReading
from streams.replay.native_tasks import NativeTask, judge_task
from streams.replay.output_form import OutputForm
from streams.replay.replay import MEMORY, Replay, ReplayOptions
from streams.replay.results import ALERT_COLUMNS, CASE_COLUMNS, CsvRow
from streams.replay.sources.lines import Lines
from streams.replay.spill import Partitions
from streams.rulebooks.loader import load_rulebook
from streams.simulation import simulate
from streams.wire.decoder import Decoder, encode_json, wire_fields
from streams.wire.pseudonyms import Hidden, Pseudonyms
from tests.engine.mutation import SEEDS, mutated
from tests.oracle.common import Fact
from tests.property.runs import event_of, us
from tests.property.shipped import (
    END,
    ORGS,
    counted_by_calendars,
    followed_rules,
    kinds,
    rulebook_of,
    shipped_histories,
)
from tests.property.test_versions import revised
from tests.property.worlds import per_kind
from tests.stories import shipped, wire

pytestmark = pytest.mark.skipif(
    native_module() is None, reason="the native engine is not built: deploy/native says why"
)

ROOT = Path(__file__).parent.parent.parent
GOLDEN = sorted((ROOT / "tests" / "golden").rglob("events.jsonl"))
RECEIVED = instant_us(END) + 400 * 86_400_000_000


@lru_cache(maxsize=64)
def _document(rulebook: Rulebook, rival: Document | None) -> Document:
    return Document(rulebook, shipped().catalogue, rival)


@pytest.fixture(autouse=True, scope="module")
def compared_as_it_is() -> Iterator[None]:
    """These tests are the comparison, so they do not ask whether there has been one.

    The document of a rulebook is made once: to make it takes longer than all else of a replay of some events.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirrored, "changed", list)
        patch.setattr(replay_module, "Document", lambda rulebook, _catalogue, rival=None: _document(rulebook, rival))
        yield


KEY = b"a key of at least sixteen bytes"


def replayed(
    path: Path,
    engine: str,
    rulebook: Rulebook,
    *,
    rival: Rulebook | None = None,
    checkpoint: Checkpoint | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Everything that comes of a replay; with pseudonyms staff numbers are replaced as they are read."""
    form = options.setdefault("output_form", OutputForm(with_summary=True))
    staff = None if form.hidden.fingerprint is None else Pseudonyms(KEY).staff
    letters: list[str] = []
    replay = Replay(
        rulebook,
        Decoder(shipped().catalogue, hide_staff=staff),
        ReplayOptions(RECEIVED, engine=engine, **options),
        rival=rival,
        checkpoint=checkpoint,
        on_dead_letter=lambda letter: letters.append(letter.model_dump_json()),
    )
    replay.read([Lines(str(path))])
    is_native = replay._native is not None
    replay.judge()
    alerts = list(replay.alerts())
    cases = b"".join(replay.cases()).splitlines()
    compared = Comparison()
    changes = list(compared.changes(*replay.sides())) if rival is not None else []
    replay.close()
    found = {
        "alerts": alerts,
        "cases": cases,
        "summary": in_order(replay.summary.to_state()),
        "letters": letters,
        "tally": replay.tally,
        "end": replay.ends_at,
        "changes": (changes, compared.sums),
    }
    return found | {"left": replay.left_to_python, "is_native": is_native}


def assert_same(path: Path, rulebook: Rulebook, *, is_native: bool | None = True, **options: Any) -> int:
    """Both engines agree; the number of alerts. ``is_native``: whether the native engine holds the events in memory."""
    expected = replayed(path, "python", rulebook, **options)
    found = replayed(path, "native", rulebook, **options)
    assert found.pop("is_native") == is_native or is_native is None
    assert {**found, "left": {}} == {name: value for name, value in expected.items() if name != "is_native"}
    return len(expected["alerts"])


def in_order(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary with its lists in one order: theirs is that of the tasks, which differ with the memory."""
    rules = {
        name: [sorted(part, key=repr) for part in parts[3:]] + parts[:3] for name, parts in summary["rules"].items()
    }
    orgs = {org: sorted(shares) for org, shares in summary["orgs"].items()}
    lists = {name: sorted(summary[name], key=repr) for name in ("week", "worst", "worst_by_rule")}
    return {**summary, "rules": rules, "orgs": orgs, **lists}


@cache
def simulated() -> bytes:
    found = simulate(orders=400, seed=7, start=date(2026, 3, 2), days=20).events
    return b"".join(encode_json(event) + b"\n" for event in found)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Simulated orders, with all that goes wrong."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(simulated())
    return path


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each task that was judged natively the events, and how many were left to Python."""
    found: list[tuple[int, int]] = []

    def counting(
        native: NativeReplay, scope: Any, partitions: Partitions, parts: range, *more: Any
    ) -> tuple[NativeTask, Deduplicated]:
        judged, left = judge_task(native, scope, partitions, parts, *more)
        found.append((sum(1 for part in parts for _ in partitions.load(part)), len(left.events)))
        return judged, left

    monkeypatch.setattr(replay_module, "judge_task", counting)
    return found


def test_simulated_orders(lines: Path) -> None:
    assert assert_same(lines, shipped().rulebook) > 300


def test_many_simulated_orders(tmp_path: Path) -> None:
    """In CI a few; ``GRIDCLOCK_ORDERS`` says how many."""
    orders = int(os.environ.get("GRIDCLOCK_ORDERS", "60"))
    path = tmp_path / "events.jsonl"
    with open(path, "wb") as target:
        for event in simulate(orders=orders, seed=15, start=date(2026, 3, 2), days=max(orders // 1500, 20)).events:
            target.write(encode_json(event) + b"\n")
    assert assert_same(path, shipped().rulebook) > orders // 2
    assert replayed(path, "native", shipped().rulebook)["left"] == {}


@pytest.mark.parametrize(
    "form",
    [
        OutputForm(cases=None),
        OutputForm(),
        OutputForm(cases=CsvRow(CASE_COLUMNS)),
        OutputForm(alerts=CsvRow(ALERT_COLUMNS)),
        OutputForm(hidden=Hidden(KEY)),
        OutputForm(CsvRow(ALERT_COLUMNS), CsvRow(CASE_COLUMNS), with_summary=True, hidden=Hidden(KEY)),
    ],
)
def test_every_form_of_results(form: OutputForm, lines: Path) -> None:
    assert_same(lines, shipped().rulebook, output_form=form)


def test_changed_rules(lines: Path) -> None:
    """Limits that are shorter, and rules that are there in one rulebook only."""
    rules = [_stricter(rule) for rule in shipped().rulebook.rules]
    calendar = shipped().rulebook.calendar
    for own, rival in (
        (rules, shipped().rulebook.rules),
        (rules[::2], rules[1:]),
        ([rule for rule in rules if rule.kind == "deadline"], [rule for rule in rules if rule.kind != "deadline"]),
    ):
        found = replayed(lines, "native", Rulebook(own, calendar), rival=Rulebook(rival, calendar))
        assert len(found["changes"][0]) > 100
        assert_same(lines, Rulebook(own, calendar), rival=Rulebook(rival, calendar))


def test_changed_rules_over_files(lines: Path, tmp_path: Path, tasks: list[tuple[int, int]]) -> None:
    """Beyond the memory, and with a checkpoint."""
    own, rival = shipped().rulebook, Rulebook(map(_stricter, shipped().rulebook.rules), shipped().rulebook.calendar)
    lines.write_bytes(b"\n".join(lines.read_bytes().splitlines()[:1500]))
    assert_same(lines, own, rival=rival, is_native=False, memory=200_000)
    found, expected = (
        replayed(lines, engine, own, rival=rival, checkpoint=Checkpoint(tmp_path / engine))
        for engine in ("native", "python")
    )
    assert found == expected
    assert len(found["changes"][0]) > 100
    assert sum(left for _, left in tasks) == 0 < sum(counted for counted, _ in tasks)


def _stricter(rule: Rule) -> Rule:
    if not isinstance(rule, DeadlineRule):
        return rule
    choices = tuple(
        choice.model_copy(update={"limit": Elapsed(microseconds=60_000_000, text="1 min")})
        if isinstance(choice.limit, Elapsed)
        else choice
        for choice in rule.limit
    )
    return rule.model_copy(update={"limit": choices})


def test_changed_rules_that_are_not_known_here(tmp_path: Path) -> None:
    """Either side may have rules that the native engine leaves to Python, or a zone with summer time."""
    rulebook, path = forms_that_the_native_engine_has_not(tmp_path)
    berlin = load_rulebook(only=ROOT / "deploy" / "examples" / "water-berlin").rulebook
    for rival in (rulebook, berlin):
        assert_same(path, rival, rival=shipped().rulebook)
        assert_same(path, shipped().rulebook, rival=rival)
    assert_same(path, shipped().rulebook, rival=rulebook, is_native=False, memory=1_000)


def test_after_a_failure_python_judges_all(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: Any) -> None:
        raise RuntimeError("panic")

    monkeypatch.setattr(NativeReplay, "judge", fail)
    assert_same(lines, shipped().rulebook)


def test_a_rule_that_compares_staff_leaves_pseudonyms_to_python(lines: Path) -> None:
    """They are made of staff numbers as these are read."""
    rules = [
        rule.model_copy(update={"per": "staff_id"}) if isinstance(rule, AtMostRule) else rule
        for rule in shipped().rulebook.rules
    ]
    rulebook = Rulebook(rules, shipped().rulebook.calendar)
    assert_same(lines, rulebook)
    assert_same(lines, rulebook, is_native=False, output_form=OutputForm(hidden=Hidden(KEY)))


def test_cases_that_list_more_than_is_shown_are_left_to_python(lines: Path, tmp_path: Path) -> None:
    """One order with more evidence than a case lists, among the others."""
    found = lines.read_bytes().splitlines()
    start = {
        "event_type": "counter.service_started", "event_id": "many-0", "order_id": "many", "business": "fee",
        "occurred_at": "2026-03-03T09:00:00.000+08:00",
    }  # fmt: skip
    many = [start]
    for number in range(60):
        kind = "counter.resumed" if number % 2 else "counter.interrupted"
        at = f"2026-03-03T09:00:{number // 2 + 1:02d}.{number % 2}00+08:00"
        more = {"event_type": kind, "event_id": f"many-{number + 1}", "occurred_at": at, "reason": "system_failure"}
        many.append({**start, **more})
    many.append({**start, "event_type": "counter.service_completed", "event_id": "many-99",
                 "occurred_at": "2026-03-03T09:02:00.000+08:00"})  # fmt: skip
    path = tmp_path / "many.jsonl"
    path.write_bytes(b"\n".join((*found[:300], *map(encode_json, many), *found[300:])))
    assert_same(path, shipped().rulebook)
    case = next(json.loads(case) for case in replayed(path, "native", shipped().rulebook)["cases"] if b'"many"' in case)
    assert "omitted" in case["data"]["arithmetic"]


def test_subjects_past_the_bounds_of_a_kind(tmp_path: Path) -> None:
    """2,010 orders cut off under one account and reports of one fault, and 510 requests for one document."""
    many = [(number, f"2026-03-02T09:{number % 60:02d}:{number // 60:02d}") for number in range(2_010)]
    story = [f"c{n} {at} disconnection.performed W{n} account=A1 cause=arrears" for n, at in many]
    story += [f"f{n} {at} repair.reported F1 area=urban" for n, at in many]
    story += [f"d{n} {at} application.document_requested D1 document=id" for n, at in many[:510]]
    story += ["fc 2026-03-02T12:00 repair.closed F1"]
    story += ["p 2026-03-03T09:00 bill.paid - account=A1 amount=300 owing=false"]
    story += [
        f"r{n} 2026-03-0{day}T10:00 disconnection.restored W{n} account=A1" for n, day in ((10, 3), (99, 5), (2_009, 5))
    ]
    path = tmp_path / "many.jsonl"
    path.write_bytes(b"".join(encode_json(event) + b"\n" for event in wire("\n".join(story))))
    rulebook = shipped("restore-after-payment", "two-calls-one-answer", "documents-asked-once").rulebook
    assert_same(path, rulebook)
    found = replayed(path, "native", rulebook)
    assert found["left"] == {"more evidence or days than are listed": 1}  # the requests
    counts = Counter((one["data"]["rule"], one["data"]["kind"]) for one in map(json.loads, found["alerts"]))
    assert counts["two-calls-one-answer", "violation"] == 2_000
    assert counts["documents-asked-once", "violation"] == 500
    assert counts["restore-after-payment", "breach"] == 1_999
    assert counts["restore-after-payment", "late_completion"] == 2


def test_simulated_subjects_are_judged_natively(lines: Path) -> None:
    """Also those with pauses, corrections, repeated events and lists of meters."""
    left = replayed(lines, "native", shipped().rulebook)["left"]
    assert left == {}


def test_an_id_with_other_content_is_left_to_python(lines: Path, tmp_path: Path) -> None:
    first, *others = lines.read_bytes().splitlines()
    assert b'"city":"32' in first
    path = tmp_path / "conflict.jsonl"
    path.write_bytes(b"\n".join((first, *others[:200], first.replace(b'"city":"32', b'"city":"33'))))
    assert_same(path, shipped().rulebook)
    left = replayed(path, "native", shipped().rulebook)["left"]
    assert left.keys() == {"an id that is repeated with other content"}


def test_an_end_and_an_as_of_amid_the_events(lines: Path) -> None:
    middle = RECEIVED - 400 * 86_400_000_000
    moments = [event.at for line in lines.read_bytes().splitlines() for event in [_decoded(line)]]
    middle = sorted(moments)[len(moments) // 2]
    assert_same(lines, shipped().rulebook, until=middle)
    assert_same(lines, shipped().rulebook, as_of=middle)
    assert_same(lines, shipped().rulebook, until=middle, as_of=middle + 1)


def _decoded(line: bytes) -> Any:
    return Decoder(shipped().catalogue).decode(line, received=RECEIVED)


def test_several_jobs_are_threads(lines: Path) -> None:
    assert_same(lines, shipped().rulebook, jobs=3, output_form=OutputForm())
    assert replayed(lines, "native", shipped().rulebook, jobs=3) == replayed(lines, "native", shipped().rulebook)


def test_several_jobs_are_processes_where_lines_are_not_plain(lines: Path, tmp_path: Path) -> None:
    path = tmp_path / "escaped.jsonl"
    path.write_bytes(lines.read_bytes().replace(b'"org":{', b'"\\u006frg":{'))
    assert_same(path, shipped().rulebook, is_native=False, jobs=2, output_form=OutputForm())


FORMS_OF_LINES: dict[str, Callable[[str], str]] = {
    "as json.dumps writes it": lambda line: json.dumps(json.loads(line), ensure_ascii=False),
    "blanks everywhere": lambda line: re.sub(r"([{}:,])(?=[\"{}])", r" \1\t ", line),
    "whole seconds": lambda line: re.sub(r"(T[\d:]{8})\.\d+", r"\1", line),
    "microseconds": lambda line: re.sub(r"(T[\d:]{8}\.\d{3})", r"\g<1>017", line),
}


@pytest.mark.parametrize("form", FORMS_OF_LINES)
def test_common_forms_of_lines_are_read_natively(form: str, lines: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    before = lines.read_text("utf-8").splitlines()[:1500]
    changed = list(map(FORMS_OF_LINES[form], before))
    assert all(one != other for one, other in zip(before, changed, strict=True))
    path.write_text("\n".join(changed), "utf-8")
    assert assert_same(path, shipped().rulebook) > 50
    assert replayed(path, "native", shipped().rulebook)["left"] == {}


@pytest.mark.parametrize("more", [',"order_id":null}', ',"snapshot":null}'])
def test_members_that_only_the_model_refuses(more: str, lines: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    before = lines.read_text("utf-8").splitlines()[:300]
    path.write_text("\n".join([*before, *(line[:-1] + more for line in before)]), "utf-8")
    assert_same(path, shipped().rulebook)
    assert len(replayed(path, "native", shipped().rulebook)["letters"]) > 100


@pytest.mark.parametrize(
    "form",
    [OutputForm(with_summary=True), OutputForm(CsvRow(ALERT_COLUMNS), hidden=Hidden(KEY)), OutputForm(cases=None)],
)
def test_memory_that_is_used_up_amid_the_events(form: OutputForm, lines: Path, tasks: list[tuple[int, int]]) -> None:
    """The events go over files, and are judged natively from there."""
    assert_same(lines, shipped().rulebook, is_native=False, memory=200_000, output_form=form)
    counted, left = map(sum, zip(*tasks, strict=True))
    assert counted > 1000
    assert left == 0


def test_lines_are_held_up_to_the_memory(lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held are the lines of one block of the file more, at most; what was put aside is all that there is."""
    path, most, held = tmp_path / "long.jsonl", 1 << 20, [0]
    path.write_bytes(lines.read_bytes() * 4)
    expected, bounded = replayed(path, "native", shipped().rulebook), NativeReading._bound

    def watched(self: NativeReading) -> None:
        held.append(self._native.memory)
        bounded(self)
        assert self._native.memory <= most

    monkeypatch.setattr(NativeReading, "_bound", watched)
    found = replayed(path, "native", shipped().rulebook, memory=most)
    assert max(held) < path.stat().st_size
    assert sum(before > after for before, after in pairwise(held)) >= 2
    assert found["tally"].duplicates > 3 * found["tally"].lines // 5
    assert {**found, "is_native": True} == expected


REPEATED = """
a 2026-03-03T09:00 counter.service_started W1 business=fee
b 2026-03-03T09:10 counter.service_completed W1 business=fee
c 2026-03-03T09:00 disconnection.performed W2 account=A1 cause=arrears
"""


@pytest.mark.parametrize("memory", [MEMORY, 1])
def test_an_event_taken_back_after_it_was_read(memory: int, lines: Path, tmp_path: Path) -> None:
    """Versions are Python's, and so is a void one, which is no event; the other subjects stay native."""
    events = [dict(event) for event in wire(REPEATED)]
    events[1]["version"] = [1]
    void = {**events[1], "version": [2], "void": True}
    other = {**events[2], "occurred_at": events[1]["occurred_at"]}
    path = tmp_path / "back.jsonl"
    path.write_bytes(
        b"\n".join(
            (*map(encode_json, events), *lines.read_bytes().splitlines()[:500], *map(encode_json, (void, other)))
        )
    )
    assert_same(path, shipped().rulebook, is_native=memory > 1, memory=memory)
    found = replayed(path, "native", shipped().rulebook, memory=memory)
    letters = [json.loads(letter) for letter in found["letters"]]
    assert [(letter["reason"], letter["position"]) for letter in letters] == [("conflicting_duplicate", 505)]
    breached = [data for data in (json.loads(alert)["data"] for alert in found["alerts"]) if data["order_id"] == "W1"]
    assert "breach" in {data["kind"] for data in breached}
    assert sum(found["left"].values()) == (2 if memory > 1 else 0)  # an order, and an account


@pytest.mark.parametrize("memory", [MEMORY, 1])
def test_all_events_taken_back(memory: int, tmp_path: Path) -> None:
    """No event stands, so there is no end of time; the repetition is counted all the same."""
    (event,) = wire("m 2026-03-03T09:00 counter.service_started W1 business=fee")
    first, void = {**event, "version": [1]}, {**event, "version": [2], "void": True}
    path = tmp_path / "none.jsonl"
    path.write_bytes(b"".join(encode_json(one) + b"\n" for one in (first, void, void)))
    assert_same(path, shipped().rulebook, is_native=memory > 1, memory=memory)
    found = replayed(path, "native", shipped().rulebook, memory=memory)
    assert (found["end"], found["cases"], found["tally"].duplicates) == (None, [], 1)


def test_spilled_events_that_are_left_to_python(lines: Path, tmp_path: Path, tasks: list[tuple[int, int]]) -> None:
    """Each task has subjects of both."""
    path = tmp_path / "some.jsonl"
    path.write_bytes(re.sub(rb'"order_id":"(\w+)7"', rb'"order_id":"\1\\\\7"', lines.read_bytes()))
    middle = sorted(_decoded(line).at for line in lines.read_bytes().splitlines())[1000]
    for bounds in ({}, {"until": middle}, {"as_of": middle}):
        assert_same(path, shipped().rulebook, is_native=False, memory=200_000, **bounds)
    counted, left = map(sum, zip(*tasks, strict=True))
    assert 0 < left < counted / 2


def test_after_a_failure_python_judges_a_task(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: Any) -> None:
        raise RuntimeError("panic")

    monkeypatch.setattr(NativeReplay, "judge", fail)
    assert_same(lines, shipped().rulebook, is_native=False, memory=200_000)


def test_with_a_checkpoint(lines: Path, tmp_path: Path, tasks: list[tuple[int, int]]) -> None:
    found = replayed(lines, "native", shipped().rulebook, checkpoint=Checkpoint(tmp_path / "native"))
    expected = replayed(lines, "python", shipped().rulebook, checkpoint=Checkpoint(tmp_path / "python"))
    assert found == expected
    assert sum(left for _, left in tasks) == 0 < sum(counted for counted, _ in tasks)


def test_a_meter_removed_twice_and_read_as_it_is_removed(tmp_path: Path) -> None:
    """The reading, for a later month, comes at the instant of the second removal: no further one is due."""
    read, removed = "reading.collected - meter=M1 method=remote period=", "meter.removed - meter=M1"
    told = f"a 2026-03-05T09:00 {read}2026-03\nb +1h {removed}\nc +3d {removed}\nd +3d {read}2026-04\ne +99d {removed}"
    path = tmp_path / "removed.jsonl"
    path.write_bytes(b"".join(encode_json(event) + b"\n" for event in wire(told)))
    assert assert_same(path, shipped("monthly-reading").rulebook) == 0


@pytest.mark.parametrize("path", GOLDEN, ids=[path.parent.name for path in GOLDEN])
def test_golden_stories(path: Path) -> None:
    own = (path.parent / "rules.yaml").exists()
    assert_same(path, load_rulebook(only=path.parent).rulebook if own else shipped().rulebook)


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_bytes(seed: int, lines: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    found = []
    for line in lines.read_bytes().splitlines()[:600]:
        found.append(mutated(line, chance))
    path = tmp_path / "mutated.jsonl"
    path.write_bytes(b"\n".join(found))
    assert_same(path, shipped().rulebook)


def _with_org(fact: Fact, org: dict[str, str] | None) -> bytes:
    fields = wire_fields(event_of(fact))
    return encode_json(fields if org is None else {**fields, "org": org})


@pytest.mark.parametrize("kind", kinds())
@per_kind
@given(data=st.data())
def test_of_every_kind_of_rule(kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    rule_id, facts = data.draw(shipped_histories(kind))
    if data.draw(st.sampled_from((False, False, True)), label="versions"):
        facts = data.draw(revised(facts[:8])) + facts[8:]
    ways = [st.just(rulebook_of(rule_id))] * 2 + [counted_by_calendars((rule_id,))]
    if kind in ("cadence", "deadline"):
        ways.append(followed_rules(rule_id))
    rulebook = data.draw(st.one_of(*ways))
    orgs = data.draw(st.sampled_from((ORGS[:1], ORGS)))
    lines = [_with_org(fact, data.draw(st.sampled_from(orgs))) for fact in facts]
    lines += data.draw(st.lists(st.sampled_from(lines), max_size=2), label="repeated")
    path = tmp_path_factory.getbasetemp() / f"{kind}.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    rival = data.draw(st.sampled_from((None, None, shipped().rulebook)), label="rival")
    memory = data.draw(st.sampled_from((MEMORY, MEMORY, MEMORY, 2_000)), label="memory")
    assert_same(path, rulebook, rival=rival, memory=memory, is_native=None)
    assert_same(path, rulebook, until=data.draw(st.sampled_from(sorted(us(fact.at) for fact in facts))))


def forms_that_the_native_engine_has_not(tmp_path: Path) -> tuple[Rulebook, Path]:
    page = (ROOT / "schemas" / "README.md").read_text("utf-8")
    files = dict(re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", page.split("## Rules in")[1], re.DOTALL))
    files["rounds.yaml"] = ROUNDS
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    rulebook = load_rulebook(only=tmp_path).rulebook
    path = tmp_path / "events.jsonl"
    path.write_text(FORMS, "utf-8")
    return rulebook, path


def test_forms_that_the_native_engine_has_not(tmp_path: Path) -> None:
    """What is agreed in fields is Python's; what comes of them is the same."""
    rulebook, path = forms_that_the_native_engine_has_not(tmp_path)
    # O1: warning and breach, and those of the apology; O2: warning, breach, late; the round, and its entry.
    assert assert_same(path, rulebook) == 9


ROUNDS = """
chapter: R
title: {zh: 巡视, en: Rounds}
rules:
  - id: round
    effective_from: 2026-01-01
    clauses: [R-S1]
    source: our own
    kind: cadence
    subject: meter
    title: {zh: 巡视, en: Round}
    act: meter.replaced
    every: 2 working days
    calendar: hotline
    warn_at: []
  - id: entered
    effective_from: 2026-01-01
    clauses: [R-S2]
    source: our own
    kind: recording_delay
    subject: meter
    title: {zh: 录入, en: Entered}
    act: meter.replaced
    limit: 1 working day
    calendar: hotline
"""
FORMS = "".join(
    f'{{"event_id": "{number}", "occurred_at": "2026-03-0{day}:00+08:00", {more}}}\n'
    for number, (day, more) in enumerate(
        (
            ("6T09:00", '"event_type": "meter.replaced", "meter_id": "M1", "recorded_at": "2026-03-08T09:00:00+08:00"'),
            ("6T09:00", '"event_type": "complaint.received", "order_id": "O1"'),
            ("7T09:00", '"event_type": "complaint.received", "order_id": "O2"'),
            ("9T19:00", '"event_type": "complaint.answered", "order_id": "O2"'),
        )
    )
)
