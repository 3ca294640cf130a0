// The page of trends: what /api/trends gives for the filter in the address, as charts with their figures beside them.
import { $, element, setText } from "./dom.js";
import { clearFilters, openWhereWide, options, renderFilters, setFilter } from "./filters.js";
import { approximately, inLanguage, organisation, translated } from "./format.js";
import { switchLanguage, translateHtml } from "./language.js";
import { FILTERS, PERIOD, boardQuery, on, page, params, setClock } from "./state.js";
import { noticesOf } from "./status.js";
import { TREND_TEXTS } from "./trend_texts.js";
import { number } from "./texts.js";
import { drawMissed, drawRates, floorOf } from "./trend_chart.js";

const RETRY_MS = 2000, REFRESH_MS = 300e3, SLOW_SECONDS = 5, PERIODS = [7, 30, 90, 365];
let data = null, problem = null, retry = 0, reading = 0;

const words = () => ({ ...page.text, ...TREND_TEXTS[page.language] });
const missed = (one) => one.breaches + one.violations;

// Never 100.0 where not all were on time.
function percent({ decided, on_time }) {
  const rounded = (100 * on_time / decided).toFixed(1);
  return rounded === "100.0" && on_time < decided ? "99.9" : rounded;
}
const rateWords = (one) => one.decided ? words().rateOf(percent(one), one.decided) : [words().nothing, ""];
const dayWords = (one) => one.day + (one.day === data.today ? words().soFar : "");

function notices() {
  const text = words(), { first, last } = data.known, found = noticesOf(data);
  if (data.source === "board") found.push(first ? text.fromBoard(first, last) : text.boardKnowsNone);
  else found.push(first ? text.fromDatabase(first, last) : text.databaseKnowsNone);
  if (data.delay_seconds !== null && data.delay_seconds >= SLOW_SECONDS) found.push(text.delayedBy(approximately(data.delay_seconds)));
  return found;
}

function fillTotals() {
  const text = words(), { total } = data, [rate, of] = rateWords(total);
  const tiles = [
    [text.rate, rate, of, null], [text.breaches, number(total.breaches), "", "red"],
    [text.violations, number(total.violations), "", "red"], [text.redLines, number(total.red_lines), "", "line"],
  ];
  $("totals").querySelector("dl").replaceChildren(...tiles.map(([name, value, note, tone]) => {
    const tile = element("div");
    if (tone && value !== "0") tile.dataset.tone = tone;
    tile.append(element("dt", "", name), element("dd", "figure", value));
    if (note) tile.append(element("dd", "note", note));
    return tile;
  }));
}

function heads(id, first) {
  const text = words(), row = element("tr");
  for (const name of [first, text.rate, text.breaches, text.violations, text.redLines]) {
    const head = element("th", "", name);
    head.scope = "col";
    row.append(head);
  }
  $(id).replaceChildren(row);
}

function cells(one) {
  const [rate, of] = rateWords(one), first = element("td", "", rate);
  if (of) first.append(" ", element("span", "beside", of));
  const others = [[one.breaches, "red"], [one.violations, "red"], [one.red_lines, "line"]].map(([value, tone]) => {
    const cell = element("td", "", number(value));
    if (value) cell.dataset.tone = tone;
    return cell;
  });
  return [first, ...others];
}

function fillDays() {
  heads("day-heads", words().day);
  $("day-rows").replaceChildren(...data.days.filter((one) => one.decided !== null).reverse().map((one) => {
    const row = element("tr"), head = element("th", "", dayWords(one));
    head.scope = "row";
    row.append(head, ...cells(one));
    return row;
  }));
}

// A row's name narrows the filter to it, as on the board.
function fillTable(name, first, items, filter, named) {
  heads(`${name}-heads`, first);
  $(`${name}-rows`).replaceChildren(...items.map((one) => {
    const row = element("tr"), head = element("th");
    head.scope = "row";
    if (one.code) {
      const button = element("button", "", named(one.code));
      button.type = "button";
      button.addEventListener("click", () => setFilter(filter, one.code));
      head.append(button);
    } else head.textContent = named(one.code);
    row.append(head, ...cells(one));
    return row;
  }));
  const omitted = data.omitted[`${name}s`];
  $(`${name}s-omitted`).hidden = !omitted;
  setText($(`${name}s-omitted`), omitted ? words().omittedRows(omitted) : "");
}

function alternatives() {
  const text = words(), known = data.days.filter((one) => one.decided);
  if (!known.length) return [text.emptyAlternative, text.emptyAlternative];
  const sorted = [...known].sort((a, b) => a.rate - b.rate), most = known.reduce((a, b) => missed(b) > missed(a) ? b : a);
  const said = (one) => text.onDay(`${percent(one)}%`, one.day);
  return [
    text.rateAlternative(rateWords(data.total).join(page.text.list), said(sorted[sorted.length - 1]), said(sorted[0])),
    text.missedAlternative(number(missed(data.total)), number(data.total.red_lines), text.onDay(number(missed(most)), most.day)),
  ];
}

function drawCharts() {
  if (!data) return;
  const text = words(), [rates, bars] = alternatives();
  setText($("rate-caption"), text.rateCaption(floorOf(data.days)));
  setText($("missed-caption"), text.missedCaption);
  drawRates($("rate-chart"), data.days, rates, (one) => `${dayWords(one)} ${rateWords(one).join(" ")}`);
  drawMissed($("missed-chart"), data.days, bars, (one) =>
    `${dayWords(one)} ${text.breaches} ${number(one.breaches)}, ${text.violations} ${number(one.violations)}, ${text.redLines} ${number(one.red_lines)}`);
}

function fillFilters() {
  const text = words(), form = $("filters").elements;
  renderFilters();
  const days = Number(params.get("days")) || 30, periods = [...new Set([...PERIODS, days])].sort((a, b) => a - b);
  options(form.days, periods.filter((n) => n !== 30).map((n) => [String(n), text.lastDays(n)]), text.lastDays(30));
  if (PERIOD.some((name) => params.get(name))) $("clear").disabled = false;
  $("back").href = inLanguage("/board", { ...boardQuery(), ...Object.fromEntries(FILTERS.filter((name) => params.get(name)).map((name) => [name, params.get(name)])) });
}

function draw() {
  translateHtml(words);
  const text = words();
  document.title = `${text.trendsTitle} · ${page.text.title}`;
  fillFilters();
  $("figures").hidden = !data;
  $("state").hidden = Boolean(data) && !problem;
  setText($("state"), problem ? problem(text) : text.reading);
  if (!data) return;
  setText($("period"), text.period(data.since, data.until));
  const found = notices();
  $("notices").replaceChildren(...found.map((one) => element("li", "notice", one)));
  $("notices").hidden = !found.length;
  fillTotals();
  fillDays();
  const titles = new Map(page.meta.rules.map((one) => [one.id, one]));
  fillTable("rule", page.text.rule, data.rules, "rule", (code) => translated((titles.get(code) || {}).title) || code);
  setText($("places-title"), page.text.places[data.level]);
  fillTable("place", page.text[data.level], data.places, data.level, (code) => code ? organisation(code) : page.text.noPlace);
  drawCharts();
}

async function read() {
  clearTimeout(retry);
  const mine = ++reading, query = new URLSearchParams();
  for (const name of [...FILTERS, "days", "until"]) if (params.get(name)) query.set(name, params.get(name));
  let again = RETRY_MS;
  try {
    const answer = await fetch(`/api/trends?${query}`), found = await answer.json();
    if (mine !== reading) return;
    if (answer.ok) {
      [data, problem, again] = [found, null, REFRESH_MS];
      page.refused = "";
      page.view.choices = data.choices;
      setClock(data);
    } else if (answer.status === 400) {
      // A wrong filter has no figures and is not asked again.
      [data, page.refused, again] = [null, found.error, 0];
      problem = () => page.text.refused(found.error);
    } else {
      problem = (text) => text.unreadable(found.error);
    }
  } catch {
    if (mine !== reading) return;
    problem = (text) => text.noAnswer;
  }
  draw();
  if (again) retry = setTimeout(read, again);
}

function drawInOtherLanguage() {
  switchLanguage();
  const found = params.toString();
  history.replaceState(null, "", found ? `?${found}` : location.pathname);
  draw();
}

function start() {
  if (params.get("days") === "30") params.delete("days"); // what is meant without
  for (const select of $("filters").querySelectorAll("select")) select.addEventListener("change", () => setFilter(select.name, select.value));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", () => { for (const name of PERIOD) params.delete(name); clearFilters(); });
  $("lang").addEventListener("click", drawInOtherLanguage);
  $("print").addEventListener("click", () => print());
  openWhereWide();
  on("query", read);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawCharts(); } });
  draw();
  fetch("/api/meta").then((answer) => answer.json()).then((found) => { page.meta = found; draw(); }).catch(() => {});
  read();
}
start();
