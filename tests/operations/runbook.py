"""The tables of deploy/README.md that follow from the code. ``python -m tests.operations.runbook`` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import click
from pydantic_core import PydanticUndefined

from streams.cli import gridclock
from streams.live.metric_table import TABLE, Metric
from streams.notify.metrics import NOTIFY_TABLE
from streams.settings import Settings
from streams.sink.metrics import SINK_TABLE
from tests.operations.grafana import DEPLOY

README = DEPLOY / "README.md"


def settings_table() -> str:
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "" if default in (PydanticUndefined, None, "", ()) else f"`{default}`"
        lines.append(f"| `GRIDCLOCK_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines)


def option_variables() -> dict[str, tuple[str, list[str]]]:
    """Environment variables that stand for an option, and are no setting: what each means, and the commands with it."""
    settings = {f"GRIDCLOCK_{name.upper()}" for name in Settings.model_fields}
    found: dict[str, tuple[str, list[str]]] = {}
    context = click.Context(gridclock)

    def look(command: click.Command, name: str) -> None:
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                inner = command.get_command(context, each)
                assert inner is not None
                look(inner, f"{name} {each}".strip())
        for option in command.params:
            if isinstance(option, click.Option) and isinstance(option.envvar, str) and option.envvar not in settings:
                help_text = (option.help or "").split(" (")[0].rstrip(".")
                found.setdefault(option.envvar, (f"`{option.opts[-1]}`: {help_text}", []))[1].append(f"`{name}`")

    look(gridclock, "")
    return dict(sorted(found.items()))


def options_table() -> str:
    lines = ["| variable | stands for | of `gridclock` |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {text} | {', '.join(users)} |" for name, (text, users) in option_variables().items()]
    return "\n".join(lines)


def metrics_table(table: tuple[Metric, ...] = TABLE) -> str:
    lines = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for metric in table:
        labels = ", ".join(metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.meaning} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "options": options_table,
    "metrics": metrics_table,
    "notifier": partial(metrics_table, NOTIFY_TABLE),
    "sink": partial(metrics_table, SINK_TABLE),
}


def part(text: str, name: str) -> str:
    """What stands between the marks of that name."""
    (found,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert isinstance(found, str)
    return found.strip()


def main() -> None:
    text = README.read_text("utf-8")
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + table() + "\n" + end + rest.partition(end)[2]
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
