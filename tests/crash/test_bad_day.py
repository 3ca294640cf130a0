"""A bad day: faults of all kinds (``tests.crash.faults``), one after the other by a seed, while events come in.

The workers run by a clock that is fast enough for some days of simulated work orders to come in within the test, event
by event. So there is no backlog that is read once, but for what the faults make: the first watermarks, the middle and
the end of the input all see some. In the longer forms closed subjects are kept for a few of those days only, and are
forgotten on the way; that is longer than anything here is late, so what stands at the end is still what the simulator
expects.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

from streams.core.instants import format_us, instant_us
from streams.kafka.java_broker import JavaCluster
from streams.simulation import Simulation, simulate
from streams.wall_clock import WallClock
from tests.crash.around import Around
from tests.crash.conftest import ROUNDS, SEED
from tests.crash.day import PLANTED, Day
from tests.crash.faults import FAULTS, Fault
from tests.crash.flow import Flow
from tests.integration.live import Live, Topic, command, expected_keys, keys, standing, until
from tests.notify.receiver import receiver
from tests.stories import SHANGHAI, moment

OPENING_SECONDS = 8
US_A_DAY = 86_400_000_000
FIRST = date(2025, 3, 3)

KEEP_DAYS = 6
"""More than the day for which events are held back, and the seconds that any fault takes, by that clock."""

GRACE_SECONDS = 0.5
"""Of real time, in which what is sent surely arrives where nothing is amiss."""

SETTLE = 300.0


@dataclass(frozen=True)
class Form:
    """How many faults, seconds for each, simulated days and orders; ``timeout`` in seconds."""

    faults: int
    seconds: float
    days: int
    orders: int
    timeout: int

    @property
    def speed(self) -> float:
        """How many times as fast as the real one the clock is."""
        return self.days * 86_400 / (OPENING_SECONDS + self.faults * self.seconds)

    @property
    def is_short(self) -> bool:
        return self.faults <= len({fault.group for fault in FAULTS})


SHORT = Form(6, 5, 2, 1000, 600)
"""CI: one fault of each group."""
FULL = Form(40, 12, 15, 10_000, 2400)


def long_form(minutes: int) -> Form:
    """A fault a minute, and in each minute half a simulated day with 350 orders."""
    return Form(minutes, 60, max(1, minutes // 2), 350 * minutes, 60 * minutes + 3600)


WANTED = os.environ.get("GRIDCLOCK_BAD_DAY", "")
"""Minutes, such as ``60min``, or names of faults with commas between them: those, in the short form."""

MINUTES = int(WANTED.removesuffix("min")) if WANTED.endswith("min") else 0
FORM = long_form(MINUTES) if MINUTES else SHORT if ROUNDS <= 2 else FULL


def drawn(rng: Random, form: Form, wanted: str = "") -> Iterator[tuple[Fault, Random, float]]:
    """Faults, each with chances of its own, and which part of the day has passed at it.

    In the short form one of each group, else every kind before any comes again; or those ``wanted``, in this order.
    """
    if wanted and not MINUTES:
        faults = [{fault.name: fault for fault in FAULTS}[name] for name in wanted.split(",")]
    elif form.is_short:
        groups = sorted({fault.group for fault in FAULTS})
        faults = [rng.choice([fault for fault in FAULTS if fault.group == group]) for group in groups]
        rng.shuffle(faults)
    else:
        rounds = -(-form.faults // len(FAULTS))
        faults = [fault for _ in range(rounds) for fault in rng.sample(FAULTS, len(FAULTS))][: form.faults]
    for number, fault in enumerate(faults):
        yield fault, Random(rng.random()), (number + rng.random()) / len(faults)


def test_every_kind_is_drawn_before_any_comes_again() -> None:
    hour = long_form(60)
    for seed in range(20):
        names = [fault.name for fault, *_ in drawn(Random(seed), hour)]
        assert len(names) == hour.faults
        assert set(names[: len(FAULTS)]) == {fault.name for fault in FAULTS}
        assert len({fault.group for fault, *_ in drawn(Random(seed), SHORT)}) == SHORT.faults
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.mark.slow
@pytest.mark.timeout(FORM.timeout)
def test_a_bad_day(cluster: JavaCluster, prefix: str, tmp_path: Path, rng: Random) -> None:
    made = simulate(orders=FORM.orders, seed=SEED, start=FIRST, days=FORM.days)
    plan = list(drawn(rng, FORM, WANTED))
    print(f"GRIDCLOCK_CRASH_SEED={SEED}:", *(fault.name for fault, *_ in plan), flush=True)  # noqa: T201
    clock = WallClock.scaled(instant_us(moment(f"{FIRST}T00:00")), FORM.speed)
    flags = ["--clock-origin", clock.origin, "--clock-anchor", clock.anchor, "--clock-speed", float(clock.speed)]
    grace = ["--grace-ms", int(GRACE_SECONDS * FORM.speed * 1000)]
    with ExitStack() as stack:
        live = stack.enter_context(
            Live(cluster.bootstrap, prefix, tmp_path, clock=[*flags, *grace], keep_days=KEEP_DAYS)
        )
        flow = stack.enter_context(Flow(live.bootstrap, f"{live.name}.events", clock, made.events))
        hook = stack.enter_context(receiver())
        around = stack.enter_context(Around(live.bootstrap, live.name, tmp_path, hook, flags))
        live.make_source(3)
        flow.start()
        day = Day(live, cluster, flow, clock, around, hook, FORM.seconds)
        killed_at_its_first_records(day, rng)
        began = clock.now()
        left = instant_us(moment(made.as_of)) - began
        for fault, chance, part in plan:
            at = began + int(part * left)
            wait_for(day, at)
            day.say(fault.name)
            fault.do(day, chance)
        wait_for(day, instant_us(moment(made.as_of)))
        check(day, made, tmp_path)


def wait_for(day: Day, at: int) -> None:
    """Until the day's clock shows so much; whoever has ended meanwhile is started again."""
    while day.clock.now() < at:
        time.sleep(0.1)
        day.flow.check()
        day.tend()
    day.flow.check()
    day.tend()


def killed_at_its_first_records(day: Day, rng: Random) -> None:
    """Before it has ever seen time pass, or just after; then two go on."""
    store = day.start(rng, "empty", wait=0)
    worker, log = day.workers[store], Topic(day.live.bootstrap, f"{day.live.name}.log")
    try:
        until(lambda: bool(log.update()) or worker.exit_code is not None, SETTLE, lambda: worker.output)
    finally:
        log.close()
    time.sleep(rng.random() / 2)
    day.kill(store)
    day.start(rng, store, wait=0)
    day.start(rng, "empty", wait=0)


def check(day: Day, made: Simulation, folder: Path) -> None:
    """The sets are equal: live, from the log, expected; refused, planted; delivered, standing."""
    live = day.live
    day.flow.finish()
    for store in sorted(day.workers):
        day.wait_ready(store)
    day.tend()
    late = day.flow.latest / US_A_DAY
    day.say(f"all has come in, the latest {late:.1f} days late")
    # Nobody reads a new partition before it has been heard of, and until then time does not wait for it.
    until(
        lambda: live.replay() is not None and live.has_heard_of(day.sources),
        SETTLE,
        lambda: f"the log does not know of {day.sources} partitions",
    )
    end = day.clock.now()
    sent = live.settle(format_us(end, SHANGHAI), SETTLE)
    assert late < KEEP_DAYS, "so late that the simulator cannot know what must stand"
    found = standing(sent.values(), made.as_of)
    ordinary = [alert for alert in found if not alert["subject"]["id"].startswith(PLANTED)]
    assert keys(ordinary, made.expected) == expected_keys(made.expected)
    alerted = {alert["subject"]["id"] for alert in sent.values()}
    assert not alerted & day.silent
    assert day.breached <= {alert["subject"]["id"] for alert in sent.values() if alert["kind"] == "breach"}
    assert day.letters() == day.must_be_refused()
    day.around.wait_delivered({alert["alert_id"] for alert in found}, SETTLE)
    assert day.around.delivered() <= live.sent().keys()
    assert {alert["alert_id"] for alert in day.around.shown()} <= live.sent().keys()
    for store in sorted(day.workers):
        day.stop(store)
    from_log = replayed(live, folder / "from-log.jsonl")
    told = live.sent()
    assert told == {alert_id: alert for alert_id, alert in from_log.items() if alert_id in told}
    more = [alert for alert_id, alert in from_log.items() if alert_id not in told]
    assert [alert for alert in more if instant_us(moment(alert["detected_at"])) <= end] == []
    again = len(live.topic("alerts").records) - len(told)
    day.say(
        f"{len(made.events)} events of {FORM.orders} orders; {len(told)} alerts, {again} of them sent again, "
        f"{len(found)} stand; {len(day.letters())} dead letters, {len(day.held())} letters of what was set aside; "
        f"{len(live.workers)} starts of workers; {len(day.hook.received)} messages, {len(day.hook.taken())} taken"
    )
    assert day.wrongly_held() == []


def replayed(live: Live, path: Path) -> dict[str, dict[str, Any]]:
    """What ``gridclock replay --log`` gives, by alert id."""
    done = command(
        "replay", "--log", "--alerts", path, "--bootstrap", live.bootstrap, "--name", live.name, "--quiet",
        environment={"GRIDCLOCK_KEEP_DAYS": f"{KEEP_DAYS:.9f}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line)["data"] for line in path.read_text("utf-8").splitlines()]
    return {alert["alert_id"]: alert for alert in found}
