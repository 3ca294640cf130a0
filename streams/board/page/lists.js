// The two lists: clocks with their countdowns, and the newest alerts.
import { lastOf, silencedUntil } from "./acts.js";
import { $, element, badge, setAttribute, setText } from "./dom.js";
import { approximately, caseAddress, duration, place, stamp, subject, subjectAddress, translated, untimedReason } from "./format.js";
import { quickAcknowledge } from "./quick.js";
import { renderRows, rowLink } from "./rows.js";
import { announce, HOUR, MINUTE, now, page, params, selected, shift } from "./state.js";
import { number } from "./texts.js";

export function renderLists() {
  const at = now();
  const ends = (item) => Date.parse(item.deadline || item.started_at);
  const cases = [...page.view.cases.values()].sort((a, b) => ends(a) - ends(b) || (a.case_id < b.case_id ? -1 : 1));
  const alerts = [...page.view.alerts.values()].sort(
    (a, b) => Date.parse(b.detected_at) - Date.parse(a.detected_at) || (a.alert_id < b.alert_id ? 1 : -1));
  const beside = ["beside", "handover"].includes(selected()) && !page.view.find;
  const shown = beside ? cases.filter((item) => item.outcome !== "breached") : cases;
  const late = beside ? cases.filter((item) => item.outcome === "breached") : [];
  const makeCase = () => {
    const made = rowLink(["left", "what", "due"]);
    made.append(element("span", "bar"));
    return made;
  };
  $("late-panel").hidden = !beside;
  setAttribute(document.querySelector("main"), "data-beside", beside ? "" : null);
  renderRows($("cases"), shown, "case_id", makeCase, fillCase);
  renderRows($("late"), late, "case_id", makeCase, fillCase);
  renderRows($("alerts"), alerts, "alert_id", () => rowLink(["marks", "sentence", "ending"]), fillAlert);
  if (at !== null) moveCountdowns(at);
  const c = page.view.counts, running = c.running || 0, find = page.view.find, timed = running - (c.untimed || 0);
  const all = find ? running + (c.overdue || 0) : { running: timed, beside: timed, handover: c.due_in_shift, overdue: c.overdue, untimed: c.untimed }[selected()] || 0;
  setText($("cases-count"), page.refused ? "" : page.text.shown(shown.length, all));
  setText($("late-count"), page.text.shown(late.length, c.overdue || 0));
  setText($("cases-title"), page.text[find ? "found" : ["running", "beside"].includes(selected()) ? "cases" : selected()]);
  if (selected() === "handover" && !find) setText($("cases-title"), page.text.dueInShift(shift()));
  setText($("alerts-count"), page.refused ? "" : page.text.newest(number(alerts.length)));
  for (const [name, items] of [["cases", shown], ["late", late], ["alerts", alerts]]) {
    const words = page.refused ? page.text.refused(page.refused)
      : page.text[page.loading || !page.heard ? "loading" : name === "alerts" ? "noAlerts" : "noCases"];
    $(`${name}-empty`).hidden = items.length > 0;
    $(name).hidden = items.length === 0;
    setText($(`${name}-empty`), words);
  }
  offerSubjects(shown.length + late.length + alerts.length ? null : params.get("find"));
}

// What has no open case and no alert is not in the lists; the page of its order, account or meter may still be there.
function offerSubjects(found) {
  const box = $("find-pages");
  box.hidden = !found || page.loading || !page.heard;
  const wanted = JSON.stringify([found, page.language]);
  if (box.hidden || box.wanted === wanted) return;
  box.wanted = wanted;
  box.replaceChildren(element("span", "", page.text.otherPages), ...["order", "account", "meter", "batch"].map((type) => {
    const link = element("a", "", `${page.text.subjects[type]} ${found}`);
    link.href = subjectAddress({ type, id: found });
    return link;
  }));
}

const countdowns = () => document.querySelectorAll("#cases .row, #late .row");

export function redrawCountdowns() {
  for (const row of countdowns()) row.shown = null;
}

export function moveCountdowns(at) {
  for (const row of countdowns()) tick(row, at);
}

function fillCase(row, item) {
  const [, what, due] = row.children;
  row.href = caseAddress(item.case_id, item.subject);
  const title = element("span", "title");
  if (item.severity === "red_line") title.append(badge("line", page.text.red_line));
  title.append(translated(item.title));
  what.replaceChildren(title, element("span", "about", `${subject(item)} · ${item.clause} · ${place(item.org)}`));
  due.replaceChildren(document.createTextNode(item.deadline ? stamp(item.deadline) : "—"), element("span", "", translated(item.limit)));
  const when = item.deadline ? `${page.text.deadlineWord} ${stamp(item.deadline)}` : untimedReason(item);
  row.words = [item.severity === "red_line" ? page.text.red_line : "", subject(item), translated(item.title), when, place(item.org)].filter(Boolean);
  row.said = null;
  row.ends = item.deadline ? Date.parse(item.deadline) : null;
  row.untimedReason = untimedReason(item);
  row.starts = Date.parse(item.started_at);
  row.breached = item.outcome === "breached";
  row.shown = null;
}

function tick(row, at) {
  const [left] = row.children;
  let sign = "", value = "", heat = "cool", used = 0;
  if (row.ends === null) sign = row.untimedReason;
  else {
    const rest = row.ends - at, whole = row.ends - row.starts;
    used = whole > 0 ? Math.min(1, Math.max(0, 1 - rest / whole)) : 1;
    value = duration(rest > 0 ? rest + 999 : -rest);
    if (row.breached) { sign = page.text.late; heat = "late"; }
    else if (rest <= 0) { sign = page.text.waiting; heat = "late"; }
    else if (rest <= 2 * MINUTE || rest <= HOUR && used >= 0.8) heat = "hot";
    else if (rest <= HOUR || used >= 0.8) heat = "warm";
  }
  say(row, row.ends === null ? null : row.ends - at);
  const shown = `${sign}|${value}|${heat}`;
  if (row.shown === shown) return;
  row.shown = shown;
  left.replaceChildren(...(sign ? [element("span", "sign", sign)] : []), document.createTextNode(value));
  setAttribute(row, "data-heat", heat);
  row.style.setProperty("--used", used.toFixed(3));
}

// What a screen reader says of a row: also the time left or overdue, to the minute, so that it seldom changes.
function say(row, rest) {
  const { text } = page;
  const word = rest === null ? null : row.breached ? "lateWords" : rest > 0 ? "leftWords" : "waitingWords";
  const left = word && text[word](approximately(Math.abs(rest) / 1000 < 60 ? Math.ceil(Math.abs(rest) / 10e3) * 10 : Math.floor(Math.abs(rest) / MINUTE) * 60));
  const said = [...row.words.slice(0, -1), left, ...row.words.slice(-1)].filter(Boolean).join(text.list);
  if (row.said === said) return;
  row.said = said;
  row.setAttribute("aria-label", said);
}

function fillAlert(row, item) {
  const [marks, sentence, ending] = row.children;
  row.href = caseAddress(item.alert_id, item.subject);
  setAttribute(row, "data-severity", item.severity);
  setAttribute(row, "data-state", item.state);
  const found = [badge("red", page.text[item.kind] || item.kind)];
  if (item.severity === "red_line") found.unshift(badge("line", page.text.red_line));
  if (item.incomplete) found.push(badge("soft", page.text.incomplete));
  if (item.state !== "open") found.push(badge(item.state === "retracted" ? "soft" : "green", page.text[item.state]));
  const ack = lastOf(item.acks, "acknowledge"), assigned = lastOf(item.acks, "assign"), until = silencedUntil(item.acks);
  if (ack) found.push(badge("blue", `${page.text.acknowledged} ${ack.by}`));
  else if (lastOf(item.acks, "annotate")) found.push(badge("soft", page.text.noted));
  if (assigned) found.push(badge("soft", `${page.text.assigned} → ${assigned.to}`));
  if (until && !ack) found.push(badge("soft", `${page.text.silenced} ${page.text.until(stamp(until))}`));
  found.push(element("span", "where", place(item.org)), element("span", "when", stamp(item.detected_at)));
  marks.replaceChildren(...found);
  setText(sentence, translated(item.explanation));
  setText(ending, translated(item.ending));
  ending.hidden = !item.ending;
  quickAcknowledge(row, item, Boolean(ack));
}

// The names of organisations have become known: what stands there has their codes.
export function redrawRows() {
  for (const name of ["cases", "late", "alerts"]) for (const node of $(name).children) node.item = null;
}

// Who may act has become known, or another.
export function redrawAlerts() {
  for (const node of $("alerts").children) node.item = null;
  announce("view"); // with all other parts, so that no list is ahead of its counts
}
