"""Writes the dashboards, each in Chinese and in English, from the descriptions beside this file.

    python deploy/grafana/generate.py            writes deploy/grafana/dashboards/{zh,en}/*.json
    python deploy/grafana/generate.py --check    only says whether they are fresh

``wall.py``, ``chapter.py``, ``program.py`` and ``results.py`` describe one dashboard each, with what ``panels.py``
offers. It needs nothing but Python. Grafana reads the files by provisioning; a change made in the browser is not kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from chapter import CHAPTER
from panels import LANGUAGES, Dashboard, Panel, Text
from program import PROGRAM
from results import RESULTS
from wall import WALL

HERE = Path(__file__).resolve().parent
SOURCES = {
    "prometheus": {"type": "prometheus", "uid": "prometheus"},
    "postgresql": {"type": "grafana-postgresql-datasource", "uid": "postgresql"},
}
DASHBOARDS = (WALL, CHAPTER, PROGRAM, RESULTS)


def translated(text: str | Text, language: int) -> str:
    """A text in one language, with LANG filled in."""
    found = text if isinstance(text, str) else text[language]
    return found.replace("LANG", LANGUAGES[language])


def target(number: int, query: tuple[str, str | Text], panel: Panel, source: str, language: int) -> dict[str, Any]:
    """One query of a panel."""
    expression, legend = query
    found = {"refId": chr(ord("A") + number), "datasource": SOURCES[source]}
    if source == "postgresql":
        form = "time_series" if panel.kind == "timeseries" else "table"
        return found | {
            "rawSql": translated(expression, language), "rawQuery": True, "editorMode": "code", "format": form
        }  # fmt: skip
    instant = panel.kind in ("table", "stat", "bargauge")
    return found | {
        "expr": translated(expression, language),
        "legendFormat": translated(legend, language),
        "instant": instant,
        "range": not instant,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def rendered_panel(panel: Panel, number: int, place: tuple[int, int], source: str, language: int) -> dict[str, Any]:
    """One panel at a place of the grid."""
    width, height = panel.size
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": color} for value, color in panel.steps],
        },
    }
    if panel.minimum is not None:
        defaults["min"] = panel.minimum
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    found: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title[language],
        "description": panel.text[language] if panel.text else "",
        "datasource": SOURCES[source],
        "gridPos": {"x": place[0], "y": place[1], "w": width, "h": height},
        "targets": [target(index, query, panel, source, language) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
    }
    match panel.kind:
        case "stat":
            found["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"}
        case "bargauge":
            found["options"] = {"orientation": "horizontal", "displayMode": "basic"}
        case "timeseries":
            defaults["custom"] = {
                "fillOpacity": 30 if panel.stacked else 5,
                "stacking": {"mode": "normal" if panel.stacked else "none"},
            }
            found["options"] = {"legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull"]}}
        case "table":
            found |= as_table(panel, source, language)
            found["fieldConfig"]["overrides"] = [
                {
                    "matcher": {"id": "byName", "options": heading[language]},
                    "properties": [{"id": "unit", "value": unit}],
                }
                for _, heading, unit in panel.columns
            ]
    return found


def as_table(panel: Panel, source: str, language: int) -> dict[str, Any]:
    """The queries' rows merged by their labels; columns in order, with headings, and no others.

    Rows are sorted by the first column, those of SQL as the query sorts them.
    """
    names = [translated(name, language) for name, _, _ in panel.columns]
    organize = {
        "renameByName": {name: heading[language] for name, (_, heading, _) in zip(names, panel.columns, strict=True)},
        "indexByName": {name: index for index, name in enumerate(names)},
        "includeByName": dict.fromkeys(names, True),
    }
    return {
        "options": {} if source == "postgresql" else {"sortBy": [{"displayName": panel.columns[0][1][language]}]},
        "transformations": [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}],
    }


def variable(given: dict[str, Any], source: str, language: int) -> dict[str, Any]:
    """One of the choices above the page."""
    found: dict[str, Any] = {"name": given["name"], "type": given["type"], "label": given["label"][language]}
    if given["type"] == "custom":
        options = [(text[language], value) for value, text in given["options"]]
        found |= {
            "query": ", ".join(f"{text} : {value}" for text, value in options),
            "current": {"text": options[0][0], "value": options[0][1]},
            "options": [
                {"text": text, "value": value, "selected": number == 0} for number, (text, value) in enumerate(options)
            ],
        }
    else:
        found |= {
            "datasource": SOURCES[source],
            "query": {"query": given["query"], "refId": given["name"]} if source == "prometheus" else given["query"],
            "definition": given["query"],
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        }
        if source == "prometheus":
            found["allValue"] = ".*"
    return found


def rendered(dashboard: Dashboard, language: int) -> dict[str, Any]:
    """One dashboard in one language; panels from left to right, and a new row where one does not fit."""
    panels, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(dashboard.panels, 1):
        width, height = panel.size
        if x + width > 24:
            x, y, row = 0, y + row, 0
        panels.append(rendered_panel(panel, number, (x, y), dashboard.source, language))
        x, row = x + width, max(row, height)
    here = LANGUAGES[language]
    other = LANGUAGES[1 - language]
    links = [
        {
            "type": "link",
            "title": translated(("English", "中文"), language),
            "url": f"/d/gridclock-{dashboard.name}-{other}",
            "keepTime": True,
            "includeVars": True,
        },
        *(
            {
                "type": "link",
                "title": another.title[language],
                "url": f"/d/gridclock-{another.name}-{here}",
                "keepTime": False,
            }
            for another in DASHBOARDS
            if another is not dashboard
        ),
    ]
    return {
        "uid": f"gridclock-{dashboard.name}-{here}",
        "title": dashboard.title[language],
        "description": dashboard.text[language],
        "tags": ["gridclock", here],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "Asia/Shanghai",
        "refresh": dashboard.refresh,
        "time": {"from": dashboard.since, "to": "now"},
        "templating": {"list": [variable(one, dashboard.source, language) for one in dashboard.variables]},
        "annotations": {"list": []},
        "links": links,
        "panels": panels,
    }


def files() -> dict[Path, str]:
    """Every file with what must be in it."""
    return {
        HERE / "dashboards" / name / f"{dashboard.name}.json": json.dumps(
            rendered(dashboard, language), ensure_ascii=False, indent=1
        )
        + "\n"
        for dashboard in DASHBOARDS
        for language, name in enumerate(LANGUAGES)
    }


def main() -> int:
    """Write or check; 1 where something is not fresh."""
    stale = [path for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path}: not what generate.py makes; run it", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files()[path], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
