"""``gridclock rules``: show a rulebook, check it, compare two, and test one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from schemas.clauses import CLAUSES
from schemas.exporting import schemas
from schemas.rules import Rule
from streams.commands.calendar import calendar_changes
from streams.commands.common import DONE, rulebook_of, rulebook_options
from streams.commands.rules_suggest import suggest
from streams.engine import known_rules
from streams.errors import ConfigError, did_you_mean
from streams.rulebooks.impossible_rules import check_possible
from streams.rulebooks.loader import LoadedRule, LoadedRulebook, load_rulebook
from streams.rulebooks.rule_cases import RuleCases
from streams.workbook import neutral

FAILED = 1
FORMATS = click.Choice(["text", "json", "csv"])


@click.group(short_help="Show the rulebook, check it, test it.")
def rules() -> None:
    """Show the rulebook, check it, compare two, test your own rules.

    \b
    Examples:
      gridclock rules list
      gridclock rules check my-rules/
    """


rules.add_command(suggest)


def _described(rule: Rule) -> dict[str, Any]:
    """A rule as in a file, without default values."""
    return rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _limit_text(rule: Rule) -> str:
    for name in ("limit", "every"):
        value = getattr(rule, name, None)
        if value is None:
            continue
        if isinstance(value, tuple):
            return " / ".join(choice.limit.text for choice in value)
        more = getattr(rule, "at_most", None)
        return f"{value.text} to {more.text}" if more is not None else str(value.text)
    return ""


def _row(item: LoadedRule) -> dict[str, Any]:
    rule = item.rule
    return {
        "id": rule.id,
        "version": rule.version,
        "clauses": list(rule.clauses),
        "kind": rule.kind,
        "limit": _limit_text(rule) or None,
        "basis": rule.basis,
        "severity": rule.severity,
        "enabled": rule.enabled,
        "effective_from": rule.effective_from.isoformat(),
        "effective_to": rule.effective_to.isoformat() if rule.effective_to else None,
        "title": {"zh": rule.title.zh, "en": rule.title.en},
    }


def _print_rows(rows: Sequence[dict[str, Any]], form: str, columns: Sequence[str]) -> None:
    if form == "json":
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    flat = [{name: _flat(row[name]) for name in columns} for row in rows]
    if form == "csv":
        flat = [{name: neutral(value) for name, value in row.items()} for row in flat]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        click.echo(text.getvalue(), nl=False)
        return
    widths = {name: max([len(name), *(len(row[name]) for row in flat)]) for name in columns[:-1]}
    for row in ({name: name for name in columns}, *flat):
        click.echo("  ".join([*(row[name].ljust(widths[name]) for name in columns[:-1]), row[columns[-1]]]).rstrip())


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['zh']} {value['en']}"
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@rules.command("list", short_help="Every rule, one per line.")
@rulebook_options
@click.option("--format", "form", type=FORMATS, default="text", show_default=True)
@click.option("--chapter", help="Only rules of this chapter (W, B, M, R, I, F).")
@click.option("--engine", "with_engine", is_flag=True, help="Also show the engine that judges each rule in a replay.")
def list_rules(rules: tuple[Path, ...], only: Path | None, form: str, chapter: str | None, with_engine: bool) -> int:
    """Every rule with its clauses, kind and limit.

    \b
    Example:
      gridclock rules list --chapter F
    """
    loaded = rulebook_of(rules, only)
    rows = [_row(item) for item in loaded.loaded if chapter in (None, item.chapter)]
    columns = ["id", "version", "clauses", "kind", "limit", "basis", "severity", "enabled", "title"]
    if with_engine:
        known = known_rules(loaded.rulebook, loaded.catalogue)
        rows = [{**row, "engine": "native" if row["id"] in known else "python"} for row in rows]
        columns.insert(-1, "engine")
    _print_rows(rows, form, columns)
    return DONE


@rules.command(short_help="One rule, all its versions.")
@click.argument("rule_id", metavar="ID")
@rulebook_options
def show(rule_id: str, rules: tuple[Path, ...], only: Path | None) -> int:
    """One rule as in the rulebook, with its source and its place.

    \b
    Example:
      gridclock rules show arrears-notice-7-days
    """
    loaded = rulebook_of(rules, only)
    found = [item for item in loaded.loaded if item.rule.id == rule_id]
    if not found:
        raise ConfigError(
            f"no rule {rule_id!r}{did_you_mean(rule_id, {item.rule.id for item in loaded.loaded})}", key="ID"
        )
    for item in found:
        click.echo(f"# {item.rule.title.zh} / {item.rule.title.en}")
        click.echo(f"# {item.path}:{item.node.start_mark.line + 1}")
        click.echo(yaml.safe_dump([_described(item.rule)], allow_unicode=True, sort_keys=False, width=110), nl=False)
    return DONE


@rules.command(short_help="Check a rulebook directory.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--only", "alone", is_flag=True, help="Check it without the shipped rulebook under it.")
def check(directory: Path, alone: bool) -> int:
    """Check a rulebook directory, alone or on top of the shipped one; reports every error with its place.

    It also reports rules that are well formed but can never apply: an event, field value or limit that cannot occur, a
    pause that never ends, a notice that can never precede the act; and dates on which a rule of the shipped rulebook is
    no longer judged, because a version on top of it begins later or ends. Such a rulebook is still loaded by the other
    commands.

    \b
    Example:
      gridclock rules check my-rules/
    """
    loaded = load_rulebook((), directory) if alone else load_rulebook((directory,))
    check_possible(loaded)
    own = [item for item in loaded.loaded if Path(item.path).parent == directory]
    click.echo(f"{directory}: {len(own)} rules, no errors; {len(loaded.loaded)} with those under it")
    return DONE


@rules.command(short_help="The clauses of the standard, with their rules.")
@rulebook_options
@click.option("--format", "form", type=FORMATS, default="text", show_default=True)
def coverage(rules: tuple[Path, ...], only: Path | None, form: str) -> int:
    """The 112 clauses of the standard with their rules, or the reason why there can be none.

    \b
    Example:
      gridclock rules coverage --format csv > coverage.csv
    """
    loaded = rulebook_of(rules, only)
    rows = coverage_rows(loaded)
    if form == "text":
        for row in rows:
            click.echo(f"{row['clause']:<6}  {' '.join(row['rules']) or '- ' + row['reason']}  ({row['title']['zh']})")
        click.echo(f"{len(rows)} clauses, {sum(bool(row['rules']) for row in rows)} with rules")
    else:
        _print_rows(rows, form, ["clause", "title", "rules", "reason"])
    return DONE


def coverage_rows(loaded: LoadedRulebook) -> list[dict[str, Any]]:
    """One row per clause: ``clause``, ``title``, ``rules`` (ids) and ``reason`` (``None`` where there are rules)."""
    by_clause: dict[str, dict[str, Rule]] = {}
    for item in loaded.loaded:
        for code in item.rule.clauses:
            by_clause.setdefault(code, {}).setdefault(item.rule.id, item.rule)
    rows = []
    for clause in CLAUSES:
        found = by_clause.get(clause.code, {})
        own = [rule.title for rule in found.values() if rule.clause == clause.code] or [
            rule.title for rule in found.values()
        ]
        title = {
            "zh": "；".join([clause.place.zh, *(title.zh for title in own)]),
            "en": "; ".join([clause.place.en, *(title.en for title in own)]),
        }
        reason = None if found else clause.reason or "no rule of this rulebook names it"
        rows.append({"clause": clause.code, "title": title, "rules": sorted(found), "reason": reason})
    return rows


@rules.command(short_help="How rules read what a clause leaves open.")
@rulebook_options
@click.option("--format", "form", type=FORMATS, default="text", show_default=True)
def notes(rules: tuple[Path, ...], only: Path | None, form: str) -> int:
    """What a clause leaves open, and how its rule reads it: to be settled before alerts discipline anyone.

    Where yours is another reading, give a version of the rule in your own rulebook directory.

    \b
    Example:
      gridclock rules notes
    """
    found = [(item.rule, item.rule.note) for item in rulebook_of(rules, only).loaded if item.rule.enabled]
    rows: list[dict[str, Any]] = [
        {"id": rule.id, "version": rule.version, "clauses": list(rule.clauses), "title": rule.title.model_dump(),
         "note": note.model_dump()}
        for rule, note in found if note is not None
    ]  # fmt: skip
    if form == "text":
        for row in rows:
            click.echo(f"{row['id']}  {row['title']['zh']} / {row['title']['en']}  ({' '.join(row['clauses'])})")
            click.echo(f"    {row['note']['zh']}\n    {row['note']['en']}")
    else:
        _print_rows(rows, form, ["id", "version", "clauses", "title", "note"])
    return DONE


@rules.command("needs-limit", short_help="Rules that need a limit from you.")
@rulebook_options
@click.option("--format", "form", type=FORMATS, default="text", show_default=True)
def needs_limit(rules: tuple[Path, ...], only: Path | None, form: str) -> int:
    """Clauses with "promptly": their rules are shipped disabled, with a suggested limit.

    To use one, copy it into your own rulebook directory, set its limit and source, and remove "enabled"; gridclock
    rules suggest does this with limits from your own history.

    \b
    Example:
      gridclock rules needs-limit
    """
    loaded = rulebook_of(rules, only)
    rows = [_row(item) for item in loaded.loaded if item.rule.basis == "C" and not item.rule.enabled]
    _print_rows(rows, form, ["id", "clauses", "limit", "title"])
    return DONE


@rules.command(short_help="The differences of two rulebooks.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
def diff(first: str, second: str) -> int:
    """The differences of two rulebooks and their calendars: each a directory, or "shipped", or "shipped+DIR".

    \b
    Example:
      gridclock rules diff shipped shipped+my-rules/
    """
    books = _named(first), _named(second)
    before, after = map(_by_version, books)
    differences = 0
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        name = f"{key[0]} version {key[1]}"
        if old is None or new is None:
            click.echo(f"{'+' if old is None else '-'} {name}")
            differences += 1
            continue
        for path, was, now in _changes(old, new):
            click.echo(f"~ {name}: {path}: {_json(was)} -> {_json(now)}")
            differences += 1
    for line in calendar_changes(books[0].rulebook, books[1].rulebook):
        click.echo(line)
        differences += 1
    click.echo(f"{differences} differences")
    return DONE


def _named(name: str) -> LoadedRulebook:
    base, plus, directory = name.partition("+")
    if base == "shipped":
        return load_rulebook((Path(directory),) if plus else ())
    return load_rulebook((), Path(name))


def _by_version(loaded: LoadedRulebook) -> dict[tuple[str, str], dict[str, Any]]:
    return {(item.rule.id, item.rule.version): _described(item.rule) for item in loaded.loaded}


def _changes(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each difference of two values, as a path of keys and positions, with both values; ``None`` for a missing one."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _changes(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _changes(was, now, f"{path}.{index}")
    else:
        yield path, old, new


def _json(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


@rules.command(short_help="The JSON Schema of a rulebook file, for editors.")
def schema() -> int:
    """The JSON Schema of a rulebook file, for editors.

    \b
    Example:
      gridclock rules schema > rulebook.schema.json
    """
    click.echo(schemas()["rulebook.json"], nl=False)
    return DONE


@rules.command(short_help="Run given/when/then cases.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@rulebook_options
def test(files: tuple[Path, ...], rules: tuple[Path, ...], only: Path | None) -> int:
    """Run given/when/then cases, written in YAML, against a rulebook; exits 1 where one fails.

    \b
    A file:
      cases:
        - name: one day short of seven
          events:
            - {at: 2026-03-01T17:00, type: disconnection.notice_delivered, account_id: A1, cause: arrears,
               proof_ref: P1}
            - {at: 2026-03-07T23:59:59.999, type: disconnection.performed, account_id: A1, cause: arrears}
          until: 2026-03-10
          expect:
            - {rule: arrears-notice-7-days, kind: violation, at: 2026-03-07T23:59:59.999}

    \b
    Example:
      gridclock rules test my-cases.yaml --rules my-rules/
    """
    loaded = rulebook_of(rules, only)
    failed = total = 0
    for path in files:
        for result in RuleCases(path, loaded).run():
            total += 1
            failed += not result.passed
            click.echo(f"{'passed' if result.passed else 'FAILED'}  {path}:{result.line}  {result.name}")
            _details("expected, did not come", result.missing)
            _details("came, not expected", result.unexpected)
    click.echo(f"{total - failed} passed, {failed} failed")
    return FAILED if failed else DONE


def _details(what: str, rows: Iterable[str]) -> None:
    for row in rows:
        click.echo(f"        {what}: {row}")
