// The page of one case, or of one order, account, meter or batch: what /api gives for the same address.
import { actPanel, readMe } from "./acts.js";
import { clockCards, toneOf } from "./case_clocks.js";
import { CASE_TEXTS } from "./case_texts.js";
import { $, badge, decoded, element, setText } from "./dom.js";
import { approximately, inLanguage, subjectAddress, translated } from "./format.js";
import { switchLanguage, translateHtml } from "./language.js";
import { boardQuery, on, page, params, setClock } from "./state.js";

const RETRY_MS = 3000, REFRESH_MS = 30000, SLOW_SECONDS = 5;
let data = null, problem = null, panel = null, retry = 0;

const words = () => CASE_TEXTS[page.language];
const idAsked = () => decoded(location.pathname.split("/").slice(2).join("/")) || params.get("id") || "";
const name = (one) => `${page.text.subjects[one.type] || one.type} ${one.id}`;

function notices() {
  const { quarantined, problem: broken, has_history, pruned_until, incomplete, unknown_rules } = data.notices, text = words(), found = [];
  if (quarantined) found.push(text.quarantined(quarantined.reason, quarantined.since ? quarantined.since.text : ""));
  if (broken) found.push(text.problem(broken));
  if (!has_history && !broken) found.push(text.noHistory);
  if (pruned_until) found.push(text.pruned(pruned_until.text));
  if (incomplete) found.push(text.incompleteNotice);
  if (unknown_rules.length) found.push(text.unknownRules(unknown_rules.join(page.text.list)));
  if (data.omitted.clocks) found.push(text.moreClocks(data.omitted.clocks));
  if (data.omitted.moments) found.push(text.moreMoments(data.omitted.moments));
  if (data.delay_seconds !== null && data.delay_seconds >= SLOW_SECONDS) found.push(text.delayed(approximately(data.delay_seconds)));
  return found;
}

function fields(values) {
  return Object.entries(values).map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(" · ");
}

function eventOf(moment) {
  const text = words(), what = element("div", "what"), about = [moment.event_type, fields(moment.fields)];
  if (moment.recorded_at) about.push(text.recorded(moment.recorded_at.text));
  if (moment.corrects) about.push(moment.void ? text.voids(moment.corrects) : text.corrects(moment.corrects));
  about.push(`[${moment.event_id}]`);
  what.append(element("span", "said", translated(moment.title) || moment.event_type), element("span", "more", about.filter(Boolean).join(" ")));
  return what;
}

function dueOf(moment) {
  const what = element("div", "what"), link = element("a", "said", words().dueOf(translated(moment.title)));
  link.href = `#case-${moment.case_id}`;
  what.append(link);
  return what;
}

function alertOf(moment) {
  const text = words(), what = element("div", "what"), said = element("span", "said");
  said.append(badge(toneOf({ ...moment, kind: moment.alert_kind }), text.kinds[moment.alert_kind] || moment.alert_kind), document.createTextNode(` ${translated(moment.explanation)}`));
  what.append(said);
  if (moment.incomplete) what.append(element("span", "more", text.incomplete));
  return what;
}

const MOMENTS = { event: ["●", eventOf], due: ["◷", dueOf], alert: ["▲", alertOf] };

function fillLine() {
  $("line").replaceChildren(...data.time_line.map((moment) => {
    const [mark, make] = MOMENTS[moment.kind], row = element("li"), time = element("time", "", moment.at.text), sign = element("span", "mark", mark);
    row.dataset.kind = moment.kind;
    time.dateTime = moment.at.iso;
    sign.setAttribute("aria-hidden", "true");
    if (moment.kind === "event") row.id = `event-${moment.event_id}`;
    row.append(time, sign, make(moment));
    return row;
  }));
}

function fillRest() {
  $("related").replaceChildren(...data.related.map((one) => {
    const row = element("li"), link = element("a", "", name(one));
    link.href = subjectAddress(one);
    row.append(link);
    return row;
  }));
  $("case-related").hidden = !data.related.length;
  $("silent").replaceChildren(...data.never_started.map((rule) =>
    element("li", "", `${translated(rule.title)} (${rule.clauses.map((one) => one.code).join(", ")}, ${rule.id})`)));
  $("case-silent").hidden = !data.never_started.length;
}

// The breach or violation asked for, else the last of the clock that stands.
function alertToActOn() {
  const clock = data.asked && data.clocks.find((one) => one.case_id === data.asked.case_id);
  const alerts = clock ? clock.alerts.filter((one) => one.kind === "breach" || one.kind === "violation") : [];
  return alerts.find((one) => one.alert_id === data.asked.alert_id) || alerts.filter((one) => !one.is_retracted).pop() || null;
}

// Draws anew and leaves the cursor where it was.
function draw() {
  const focused = document.activeElement, place = focused.closest("main a[href]")?.getAttribute("href"), section = focused.closest("section")?.id;
  drawAll();
  if (place && !focused.isConnected) document.querySelector(`#${section} a[href="${CSS.escape(place)}"]`)?.focus({ preventScroll: true });
}

function drawAll() {
  translateHtml(words);
  const text = words();
  $("back").href = inLanguage("/board", boardQuery());
  setText($("case-title"), data ? name(data.subject) : text.title);
  document.title = data ? `${name(data.subject)} · ${text.title}` : text.title;
  $("case-main").hidden = !data;
  $("case-state").hidden = Boolean(data) && !problem;
  setText($("case-state"), problem ? problem(text) : text.reading);
  if (!data) return;
  setText($("case-until"), text.until(data.judged_until.text));
  const found = notices();
  $("case-notices").replaceChildren(...found.map((one) => element("li", "notice", one)));
  $("case-notices").hidden = !found.length;
  const [asked, others] = clockCards(data, text);
  $("clocks").replaceChildren(...asked);
  $("others").replaceChildren(...others);
  $("case-others").hidden = !others.length;
  fillLine();
  fillRest();
  const alert = alertToActOn();
  panel.show(alert && { ...alert, subject: data.subject });
}

async function read() {
  clearTimeout(retry);
  const kind = location.pathname.split("/")[1];
  try {
    const answer = await fetch(`/api${location.pathname}${location.search}`);
    if (answer.ok) {
      const first = !data;
      [data, problem] = [await answer.json(), null];
      setClock(data);
      draw();
      if (first && location.hash) document.getElementById(decoded(location.hash.slice(1)))?.scrollIntoView();
      return;
    }
    if (answer.status === 404) {
      problem = (text) => text.notFound(name({ type: kind === "case" ? text.case : kind, id: idAsked() }));
      draw();
      return;
    }
    const { error } = await answer.json();
    problem = (text) => error.startsWith("the state is being read") ? text.loading : text.unreadable;
  } catch {
    problem = (text) => text.broken;
  }
  draw();
  retry = setTimeout(read, RETRY_MS);
}

function drawInOtherLanguage() {
  switchLanguage();
  const found = params.toString();
  history.replaceState(null, "", `${location.pathname}${found ? `?${found}` : ""}${location.hash}`);
  draw();
}

function start() {
  $("lang").addEventListener("click", drawInOtherLanguage);
  $("print").addEventListener("click", () => print());
  panel = actPanel($("case-acts"));
  on("me", () => panel.words());
  on("acted", read);
  readMe();
  draw();
  fetch("/api/meta").then((answer) => answer.json()).then((found) => { page.meta = found; draw(); }).catch(() => {});
  read();
  // What happens meanwhile comes without a reload, but not while somebody selects or writes.
  const refresh = () => {
    if (data && !document.hidden && getSelection().isCollapsed && !document.activeElement.matches("input, textarea, select")) read();
  };
  setInterval(refresh, REFRESH_MS);
  document.addEventListener("visibilitychange", refresh);
}
start();
