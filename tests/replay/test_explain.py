"""``gridclock explain``: the story of one subject, as people read it."""

from __future__ import annotations

import pytest

from tests.replay.runs import Runner, data_of
from tests.stories import wire

STORY = """
e1 2026-03-02T09:00 counter.service_started WO1 business=fee account=A1
e2 +3m              counter.interrupted     WO1 reason=system_failure
e3 +10m             counter.resumed         WO1
e4 +13m             counter.service_completed WO1 recorded=+2h
x1 2026-03-02T09:30 counter.service_started WO2 business=power
"""

RULES = """
chapter: W
title: {zh: 窗口, en: Counter}
rules:
  - id: fee
    effective_from: 2023-08-23
    clauses: [W-S5]
    source: a test
    kind: deadline
    subject: order
    title: {zh: 收费5分钟, en: Fee in 5 minutes}
    start: {type: counter.service_started, where: {business: fee}}
    stop: counter.service_completed
    pause: {type: counter.interrupted, where: {reason: system_failure}}
    resume: counter.resumed
    limit: 5 min
  - id: receipt
    effective_from: 2023-08-23
    clauses: [W-S6]
    source: a test
    kind: deadline
    subject: order
    title: {zh: 收据, en: Receipt}
    start: counter.receipt_issued
    stop: counter.service_completed
    limit: 5 working days
"""

ENGLISH = """\
order WO1
as of 2026-03-02 09:30:00
see also: account A1

2026-03-02 09:00:00      ● counter.service_started {"business":"fee"} [e1]
2026-03-02 09:03:00      ● counter.interrupted {"reason":"system_failure"} [e2]
2026-03-02 09:10:00      ● counter.resumed [e3]
2026-03-02 09:11:00      ▲ warning: Order WO1, "Fee in 5 minutes" (W-S5): running out: started 2026-03-02 09:00:00, \
limit 5 min (less 7 min paused), 80% used, due 2026-03-02 09:12:00.
2026-03-02 09:12:00      ◷ due: Fee in 5 minutes
2026-03-02 09:12:00      ▲ breach: Order WO1, "Fee in 5 minutes" (W-S5): breached: started 2026-03-02 09:00:00, \
limit 5 min (less 7 min paused), due 2026-03-02 09:12:00, not done by then.
2026-03-02 09:13:00      ● counter.service_completed [e4] (recorded 2026-03-02 11:00:00)
2026-03-02 09:13:00      ▲ late completion: Order WO1, "Fee in 5 minutes" (W-S5): completed late: started 2026-03-02 \
09:00:00, limit 5 min (less 7 min paused), due 2026-03-02 09:12:00, done 2026-03-02 09:13:00, 1 min late.

met late  Fee in 5 minutes  (W-S5, fee)
    Order WO1, "Fee in 5 minutes" (W-S5): completed late: started 2026-03-02 09:00:00, limit 5 min (less 7 min \
paused), due 2026-03-02 09:12:00, done 2026-03-02 09:13:00, 1 min late.
    paused: 2026-03-02 09:03:00 – 2026-03-02 09:10:00
    evidence: e1, e2, e3, e4
    case: CASE
never started: receipt
"""


@pytest.fixture
def files(gridclock: Runner) -> list[str]:
    (gridclock.path / "rules").mkdir()
    gridclock.file("rules/w.yaml", RULES)
    events = gridclock.lines("events.jsonl", wire(STORY))
    return ["--events", str(events), "--only", str(gridclock.path / "rules")]


def case_of(output: str) -> str:
    return next(
        line.split(": ")[1] for line in output.splitlines() if line.startswith(("    case: ", "    时钟编号: "))
    )


def test_an_order_is_explained_on_a_time_line(gridclock: Runner, files: list[str]) -> None:
    ran = gridclock("explain", "WO1", *files)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.replace(case_of(ran.out), "CASE") == ENGLISH


def test_a_case_says_where_by_names_and_else_by_codes(gridclock: Runner, files: list[str]) -> None:
    events = gridclock.lines(
        "placed.jsonl",
        [{**event, "org": {"province": "33", "city": "3301", "unit": "330106"}} for event in wire(STORY)],
    )
    given = ["--events", str(events), *files[2:]]
    assert "    organisation: 3301 / 330106\n" in gridclock("explain", "WO1", *given).out
    gridclock.file("rules/organisations.csv", "code,zh,en\n3301,杭州供电公司,Hangzhou\n")
    assert "    organisation: Hangzhou / 330106\n" in gridclock("explain", "WO1", *given).out
    assert "    单位: 杭州供电公司 / 330106\n" in gridclock("explain", "WO1", *given, "--lang", "zh").out
    assert "organisation" not in gridclock("explain", "WO1", *files).out


def test_in_chinese(gridclock: Runner, files: list[str]) -> None:
    lines = gridclock("explain", "WO1", *files, "--lang", "zh").out.splitlines()
    assert lines[:3] == ["工单 WO1", "判定截至 2026-03-02 09:30:00", "相关：户号 A1"]
    assert "逾期完成  收费5分钟  (W-S5, fee)" in lines
    assert "    暂停: 2026-03-02 09:03:00 – 2026-03-02 09:10:00" in lines
    assert "未起算：receipt" in lines


def test_an_event_an_alert_and_a_case_are_explained_as_their_order(gridclock: Runner, files: list[str]) -> None:
    whole = gridclock("explain", "WO1", *files).out
    alert = gridclock("replay", files[1], *files[2:], "--quiet").alerts[0]
    for number in ("e3", alert["alert_id"], alert["case_id"], case_of(whole)):
        assert gridclock("explain", number, *files).out == whole


def test_until_ends_the_story(gridclock: Runner, files: list[str]) -> None:
    out = gridclock("explain", "WO1", *files, "--until", "2026-03-02T09:05:00+08:00").out
    assert "as of 2026-03-02 09:05:00" in out
    assert "started 2026-03-02 09:00:00, limit 5 min, paused since 2026-03-02 09:03:00" in out
    assert "e4" not in out


def test_an_id_that_nothing_has_is_refused(gridclock: Runner, files: list[str]) -> None:
    ran = gridclock("explain", "WO3", *files)
    assert (ran.code, ran.out) == (2, "")
    assert "no order, account, meter, batch, event, alert or case 'WO3' in" in ran.err
    assert "replay --log" not in ran.err
    ran = gridclock("explain", "0" * 32, *files)  # an alert that is sent and withdrawn is not in what these events give
    assert (ran.code, "gridclock replay --log" in ran.err) == (2, True)


def test_hostile_values_do_not_steer_the_terminal(gridclock: Runner, files: list[str]) -> None:
    event = {"event_id": "e\u202e1", "event_type": "counter.service_started", "order_id": "WO\u20669",
             "occurred_at": "2026-03-02T09:00:00+08:00", "business": "fee", "source": "x",
             "note": "\u001b[31mred"}  # fmt: skip
    path = gridclock.lines("hostile.jsonl", [event])
    out = gridclock("explain", "WO\u20669", "--events", path, *files[2:]).out
    assert not {"\u001b", "\u202e", "\u2066"} & set(out)


_RUNNING = {"event_id": "r1", "event_type": "counter.service_started", "order_id": "WO2", "business": "fee",
            "occurred_at": "2026-03-02T09:00:00+08:00"}  # fmt: skip
_OTHER = {**_RUNNING, "event_id": "o1", "order_id": "WO1"}
_LATER = {"occurred_at": "2026-03-02T12:00:00+08:00", "recorded_at": "2026-03-02T12:00:00+08:00"}

_CORRECTED = {**_OTHER, "event_id": "o2", "corrects": "o1", "occurred_at": "2026-03-02T09:01:00+08:00"}


@pytest.mark.parametrize("how", [("auto",), ("python",), ("auto", "--jobs", "2"), ("python", "--memory", "64K")])
@pytest.mark.parametrize(
    ("others", "end", "outcome"),
    [
        pytest.param([_OTHER, {**_OTHER, **_LATER}], "09:00", "running", id="refused"),
        pytest.param([{**_OTHER, **_LATER}, _OTHER], "12:00", "breached", id="an earlier one refused"),
        pytest.param([{**_OTHER, **_LATER}, {**_OTHER, **_LATER}], "12:00", "breached", id="repeated"),
        pytest.param(
            [{**_OTHER, **_LATER, "version": [1]}, {**_OTHER, "version": [2]}], "09:00", "running", id="older version"
        ),
        pytest.param(
            [{**_OTHER, "version": [1]}, {**_OTHER, **_LATER, "version": [2], "void": True}], "09:00", "running",
            id="taken back",
        ),
        pytest.param([{**_OTHER, **_LATER, "version": [1], "void": True}], "09:00", "running", id="only taken back"),
        pytest.param(
            [_OTHER, {**_OTHER, **_LATER, "event_id": "o2", "corrects": "o1", "void": True}], "09:00", "running",
            id="corrected away",
        ),
        pytest.param([{**_OTHER, **_LATER}, _CORRECTED], "09:01", "running", id="a wrong date corrected"),
        pytest.param(
            [_CORRECTED, {**_OTHER, **_LATER}], "09:01", "running", id="corrected before it is read"
        ),
        pytest.param(
            [{**_OTHER, **_LATER}, {**_CORRECTED, "void": True}], "09:00", "running", id="a wrong date corrected away"
        ),
        pytest.param(
            [{**_OTHER, **_LATER}, _CORRECTED, {**_CORRECTED, "event_id": "o3", "corrects": "o2", "void": True}],
            "12:00", "breached", id="its correction corrected away",
        ),
        pytest.param(
            [_OTHER, {**_CORRECTED, **_LATER},
             {**_CORRECTED, "event_id": "o3", "recorded_at": "2026-03-02T13:00:00+08:00"}],
            "09:01", "running", id="a correction with a wrong date, followed by another",
        ),
        pytest.param(
            [{**_OTHER, **_LATER}, {**_CORRECTED, "order_id": "WO3"}], "12:00", "breached", id="another order's id"
        ),
    ],
)  # fmt: skip
def test_time_ends_where_that_of_a_replay_ends(
    gridclock: Runner, others: list[dict[str, object]], end: str, outcome: str, how: tuple[str, ...]
) -> None:
    """At the last event that counts, of whatever order it is: a wrong date that was corrected is no time that came."""
    path, cases = gridclock.lines("events.jsonl", [_RUNNING, *others]), gridclock.path / "cases.jsonl"
    gridclock("replay", path, "--cases", cases, "--quiet", "--engine", *how)
    (replayed,) = [
        (case["as_of"][11:16], case["outcome"])
        for case in data_of(cases)
        if (case["subject"]["id"], case["rule"]) == ("WO2", "fee-5-minutes")
    ]
    lines = gridclock("explain", "WO2", "--events", path).out.splitlines()
    (verdict,) = [line.split()[0] for line in lines if line.endswith("(W-S5, fee-5-minutes)")]
    assert (end, outcome) == replayed == (lines[1].removeprefix("as of 2026-03-02 ")[:5], verdict)


ARREARS = """
n 2026-03-01T17:00 disconnection.notice_delivered N1 account=1234567890 cause=arrears proof_ref=EMS1
x 2026-03-02T10:00 disconnection.performed D1 account=1234567890 cause=arrears customer_class=ordinary
p 2026-03-03T09:00 bill.paid - account=1234567890 amount=300 owing=false
"""


def test_what_alerts_show_under_a_key_finds_the_story(gridclock: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDCLOCK_PSEUDONYM_KEY", "a key of tests, not of anybody")
    events = gridclock.lines("events.jsonl", wire(ARREARS))
    until = ("--until", "2026-03-09T00:00:00+08:00")
    alerts = [one for one in gridclock("replay", events, *until, "--quiet").alerts if one["account_id"] is not None]
    alert = next(one for one in alerts if one["subject"]["type"] == "account")
    by_number = gridclock("explain", "1234567890", "--events", events, *until)
    assert by_number.code == 0
    for shown in (alert["account_id"], alert["alert_id"], alert["case_id"]):
        found = gridclock("explain", shown, "--events", events, *until)
        assert (found.code, found.out) == (0, by_number.out), shown
    assert alert["case_id"] in by_number.out
    assert gridclock("explain", "~" + "0" * 20, "--events", events, *until).code == 2


def test_a_refused_line_of_the_id_is_told(gridclock: Runner) -> None:
    """An arrival that could not be read was left out without a word, and the order explained as one without it."""
    rows = [
        {
            "event_id": "1",
            "event_type": "repair.reported",
            "occurred_at": "2026-03-02T09:00:00+08:00",
            "order_id": "W1",
        },
        {"event_id": "2", "event_type": "repair.arrived", "occurred_at": "2026-03-02 09:40", "order_id": "W1"},
        {"event_id": "3", "event_type": "repair.arrived", "occurred_at": "2026-03-02 09:40", "order_id": "W2"},
    ]
    events = gridclock.lines("events.jsonl", rows)
    ran = gridclock("explain", "W1", "--events", events)
    refused, note = ran.err.splitlines()
    assert (ran.code, "running  Repair crew on site" in ran.out) == (0, True)
    assert refused.startswith(f"gridclock: {events}:2: naive_time: occurred_at: ")
    assert "leaves out 2 refused lines, 1 of them with this id" in note
    unknown = gridclock("explain", "W2", "--events", events)
    assert unknown.code == 2
    assert f"{events}:3: naive_time" in unknown.err
    assert "; this leaves out 2 refused lines, 1 of them with this id" in unknown.err
    other = gridclock.lines("sound.jsonl", rows[:1])
    assert gridclock("explain", "W1", "--events", other).err == ""
