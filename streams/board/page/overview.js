// The tiles with the counts, and the counts by place and by rule.
import { $, element, setAttribute, setText } from "./dom.js";
import { setFilter } from "./filters.js";
import { organisation, translated } from "./format.js";
import { page, params } from "./state.js";
import { number } from "./texts.js";

export function renderOverview() {
  renderTiles();
  renderBreakdown();
}

// Count, name, colour, note, and the list that shows what was counted with the filter that it needs.
const TILES = [
  ["running", "running", "blue", (c) => c.untimed ? page.text.untimedNote(number(c.untimed)) : "", "cases", { state: "" }],
  ["due_today", "dueToday", "blue", null, "cases", { state: "" }],
  ["due_1_h", "due60", "amber", null, "cases", { state: "" }], ["due_15_min", "due15", "orange", null, "cases", { state: "" }],
  ["overdue", "overdue", "red", null, "cases", { state: "overdue" }],
  ["breaches_today", "breachesToday", "red", (c) => c.unacknowledged_today ? page.text.unacknowledged(number(c.unacknowledged_today)) : "", "alerts", {}],
  ["violations_today", "violationsToday", "red", null, "alerts", {}], ["red_lines_today", "redLinesToday", "line", null, "alerts", { severity: "red_line" }],
];
function showList(list, wanted) {
  for (const [name, value] of Object.entries(wanted)) setFilter(name, value);
  $(list).closest(".panel").scrollIntoView({ block: "nearest" });
  $(list).focus();
}
function renderTiles() {
  const list = $("tiles");
  if (!list.children.length) for (const [key, , tone, , shows, wanted] of TILES) {
    const tile = element("div"), figure = element("dd", "figure"), button = element("button");
    button.type = "button";
    button.addEventListener("click", () => showList(shows, wanted));
    figure.append(button);
    tile.dataset.key = key;
    tile.dataset.tone = tone;
    tile.append(element("dt"), figure, element("dd", "note"));
    list.append(tile);
  }
  TILES.forEach(([key, name, , note], index) => {
    const tile = list.children[index], value = page.view.counts[key] || 0;
    setText(tile.children[0], page.text[name]);
    setText(tile.children[1].firstChild, number(value));
    setAttribute(tile.children[1].firstChild, "aria-label", `${page.text[name]} ${number(value)}`);
    setText(tile.children[2], note ? note(page.view.counts) : "");
    setAttribute(tile, "data-some", value > 0 ? "" : null);
  });
}

function renderBreakdown() {
  const level = params.get("county") || params.get("unit") ? "unit" : params.get("city") ? "county" : "city";
  setText($("places-title"), page.text.places[level]);
  setText($("places-level"), page.text[level]);
  setText($("rules-title"), page.text.byRule);
  setText($("rules-level"), page.text.rule);
  renderTable($("places"), page.view.places, level, (code) => code ? organisation(code) : page.text.noPlace);
  const titles = new Map(page.meta.rules.map((one) => [one.id, one]));
  renderTable($("rules"), page.view.rules, "rule", (code) => translated((titles.get(code) || {}).title) || code);
}

function renderTable(body, items, name, words) {
  while (body.children.length > items.length) body.lastChild.remove();
  items.forEach((item, index) => {
    let row = body.children[index];
    if (!row) {
      row = element("tr");
      const head = element("th"), button = element("button");
      head.scope = "row";
      button.type = "button";
      button.addEventListener("click", () => { if (row.code) setFilter(row.name, row.code); });
      head.append(button);
      row.append(head, element("td"), element("td"), element("td"), element("td"));
      body.append(row);
    }
    row.code = item.code;
    row.name = name;
    setText(row.children[0].firstChild, words(item.code));
    [item.red_lines_today, item.overdue, item.due_1_h, item.running].forEach((value, at) => {
      setText(row.children[at + 1], number(value));
      setAttribute(row.children[at + 1], "data-tone", value > 0 ? ["line", "red", "amber", null][at] : null);
    });
  });
}

