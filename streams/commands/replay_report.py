"""``gridclock replay --report``: the page for people, as HTML or PDF, and the workbook of all breaches beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from streams.core.instants import format_us
from streams.files import write_whole
from streams.replay.comparison import Comparison
from streams.replay.replay import Replay
from streams.replay.results import Form, json_line
from streams.rulebooks.loader import LoadedRulebook

if TYPE_CHECKING:
    from streams.spark.replay import SparkReplay

_OPTIONS = (
    click.option(
        "--report", type=click.Path(path_type=Path), metavar="FILE",
        help="Write a page for people here, as HTML, or as PDF (.pdf) by chromium; and beside it, as "
        "FILE-breaches.xlsx, the list of all breaches and violations.",
    ),
    click.option(
        "--report-language", type=click.Choice(["zh", "en"]), default="zh",
        help="The language that the report opens with, or that its PDF is in (zh).",
    ),
    click.option(
        "--report-board", metavar="URL",
        help="The address of the live board: the report's cases link to their pages there.",
    ),
)  # fmt: skip
_decode = msgspec.json.Decoder().decode


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a report."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def is_pdf(report: Path) -> bool:
    """Whether the report is wanted as PDF, by its name."""
    return report.suffix.lower() == ".pdf"


def check_report(report: Path | None) -> None:
    """Look for a browser before the work, where the report needs one.

    Raises:
        ConfigError: where there is none.
    """
    if report is not None and is_pdf(report):
        from streams.replay.report.pdf import browser_path  # with it come a template engine and charts

        browser_path()


def beside(report: Path) -> Path:
    """Where the list of breaches of a report goes: ``month.html`` has ``month-breaches.xlsx``."""
    return report.with_name(f"{report.stem}-breaches.xlsx")


class ReportFiles:
    """The files of one report: ``take`` the alerts, ``write`` at the end, then ``close``."""

    def __init__(self, path: Path, language: Literal["zh", "en"], board: str | None) -> None:
        from streams.replay.report.breaches import Breaches

        self._path = path
        self._language: Literal["zh", "en"] = language
        self._board = board
        self._breaches = Breaches()
        self.close = self._breaches.close

    def take(self, alerts: Iterable[bytes], form: Form) -> Iterator[bytes]:
        """Give on alerts in JSON lines in another form, and keep what the report needs of them."""
        for alert in alerts:
            self._breaches.take(alert)
            yield alert if form is json_line else form(_decode(alert))

    def write(
        self,
        files: ExitStack,
        loaded: LoadedRulebook,
        replay: Replay | SparkReplay,
        *,
        sources: list[str],
        is_as_of: bool,
        comparison: Comparison | None,
    ) -> None:
        """Write both files; ``files`` makes them appear whole or not at all."""
        from streams.replay.report import ReportOptions, render
        from streams.replay.report.pdf import printed

        breaches, end = beside(self._path), replay.ends_at
        self._breaches.write(files.enter_context(write_whole(breaches)), loaded.organisations, self._board)
        options = ReportOptions(
            loaded,
            sources,
            "—" if end is None else format_us(end, loaded.rulebook.calendar.zone)[:19].replace("T", " "),
            is_as_of=is_as_of,
            breaches=breaches.name,
            board=self._board,
            language=self._language,
        )
        page = render(replay.summary, replay.tally, options, comparison=comparison).encode()
        files.enter_context(write_whole(self._path)).write(printed(page) if is_pdf(self._path) else page)
