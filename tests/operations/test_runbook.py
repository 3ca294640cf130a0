"""The runbook says what is: its tables, its links, its commands."""

from __future__ import annotations

import re

import pytest

from schemas.dead_letters import REASONS
from streams.cli import _COMMANDS
from streams.settings import Settings
from tests.operations.grafana import DEPLOY
from tests.operations.runbook import README, TABLES, option_variables, part
from tests.operations.test_deployment import ALERTS, anchors
from tests.operations.test_installations import variables_of

TEXT = README.read_text("utf-8")


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_is_what_the_code_says(name: str) -> None:
    assert part(TEXT, name) == TABLES[name](), "run: python -m tests.operations.runbook"


def test_every_reason_of_a_dead_letter_has_its_remedy() -> None:
    section = TEXT.partition("## Dead letters")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| .* \| .* \|$", section, re.MULTILINE)
    assert sorted(reason for row in rows for reason in re.findall(r"`(\w+)`", row)) == sorted(REASONS)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_alert_has_its_paragraph_and_every_paragraph_its_alert() -> None:
    paragraphs = re.findall(r"^### (\w+)\n(.+)", TEXT, re.MULTILINE)
    assert [name for name, _ in paragraphs] == list(dict.fromkeys(name for name, _ in paragraphs))
    assert {name for name, _ in paragraphs} == {rule["alert"] for rule in ALERTS}
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in ALERTS}
    for name, first in paragraphs:
        assert re.match(rf"[\u4e00-\u9fff/ ]+ · {severities[name]}\. ", first), name


def test_links_lead_somewhere() -> None:
    known = anchors(TEXT)
    for text, target in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", TEXT):
        path, _, anchor = target.partition("#")
        assert not path or (DEPLOY / path).exists(), f"{text}: {target}"
        assert not anchor or path or anchor in known, f"{text}: {target}"


def test_headings_are_in_both_languages() -> None:
    for heading in re.findall(r"^##? (.*)$", TEXT, re.MULTILINE):
        assert re.search(r"[A-Za-z]", heading), heading
        assert re.search(r"[\u4e00-\u9fff]", heading), heading


def test_files_and_commands_named_are_there() -> None:
    for name in re.findall(r"`gridclock ([\w-]+)", TEXT):
        assert name in _COMMANDS, name
    for name in re.findall(r"`((?:prometheus|grafana|kubernetes|systemd|etc)/[\w./\-]+)`", TEXT):
        assert (DEPLOY / name).exists(), name
    of_scripts = {"GRIDCLOCK_SUBSCRIPTIONS", "GRIDCLOCK_CONFIG", "GRIDCLOCK_OPS"}  # compose.yaml, deploy/ops
    told = variables_of(DEPLOY / "subscriptions.centre.yaml") | of_scripts
    for variable in set(re.findall(r"GRIDCLOCK_[A-Z_]+", TEXT)) - told:
        known = variable.removeprefix("GRIDCLOCK_").lower() in Settings.model_fields or variable in option_variables()
        assert known, variable
