"""The tables, indexes and views of the sink in PostgreSQL, and how an older database becomes a newer one.

A migration that was published is never changed: what is to be otherwise is a further one. ``{schema}`` is the schema's
name, quoted.
"""

from __future__ import annotations

from typing import Final

_COMMON: Final = """
    case_id text {case_key},
    rule text NOT NULL,
    rule_version text NOT NULL,
    clause text NOT NULL,
    severity text NOT NULL,
    title_zh text NOT NULL,
    title_en text NOT NULL,
    subject_type text NOT NULL,
    subject_id text NOT NULL,
    order_id text,
    account_id text,
    province text,
    city text,
    county text,
    unit text,
    started_at timestamptz NOT NULL,
    deadline timestamptz,
    stopped_at timestamptz,
    time_limit text,
    elapsed_s double precision NOT NULL,
    paused_s double precision NOT NULL,
    evidence jsonb NOT NULL,
    arithmetic jsonb NOT NULL,
    calendar_provisional boolean NOT NULL"""

_TABLES: Final = f"""
CREATE TABLE {{schema}}.cases ({_COMMON.format(case_key="PRIMARY KEY")},
    outcome text NOT NULL,
    as_of timestamptz NOT NULL,
    decided_on date
);
COMMENT ON COLUMN {{schema}}.cases.decided_on IS
    'Day in the zone of the rulebook on which the case was decided: of its deadline or its stop, whichever was first';
CREATE INDEX cases_by_day ON {{schema}}.cases (decided_on, rule);
CREATE INDEX cases_by_rule ON {{schema}}.cases (rule, started_at);
CREATE INDEX cases_by_organisation ON {{schema}}.cases (province, city, county, unit, decided_on);
CREATE INDEX cases_by_subject ON {{schema}}.cases (subject_id);
CREATE INDEX cases_by_order ON {{schema}}.cases (order_id);
CREATE INDEX cases_not_decided ON {{schema}}.cases (deadline) WHERE outcome = 'running';
CREATE TABLE {{schema}}.alerts ({_COMMON.format(case_key="NOT NULL")},
    alert_id text PRIMARY KEY,
    kind text NOT NULL,
    due_at timestamptz NOT NULL,
    detected_at timestamptz NOT NULL,
    retracts text,
    explanation_zh text NOT NULL,
    explanation_en text NOT NULL
);
CREATE INDEX alerts_by_case ON {{schema}}.alerts (case_id);
CREATE INDEX alerts_by_time ON {{schema}}.alerts (detected_at);
CREATE INDEX alerts_by_rule ON {{schema}}.alerts (rule, due_at);
CREATE INDEX alerts_by_retracted ON {{schema}}.alerts (retracts) WHERE retracts IS NOT NULL;
CREATE TABLE {{schema}}.refused (
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    reason text NOT NULL,
    value bytea,
    PRIMARY KEY (topic, partition, record_offset)
);
CREATE TABLE {{schema}}.offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
"""

_ORGANISATION: Final = "province, city, county, unit"


def _on_time(name: str, columns: str, group: str) -> str:
    """A view of 及时率: met cases of all that were decided; those cancelled or undecided are left out."""
    return f"""
CREATE VIEW {{schema}}.on_time_by_{name} AS
SELECT {columns},
    count(*) AS decided,
    count(*) FILTER (WHERE outcome = 'met') AS on_time,
    count(*) FILTER (WHERE outcome = 'met')::double precision / count(*) AS rate
FROM {{schema}}.cases
WHERE outcome IN ('met', 'met_late', 'breached', 'violated')
GROUP BY {group};
"""


_VIEWS: Final = "".join(
    [
        _on_time(
            "day",
            f"decided_on AS day, rule, severity, {_ORGANISATION}",
            f"decided_on, rule, severity, {_ORGANISATION}",
        ),
        _on_time(
            "month",
            f"date_trunc('month', decided_on)::date AS month, rule, severity, {_ORGANISATION}",
            f"date_trunc('month', decided_on)::date, rule, severity, {_ORGANISATION}",
        ),
        _on_time("organisation", _ORGANISATION, _ORGANISATION),
        _on_time("rule", "rule, clause, severity", "rule, clause, severity"),
        """
CREATE VIEW {schema}.standing_alerts AS
SELECT * FROM {schema}.alerts AS told
WHERE kind <> 'retraction'
  AND NOT EXISTS (SELECT 1 FROM {schema}.alerts AS later WHERE later.retracts = told.alert_id);
""",
    ]
)

_INCOMPLETE: Final = """
ALTER TABLE {schema}.alerts ADD COLUMN incomplete boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN {schema}.alerts.incomplete IS
    'It rests on silence, and records of its time were lost: it may be wrong';
CREATE OR REPLACE VIEW {schema}.standing_alerts AS
SELECT * FROM {schema}.alerts AS told
WHERE kind <> 'retraction'
  AND NOT EXISTS (SELECT 1 FROM {schema}.alerts AS later WHERE later.retracts = told.alert_id);
"""

# Which stored days are concerned depends on the rulebook's zone, which no row has: the sink reads the cases again.
_COUNTED_DAY: Final = """
DELETE FROM {schema}.offsets WHERE topic LIKE '%.cases';
COMMENT ON COLUMN {schema}.cases.decided_on IS
    'Day in the rulebook''s zone on which the case counts: of its deadline (24:00 is of the day that ends) or its stop';
"""

MIGRATIONS: Final = (_TABLES + _VIEWS, _INCOMPLETE, _COUNTED_DAY)
"""What makes version 1 of nothing, version 2 of version 1, and so on."""
