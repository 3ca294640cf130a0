"""The faults of a bad day, in one table: what each does, and what must hold afterwards.

What must hold after all of them is looked at once, at the end (``test_bad_day``): the sets are equal. What the table
says besides is looked at by the fault itself, before the next one, or by what it plants, at the end.
"""

from __future__ import annotations

import resource
import shutil
import signal
import time
from collections.abc import Callable
from random import Random
from typing import Literal, NamedTuple

from confluent_kafka import Producer
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import NewPartitions

from streams.core.instants import format_us
from streams.kafka.admin import connected, end_offsets
from streams.kafka.topics import topics_of
from streams.settings import load_settings
from tests.crash.day import SESSION_SECONDS, Day
from tests.crash.flow import PATIENCE, key_of, value_of
from tests.integration.live import command, until
from tests.integration.status import asked
from tests.notify.receiver import CUT, HANG
from tests.stories import SHANGHAI

MOST_WORKERS = 3
MOST_SOURCES = 6
SECOND = 1_000_000
DAY = 86_400 * SECOND
CODECS = ("gzip", "snappy", "lz4", "zstd", "uncompressed")
STEPS = ("handle", "fold", "judge", "render", "encode", "row", "kill", "kill_intake", "read")
"""Where ``tests.integration.poisoned_worker`` fails."""

GONE_SECONDS = 3
"""After which the broker ends a transaction whose producer has gone."""

PAUSES = 1_000
METERS = 20_000

# -- workers ---------------------------------------------------------------------------------------------------


def one_is_killed(day: Day, chance: Random) -> None:
    store = day.someone(chance)
    day.kill(store)
    day.anew(chance, store)


def all_are_killed(day: Day, chance: Random) -> None:
    stores = sorted(day.workers)
    day.kill(*stores)
    time.sleep(chance.random() * 2)
    for store in stores:
        day.anew(chance, store)


def one_is_killed_as_it_starts(day: Day, chance: Random) -> None:
    store = day.someone(chance)
    for _ in range(2):
        day.kill(store)
        day.start(chance, store, wait=0.3)
        time.sleep(chance.random() * 3)


def one_is_restarted(day: Day, chance: Random) -> None:
    store = day.someone(chance)
    day.stop(store)
    day.anew(chance, store)


def one_is_reloaded(day: Day, chance: Random) -> None:
    store = day.someone(chance)
    day.wait_ready(store)
    worker = day.workers[store]
    worker.signal(signal.SIGHUP)
    until(
        lambda: worker.output.count("at work on") > 1 or worker.exit_code is not None, PATIENCE, lambda: worker.output
    )
    day.say(f"    {store}: told to begin again")


def one_comes_or_goes(day: Day, chance: Random) -> None:
    if len(day.workers) == MOST_WORKERS or (len(day.workers) > 1 and chance.random() < 0.5):
        day.stop(day.someone(chance))
    else:
        day.start(chance)


def one_stands_still(day: Day, chance: Random) -> None:
    store = day.someone(chance)
    day.wait_ready(store)
    worker = day.workers[store]
    worker.signal(signal.SIGSTOP)
    time.sleep(SESSION_SECONDS + chance.random() * 3)
    day.stood_still.add(worker.pid)
    worker.signal(signal.SIGCONT)
    until(lambda: worker.exit_code is not None, PATIENCE, lambda: worker.output)
    day.tend()


# -- its machine -----------------------------------------------------------------------------------------------


def a_store_is_spoilt(day: Day, chance: Random) -> None:
    store = day.someone(chance)
    day.stop(store)
    databases = sorted((day.live.directory / store).rglob("*.db"))
    for database in databases:
        how = chance.choice(["left", "removed", "CURRENT", "*.log", "MANIFEST-*", "*.sst"])
        if how == "removed":
            shutil.rmtree(database)
        for file in sorted(database.glob(how)):
            whole = file.read_bytes()
            kept = chance.randrange(len(whole) + 1)
            file.write_bytes(whole[:kept] + bytes(chance.choice([0, len(whole) - kept])))
        day.say(f"    {store}: {database.name} {how}")
    day.spoilt.add(store)
    day.start(chance, store)


def a_disk_is_full(day: Day, chance: Random) -> None:
    """No file of the worker may grow (a limit of the process: a file system would need rights to mount one)."""
    store = day.someone(chance)
    day.wait_ready(store)
    worker = day.workers[store]
    largest = max((file.stat().st_size for file in (day.live.directory / store).rglob("*.log")), default=0)
    day.full_disks.add(worker.pid)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (largest + chance.randrange(4096), resource.RLIM_INFINITY))
    end = time.monotonic() + 20
    while worker.exit_code is None and time.monotonic() < end:
        time.sleep(0.1)
    if worker.exit_code is None:  # it has no partition at the time, or writes little
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        day.say(f"    {store}: wrote nothing while its disk was full")
    day.tend()


def a_clock_jumps(day: Day, chance: Random) -> None:
    """A worker's machine is ahead or behind by real seconds, twice, then right."""
    store = day.someone(chance)
    day.stop(store)
    jumps = [*(chance.choice([-86_400, -60, -3, 2, 60, 86_400, 10**7]) for _ in range(2)), 0]
    day.run_by(store, "tests.integration.wrong_clock", WRONG_BY_S=",".join(map(str, jumps)))
    day.start(chance, store, wait=1)
    day.run_by(store, None)
    worker = day.workers[store]
    for jump in jumps:
        day.say(f"    {store}: its clock is {jump:+} s wrong")
        if jump:
            time.sleep(day.fault_seconds / 3)
            day.tend()
            if worker.exit_code is None:
                worker.signal(signal.SIGUSR1)


# -- brokers ---------------------------------------------------------------------------------------------------


def a_node_is_away(day: Day, chance: Random) -> None:
    node = chance.randint(1, 3)
    _nodes_away(day, chance, [node], chance.random() * 5)


def all_nodes_are_away(day: Day, chance: Random) -> None:
    _nodes_away(day, chance, [1, 2, 3], chance.random() * day.fault_seconds)


def _nodes_away(day: Day, chance: Random, nodes: list[int], seconds: float) -> None:
    day.nodes_away_at = time.monotonic()
    for node in nodes:
        day.cluster.kill(node)
    day.say(f"    nodes {nodes}: killed")
    try:
        time.sleep(seconds)
        if len(nodes) == 1 and chance.random() < 0.5:
            one_is_killed(day, chance)
    finally:
        for node in nodes:
            day.cluster.start(node, wait=False)
        day.cluster.wait_ready(PATIENCE)
        day.nodes_away_at = time.monotonic()
        day.say(f"    nodes {nodes}: started")


def a_topic_takes_no_writes(day: Day, chance: Random) -> None:
    """One that wants all three copies while a node is away."""
    settings = load_settings(bootstrap=day.live.bootstrap, name=day.live.name)
    topic = chance.choice(
        [settings.log_topic, settings.alerts_topic, settings.changelog_topic, settings.dead_letters_topic]
    )
    node = chance.randint(1, 3)
    day.nodes_away_at = time.monotonic()
    day.patiently(lambda: day.live.configure(topic, {"min.insync.replicas": "3"}))
    day.cluster.kill(node)
    day.say(f"    {topic} wants 3 copies, node {node}: killed")
    try:
        time.sleep(5 + chance.random() * 5)
    finally:
        day.cluster.start(node, wait=False)
        day.cluster.wait_ready(PATIENCE)
        day.nodes_away_at = time.monotonic()
        day.patiently(lambda: day.live.configure(topic, {"min.insync.replicas": "2"}))
        day.say("    all as before")


def the_codec_changes(day: Day, chance: Random) -> None:
    settings = load_settings(bootstrap=day.live.bootstrap, name=day.live.name)
    for name in [f"{day.live.name}.events", *(spec.name for spec in topics_of(settings))]:
        codec = chance.choice(CODECS)
        day.patiently(lambda name=name, codec=codec: day.live.configure(name, {"compression.type": codec}))  # type: ignore[misc]
        day.say(f"    {name}: {codec}")


def the_source_grows(day: Day, chance: Random) -> None:
    if day.sources < MOST_SOURCES:
        day.sources += 1
        with connected(KafkaAdminClient, day.live.bootstrap, {}) as admin:
            admin.create_partitions({f"{day.live.name}.events": NewPartitions(day.sources)})
    day.say(f"    {day.sources} partitions")


# -- what comes in ---------------------------------------------------------------------------------------------


def events_come_again(day: Day, chance: Random) -> None:
    day.say(f"    {day.flow.repeat(chance, chance.randint(1, 8))} events again")


def events_come_by_a_codec(day: Day, chance: Random) -> None:
    """What came lately, again, by producers that compress their batches themselves."""
    for codec in CODECS[:4]:
        producer = Producer({
            "bootstrap.servers": day.live.bootstrap, "compression.type": codec, "acks": "all", "linger.ms": 20
        })  # fmt: skip
        for event in [*day.flow.recent(), day.order(codec, breaches=True)]:
            producer.produce(f"{day.live.name}.events", value_of(event), key=key_of(event))
        assert producer.flush(PATIENCE) == 0
    day.say("    events by every codec")


def events_are_held_back(day: Day, chance: Random) -> None:
    held = day.flow.hold_back(chance, within=_span(day), at_most=DAY)
    day.say(f"    {held} events are to come late")


def batches_are_reversed(day: Day, chance: Random) -> None:
    day.say(f"    {day.flow.reverse(int(_span(day) * chance.random()))} events come the last first")


def _span(day: Day) -> int:
    """Microseconds of the day's clock that one fault has."""
    return int(day.fault_seconds * SECOND * day.clock.speed)


def garbage_comes_in(day: Day, chance: Random) -> None:
    day.say(f"    {day.flow.spoil(chance, chance.randint(100, 1000))} records that nobody can take")


def poison_comes_in(day: Day, chance: Random) -> None:
    """Two events under one id, stamps of another age, an order of a thousand pauses, a notice of 20,000 meters."""
    first = day.order("twice", breaches=True)
    day.flow.plant(first, partition=0)
    day.flow.refused(value_of({**first, "business": "power"}), "conflicting_duplicate")
    day.flow.refused(value_of(day.order("stamp", breaches=False)), "impossible_timestamp", timestamp_ms=1000)
    hot = day.order("hot", breaches=True)
    at = day.clock.now()
    day.flow.plant(hot)
    for number in range(PAUSES):
        kind = "counter.resumed" if number % 2 else "counter.interrupted"
        when = format_us(at + number * SECOND // 100, SHANGHAI)
        event = {**hot, "event_id": f"{hot['event_id']}-{number}", "event_type": kind, "occurred_at": when}
        del event["business"]
        day.flow.plant({**event, "reason": "system_failure"})
    notice = {
        "event_id": f"{hot['event_id']}-notice", "event_type": "meter.batch_notice_posted", "batch_id": hot["order_id"],
        "occurred_at": format_us(at, SHANGHAI), "meters": [f"{number:x}" for number in range(METERS)],
    }  # fmt: skip
    filler = "x" * (262_000 - len(value_of(notice)))
    day.flow.plant({**notice, "unknown": filler})


class _Transaction:
    """A producer's; ``partition`` holds all of it."""

    def __init__(self, day: Day, word: str, partition: int, *, seconds: int = 60) -> None:
        self._topic, self._partition = f"{day.live.name}.events", partition
        self.producer = Producer({
            "bootstrap.servers": day.live.bootstrap, "transactional.id": f"{day.live.name}-{word}",
            "transaction.timeout.ms": seconds * 1000,
        })  # fmt: skip
        self.producer.init_transactions(PATIENCE)
        self.producer.begin_transaction()

    def write(self, *events: dict[str, object]) -> None:
        for event in events:
            self.producer.produce(self._topic, value_of(event), key=key_of(event), partition=self._partition)
        self.producer.flush(PATIENCE)


def a_transaction_is_aborted(day: Day, chance: Random) -> None:
    order = day.order("aborted", breaches=False)
    transaction = _Transaction(day, str(order["order_id"]), chance.randrange(day.sources))
    lately = day.flow.recent()
    wrong = [{**event, "event_id": f"{event['event_id']}-aborted"} for event in lately]
    transaction.write(order, *wrong)
    transaction.producer.abort_transaction(PATIENCE)
    day.say(f"    {len(wrong) + 1} events in a transaction that is aborted")


def a_transaction_hangs(day: Day, chance: Random) -> None:
    """Open for seconds; then it is committed, aborted, or its producer has gone and the broker aborts it."""
    end = chance.choice(["commit", "abort", "gone"])
    order = day.order("open", breaches=end == "commit")
    seconds = GONE_SECONDS if end == "gone" else 60
    transaction = _Transaction(day, str(order["order_id"]), chance.randrange(day.sources), seconds=seconds)
    transaction.write(order)
    if end == "gone":
        del transaction
    else:
        time.sleep(chance.random() * day.fault_seconds / 2)
        done = transaction.producer.commit_transaction if end == "commit" else transaction.producer.abort_transaction
        done(PATIENCE)
    day.say(f"    a transaction hung: {end}")


def retention_eats_records(day: Day, chance: Random) -> None:
    """What nobody has read yet is removed, in every partition; it is nothing but what is planted here."""
    topic = f"{day.live.name}.events"
    with day.flow.held():
        until(
            lambda: _behind(day) == 0,
            120,
            lambda: f"{_behind(day)} records are not read",
            progress=lambda: _behind(day),
        )
        stores = sorted(day.workers)
        day.kill(*stores)
        count = chance.randint(1, 20)
        before = end_offsets(day.live.bootstrap, topic)
        for partition in before:
            for _ in range(count):
                day.flow.plant(day.order("lost", breaches=False), partition)
        day.flow.flush()
        ends = end_offsets(day.live.bootstrap, topic)
        day.live.topic("events")  # what was refused until now is known
        with connected(KafkaAdminClient, day.live.bootstrap, {}) as admin:
            day.patiently(
                lambda: admin.delete_records({TopicPartition(topic, number): end for number, end in ends.items()})
            )
    for store in stores:
        day.start(chance, store, wait=0)
    lines = {
        f"{topic}/{partition}: offsets {before[partition]} to {end - 1} (up to {end - before[partition]} records) were"
        for partition, end in ends.items()
    }

    def missing() -> set[str]:
        day.tend()
        said = "".join(worker.output for worker in day.live.workers[-len(stores) - 5 :])
        return {line for line in lines if line not in said}

    until(lambda: not missing(), PATIENCE, lambda: f"nobody said {missing()}")
    day.say(f"    {count} records lost in each of {len(ends)} partitions")


def _behind(day: Day) -> int:
    day.tend()
    _, answer = asked(day.live)
    return sum(source["behind"] + (source["held"] or 0) for source in answer["sources"]) if answer["sources"] else -1


# -- set aside and brought back ----------------------------------------------------------------------------------


def a_subject_makes_workers_fail(day: Day, chance: Random) -> None:
    """Every worker's program fails at one order, at a step drawn; it is repaired, and the order is brought back."""
    step = chance.choice(STEPS)
    order = day.order(f"POISON-{step}-", breaches=True)
    day.poisoned.add(order["order_id"])
    for store in sorted(day.workers):
        day.kill(store)
        day.run_by(store, "tests.integration.poisoned_worker", TEST_FAULT=step, TEST_POISON=order["order_id"])
        day.start(chance, store, wait=0)
    for store in sorted(day.workers):
        day.wait_ready(store)
    order["occurred_at"] = format_us(day.clock.now(), SHANGHAI)
    day.flow.plant(order)
    before = len(day.held())
    names_nobody = step in ("read", "kill_intake")  # what is set aside is a record that was not read
    subject = None if names_nobody else ["order", order["order_id"]]

    def is_set_aside() -> bool:
        day.tend()
        return subject in [letter["subject"] for letter in day.held()[before:]]

    until(is_set_aside, 2 * PATIENCE, lambda: "\n".join(worker.output[-2000:] for worker in day.workers.values()))
    day.say(f"    {order['order_id']} is set aside")
    for store in sorted(day.workers):
        day.kill(store)
        day.run_by(store, None)
        day.start(chance, store, wait=0)
    for store in sorted(day.workers):
        day.wait_ready(store)
    where = ("--bootstrap", day.live.bootstrap, "--name", day.live.name)

    def is_back() -> bool:
        """It waits a minute for a worker to take it, and says so where none has."""
        day.tend()
        done = command("dead-letters", "retry", "--all", "--reason", "quarantined", *where)
        said.append(done.stdout + done.stderr)
        return done.returncode == 0

    said: list[str] = []
    until(is_back, 2 * PATIENCE, lambda: said[-1])
    day.say(f"    brought back, asked {len(said)} times")


def refused_letters_are_tried_again(day: Day, chance: Random) -> None:
    """None of them is sent: each would be refused again."""
    where = ("--bootstrap", day.live.bootstrap, "--name", day.live.name)
    done = command(
        "dead-letters", "retry", "--all", "--reason", chance.choice(["bad_field", "not_json", "too_deep"]), *where
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert " -> " not in done.stdout, done.stdout
    day.say(f"    {len(done.stderr.splitlines())} lines of refusals")


# -- around the workers ------------------------------------------------------------------------------------------


def the_receiver_is_away(day: Day, chance: Random) -> None:
    count = chance.randint(5, 40)
    answers = [chance.choice([500, 503, 429, CUT]) for _ in range(count)]
    with day.hook.lock:
        day.hook.answers += [*answers, HANG]
    day.say(f"    the receiver fails at {count + 1} messages")


def the_notifier_is_killed(day: Day, chance: Random) -> None:
    for _ in range(chance.randint(1, 2)):
        day.around.restart("notify")
        time.sleep(chance.random() * 3)
    day.say("    the notifier: killed and started")


def the_board_is_killed(day: Day, chance: Random) -> None:
    day.around.restart("board")
    day.say("    the board: killed and started")


Group = Literal["workers", "machine", "brokers", "input", "quarantine", "around"]


class Fault(NamedTuple):
    """One kind of fault; ``holds`` says what must be so after it."""

    group: Group
    do: Callable[[Day, Random], None]
    holds: str

    @property
    def name(self) -> str:
        return self.do.__name__


SAME = "live alerts are the log's, and what stands is what the simulator expects"

FAULTS: tuple[Fault, ...] = (
    Fault("workers", one_is_killed, SAME),
    Fault(
        "workers", one_is_killed_as_it_starts, f"{SAME}, though it joins, takes state back or applies its first record"
    ),
    Fault("workers", all_are_killed, SAME),
    Fault("workers", one_is_restarted, "it ends in order, with exit code 0"),
    Fault("workers", one_is_reloaded, "it is at work again"),
    Fault("workers", one_comes_or_goes, SAME),
    Fault("workers", one_stands_still, "it ends with a line that says so, and its state is not written twice"),
    Fault("machine", a_store_is_spoilt, "the next start rebuilds it, or ends once with a line that it will"),
    Fault("machine", a_disk_is_full, "it ends with a line that names the disk, and goes on when there is room"),
    Fault("machine", a_clock_jumps, "nothing is reported early, by whatever the machine's clock says"),
    Fault("brokers", a_node_is_away, SAME),
    Fault("brokers", all_nodes_are_away, "notifier and board wait; workers wait, or end with a line and go on"),
    Fault("brokers", a_topic_takes_no_writes, "nothing passes it: no alert without state, no offset without alert"),
    Fault("brokers", the_codec_changes, "every topic is read by whatever codec its batches have"),
    Fault("brokers", the_source_grows, "the log waits for the new partition too"),
    Fault("input", events_come_again, "they change nothing"),
    Fault("input", events_come_by_a_codec, "they change nothing, and the one that is new is taken"),
    Fault("input", events_are_held_back, "false reports are retracted"),
    Fault("input", batches_are_reversed, "false reports are retracted"),
    Fault("input", garbage_comes_in, "each record is a dead letter with its reason"),
    Fault("input", poison_comes_in, "large and many-paused is taken; conflicts and wrong stamps are dead letters"),
    Fault("input", a_transaction_is_aborted, "nothing of it is judged"),
    Fault("input", a_transaction_hangs, "time waits; committed it is judged, else nothing of it is"),
    Fault("input", retention_eats_records, "a worker names topic, partition and offsets of what is lost"),
    Fault("quarantine", a_subject_makes_workers_fail, "it alone is set aside, and retry brings it back"),
    Fault("quarantine", refused_letters_are_tried_again, "none is sent"),
    Fault("around", the_receiver_is_away, "it gets all that stands in the end"),
    Fault("around", the_notifier_is_killed, "the receiver gets all that stands in the end"),
    Fault("around", the_board_is_killed, "it shows what the workers sent"),
)
