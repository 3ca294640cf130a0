// The live board: a view from the server, then its changes; a countdown moved here against the server's clock.
// The page holds as many rows as the server sends, no more. This module joins the others and starts them.
import { readMe } from "./acts.js";
import { $, setAttribute } from "./dom.js";
import { clearFilters, openWhereWide, remember, renderFilters, setFilter } from "./filters.js";
import { switchLanguage, translateHtml } from "./language.js";
import { moveCountdowns, redrawAlerts, redrawCountdowns, redrawRows, renderLists } from "./lists.js";
import { allowSound, highlight, showNews } from "./news.js";
import { renderOverview } from "./overview.js";
import { moveByKeys } from "./rows.js";
import { announce, now, on, page, params, rememberBoard } from "./state.js";
import { renderStatus, renderTime } from "./status.js";
import { connect, reconnectIfSilent } from "./stream.js";

const TICK_MS = 250, REDUCED_TICK_MS = 1000, TYPED_MS = 300;

let planned = false;
function planRender() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    renderLists();
    renderOverview();
    highlight();
  });
}

function tick() {
  const at = now();
  if (at === null) return;
  renderTime(at);
  moveCountdowns(at);
  highlight();
  reconnectIfSilent();
}

function translate() {
  translateHtml(() => page.text);
  document.title = page.text.title;
  redrawCountdowns();
  announce("choices");
  announce("status");
  announce("view");
}

function translateToOther() {
  switchLanguage();
  remember();
  translate();
}

function listenToFilters() {
  for (const select of $("filters").querySelectorAll("select")) {
    select.addEventListener("change", () => setFilter(select.name, select.value));
  }
  const find = $("filters").elements.find;
  let typed = 0;
  find.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => setFilter("find", find.value.trim()), TYPED_MS);
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", clearFilters);
  for (const button of document.querySelectorAll(".states button")) {
    button.addEventListener("click", () => setFilter("state", button.dataset.state === "running" ? "" : button.dataset.state));
  }
  openWhereWide();
}

function listenToSwitches() {
  $("lang").addEventListener("click", translateToOther);
  for (const name of ["sound", "flash"]) {
    const show = () => setAttribute($(name), "aria-pressed", String(params.get(name) === "1"));
    $(name).addEventListener("click", () => {
      if (name === "sound") allowSound();
      setFilter(name, params.get(name) === "1" ? "" : "1");
      show();
    });
    show();
  }
  // Browsers let a page sound only after it was touched; a bookmarked sound=1 waits for that.
  addEventListener("pointerdown", () => { if (params.get("sound") === "1") allowSound(); });
}

function start() {
  rememberBoard();
  on("view", planRender);
  on("choices", renderFilters);
  on("status", renderStatus);
  on("alerts", showNews);
  on("query", connect);
  on("me", redrawAlerts);
  on("meta", () => {
    redrawRows();
    announce("choices");
    announce("view");
  });
  listenToFilters();
  listenToSwitches();
  moveByKeys($("cases"));
  moveByKeys($("late"));
  moveByKeys($("alerts"));
  translate();
  readMe();
  fetch("/api/meta").then((answer) => answer.json()).then((found) => {
    page.meta = found;
    announce("meta");
  }).catch(() => {});
  connect();
  setInterval(tick, matchMedia("(prefers-reduced-motion: reduce)").matches ? REDUCED_TICK_MS : TICK_MS);
}
start();
