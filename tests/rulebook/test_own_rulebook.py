"""The shipped example of another utility's rulebook, through the command, over both changes of the clocks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy" / "examples" / "water-berlin"
UNTIL = "2026-11-01T00:00:00+01:00"


def replayed(events: Path, folder: Path) -> tuple[bytes, bytes]:
    """The alerts and the cases, as written."""
    alerts, cases = folder / "alerts.jsonl", folder / "cases.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "replay", "--only", str(EXAMPLE), str(events), "--until", UNTIL,
         "--alerts", str(alerts), "--cases", str(cases), "--quiet"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return alerts.read_bytes(), cases.read_bytes()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    return replayed(EXAMPLE / "events.jsonl", tmp_path_factory.mktemp("berlin"))


def data_of(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line)["data"] for line in lines.splitlines()]


def test_the_alerts_are_those_worked_out_by_hand(written: tuple[bytes, bytes]) -> None:
    found = [
        (one["subject"]["id"], one["rule"], one["kind"], one["due_at"])
        for one in data_of(written[0])
        if one["kind"] != "warning"
    ]
    assert found == [
        # 29 March, 2:00 becomes 3:00: two hours from 1:40 end at 4:40
        ("RB-2", "burst-secured-2-hours", "breach", "2026-03-29T04:40:00.000+02:00"),
        ("RB-2", "burst-secured-2-hours", "late_completion", "2026-03-29T04:40:00.001+02:00"),
        # announced on the 27th: lawful from the 30th, 0:00 summer time
        ("UB-2", "interruption-announced-3-days", "violation", "2026-03-29T23:59:59.999+02:00"),
        # the sample of Sunday the 29th has to be followed by one on the 30th
        ("PN-7", "sample-every-day", "breach", "2026-03-31T00:00:00.000+02:00"),
        ("PN-7", "sample-every-day", "late_completion", "2026-03-31T08:00:00.000+02:00"),
        # that of Sunday was entered on Monday, in time; that of Tuesday on Wednesday, which is not
        ("PN-7", "sample-recorded-same-working-day", "violation", "2026-04-01T00:00:00.000+02:00"),
        # Saturdays are worked; Good Friday, Easter Monday and Sundays are not
        ("K-2", "complaint-10-working-days", "breach", "2026-04-08T00:00:00.000+02:00"),
        ("UB-6", "nobody-alone-in-a-shaft", "violation", "2026-05-12T09:00:00.000+02:00"),
        # 25 October, 3:00 becomes 2:00: two hours from 1:30 end at the second 2:30
        ("RB-3", "burst-secured-2-hours", "breach", "2026-10-25T02:30:00.000+01:00"),
        ("RB-3", "burst-secured-2-hours", "late_completion", "2026-10-25T02:30:00.001+01:00"),
        # 24 hours from 20:00 end at 19:00 on that day of 25
        ("UB-4", "supply-restored-24-hours", "breach", "2026-10-25T19:00:00.000+01:00"),
        ("UB-4", "supply-restored-24-hours", "late_completion", "2026-10-25T19:30:00.000+01:00"),
    ]


def test_the_cases_are_those_worked_out_by_hand(written: tuple[bytes, bytes]) -> None:
    found = {
        (one["subject"]["id"], one["started_at"]): (one["outcome"], one["deadline"])
        for one in data_of(written[1])
        if one["rule"] in ("burst-secured-2-hours", "complaint-10-working-days", "supply-restored-24-hours")
    }
    assert found == {
        ("RB-1", "2026-03-29T01:30:00.000+01:00"): ("met", "2026-03-29T04:30:00.000+02:00"),
        ("RB-2", "2026-03-29T01:40:00.000+01:00"): ("met_late", "2026-03-29T04:40:00.000+02:00"),
        ("RB-3", "2026-10-25T01:30:00.000+02:00"): ("met_late", "2026-10-25T02:30:00.000+01:00"),
        ("RB-4", "2026-10-25T02:15:00.000+02:00"): ("met", "2026-10-25T03:15:00.000+01:00"),
        ("K-1", "2026-04-02T10:00:00.000+02:00"): ("met", "2026-04-17T00:00:00.000+02:00"),
        ("K-2", "2026-03-24T10:00:00.000+01:00"): ("breached", "2026-04-08T00:00:00.000+02:00"),
        ("UB-1", "2026-03-29T00:00:00.000+01:00"): ("met", "2026-03-30T01:00:00.000+02:00"),
        ("UB-2", "2026-03-29T23:59:59.999+02:00"): ("met", "2026-03-30T23:59:59.999+02:00"),
        ("UB-3", "2026-10-26T00:00:00.000+01:00"): ("met", "2026-10-27T00:00:00.000+01:00"),
        ("UB-4", "2026-10-24T20:00:00.000+02:00"): ("met_late", "2026-10-25T19:00:00.000+01:00"),
    }  # fmt: skip
    notices = {one["started_at"]: one["outcome"] for one in data_of(written[1])
               if one["rule"] == "interruption-announced-3-days"}  # fmt: skip
    assert notices == {
        "2026-03-29T00:00:00.000+01:00": "met",
        "2026-03-29T23:59:59.999+02:00": "violated",
        "2026-10-26T00:00:00.000+01:00": "met",
    }


def test_each_rule_has_both_a_good_and_a_bad_case(written: tuple[bytes, bytes]) -> None:
    outcomes: dict[str, set[bool]] = {}
    for one in data_of(written[1]):
        outcomes.setdefault(one["rule"], set()).add(one["outcome"] == "met")
    assert len(outcomes) == 7
    assert {rule for rule, found in outcomes.items() if found != {True, False}} == set()


def test_the_order_of_the_lines_does_not_matter(written: tuple[bytes, bytes], tmp_path: Path) -> None:
    backwards = tmp_path / "events.jsonl"
    backwards.write_bytes(b"\n".join(reversed((EXAMPLE / "events.jsonl").read_bytes().splitlines())))
    assert replayed(backwards, tmp_path) == written
