"""Finds dates on which a rule was judged by a lower rulebook directory and is judged by none once another lies on top.

A version of an upper directory takes the place of the one of its number below, or ends the one in force. Where it also
begins later, or ends, cases of the remaining dates are judged by no version, without a word. An upper version that
differs in nothing but its dates is meant so (a rule in force from one's own first day), and so is a lower version that
the upper directory gives with another end.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from schemas.rules import Rule
from streams.rulebooks.loader import LoadedRulebook
from streams.rulebooks.yaml_files import Keys

_WORDS = {"effective_from", "effective_to", "title", "note"}


def gaps(loaded: LoadedRulebook, rule: Rule) -> Iterator[tuple[Keys, str]]:
    """The keys of a rule at which such dates begin or end, each with the problem and a remedy."""
    if not rule.enabled or any(rule.id in book.disabled for book in loaded.files):
        return
    written = [one for book in loaded.files for one in book.rules if one.id == rule.id and one.enabled]
    same = [one for one in written if one.version == rule.version and _content(one) != _content(rule)]
    others = {one.version: one for one in written if one.version != rule.version}.values()

    def lost(day: date, *before: Rule) -> Rule | None:
        """The version that was in force on a date on which none is now."""
        if any(_is_in_force(item.rule, day) for item in loaded.loaded if item.rule.id == rule.id):
            return None
        return next((one for one in before if _is_in_force(one, day)), None)

    start, end = rule.effective_from, rule.effective_to
    if start > date.min and (old := lost(start - timedelta(days=1), *same)):
        yield (
            ("effective_from",),
            f"version {rule.version!r} takes the place of the one below, in force from {old.effective_from}: nothing "
            f"is judged from then to {start}; give this one another version, or that effective_from",
        )
    if end is not None and (old := lost(end, *same, *others)):
        yield (
            ("effective_to",),
            f"nothing is judged from {end} on, where version {old.version!r} below was in force: leave out "
            f"effective_to, or write what holds from {end} on as a version of its own",
        )


def _content(rule: Rule) -> dict[str, object]:
    return rule.model_dump(exclude=_WORDS)


def _is_in_force(rule: Rule, day: date) -> bool:
    return rule.effective_from <= day and (rule.effective_to is None or day < rule.effective_to)
