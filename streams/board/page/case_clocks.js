// The clocks of the case page: each with its arithmetic, its evidence, its rule, its alerts and who was sent them.
import { entry } from "./acts.js";
import { badge, element } from "./dom.js";
import { caseAddress, organisation, translated } from "./format.js";
import { LEVELS, page } from "./state.js";

const TONES = { met: "green", met_late: "red", breached: "red", violated: "red", running: "blue", cancelled: "soft" };
export const toneOf = (alert) => alert.retracts || alert.is_retracted ? "soft" : alert.kind === "warning" ? "amber" : "red";
const other = () => page.language === "en" ? "zh" : "en";

// A text in the page's language, the other one beside it.
function both(text, className) {
  const made = element("span", className);
  if (!text) return made;
  const beside = element("span", "beside", text[other()]);
  beside.lang = other() === "en" ? "en" : "zh-CN";
  made.append(element("span", "", translated(text)));
  if (text[other()] !== translated(text)) made.append(document.createTextNode(" "), beside);
  return made;
}

// PT362.5S as 6 min 2.5 s.
function length(iso) {
  let left = Number(iso.slice(2, -1));
  const units = page.language === "zh" ? [["天", 86400], ["小时", 3600], ["分钟", 60]] : [[" d", 86400], [" h", 3600], [" min", 60]], found = [];
  for (const [unit, size] of units) {
    if (left >= size) found.push(`${Math.floor(left / size)}${unit}`);
    left %= size;
  }
  if (left || !found.length) found.push(`${+left.toFixed(6)}${page.language === "zh" ? "秒" : " s"}`);
  return found.join(" ");
}

function lines(items) {
  const made = element("span", "lines");
  made.append(...items.map((one) => one instanceof Node ? one : element("span", "", one)));
  return made;
}

function list(items, left, text) {
  return items.join(page.text.list) + (left ? `${page.text.list}${text.omitted(left)}` : "");
}

function evidence(ids, left, text, events) {
  const made = element("span", "ids");
  for (const id of ids) {
    if (events.has(id)) {
      const link = element("a", "", id);
      link.href = `#event-${encodeURIComponent(id)}`;
      made.append(link);
    } else made.append(element("span", "", id));
  }
  if (left) made.append(element("span", "", text.omitted(left)));
  return made;
}

function arithmetic(clock, text) {
  const found = clock.arithmetic, left = found.omitted || {}, rows = [];
  const count = (key) => found[key].length + (left[key] || 0);
  if (left.bytes) rows.push([text.evidence, text.trimmed(left.bytes)]);
  if (found.counted_days && found.counted_days.length) rows.push([text.daysCounted(count("counted_days")), list(found.counted_days, left.counted_days, text)]);
  if (found.days_off && found.days_off.length) rows.push([text.daysOff(count("days_off")), list(found.days_off.map((day) => `${day.date} ${day.name || ""}`.trim()), left.days_off, text)]);
  if (found.paused_days && found.paused_days.length) rows.push([text.pausedDays(count("paused_days")), list(found.paused_days, left.paused_days, text)]);
  if (found.open_hours && found.open_hours.length) rows.push([text.openHours, lines([...found.open_hours.map((one) => `${one.from} – ${one.to}`), ...(left.open_hours ? [text.omitted(left.open_hours)] : [])])]);
  if (found.pauses && found.pauses.length) rows.push([text.pauses, lines([...found.pauses.map((one) => `${one.from} – ${one.to || text.toNow}`), ...(left.pauses ? [text.omitted(left.pauses)] : [])])]);
  if (found.after_breach_of) rows.push([text.after, found.after_breach_of]);
  for (const fault of found.faults || []) rows.push([text.faults, both(fault.text)]);
  if (clock.calendar && (found.counted_days || found.open_hours)) rows.push([text.calendar, `${clock.calendar.name || text.ownCalendar} (${clock.calendar.zone})`]);
  if (clock.calendar_provisional) rows.push([text.calendar, text.provisional]);
  return rows;
}

function ruleRows(rule, text) {
  const clauses = element("span", "lines");
  for (const clause of rule.clauses) {
    const one = element("span", "", `${clause.code} `);
    one.append(both(clause.place));
    clauses.append(one);
  }
  const rows = [[text.clause, clauses], [text.rule, rule.version ? `${rule.id} · ${text.version} ${rule.version}` : rule.id]];
  if (rule.source) rows.push([text.source, rule.source]);
  if (rule.basis) rows.push([text.basis, text.bases[rule.basis]]);
  if (rule.note) rows.push([text.note, both(rule.note)]);
  return rows;
}

function table(rows) {
  const made = element("dl");
  for (const [term, value] of rows) {
    const cell = element("dd");
    if (value === null || value === undefined || value === "") continue;
    cell.append(value);
    made.append(element("dt", "", term), cell);
  }
  return made;
}

// Why a message did not go through, in words and as the receiver's answer had it.
const why = (one, text) => `${text.reasons[one.reason] || one.reason}${one.detail ? ` (${one.detail})` : ""}`;

function failed(node) {
  node.classList.add("failed");
  return node;
}

// Who was sent an alert; of a message that is still on its way, what keeps it.
function sentWords(one, text) {
  const { trouble } = one, parts = [one.at.text, one.channel, one.subscription ? text.by(one.subscription) : ""];
  if (trouble) parts.push(text[trouble.is_own ? "tried" : "behind"](trouble.attempts, why(trouble, text), trouble.next.text));
  else if (one.is_under_way) parts.push(text.underWay);
  const words = parts.filter(Boolean).join(" · ");
  return trouble ? failed(element("span", "", words)) : words;
}

function alertRow(alert, text, hasDeliveries) {
  const made = element("li"), head = element("p", "marks");
  made.id = `alert-${alert.alert_id}`;
  head.append(badge(toneOf(alert), text.kinds[alert.kind] || alert.kind), element("span", "when", alert.detected.text));
  if (alert.is_retracted) head.append(badge("soft", text.retracted));
  if (alert.incomplete) head.append(badge("amber", text.incomplete));
  made.append(head, both(alert.explanation, "sentence"));
  const rows = [[text.sent, alert.sent.length ? lines(alert.sent.map((one) => sentWords(one, text))) : hasDeliveries ? text.notSent : text.noDeliveries]];
  if (alert.undelivered.length) rows.push([text.undelivered, failed(lines(alert.undelivered.map((one) =>
    [one.at.text, one.channel, one.subscription ? text.by(one.subscription) : "", text.givenUp(one.attempts, why(one, text))].filter(Boolean).join(" · "))))]);
  rows.push(...alert.acks.map(entry));
  rows.push([text.alert, element("code", "", alert.alert_id)]);
  made.append(table(rows));
  return made;
}

function clockCard(clock, text, data, events) {
  const made = element("article", "case-clock"), head = element("h3"), title = both(clock.rule_text.title || clock.title, "title");
  made.id = `case-${clock.case_id}`;
  made.dataset.severity = clock.severity;
  if (data.asked && data.asked.case_id === clock.case_id) made.dataset.asked = "";
  const outcome = clock.outcome ? badge(TONES[clock.outcome], translated(clock.outcome_text)) : badge("soft", text.alertOnly);
  head.append(outcome, ...(clock.severity === "red_line" ? [badge("line", page.text.red_line)] : []), title);
  const place = LEVELS.map((level) => (clock.org || {})[level]).filter(Boolean).map(organisation).join(" / ");
  const link = element("a", "", clock.case_id);
  link.href = caseAddress(clock.case_id, data.subject);
  const left = (clock.arithmetic.omitted || {}).evidence;
  made.append(head, both(clock.sentence, "sentence"), table([
    [text.limit, translated(clock.limit_text)], [text.started, clock.started?.text], [text.due, clock.due?.text], [text.stopped, clock.stopped?.text],
    [text.elapsed, clock.elapsed && length(clock.elapsed)], [text.pausedFor, clock.paused && clock.paused !== "PT0S" ? length(clock.paused) : ""],
    ...arithmetic(clock, text), [text.evidence, clock.evidence.length ? evidence(clock.evidence, left, text, events) : ""],
    ...ruleRows(clock.rule_text, text), [page.text.place, place], [text.case, link],
  ]));
  const alerts = element("ul", "alerts-of");
  alerts.append(...clock.alerts.map((alert) => alertRow(alert, text, data.notices.has_deliveries)));
  made.append(element("h4", "", clock.alerts.length ? text.alerts : text.noAlerts), alerts);
  for (const one of clock.to_send) made.append(element("p", "to-send", text[one.kind](one.subscription, one.due.text)));
  return made;
}

// The clock asked for, and the others; all of them together where a subject was asked for.
export function clockCards(data, text) {
  const events = new Set(data.time_line.filter((one) => one.kind === "event").map((one) => one.event_id));
  const isAsked = (clock) => !data.asked || clock.case_id === data.asked.case_id;
  const cards = (clocks) => clocks.map((clock) => clockCard(clock, text, data, events));
  return [cards(data.clocks.filter(isAsked)), cards(data.clocks.filter((clock) => !isAsked(clock)))];
}
