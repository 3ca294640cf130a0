"""Given, when, then for rules, in YAML: what ``gridclock rules test`` runs.

    cases:
      - name: one day short of seven
        events:
          - {at: 2026-03-01T17:00, type: disconnection.notice_delivered, account_id: A1, cause: arrears, proof_ref: P1}
          - {at: 2026-03-07T23:59:59.999, type: disconnection.performed, account_id: A1, cause: arrears}
        until: 2026-03-10T00:00
        expect:
          - {rule: arrears-notice-7-days, kind: violation, at: 2026-03-07T23:59:59.999}

``at`` and ``type`` are short for ``occurred_at`` and ``event_type``; ``id`` for ``event_id`` (given where missing). A
time without an offset is local to the rulebook's calendar. Expected are the active alerts at ``until`` (reports less
retractions; warnings only if expected ones name them), of the rules named in ``rules`` or, without that, of the rules
named in ``expect``; ``cases`` may name outcomes as well. Events arrive in the order of ``recorded_at``. What could make
a case pass without a look (a rule that is not there, an event that would be refused) is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from streams.core.alerts import Alert
from streams.core.driver import Driver, Step
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.instants import format_us, instant_us
from streams.errors import ConfigError, InputError, did_you_mean
from streams.rulebooks.loader import LoadedRulebook
from streams.rulebooks.yaml_files import read_yaml
from streams.wire.decoder import Decoder

_SHORT = {"at": "occurred_at", "type": "event_type", "id": "event_id", "recorded": "recorded_at"}
_TIMES = ("occurred_at", "recorded_at")
_EXPECTED: Final = {"expect": ("rule", "kind", "at"), "cases": ("rule", "outcome", "deadline")}
"""The keys of what is expected: alerts, and cases."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of one case: missing and unexpected alerts, a line each."""

    name: str
    line: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is missing or unexpected."""
        return not self.missing and not self.unexpected


class RuleCases:
    """The cases of one file against one rulebook."""

    def __init__(self, path: Path, loaded: LoadedRulebook) -> None:
        self._path = path
        self._loaded = loaded
        self._zone = loaded.rulebook.calendar.zone
        self._decoder = Decoder(loaded.catalogue)

    def run(self) -> list[CaseResult]:
        """Run every case, in the order of the file.

        Raises:
            ConfigError: naming file, line and key, for a file in another form.
        """
        file = read_yaml(self._path)
        cases = file.data.get("cases") if isinstance(file.data, dict) else None
        if not isinstance(cases, list) or not cases:
            raise ConfigError("a file of cases has a list of cases", path=str(self._path), key="cases")
        return [self._run(case, file.line(("cases", number))) for number, case in enumerate(cases)]

    def _error(self, message: str, line: int, key: str) -> ConfigError:
        return ConfigError(message, path=str(self._path), line=line, key=key)

    def _run(self, case: Any, line: int) -> CaseResult:
        if not isinstance(case, dict) or not isinstance(case.get("events"), list) or "until" not in case:
            raise self._error("a case has name, events, until and expect", line, "events")
        unknown = set(case) - {"name", "events", "until", "expect", "cases", "rules"}
        if unknown:
            raise self._error("unknown key", line, sorted(unknown)[0])
        events = [self._event(fields, number, line) for number, fields in enumerate(case["events"], start=1)]
        until = self._instant(case["until"], line, "until")
        expected = [self._expected(row, line, "expect") for row in self._listed(case, "expect", line)]
        outcomes = [self._expected(row, line, "cases") for row in self._listed(case, "cases", line)]
        named = [self._rule(rule, line, "rules") for rule in self._listed(case, "rules", line)]
        rules = set(named) or {row["rule"] for row in (*expected, *outcomes)}
        standing, engine = self._judge(events, until, line)
        kinds = {row.get("kind") for row in expected}
        told = [
            {"rule": alert.rule, "kind": alert.kind, "at": alert.due_at}
            for alert in standing
            if (not rules or alert.rule in rules) and (alert.kind != "warning" or "warning" in kinds)
        ]
        judged = [
            {"rule": found.verdict.rule.id, "outcome": found.verdict.outcome, "deadline": found.verdict.deadline}
            for found in engine.cases(until)
            if not rules or found.verdict.rule.id in rules
        ]
        missing, unexpected = _difference(expected, told)
        if outcomes:
            more, others = _difference(outcomes, judged)
            missing, unexpected = missing + more, unexpected + others
        return CaseResult(
            str(case.get("name") or f"line {line}"),
            line,
            tuple(self._text(row) for row in missing),
            tuple(self._text(row) for row in unexpected),
        )

    def _event(self, fields: Any, number: int, line: int) -> Event:
        if not isinstance(fields, dict):
            raise self._error("an event is a mapping of fields", line, f"events.{number}")
        wire: dict[str, Any] = {"event_id": f"e{number}"}
        for name, value in fields.items():
            full = _SHORT.get(str(name), str(name))
            if full in _TIMES:
                value = format_us(self._instant(value, line, f"events.{number}.{name}"), self._zone)
            wire[full] = value
        try:
            return self._decoder.decode(json.dumps(wire).encode(), received=2**62)
        except (InputError, TypeError, ValueError) as error:  # the last two: YAML has values that JSON has not
            raise self._error(str(error), line, f"events.{number}") from error

    def _instant(self, value: Any, line: int, key: str) -> int:
        try:
            found = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise self._error(f"{value!r} is not a time such as 2026-03-01T17:00", line, key) from error
        return instant_us(found if found.tzinfo else found.replace(tzinfo=self._zone))

    def _listed(self, case: Mapping[str, Any], key: str, line: int) -> list[Any]:
        found = [] if case.get(key) is None else case[key]
        if not isinstance(found, list):
            raise self._error(f"{found!r} is no list; write [...]", line, key)
        return found

    def _rule(self, rule: Any, line: int, key: str) -> str:
        ids = {found.id for found in self._loaded.rulebook.rules}
        if isinstance(rule, str) and rule in ids:
            return rule
        raise self._error(f"no rule {rule!r} in this rulebook{did_you_mean(str(rule), ids)}", line, key)

    def _expected(self, row: Any, line: int, key: str) -> dict[str, Any]:
        if not isinstance(row, dict) or "rule" not in row:
            raise self._error("what is expected names its rule", line, key)
        if unknown := [name for name in row if name not in _EXPECTED[key]]:
            keys = ", ".join(_EXPECTED[key])
            raise self._error(f"unknown key; the keys are {keys}", line, f"{key}.{unknown[0]}")
        self._rule(row["rule"], line, f"{key}.rule")
        found = dict(row)
        for name in ("at", "deadline"):
            if found.get(name) is not None:
                found[name] = self._instant(found[name], line, f"{key}.{name}")
        return found

    def _judge(self, events: list[Event], until: int, line: int) -> tuple[list[Alert], Engine]:
        engine = Engine(self._loaded.rulebook)
        driver = Driver(engine, stepwise=True)
        step = Step()
        for event in sorted(events, key=lambda event: (event.recorded, event.order)):
            if event.recorded <= until:
                driver.advance(event.recorded - 1, step)
                driver.feed([(*copy, "") for copy in self._loaded.rulebook.copies_of(event)], step)
        driver.advance(until, step)
        for (_, event, _), notice in step.refused:
            problem = "stands twice, with other content; an event without id is e and its number in the list"
            if notice == "too_old":
                problem = "is too old when it is recorded, and would be refused"
            raise self._error(f"the event {event.event_id!r} {problem}", line, "events")
        withdrawn = {alert.retracts for alert in step.alerts}
        return [a for a in step.alerts if a.kind != "retraction" and a.alert_id not in withdrawn], engine

    def _text(self, row: Mapping[str, Any]) -> str:
        return ", ".join(
            f"{name}: {format_us(value, self._zone) if isinstance(value, int) else value}"
            for name, value in row.items()
            if value is not None
        )


def _difference(
    expected: list[dict[str, Any]], found: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The expected rows without an actual one, and the actual rows without an expected one."""
    left, missing = list(found), []
    for row in expected:
        fitting = next((one for one in left if all(one.get(name) == value for name, value in row.items())), None)
        if fitting is None:
            missing.append(row)
        else:
            left.remove(fitting)
    return missing, left
