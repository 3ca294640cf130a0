"""Rules that start with the breach of another rule: their order and their checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from schemas.rules import ActRule, CadenceRule, DeadlineRule, Rule

Mistake = tuple[int, tuple[str | int, ...], str]
"""The position of a rule in a list, the keys inside it, and the problem there."""


def followed_by(rule: Rule) -> str | None:
    """The id of the rule whose breach starts this one; ``None`` where it starts with events."""
    return rule.start.alert if isinstance(rule, DeadlineRule) else None


def followed_first(by_id: Mapping[str, Sequence[Rule]]) -> list[str]:
    """The ids, each after the one that it follows; rules whose base is not among them are left out."""
    placed: list[str] = []
    left = sorted(by_id)
    while left:
        ready = [name for name in left if (of := followed_by(by_id[name][0])) is None or of in placed]
        if not ready:
            break
        placed += ready
        left = [name for name in left if name not in ready]
    return placed


def starting_types(rule: Rule, rules: Sequence[Rule]) -> list[str]:
    """The event types that can start a case of a rule; for a follow-up, those of the breached case."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [rule]
    while waiting:
        one = waiting.pop()
        if isinstance(one, DeadlineRule):
            found.update((pattern.type, None) for group in one.start.all for pattern in group)
        elif isinstance(one, CadenceRule):
            found.update((pattern.type, None) for pattern in (*one.act, *one.since))
        elif isinstance(one, ActRule):
            found.update((pattern.type, None) for pattern in one.act)
        name = followed_by(one)
        if name is not None and name not in seen:
            seen.add(name)
            waiting += [other for other in rules if other.id == name]
    return list(found)


def wrong_follow_ups(rules: Sequence[Rule]) -> Iterator[Mistake]:
    """The problems of the rules that follow others, among all rules of a rulebook."""
    by_id = {rule.id: rule for rule in rules}
    for index, rule in enumerate(rules):
        name = followed_by(rule)
        others = {followed_by(other) for other in rules if other.id == rule.id}
        if len(others) > 1:
            yield (
                index,
                ("start",),
                "versions of one rule all start with events, or all follow one rule; use a new id",
            )
        if name is None:
            continue
        base = by_id.get(name)
        if base is None:
            near = get_close_matches(name, by_id, 1)
            hint = f"did you mean {near[0]!r}?" if near else "gridclock rules list shows those that there are"
            yield index, ("start", "alert"), f"there is no rule {name!r}; {hint}"
        elif not isinstance(base, DeadlineRule | CadenceRule):
            yield (
                index,
                ("start", "alert"),
                f"{name!r} is of kind {base.kind}, which is violated and never breached; "
                "name a rule of kind deadline or cadence",
            )
        elif base.subject != rule.subject:
            yield (
                index,
                ("subject",),
                f"a rule has the subject of the one that it follows: {name!r} has {', '.join(base.subject)}",
            )
        elif (circle := _circle(rule, by_id)) is not None:
            yield (
                index,
                ("start", "alert"),
                f"rules that follow one another in a circle never start: {' -> '.join(circle)}; "
                "let one of them start with an event",
            )


def _circle(rule: Rule, by_id: Mapping[str, Rule]) -> list[str] | None:
    """The ids from a rule back to itself, each followed by the one before it; ``None`` where there is no circle."""
    passed = [rule.id]
    name = followed_by(rule)
    while name is not None and name in by_id and name not in passed:
        passed.append(name)
        name = followed_by(by_id[name])
    return [*passed, rule.id][::-1] if name == rule.id else None
