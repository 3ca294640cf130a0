"""Nothing in the rulebook can be changed without a row noticing.

Every rule is changed in every small way that there is: a limit one unit longer or shorter, an alternative or a
condition left out, a flag turned round. Some row of the rule must come out differently; what is listed under
``ALIKE`` means the same either way, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from pydantic import BaseModel

from schemas.limits import BillingCycles, CalendarDays, Elapsed, NaturalMonths, WorkingDays, parse_limit
from schemas.patterns import Condition
from schemas.rules import Rule
from streams.core.rulebook import Rulebook
from tests.rulebook import test_complete, test_words
from tests.rulebook.rows import judged_as_expected
from tests.stories import shipped

# What a rule says of itself, and what only saves memory or advises.
_NOT_THE_RULE = frozenset({"id", "version", "effective_from", "effective_to", "clauses", "source", "basis", "severity",
                           "enabled", "subject", "title", "note", "kind", "warn_at", "closed_by", "text"})  # fmt: skip
_MAY_BE_EMPTY = frozenset({"pause", "resume", "cancel", "reset", "by", "until", "not_after", "needs", "carry",
                           "reading_days", "ends", "unless"})  # fmt: skip
_FLAGS = frozenset({"same_day", "after_start"})

ALIKE: dict[str, str] = {
    "monthly-reading: every: 2 natural month": "calendar months are months; the schema refuses another number",
    "whole-connection: pause: 9: where: without passed": "one that failed pauses anyway",
    "whole-connection: pause: 10: where: without passed": "one that failed pauses anyway",
    "whole-connection: resume: 4: where: without passed": "one that failed pauses again at once",
    "no-disconnection-once-paid: during: since: 0: where: without owing": "a payment in part ends what it would begin",
}


def changed(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Where something was changed, and the value with that change."""
    match value:
        case Elapsed() | CalendarDays() | WorkingDays() | NaturalMonths() | BillingCycles():
            number, _, unit = value.text.partition(" ")
            for other in (int(number) + 1, int(number) - 1):
                if other > 0:
                    yield f"{other} {unit}", parse_limit(f"{other} {unit}")
        case Condition():
            for member in ("one_of", "none_of"):
                listed = getattr(value, member) or ()
                for item in listed if len(listed) > 1 else ():
                    rest = tuple(other for other in listed if other != item)
                    yield f"{member} without {item}", value.model_copy(update={member: rest})
            if value.present is not None:
                yield "present turned round", Condition(present=not value.present)
            if value.at_least is not None:
                yield "at least one more", Condition(at_least=value.at_least + 1)
                yield "at least one less", Condition(at_least=value.at_least - 1)
        case BaseModel():
            for field in type(value).model_fields:
                if field in _FLAGS:
                    yield f"{field} turned round", value.model_copy(update={field: not getattr(value, field)})
                elif field not in _NOT_THE_RULE:
                    for where, other in changed(getattr(value, field), field):
                        yield f"{field}: {where}", value.model_copy(update={field: other})
        case tuple():
            for index, item in enumerate(value):
                if len(value) > 1 or name in _MAY_BE_EMPTY:
                    yield f"without {getattr(item, 'type', index)}", (*value[:index], *value[index + 1 :])
                for where, other in changed(item):
                    yield f"{index}: {where}", (*value[:index], other, *value[index + 1 :])
        case dict():
            for key, item in value.items():
                yield f"without {key}", {other: kept for other, kept in value.items() if other != key}
                for where, other in changed(item):
                    yield f"{key}: {where}", {**value, key: other}
        case _:
            pass


@cache
def rows_of(rule_id: str) -> list[tuple[Any, ...]]:
    rows = [*test_words.ROWS, *(row for chapter in test_complete.CHAPTERS.values() for row in chapter)]
    return [tuple(row.values) for row in rows if str(row.id).split("/")[0] == rule_id]


def is_noticed(rule: Rule) -> bool:
    loaded = shipped()
    alone = replace(loaded, rulebook=Rulebook([rule], loaded.rulebook.calendar))
    return not all(judged_as_expected(alone, *row[1:]) for row in rows_of(rule.id))


@pytest.mark.parametrize("rule", shipped().rulebook.rules, ids=lambda rule: str(rule.id))
def test_no_change_goes_unnoticed(rule: Rule) -> None:
    enabled = rule.model_copy(update={"enabled": True})
    assert not is_noticed(enabled)
    unnoticed = [where for where, other in changed(enabled) if not is_noticed(other)]
    assert [where for where in unnoticed if f"{rule.id}: {where}" not in ALIKE] == []


def test_what_is_alike_is_still_there() -> None:
    known = {f"{rule.id}: {where}" for rule in shipped().rulebook.rules for where, _ in changed(rule)}
    assert set(ALIKE) - known == set()
