"""Profiles the columns of a file or topic, and suggests a mapping with open questions."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import SequenceMatcher
from typing import Any, Final

import schemas.mappings as schema
from schemas.base import Text
from streams.errors import ConfigError
from streams.files import open_bytes, read_lines, text_lines
from streams.replay.sources.detection import content_form, encoding_of, first_bytes, suffix_form
from streams.replay.sources.json_rows import array_of
from streams.replay.sources.ocel import ocel_rows
from streams.replay.sources.tables import parquet_files, rows_of
from streams.replay.sources.xes import xes_rows
from streams.wire.decoder import decode_json
from streams.wire.mapping import flat
from streams.wire.values import Cells, ConversionError, text_of, times

ROWS: Final = 5_000
"""Most rows that are read."""

_DIFFERENT: Final = 1_000
_FEW: Final = 40
"""Most distinct values of a column that may be a list of words."""

_SHOWN: Final = 6
_NULLS: Final = ("NULL", "null", "None", "NaN", r"\N", "无", "-", "--", "N/A", "/", "空")
_PATTERNS: Final = (
    "iso", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y-%m-%d %H:%M", "%Y年%m月%d日 %H:%M",
    "%Y年%m月%d日 %H时%M分", "%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日 %H时%M分%S秒", "%Y/%m/%d %p %I:%M",
    "%Y/%m/%d %p%I:%M:%S", "%Y/%m/%d %p %I:%M:%S", "%d-%b-%y %I.%M.%S.%f %p", "%Y%m%d%H%M%S", "%Y%m%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M", "%Y.%m.%d %H:%M", "excel", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns",
)  # fmt: skip
_FIELDS: Final = (
    ("order_id", r"工单|单号|order|ticket|申请编号|case:concept:name"),
    ("account_id", r"户号|用户编号|account"),
    ("meter_id", r"表号|电能表|表计|meter"),
    ("batch_id", r"批次|batch"),
    ("area", r"^地区|区域|area"),
    ("org.city", r"市(编码|代码)|city"),
    ("org.county", r"县(编码|代码)|county"),
    ("staff_id", r"工号|staff"),
)
_TYPE: Final = re.compile(
    r"环节|状态|动作|事件|步骤|activity|concept:name$|event|step|status|action|type$", re.IGNORECASE
)
_RECORDED: Final = re.compile(r"录入|登记时间|recorded|created|updated", re.IGNORECASE)
_WORDS: Final = {
    "城区": "urban",
    "城市": "urban",
    "农村": "rural",
    "乡村": "rural",
    "特殊边远": "remote",
    "边远": "remote",
}


@dataclass
class Column:
    """The profile of one column."""

    name: str
    filled: int = 0
    values: Counter[str] = field(default_factory=Counter)
    forms: set[str] = field(default_factory=lambda: set(_PATTERNS))
    fitting: Counter[str] = field(default_factory=Counter)
    is_typed_time: bool = False

    def add(self, value: Any) -> None:
        """Add one filled cell."""
        self.filled += 1
        try:
            text = text_of(value)
        except ConversionError:
            text = repr(value)
        if text in self.values or len(self.values) < _DIFFERENT:
            self.values[text] += 1
        if isinstance(value, date | datetime):
            self.is_typed_time = True
            self.fitting["iso"] += 1
        else:
            self.fitting.update(form for form in _PATTERNS if _fits(form, value))

    @property
    def is_time(self) -> bool:
        """Whether nearly all cells are times."""
        return bool(self.filled) and len(self.time_forms()) > 0

    def time_forms(self) -> list[str]:
        """The fewest known forms that read all cells; empty where they are not times."""
        if self.filled and (self.fitting.get("iso", 0) == self.filled):
            return ["iso"]
        ordered = [
            form for form, _ in sorted(self.fitting.items(), key=lambda item: (-item[1], _PATTERNS.index(item[0])))
        ]
        found, left = [], set(self.values)
        for form in ordered:
            read = {text for text in left if _fits(form, text)}
            if read:
                found.append(form)
                left -= read
            if not left:
                break
        total = sum(self.values.values())
        unread = sum(self.values[text] for text in left)
        return found if total and unread <= total * 0.1 else []


_READERS: Final = {form: times(schema.TimeForm(format=form, zone="UTC")) for form in _PATTERNS}
_NUMBER: Final = re.compile(r"\d{5}(\.\d+)?|\d{10}(\.\d+)?|\d{13}|\d{14}|\d{16}|\d{19}", re.ASCII)


def _fits(form: str, value: Any) -> bool:
    if isinstance(value, list | dict | bool):
        return False
    text = str(value)
    if (form in ("excel", "%Y%m%d%H%M%S") or form.startswith("epoch")) and not _NUMBER.fullmatch(text):
        return False
    if form == "iso" and not re.match(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        _READERS[form](value)
    except ConversionError:
        return False
    return True


@dataclass
class Profile:
    """The profile of a file's rows. ``settings`` are the keys of a mapping needed for reading."""

    name: str
    settings: dict[str, Any]
    columns: dict[str, Column] = field(default_factory=dict)
    rows: int = 0
    nulls: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row."""
        self.rows += 1
        clean = Cells((), strip=True).clean
        for name, value in row.items():
            if not name:
                continue
            column = self.columns.setdefault(name, Column(name))
            cell = clean(value)
            if isinstance(cell, str) and cell in _NULLS:
                self.nulls[cell] += 1
            elif cell is not None:
                column.add(cell)


def profile_of(name: str, sheet: str | None = None) -> Profile:
    """Profile the first rows of a file.

    Raises:
        ConfigError: where it cannot be read.
    """
    form = content_form(name) or suffix_form(name)
    rows: Iterable[Mapping[str, Any]]
    settings: dict[str, Any] = {}
    match form:
        case "xlsx":
            settings, rows = _table(rows_of(name, sheet))
            if sheet is not None:
                settings["sheet"] = sheet
        case "parquet":
            rows = _parquet(name)
        case "xes":
            rows = xes_rows(name)
        case "ocel":
            settings, rows = {"format": "ocel"}, ocel_rows(name)
        case "array":
            settings, rows = {"format": "json"}, (flat(row) for row in array_of(name) if isinstance(row, dict))
        case None if first_bytes(name).lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{":
            settings, rows = json_settings(line for _, line in read_lines(name))
        case _:
            settings, rows = _csv(name)
            if form is None:
                settings = {"format": "csv", **settings}
    return profiled(name, settings, rows)


def profiled(name: str, settings: dict[str, Any], rows: Iterable[Mapping[str, Any]]) -> Profile:
    """The profile of rows."""
    found = Profile(name, settings)
    for row in rows:
        found.add(row)
        if found.rows == ROWS:
            break
    if not found.columns:
        raise ConfigError("has no rows to look at", path=name)
    return found


def json_settings(lines: Iterable[bytes]) -> tuple[dict[str, Any], Iterator[Mapping[str, Any]]]:
    """The settings for lines of JSON, and their rows."""
    from streams.wire.envelopes import rows_of as changes

    some = [line for line, _ in zip(lines, range(ROWS), strict=False)]
    is_debezium = any(b'"op"' in line and (b'"after"' in line or b'"before"' in line) for line in some[:20])
    form = "debezium" if is_debezium else "json"

    def rows() -> Iterator[Mapping[str, Any]]:
        for line in some:
            if not is_debezium:
                value = decode_json(line)
                yield flat(value) if isinstance(value, dict) else {}
                continue
            found = changes(form, line, ())
            if isinstance(found, list):
                yield from (change.after for change in found if change.after is not None)

    return {"format": form}, rows()


def _parquet(name: str) -> Iterator[Mapping[str, Any]]:
    import polars as pl

    try:
        for batch in pl.scan_parquet(parquet_files(name)).head(ROWS).collect_batches():
            yield from (flat(row) for row in batch.iter_rows(named=True))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"not Parquet, or damaged: {error}", path=name) from error


def _csv(name: str) -> tuple[dict[str, Any], Iterator[Mapping[str, Any]]]:
    encoding = encoding_of(first_bytes(name)) or "utf-8"
    with open_bytes(name) as raw:
        text = io.TextIOWrapper(raw, "utf-8-sig" if encoding == "utf-8" else encoding, errors="replace", newline="")
        lines = [line for line, _ in zip(text_lines(text, name), range(ROWS + 50), strict=False)]
    counts = {mark: sum(line.count(mark) > 0 for line in lines[:50]) for mark in (",", "\t", ";", "|")}
    delimiter = max(counts, key=lambda mark: (counts[mark], mark == ","))
    settings: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": encoding}
    if delimiter != ",":
        settings["delimiter"] = delimiter
    more, rows = _table(enumerate(csv.reader(lines, delimiter=delimiter), start=1))
    return {**settings, **more}, rows


def _table(rows: Iterable[tuple[int, Sequence[Any]]]) -> tuple[dict[str, Any], Iterator[Mapping[str, Any]]]:
    """The header (the first row that is nearly as wide as any and has words only), and the rows below it."""
    held = [(number, row) for (number, row), _ in zip(rows, range(ROWS + 50), strict=False)]
    widths = [sum(cell not in (None, "") for cell in row) for _, row in held[:30]]
    widest = max(widths, default=0)
    place = next((n for n, width in enumerate(widths) if width >= max(widest * 0.7, 1) and _is_heading(held[n][1])), 0)
    if not held:
        return {}, iter(())
    header = [text_of(cell).strip() if cell is not None else "" for cell in held[place][1]]
    number = held[place][0]
    found = (
        dict(zip(header, row, strict=False))
        for _, row in held[place + 1 :]
        if any(cell not in (None, "") for cell in row)
    )
    return ({"header_row": number} if number > 1 else {}), found


def _is_heading(row: Sequence[Any]) -> bool:
    return all(
        cell is None or (isinstance(cell, str) and not re.match(r"[\d.:/ -]+$", cell)) or cell == "" for cell in row
    )


# --- a suggestion ---------------------------------------------------------------------------------------


def suggestion(found: Profile, titles: Mapping[str, Text], zone: str) -> str:
    """The text of a mapping file, with the findings and the questions as comments."""
    timed = [column for column in found.columns.values() if column.is_time and not _RECORDED.search(column.name)]
    words = [
        column
        for column in found.columns.values()
        if _TYPE.search(column.name) and 1 < len(column.values) <= _FEW and not column.is_time
    ]
    is_wide = len(timed) > 1 or not words
    lines = [f"# A mapping of {found.name}, suggested from {found.rows:,} rows. Lines with ? want an answer.", "#"]
    lines += [f"#   {_described(column, found.rows)}" for column in found.columns.values()]
    lines.append("")
    lines += [f"{key}: {value if key == 'registry' else _quoted(value)}" for key, value in found.settings.items()]
    if found.nulls:
        lines.append(f"null_values: [{', '.join(map(_quoted, found.nulls))}]")
    lines.append(
        f"time: {{formats: [{', '.join(map(_quoted, _forms(found)))}], zone: {zone}}}   # ? of times without a zone"
    )
    fields = dict(_fields(found))
    if is_wide:
        key = next((fields[name] for name, _ in _FIELDS[:4] if name in fields), None)
        lines.append(
            f"key: [{_quoted(key)}]   # ? what names a row: a later row of the key replaces it"
            if key
            else "# ? key: [COLUMN]"
        )
        lines += ["events:   # ? one for each column of times; leave out what no rule needs"]
        guesses = _guesses([re.sub(r"(时间|日期|_at|_time|time)$", "", column.name) for column in timed], titles)
        known = any(guess in titles for guess in guesses)
        for column, guess in zip(timed, guesses, strict=True):
            when = "" if column.filled == found.rows else f", when: {{column: {_quoted(column.name)}, present: true}}"
            mark = "  - " if guess in titles or not known else "  # ? - "
            lines.append(
                f"{mark}{{event_type: {guess}, occurred_at: {_quoted(column.name)}{when}}}{_asked(guess, titles)}"
            )
    else:
        word = words[0]
        lines += ["event_type:", f"  column: {_quoted(word.name)}", "  values:   # ? the event type of each word"]
        texts = [text for text, _ in word.values.most_common()]
        guesses = _guesses(texts, titles)
        known = any(guess in titles for guess in guesses)
        for text, guess in zip(texts, guesses, strict=True):
            mark = "    " if guess in titles or not known else "    # ? "
            lines.append(f"{mark}{_quoted(text)}: {guess}{_asked(guess, titles)} ({word.values[text]:,} rows)")
        lines.append("  other: refuse   # or skip: rows of other words are passed over and counted")
    lines.append("fields:")
    if not any(name in fields for name, _ in _FIELDS[:4]):
        lines.append("  # ? order_id: COLUMN   (or account_id, meter_id, batch_id: what the events are about)")
    if not is_wide and timed:
        lines.append(f"  occurred_at: {_quoted(timed[0].name)}")
    recorded = next((one for one in found.columns.values() if one.is_time and _RECORDED.search(one.name)), None)
    if recorded is not None:
        lines.append(f"  recorded_at: {_quoted(recorded.name)}   # ? when the event was entered")
    for name, column_name in fields.items():
        lines.append(f"  {name}: {_field(name, found.columns[column_name])}")
    return "\n".join(lines) + "\n"


def _described(column: Column, rows: int) -> str:
    forms = column.time_forms()
    kind = f"times ({', '.join(forms)})" if forms else "text"
    many = f"{len(column.values):,}{'+' if len(column.values) == _DIFFERENT else ''} different"
    some = ", ".join(f"{_one_line(text)} ({count:,})" for text, count in column.values.most_common(_SHOWN))
    return f"{_one_line(column.name)}: {kind}; {column.filled:,} of {rows:,} filled, {many}: {some}"


def _one_line(text: str) -> str:
    shown = text if len(text) <= 40 else text[:39] + "…"
    return "".join(one if one.isprintable() else " " for one in shown)


def _forms(found: Profile) -> list[str]:
    forms: list[str] = []
    for column in found.columns.values():
        forms += [form for form in column.time_forms() if form not in forms]
    return forms or ["iso"]


def _fields(found: Profile) -> Iterator[tuple[str, str]]:
    taken: set[str] = set()
    for name, pattern in _FIELDS:
        for column in found.columns.values():
            if (
                column.name not in taken
                and not column.is_time
                and column.filled
                and re.search(pattern, column.name, re.IGNORECASE)
            ):
                taken.add(column.name)
                yield name, column.name
                break


def _field(name: str, column: Column) -> str:
    if name != "area":
        return _quoted(column.name)
    words = ", ".join(
        f"{_quoted(text)}: {_WORDS.get(text, _quoted(text))}" for text, _ in column.values.most_common(_FEW)
    )
    return f"{{column: {_quoted(column.name)}, values: {{{words}}}}}   # ? urban, rural, remote"


def _guesses(words: Sequence[str], titles: Mapping[str, Text]) -> list[str]:
    """For each word the event type with the most similar title, of the family that fits all of them best."""
    families: dict[str, list[tuple[float, str]]] = {}
    for family in {name.partition(".")[0] for name in titles}:
        own = {name: title for name, title in titles.items() if name.startswith(f"{family}.")}
        families[family] = [max((_likeness(word, name, title), name) for name, title in own.items()) for word in words]
    best = max(families.values(), key=lambda found: sum(score for score, _ in found), default=[])
    return [name if score >= 0.35 else "family.what_happened" for score, name in best]


_SYNONYMS: Final = {
    "repair.reported": ("受理", "报修", "reported"),
    "repair.arrived": ("到达", "到场", "arrived"),
    "repair.completed": ("修复", "完成"),
    "repair.closed": ("归档", "closed"),
    "repair.feedback_asked": ("回访",),
}


def _likeness(word: str, name: str, title: Text) -> float:
    if word in _SYNONYMS.get(name, ()):
        return 0.9
    what = name.partition(".")[2].replace("_", " ")
    plain = word.lower().replace("_", " ")
    ratios = (
        SequenceMatcher(None, word, title.zh).ratio(),
        SequenceMatcher(None, plain, title.en).ratio(),
        SequenceMatcher(None, plain, what).ratio(),
    )
    return max(*ratios, 0.8 if len(word) > 1 and (word in title.zh or title.zh in word) else 0)


def _asked(guess: str, titles: Mapping[str, Text]) -> str:
    return f"   # ? {titles[guess].zh}" if guess in titles else "   # ? no event type has such a title"


def _quoted(value: Any) -> str:
    """The text as a YAML scalar that is read as text."""
    if not isinstance(value, str):
        return str(value)
    if (
        re.fullmatch(r"[^\W\d][\w.:/ -]*[\w]|[^\W\d]", value)
        and value.lower() not in _YAML_WORDS
        and ": " not in value
        and " #" not in value
    ):
        return value
    return (
        '"'
        + value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
        + '"'
    )


_YAML_WORDS: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
