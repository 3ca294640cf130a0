"""What is deployed, checked by its own tools: rules, Alertmanager, dashboards, and the names they use."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.live import metric_table
from streams.notify.metrics import NOTIFY_METRICS
from streams.sink.metrics import SINK_METRICS
from tests.operations.grafana import DEPLOY, dashboards, metric_names, queries

RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
TESTS = sorted((Path(__file__).parent / "rules").glob("*.test.yml"))
METRICS = {**metric_table.METRICS, **NOTIFY_METRICS, **SINK_METRICS}
SAMPLES = ("_bucket", "_sum", "_count", "_gsum", "_gcount")


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus, prometheus-alertmanager): not checked with it")
    return found


def ran(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in read(path)["groups"]:
            yield from group["rules"]


ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


# -- Prometheus and Alertmanager -------------------------------------------------------------------------


def test_promtool_accepts_configuration_and_rules() -> None:
    ran(tool("promtool"), "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml", cwd=DEPLOY / "prometheus")


@pytest.mark.whole
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_rules_do_what_their_tests_say(path: Path) -> None:
    ran(tool("promtool"), "test", "rules", path.name, cwd=path.parent)


def test_amtool_accepts_the_routes() -> None:
    ran(tool("amtool"), "check-config", str(DEPLOY / "alertmanager.yml"))


@pytest.mark.parametrize(
    ("audience", "receiver"), [("operations", "operations"), ("supervision", "supervision"), ("", "operations")]
)
def test_alerts_reach_their_audience(audience: str, receiver: str) -> None:
    labels = [f"audience={audience}"] if audience else ["alertname=Other"]
    config = f"--config.file={DEPLOY / 'alertmanager.yml'}"
    ran(tool("amtool"), "config", "routes", "test", config, f"--verify.receivers={receiver}", *labels)


def test_every_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for path in TESTS:
        for story in read(path)["tests"]:
            for check in story.get("alert_rule_test", ()):
                (fires if check["exp_alerts"] else silent).add(check["alertname"])
            for check in story.get("promql_expr_test", ()):
                if check["expr"] == "ALERTS":  # nothing at all fires
                    silent |= {rule["alert"] for rule in ALERTS if path.name.startswith(_file_of(rule))}
                elif found := re.search(r'ALERTS\{alertname="(\w+)"', check["expr"]):
                    (fires if check["exp_samples"] else silent).add(found.group(1))
    names = {rule["alert"] for rule in ALERTS}
    assert fires == names
    assert silent == names


def _file_of(rule: dict[str, Any]) -> str:
    return next(path.stem for path in RULES if rule["alert"] in path.read_text("utf-8"))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_who_how_bad_what_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["labels"]["audience"] in ("operations", "supervision")
    summary = rule["annotations"]["summary"]
    chinese, _, english = summary.rpartition(" / ")
    assert re.search(r"[\u4e00-\u9fff]", chinese), summary
    assert not re.search(r"[\u4e00-\u9fff]", english), summary
    runbook, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert runbook == "deploy/README.md"
    assert anchor in anchors((DEPLOY / "README.md").read_text("utf-8"))


def anchors(markdown: str) -> set[str]:
    """The anchors that the headings of a page get on GitHub and GitLab."""
    headings = re.findall(r"^#+ (.*)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


# -- names -----------------------------------------------------------------------------------------------


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for query in queries():
        yield query.where, query.expression


def test_every_name_used_is_in_the_table_or_recorded() -> None:
    unknown = []
    for where, expression in expressions():
        for name in metric_names(expression):
            base = next((name.removesuffix(end) for end in SAMPLES if name.endswith(end)), name)
            known = name in RECORDED or name in METRICS or (base in METRICS and "histogram" in METRICS[base].type)
            if not known:
                unknown.append(f"{where}: {name}")
    assert unknown == []


def test_every_metric_is_used_or_stands_for_itself() -> None:
    used = set()
    for _, expression in expressions():
        used |= metric_names(expression)
    unused = {name for name in METRICS if not any(one.startswith(name) for one in used)}
    # The first is for rollouts, where the dashboards show `up`; the second is memory, which is shown as such; the third
    # is for whoever writes a topic's mapping, which says what it passes over; the last two for
    # whoever keeps organisations.yaml.
    assert unused == {
        "gridclock_ready",
        "gridclock_notify_cases",
        "gridclock_records_passed_over_total",
        "gridclock_organisations_unnamed",
        "gridclock_notify_organisations_unnamed",
    }


# -- Grafana ---------------------------------------------------------------------------------------------


def test_the_dashboards_are_what_their_description_makes() -> None:
    ran(sys.executable, str(DEPLOY / "grafana" / "generate.py"), "--check")


def test_each_dashboard_stands_in_both_languages_under_an_id_of_its_own() -> None:
    found = dict(dashboards())
    assert set(found) == {f"{language}/{name}.json" for language in ("zh", "en") for name in PAGES}
    uids = [dashboard["uid"] for dashboard in found.values()]
    assert len(set(uids)) == len(uids)
    for name, dashboard in found.items():
        text = "".join(panel["title"] for panel in dashboard["panels"]) + dashboard["title"]
        assert bool(re.search(r"[\u4e00-\u9fff]", text)) == name.startswith("zh/")
        for link in dashboard["links"]:
            assert link["url"].removeprefix("/d/") in uids
    for page in PAGES:
        chinese, english = found[f"zh/{page}.json"], found[f"en/{page}.json"]
        assert [panel["gridPos"] for panel in chinese["panels"]] == [panel["gridPos"] for panel in english["panels"]]


PAGES = ("wall", "chapter", "program", "results")
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
POSTGRESQL = {"type": "grafana-postgresql-datasource", "uid": "postgresql"}


@pytest.mark.parametrize(("name", "dashboard"), dashboards(), ids=[name for name, _ in dashboards()])
def test_panels_are_whole_and_do_not_overlap(name: str, dashboard: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9\-]{1,40}", dashboard["uid"])
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert panel["type"] in {"stat", "table", "bargauge", "timeseries"}
        assert panel["title"]
        assert panel["targets"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == (POSTGRESQL if name.endswith("results.json") else PROMETHEUS)
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24, name
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "table":
            shown = panel["transformations"][-1]["options"]["renameByName"]
            numbers = {key.removeprefix("Value #") for key in shown if key.startswith("Value #")}
            assert numbers <= set(refs), panel["title"]


def test_the_data_source_has_the_id_that_the_panels_name() -> None:
    for name, known in (("prometheus", PROMETHEUS), ("postgresql", POSTGRESQL)):
        (source,) = read(DEPLOY / f"grafana/provisioning/datasources/{name}.yaml")["datasources"]
        assert {"uid": source["uid"], "type": source["type"]} == known
    providers = read(DEPLOY / "grafana/provisioning/dashboards/gridclock.yaml")["providers"]
    assert [Path(provider["options"]["path"]).name for provider in providers] == ["zh", "en"]


def test_a_city_has_its_name_before_its_code_or_the_code_alone(tmp_path: Path) -> None:
    wall = json.loads((DEPLOY / "grafana" / "dashboards" / "en" / "wall.json").read_text("utf-8"))
    panel = next(one for one in wall["panels"] if one["title"] == "On-time rate of a day, by city")
    rates = {"3201": 0.5, "3202": 0.25, "3203": 1}
    info = [("3201", "Nanjing", "a"), ("3201", "Nanjing", "b"), ("3203", "Nanjing", "a"), ("32", "Jiangsu", "a")]
    case = {
        "interval": "1m",
        "input_series": [
            *({"series": f'city:gridclock_on_time:ratio1d{{city="{city}"}}', "values": str(rate)}
              for city, rate in rates.items()),
            *({"series": f'gridclock_organisation_info{{code="{code}", name_en="{name}", instance="{where}"}}',
               "values": "1"} for code, name, where in info),
        ],
        "promql_expr_test": [
            {
                "expr": panel["targets"][0]["expr"],
                "eval_time": "0m",
                "exp_samples": [
                    {"labels": 'city:gridclock_on_time:ratio1d{city="3202"}', "value": 0.25},
                    {"labels": '{city="Nanjing 3201", name_en="Nanjing"}', "value": 0.5},
                    {"labels": '{city="Nanjing 3203", name_en="Nanjing"}', "value": 1},
                ],
            }
        ],
    }  # fmt: skip
    promtool_passes(case, tmp_path)


def test_old_red_lines_are_not_new_ones_where_a_scrape_failed_a_day_ago(tmp_path: Path) -> None:
    red_lines_of_a_day("7x59 stale 7x1440", {1499: 0, 1500: 0}, tmp_path)


def test_red_lines_of_a_day_outlast_a_restart_of_their_worker(tmp_path: Path) -> None:
    """Of a counter that was not there when the day began, what it had before the restart counts at the least."""
    red_lines_of_a_day("_x1500 40x10 stale 3x20", {1511: 40, 1530: 40}, tmp_path)


def red_lines_of_a_day(values: str, expected: dict[int, int], directory: Path) -> None:
    """What the wall shows in those minutes, of one worker's counter with these values, one a minute."""
    wall = json.loads((DEPLOY / "grafana" / "dashboards" / "en" / "wall.json").read_text("utf-8"))
    panel = next(one for one in wall["panels"] if one["title"] == "Red lines reported today")
    query = panel["targets"][0]["expr"].replace("$__range", "1d")
    labels = 'rule="two-inspectors", severity="red_line", city="3201", outcome="violated", instance="a"'
    case = {
        "interval": "1m",
        "input_series": [{"series": f"gridclock_cases_ended_total{{{labels}}}", "values": values}],
        "promql_expr_test": [
            {"expr": query, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": value}]}
            for minute, value in expected.items()
        ],
    }
    promtool_passes(case, directory)


def promtool_passes(case: dict[str, Any], directory: Path) -> None:
    (directory / "case.yaml").write_text(json.dumps({"evaluation_interval": "1m", "tests": [case]}), "utf-8")
    ran(tool("promtool"), "test", "rules", "case.yaml", cwd=directory)
