// The map of the cities whose positions are known: a circle grows with what is overdue, and is red where a breach was
// reported today. The table by city says the same in words, and is the way of the keyboard and of screen readers.
import { $ } from "./dom.js";
import { setFilter } from "./filters.js";
import { organisation } from "./format.js";
import { page, params } from "./state.js";
import { shape } from "./svg.js";
import { number } from "./texts.js";

const HEIGHT = 190, TALL = 250, EDGE = 34, SMALLEST = 4, LARGEST = 18, HIT = 12, LINE = 13, LETTER = 7;

// Degrees to pixels: a degree of longitude is narrower by the cosine of the latitude; north is up, all fits.
export function projected(places, width, height) {
  const middle = places.reduce((sum, [, latitude]) => sum + latitude, 0) / places.length;
  const flat = places.map(([longitude, latitude]) => [longitude * Math.cos(middle * Math.PI / 180), -latitude]);
  const [xs, ys] = [0, 1].map((axis) => flat.map((one) => one[axis]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((width - 2 * EDGE) / (right - left || 1e-9), (height - 2 * EDGE) / (bottom - top || 1e-9), 1e4);
  return flat.map(([x, y]) => [width / 2 + (x - (left + right) / 2) * scale, height / 2 + (y - (top + bottom) / 2) * scale]);
}

const words = (one) => `${organisation(one.code)}: ${page.text.overdue} ${number(one.overdue)}, ${page.text.breachesToday} ${number(one.breaches_reported_today)}, ${page.text.redLinesToday} ${number(one.red_lines_reported_today)}`;

function circleOf(one, [x, y], largest) {
  const selected = params.get("city") === one.code, made = shape("g", { class: "city", "data-code": one.code });
  const radius = SMALLEST + (LARGEST - SMALLEST) * Math.sqrt(one.overdue / Math.max(1, largest));
  made.append(shape("circle", { cx: x, cy: y, r: Math.max(HIT, radius), class: "hit" }));
  made.append(shape("circle", {
    cx: x, cy: y, r: radius, class: "spot",
    "data-tone": one.red_lines_reported_today ? "line" : one.breaches_reported_today ? "red" : "blue", ...(selected ? { "data-selected": "" } : {}),
  }));
  made.append(shape("title", {}, words(one)));
  // A second click on the city that is selected shows all of them.
  made.addEventListener("click", () => setFilter("city", selected ? "" : one.code));
  return [made, radius];
}

// Names where there is room, the worst cities' first: under the circle, else beside or over it.
function nameAll(svg, spots, width, height) {
  const taken = spots.map(({ at: [x, y], radius }) => [x - radius, y - radius, x + radius, y + radius]);
  for (const { one, at: [x, y], radius } of spots) {
    const name = organisation(one.code), long = [...name].reduce((sum, letter) => sum + (letter > "\u2e80" ? 12 : LETTER), 0), gap = radius + 2;
    const corners = [[x - long / 2, y + gap], [x + gap, y - LINE / 2], [x - gap - long, y - LINE / 2], [x - long / 2, y - gap - LINE]];
    const box = corners.map(([left, top]) => [left, top, left + long, top + LINE]).find((wanted) =>
      wanted[0] >= 0 && wanted[1] >= 0 && wanted[2] <= width && wanted[3] <= height &&
      !taken.some((other) => wanted[0] < other[2] && wanted[2] > other[0] && wanted[1] < other[3] && wanted[3] > other[1]));
    if (!box) continue;
    taken.push(box);
    svg.append(shape("text", { x: box[0], y: box[3] - 3, class: "label" }, name));
  }
}

export function renderMap() {
  const positions = page.meta.positions || {}, cities = page.view.cities.filter((one) => positions[one.code]);
  $("map-panel").hidden = !cities.length;
  const box = $("map"), width = Math.max(200, box.clientWidth || 300), height = innerHeight < 900 ? HEIGHT : TALL;
  const wanted = JSON.stringify([page.language, params.get("city"), width, height, cities, page.meta.organisations]);
  if (!cities.length || box.wanted === wanted) return;
  box.wanted = wanted;
  const largest = Math.max(...cities.map((one) => one.overdue)), at = projected(cities.map((one) => positions[one.code]), width, height);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": page.text.mapWords, class: "chart" });
  const spots = cities.map((one, index) => ({ one, at: at[index] }))
    .sort((a, b) => b.one.breaches_reported_today - a.one.breaches_reported_today || b.one.overdue - a.one.overdue);
  for (const spot of spots) {
    const [made, radius] = circleOf(spot.one, spot.at, largest);
    [spot.made, spot.radius] = [made, radius];
  }
  // Small ones lie over large ones, so that each can be reached.
  svg.append(...[...spots].sort((a, b) => b.radius - a.radius).map((spot) => spot.made));
  nameAll(svg, spots, width, height);
  box.replaceChildren(svg);
}
