// What the page knows: its address, its language, the last view from the server and the server's clock; and the
// announcements by which one part of the page makes another follow: "view", "choices", "status", "alerts", "query", "me".
import { TEXTS } from "./texts.js";

export const LEVELS = ["province", "city", "county", "unit"];
export const FILTERS = [...LEVELS, "chapter", "rule", "severity", "find"];
export const ASKED = [...FILTERS, "state", "shift", "cases", "alerts"]; // what the server is asked for
export const PERIOD = ["days", "until"]; // and for trends, beside the filters
export const MINUTE = 60e3, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

export const params = new URLSearchParams(location.search);
export const page = {
  language: "zh", text: TEXTS.zh,
  meta: { rules: [], chapters: [] },
  view: { cases: new Map(), alerts: new Map(), counts: {}, places: [], rules: [], cities: [], choices: {} },
  clock: null, // {server: ms, local: performance ms, speed, offset: minutes east}
  me: { may_act: false, user: null, reason: null, error: null }, // who acts here, as /api/me says
  loading: true, delay: null, partitions: null, broken: false, refused: "", heard: false,
};

// The board's filters as last set in this tab, for the way back from a case page; the language is the page's own.
export function rememberBoard() {
  if (location.pathname !== "/board") return;
  try { sessionStorage.setItem("board", params.toString()); } catch { /* storage is switched off */ }
}
export function boardQuery() {
  let found = "";
  try { found = sessionStorage.getItem("board") || ""; } catch { /* storage is switched off */ }
  return Object.fromEntries([...new URLSearchParams(found)].filter(([name]) => name !== "lang"));
}

export const shift = () => Number(params.get("shift")) || 8; // hours
export const selected = () => params.get("state") || "running";

export function readLanguage() {
  page.language = params.get("lang") === "en" ? "en" : "zh";
  page.text = TEXTS[page.language];
}

// The server's time in an answer of its API.
export function setClock(data) {
  const sign = data.now.slice(-6, -5) === "-" ? -1 : 1;
  const offset = data.now.endsWith("Z") ? 0 : sign * (Number(data.now.slice(-5, -3)) * 60 + Number(data.now.slice(-2)));
  page.clock = { server: Date.parse(data.now), local: performance.now(), speed: data.speed, offset };
}

export function now() {
  const { clock } = page;
  return clock ? clock.server + (performance.now() - clock.local) * clock.speed : null;
}

const announcements = new EventTarget();
export const announce = (name, detail) => announcements.dispatchEvent(new CustomEvent(name, { detail }));
export const on = (name, follow) => announcements.addEventListener(name, (event) => follow(event.detail));
