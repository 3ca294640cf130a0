// The filters: kept in the address, offered as the server knows them.
import { $, element, setAttribute, setText } from "./dom.js";
import { inLanguage, organisation, translated } from "./format.js";
import { ASKED, FILTERS, PERIOD, LEVELS, announce, page, params, rememberBoard, selected } from "./state.js";

export function setFilter(name, value) {
  if (value) params.set(name, value);
  else params.delete(name);
  // A narrower place means nothing under another one.
  if (LEVELS.includes(name)) for (const below of LEVELS.slice(LEVELS.indexOf(name) + 1)) params.delete(below);
  if (name === "chapter") params.delete("rule");
  remember();
  if (ASKED.includes(name) || PERIOD.includes(name)) announce("query");
  announce("choices");
  announce("view");
}

export function clearFilters() {
  for (const name of page.refused ? ASKED : FILTERS) params.delete(name);
  const { find } = $("filters").elements;
  if (find) find.value = "";
  setFilter("city", "");
}

// On wide screens the filters are always open; the summary that opens them is not shown there.
export function openWhereWide() {
  const wide = matchMedia("(min-width: 1200px)");
  const fit = () => { $("filter-box").open = wide.matches || $("filter-box").open; };
  wide.addEventListener("change", fit);
  fit();
}

export function remember() {
  rememberBoard();
  const query = params.toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
}

// `all` is the choice of no value.
export function options(select, choices, all = page.text.all) {
  const value = params.get(select.name) || "";
  if (value && !choices.some(([key]) => key === value)) choices = [...choices, [value, value]];
  const wanted = JSON.stringify([page.language, all, choices]);
  if (select.wanted !== wanted) {
    select.wanted = wanted;
    select.replaceChildren(...[["", all], ...choices].map(([key, words]) => {
      const option = element("option", "", words);
      option.value = key;
      return option;
    }));
  }
  if (select.value !== value) select.value = value;
}

export function renderFilters() {
  const form = $("filters").elements;
  for (const level of LEVELS) options(form[level], (page.view.choices[level] || []).map((code) => [code, organisation(code)]));
  options(form.chapter, page.meta.chapters.map((one) => [one.id, `${one.id} ${translated(one.title)}`]));
  const chapter = params.get("chapter");
  options(form.rule, page.meta.rules.filter((one) => !chapter || one.chapter === chapter).map((one) => [one.id, `${one.clause} ${translated(one.title)}`]));
  options(form.severity, [["red_line", page.text.red_line], ["norm", page.text.norm]]);
  const find = params.get("find") || "";
  if (form.find && document.activeElement !== form.find && form.find.value !== find) form.find.value = find;
  const asked = new URLSearchParams([...ASKED, ...PERIOD].filter((name) => params.get(name)).map((name) => [name, params.get(name)]));
  for (const link of document.querySelectorAll(".files a")) {
    setAttribute(link, "href", `/api/${link.dataset.list}.${link.dataset.form}?${asked}`);
    setAttribute(link, "aria-label", page.text.download(page.text[link.dataset.list], link.textContent));
  }
  const narrowed = FILTERS.filter((name) => params.get(name)), count = narrowed.length;
  if ($("trends")) setAttribute($("trends"), "href", inLanguage("/trends", Object.fromEntries(narrowed.filter((name) => name !== "find").map((name) => [name, params.get(name)]))));
  setText($("filter-count"), count ? `(${count})` : "");
  $("clear").disabled = count === 0 && !page.refused;
  for (const button of document.querySelectorAll(".states button")) setAttribute(button, "aria-pressed", String(!find && button.dataset.state === selected()));
  const where = LEVELS.map((level) => params.get(level)).filter(Boolean).map(organisation);
  const rest = [];
  if (chapter) rest.push(translated((page.meta.chapters.find((one) => one.id === chapter) || {}).title) || chapter);
  if (params.get("rule")) rest.push(translated((page.meta.rules.find((one) => one.id === params.get("rule")) || {}).title) || params.get("rule"));
  if (params.get("severity")) rest.push(page.text[params.get("severity")] || params.get("severity"));
  if (find) rest.push(`${page.text.find} ${find}…`);
  setText($("scope"), [where.join(" / ") || page.text.whole, ...rest].join(" · "));
}
