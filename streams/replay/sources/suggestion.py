"""Writes a mapping for what a profile found: with the findings, and what is not certain, as comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.base import Text
from schemas.events import EventCatalogue
from schemas.mappings import REGISTERED, UNANSWERED
from schemas.rules import Rule
from streams.replay.sources.guesses import (
    Asked,
    Guess,
    asked_fields,
    column_of,
    common_columns,
    event_id_of,
    is_plain_flag,
    types_for,
    unmet_rules,
    values_of,
)
from streams.replay.sources.profile import MONTH_FIRST, MOST_DIFFERENT, Column, Profile

_TRANSITION: Final = "lifecycle:transition"
_FEW: Final = 40
"""Most distinct values of a column that may be a list of words."""

_SHOWN: Final = 6
_OF_RECORDS: Final = ("json", "debezium", *REGISTERED)
_COUNTED: Final = frozenset({"epoch_s", "epoch_ms", "epoch_us", "epoch_ns"})
_SUBJECTS: Final = ("order_id", "account_id", "meter_id", "batch_id")
_TYPE: Final = re.compile(
    r"环节|状态|动作|事件|步骤|活动|节点|操作|activity|concept:name$|event|evt|step|stage|node|status|action|type$",
    re.IGNORECASE,
)
_TIME: Final = re.compile(r"(时间|日期|_?(at|on|time|date|ts))$", re.IGNORECASE)
"""The end of the names of columns of times, which says nothing of the step."""

_RECORDED: Final = re.compile(
    r"录入|登记时间|更新时间|recorded|created|updated|modified|gmt_|^(lr|dj|cj|gx|xg)sj$", re.IGNORECASE
)


@dataclass(frozen=True)
class Vocabulary:
    """What a mapping may name: the event types with their titles and fields, and the rules that judge them."""

    titles: Mapping[str, Text]
    catalogue: EventCatalogue
    rules: Sequence[Rule]
    zone: str


def suggestion(found: Profile, known: Vocabulary) -> str:
    """The text of a mapping file."""
    return "\n".join(_Suggestion(found, known).lines()) + "\n"


class _Suggestion:
    def __init__(self, found: Profile, known: Vocabulary) -> None:
        self._found, self._known = found, known
        self._common = common_columns(found)
        columns = found.columns.values()
        self._recorded = [one for one in columns if one.is_time and _RECORDED.search(one.name)]
        self._times = [one for one in columns if one.is_time and one not in self._recorded]
        taken = {id(column) for name, column in self._common.items() if name in _SUBJECTS}
        words = [
            one
            for one in columns
            if _TYPE.search(one.name) and len(one.values) <= _FEW and not one.is_time and id(one) not in taken
        ]
        self._words = max(words, key=self._fit, default=None)
        self._is_wide = self._is_wide_sheet()
        if self._is_wide:
            self._texts = [_TIME.sub("", one.name) or one.name for one in self._times]
        else:
            assert self._words is not None
            self._texts = [text for text, _ in self._words.values.most_common()]
        self._guesses = types_for(self._texts, known.titles, known.catalogue)

    def _fit(self, column: Column) -> tuple[float, int]:
        """How well the words of a column name event types."""
        guesses = types_for(list(column.values), self._known.titles, self._known.catalogue)
        return sum(one.likeness for one in guesses) / max(len(guesses), 1), len(column.values)

    def _is_wide_sheet(self) -> bool:
        """Whether a row is an order with a column for each step, and not one step."""
        if self._words is None or not self._words.values:
            return True
        ids = next((self._common[name] for name in _SUBJECTS if name in self._common), None)
        repeats = ids is not None and ids.filled > 1.5 * len(ids.values)
        if len(self._times) > 1:
            return not repeats or self._found.settings.get("format") == "debezium"
        return len(self._words.values) == 1 and not repeats

    def lines(self) -> Iterator[str]:
        """The lines of the file."""
        found = self._found
        yield f"# A mapping of {found.name}, suggested from {found.rows:,} rows. Lines with ? want an answer:"
        yield "# correct what is wrong, take away the # of what is right. gridclock map types WORD lists event types."
        yield "#"
        yield from (f"#   {_described(column, found.rows)}" for column in found.columns.values())
        yield ""
        for key, value in found.settings.items():
            question = f"   # ? {found.questions[key]}" if key in found.questions else ""
            yield f"{key}: {value if key == 'registry' else _quoted(value)}{question}"
        if found.nulls:
            yield f"null_values: [{', '.join(map(_quoted, found.nulls))}]"
        forms = ", ".join(map(_quoted, _forms(found)))
        asked = f"of times without a zone{self._day_first()}{self._on_the_wall()}"
        yield f"time: {{formats: [{forms}], zone: {self._known.zone}}}   # ? {asked}"
        yield from self._wide() if self._is_wide else self._long()
        fields = list(self._fields())
        yield "fields:" if any(not line.startswith("  # ?") for line in fields) else "# ? fields:"
        yield from fields
        yield from self._unmet()

    def _day_first(self) -> str:
        forms = _forms(self._found)
        either = [day for month, day in MONTH_FIRST.items() if month in forms and _reads(self._found, month, day)]
        return f"; month first, or day first: {', '.join(map(_quoted, either))}" if either else ""

    def _on_the_wall(self) -> str:
        """Numbers of an application and those of a database's times without a zone look the same."""
        if self._found.settings.get("format") not in _OF_RECORDS or not _COUNTED & {*_forms(self._found)}:
            return ""
        if self._found.settings["format"] == "debezium":
            return "; wall: false for numbers that an application has counted in UTC"
        return "; wall: true for numbers of Debezium's columns without a zone: read as UTC they are hours off"

    def _unmet(self) -> Iterator[str]:
        """The rules that would report every case, because the data never has what they wait for."""
        found = list(unmet_rules({guess.event_type for guess in self._guesses if guess.is_near}, self._known.rules))
        if found:
            yield "# ? These rules wait for events that the data does not have, and would report every case:"
            yield from (f"#   {rule_id}: after {begins} they wait for {waits}" for rule_id, begins, waits in found)
            yield "# If another system records them, give its files too. If nobody does, switch the rules off, in"
            yield "# own/rules.yaml, and give --rules own:"
            yield "#   chapter: own"
            yield "#   title: {zh: 本单位, en: Own}"
            yield f"#   disabled: [{', '.join(rule_id for rule_id, *_ in found)}]"

    def _wide(self) -> Iterator[str]:
        key = next((self._common[name] for name in _SUBJECTS if name in self._common), None)
        yield (
            f"key: [{_quoted(key.name)}]   # ? what names a row: a later row of the key replaces it"
            if key
            else "# ? key: [COLUMN]   what names a row: a later row of the key replaces it"
        )
        if not self._times:
            yield "# ? events: no column of times is known: write their form under time.formats, and an entry for each:"
            yield f"# ?   - {{event_type: {UNANSWERED}, occurred_at: COLUMN}}"
            return
        yield "events:   # ? one for each column of times; leave out what no rule needs"
        taken = self._nearest()
        none = not taken
        for place, (column, guess) in enumerate(zip(self._times, self._guesses, strict=True)):
            when = (
                ""
                if column.filled == self._found.rows
                else f", when: {{column: {_quoted(column.name)}, present: true}}"
            )
            mark = "  - " if (place in taken and not column.is_days) or none else "  # ? - "
            event_type = guess.event_type if guess.is_near else UNANSWERED
            days = "; days only: 00:00 would be the time" if column.is_days else ""
            yield (
                f"{mark}{{event_type: {event_type}, occurred_at: {_quoted(column.name)}{when}}}"
                f"{self._asked(guess)}{days}"
            )

    def _nearest(self) -> set[int]:
        """The places of the near guesses; of two of one type the nearer, as two would have one id."""
        best: dict[str, int] = {}
        for place, guess in sorted(enumerate(self._guesses), key=lambda pair: -pair[1].likeness):
            if guess.is_near:
                best.setdefault(guess.event_type, place)
        return set(best.values())

    def _long(self) -> Iterator[str]:
        assert self._words is not None
        yield from (
            "event_type:",
            f"  column: {_quoted(self._words.name)}{self._transitions(self._words)}",
            "  values:   # ? the event type of each word",
        )
        none = not any(guess.is_near for guess in self._guesses)
        for text, guess in zip(self._texts, self._guesses, strict=True):
            mark = "    " if guess.is_near or none else "    # ? "
            event_type = guess.event_type if guess.is_near else UNANSWERED
            yield f"{mark}{_quoted(text)}: {event_type}{self._asked(guess)} ({self._words.values[text]:,} rows)"
        empty = self._found.rows - self._words.filled
        some = f"; {empty:,} rows have no {self._words.name}" if empty else ""
        yield f"  other: refuse   # ? or skip: rows of other words are passed over and counted{some}"

    def _transitions(self, words: Column) -> str:
        """In process logs a step may be scheduled, started and completed, each an event with the step's name."""
        states = self._found.columns.get(_TRANSITION)
        if states is None or states is words or len(states.values) < 2:
            return ""
        some = ", ".join(_one_line(text) for text, _ in states.values.most_common(_SHOWN))
        pair = _one_line(f"{self._texts[0]}/{states.values.most_common(1)[0][0]}")
        return (
            f"   # ? a step has several rows ({_TRANSITION}: {some}), and each would be the event: "
            f"[{_quoted(words.name)}, {_quoted(_TRANSITION)}], with values such as {pair}"
        )

    def _asked(self, guess: Guess) -> str:
        titles = self._known.titles
        if guess.is_near:
            return f"   # ? {titles[guess.event_type].zh}"
        if guess.likeness > 0.3:
            nearest = f"{guess.event_type} {titles[guess.event_type].zh}"
            return f"   # ? no event type has such a title; the nearest is {nearest}"
        return "   # ? no event type has such a title"

    # -- fields ------------------------------------------------------------------------------------------

    def _fields(self) -> Iterator[str]:
        if not self._is_wide:
            named = event_id_of(self._found)
            yield (
                f"  event_id: {_quoted(named.name)}"
                if named is not None
                else "  # ? event_id: COLUMN, or [COLUMN, COLUMN]   (names an event; else one sent twice counts twice)"
            )
        if not any(name in self._common for name in _SUBJECTS):
            yield "  # ? order_id: COLUMN   (or account_id, meter_id, batch_id: what the events are about)"
        if not self._is_wide:
            if self._times:
                others = ", ".join(one.name for one in self._times[1:])
                yield f"  occurred_at: {_quoted(self._times[0].name)}{f'   # ? or {others}' if others else ''}"
            else:
                yield "  # ? occurred_at: COLUMN   (when it happened: no column holds times)"
        for column in self._recorded[:1]:
            # in a wide row it is the time of the row's last change, and no step's
            mark = "# ? " if self._is_wide else ""
            yield f"  {mark}recorded_at: {_quoted(column.name)}   # ? when the event was entered"
        for name, column in self._common.items():
            yield f"  {name}: {_quoted(column.name)}"
        taken = {column.name for column in self._common.values()}
        types = [guess.event_type for guess in self._guesses if guess.is_near]
        for asked in asked_fields(types, self._known.rules, self._known.catalogue):
            yield from self._asked_field(asked, taken)

    def _asked_field(self, asked: Asked, taken: set[str]) -> Iterator[str]:
        catalogue = self._known.catalogue
        kind = catalogue.kind_of(asked.types[0], asked.name)
        listed = catalogue.values_of(asked.types[0], asked.name)
        words = ", ".join(map(str, listed)) or {"boolean": "true or false", "string": "text"}.get(kind, kind)
        said = f"{words}; of {_some(asked.types)}; rules {_some(asked.rules)}"
        column = column_of(asked, self._found, catalogue, taken)
        if column is None:
            constant = f"constants: {{{asked.name}: {_value(kind, listed)}}}"
            yield f"  # ? {asked.name}: COLUMN   or, if it is the same in all rows, {constant}   ({said})"
            return
        values = values_of(asked.name, column, kind, listed)
        if not listed and (kind != "boolean" or is_plain_flag(values)):
            yield f"  {asked.name}: {_quoted(column.name)}   # ? {said}"
            return
        shown = ", ".join(f"{_quoted(text)}: {value or _quoted(text)}" for text, value in values.items())
        unknown = [text for text, value in values.items() if not value]
        what = f"; not known: {', '.join(map(_one_line, unknown))}" if unknown else ""
        yield f"  {asked.name}: {{column: {_quoted(column.name)}, values: {{{shown}}}}}   # ? {said}{what}"


def _value(kind: str, listed: Sequence[object]) -> str:
    return str(listed[0]) if listed else {"boolean": "true"}.get(kind, "VALUE")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _described(column: Column, rows: int) -> str:
    forms = column.time_forms()
    kind = f"times ({', '.join(forms)})" if forms else "text"
    many = f"{len(column.values):,}{'+' if len(column.values) == MOST_DIFFERENT else ''} different"
    some = ", ".join(f"{_one_line(text)} ({count:,})" for text, count in column.values.most_common(_SHOWN))
    return f"{_one_line(column.name)}: {kind}; {column.filled:,} of {rows:,} filled, {many}: {some}"


def _one_line(text: str) -> str:
    shown = text if len(text) <= 40 else text[:39] + "…"
    return "".join(one if one.isprintable() else " " for one in shown)


def _forms(found: Profile) -> list[str]:
    forms = list(dict.fromkeys(form for column in found.columns.values() for form in column.time_forms()))
    for month, day in MONTH_FIRST.items():
        if month in forms and day in forms and _reads(found, month, day):
            forms.remove(month)  # a day above 12 in one column says how the others are written
    return forms or ["iso"]


def _reads(found: Profile, form: str, other: str) -> bool:
    """Whether the other form reads all cells that the form reads."""
    return all(
        column.fitting[other] >= column.fitting[form]
        for column in found.columns.values()
        if form in column.time_forms()
    )


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
