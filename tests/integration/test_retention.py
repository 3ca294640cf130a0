"""Records that a topic's retention removes before a worker reads them, and a source topic that is deleted."""

from __future__ import annotations

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from tests.integration.live import Live, said, until
from tests.integration.status import asked, kinds
from tests.stories import wire

pytestmark = pytest.mark.live(partitions=2, embedded_lacks="it removes no records and deletes no topics")

HIDDEN = """
e2 2025-03-03T09:03 counter.service_completed WO1
e3 2025-03-03T09:00 counter.service_started WO2 business=fee
"""
LEFT = """
e1 2025-03-03T09:00 counter.service_started WO1 business=fee
e4 2025-03-03T09:30 counter.service_started WO3 business=fee
"""


def incomplete(live: Live) -> dict[str, bool]:
    """The orders with a breach of their five minutes, and whether it says that it may rest on what was lost."""
    return {
        alert["subject"]["id"]: alert.get("incomplete", False)
        for alert in live.sent().values()
        if (alert["rule"], alert["kind"]) == ("fee-5-minutes", "breach")
    }


def test_records_removed_before_they_were_read_are_reported(live: Live) -> None:
    live.make_source(1)
    topic = f"{live.name}.events"
    worker = live.worker()  # that nothing was there to read is committed, too
    until(lambda: asked(live)[0] == 0, 60, lambda: f"{asked(live)}{worker.output}")
    assert f'gridclock_source_records_lost_total{{source="{topic}/0"}} 0.0' in worker.metrics()
    assert worker.stop() == 0
    for story in (HIDDEN, LEFT):
        live.send(wire(story), "--timestamps", "recorded")
    admin = KafkaAdminClient(bootstrap_servers=live.bootstrap)
    admin.delete_records({TopicPartition(topic, 0): 2})
    admin.close()

    worker = live.worker()
    until(lambda: worker.metric("gridclock_source_records_lost_total") == 2, 60, lambda: worker.output)
    line = f"{topic}/0: offsets 0 to 1 (up to 2 records) were removed by the topic's retention before they were read"
    assert worker.output.count(line) == 1
    # Its completion is lost: this breach is false, and says that it may be. The other order began afterwards.
    until(lambda: incomplete(live) == {"WO1": True, "WO3": False}, 60, lambda: f"{incomplete(live)}{worker.output}")
    live.settle("2025-03-03T10:00")  # a replay of the log gives the very same
    until(lambda: kinds(asked(live)[1]) == {"lost"}, 60, lambda: f"{asked(live)}{worker.output}")
    code, answer = asked(live)
    assert code == 1
    assert [loss[:2] for loss in answer["sources"][0]["lost"]] == [[0, 1]]
    (at,) = [loss[2] for loss in answer["sources"][0]["lost"]]
    live.send([{"event_id": "junk"}])
    until(lambda: len(asked(live)[1]["incomplete"]["causes"]) == 2, 60, lambda: f"{asked(live)}{worker.output}")
    found = asked(live)[1]["incomplete"]
    assert [(one["cause"], one["source"], one["count"]) for one in found["causes"]] == [
        ("lost", f"{topic}/0", 2), ("refused", f"{topic}/0", 1),
    ]  # fmt: skip
    assert found["since_us"] == at
    text = said("status", "--bootstrap", live.bootstrap, "--name", live.name)[1]
    assert "verdicts may be incomplete since 20" in text
    assert f"source {topic}/0: 1 dead letters" in text
    assert worker.stop() == 0
    worker = live.worker()  # the committed offset says it, whoever reads the partition
    until(lambda: kinds(asked(live)[1]) == {"lost"}, 60, lambda: f"{asked(live)}{worker.output}")
    assert line not in worker.output
    assert worker.metric("gridclock_source_records_lost_total") == 0


def test_a_source_topic_that_is_deleted_is_named(live: Live) -> None:
    live.make_source(2)
    worker = live.worker()
    until(lambda: asked(live)[0] == 0, 60, lambda: f"{asked(live)}{worker.output}")
    assert worker.stop() == 0
    admin = KafkaAdminClient(bootstrap_servers=live.bootstrap)
    admin.delete_topics([f"{live.name}.events"])
    until(lambda: f"{live.name}.events" not in admin.list_topics(), 60, lambda: "the topic is still there")
    code, answer = asked(live)
    assert (code, kinds(answer), answer["sources"]) == (1, {"no_topic", "no_worker"}, [])
    assert answer["problems"][0]["text"].startswith(f"source topic {live.name}.events does not exist")
    admin.delete_topics([f"{live.name}.log"])
    until(lambda: f"{live.name}.log" not in admin.list_topics(), 60, lambda: "the topic is still there")
    admin.close()
    code, text = said("status", "--bootstrap", live.bootstrap, "--name", live.name)
    assert code == 2
    assert f"no topic {live.name}.log: it was deleted" in text
