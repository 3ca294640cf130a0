// The tiles with the counts, and the counts by place and by rule.
import { $, element, setAttribute, setText } from "./dom.js";
import { setFilter } from "./filters.js";
import { organisation, translated } from "./format.js";
import { renderMap } from "./map.js";
import { page, params } from "./state.js";
import { number } from "./texts.js";

export function renderOverview() {
  renderTiles();
  renderBreakdown();
  renderMap();
}

// Under what was reported today: how many of it fell due (or happened) today, and how many nobody has acknowledged.
function notes(counts, kind, word, withAcks) {
  const open = counts[`unacknowledged_${kind}_today`];
  const found = counts[`${kind}_reported_today`] ? [page.text[word](number(counts[`${kind}_due_today`]))] : [];
  if (withAcks && open) found.push(page.text.unacknowledged(number(open)));
  return found.join(" · ");
}

// Count, name, colour, note, and the list that shows what was counted with the filter that it needs.
const TILES = [
  ["running", "running", "blue", (c) => c.untimed ? page.text.untimedNote(number(c.untimed)) : "", "cases", { state: "" }],
  ["due_today", "dueToday", "blue", null, "cases", { state: "" }],
  ["due_1_h", "due60", "amber", null, "cases", { state: "" }], ["due_15_min", "due15", "orange", null, "cases", { state: "" }],
  ["overdue", "overdue", "red", null, "cases", { state: "overdue" }],
  ["breaches_reported_today", "breachesToday", "red", (c) => notes(c, "breaches", "dueOfThem", true), "alerts", {}],
  ["violations_reported_today", "violationsToday", "red", (c) => notes(c, "violations", "happenedOfThem", true), "alerts", {}],
  ["red_lines_reported_today", "redLinesToday", "line", (c) => notes(c, "red_lines", "dueOfThem", false), "alerts", { severity: "red_line" }],
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
    const tile = list.children[index], value = page.view.counts[key] || 0, shown = page.refused || !page.heard ? "—" : number(value);
    setText(tile.children[0], page.text[name]);
    setText(tile.children[1].firstChild, shown);
    setAttribute(tile.children[1].firstChild, "aria-label", `${page.text[name]} ${shown}`);
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
    const red = item.red_lines_reported_today, redDue = item.red_lines_due_today;
    [red, item.overdue, item.due_1_h, item.running].forEach((value, at) => {
      setText(row.children[at + 1], at === 0 && (red || redDue) ? `${number(red)} / ${number(redDue)}` : number(value));
      setAttribute(row.children[at + 1], "data-tone", value > 0 ? ["line", "red", "amber", null][at] : null);
    });
  });
}

