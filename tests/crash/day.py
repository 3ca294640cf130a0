"""A bad day's workers by their stores, what stands around them, and what was planted among the ordinary events."""

from __future__ import annotations

import base64
import json
import math
import signal
import time
from collections.abc import Callable
from random import Random
from typing import Any

from kafka.errors import KafkaError

from streams.core.instants import format_us
from streams.kafka.java_broker import JavaCluster
from streams.wall_clock import WallClock
from tests.crash.around import Around
from tests.crash.flow import GARBAGE, PATIENCE, Flow
from tests.integration.live import Live, Worker, until
from tests.notify.receiver import Receiver
from tests.stories import SHANGHAI

SESSION_SECONDS = 6
AWAY_SECONDS = 180
"""For so long after brokers were away a worker may end of it, as where a session or a transaction ran out."""
BATCHES = ("20", "100", "300", "2000")
PLANTED = "PLANT"
"""How the numbers of orders begin that faults bring in: the simulator knows nothing of them."""


class Day:
    """Workers by their stores, nodes perhaps away, and the flow of events; ``fault_seconds`` is time for one fault."""

    def __init__(
        self,
        live: Live,
        cluster: JavaCluster,
        flow: Flow,
        clock: WallClock,
        around: Around,
        hook: Receiver,
        fault_seconds: float,
    ) -> None:
        self.live = live
        self.cluster = cluster
        self.flow = flow
        self.clock = clock
        self.around = around
        self.hook = hook
        self.fault_seconds = fault_seconds
        self.workers: dict[str, Worker] = {}
        self.sources = 3
        self.stood_still: set[int] = set()
        self.full_disks: set[int] = set()
        self.spoilt: set[str] = set()
        self.nodes_away_at = -math.inf
        """When (monotonic seconds) brokers were away last: a worker may end of it."""
        self.breached: set[str] = set()
        """Planted orders that must have a breach."""
        self.silent: set[str] = set()
        """Planted orders of which there must be no alert."""
        self.poisoned: set[str] = set()
        """Planted orders at which a worker's program was made to fail: nothing else may be set aside."""
        self._numbers = 0
        self._refusal = ""
        self._stores: list[str] = []
        self._left: list[str] = []  # stores whose worker has gone
        self._programs: dict[str, tuple[str, dict[str, str]]] = {}

    def say(self, text: str) -> None:
        """A line of the day's record, with the day's time."""
        print(f"{format_us(self.clock.now(), SHANGHAI)[:16]} {text}", flush=True)  # noqa: T201

    def run_by(self, store: str, module: str | None, **environment: str) -> None:
        """What runs in the store from its next start on: another program than ``gridclock``; ``None``: that one."""
        self._programs.pop(store, None)
        if module is not None:
            self._programs[store] = module, environment

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
        module, environment = self._programs.get(store, ("streams.cli", {}))
        settings = {"GRIDCLOCK_BATCH": batch, "GRIDCLOCK_SESSION_S": str(SESSION_SECONDS), **environment}
        self.workers[store] = self.live.worker(store=store, ready=False, module=module, **settings)
        self.say(f"    {store}: started, {batch} events at a time")
        if chance.random() < wait:  # else the next fault may find it at anything
            self.wait_ready(store)
        return store

    def wait_ready(self, store: str) -> None:
        """Until a worker is at work in the store, for the first time."""
        while "at work on" not in (worker := self.workers[store]).output:
            until(
                lambda: "at work on" in worker.output or worker.exit_code is not None, PATIENCE, lambda: worker.output
            )
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
        self.around.tend()
        for store, worker in list(self.workers.items()):
            if worker.exit_code is not None:
                last = worker.output.splitlines()[-1]
                assert self._excused(worker), worker.output
                self.say(f"    {store}: ended by itself: {last}")
                self._gone(store)
                self.start(Random(0), store, wait=0)

    def _excused(self, worker: Worker) -> bool:
        dies = [store for store, (_, given) in self._programs.items() if given.get("TEST_FAULT", "").startswith("kill")]
        if worker.exit_code == -signal.SIGKILL:
            return any(worker is self.workers.get(store) for store in dies)
        if worker.exit_code != 2:
            return False
        last = worker.output.splitlines()[-1]
        return (
            time.monotonic() < self.nodes_away_at + AWAY_SECONDS
            or (worker.pid in self.full_disks and "make room there" in last)
            or (worker.pid in self.stood_still and "stood still" in last)
            or any(
                f"/{store}/" in last and last.endswith("; the next start rebuilds it") and " is damaged: " in last
                for store in self.spoilt
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

    # -- what is planted ---------------------------------------------------------------------------------------

    def order(self, word: str, *, breaches: bool) -> dict[str, Any]:
        """A fee begun now that nobody ends: if it is taken, it is a breach five minutes later."""
        self._numbers += 1
        number = f"{PLANTED}{word}{self._numbers}"
        (self.breached if breaches else self.silent).add(number)
        return {
            "event_id": f"{number}-1", "event_type": "counter.service_started", "business": "fee",
            "occurred_at": format_us(self.clock.now(), SHANGHAI), "order_id": number,
        }  # fmt: skip

    def letters(self) -> dict[str, str]:
        """Of each record refused so far (``topic/partition/offset``), the reason."""
        found: dict[str, str] = {}
        for letter in self._letters():
            if letter["reason"] != "quarantined":
                place = f"{letter['source']}/{letter['position']}"
                assert found.setdefault(place, letter["reason"]) == letter["reason"], place
        return found

    def must_be_refused(self) -> dict[str, str]:
        """Of each record planted to be refused, the reason."""
        return {
            f"{self.live.name}.events/{partition}/{offset}": key.removeprefix(GARBAGE).decode()
            for partition, offset, key, _ in self.live.topic("events").records
            if key is not None and key.startswith(GARBAGE)
        }

    def held(self) -> list[dict[str, Any]]:
        """Letters of what was set aside."""
        return [letter for letter in self._letters() if letter["reason"] == "quarantined"]

    def wrongly_held(self) -> list[str]:
        """What was set aside though no fault was planted in it: subject, source and cause."""
        found = []
        for letter in self.held():
            raw = letter["payload"].encode()
            whole = base64.b64decode(raw) if letter["encoding"] == "base64" else raw
            if not any(number.encode() in whole or number in str(letter["subject"]) for number in self.poisoned):
                found.append(f"{letter['subject']} {letter['source']}/{letter['position']}: {letter['detail']}")
        return found

    def _letters(self) -> list[dict[str, Any]]:
        """Those that were sent again later included, which is when they are removed."""
        return [json.loads(value) for *_, value in self.live.topic("dead-letters").records if value is not None]

    def patiently(self, what: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Something asked of brokers that may still be looking for their leaders."""

        def is_done() -> bool:
            try:
                what()
            except KafkaError as error:
                self._refusal = repr(error)
                return False
            return True

        until(is_done, seconds, lambda: self._refusal)
