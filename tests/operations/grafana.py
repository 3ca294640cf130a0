"""Reads the dashboards as they are committed, for tests: their panels, and their queries with variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted((DEPLOY / "grafana" / "dashboards").rglob("*.json"))
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$city": ".*"}


@dataclass(frozen=True)
class Query:
    """One query of one panel, ready for Prometheus."""

    where: str
    expression: str


def name_of(path: Path) -> str:
    return path.relative_to(DEPLOY / "grafana" / "dashboards").as_posix()


def dashboards() -> list[tuple[str, dict[str, Any]]]:
    return [(name_of(path), json.loads(path.read_text("utf-8"))) for path in FILES]


def queries(chapter: str = "W") -> Iterator[Query]:
    """Every query of every panel, for one chapter where the dashboard has the choice."""
    for name, dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                if "expr" not in target:  # SQL: tests/sink/test_dashboard.py
                    continue
                expression = target["expr"]
                for variable, value in {**VARIABLES, "$chapter": chapter}.items():
                    expression = expression.replace(variable, value)
                assert "$" not in expression, f"{name}: {panel['title']}: unknown variable in {expression}"
                yield Query(f"{name}: {panel['title']} {target['refId']}", expression)


def metric_names(expression: str) -> set[str]:
    """The metrics of this program, and recorded series, that an expression names."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"\b(?:[a-z_]+:)?gridclock[a-z0-9_:]*", bare))
