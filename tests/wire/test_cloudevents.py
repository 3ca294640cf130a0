"""What is written: alerts and cases hold to the contract and say times and lengths as they are."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import msgspec
import pytest

from schemas.alerts import AlertEvent, CaseEvent
from schemas.exporting import DIRECTORY
from streams.core.alerts import Alert
from streams.wire.cloudevents import CloudEvents, duration_text, encode, without_detail
from tests.stories import Judged, judge, shipped, us

# Every kind of alert, and cases of every outcome that clocks of this kind have.
STORY = """
    e1 2026-03-02T09:00:00.000123 counter.service_started WO1 business=fee org={"city":"3201"} account=A1
    p +1m counter.interrupted WO1 reason=system_failure
    r +2m counter.resumed WO1
    z +7m counter.service_completed WO1
    k +5m counter.service_completed WO1 corrects=z recorded=+2h
    f1 +5m counter.service_started WO2 business=fee
    f2 +15m counter.service_completed WO2
    g1 +5m counter.service_started WO3 business=power
    h1 2026-03-03T10:00 application.accepted WO4 category=residential
    h2 2026-03-04T10:00 application.withdrawn WO4
    c1 2026-03-05T10:00 calibration.requested WO5 meter=M1
    q1 2030-01-02T10:00 calibration.requested WO6 meter=M1
"""


@cache
def judged() -> Judged:
    return judge(STORY, "2030-02-01T00:00", arrival=True)


@cache
def written() -> list[dict[str, Any]]:
    writer = CloudEvents(shipped().rulebook.calendar)
    return [json.loads(encode(writer.alert(alert))) for alert in judged().alerts]


@cache
def written_cases() -> list[dict[str, Any]]:
    writer = CloudEvents(shipped().rulebook.calendar)
    early = judge(STORY, "2026-03-05T10:00").cases
    return [json.loads(encode(writer.case(case, us("2026-03-05T10:00")))) for case in (*early, *judged().cases)]


def test_the_story_has_every_kind() -> None:
    assert {alert["data"]["kind"] for alert in written()} >= {"warning", "breach", "late_completion", "retraction"}
    assert {case["data"]["outcome"] for case in written_cases()} >= {
        "met", "met_late", "breached", "cancelled", "running",
    }  # fmt: skip


def test_alerts_and_cases_hold_to_the_models() -> None:
    for alert in written():
        model = AlertEvent.model_validate(alert)
        assert (model.id, model.subject, model.type) == (
            model.data.alert_id, model.data.case_id, f"gridclock.alert.{model.data.kind}",
        )  # fmt: skip
        assert (model.data.retracts is not None) == (model.data.kind == "retraction")
    for case in written_cases():
        assert CaseEvent.model_validate(case).data.case_id == case["id"]


@pytest.mark.parametrize(("schema", "documents"), [("alert", written), ("case", written_cases)])
def test_alerts_and_cases_hold_to_the_exported_schemas(schema: str, documents: Any) -> None:
    text = json.loads((DIRECTORY / f"{schema}.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(text, format_checker=jsonschema.FormatChecker())
    for document in documents():
        validator.validate(document)


def of(kind: str, order: str) -> dict[str, Any]:
    (found,) = [
        alert["data"] for alert in written() if (alert["data"]["kind"], alert["data"]["order_id"]) == (kind, order)
    ]
    return found  # type: ignore[no-any-return]


def test_microseconds_are_kept_and_pauses_told() -> None:
    breach = of("breach", "WO1")
    assert breach["started_at"] == "2026-03-02T09:00:00.000123+08:00"
    assert breach["deadline"] == breach["due_at"] == "2026-03-02T09:06:00.000123+08:00"
    assert (breach["paused"], breach["elapsed"], breach["limit"]) == ("PT60S", "PT300S", "5 min")
    assert (breach["org"], breach["account_id"], breach["clause"]) == ({"city": "3201"}, "A1", "W-S5")
    assert breach["evidence"] == ["e1", "p", "r"]


def test_a_day_limit_ends_at_midnight_in_the_zone_of_the_rulebook() -> None:
    breach = of("breach", "WO5")
    assert (breach["deadline"], breach["limit"]) == ("2026-03-13T00:00:00.000+08:00", "5 working days")
    assert breach["calendar_provisional"] is False
    assert of("breach", "WO6")["calendar_provisional"] is True


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "PT0S"),
        (1, "PT0.000001S"),
        (10, "PT0.00001S"),
        (1_000_000, "PT1S"),
        (10_000_000, "PT10S"),
        (362_500_000, "PT362.5S"),
        (100_000_000_000, "PT100000S"),
    ],
)
def test_durations(microseconds: int, text: str) -> None:
    assert duration_text(microseconds) == text


def test_an_alert_in_state_is_the_same_alert() -> None:
    for alert in judged().alerts:
        assert msgspec.json.decode(encode(alert), type=Alert) == alert


def test_one_alert_is_one_line() -> None:
    writer = CloudEvents(shipped().rulebook.calendar)
    assert all(b"\n" not in encode(writer.alert(alert)) for alert in judged().alerts)


@pytest.mark.parametrize("day", ["9999-12-31", "3000-01-01", "2999-12-31", "2026-03-02", "1900-01-01", "0001-01-01"])
def test_a_date_that_means_never_stops_nothing(day: str) -> None:
    story = (
        f"q 2026-03-02T10:00 capacity.change_requested WO6 effective_on={day}\n"
        f"o 2026-03-02T10:00 bill.overdue - account=A6 since_on={day}\n"
        "d 2026-03-02T11:00 disconnection.performed - account=A6 cause=arrears"
    )
    writer = CloudEvents(shipped().rulebook.calendar)
    found = judge(story, "2026-03-05T00:00")
    for case in found.cases:
        CaseEvent.model_validate_json(encode(writer.case(case, us("2026-03-05T00:00"))))
    for alert in found.alerts:
        AlertEvent.model_validate_json(encode(writer.alert(alert)))


def paused_often(times: int) -> list[dict[str, Any]]:
    lines = ["s 2026-03-02T09:00 counter.service_started WO1 business=fee"]
    for number in range(times):
        lines.append(f"p{number:0150d} +{2 * number + 1}ms counter.interrupted WO1 reason=system_failure")
        lines.append(f"r{number:0150d} +{2 * number + 2}ms counter.resumed WO1")
    writer = CloudEvents(shipped().rulebook.calendar)
    alerts = judge("\n".join(lines), "2026-03-02T10:00").alerts
    return [writer.alert(alert) for alert in alerts if alert.kind == "breach"]


def test_evidence_and_pauses_are_listed_first_and_last_with_what_is_omitted() -> None:
    (few,), (many,) = paused_often(15), paused_often(2_000)
    assert "omitted" not in few["data"]["arithmetic"]
    assert many["data"]["arithmetic"]["omitted"] == {"evidence": 4001 - 40, "pauses": 2000 - 40}
    assert len(many["data"]["evidence"]) == len(many["data"]["arithmetic"]["pauses"]) == 40
    assert many["data"]["evidence"][0] == "s"
    assert many["data"]["evidence"][-1] == f"r{1999:0150d}"
    assert len(encode(many)) < 20_000
    AlertEvent.model_validate_json(encode(many))


def test_what_is_still_too_large_is_told_without_its_detail_and_says_so() -> None:
    (event,) = paused_often(15)
    bare = without_detail(event, 1_000_001)
    assert bare["data"]["arithmetic"] == {"omitted": {"evidence": 29, "bytes": 1_000_001}}
    assert bare["data"]["evidence"] == ["s", f"r{14:0150d}"]
    assert {key: value for key, value in bare["data"].items() if key not in ("evidence", "arithmetic")} == {
        key: value for key, value in event["data"].items() if key not in ("evidence", "arithmetic")
    }
    AlertEvent.model_validate_json(encode(bare))
