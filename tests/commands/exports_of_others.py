"""Exports as systems of others write them, each with the verdicts that it must get, worked out by hand."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import xlsxwriter

Outcomes = dict[tuple[str, str], str]
"""Of rule and subject."""


@dataclass(frozen=True)
class Export:
    """A file; the lines of the suggested mapping to correct, with their answers; and what replay must find."""

    name: str
    content: bytes
    answers: tuple[tuple[str, str], ...]
    unmet: str
    until: str
    refused: int
    outcomes: Outcomes


_STEPS = (
    ("2603020001", "城区", "报修受理 03-02 08:10", "派单 03-02 08:13", "到达现场 03-02 08:54", "抢修完成 03-02 10:00",
     "回访客户 03-02 15:00", "工单归档 03-02 16:00"),
    ("2603020002", "城区", "报修受理 03-02 09:00", "派单 03-02 09:02", "到达现场 03-02 09:46", "抢修完成 03-02 11:00",
     "工单归档 03-02 12:00"),
    ("2603030003", "农村", "报修受理 03-03 13:00", "派单 03-03 13:05", "到达现场 03-03 14:30", "抢修完成 03-03 18:00",
     "回访客户 03-03 19:00", "工单归档 03-03 19:10"),
    ("2603040004", "农村", "报修受理 03-04 13:00", "派单 03-04 13:05", "到达现场 03-04 14:31", "抢修完成 03-04 18:00",
     "回访客户 03-04 19:00", "工单归档 03-04 19:10"),
    ("2603050005", "特殊边远", "报修受理 03-05 06:00", "派单 03-05 06:10"),
    ("2603060006", "城区", "报修受理 03-06 06:00", "派单 03-06 06:10", "到达现场 03-06 06:30", "抢修完成 03-06 06:20",
     "回访客户 03-06 07:00", "工单归档 03-06 07:10"),
)  # fmt: skip


def _workbook() -> bytes:
    """One row a step, below a title and a line about the export, with a sum at the foot and a second sheet."""
    written = io.BytesIO()
    with xlsxwriter.Workbook(written) as book:
        sheet, notes = book.add_worksheet("环节明细"), book.add_worksheet("填报说明")
        form = book.add_format({"num_format": "yyyy/m/d h:mm"})
        sheet.merge_range(0, 0, 0, 7, "配网故障抢修工单环节明细表")
        sheet.merge_range(1, 0, 1, 7, "导出单位：城东供电公司    导出时间：2026-03-10 08:30    导出人：系统管理员")
        sheet.write_row(
            2, 0, ("序号", "工单编号", "用户编号", "故障区域", "环节名称", "环节时间", "处理人员", "单位编码")
        )
        number = 0
        for order, area, *steps in _STEPS:
            for step in steps:
                word, _, at = step.partition(" ")
                number += 1
                row = number + 2
                sheet.write_row(row, 0, (number, order, 3_200_000_000 + int(order[-4:]), area, word))
                sheet.write_datetime(row, 5, datetime.strptime(f"2026-{at}", "%Y-%m-%d %H:%M"), form)  # noqa: DTZ007
                sheet.write_row(row, 6, (f"D{1000 + number % 3}", "320105"))
        sheet.write_row(number + 3, 0, ("合计", f"{number}条"))
        notes.write_column(0, 0, ("填报说明", "1. 环节时间以系统记录为准。"))
    return written.getvalue()


WORKBOOK = Export(
    "95598抢修工单环节明细 20260310.xlsx",
    _workbook(),
    (),
    "two-calls-one-answer, payment-check-first",
    "2026-03-10T08:30:00+08:00",
    1,
    {
        ("repair-arrival", "2603020001"): "met",
        ("repair-arrival", "2603020002"): "met_late",
        ("repair-arrival", "2603030003"): "met",
        ("repair-arrival", "2603040004"): "met_late",
        ("repair-arrival", "2603050005"): "breached",
        ("repair-arrival", "2603060006"): "met",
        ("feedback-asked", "2603020002"): "violated",
        ("times-in-order", "2603060006"): "violated",
    },
)

_LEDGER = """城东供电公司欠费停复电业务台账（2026年3月）
户号,业务环节,办理时间,欠费金额（元）,是否结清,送达凭证号,经办人工号
\t0610023451,送达停电通知,2026/3/1 9:00,"1,286.50",否,ZM20260301-17,D2001
\t0610023451,停电前复核,2026/3/9 8:30,"1,286.50",否,,D2001
\t0610023451,实施停电,2026/3/9 10:00,"1,286.50",否,,D2001
\t0610023451,交清电费,2026/3/10 9:00,0.00,是,,D2002
\t0610023451,复电,2026/3/10 20:15,0.00,是,,D2001
\t0610023452,送达停电通知,2026/3/1 9:00,300,否,ZM20260301-18,D2001
\t0610023452,停电前复核,2026/3/7 8:30,300,否,,D2001
\t0610023452,实施停电,2026/3/7 10:00,300,否,,D2001
\t0610023452,交清电费,2026/3/8 9:00,0,是,,D2002
\t0610023452,复电,2026/3/9 9:01,0,是,,D2001
\t0610023453,送达停电通知,2026/3/1 9:00,88.1,否,ZM20260301-19,D2001
\t0610023453,实施停电,2026/3/10 10:00,88.1,否,,D2001
\t0610023453,交清电费,2026/3/11 9:00,0,是,,D2002
"""
LEDGER = Export(
    "欠费停复电台账.csv",
    _LEDGER.replace("\n", "\r\n").encode("gbk"),
    (("\n  # ? cause: COLUMN", "\n#  cause: COLUMN"), ("\nfields:\n", "\nconstants: {cause: arrears}\nfields:\n")),
    "violation-renotice-30-minutes, administrative-order-document",
    "2026-03-12T12:00:00+08:00",
    0,
    {
        ("arrears-notice-7-days", "0610023452"): "violated",
        ("recheck-before-disconnection", "0610023453"): "violated",
        ("restore-after-payment", "0610023451"): "met",
        ("restore-after-payment", "0610023452"): "met_late",
        ("restore-after-payment", "0610023453"): "breached",
    },
)

_WIDE = """申请编号,用户名称,用电类别,受理时间,现场勘查时间,供电方案答复时间,竣工报验时间,竣工检验时间,检验结果,合同签订时间,装表接电时间,业务状态
320126030200017,张*,居民,2026-03-02 09:15:00,2026-03-03 10:00:00,2026-03-05 17:30:00,--,2026-03-06 10:00:00,合格,2026-03-06 11:00:00,2026-03-11 16:00:00,已归档
320126030200018,李*,居民,2026-03-02 10:15:00,2026-03-03 10:00:00,2026-03-06 08:30:00,--,2026-03-09 10:00:00,合格,2026-03-09 11:00:00,2026-03-13 16:00:00,已归档
320126030200019,王*餐饮店,低压非居民,2026-03-02 11:00:00,2026-03-04 10:00:00,2026-03-12 18:00:00,2026-03-16 09:00:00,2026-03-23 15:00:00,合格,2026-03-24 09:00:00,--,在途
320126030200020,某某机械厂,高压单电源,2026-03-02 11:00:00,2026-03-04 10:00:00,2026-03-27 18:00:00,2026-04-01 09:00:00,--,--,--,--,在途
"""  # noqa: E501 (rows of a sheet)
WIDE = Export(
    "yk_export.csv",
    _WIDE.encode("utf-8-sig"),
    (),
    "survey-by-appointment",
    "2026-04-02T12:00:00+08:00",
    0,
    {
        ("scheme-reply", "320126030200018"): "met_late",  # the fourth working day; three are allowed
        ("energize", "320126030200017"): "met",
        ("energize", "320126030200018"): "met_late",
        ("energize", "320126030200019"): "breached",
        ("completion-inspection", "320126030200019"): "met",
        ("whole-connection", "320126030200017"): "met_late",  # 7 working days of 5
        ("whole-connection", "320126030200018"): "met_late",
        ("whole-connection", "320126030200019"): "breached",  # 8 working days to the reply; 6 are allowed in all
    },
)


def _ocel() -> bytes:
    kinds = {"calibration_ticket": "JY{}", "electricity_meter": "DB-77{}"}
    events: list[dict[str, Any]] = []

    def add(order: int, activity: str, at: str) -> None:
        related = [{"objectId": name.format(order), "qualifier": kind} for kind, name in kinds.items()]
        event = {"id": f"ev{len(events)}", "type": activity, "time": at, "attributes": [], "relationships": related}
        events.append(event)

    for order, issued in ((1, "2026-03-09T09:00:00Z"), (2, "2026-03-10T01:00:00Z"), (3, None)):
        add(order, "Calibration requested", "2026-03-02T01:30:00Z")
        add(order, "Meter dismounted", "2026-03-04T02:00:00Z")
        if issued is not None:
            add(order, "Test result issued", issued)
    objects = [
        {"id": name.format(order), "type": kind, "attributes": [], "relationships": []}
        for order in (1, 2, 3)
        for kind, name in kinds.items()
    ]
    activities = dict.fromkeys(event["type"] for event in events)
    whole = {
        "objectTypes": [{"name": kind, "attributes": []} for kind in kinds],
        "eventTypes": [{"name": activity, "attributes": []} for activity in activities],
        "objects": objects,
        "events": events,
    }
    return json.dumps(whole).encode()


OCEL = Export(
    "calibration.jsonocel",
    _ocel(),
    (("  other: refuse", "  other: skip"),),
    "",
    "2026-03-11T12:00:00+08:00",
    0,
    {
        ("calibration-5-working-days", "JY1"): "met",
        ("calibration-5-working-days", "JY2"): "met_late",
        ("calibration-5-working-days", "JY3"): "breached",
    },
)
EXPORTS = (WORKBOOK, LEDGER, WIDE, OCEL)
