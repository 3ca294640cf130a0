"""The Alertmanager channel against a real Alertmanager (Debian's) on loopback, with amtool for what people do."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from schemas.subscriptions import AlertmanagerChannel, SubscriptionFile
from streams.core.delivery import Event, Planner
from streams.kafka.child_process import ChildProcess
from streams.kafka.java_broker import free_ports
from streams.notify.metrics import NotifyMetrics
from streams.notify.process import channels_of
from streams.notify.sending import Outcome, Sender
from tests.notify.alerts import MINUTE, START, alert, id_of
from tests.notify.receiver import Receiver, eventually, receiver

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
def alertmanager(folder: Path) -> Iterator[Running]:
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
        (port,) = free_ports(1)
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

    def __init__(self, running: Running, *, refresh: str = "1 min") -> None:
        self.file = SubscriptionFile.model_validate(
            {
                "channels": {"am": {"kind": "alertmanager", "url": running.url, "refresh": refresh}},
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
        self.now = START

    def happens(self, *events: Event) -> None:
        """Minute by minute."""
        self.now += MINUTE
        plan = self.planner.step(self.now, events)

        async def told() -> None:
            channel = channels_of(self.file, None)["am"]
            for delivery in plan.deliveries:
                await channel.deliver(delivery)
            await channel.close()

        asyncio.run(told())


def state_of(running: Running, name: str) -> str | None:
    found = running.alerts().get(id_of(name))
    return None if found is None else str(found["status"]["state"])


def test_a_breach_fires_and_a_late_completion_resolves_it(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        story = Story(running)
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
        story = Story(running)
        story.happens(alert("b1", case="c1"), alert("v", "violation", case="c2"), alert("b3", case="c3"))
        assert eventually(lambda: {name for name, _ in running.told()} == {id_of(key) for key in ("b1", "v", "b3")})
        story.happens(alert("not-v", "retraction", case="c2", retracts="v"), alert("l1", "late_completion", case="c1"))
        assert eventually(lambda: {(id_of("v"), "resolved"), (id_of("b1"), "resolved")} <= set(running.told()))
        assert list(running.alerts()) == [id_of("b3")]
        story.happens(alert("not-l1", "retraction", case="c1", retracts="l1"))
        assert eventually(lambda: state_of(running, "b1") == "active")
        assert eventually(lambda: running.told().count((id_of("b1"), "firing")) >= 2)


def test_alerts_are_grouped_by_rule_and_city(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        story = Story(running)
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
        story = Story(running)
        story.happens(alert("b1", case="c1"), alert("b2", case="c2", rule="power-20-minutes"))
        assert eventually(lambda: (id_of("b2"), "firing") in running.told())
        assert state_of(running, "b1") == "suppressed"
        assert {name for name, _ in running.told()} == {id_of("b2")}
        assert "GridclockBreach" in running.amtool("alert", "query", "rule=power-20-minutes")


def test_what_stands_is_sent_again_before_it_expires(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as running:
        story = Story(running, refresh="1 s")  # it would expire after three
        story.happens(alert("b1", case="c1"), alert("b2", case="c2"), alert("w", "warning", case="c3"))
        assert eventually(lambda: len(running.alerts()) == 3)
        first = {key: one["endsAt"] for key, one in running.alerts().items()}
        story.planner.step(story.now, [alert("not-b2", "retraction", case="c2", retracts="b2")])

        async def remind() -> None:
            spec = story.file.channels["am"]
            assert isinstance(spec, AlertmanagerChannel)
            done: list[Outcome] = []
            sender = Sender(
                "am",
                channels_of(story.file, None)["am"],
                spec.retries,
                metrics=NotifyMetrics(("am",)),
                on_done=done.append,
                is_moot=story.planner.is_moot,
                standing=lambda hold: story.planner.alarms_on("am", since=story.now - hold, now=story.now),
            )
            running_sender = asyncio.create_task(sender.run())
            # b2 was retracted and the warning's deadline is behind us: nobody reminds of them, and they go out.
            while (
                set(running.alerts()) != {id_of("b1")} or running.alerts()[id_of("b1")]["endsAt"] == first[id_of("b1")]
            ):
                await asyncio.sleep(0.1)
            sender.stop()
            await running_sender
            await sender.close()

        asyncio.run(asyncio.wait_for(remind(), 60))
        assert state_of(running, "b1") == "active"
