"""A bad day: faults of all kinds one after the other, drawn from one seed, while events come in.

The workers run by a clock that is fast enough for some days of simulated work orders to come in within the test, event
by event. So there is no backlog that is read once, but for what the faults make: the first watermarks, the middle and
the end of the input all see some. Closed subjects are kept for a few of those days only, and are forgotten on the way;
that is longer than anything here is late, so what stands at the end is still what the simulator expects.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from random import Random

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewPartitions

from streams.core.instants import format_us, instant_us
from streams.kafka.admin import connected
from streams.kafka.java_broker import JavaCluster
from streams.simulation import simulate
from streams.wall_clock import WallClock
from tests.crash.conftest import ROUNDS, SEED
from tests.crash.flow import GARBAGE, Flow
from tests.integration.live import Live, Topic, Worker, expected_keys, keys, standing, until
from tests.stories import SHANGHAI, moment

FAULTS = 5 if ROUNDS <= 2 else 2 * ROUNDS
OPENING_SECONDS = 8
SECONDS_A_FAULT = 5 if ROUNDS <= 2 else 8
DAYS = 10 if ROUNDS <= 2 else 30
DAY = 86_400_000_000
FIRST = date(2025, 3, 3)
SPEED = DAYS * 86_400 / (OPENING_SECONDS + FAULTS * SECONDS_A_FAULT)

KEEP_DAYS = 6
"""More than the day for which events are held back, and the seconds in which a broker is missed, by that clock."""

GRACE_SECONDS = 0.5
"""Of real time, in which what is sent surely arrives where nothing is amiss."""

SESSION_SECONDS = 6
SETTLE = 120.0
MOST_WORKERS = 3
MOST_SOURCES = 6
BATCHES = ("20", "100", "300", "2000")


class Day:
    """Workers by their stores, one of three nodes perhaps away, and the flow of events."""

    def __init__(self, live: Live, cluster: JavaCluster, flow: Flow, say: Callable[[str], None]) -> None:
        self.live = live
        self.cluster = cluster
        self.flow = flow
        self.workers: dict[str, Worker] = {}
        self.sources = 3
        self.say = say
        self._stores: list[str] = []
        self._left: list[str] = []  # stores whose worker has gone
        self._stood_still: set[int] = set()
        self._spoilt: set[str] = set()
        self._nodes_were_away = False

    def start(self, chance: Random, store: str | None = None, *, wait: float = 0.5) -> str:
        """A worker more, in a store that nobody uses, or an empty one; ``wait``: how likely until it is at work."""
        if store is None:
            store = chance.choice([*self._left, "empty"])
        if store == "empty":
            store = f"store-{len(self._stores) + 1}"
            self._stores.append(store)
        elif store in self._left:
            self._left.remove(store)
        batch = chance.choice(BATCHES)
        self.workers[store] = self.live.worker(
            store=store, ready=False, GRIDCLOCK_BATCH=batch, GRIDCLOCK_SESSION_S=str(SESSION_SECONDS)
        )
        self.say(f"    {store}: started, {batch} events at a time")
        if chance.random() < wait:  # else the next fault may find it at anything
            self.wait_ready(store)
        return store

    def wait_ready(self, store: str) -> None:
        """Until a worker is at work in the store, for the first time."""
        while "at work on" not in (worker := self.workers[store]).output:
            until(lambda: "at work on" in worker.output or worker.exit_code is not None, 60, lambda: worker.output)
            self.tend()

    def kill(self, *stores: str) -> None:
        """SIGKILL, of all at once."""
        for store in stores:
            self.workers[store].kill()
        for store in stores:
            self._gone(store)
            self.say(f"    {store}: killed")

    def stop(self, store: str) -> None:
        """SIGTERM, and wait."""
        worker = self.workers[store]
        was_at_work = "at work on" in worker.output
        code = worker.stop(90)
        # Before a worker has a handler of its own, SIGTERM ends it by itself.
        assert code == 0 or (code == -signal.SIGTERM and not was_at_work) or self._excused(worker), worker.output
        self._gone(store)
        self.say(f"    {store}: stopped in order")

    def tend(self) -> None:
        """Start those again that have ended by themselves, as whoever runs workers does; fail without good reason."""
        for store, worker in list(self.workers.items()):
            if worker.exit_code is not None:
                last = worker.output.splitlines()[-1]
                assert self._excused(worker), worker.output
                self.say(f"    {store}: ended by itself: {last}")
                self._gone(store)
                self.start(Random(0), store, wait=0)

    def _excused(self, worker: Worker) -> bool:
        if worker.exit_code != 2:
            return False
        last = worker.output.splitlines()[-1]
        return (
            self._nodes_were_away
            or (worker.pid in self._stood_still and "stood still" in last)
            or any(
                f"/{store}/" in last and last.endswith("; the next start rebuilds it") and " is damaged: " in last
                for store in self._spoilt
            )
        )

    def _gone(self, store: str) -> None:
        del self.workers[store]
        self._left.append(store)

    def someone(self, chance: Random) -> str:
        """A worker that has not ended yet."""
        self.tend()
        return chance.choice(sorted(self.workers))

    def anew(self, chance: Random, gone: str) -> None:
        """Instead of a worker that has gone: with its store, another or an empty one."""
        same = [gone, gone] if gone in self._left else []
        self.start(chance, chance.choice([*same, *self._left, "empty"]))

    # -- faults ----------------------------------------------------------------------------------------------

    def one_is_killed(self, chance: Random) -> None:
        store = self.someone(chance)
        self.kill(store)
        self.anew(chance, store)

    def all_are_killed(self, chance: Random) -> None:
        stores = sorted(self.workers)
        self.kill(*stores)
        time.sleep(chance.random() * 2)
        for store in stores:
            self.anew(chance, store)

    def one_is_killed_as_it_starts(self, chance: Random) -> None:
        """While it joins, takes state back, or applies what is not its first record."""
        store = self.someone(chance)
        for _ in range(2):
            self.kill(store)
            self.start(chance, store, wait=0.3)
            time.sleep(chance.random() * 3)

    def one_is_restarted(self, chance: Random) -> None:
        store = self.someone(chance)
        self.stop(store)
        self.anew(chance, store)

    def one_is_reloaded(self, chance: Random) -> None:
        store = self.someone(chance)
        self.wait_ready(store)
        worker = self.workers[store]
        worker.signal(signal.SIGHUP)
        until(lambda: worker.output.count("at work on") > 1 or worker.exit_code is not None, 60, lambda: worker.output)
        self.say(f"    {store}: told to begin again")

    def one_comes_or_goes(self, chance: Random) -> None:
        if len(self.workers) == MOST_WORKERS or (len(self.workers) > 1 and chance.random() < 0.5):
            self.stop(self.someone(chance))
        else:
            self.start(chance)

    def one_stands_still(self, chance: Random) -> None:
        store = self.someone(chance)
        self.wait_ready(store)
        worker = self.workers[store]
        worker.signal(signal.SIGSTOP)
        time.sleep(SESSION_SECONDS + chance.random() * 3)
        self._stood_still.add(worker.pid)
        worker.signal(signal.SIGCONT)
        until(lambda: worker.exit_code is not None, 60, lambda: worker.output)
        self.tend()

    def a_store_is_spoilt(self, chance: Random) -> None:
        store = self.someone(chance)
        self.stop(store)
        databases = sorted((self.live.directory / store).rglob("*.db"))
        for database in databases:
            how = chance.choice(["left", "removed", "CURRENT", "*.log", "MANIFEST-*", "*.sst"])
            if how == "removed":
                shutil.rmtree(database)
            for file in sorted(database.glob(how)):
                whole = file.read_bytes()
                kept = chance.randrange(len(whole) + 1)
                file.write_bytes(whole[:kept] + bytes(chance.choice([0, len(whole) - kept])))
            self.say(f"    {store}: {database.name} {how}")
        self._spoilt.add(store)
        self.start(chance, store)

    def a_node_is_away(self, chance: Random) -> None:
        node = chance.randint(1, 3)
        self._nodes_were_away = True
        self.cluster.kill(node)
        self.say(f"    node {node}: killed")
        try:
            time.sleep(chance.random() * 5)
            if chance.random() < 0.5:
                store = self.someone(chance)
                self.kill(store)
                self.anew(chance, store)
        finally:
            self.cluster.start(node)
            self.say(f"    node {node}: started")

    def the_source_grows(self, chance: Random) -> None:
        if self.sources < MOST_SOURCES:
            self.sources += 1
            with connected(KafkaAdminClient, self.live.bootstrap, {}) as admin:
                admin.create_partitions({f"{self.live.name}.events": NewPartitions(self.sources)})
        self.say(f"    {self.sources} partitions")

    def events_come_again(self, chance: Random) -> None:
        self.say(f"    {self.flow.repeat(chance, chance.randint(1, 8))} events again")

    def garbage_comes_in(self, chance: Random) -> None:
        self.say(f"    {self.flow.spoil(chance, chance.randint(100, 1000))} records that nobody can take")

    def events_are_held_back(self, chance: Random) -> None:
        held = self.flow.hold_back(chance, within=int(DAYS / FAULTS * DAY), at_most=DAY)
        self.say(f"    {held} events are to come late")


KINDS = (
    Day.one_is_killed,
    Day.one_is_killed_as_it_starts,
    Day.all_are_killed,
    Day.one_is_restarted,
    Day.one_is_reloaded,
    Day.one_comes_or_goes,
    Day.one_stands_still,
    Day.a_store_is_spoilt,
    Day.a_node_is_away,
    Day.the_source_grows,
    Day.events_come_again,
    Day.garbage_comes_in,
    Day.events_are_held_back,
)


def drawn(rng: Random) -> Iterator[tuple[Callable[[Day, Random], None], Random, float]]:
    """Faults, each with chances of its own, and which part of the day has passed at it; every kind before any again."""
    kinds = [kind for _ in range(-(-FAULTS // len(KINDS))) for kind in rng.sample(KINDS, len(KINDS))]
    for number, kind in enumerate(kinds[:FAULTS]):
        yield kind, Random(rng.random()), (number + rng.random()) / FAULTS


@pytest.mark.slow
@pytest.mark.timeout(300 if ROUNDS <= 2 else 1800)
def test_a_bad_day(cluster: JavaCluster, prefix: str, tmp_path: Path, rng: Random) -> None:
    made = simulate(orders=500 * min(ROUNDS, 20), seed=SEED, start=FIRST, days=DAYS)
    plan = list(drawn(rng))
    print(f"GRIDCLOCK_CRASH_SEED={SEED}:", *(kind.__name__ for kind, *_ in plan))  # noqa: T201
    begin = instant_us(moment(f"{FIRST}T00:00"))
    clock = WallClock.scaled(begin, SPEED)
    flags = ["--clock-origin", clock.origin, "--clock-anchor", clock.anchor, "--clock-speed", float(clock.speed)]
    grace = ["--grace-ms", int(GRACE_SECONDS * SPEED * 1000)]

    def say(text: str) -> None:
        print(f"{format_us(clock.now(), SHANGHAI)[:16]} {text}")  # noqa: T201

    with (
        Live(cluster.bootstrap, prefix, tmp_path, clock=[*flags, *grace], keep_days=KEEP_DAYS) as live,
        Flow(live.bootstrap, f"{live.name}.events", clock, made.events) as flow,
    ):
        live.make_source(3)
        flow.start()
        day = Day(live, cluster, flow, say)
        killed_at_its_first_records(day, rng)
        began = clock.now()
        left = instant_us(moment(made.as_of)) - began
        for kind, chance, part in plan:
            at = began + int(part * left)
            until(lambda at=at: clock.now() >= at, 60, lambda: "the clock stands still")  # type: ignore[misc]
            flow.check()
            day.tend()
            say(kind.__name__)
            kind(day, chance)
        flow.finish()
        for store in sorted(day.workers):
            day.wait_ready(store)
        day.tend()
        late = flow.latest / DAY
        say(f"all has come in, the latest {late:.1f} days late")
        # Nobody reads a new partition before it has been heard of, and until then time does not wait for it.
        until(
            lambda: live.replay() is not None and live.has_heard_of(day.sources),
            60,
            lambda: f"the log does not know of {day.sources} partitions",
        )
        end = clock.now()
        sent = live.settle(format_us(end, SHANGHAI), SETTLE)
        found = standing(sent.values(), made.as_of)
        assert late < KEEP_DAYS, "so late that the simulator cannot know what must stand"
        assert keys(found, made.expected) == expected_keys(made.expected)
        letters = {key for _, _, key, _ in live.topic("dead-letters").records}
        assert letters == {
            f"{live.name}.events/{partition}/{offset}".encode()
            for partition, offset, key, _ in live.topic("events").records
            if key == GARBAGE
        }
        again = len(live.topic("alerts").records) - len(sent)
        say(f"{len(sent)} alerts, {again} of them sent again, {len(found)} stand; {len(letters)} dead letters")


def killed_at_its_first_records(day: Day, rng: Random) -> None:
    """Before it has ever seen time pass, or just after; then two go on."""
    store = day.start(rng, "empty", wait=0)
    worker, log = day.workers[store], Topic(day.live.bootstrap, f"{day.live.name}.log")
    try:
        until(lambda: bool(log.update()) or worker.exit_code is not None, 60, lambda: worker.output)
    finally:
        log.close()
    time.sleep(rng.random() / 2)
    day.kill(store)
    day.start(rng, store, wait=0)
    day.start(rng, "empty", wait=0)
