// The stream of server-sent events: a snapshot of the view asked for, then its changes, and the server's time.
import { $, setAttribute, setText } from "./dom.js";
import { ASKED, announce, page, params, setClock } from "./state.js";
import { noticesOf } from "./status.js";

const SILENT_MS = 8000, RETRY_MS = 3000;
let stream = null, heardAt = 0;

// What is no news: the alerts of the last view that the board had read as a whole, and what is older than a full list of
// them. A board that has just started shows old alerts one after the other.
let seen = new Set(), floor = -Infinity, isWhole = false;

function settle() {
  if (page.loading) return;
  const { alerts } = page.view, isFull = alerts.size >= (Number(params.get("alerts")) || 40);
  isWhole = true;
  seen = new Set(alerts.keys());
  floor = isFull ? Math.min(...[...alerts.values()].map((one) => Date.parse(one.detected_at))) : -Infinity;
}

function announceNews(alerts) {
  const news = alerts.filter((one) => !seen.has(one.alert_id) && Date.parse(one.detected_at) >= floor);
  for (const one of alerts) seen.add(one.alert_id);
  if (isWhole) announce("alerts", news);
  settle();
}

const byId = (items, key) => new Map(items.map((item) => [item[key], item]));

export function connect() {
  if (stream) stream.close();
  page.refused = "";
  const query = new URLSearchParams();
  for (const name of ASKED) if (params.get(name)) query.set(name, params.get(name));
  const mine = stream = new EventSource(`/api/stream?${query}`);
  heardAt = performance.now();
  const receive = (name, take) => mine.addEventListener(name, (event) => {
    if (mine !== stream) return;
    heardAt = performance.now();
    page.broken = false;
    take(JSON.parse(event.data));
  });
  receive("snapshot", (data) => takeSnapshot(data, query.toString()));
  receive("change", takeChange);
  receive("time", (data) => { takeTime(data); settle(); });
  mine.onerror = () => {
    if (mine !== stream) return;
    page.broken = true;
    announce("status");
    // Refused (a filter that is not valid, full, restarting behind a proxy): the browser does not try again by itself.
    if (mine.readyState === EventSource.CLOSED) refused(mine, query);
  };
}

// A stream does not say why it was refused; the same question to the list does. A wrong filter is not asked again.
async function refused(mine, query) {
  const answer = await fetch(`/api/cases?${query}`).catch(() => null);
  const why = answer && answer.status === 400 ? await answer.json().catch(() => null) : null;
  if (mine !== stream) return;
  if (!why) { setTimeout(() => { if (mine === stream) connect(); }, RETRY_MS); return; }
  page.refused = why.error;
  page.view = { cases: new Map(), alerts: new Map(), counts: {}, places: [], rules: [], cities: [], choices: page.view.choices };
  announce("choices");
  announce("status");
  announce("view");
}

// A connection can be dead without an error; the server sends its time every second.
export function reconnectIfSilent() {
  if (page.refused || performance.now() - heardAt <= SILENT_MS) return;
  page.broken = true;
  announce("status");
  connect();
}

function takeSnapshot(data, query) {
  takeTime(data);
  if (page.view.query !== query) isWhole = false;
  page.view = {
    query, find: new URLSearchParams(query).has("find"), cases: byId(data.cases, "case_id"), alerts: byId(data.alerts, "alert_id"),
    counts: data.counts, places: data.places, rules: data.rules, choices: data.choices, cities: data.cities,
  };
  announceNews(data.alerts);
  page.heard = true;
  announce("choices");
  announce("view");
}

function takeChange(data) {
  const { view } = page;
  for (const id of data.cases_gone || []) view.cases.delete(id);
  for (const id of data.alerts_gone || []) view.alerts.delete(id);
  for (const one of data.cases || []) view.cases.set(one.case_id, one);
  for (const one of data.alerts || []) view.alerts.set(one.alert_id, one);
  if (data.counts) view.counts = data.counts;
  if (data.places) view.places = data.places;
  if (data.rules) view.rules = data.rules;
  if (data.cities) view.cities = data.cities;
  if (data.choices) { view.choices = data.choices; announce("choices"); }
  announceNews(data.alerts || []);
  announce("view");
}

function takeTime(data) {
  setClock(data);
  page.loading = data.loading;
  page.delay = data.delay_seconds;
  const notices = noticesOf(data);
  page.partitions = data.partitions;
  const notice = $("notice"), words = notices.join(" "), figures = /[\d,]+/g;
  // A figure that changes must not be read out each time.
  setAttribute(notice, "aria-live", words.replace(figures, "") === notice.textContent.replace(figures, "") ? "off" : "polite");
  setText(notice, words);
  notice.hidden = !notices.length;
  announce("status");
}
