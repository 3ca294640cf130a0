"""The planner against a naive oracle that keeps every input and works everything out again at each step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.subscriptions import Subscription, SubscriptionFile
from streams.core import delivery
from streams.core.delivery import Planner
from streams.core.delivery_message import Delivery
from streams.core.instants import moment_of
from streams.notify.delivery_rows import case_from_bytes, case_to_bytes, delivery_from_bytes, delivery_to_bytes
from tests.notify.alerts import MINUTE, START, alert

DAY = 24 * 60 * MINUTE
ZONE = ZoneInfo("Asia/Shanghai")
Told = tuple[str, str, str | None]


def the_alerts() -> dict[str, dict[str, Any]]:
    found = {}
    for case in ("a", "b"):
        severity = "norm" if case == "a" else "red_line"
        for name, kind, retracts in (
            ("warning", "warning", None),
            ("breach", "breach", None),
            ("done", "late_completion", None),
            ("act", "violation", None),
            ("not-breach", "retraction", "breach"),
            ("not-done", "retraction", "done"),
            ("not-act", "retraction", "act"),
            ("again", "breach", None),
            ("done-again", "late_completion", None),
        ):
            target = f"{case}-{retracts}" if retracts else None
            one = alert(f"{case}-{name}", kind, case=case, severity=severity, retracts=target)
            found[one["id"]] = one
    return found


ALERTS = the_alerts()


# --- the oracle -----------------------------------------------------------------------------------------


def local(at: int) -> datetime:
    return moment_of(at, ZONE)


def is_quiet(item: Subscription, at: int, red: bool) -> bool:
    if item.quiet is None or (red and item.quiet.red_lines == "pass"):
        return False
    minute = local(at).hour * 60 + local(at).minute
    first = item.quiet.start.hour * 60 + item.quiet.start.minute
    last = item.quiet.end.hour * 60 + item.quiet.end.minute
    return first <= minute < last if first < last else minute >= first or minute < last


def may_tell_from(item: Subscription, came: int, red: bool) -> int:
    """Minute by minute from when it came (all times of this test are whole minutes)."""
    at = came
    if item.digest is not None and not (red and item.digest.red_lines == "pass"):
        while (local(at).hour * 60 + local(at).minute) % (item.digest.every // MINUTE):
            at += MINUTE
    while is_quiet(item, at, red):
        at += MINUTE
    return at


@dataclass
class Oracle:
    file: SubscriptionFile

    def __post_init__(self) -> None:
        self.came: dict[str, int] = {}
        self.acknowledged: set[str] = set()
        self.silences: dict[str, int] = {}
        self.told: dict[tuple[str, str], str] = {}
        self.first_told: dict[tuple[str, str], int] = {}
        self.steps_done: dict[tuple[str, str], int] = {}

    def retracted(self, key: str) -> bool:
        return any(ALERTS[other]["data"]["retracts"] == key for other in self.came)

    def of_case(self, key: str, kind: str) -> list[str]:
        case = ALERTS[key]["data"]["case_id"]
        return [
            other
            for other in self.came
            if ALERTS[other]["data"]["case_id"] == case and ALERTS[other]["data"]["kind"] == kind
        ]

    def is_open(self, key: str) -> bool:
        completed = any(not self.retracted(other) for other in self.of_case(key, "late_completion"))
        return not self.retracted(key) and not (ALERTS[key]["data"]["kind"] == "breach" and completed)

    def step(self, now: int, events: list[str], acknowledged: list[str], silenced: list[tuple[str, int]]) -> set[Told]:
        self.acknowledged |= set(acknowledged)
        self.silences |= dict(silenced)  # the last that was said of each, whether it is over or not
        for key in events:
            self.came.setdefault(key, now)
        out: set[Told] = set()
        for item in self.file.subscriptions:
            for key in self.came:
                self.tell(item, key, now, out)
            for key in self.came:
                self.follow(item, key, now, out)
        for key in sorted(self.came, key=lambda key: (ALERTS[key]["data"]["case_id"], list(self.came).index(key))):
            for item in self.file.subscriptions:
                self.escalate(item, key, now, out)
        return out

    def tell(self, item: Subscription, key: str, now: int, out: set[Told]) -> None:
        data = ALERTS[key]["data"]
        red = data["severity"] == "red_line"
        if data["kind"] not in item.match.kind or self.retracted(key) or (item.name, key) in self.first_told:
            return
        if now < may_tell_from(item, self.came[key], red):
            return
        self.first_told[item.name, key] = now
        for channel in item.channels:
            self.put(item, channel, key, None, out)

    def follow(self, item: Subscription, key: str, now: int, out: set[Told]) -> None:
        data = ALERTS[key]["data"]
        if data["kind"] == "retraction":
            targets = [data["retracts"]]
        elif data["kind"] == "late_completion" and not self.retracted(key):
            targets = self.of_case(key, "breach")
        else:
            return
        red = data["severity"] == "red_line"
        for target in targets:
            if target not in self.came or now < may_tell_from(item, max(self.came[key], self.came[target]), red):
                continue
            for channel in ("x", "y", "z", "w"):
                if self.told.get((channel, target)) == item.name:
                    self.put(item, channel, key, None, out)

    def escalate(self, item: Subscription, key: str, now: int, out: set[Told]) -> None:
        data = ALERTS[key]["data"]
        first = self.first_told.get((item.name, key))
        if data["kind"] not in ("breach", "violation") or first is None:
            return
        if key in self.acknowledged or not self.is_open(key) or now < self.silences.get(key, now):
            return
        done = self.steps_done.get((item.name, key), 0)
        for step in item.escalate[done:]:
            if now < first + step.after or is_quiet(item, now, data["severity"] == "red_line"):
                break
            self.steps_done[item.name, key] = self.steps_done.get((item.name, key), 0) + 1
            for channel in step.channels:
                self.put(item, channel, key, step.to, out)

    def put(self, item: Subscription, channel: str, key: str, level: str | None, out: set[Told]) -> None:
        if (channel, key) not in self.told:
            self.told[channel, key] = item.name
            out.add((channel, key, level))


# --- what is tried --------------------------------------------------------------------------------------


@st.composite
def files(draw: st.DrawFn) -> SubscriptionFile:
    subscriptions = []
    for number in range(draw(st.integers(1, 3))):
        channels = draw(st.permutations(["x", "y", "z", "w"]))
        own = draw(st.integers(1, 2))
        steps = draw(st.integers(0, 2))
        afters = sorted(draw(st.sets(st.sampled_from([10, 30, 120, 600]), min_size=steps, max_size=steps)))
        kinds = draw(st.sampled_from([("breach", "violation"), ("breach",), ("breach", "late_completion", "warning")]))
        one: dict[str, Any] = {
            "name": f"s{number}",
            "match": {"kind": list(kinds)},
            "channels": channels[:own],
            "escalate": [
                {"after": f"{after} min", "to": level, "channels": channels[own + index]}
                for index, (after, level) in enumerate(zip(afters, ("county", "city"), strict=False))
            ],
        }
        if draw(st.booleans()):
            one["digest"] = {
                "every": f"{draw(st.sampled_from([15, 60, 420, 1000, 1440]))} min",
                "red_lines": draw(st.sampled_from(["pass", "wait"])),
            }
        if draw(st.booleans()):
            first, last = draw(st.sampled_from([("22:00", "07:00"), ("12:00", "14:30"), ("00:00", "23:00")]))
            one["quiet"] = {"from": first, "to": last, "red_lines": draw(st.sampled_from(["pass", "wait"]))}
        subscriptions.append(one)
    channel = {"kind": "kafka", "topic": "t"}
    return SubscriptionFile.model_validate({"channels": dict.fromkeys("xyzw", channel), "subscriptions": subscriptions})


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 7, 20, 45, 400, 900]),
        st.lists(st.sampled_from(sorted(ALERTS)), max_size=4),
        st.lists(st.sampled_from(sorted(ALERTS)), max_size=1),
        st.lists(st.tuples(st.sampled_from(sorted(ALERTS)), st.sampled_from([0, 5, 60, 700])), max_size=2),
        st.booleans(),
    ),
    min_size=1,
    max_size=14,
)


def restarted(planner: Planner, file: SubscriptionFile) -> Planner:
    """What a process that reads the rows finds."""
    fresh = Planner(file, keep=30 * DAY)
    fresh.restore(
        {key: case_from_bytes(key, case_to_bytes(case)) for key, case in planner.cases.items()},
        planner.acknowledged,
        planner.silenced,
    )
    return fresh


@settings(max_examples=max(100, settings().max_examples // 4))  # each is a story of many steps
@given(files(), STEPS)
def test_everybody_is_told_what_the_oracle_says_and_when(
    file: SubscriptionFile, steps: list[tuple[int, list[str], list[str], list[tuple[str, int]], bool]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "ORPHAN_KEEP", 30 * DAY)
        planner, oracle, now = Planner(file, keep=30 * DAY), Oracle(file), START
        everything: list[Told] = []
        kept: dict[str, bytes] = {}
        rows: dict[str, int] = {}
        for minutes, keys, acknowledged, quiet, restart in [
            *steps,
            (2880, [], [], [], False),
            (2880, [], [], [], True),
        ]:
            now += minutes * MINUTE
            silenced = [(key, now + length * MINUTE) for key, length in quiet]
            plan = planner.step(now, [ALERTS[key] for key in keys], acknowledged, silenced)
            found = [told for one in plan.deliveries for told in flat(one)]
            assert set(found) == oracle.step(now, keys, acknowledged, silenced)
            everything += found
            kept |= {key: case_to_bytes(planner.cases[key]) for key in plan.cases}
            assert kept == {key: case_to_bytes(case) for key, case in planner.cases.items()}, "a change not written"
            rows |= {key: until for key, until in plan.silences.items() if until is not None}
            for key in [key for key, until in plan.silences.items() if until is None]:
                rows.pop(key, None)
            assert rows == planner.silenced, "a silence not written"
            due = planner.next_due()
            assert due is None or due > now
            if restart:
                planner = restarted(planner, file)
        channels = [(channel, key) for channel, key, _ in everything]
        assert len(channels) == len(set(channels)), "somebody was told twice"
        assert planner.waiting() == 0
        for channel, key in channels:
            target = ALERTS[key]["data"]["retracts"]
            assert target is None or (channel, target) in channels, "a retraction for somebody who knows nothing"


def flat(one: Delivery) -> list[Told]:
    assert delivery_from_bytes("row", delivery_to_bytes(one)) == one
    return [(one.channel, event["id"], one.level) for event in one.events]


def test_the_oracle_s_quiet_minute_is_local() -> None:
    assert local(START).time() == time(14, 0)
