// The dialogue with all that is known of one clock or one alert, and what may be done about an alert.
import { actPanel, entry } from "./acts.js";
import { $, element, setText } from "./dom.js";
import { full, organisation, subject, translated, untimedReason } from "./format.js";
import { LEVELS, on, page } from "./state.js";

let panel = null, shown = null; // {list, id, item}

export function showDetail(list, id) {
  if (!fill(list, id)) return;
  $("detail").showModal();
}

export function listenToDetail() {
  panel = actPanel($("detail-acts"));
  $("detail-close").addEventListener("click", () => $("detail").close());
  $("detail").addEventListener("close", () => { shown = null; });
  on("me", () => panel.words());
  // What was done meanwhile, here or on another page, shows in the open dialogue too.
  on("view", () => { if (shown && $("detail").open) fill(shown.list, shown.id); });
}

function fill(list, id) {
  const item = page.view[list].get(id);
  if (!item) return false;
  if (shown && shown.item === item && shown.language === page.language && shown.id === id) return true;
  shown = { list, id, item, language: page.language };
  setText($("detail-title"), translated(item.title));
  const rows = [[page.text.subject, subject(item)], [page.text.place, LEVELS.map((level) => item.org[level]).filter(Boolean).map(organisation).join(" / ")],
    [page.text.rule, item.rule], [page.text.clause, item.clause], [page.text.severity, page.text[item.severity]]];
  if (list === "cases") {
    rows.push([page.text.started, full(item.started_at)], [page.text.limit, translated(item.limit)], [page.text.due, item.deadline ? full(item.deadline) : untimedReason(item)]);
    if (item.calendar_provisional) rows.push([page.text.note, page.text.provisional]);
  } else {
    rows.push([page.text.kind, page.text[item.kind]], [page.text.due, full(item.due_at)], [page.text.detected, full(item.detected_at)], [page.text.explanation, translated(item.explanation)]);
    if (item.ending) rows.push([page.text.ending, translated(item.ending)]);
    rows.push(...item.acks.map(entry), ["alert_id", item.alert_id]);
  }
  $("detail-list").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value || "—")]));
  panel.show(list === "alerts" ? item : null);
  return true;
}
