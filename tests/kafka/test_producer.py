"""What is said of brokers that take no writes."""

from __future__ import annotations

import pytest

from streams.kafka.producer import LOG_AGAIN_SECONDS, BackPressure


class Elapsed:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_waited_for_is_said_once_a_minute_and_whenever_it_is_something_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    elapsed = Elapsed()
    waits = BackPressure(6, elapsed)

    def said(at: float) -> list[str]:
        elapsed.now = at
        caplog.clear()
        waits.check()
        return [record.getMessage().split(":")[0] for record in caplog.records]

    with waits.on("topic state"):
        elapsed.now = 1
        with waits.on("topic log"):
            assert said(6) == []
            assert said(7) == ["topic state has taken no writes for 7 s"]
            assert said(20) == []
            assert said(7 + LOG_AGAIN_SECONDS) == []
            assert said(8 + LOG_AGAIN_SECONDS) == ["topic state has taken no writes for 68 s"]
    with waits.on("topic log"):
        elapsed.now += 7
        with waits.on("topic alerts"):
            assert said(elapsed.now) == ["topic log has taken no writes for 7 s"]
            elapsed.now += 1
        overdue = waits.overdue()
    assert overdue == "topic log has taken no writes for 8 s"
    with waits.on("topic alerts"):
        elapsed.now += 7
        assert said(elapsed.now) == ["topic alerts has taken no writes for 7 s"]
    assert said(elapsed.now) == ["the brokers take writes again"]
    assert said(elapsed.now) == []
