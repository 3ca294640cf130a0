"""The written texts of the integrators' reference; ``schemas.reference`` inserts the tables."""

from __future__ import annotations

from typing import Final

ACKNOWLEDGEMENTS: Final = """\
On `<name>.acks`, key `alert_id`. `acknowledge` ends the escalation of an alert, `silence` holds it back before `until`
(the last silence counts; one that ends when it begins takes an earlier one back), `assign` says who looks after it,
`annotate` adds a note. Notes must hold no personal data; with a pseudonym key `by` and `to` are pseudonyms."""

CASES: Final = """\
What `gridclock replay --cases` writes, and a worker with `--cases` to the compacted topic `<name>.cases`, key
`case_id`: a CloudEvent of type `gridclock.case` a case. On the topic the last record of a key is how the case stands
now; `as_of` is the watermark that showed it, and `elapsed` of a clock that runs goes on from there. A record without a
value says that by what is known now there never was such a case. After a crash a record may be there twice. Cases of
subjects that a worker has forgotten (`GRIDCLOCK_KEEP_DAYS`) stay. `data`:
"""

INTRODUCTION: Final = """\
<!-- made by `python -m schemas.reference` from the models; do not edit -->
# For integrators: what goes in and what comes out

Words are those of the glossary in [README.md](../README.md). The same contracts as JSON Schema, for editors and
other programs: `schemas/export/` (`python -m schemas.exporting`). Files of rules have their schema there too;
`gridclock rules schema` prints it.

## Events in

One event is one flat JSON object, UTF-8, one record on a source topic or one line of a file. These fields are common
to all types. One of the four subject ids is required.
"""

ALERTS: Final = """\
On `<name>.alerts`, key `case_id`, as CloudEvents 1.0 in structured JSON: `id` is the `alert_id`, `type` is
`gridclock.alert.<kind>`, `subject` is the `case_id`, `time` is `detected_at`. An alert may be sent twice after a crash;
it then has the same `alert_id` and the same bytes. A `retraction` names in `retracts` the alert that no longer holds.
Instants carry the offset of the rulebook's zone. `elapsed` and `paused` are ISO 8601 durations in seconds. `data`:
"""

RULES: Final = """\
## Rules in

A rulebook directory holds files of rules and one `calendar.yaml`: `--rules DIR` lies on top of the shipped rules,
`--only DIR` stands alone. `gridclock rules check` names every mistake with file, line and key. A file with
`disabled: [RULE]` switches off rules of its directory or below it. Of several `calendar.yaml` the upper one holds key
by key, its days date by date, its `calendars` name by name; days below it are dropped where it names another `source`.
The shipped files in `streams/rulebook` have a rule of every kind. Forms of limits, calendars, conditions and starts,
with an example each:

- Lengths of time: `5 min`, `24 h`, `7 days`, `5 working days`, `1 natural month`, `1 billing cycle`,
  `same working day`; of open time, in a rule with a `calendar`: `2 business hours`, `90 business minutes`.
- `{until: FIELD}`: the instant, or the whole date, in a field of kind `time` or `date`. As `limit` of a `deadline`
  the field is of the start; as `limit` or `at_most` of `minimum_notice` of the notice; as `limit` of `not_before` of
  `since`.
- `calendar: NAME`, or `{by: FIELD, of: {VALUE: NAME}, else: NAME}`: the calendar that counts, in rules of the kinds
  `deadline`, `cadence`, `minimum_notice`, `not_before`, `retention` and `recording_delay`. The field is of the start,
  or of the act.
- `{field: FIELD, is: start.FIELD}`, or `less_than`, `more_than`: compared with the event that the case begins with (a
  deadline's start, else the act), in `when` and `if_act`, and in `where` of `stop`, `pause`, `resume`, `cancel`,
  `needs`, `notice`, and `since` of `not_before`.
- `resume: {type: EVENT, ends: PAUSE}`: a resume that ends only these pauses, given by their event types or as
  `{type: EVENT, where: ...}`; the clock stands still until each is ended. Without `ends` it ends all.
- `pause: {type: EVENT, unless: OTHER}`: a pause that is none after an event of these other types: one that came before
  it on the same subject (before the start, too), since the end of the case before.
- `start: {alert: RULE, kind: breach}`: a follow-up. Each breach of that rule (of kind `deadline` or `cadence`) begins a
  case at the deadline that passed; a breach that is retracted takes it away.

```yaml
# calendar.yaml
zone: Asia/Shanghai
calendars:
  office:
    base: china                      # holidays and make-up days; or none; by default the file's source (china)
    week: {mon-fri: ["08:30-12:00", "13:30-17:30"], sat: ["09:00-12:00"]}
    recurring: ["10-01"]
    days: {2026-10-10: ["09:00-16:00"], 2026-10-12: closed}
  hotline: {base: none, week: {mon-sun: ["00:00-24:00"]}}
```

```yaml
# desk.yaml
chapter: D
title: {zh: 服务台, en: Desk}
events:
  refund.asked: {fields: {amount: amount}, title: {zh: 申请退费, en: Refund asked}}
  refund.approved: {fields: {amount: amount}, title: {zh: 批准退费, en: Refund approved}}
  refund.paid: {fields: {amount: amount}, title: {zh: 退费, en: Refund paid}}
  works.announced: {fields: {planned_on: date}, title: {zh: 停电公告, en: Works announced}}
  works.begun: {title: {zh: 开始施工, en: Works begun}}
rules:
  - id: complaint-same-morning
    effective_from: 2026-01-01
    clauses: [D-S1]
    source: our own
    kind: deadline
    subject: order
    title: {zh: 及时答复投诉, en: Complaint answered in time}
    start: complaint.received
    stop: complaint.answered
    limit: 4 business hours
    calendar: {by: org.unit, of: {U001: hotline}, else: office}
  - id: apology
    effective_from: 2026-01-01
    clauses: [D-S2]
    source: our own
    kind: deadline
    subject: order
    title: {zh: 超时致歉, en: Apology for the delay}
    start: {alert: complaint-same-morning, kind: breach}
    stop: complaint.customer_contacted
    limit: 24 h
  - id: survey-at-the-agreed-time
    effective_from: 2026-01-01
    clauses: [D-S3]
    source: our own
    kind: deadline
    subject: order
    title: {zh: 按约勘查, en: Survey at the agreed time}
    start: survey.appointed
    stop: survey.performed
    limit: {until: for_at}
  - id: refund-in-full
    effective_from: 2026-01-01
    clauses: [D-S4]
    source: our own
    kind: deadline
    subject: account
    title: {zh: 全额退费, en: Refund paid in full}
    start: refund.asked
    stop: {type: refund.paid, where: {field: amount, is: start.amount}}
    limit: 5 working days
    calendar: office
  - id: refund-approved
    effective_from: 2026-01-01
    clauses: [D-R1]
    source: our own
    kind: prerequisite
    subject: account
    title: {zh: 退费须批准, en: Refund approved before it is paid}
    act: refund.paid
    needs: [{type: refund.approved, where: {field: amount, is: start.amount}}]
  - id: works-not-before-announced
    effective_from: 2026-01-01
    clauses: [D-R2]
    source: our own
    kind: minimum_notice
    subject: account
    title: {zh: 按公告施工, en: Works on the announced day}
    act: works.begun
    notice: works.announced
    limit: {until: planned_on}
    at_most: {until: planned_on}
```
"""

WEBHOOKS: Final = """\
## Webhooks

A webhook gets one alert as a structured CloudEvent, a digest as a batch of them, signed as
[Standard Webhooks](https://www.standardwebhooks.com) says, so that the libraries listed there can check it: one of the
signatures in `webhook-signature` (separated by blanks) is `v1,` and the base64 HMAC-SHA256, under the shared secret, of
`webhook-id`, a dot, `webhook-timestamp` (seconds since 1970), a dot, and the body. A secret that begins with `whsec_`
is base64 of the key behind that; any other secret is the key itself. Check the signature, refuse a timestamp more than
five minutes off, ignore a `webhook-id` seen before, and answer 2xx. `gridclock receiver` does exactly this, for
trying out.
`Gridclock-Subscription`, `Gridclock-Escalated-To` and `Gridclock-Test` are not signed: they are for display.

The headers of version 0.1 (`Gridclock-Signature`, `Gridclock-Timestamp`, `Idempotency-Key`) are still sent and end with
the version after 0.2. That signature does not cover the key: whoever captures a message can make a receiver that relies
on them drop another alert. Change to the headers above.
"""

ORGANISATIONS_AND_MAPPINGS: Final = """\
## Names of organisations

`organisations.yaml` or `organisations.csv` in a rulebook directory (`--rules DIR`) names the codes that events carry
in `org`. The board, the report, messages of `gridclock notify`, lines of `gridclock alerts`, `gridclock explain` and
`/metrics` show the names; a code without one is shown as it is, and counted (`gridclock_organisations_unnamed`,
`gridclock_notify_organisations_unnamed`, data quality in the report). Written as CSV, Parquet or Excel, alerts and
cases have the further columns `organisation.zh` and `organisation.en`; as JSON lines, and on the topics, they have the
codes alone. A subscription may say a name where it asks for a code (`org: {unit: 西湖供电所}`). Names change nothing
that is judged, nor any id.
`parent` is the code above; `position` is longitude and latitude:

```yaml
organisations:
  - {code: "3301", name: {zh: 杭州供电公司, en: Hangzhou}}
  - {code: "330106", name: {zh: 西湖供电所, en: Xihu}, parent: "3301", position: [120.13, 30.26]}
```

The same as CSV (UTF-8), of which `en`, `parent`, `longitude` and `latitude` may be empty:

```csv
code,zh,en,parent,longitude,latitude
3301,杭州供电公司,Hangzhou,,,
330106,西湖供电所,Xihu,3301,120.13,30.26
```

## Mappings of other formats

A mapping names columns and the fields that they become. One file serves `replay`, `explain`, `send` (`--map FILE`,
or `--map NAME=FILE` for the file or topic NAME) and `run` (`--source TOPIC=FILE`, `GRIDCLOCK_SOURCES`). It is for
CSV, Excel (`.xlsx`, `.xls`), Parquet (also a directory), JSON of any shape (lines or an array), XES, OCEL 2.0
(JSON, SQLite, XML), and topics of JSON, Debezium, Avro, Protobuf or JSON Schema.
`gridclock map suggest FILE` begins one, with its questions as comments: the event type of each word or column, the
fields that rules look at, and the rules that wait for events which the data does not have. `gridclock map types WORD`
finds event types, `gridclock map check` and `gridclock map preview` try the mapping, `gridclock map schema` is for
editors. One row a step:

```yaml
time: {format: "%Y/%m/%d %H:%M:%S", zone: Asia/Shanghai}
event_type:
  column: 环节
  values: {受理: repair.reported, 到达: repair.arrived, 归档: repair.closed}
  other: skip
fields:
  event_id: [工单编号, 环节序号]
  order_id: 工单编号
  occurred_at: 时间
  area: {column: 地区, values: {城区: urban, 农村: rural, 特殊边远: remote}}
  org.city: 市编码
constants: {source: "95598"}
```

A wide sheet has one row an order, and a row gives several events:

```yaml
header_row: 2                      # 1 is the first line; rows above it are passed over
null_values: [NULL, \\N, 无]        # words that mean an empty cell
time: {formats: [iso, "%Y年%m月%d日 %H:%M", "%Y/%m/%d %H:%M", excel], zone: Asia/Shanghai}
key: [工单编号]                     # names a row: a later row of one key stands in place of it
events:
  - {event_type: repair.reported, occurred_at: 受理时间}
  - {event_type: repair.arrived, occurred_at: 到达时间, when: {column: 到达时间, present: true}}
fields: {order_id: 工单编号, area: {column: 地区, values: {城区: urban}}}
```

A table of a database by Debezium: the row's columns by their own names, its times without a zone follow
`time.zone`; an update is a correction, a delete takes the events back (`REPLICA IDENTITY FULL`, where the key alone
does not name the subject), tombstones are passed over. Without schemas in the records list `epoch_us` and `epoch_ms`
under `formats`; the connector's `time.precision.mode: isostring` needs the schemas. `gridclock map suggest --topic
TOPIC` begins such a mapping, with `--registry URL` also for the topics below. Of rows without their envelope
(`ExtractNewRecordState`; `format: json`, `avro`, …) nobody can see that a number is a time without a zone: `wall: true`
under `time` says so, else it counts as UTC, in China eight hours late. With `format: debezium`, `wall: false` is for
columns of numbers that an application has counted in UTC; a field may have a `time` of its own:

```yaml
format: debezium
time: {formats: [iso, epoch_us], zone: Asia/Shanghai}
key: [order_no]
events:
  - {event_type: repair.reported, occurred_at: reported_at}
  - {event_type: repair.arrived, occurred_at: arrived_at, when: {column: arrived_at, present: true}}
fields: {order_id: order_no, area: area}
```

```yaml
format: json                       # rows of Debezium without their envelope
time: {formats: [iso, epoch_us], zone: Asia/Shanghai, wall: true}
key: [order_no]
constants: {event_type: repair.reported}
fields:
  order_id: order_no
  occurred_at: reported_at
  recorded_at: {column: entered_ms, time: {format: epoch_ms, wall: false}}   # of the application, in UTC
```

A topic of Avro, Protobuf or JSON Schema, whose records begin with a schema id (Confluent's framing), with the address
of its schema registry (`pip install gridclock[registry]`). `user` and `password`, or `token`, are secrets: `{env:
NAME}`; `ca` is a certificate file. Avro's logical types (timestamps, dates, decimals) and Protobuf's `Timestamp` are
times and numbers without a form; an enum is its word. Of a number of proto3 that is not `optional` nobody can see
whether 0 was set: it is a quantity and a code, but no id, no time and not `present`.
With `format: debezium` and a registry the envelopes may be
any of the three. A registry that does not answer makes the partition wait; an id that it does not know is a dead
letter (`unknown_schema`), and so is what cannot be decoded (`undecodable`, which says how the record begins):

```yaml
format: avro                       # protobuf, json_schema, or debezium
registry: {url: "http://127.0.0.1:8081"}
time: {zone: Asia/Shanghai}        # of timestamps without a zone (local-timestamp-millis)
key: [order_no]
events:
  - {event_type: repair.reported, occurred_at: reported}
  - {event_type: repair.arrived, occurred_at: arrived, when: {column: arrived, present: true}}
fields: {order_id: order_no, area: place.area}
```

Nested columns are named with dots (`data.order.no`); the attributes of a CloudEvent in binary mode are columns too
(`ce_id`, `ce_type`, `ce_time`):

```yaml
format: json
event_type: {column: ce_type, values: {cn.example.reported: repair.reported, cn.example.arrived: repair.arrived}}
fields: {event_id: ce_id, order_id: data.order.no, occurred_at: ce_time, area: data.area}
```

In an XES log the attributes of an event are its columns; those of its trace have `case:` before their name. The
columns of an OCEL log are `ocel:eid`, `ocel:activity`, `ocel:timestamp`, `ocel:type:<object type>` and the
attributes; an event of two meters is judged for both:

```yaml
format: ocel
event_type: {column: "ocel:activity", values: {read meter: reading.collected}, other: skip}
fields: {event_id: "ocel:eid", occurred_at: "ocel:timestamp", meter_id: "ocel:type:meter"}
```

Ids: an event's id is its `key` and its type, else `event_id`, else made of its row and content. Of two versions of a
row the later `recorded_at` counts where it is mapped, else the later row; changes of a database (`format: debezium`)
count in its order. A column that is empty again takes its event back: where `recorded_at` is mapped, only if the row
still has one that is not earlier, so name a column that every row has (`map check` says where not). An id that is
stored as a number is its digits; more than 15 digits are refused, because spreadsheets round them (`as: text` takes
exact ones).

Times: of several `formats` the first that fits counts: `iso`, `excel`, `epoch_s`, `epoch_ms`, `epoch_us`,
`epoch_ns`, or patterns of strptime (`%p` reads 上午 and 下午, `%b` also `3月`; fractions may have nine digits).
Every refusal names the column, the value, the forms tried and the key of the mapping to change; what is passed over
is counted by reason and value.
"""
