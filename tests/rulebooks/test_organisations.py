"""Names of organisations: read from a rulebook directory, shown where codes are, and no matter of any verdict."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from schemas.organisations import Organisation
from schemas.reference import PAGE
from streams.board.web import meta_of
from streams.core.driver import Step
from streams.core.outcome_counts import Place
from streams.errors import ConfigError
from streams.live.applied import Applied
from streams.live.metrics import Metrics
from streams.rulebooks.loader import load_rulebook
from streams.rulebooks.organisations import load_organisations
from streams.wall_clock import WallClock
from tests.stories import shipped

YAML, CSV = (
    re.findall(rf"```{form}\n(.*?)```", PAGE.read_text("utf-8").split("## Names of organisations")[1], re.DOTALL)[0]
    for form in ("yaml", "csv")
)


def directory(tmp_path: Path, text: str, name: str = "organisations.yaml") -> Path:
    (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def test_the_pages_examples_as_yaml_and_as_csv_are_the_same(tmp_path: Path) -> None:
    found = []
    for form, text in (("yaml", YAML), ("csv", "\ufeff" + CSV.replace("\n", "\r\n"))):
        (tmp_path / form).mkdir()
        found.append(load_organisations(directory(tmp_path / form, text, f"organisations.{form}")))
    assert found[0] == found[1]
    assert found[0]["330106"].name.zh == "西湖供电所"
    assert found[0]["330106"].parent == "3301"
    assert found[0]["330106"].position == (120.13, 30.26)


def test_an_upper_layer_names_anew_and_the_rules_stay_as_they_are(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    lower.mkdir()
    upper.mkdir()
    directory(lower, YAML)
    directory(upper, "code,zh,en\n3301,杭州,\n", "organisations.csv")
    loaded = load_rulebook([lower, upper])
    assert {code: (one.name.zh, one.name.en) for code, one in loaded.organisations.items()} == {
        "3301": ("杭州", "杭州"),
        "330106": ("西湖供电所", "Xihu"),
    }
    assert loaded.rulebook.fingerprint == shipped().rulebook.fingerprint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("organisations: []\n", "at least 1 item"),
        ('organisations:\n  - {code: "1", name: {zh: 一}}\n', r"organisations.yaml:2: organisations.0.name.en"),
        ("organisations:\n  - {code: 1, name: {zh: 一, en: One}}\n", r"organisations.yaml:2: organisations.0.code"),
        (YAML + '  - {code: "3301", name: {zh: 一, en: One}}\n', "code 3301 stands twice"),
        (YAML.replace('parent: "3301"', 'parent: "33"'), "330106 has the parent 33, which does not stand in the file"),
        (YAML.replace("Hangzhou}", 'Hangzhou}, parent: "330106"'), "3301 is above itself: 3301 < 330106"),
        (YAML.replace("Hangzhou", '"Hang\\nzhou"'), "is no name"),
        (YAML.replace("30.26", "130.26"), r"organisations.yaml:3: organisations.1.position"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_rulebook([directory(tmp_path, text)])


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (CSV.replace("code,", "编码,").encode(), r"organisations.csv:1: has the columns 编码"),
        (CSV.encode("gb18030"), "is not UTF-8"),
        ((CSV + "330107,滨江供电所,Binjiang,3301,120,30,x\n").encode(), r"organisations.csv:4: has more cells"),
        ((CSV + "330107,,Binjiang\n").encode(), r"organisations.csv:4: organisations.2.name"),
        ((CSV + "330107,滨江,,,120\n").encode(), r"organisations.csv:4: organisations.2.position"),
        ((CSV + '330107,"滨江\n').encode(), r"organisations.csv:\d: "),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "organisations.csv").write_bytes(raw)
    with pytest.raises(ConfigError, match=said):
        load_organisations(tmp_path)


def test_two_files_of_one_directory_are_refused(tmp_path: Path) -> None:
    directory(tmp_path, CSV, "organisations.csv")
    with pytest.raises(ConfigError, match=r"stands beside organisations\.yaml"):
        load_organisations(directory(tmp_path, YAML))


def test_the_boards_page_gets_the_names(tmp_path: Path) -> None:
    assert meta_of(load_rulebook([directory(tmp_path, YAML)]))["organisations"] == {
        "3301": {"zh": "杭州供电公司", "en": "Hangzhou"},
        "330106": {"zh": "西湖供电所", "en": "Xihu"},
    }


def samples(registry: CollectorRegistry, name: str) -> list[tuple[dict[str, str], float]]:
    return [(one.labels, one.value) for family in registry.collect() for one in family.samples if one.name == name]


def ended(metrics: Metrics, city: str, county: str | None) -> None:
    metrics.applied(Applied(Step(), [], Counter({(Place("repair-arrival", city, county), "met"): 1}), Counter()), 0.0)


def test_metrics_name_the_labels_in_use_and_count_those_without_a_name(tmp_path: Path) -> None:
    named: dict[str, Organisation] = load_organisations(directory(tmp_path, YAML))
    metrics = Metrics(WallClock(), {}, shipped().rulebook)
    metrics.name_organisations(named)
    ended(metrics, "3301", None)
    ended(metrics, "3302", "330201")
    assert samples(metrics.registry, "gridclock_organisation_info") == [
        ({"code": "3301", "parent": "", "name_zh": "杭州供电公司", "name_en": "Hangzhou"}, 1.0)
    ]
    assert samples(metrics.registry, "gridclock_organisations_unnamed") == [({}, 2.0)]
    for number in range(600):  # made-up codes push others out of the labels
        ended(metrics, f"made-up-{number}", None)
    left = {labels["city"] for labels, _ in samples(metrics.registry, "gridclock_cases_ended_total")}
    shown = {labels["code"] for labels, _ in samples(metrics.registry, "gridclock_organisation_info")}
    assert shown == left & named.keys()
    without = Metrics(WallClock(), {}, shipped().rulebook)
    without.name_organisations({})
    assert samples(without.registry, "gridclock_organisations_unnamed") == []
