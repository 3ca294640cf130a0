"""The program itself: clock, delay, throughput, refusals, state, resources, notifications, sink."""

from __future__ import annotations

from panels import (
    CLOCK_BEHIND,
    DELAY_STEPS,
    LAG_STEPS,
    NONE_STEPS,
    UNATTENDED,
    UP_STEPS,
    Dashboard,
    quantile,
    series,
    stat,
    table,
)

EACH = "{{instance}}"

CLOCK = [
    stat("工作进程", "Workers up", 'sum(up{job="gridclock"})', steps=UP_STEPS),
    stat("无人处理的分区", "Partitions unattended", UNATTENDED, steps=NONE_STEPS),
    stat("时钟滞后", "Clock behind", CLOCK_BEHIND, unit="s", steps=LAG_STEPS),
    stat(
        "超时告警延迟 95%",
        "Breach reported after, 95%",
        quantile(0.95, "le", 'increase(gridclock_detection_delay_seconds_bucket{kind="breach"}[$__range])'),
        unit="s",
        steps=DELAY_STEPS,
    ),
    stat("保留对象", "Subjects kept", "sum(gridclock_subjects)"),
    table(
        "版本",
        "Versions",
        [("sum by (version, python) (gridclock_build_info)", "")],
        [
            ("version", ("版本", "Version"), "string"),
            ("python", ("Python", "Python"), "string"),
            ("Value", ("进程数", "Workers"), "short"),
        ],
        (4, 4),
    ),
    series(
        "时钟滞后（按日志分区）",
        "Clock behind, by log partition",
        ("min by (partition) (gridclock_watermark_lag_seconds)", "{{partition}}"),
        unit="s",
    ),
    series("数据源滞后", "Sources behind", ("max by (source) (gridclock_source_lag_seconds)", "{{source}}"), unit="s"),
]

DETECTED = 'rate(gridclock_detection_delay_seconds_bucket{kind=~"breach|violation"}[$__rate_interval])'
PROCESSED = "rate(gridclock_processing_seconds_bucket[$__rate_interval])"
WORK = [
    series(
        "告警延迟",
        "Delay from the instant to the alert",
        *((quantile(value, "le", DETECTED), f"{value}") for value in (0.5, 0.95, 0.99)),
        unit="s",
    ),
    series(
        "进入事件",
        "Events in",
        ("sum by (family) (rate(gridclock_events_total[$__rate_interval]))", "{{family}}"),
        unit="eps",
        stacked=True,
    ),
    series(
        "入历史的事件",
        "Events into histories",
        ("sum by (notice) (rate(gridclock_entries_total[$__rate_interval]))", "{{notice}}"),
        ("sum(rate(gridclock_events_unwatched_total[$__rate_interval]))", ("无规则关注", "unwatched")),
        unit="eps",
    ),
    series(
        "拒收（按原因）",
        "Dead letters, by reason",
        ("sum by (reason) (increase(gridclock_dead_letters_total[5m])) > 0", "{{reason}}"),
    ),
    series(
        "未读即被清除的记录",
        "Records removed unread",
        ("sum by (source) (gridclock_source_records_lost_total) or vector(0)", "{{source}}"),
    ),
    series(
        "未结束事务拦住来源的时长",
        "Sources held up by an open transaction",
        ("max by (source) (gridclock_source_transaction_open_seconds) or vector(0)", "{{source}}"),
        unit="s",
    ),
    series(
        "每条日志记录的处理时间",
        "Work on one record of the log",
        *((quantile(value, "le", PROCESSED), f"{value}") for value in (0.5, 0.99)),
        unit="s",
    ),
    series(
        "忙碌比例",
        "Fraction of the time busy",
        ("sum by (instance) (rate(gridclock_processing_seconds_sum[$__rate_interval]))", EACH),
        unit="percentunit",
    ),
]

RESOURCES = [
    series("规则版本", "Different rulebooks at work", ("max(gridclock_rulebooks)", ("规则版本数", "rulebooks"))),
    series(
        "原生引擎",
        "Native engine",
        ("sum(gridclock_native_engine)", ("使用它的工作进程", "workers that use it")),
        (
            "sum by (reason) (rate(gridclock_native_fallbacks_total[$__rate_interval])) > 0",
            ("每秒交给 Python：{{reason}}", "left to Python a second: {{reason}}"),
        ),
    ),
    series("状态", "State", ("sum by (instance) (gridclock_state_bytes)", EACH), unit="bytes"),
    series(
        "保留对象（按分区）",
        "Subjects kept, by partition",
        ("max by (partition) (gridclock_subjects)", "{{partition}}"),
    ),
    series(
        "隔离对象（按分区）",
        "Subjects set aside, by partition",
        ("max by (partition) (gridclock_quarantined_subjects)", "{{partition}}"),
    ),
    series("内存", "Memory", ('process_resident_memory_bytes{job="gridclock"}', EACH), unit="bytes"),
    series(
        "处理器",
        "Processor",
        ('rate(process_cpu_seconds_total{job="gridclock"}[$__rate_interval])', EACH),
        unit="percentunit",
    ),
    series(
        "恢复时间",
        "Recovery",
        (
            "sum by (instance) (gridclock_recovery_seconds_sum) / sum by (instance) (gridclock_recovery_seconds_count)",
            ("启动以来平均 {{instance}}", "mean since start {{instance}}"),
        ),
        unit="s",
        text=("从分区分配到开始处理第一条记录", "From a partition's assignment to its first record"),
    ),
]

KINDS = (
    ("warnings", ("预警", "warnings")),
    ("breaches", ("超时", "breaches")),
    ("late_completions", ("逾期办结", "late completions")),
    ("violations", ("违规", "violations")),
    ("retractions", ("撤回", "retractions")),
)
DELAYS = (
    ("detected_delay", ("自发现 {{channel}}", "since detection {{channel}}")),
    ("delay", ("自计划 {{channel}}", "since planned {{channel}}")),
)
FAILED = "increase(gridclock_notify_attempts_failed_total[5m])"
ALERTS = [
    series(
        "告警（每小时）",
        "Alerts, an hour",
        *((f"sum(increase(gridclock_{name}_total[1h]))", text) for name, text in KINDS),
    ),
    series(
        "统计在办计时所用时间",
        "Time to count all running clocks",
        ("max by (instance) (gridclock_scan_seconds)", EACH),
        unit="s",
    ),
    stat(
        "投递中的通知进程",
        "Notifiers delivering",
        "sum(gridclock_notify_active)",
        size=(4, 8),
        steps=(*UP_STEPS, (2, "red")),
    ),
    stat("待汇总或静默期后通知", "Alerts waiting to be sent", "sum(gridclock_notify_waiting)", size=(4, 8)),
    series(
        "消息（按渠道和结果）",
        "Messages, by channel and outcome",
        (
            "sum by (channel, outcome) (increase(gridclock_notify_deliveries_total[5m]))",
            "{{channel}} {{outcome}}",
        ),
        size=(16, 8),
    ),
    series("待发消息（按渠道）", "Outbox, by channel", ("sum by (channel) (gridclock_notify_outbox)", "{{channel}}")),
    series(
        "送达延迟 95%（按渠道）",
        "Delay to the receiver, 95%, by channel",
        *(
            (quantile(0.95, "le, channel", f"rate(gridclock_notify_{name}_seconds_bucket[$__rate_interval])"), text)
            for name, text in DELAYS
        ),
        unit="s",
    ),
    series(
        "投递失败的尝试",
        "Attempts that failed",
        (f"sum by (channel, reason) ({FAILED}) > 0 or sum({FAILED})", "{{channel}} {{reason}}"),
    ),
    series(
        "读入告警、升级、签收（每小时）",
        "Alerts read, escalations, acknowledgements, an hour",
        ("sum by (kind) (increase(gridclock_notify_alerts_total[1h]))", "{{kind}}"),
        ("sum by (level) (increase(gridclock_notify_escalations_total[1h]))", ("升级 {{level}}", "to {{level}}")),
        ("sum by (action) (increase(gridclock_notify_acknowledgements_total[1h]))", "{{action}}"),
    ),
]

SINK = [
    stat("写入中的入库进程", "Sinks writing", "sum(gridclock_sink_active)", size=(4, 8), steps=UP_STEPS),
    stat("数据库断开时长", "Database away", "max(gridclock_sink_away_seconds)", unit="s", size=(4, 8), steps=LAG_STEPS),
    stat(
        "距上次入库",
        "Since the last transaction",
        "time() - max(gridclock_sink_last_write_timestamp_seconds > 0)",
        unit="s",
        size=(4, 8),
    ),
    series(
        "未入库的记录（按主题）",
        "Records not written, by topic",
        ("sum by (topic) (gridclock_sink_lag_records)", "{{topic}}"),
    ),
    series(
        "入库记录和行",
        "Records and rows written",
        (
            "sum by (table) (rate(gridclock_sink_records_total[$__rate_interval]))",
            ("记录 {{table}}", "records {{table}}"),
        ),
        (
            "sum by (table, change) (rate(gridclock_sink_rows_total[$__rate_interval]))",
            ("行 {{table}} {{change}}", "rows {{table}} {{change}}"),
        ),
        unit="wps",
    ),
    series(
        "入库失败的尝试与不能入库的记录",
        "Attempts that failed, and records refused",
        ("sum(increase(gridclock_sink_retries_total[5m]))", ("失败的尝试", "attempts that failed")),
        ("sum by (table) (increase(gridclock_sink_refused_total[5m]))", ("拒收 {{table}}", "refused {{table}}")),
    ),
    series(
        "一次事务的时间",
        "One transaction",
        *(
            (quantile(value, "le", "rate(gridclock_sink_write_seconds_bucket[$__rate_interval])"), f"{value}")
            for value in (0.5, 0.99)
        ),
        unit="s",
    ),
]

PROGRAM = Dashboard(
    "program",
    ("供电服务时限 · 程序性能", "Service time limits · the program"),
    (
        "时钟、延迟、吞吐、拒收、状态、资源、通知、入库",
        "Clock, delay, throughput, refusals, state, resources, notifications, database",
    ),
    [*CLOCK, *WORK, *RESOURCES, *ALERTS, *SINK],
    since="now-6h",
    refresh="30s",
)
