"""Titles of the event types of the vocabulary, in Chinese and in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.base import Text

_TITLES: Final = """
counter.ticket_taken 取号 | ticket taken
counter.service_started 开始办理 | service started
counter.service_completed 办理完毕 | service completed
counter.receipt_issued 出具票据 | receipt issued
counter.interrupted 办理中断 | service interrupted
counter.resumed 恢复办理 | service resumed
counter.turned_away 拒绝办理 | customer turned away
counter.counter_closed 停止营业 | counter closed
inquiry.received 收到咨询 | inquiry received
inquiry.answered 答复咨询 | inquiry answered
inquiry.transferred 咨询转办 | inquiry transferred
application.received 收到申请 | application received
application.accepted 受理申请 | application accepted
application.notice_issued 一次性告知书 | one-time notice issued
application.document_requested 索要资料 | document requested
application.document_supplied 提交资料 | document supplied
application.documents_completed 资料补齐 | documents completed
application.rejected 不予受理 | application rejected
application.suspended 业务中止 | application suspended
application.resumed 业务恢复 | application resumed
application.withdrawn 客户撤回 | application withdrawn
application.terminated 业务终止 | application terminated
survey.appointed 预约勘查 | survey appointed
survey.performed 现场勘查 | survey performed
survey.rescheduled 勘查改期 | survey rescheduled
scheme.replied 答复供电方案 | supply scheme replied
scheme.confirmed 确认供电方案 | supply scheme confirmed
design_review.requested 设计报审 | design review requested
design_review.completed 设计审查完成 | design review completed
design_review.notified 设计审查结果告知 | design review result told
mid_inspection.requested 中间检查报验 | mid-construction inspection requested
mid_inspection.completed 中间检查完成 | mid-construction inspection completed
mid_inspection.notified 中间检查结果告知 | mid-construction inspection result told
completion_inspection.requested 竣工报验 | completion inspection requested
completion_inspection.completed 竣工检验完成 | completion inspection completed
completion_inspection.notified 竣工检验结果告知 | completion inspection result told
contract.signed 签订供用电合同 | supply contract signed
fee.charged 收取费用 | fee charged
grid_project.agreed 约定配套工程 | grid project agreed
grid_project.completed 配套工程完成 | grid project completed
connection.energized 接电 | energized
meter.batch_notice_posted 批量换表公告 | batch replacement notice posted
meter.batch_filed 批量换表备案 | batch replacement filed
meter.customer_contacted 联系客户 | customer contacted
meter.replacement_appointed 预约换表 | replacement appointed
meter.replaced 换表 | meter replaced
meter.wiring_verified 接线核对 | wiring verified
meter.reading_photo_uploaded 旧表底度照片 | photo of the old reading
meter.removed 拆表 | meter removed
meter.stored 旧表入库 | meter stored
meter.disposed 旧表处置 | meter disposed of
meter.anomaly_reported 电能表异常报告 | meter anomaly reported
meter.joint_check_appointed 预约共同核查 | joint check appointed
meter.site_checked 现场核查 | meter checked on site
meter.wiring_reported 串户反映 | crossed wiring reported
meter.box_defect_reported 表箱缺陷报告 | meter box defect reported
meter.box_replaced 更换表箱 | meter box replaced
calibration.requested 申请校验 | calibration requested
calibration.result_issued 出具校验结果 | calibration result issued
calibration.disputed 对校验结果有异议 | calibration disputed
calibration.sent_to_third_party 送检第三方 | sent to a third party
calibration.third_party_result 第三方检定结果 | third-party result
reading.collected 抄表 | reading collected
reading.remote_failed 远程采集失败 | remote reading failed
reading.anomaly_detected 电量异常 | usage anomaly detected
reading.anomaly_verified 电量异常核实 | usage anomaly verified
reading.cycle_changed 变更抄表周期 | reading cycle changed
reading.disputed 结算电量异议 | reading disputed
reading.dispute_answered 异议答复 | dispute answered
reading.refunded 退补电量电费 | usage refunded
bill.issued 发行电费 | bill issued
bill.overdue 电费逾期 | bill overdue
bill.paid 交纳电费 | bill paid
bill.advanced 垫付电费 | bill advanced
bill.adjusted 调整电费 | bill adjusted
bill.question_raised 电费疑问 | question about a bill
bill.question_answered 电费疑问答复 | question about a bill answered
arrears.customer_verified 核实欠费客户 | customer in arrears verified
arrears.notice_delivered 送达催费通知 | arrears notice delivered
arrears.notice_undeliverable 催费通知无法送达 | arrears notice undeliverable
arrears.status_rechecked 停电前复核欠费 | arrears rechecked
resale.overcharge_found 发现转供电加价 | resale overcharge found
resale.overcharge_reported 上报转供电加价 | resale overcharge reported
disconnection.approved 停电审批 | disconnection approved
disconnection.government_reported 报告政府 | government informed
disconnection.notice_delivered 送达停电通知 | disconnection notice delivered
disconnection.renotified 停电前再次通知 | notified again before disconnection
disconnection.performed 实施停电 | disconnection performed
disconnection.restored 复电 | supply reconnected
inspection.appointed 预约检查 | inspection appointed
inspection.performed 用电检查 | inspection performed
inspection.finding_notified 检查结果通知 | finding notified
inspection.order_document_received 收到正式公文 | official document received
capacity.change_requested 申请减容暂停 | capacity change requested
capacity.sealed 加封 | sealed
capacity.unsealed 启封 | unsealed
outage.detected 发现停电 | outage detected
outage.published 发布停电信息 | outage published
outage.progress_published 发布抢修进度 | progress published
outage.notified 停电通知 | outage notified
outage.restored 恢复供电 | supply restored after an outage
repair.reported 报修 | fault reported
repair.dispatched 派工 | crew dispatched
repair.payment_checked 核查欠费停电 | payment checked
repair.arrived 到达现场 | crew on site
repair.customer_contacted 联系报修客户 | customer called
repair.supply_restored 恢复送电 | supply restored
repair.meter_damage_found 发现电能表损坏 | damaged meter found
repair.metering_informed 通知计量人员 | metering informed
repair.meter_repaired 更换损坏电能表 | damaged meter repaired
repair.completed 抢修完成 | repair completed
repair.feedback_asked 征求意见 | feedback asked
repair.closed 抢修归档 | repair closed
repair.escalated 抢修升级 | repair escalated
order.closed 工单归档 | order closed
complaint.received 受理投诉 | complaint received
complaint.customer_contacted 联系投诉客户 | complainant contacted
complaint.answered 答复投诉 | complaint answered
complaint.withdrawn 撤回投诉 | complaint withdrawn
"""


def _read() -> dict[str, Text]:
    found = {}
    for line in _TITLES.strip().splitlines():
        name, _, rest = line.partition(" ")
        zh, _, en = rest.partition(" | ")
        found[name] = Text(zh=zh, en=en)
    return found


EVENT_TITLES: Final[Mapping[str, Text]] = _read()

VALUE_TITLES: Final[Mapping[str, str]] = {
    "fee": "收费", "power": "用电", "residential": "居民", "low_voltage": "低压", "hv_single": "高压单电源",
    "hv_dual": "高压双电源", "customer": "客户", "third_party": "第三方", "force_majeure": "不可抗力",
    "batch": "批量", "sporadic": "零散", "remote": "远程", "manual": "人工", "estimated": "估抄",
    "arrears": "欠费", "violation": "违约用电", "theft": "窃电", "administrative": "行政", "works": "施工",
    "ordinary": "一般", "important": "重要", "sensitive": "敏感", "province": "省级", "urban": "城区",
    "rural": "农村", "single": "单户", "multiple": "多户", "received": "接单", "arrived": "到达",
    "completed": "完成", "hazard": "隐患", "routine": "例行",
}  # fmt: skip
"""Values of fields, in Chinese; in English they are the values themselves."""
