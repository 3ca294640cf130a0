// The dialogue with all that is known of one clock or one alert.
import { $, element, setText } from "./dom.js";
import { full, organisation, subject, translated, untimedReason } from "./format.js";
import { LEVELS, page } from "./state.js";

export function showDetail(list, id) {
  const item = list === "cases" ? page.view.cases.get(id) : page.view.alerts.get(id);
  if (!item) return;
  setText($("detail-title"), translated(item.title));
  const rows = [[page.text.subject, subject(item)], [page.text.place, LEVELS.map((level) => item.org[level]).filter(Boolean).map(organisation).join(" / ")],
    [page.text.rule, item.rule], [page.text.clause, item.clause], [page.text.severity, page.text[item.severity]]];
  if (list === "cases") {
    rows.push([page.text.started, full(item.started_at)], [page.text.limit, translated(item.limit)], [page.text.due, item.deadline ? full(item.deadline) : untimedReason(item)]);
    if (item.calendar_provisional) rows.push([page.text.note, page.text.provisional]);
  } else {
    rows.push([page.text.kind, page.text[item.kind]], [page.text.due, full(item.due_at)], [page.text.detected, full(item.detected_at)], [page.text.explanation, translated(item.explanation)]);
    if (item.ending) rows.push([page.text.ending, translated(item.ending)]);
    for (const ack of item.acks) rows.push([ack.action === "acknowledge" ? page.text.acknowledged : page.text.noted, `${full(ack.at)} ${ack.by} ${ack.note}`]);
    rows.push(["alert_id", item.alert_id]);
  }
  $("detail-list").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value || "—")]));
  $("detail").showModal();
}
