"""Rulebook directories: every kind of mistake is named by file, line, rule and key; and what layers do."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.errors import ConfigError
from streams.rulebooks.impossible_rules import check_possible
from streams.rulebooks.loader import LoadedRulebook, load_rulebook

HEAD = "chapter: T\ntitle: {zh: 测试, en: Test}\n"
RULE = """\
rules:
  - id: my-rule
    effective_from: 2024-01-01
    clauses: [T-S1]
    source: a test
    kind: deadline
    subject: order
    title: {zh: 规则, en: My rule}
    start: counter.service_started
    stop: counter.service_completed
    limit: 5 min
"""


AFTER = RULE.removeprefix("rules:\n").replace("my-rule", "after")
FOLLOW_UP = AFTER.replace("start: counter.service_started", "start: {alert: my-rule, kind: breach}").replace(
    "counter.service_completed", "counter.receipt_issued"
)


def load(directory: Path, text: str, *, name: str = "book.yaml", only: bool = True) -> LoadedRulebook:
    (directory / name).write_text(text, encoding="utf-8")
    return load_rulebook(only=directory) if only else load_rulebook([directory])


def test_the_rule_the_mistakes_are_made_in_is_right(tmp_path: Path) -> None:
    assert [item.rule.id for item in load(tmp_path, HEAD + RULE).loaded] == ["my-rule"]


def changed(old: str, new: str) -> str:
    text = HEAD + RULE
    assert text.count(old) == 1
    return text.replace(old, new)


def paused(*, unless: str | None = None, ends: str | None = None) -> str:
    """The rule with a pause that has these exceptions, and a resume that ends these pauses."""
    pause = "counter.interrupted" if unless is None else f"{{type: counter.interrupted, unless: {unless}}}"
    resume = "counter.resumed" if ends is None else f"{{type: counter.resumed, ends: {ends}}}"
    return changed("5 min\n", f"5 min\n    pause: {pause}\n    resume: {resume}\n")


@pytest.mark.parametrize(
    ("text", "line", "rule", "key", "says"),
    [
        # not a rulebook at all
        ("", None, None, None, "an empty file"),
        ("rules: [\n", 2, None, None, "not YAML"),
        ("rules: " + "[" * 101 + "]" * 101, 1, None, None, "nested more than 100 deep"),
        ("[" * 100_000, 1, None, None, "nested more than 100 deep"),
        ("chapter: T\x07\n", None, None, None, "not YAML"),
        ("chapter: !!int T\n", None, None, None, "not YAML"),
        (HEAD + "[a]: 1\n", 3, None, None, "not YAML: found unhashable key"),
        (HEAD + "{a: 1}: 1\n", 3, None, None, "not YAML: found unhashable key"),
        (HEAD + "chapter: U\n", 3, None, "chapter", "twice"),
        ("title: {zh: a, en: b}\n", 1, None, "chapter", "required"),
        (HEAD + "rules: [foo]\n", 3, "number 1", None, "valid dictionary"),
        (HEAD + "rules: {a: 1}\n", 3, None, "rules", "should be a list"),
        (HEAD + "rules: 7\n", 3, None, "rules", "should be a list"),
        ("foo\n", None, None, None, "valid dictionary"),
        (HEAD + "rule: []\n", 3, None, "rule", "not permitted"),
        # a rule by itself
        (changed("    kind: deadline\n", "    kind: deadlin\n"), 4, "my-rule", None, "deadlin.*'deadline'"),
        (changed("    limit: 5 min\n", ""), 4, "my-rule", "limit", "required"),
        (changed("    source: a test\n", ""), 4, "my-rule", "source", "required"),
        (changed("    source: a test\n", "    source: ''\n"), 7, "my-rule", "source", "at least 1"),
        (changed("    subject: order\n", "    subject: ordr\n"), 9, "my-rule", "subject.0", "'order'"),
        (changed("2024-01-01", "2024-13-01"), 5, "my-rule", "effective_from", "2024-13-01"),
        (changed("5 min", "5 mins"), 13, "my-rule", "limit.0.is", "5 mins.*not a limit.*working days"),
        (changed("5 min", "0 min"), 13, "my-rule", "limit.0.is", "not a limit"),
        (changed("    limit:", "    limits: 3 min\n    limit:"), 13, "my-rule", "limits", "not permitted"),
        (changed("5 min\n", "5 min\n    pause: counter.interrupted\n"), 4, "my-rule", None, "come together"),
        (changed("5 min\n", "5 min\n    warn_at: [0.5, 1.5]\n"), 14, "my-rule", "warn_at.1", "less than 1"),
        (changed("5 min\n", "5 min\n    effective_to: 2023-01-01\n"), 4, "my-rule", None, "must be after"),
        (changed("[T-S1]", "[]"), 6, "my-rule", "clauses", "at least 1"),
        (
            paused(ends="counter.interupted"),
            15, "my-rule", "resume.0.ends", "no pause of this rule is counter.interupted; they are counter.interrupted",
        ),
        (
            paused(ends="{type: counter.interrupted, where: {reasn: cash}}"),
            15, "my-rule", "resume.0.ends.0.where.reasn", "counter.interrupted has no field 'reasn'",
        ),
        (
            paused(ends="{type: counter.interrupted, if_start: {}}"),
            15, "my-rule", "resume.0.ends.0.if_start", "extra inputs",
        ),
        (
            paused(unless="counter.resume"),
            14, "my-rule", "pause.0.unless", "unknown event type 'counter.resume'; did you mean 'counter.resumed'",
        ),
        (
            paused(unless="counter.interrupted"),
            14, "my-rule", "pause.0.unless", "would keep itself from pausing",
        ),
        (
            changed("counter.service_completed", "{type: counter.service_completed, unless: counter.interrupted}"),
            12, "my-rule", "stop.0.unless", "only a deadline's pause",
        ),
        (
            changed("counter.service_completed", "{type: counter.service_completed, ends: counter.interrupted}"),
            12, "my-rule", "stop.0.ends", "only a deadline's resume ends pauses",
        ),
        # and with the vocabulary
        (
            changed("counter.service_completed", "counter.service_complete"),
            12, "my-rule", "stop.0.type", "did you mean 'counter.service_completed'",
        ),
        (
            changed("counter.service_started", "counter.xyzzy"),
            11, "my-rule", "start.all.0.0.type", "unknown event type",
        ),
        (
            changed("counter.service_started", "{type: counter.service_started, where: {busines: fee}}"),
            11, "my-rule", "where.busines", "has no field 'busines'; it has .*business",
        ),
        (
            changed("counter.service_completed", "{type: counter.service_completed, where: {business: fe}}"),
            12, "my-rule", "where.business", "business is never fe; it is one of fee, power",
        ),
        (
            changed("5 min", "[{when: {area: urban}, is: 5 min}]"),
            13, "my-rule", "limit.0.when.area", "counter.service_started has no field 'area'",
        ),
        (changed("5 min", "{until: due_on}"), 13, "my-rule", "limit.0.is", "has no field 'due_on'"),
        (changed("5 min", "99999 natural months"), 13, "my-rule", "limit.0.is", "nothing above 50 years"),
        (changed("5 min", "100000000 h"), 13, "my-rule", "limit.0.is", "nothing above 50 years"),
        (changed("5 min", "30000 days"), 13, "my-rule", "limit.0.is", "nothing above 50 years"),
        (changed("5 min", "13051 working days"), 13, "my-rule", "limit.0.is", "nothing above 50 years"),
        (changed("5 min", "601 billing cycles"), 13, "my-rule", "limit.0.is", "nothing above 50 years"),
        (
            changed("5 min", "{until: business}"),
            13, "my-rule", "limit.0.is", "business is of kind string; a field of kind date or time",
        ),
        (
            changed("5 min\n", "{until: due_on}\n    pause: counter.interrupted\n    resume: counter.resumed\n"),
            4, "my-rule", None, "is not moved by a pause",
        ),
        (changed("5 min\n", "5 min\n    facts_from: counter.x\n"), 14, "my-rule", "facts_from", "unknown event type"),
        # versions together
        (
            HEAD + RULE + RULE.removeprefix("rules:\n"),
            14, "my-rule", "version", "'1' stands twice",
        ),
        (
            HEAD + RULE + RULE.removeprefix("rules:\n").replace("2024-01-01", "2025-01-01\n    version: '2'"),
            15, "my-rule", "effective_from", "'2' from 2025-01-01 overlaps version '1'",
        ),
        (
            HEAD + RULE.replace("2024-01-01", "2024-01-01\n    effective_to: 2025-01-01")
            + RULE.removeprefix("rules:\n").replace("2024-01-01", "2025-01-01\n    version: '2'")
            .replace("subject: order", "subject: account"),
            20, "my-rule", "kind", "one kind and one subject",
        ),
        # rules that start with the breach of another
        (
            changed("start: counter.service_started", "start: {alert: my-rul, kind: breach}"),
            11, "my-rule", "start.alert", "there is no rule 'my-rul'; did you mean 'my-rule'",
        ),
        (
            changed("start: counter.service_started", "start: {alert: my-rule, kind: breach}"),
            11, "my-rule", "start.alert", "in a circle never start: my-rule -> my-rule; let one of them start with",
        ),
        (
            HEAD + RULE + FOLLOW_UP.replace("5 min", "[{when: {area: urban}, is: 5 min}]"),
            23, "after", "limit.0.when.area", "counter.service_started has no field 'area'",
        ),
        (
            HEAD + RULE + FOLLOW_UP.replace(
                "counter.receipt_issued", "{type: fee.charged, where: {amount: {less_than: start.amount}}}"
            ),
            22, "after", "where.amount", "counter.service_started has no field 'amount'",
        ),
        # its own event types
        (HEAD + "events:\n  t.done: {fields: {at: nonsense}}\n", 4, None, "events.t.done", "nonsense"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_rule_and_key(
    tmp_path: Path, text: str, line: int | None, rule: str | None, key: str | None, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path, text)
    error = caught.value
    assert str(error).startswith(str(tmp_path / "book.yaml"))
    if line is not None:
        assert (error.line, error.rule) == (line, rule), str(error)
    if key is not None:
        assert (error.key or "").endswith(key), str(error)


def test_every_problem_is_told_not_only_the_first(tmp_path: Path) -> None:
    text = changed("counter.service_completed", "counter.x").replace("counter.service_started", "counter.y")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert len((caught.value, *caught.value.others)) == 2


@pytest.mark.parametrize("make", [False, True], ids=["absent", "empty"])
def test_a_directory_without_rules_is_named(tmp_path: Path, make: bool) -> None:
    directory = tmp_path / "mine"
    if make:
        directory.mkdir()
    with pytest.raises(ConfigError, match=str(directory)):
        load_rulebook(only=directory)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_bytes(b"chapter: \xff\n")
    with pytest.raises(ConfigError, match=r"book\.yaml: cannot be read"):
        load_rulebook(only=tmp_path)


# -- well formed, and never to work -------------------------------------------------------------------------

STARTED = "{type: counter.service_started, where: {business: fee}}"
FEE_ACT = "counter.service_completed"


def deadline(limit: str = "5 min", start: str = "counter.service_started", stop: str = FEE_ACT, more: str = "") -> str:
    text = HEAD + RULE.replace("limit: 5 min", f"limit: {limit}").replace(
        "stop: counter.service_completed", f"stop: {stop}"
    )
    return text.replace("start: counter.service_started", f"start: {start}") + more


def act_rule(kind: str, more: str) -> str:
    body = RULE[: RULE.index("    start:")].replace("kind: deadline", f"kind: {kind}").replace("order", "account")
    return HEAD + body + "".join(f"    {line}\n" for line in more.splitlines())


NOTICE = "act: {act}\nnotice: {notice}\nlimit: {limit}\n"
DISCONNECTION = {"act": "disconnection.performed", "notice": "disconnection.notice_delivered"}


def notice(limit: str, at_most: str | None = None, more: str = "", **patterns: str) -> str:
    last = "" if at_most is None else f"at_most: {at_most}\n"
    return act_rule("minimum_notice", NOTICE.format(limit=limit, **{**DISCONNECTION, **patterns}) + last + more)


FEE_ONLY, POWER_ONLY = "if_start: {business: fee}", "if_start: {business: power}"
PASSED = "{type: completion_inspection.completed, where: {passed: %s}}"


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        # a limit that is never reached
        (deadline("[{is: 5 min}, {when: {business: fee}, is: 9 min}]"), 13, "limit.1", "reached: limit.0 applies"),
        (
            deadline("[{when: {business: [fee, power]}, is: 5 min}, {when: {business: fee}, is: 9 min}, {is: 1 h}]"),
            13, "limit.1", "put it before that one",
        ),
        (
            deadline("[{when: {business: power}, is: 9 min}, {is: 1 h}]", STARTED),
            13, "limit.0.when.business", "no start of this rule has such a business",
        ),
        (
            deadline("[{when: {area: moon}, is: 9 min}, {is: 1 h}]", "repair.reported", "repair.arrived"),
            13, "limit.0.when.area", "repair.reported.area is one of urban, rural",
        ),
        # an event that cannot be
        (deadline(stop=PASSED % "'yes'"), 12, "stop.0.where.passed", "is of kind boolean, never 'yes'"),
        (deadline(stop=PASSED % "{at_least: 1}"), 12, "stop.0.where.passed", "compare numbers"),
        (
            deadline(start=STARTED, stop="{type: counter.service_completed, " + POWER_ONLY + "}"),
            12, "stop.0.if_start.business", "no start of this rule has such a business",
        ),
        # the breach of a rule that judges nothing
        (
            deadline(start="{alert: late, kind: breach}") + AFTER.replace("after", "late\n    enabled: false"),
            11, "start.alert", "'late' is disabled, so it is never breached: enable it, or",
        ),
        # a value that is excluded, or asked for beside others, and never comes
        (
            deadline(stop=PASSED % "{not: 'true'}"),
            12, "stop.0.where.passed", "completion_inspection.completed.passed is never 'true': it is boolean; write",
        ),
        (
            deadline(stop="{type: disconnection.performed, where: {cause: {not: [arrears, prepaid]}}}"),
            12, "stop.0.where.cause", "is never 'prepaid': it is one of arrears, violation, ",
        ),
        (
            deadline("[{when: {area: [urban, city]}, is: 9 min}, {is: 1 h}]", "repair.reported", "repair.arrived"),
            13, "limit.0.when.area", "repair.reported.area is never 'city': it is one of urban, rural, remote",
        ),
        (
            deadline("[{when: {area: {not: rurl}}, is: 9 min}, {is: 1 h}]", "repair.reported", "repair.arrived"),
            13, "limit.0.when.area", "is never 'rurl'",
        ),
        (
            deadline(start=STARTED, stop="{type: counter.service_completed, if_start: {business: {not: powr}}}"),
            12, "stop.0.if_start.business", "counter.service_started.business is never 'powr'",
        ),
        (
            act_rule("prerequisite", "act: repair.arrived\nfacts_from: repair.reported\nwhen: {scope: {not: singel}}\n"
                     "needs: [repair.payment_checked]"),
            13, "when.scope", "repair.reported.scope is never 'singel'",
        ),
        (
            act_rule("prerequisite", "act: disconnection.performed\n"
                     "needs: [{any: disconnection.approved, if_act: {prepay: {not: yes, }, cause: {not: theeft}}}]"),
            12, "needs.0.if_act.cause", "disconnection.performed.cause is never 'theeft'",
        ),
        (
            act_rule("evidence", "act: reading.collected\ncarry: {method: {not: estimate}}"),
            12, "carry.0.method", "reading.collected.method is never 'estimate'",
        ),
        # a pause that never ends
        (
            deadline(more="    pause: application.suspended\n    resume: application.suspended\n"),
            15, "resume", "it never runs again",
        ),
        (
            deadline(more="    pause: application.suspended\n"
                     "    resume: {type: application.suspended, where: {reason: customer}}\n"),
            15, "resume", "narrow pause or resume",
        ),
        (
            deadline(more=f"    pause: {{type: application.suspended, {FEE_ONLY}}}\n"
                     f"    resume: {{type: application.resumed, {POWER_ONLY}}}\n"),
            14, "pause.0", "never ends: every resume asks for another start",
        ),
        (
            deadline(more="    pause: [application.suspended, scheme.replied]\n"
                     "    resume: {type: application.resumed, ends: application.suspended}\n"),
            14, "pause.1", r"never ends: no resume ends it \(ends\)",
        ),
        (
            deadline(more=f"    pause: {PASSED % 'true'}\n"
                     f"    resume: {{type: contract.signed, ends: {PASSED % 'false'}}}\n"),
            14, "pause.0", r"never ends: no resume ends it \(ends\)",
        ),
        # no act can be lawful
        (notice("7 days", "3 days"), 14, "at_most", "3 days after a notice is over before 7 days have passed"),
        (notice("7 working days", "6 days"), 14, "at_most", "an at_most that is longer"),
        (notice("2 natural months", "55 days"), 14, "at_most", "an at_most that is longer"),
        (notice("3 days", "24 h"), 14, "at_most", "an at_most that is longer"),
        (notice("80 h", "1 day"), 14, "at_most", "an at_most that is longer"),
        (notice("2 h", "1 h"), 14, "at_most", "an at_most that is longer"),
        (
            notice("3 days", more="covers: {cause: cause}",
                   act="{type: disconnection.performed, where: {cause: arrears}}",
                   notice="{type: disconnection.notice_delivered, where: {cause: violation}}"),
            14, "covers.cause", "no notice covers an act",
        ),
        (
            act_rule("prerequisite", "act: disconnection.performed\n"
                     "needs: [{any: disconnection.notice_delivered, after_start: true}]"),
            12, "needs.0.after_start", "can never be before the act",
        ),
        (
            act_rule("forbidden_while", "act: disconnection.performed\n"
                     "during: {since: arrears.notice_delivered, until: arrears.notice_delivered}"),
            12, "during.until", "it never holds",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_named(tmp_path: Path, text: str, line: int, key: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        check_possible(load(tmp_path, text))
    error = caught.value
    assert (error.path, error.line, error.rule, error.key) == (str(tmp_path / "book.yaml"), line, "my-rule", key)


@pytest.mark.parametrize(
    "text",
    [
        deadline("[{when: {business: fee}, is: 5 min}, {when: {business: [fee, power]}, is: 9 min}, {is: 1 h}]"),
        deadline("[{when: {business: fee}, is: 9 min}, {is: 1 h}]", STARTED),
        deadline(more="    pause: {type: application.suspended, where: {reason: customer}}\n"
                 "    resume: application.suspended\n"),
        deadline(more=f"    pause: {{type: application.suspended, {FEE_ONLY}}}\n    resume: application.resumed\n"),
        deadline(stop="{type: fee.charged, where: {amount: {not: '12.50'}, code: {not: any_code}}}"),
        notice("7 days", "7 days"),
        notice("7 days", "7 working days"),
        notice("3 working days", "3 days"),
        notice("1 natural month", "28 days"),
        notice("3 days", "49 h"),
        notice("49 h", "2 days"),
        notice("3 days", more="covers: {cause: cause}", act="{type: disconnection.performed, where: {cause: arrears}}"),
    ],
)  # fmt: skip
def test_what_may_work_is_not_named(tmp_path: Path, text: str) -> None:
    check_possible(load(tmp_path, text))


def test_the_shipped_rulebook_can_work() -> None:
    check_possible(load_rulebook())


# -- layers ----------------------------------------------------------------------------------------------

SHIPPED = {item.rule.id for item in load_rulebook().loaded}
FEE = RULE.replace("my-rule", "fee-5-minutes")


def versions(loaded: LoadedRulebook, rule_id: str) -> list[tuple[str, str, str | None]]:
    return [
        (
            item.rule.version,
            item.rule.effective_from.isoformat(),
            item.rule.effective_to.isoformat() if item.rule.effective_to else None,
        )
        for item in loaded.loaded
        if item.rule.id == rule_id
    ]


def test_a_new_rule_stands_beside_the_shipped_ones(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD + RULE, only=False)
    assert {item.rule.id for item in loaded.loaded} == SHIPPED | {"my-rule"}


@pytest.mark.parametrize(
    ("version", "since", "stand"),
    [
        ("1", "2024-01-01", [("1", "2024-01-01", None)]),  # the same version: in its place
        ("2", "2024-01-01", [("1", "2023-08-23", "2024-01-01"), ("2", "2024-01-01", None)]),  # from then on
        ("2", "2023-08-23", [("2", "2023-08-23", None)]),  # in force no later: altogether in its place
        ("2", "2020-01-01", [("2", "2020-01-01", None)]),
    ],
)
def test_a_rule_with_a_shipped_id_changes_that_rule(
    tmp_path: Path, version: str, since: str, stand: list[tuple[str, str, str | None]]
) -> None:
    text = FEE.replace("2024-01-01", f"{since}\n    version: '{version}'")
    assert versions(load(tmp_path, HEAD + text, only=False), "fee-5-minutes") == stand


@pytest.mark.parametrize(
    ("dates", "line", "key", "says"),
    [
        # The number of the shipped version, and a later day: nothing before it is judged.
        ("effective_from: 2026-05-01", 5, "effective_from",
         "version '1' takes the place of the one below, in force from 2023-08-23: nothing is judged from then to 2026"),
        # For a season: nothing after it is judged.
        ("effective_from: 2026-05-01\n    version: '2'\n    effective_to: 2026-06-01", 7, "effective_to",
         "nothing is judged from 2026-06-01 on, where version '1' below was in force: leave out"),
        ("effective_from: 2023-01-01\n    version: '2'\n    effective_to: 2026-06-01", 7, "effective_to", "'1'"),
        ("effective_from: 2023-08-23\n    effective_to: 2026-06-01", 6, "effective_to", "version '1' below was in"),
    ],
)  # fmt: skip
def test_dates_that_a_new_version_leaves_to_none_are_named(
    tmp_path: Path, dates: str, line: int, key: str, says: str
) -> None:
    loaded = load(tmp_path, HEAD + FEE.replace("effective_from: 2024-01-01", dates), only=False)
    with pytest.raises(ConfigError, match=says) as caught:
        check_possible(loaded)
    error = caught.value
    assert (error.path, error.line, error.rule, error.key) == (str(tmp_path / "book.yaml"), line, "fee-5-minutes", key)


def test_dates_that_are_left_on_purpose_are_not_named(tmp_path: Path) -> None:
    book = (Path(__file__).parents[2] / "streams" / "rulebook" / "counter.yaml").read_text("utf-8")
    shipped = HEAD + "rules:\n" + book[book.index("  - id: fee-5-minutes") : book.index("  - id: power-20-minutes")]
    # The shipped rule from one's own first day on, or until its last; a rule that is not judged.
    for old, new in (
        ("2023-08-23", "2026-05-01"),
        ("2023-08-23", "2023-08-23\n    effective_to: 2026-05-01"),
        ("severity: norm", "enabled: false\n    effective_to: 2026-05-01"),
    ):
        assert shipped.count(old) == 1
        check_possible(load(tmp_path, shipped.replace(old, new), only=False))
    # A season, and what holds afterwards; a season that ends with the rule.
    season = FEE.replace("2024-01-01", "2026-05-01\n    version: '2'\n    effective_to: 2026-06-01")
    after = FEE.replace("2024-01-01", "2026-06-01\n    version: '3'")
    assert FEE.startswith("rules:\n")
    check_possible(load(tmp_path, HEAD + season + after.removeprefix("rules:\n"), only=False))
    ended = shipped.replace("2023-08-23", "2023-08-23\n    effective_to: 2026-05-01")
    check_possible(load(tmp_path, ended + season.removeprefix("rules:\n"), only=False))


def test_the_uppermost_of_several_directories_wins(tmp_path: Path) -> None:
    for name, limit in (("a", "6 min"), ("b", "7 min")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "book.yaml").write_text(HEAD + FEE.replace("5 min", limit), encoding="utf-8")
    loaded = load_rulebook([tmp_path / "b", tmp_path / "a"])
    (found,) = [item for item in loaded.loaded if item.rule.id == "fee-5-minutes"]
    assert found.path == str(tmp_path / "a" / "book.yaml")


def test_a_shipped_rule_can_be_switched_off(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD + FEE.replace("2024-01-01", "2023-08-23\n    enabled: false"), only=False)
    assert "fee-5-minutes" not in {fold.id for fold in loaded.rulebook.folds}
    assert versions(loaded, "fee-5-minutes")


# -- a rulebook of one's own -----------------------------------------------------------------------------

OWN = """\
events:
  gas.reported: {fields: {area: [town, land]}, title: {zh: 报漏, en: Leak reported}}
  gas.arrived: {}
""" + RULE.replace("counter.service_started", "gas.reported").replace("counter.service_completed", "gas.arrived")


def test_only_a_directory_with_its_own_event_types_and_calendar(tmp_path: Path) -> None:
    (tmp_path / "calendar.yaml").write_text("source: none\nzone: Europe/Berlin\n", encoding="utf-8")
    loaded = load(tmp_path, HEAD + OWN.replace("5 min", "[{when: {area: town}, is: 5 min}, {is: 1 h}]"))
    assert {item.rule.id for item in loaded.loaded} == {"my-rule"}
    assert {"gas.reported", "gas.arrived"} <= set(loaded.catalogue.types)
    assert loaded.rulebook.calendar.zone_name == "Europe/Berlin"


def test_a_directory_switches_off_rules_below_it(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    book = own / "own.yaml"
    book.write_text(f"{HEAD}disabled: [repair-arrival]\n", "utf-8")
    found = load_rulebook([own]).rulebook
    assert "repair-arrival" not in found.watched
    assert load_rulebook().rulebook.watched - found.watched == {"repair-arrival"}
    above = tmp_path / "above"
    above.mkdir()
    (above / "above.yaml").write_text(HEAD + RULE.replace("my-rule", "repair-arrival"), "utf-8")
    assert "repair-arrival" in load_rulebook([own, above]).rulebook.watched
    book.write_text(f"{HEAD}disabled:\n- repair-arival\n", "utf-8")
    with pytest.raises(ConfigError, match=r"own.yaml:4: disabled.0: no rule 'repair-arival'; did you mean 'repair-arr"):
        load_rulebook([own])


def test_a_misspelt_own_event_type_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'gas\.arrived'"):
        load(tmp_path, HEAD + OWN.replace("stop: gas.arrived", "stop: gas.arived"))
