"""The Alertmanager channel against a real Alertmanager (Debian's) on loopback, with amtool for what people do."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from schemas.base import Text
from schemas.organisations import Organisation
from schemas.subscriptions import AlertmanagerChannel, SubscriptionFile
from streams.core.delivery import Plan, Planner
from streams.core.delivery_case import Event
from streams.core.instants import format_us
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import free_ports
from streams.notify.metrics import NotifyMetrics
from streams.notify.process import channels_of
from streams.notify.sending import Outcome, Sender
from streams.wall_clock import WallClock
from tests.notify.alerts import MINUTE, START, alert, id_of
from tests.notify.receiver import Receiver, eventually, receiver
from tests.stories import us

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
AMTOOL = shutil.which("amtool")

pytestmark = pytest.mark.skipif(
    ALERTMANAGER is None or AMTOOL is None,
    reason="no Alertmanager here (Debian: apt install prometheus-alertmanager)",
)


@dataclass
class Running:
    url: str
    hook: Receiver

    def alerts(self) -> dict[str, Any]:
        """By our alert_id."""
        with urlopen(f"{self.url}/api/v2/alerts", timeout=10) as answer:
            return {one["labels"]["alert_id"]: one for one in json.load(answer)}

    def groups(self) -> list[tuple[dict[str, str], int]]:
        with urlopen(f"{self.url}/api/v2/alerts/groups", timeout=10) as answer:
            return sorted(((one["labels"], len(one["alerts"])) for one in json.load(answer)), key=str)

    def told(self) -> list[tuple[str, str]]:
        """Alert id and status, as Alertmanager's own receiver got them."""
        return [
            (one["labels"]["alert_id"], one["status"])
            for request in self.hook.taken()
            for one in json.loads(request.body)["alerts"]
        ]

    def amtool(self, *arguments: str) -> str:
        assert AMTOOL is not None
        command = [AMTOOL, f"--alertmanager.url={self.url}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@contextmanager
def alertmanager(folder: Path, port: int | None = None) -> Iterator[Running]:
    assert ALERTMANAGER is not None
    with receiver() as hook:
        config = {
            "route": {
                "receiver": "hook",
                "group_by": ["rule", "city"],
                "group_wait": "100ms",
                "group_interval": "300ms",
                "repeat_interval": "1h",
            },
            "receivers": [{"name": "hook", "webhook_configs": [{"url": hook.url, "send_resolved": True}]}],
        }
        file = folder / "alertmanager.yml"
        file.write_text(json.dumps(config), "utf-8")
        port = port or free_ports(1)[0]
        url = f"http://127.0.0.1:{port}"
        child = ChildProcess(
            [
                ALERTMANAGER, f"--config.file={file}", f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
            ],
            folder / "log",
        )  # fmt: skip
        try:
            assert eventually(lambda: _is_ready(url)), child.last_lines()
            yield Running(url, hook)
        finally:
            child.kill()


def _is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Story:
    """A planner, and the channel that it plans for."""

    def __init__(self, url: str, *, refresh: str = "1 min", clock: WallClock | None = None, **channel: Any) -> None:
        self.file = SubscriptionFile.model_validate(
            {
                "channels": {"am": {"kind": "alertmanager", "url": url, "refresh": refresh, **channel}},
                "subscriptions": [
                    {
                        "name": "all",
                        "match": {"kind": ["warning", "breach", "violation"]},
                        "channels": "am",
                        "language": "both",
                    }
                ],
            }
        )
        self.planner = Planner(self.file, keep=30 * 24 * 60 * MINUTE)
        self.clock = clock or WallClock()
        self.names: Mapping[str, Organisation] = {}
        self.now = START

    def happens(self, *events: Event) -> None:
        """Minute by minute."""
        self.now += MINUTE
        plan = self.planner.step(self.now, events)

        async def told() -> None:
            channel = channels_of(self.file, None, self.clock, self.names)["am"]
            for delivery in plan.deliveries:
                await channel.deliver(delivery)
            await channel.close()

        asyncio.run(told())

    async def sends(self, plan: Plan, until: Callable[[], bool]) -> list[Outcome]:
        """The plan's messages and the reminders, with the file's retries, as a notifier sends them."""
        spec = self.file.channels["am"]
        assert isinstance(spec, AlertmanagerChannel)
        done: list[Outcome] = []
        began = asyncio.get_running_loop().time()

        def standing(holds: Mapping[str, int]) -> list[tuple[Event, str]]:
            now = self.now + int((asyncio.get_running_loop().time() - began) * 1e6)
            since = {kind: now - hold for kind, hold in holds.items()}
            return self.planner.firing_on("am", since=since, now=now)

        sender = Sender(
            "am",
            channels_of(self.file, None, self.clock)["am"],
            spec.retries,
            metrics=NotifyMetrics(("am",)),
            on_done=done.append,
            wanted=self.planner.wanted,
            standing=standing,
        )
        for delivery in plan.deliveries:
            sender.put(delivery)
        running = asyncio.create_task(sender.run())
        try:
            async with asyncio.timeout(60):
                while not await asyncio.to_thread(until):
                    await asyncio.sleep(0.1)
        finally:
            sender.stop()
            await running
            await sender.close()
        return done


def state_of(running: Running, name: str) -> str | None:
    found = running.alerts().get(id_of(name))
    return None if found is None else str(found["status"]["state"])


def test_a_breach_fires_and_a_late_completion_resolves_it(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        story = Story(running.url)
        story.happens(alert("b1", case="c1"))
        assert eventually(lambda: (id_of("b1"), "firing") in running.told())
        assert state_of(running, "b1") == "active"
        found = running.alerts()[id_of("b1")]
        assert found["labels"] == {
            "alertname": "GridclockBreach",
            "alert_id": id_of("b1"),
            "rule": "fee-5-minutes",
            "clause": "W-S5",
            "chapter": "W",
            "severity": "norm",
            "kind": "breach",
            "province": "32",
            "city": "3201",
            "county": "320102",
            "unit": "U001",
        }
        assert found["annotations"]["summary"] == "收费业务5分钟办结 / Fee collected within 5 minutes"
        story.happens(alert("l1", "late_completion", case="c1"))
        assert eventually(lambda: (id_of("b1"), "resolved") in running.told())
        assert state_of(running, "b1") is None
        assert {name for name, _ in running.told()} == {id_of("b1")}


def test_a_retraction_resolves_and_a_withdrawn_completion_fires_again(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        story = Story(running.url)
        story.happens(alert("b1", case="c1"), alert("v", "violation", case="c2"), alert("b3", case="c3"))
        assert eventually(lambda: {name for name, _ in running.told()} == {id_of(key) for key in ("b1", "v", "b3")})
        story.happens(alert("not-v", "retraction", case="c2", retracts="v"), alert("l1", "late_completion", case="c1"))
        assert eventually(lambda: {(id_of("v"), "resolved"), (id_of("b1"), "resolved")} <= set(running.told()))
        assert list(running.alerts()) == [id_of("b3")]
        story.happens(alert("not-l1", "retraction", case="c1", retracts="l1"))
        assert eventually(lambda: state_of(running, "b1") == "active")
        assert eventually(lambda: running.told().count((id_of("b1"), "firing")) >= 2)


def test_annotations_name_the_organisation_and_labels_have_its_codes(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        story = Story(running.url)
        story.names = {"3201": Organisation(code="3201", name=Text(zh="南京公司", en="Nanjing"))}
        story.happens(alert("b1", case="c1"))
        assert eventually(lambda: state_of(running, "b1") == "active")
        found = running.alerts()[id_of("b1")]
        assert found["labels"]["city"] == "3201"
        assert found["annotations"]["place"] == "南京公司 / 320102 / U001 / Nanjing / 320102 / U001"


def test_an_escalated_alert_says_so_when_it_is_refreshed_and_when_it_opens_again(tmp_path: Path) -> None:
    """What Alertmanager shows and sends is the last message's: each says to whom the alert was escalated."""
    with alertmanager(tmp_path) as running:
        story = Story(running.url, refresh="1 s")
        channels = {**story.file.model_dump(by_alias=True)["channels"], "team": {"kind": "kafka", "topic": "team"}}
        step = {"after": "30 min", "to": "county", "channels": "am"}
        own = {"name": "own", "match": {"rule": "power-20-minutes"}, "channels": "am"}
        escalating = {"name": "all", "channels": "team", "escalate": [step]}
        story.file = SubscriptionFile.model_validate({"channels": channels, "subscriptions": [escalating, own]})
        story.planner = Planner(story.file, keep=30 * 24 * 60 * MINUTE)
        story.happens(alert("b1", case="c1"), alert("b2", case="c2", rule="power-20-minutes"))
        story.now += 30 * MINUTE

        def shown(name: str) -> str | None:
            found = running.alerts().get(id_of(name))
            return None if found is None else found["annotations"].get("escalated_to", "nobody")

        story.happens()
        assert eventually(lambda: (shown("b1"), shown("b2")) == ("county", "nobody"))
        before = running.alerts()[id_of("b1")]["endsAt"]

        def is_refreshed() -> bool:
            return str(running.alerts()[id_of("b1")]["endsAt"]) != str(before)

        asyncio.run(story.sends(Plan(), is_refreshed))
        assert (shown("b1"), shown("b2")) == ("county", "nobody")
        story.happens(alert("l1", "late_completion", case="c1"))
        assert eventually(lambda: shown("b1") is None)
        assert all(
            one["annotations"]["escalated_to"] == "county"
            for request in running.hook.taken()
            for one in json.loads(request.body)["alerts"]
            if one["labels"]["alert_id"] == id_of("b1")
        )
        story.happens(alert("not-l1", "retraction", case="c1", retracts="l1"))
        assert eventually(lambda: shown("b1") == "county")


def test_alerts_are_grouped_by_rule_and_city(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        story = Story(running.url)
        other = {"province": "32", "city": "3205"}
        story.happens(
            alert("b1", case="c1"),
            alert("b2", case="c2"),
            alert("b3", case="c3", org=other),
            alert("b4", case="c4", rule="power-20-minutes"),
        )
        assert eventually(lambda: len(running.alerts()) == 4)
        assert running.groups() == [
            ({"city": "3201", "rule": "fee-5-minutes"}, 2),
            ({"city": "3201", "rule": "power-20-minutes"}, 1),
            ({"city": "3205", "rule": "fee-5-minutes"}, 1),
        ]


def test_a_silence_of_amtool_holds(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        running.amtool(
            "silence", "add", "rule=fee-5-minutes", "city=3201", "--author=desk", "--comment=works", "--duration=1h"
        )
        story = Story(running.url)
        story.happens(alert("b1", case="c1"), alert("b2", case="c2", rule="power-20-minutes"))
        assert eventually(lambda: (id_of("b2"), "firing") in running.told())
        assert state_of(running, "b1") == "suppressed"
        assert {name for name, _ in running.told()} == {id_of("b2")}
        assert "GridclockBreach" in running.amtool("alert", "query", "rule=power-20-minutes")


@pytest.mark.whole
def test_what_stands_is_sent_again_before_it_expires(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        # It would expire after three refreshes.
        story = Story(running.url, refresh="1 s", clock=WallClock.scaled(START, 1))
        warning = alert("w", "warning", case="c3")
        warning["data"]["deadline"] = format_us(START + MINUTE // 2)
        story.happens(alert("b1", case="c1"), alert("b2", case="c2"), warning)
        assert eventually(lambda: len(running.alerts()) == 3)
        first = {key: one["endsAt"] for key, one in running.alerts().items()}
        story.planner.step(story.now, [alert("not-b2", "retraction", case="c2", retracts="b2")])

        def is_over() -> bool:
            # b2 was retracted and the warning's deadline is behind us: nobody reminds of them, and they go out.
            found = running.alerts()
            return set(found) == {id_of("b1")} and found[id_of("b1")]["endsAt"] != first[id_of("b1")]

        asyncio.run(story.sends(Plan(), is_over))
        assert state_of(running, "b1") == "active"


SOON = {"attempts": 1, "first": "1 s", "longest": "1 s", "timeout": "1 s"}
LATER = {"attempts": 100, "first": "300 s", "longest": "300 s", "timeout": "1 s"}


@pytest.mark.parametrize("retries", [SOON, LATER], ids=["given up", "in a long pause"])
@pytest.mark.whole
def test_what_stands_is_sent_when_it_comes_back_whatever_became_of_the_first_message(
    tmp_path: Path, retries: dict[str, Any]
) -> None:
    (port,) = free_ports(1)
    story = Story(f"http://127.0.0.1:{port}", refresh="1 s", retries=retries)
    opening = story.planner.step(story.now, [alert("b1", case="c1"), alert("b2", case="c2")])

    async def away() -> None:
        sending = asyncio.create_task(story.sends(opening, lambda: is_back))
        await asyncio.sleep(0)
        await asyncio.to_thread(comes_back)
        await sending

    is_back = False

    def comes_back() -> None:
        nonlocal is_back
        story.planner.step(story.now, [alert("l2", "late_completion", case="c2")])
        with alertmanager(tmp_path, port) as running:
            assert eventually(lambda: set(running.alerts()) == {id_of("b1")}), running.alerts()
            is_back = True

    asyncio.run(away())


@pytest.mark.whole
def test_a_violation_ends_after_its_time_and_a_breach_goes_on(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        story = Story(running.url, refresh="1 s", violation_hold="2 s")
        plan = story.planner.step(story.now, [alert("b1", case="c1"), alert("v", "violation", case="c2")])
        seen: list[set[str]] = []

        def is_over() -> bool:
            seen.append(set(running.alerts()))
            return {id_of("b1"), id_of("v")} in seen and seen[-1] == {id_of("b1")}

        asyncio.run(story.sends(plan, is_over))


def test_an_alert_that_may_be_wrong_says_so(tmp_path: Path) -> None:
    doubtful = alert("b1")
    doubtful["data"]["incomplete"] = True
    with alertmanager(tmp_path) as running:
        Story(running.url).happens(doubtful)
        description = running.alerts()[id_of("b1")]["annotations"]["description"]
    assert (
        description == "【数据不全，请先核实】WO1 超时。\n[records of its time were lost: check it first] WO1 ran out."
    )


@pytest.mark.whole
def test_a_violation_ends_when_it_is_acknowledged(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        story = Story(running.url, refresh="1 s")
        story.happens(alert("v", "violation", case="c1"), alert("v2", "violation", case="c2"))
        assert set(running.alerts()) == {id_of("v"), id_of("v2")}
        story.planner.step(story.now, (), [id_of("v")])
        asyncio.run(story.sends(Plan(), lambda: set(running.alerts()) == {id_of("v2")}))


def test_a_violation_is_held_for_a_day_where_nothing_is_said() -> None:
    spec = Story("http://127.0.0.1:9").file.channels["am"]
    assert isinstance(spec, AlertmanagerChannel)
    assert spec.violation_hold == 24 * 60 * MINUTE


@pytest.mark.parametrize("speed", [1, 60, 86_400])
def test_start_and_end_are_real_times_under_a_scaled_clock(tmp_path: Path, speed: int) -> None:
    real = WallClock().now()
    began = real - 10 * MINUTE  # ten real minutes ago the simulated clock showed START
    clock = WallClock.scaled(START, speed, began)
    with alertmanager(tmp_path) as running:
        story = Story(running.url, clock=clock)
        due = clock.at(real - 4 * MINUTE)
        deadline = clock.at(real + MINUTE)
        warning = alert("w", "warning", case="c2", at=due)
        warning["data"]["deadline"] = format_us(deadline)
        story.happens(alert("b1", case="c1", at=due), warning)
        found = running.alerts()
        for name, ends in (("b1", None), ("w", real + MINUTE)):
            one = found[id_of(name)]
            starts_at, ends_at = (us(one[key]) for key in ("startsAt", "endsAt"))
            assert abs(starts_at - (real - 4 * MINUTE)) <= 1_000
            if ends is None:
                assert real + 3 * MINUTE <= ends_at <= WallClock().now() + 3 * MINUTE
            else:
                assert abs(ends_at - ends) <= 1_000
        story.happens(alert("l1", "late_completion", case="c1", at=clock.now()))
        assert eventually(lambda: id_of("b1") not in running.alerts())
