"""Examples of the integrators' reference that are more than one value; ``tests/schemas`` runs each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

EVENTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (
        "With what most events have:",
        {
            "event_id": "95598-2026-0001-2", "event_type": "repair.arrived",
            "occurred_at": "2026-03-02T09:40:00+08:00", "recorded_at": "2026-03-02T09:41:05+08:00",
            "source": "95598", "order_id": "WO1", "staff_id": "D1024",
            "org": {"province": "32", "city": "3201", "county": "320102", "unit": "U1"},
        },
    ),
    (
        "A correction of it: the crew was there five minutes earlier.",
        {
            "event_id": "95598-2026-0001-3", "event_type": "repair.arrived",
            "occurred_at": "2026-03-02T09:35:00+08:00", "order_id": "WO1", "corrects": "95598-2026-0001-2",
        },
    ),
    (
        "And this takes it back: nobody came.",
        {
            "event_id": "95598-2026-0001-4", "event_type": "repair.arrived",
            "occurred_at": "2026-03-02T10:00:00+08:00", "order_id": "WO1", "corrects": "95598-2026-0001-2",
            "void": True,
        },
    ),
    (
        "A row of a table, as it is now: of one `event_id` the highest `version` counts. It comes with the first copy "
        "of the table, and its data about a person are removed as it comes in:",
        {
            "event_id": "orders-7781-reported", "event_type": "repair.reported",
            "occurred_at": "2026-03-02T09:00:00+08:00", "order_id": "WO1", "version": [3, 17], "snapshot": True,
            "personal": {"name": "王女士", "phone": "13800000000"},
        },
    ),
)  # fmt: skip

KINDS: Final = """\
# kinds.yaml
chapter: K
title: {zh: 各类规则, en: Kinds of rules}
rules:
  - id: not-turned-away              # an act that must not come while something lasts
    effective_from: 2026-01-01
    clauses: [K-R1]
    source: our own
    kind: forbidden_while
    subject: order
    title: {zh: 取号后不得拒办, en: Nobody with a ticket turned away}
    act: counter.turned_away
    during: {since: counter.ticket_taken, until: counter.service_completed}
  - id: thirty-days-first            # an act that must not come earlier than so long after another
    effective_from: 2026-01-01
    clauses: [K-R2]
    source: our own
    kind: not_before
    subject: account
    title: {zh: 逾期30日内不停电, en: No disconnection within 30 days}
    act: disconnection.performed
    since: bill.overdue
    date_field: since_on             # counted from that date, not from the event
    limit: 30 days
  - id: old-meter-kept               # something that must be kept for so long
    effective_from: 2026-01-01
    clauses: [K-S1]
    source: our own
    kind: retention
    subject: meter
    title: {zh: 旧表保存, en: Removed meter kept}
    since: meter.removed
    act: meter.disposed
    limit: 60 days
  - id: asked-once                   # at most n acts a case, or a period
    effective_from: 2026-01-01
    clauses: [K-R3]
    source: our own
    kind: at_most
    subject: order
    title: {zh: 一次勘查, en: One survey}
    act: survey.performed
    n: 1
  - id: reason-on-file               # an act that must carry something, or have something beside it
    effective_from: 2026-01-01
    clauses: [K-S2]
    source: our own
    kind: evidence
    subject: order
    title: {zh: 终止须有凭证, en: Termination with its proof}
    act: {type: application.terminated, where: {reason: customer}}
    carry: {evidence_ref: {present: true}}
  - id: entered-in-time              # an act that must be recorded soon after it happened
    effective_from: 2026-01-01
    clauses: [K-S3]
    source: our own
    kind: recording_delay
    subject: order
    title: {zh: 及时录入, en: Entered in time}
    act: survey.performed
    limit: 1 working day
  - id: stages-in-order              # stages whose times must not run backwards
    effective_from: 2026-01-01
    clauses: [K-S4]
    source: our own
    kind: sequence
    subject: order
    title: {zh: 环节有序, en: Stages in order}
    stages: [repair.reported, repair.arrived, repair.completed]
  - id: read-every-month             # an act in every period
    effective_from: 2026-01-01
    clauses: [K-S5]
    source: our own
    kind: cadence
    subject: meter
    title: {zh: 每月抄表, en: Read every month}
    act: reading.collected
    every: 1 natural month
    calendar: true                   # calendar months; without it, within a month of the last one
"""
DISABLED: Final = """\
# in a directory on top of the shipped rules: `--rules DIR`
chapter: B
title: {zh: 业扩办电, en: Connection}
disabled: [one-survey]
"""

WEBHOOK_SECRET: Final = "whsec_Z3JpZGNsb2NrIGV4YW1wbGU="
WEBHOOK_HEADERS: Final = {
    "content-type": "application/cloudevents+json; charset=utf-8",
    "webhook-id": "3f7cc765f4bbcfe436ea082f06ad4970",
    "webhook-timestamp": "1772413530",
    "webhook-signature": "v1,@SIGNATURE@",
}


@dataclass(frozen=True)
class Mapped:
    """A mapping, an input, and the events that it gives; ``form`` is ``csv``, ``json`` (a line a row) or ``record``.

    A record is an object with ``value`` and, where it has them, ``headers``.
    """

    text: str
    mapping: str
    form: str
    given: str
    events: tuple[str, ...]


MAPPED: Final = (
    Mapped(
        "A CSV file of a system that writes semicolons, quotes of its own, and two rows of titles above the header, in "
        "GBK (`encoding: gb18030`):",
        """\
format: csv
encoding: gb18030
delimiter: ";"
quote: "'"
skip_rows: 2                       # or header_row: 3
strip: true
null_values: [无]
event_type: {column: 类型, values: {公告: meter.batch_notice_posted, 备案: meter.batch_filed}, other: refuse}
fields:
  event_id: 编号
  batch_id: 批次
  occurred_at: {column: 时间, time: {format: "%Y-%m-%d %H:%M", zone: Asia/Shanghai}}
  meters: {column: 电表, as: list, separator: "、"}
  community: 小区
  planned_on: {column: 计划日期, as: date}
constants: {source: "计量"}
""",
        "csv",
        """\
批量换表导出
2026年3月
编号;批次;类型;时间;电表;小区;计划日期
1; BN7;公告;2026-03-02 09:00;M20017、M20018;'C0031';2026-03-16
2;BN7;备案;2026-03-02 10:30;;无;
""",
        (
            '{"event_type": "meter.batch_notice_posted", "event_id": "1", "batch_id": "BN7", '
            '"occurred_at": "2026-03-02T09:00:00+08:00", "meters": ["M20017", "M20018"], '
            '"community": "C0031", "planned_on": "2026-03-16", "source": "计量"}',
            '{"event_type": "meter.batch_filed", "event_id": "2", "batch_id": "BN7", '
            '"occurred_at": "2026-03-02T10:30:00+08:00", "source": "计量"}',
        ),
    ),
    Mapped(
        "A sheet of a workbook (`sheet` is for Excel; here it is as CSV), in which a row gives events by its words. An "
        "entry of `events` may have fields, constants and a key of its own. An event that a row no longer gives is "
        "taken back:",
        """\
sheet: 工单
time: {formats: ["%Y/%m/%d %H:%M", excel], zone: Asia/Shanghai}
key: [单号]
events:
  - event_type: repair.reported
    occurred_at: 受理
    recorded_at: 录入
    constants: {source: "95598"}
  - event_type: repair.supply_restored
    occurred_at: 复电
    when:
      - {column: 状态, in: [归档, 复电]}
      - {column: 渠道, not_in: [测试]}
    key: [单号, 次]
    fields: {remote: {column: 远程, as: flag}}
  - event_type: repair.arrived
    occurred_at: 到达
    when: {column: 状态, equals: 到达}
fields: {order_id: 单号, area: {column: 地区, values: {城: urban, 乡: rural}}}
""",
        "csv",
        """\
单号,受理,录入,到达,复电,状态,渠道,次,远程,地区
WO1,2026/03/02 09:00,2026/03/02 09:02,,2026/03/02 10:15,归档,热线,1,是,城
WO2,46083.5,46083.5,2026/03/02 12:40,,到达,测试,2,,乡
""",
        (
            '{"event_type": "repair.reported", "event_id": "WO1/repair.reported", '
            '"version": [1772413320000000,0,1], "order_id": "WO1", "area": "urban", '
            '"occurred_at": "2026-03-02T09:00:00+08:00", "recorded_at": "2026-03-02T09:02:00+08:00", '
            '"source": "95598"}',
            '{"event_type": "repair.supply_restored", "event_id": "WO1/1/repair.supply_restored", '
            '"version": [0,1], "order_id": "WO1", "area": "urban", "remote": true, '
            '"occurred_at": "2026-03-02T10:15:00+08:00"}',
            '{"event_type": "repair.arrived", "event_id": "WO1/repair.arrived", "version": [0,1], '
            '"order_id": "WO1", "occurred_at": "1970-01-01T00:00:00+00:00", "void": true}',
            '{"event_type": "repair.reported", "event_id": "WO2/repair.reported", '
            '"version": [1772424000000000,0,2], "order_id": "WO2", "area": "rural", '
            '"occurred_at": "2026-03-02T12:00:00+08:00", "recorded_at": "2026-03-02T12:00:00+08:00", '
            '"source": "95598"}',
            '{"event_type": "repair.supply_restored", "event_id": "WO2/2/repair.supply_restored", '
            '"version": [0,2], "order_id": "WO2", "occurred_at": "1970-01-01T00:00:00+00:00", "void": true}',
            '{"event_type": "repair.arrived", "event_id": "WO2/repair.arrived", "version": [0,2], '
            '"order_id": "WO2", "area": "rural", "occurred_at": "2026-03-02T12:40:00+08:00"}',
        ),
    ),
    Mapped(
        "A record of Debezium. Its position in the database's log (`lsn`) is the version of its events, so that they "
        "take the place of what the row gave before:",
        """\
format: debezium
time: {formats: [iso, epoch_us], zone: Asia/Shanghai}
key: [order_no]
events:
  - {event_type: repair.reported, occurred_at: reported_at}
  - {event_type: repair.arrived, occurred_at: arrived_at, when: {column: arrived_at, present: true}}
fields: {order_id: order_no, area: area}
""",
        "record",
        '{"value": {"op": "u", "ts_ms": 1772415700000, "source": {"lsn": 24023128, "ts_ms": 1772415699000}, '
        '"before": {"order_no": "WO1", "reported_at": 1772441100000000, "arrived_at": null, "area": "urban"}, '
        '"after": {"order_no": "WO1", "reported_at": 1772441100000000, "arrived_at": 1772442900000000, '
        '"area": "urban"}}}\n',
        (
            '{"event_type": "repair.reported", "event_id": "WO1/repair.reported", "version": [24023128], '
            '"order_id": "WO1", "area": "urban", "occurred_at": "2026-03-02T08:45:00+08:00"}',
            '{"event_type": "repair.arrived", "event_id": "WO1/repair.arrived", "version": [24023128], '
            '"order_id": "WO1", "area": "urban", "occurred_at": "2026-03-02T09:15:00+08:00"}',
        ),
    ),
    Mapped(
        "A CloudEvent in binary mode, and its event:",
        """\
format: json
event_type: {column: ce_type, values: {cn.example.reported: repair.reported, cn.example.arrived: repair.arrived}}
fields: {event_id: ce_id, order_id: data.order.no, occurred_at: ce_time, area: data.area}
""",
        "record",
        '{"headers": {"ce_specversion": "1.0", "ce_id": "A-17", "ce_source": "/95598", '
        '"ce_type": "cn.example.reported", "ce_time": "2026-03-02T09:00:00+08:00"}, '
        '"value": {"data": {"order": {"no": "WO1"}, "area": "rural"}}}\n',
        (
            '{"event_type": "repair.reported", "event_id": "A-17", "order_id": "WO1", '
            '"occurred_at": "2026-03-02T09:00:00+08:00", "area": "rural"}',
        ),
    ),
)

REGISTRY: Final = """\
format: protobuf                   # avro, json_schema, or debezium
registry:
  url: "https://registry.example.com"
  user: gridclock
  password: {env: REGISTRY_PASSWORD}
  ca: /etc/gridclock/registry-ca.pem
event_type: kind
fields: {event_id: id, order_id: order_no, occurred_at: at}
"""
REGISTRY_TOKEN: Final = """\
format: json_schema
registry: {url: "https://registry.example.com", token: {env: REGISTRY_TOKEN}}
event_type: kind
fields: {event_id: id, order_id: order_no, occurred_at: at}
"""
