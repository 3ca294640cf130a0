// Two charts of days, drawn as SVG: a line of rates, and bars of what was missed. Each has its words as its name.

import { shape } from "./svg.js";

const HEIGHT = 210, LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 26, LABEL = 64;

// The frame: lines and labels of the value axis, labels of days; the days are bands of one width.
function frame(box, days, words, ticks, label) {
  const width = Math.max(280, box.clientWidth || 720), band = (width - LEFT - RIGHT) / days.length;
  const low = ticks[0], high = ticks[ticks.length - 1];
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low));
  const x = (index) => LEFT + band * (index + .5);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": words, class: "chart" });
  for (const tick of ticks) {
    svg.append(shape("line", { x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick), class: "grid" }));
    svg.append(shape("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end", class: "label" }, label(tick)));
  }
  const step = Math.ceil(days.length * LABEL / (width - LEFT - RIGHT));
  // From the last day back, which is the one that is looked for.
  for (let index = days.length - 1; index >= 0; index -= step) {
    if (index < days.length - 1 && x(index) < LEFT) continue;
    svg.append(shape("text", { x: Math.min(x(index), width - 20), y: HEIGHT - 8, "text-anchor": "middle", class: "label" }, days[index].day.slice(5)));
  }
  days.forEach((one, index) => {
    if (one.decided === null) svg.append(shape("rect", { x: x(index) - band / 2, y: TOP, width: band, height: HEIGHT - TOP - BOTTOM, class: "unknown" }));
  });
  box.replaceChildren(svg);
  return { svg, x, y, band };
}

// What a pointer shows over a day's band.
function hints({ svg, x, band }, days, hint) {
  days.forEach((one, index) => {
    if (one.decided === null) return;
    const area = shape("rect", { x: x(index) - band / 2, y: TOP, width: band, height: HEIGHT - TOP - BOTTOM, class: "hint" });
    area.append(shape("title", {}, hint(one)));
    svg.append(area);
  });
}

// Where the axis of rates begins: below the lowest, at a step that leaves few lines.
export function floorOf(days) {
  const lowest = Math.min(1, ...days.filter((one) => one.rate !== null).map((one) => one.rate)) * 100;
  return lowest >= 95 ? 95 : lowest >= 90 ? 90 : lowest >= 80 ? 80 : lowest >= 50 ? 50 : 0;
}

export function drawRates(box, days, words, hint) {
  const floor = floorOf(days), step = (100 - floor) / 5;
  const found = frame(box, days, words, [0, 1, 2, 3, 4, 5].map((n) => floor + n * step), (tick) => `${tick}%`);
  const { svg, x, y, band } = found;
  let line = [];
  const draw = () => { if (line.length > 1) svg.append(shape("polyline", { points: line.join(" "), class: "rate" })); line = []; };
  days.forEach((one, index) => {
    // A day without a decided case is a gap, never a zero.
    if (one.rate === null) draw();
    else line.push(`${x(index).toFixed(1)},${y(one.rate * 100).toFixed(1)}`);
  });
  draw();
  days.forEach((one, index) => {
    if (one.rate !== null) svg.append(shape("circle", { cx: x(index).toFixed(1), cy: y(one.rate * 100).toFixed(1), r: Math.max(1.5, Math.min(4, band / 3)), class: "point" }));
  });
  hints(found, days, hint);
}

// Whole numbers, at most six lines.
function countTicks(most) {
  const rough = Math.max(1, most) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough));
  return Array.from({ length: Math.ceil(Math.max(1, most) / step) + 1 }, (_, n) => n * step);
}

export function drawMissed(box, days, words, hint) {
  const most = Math.max(0, ...days.map((one) => one.breaches + one.violations));
  const found = frame(box, days, words, countTicks(most), (tick) => tick >= 10_000 ? `${tick / 1000}k` : String(tick));
  const { svg, x, y, band } = found, width = Math.max(1, band * .7);
  days.forEach((one, index) => {
    const missed = one.breaches + one.violations, at = x(index) - width / 2;
    if (!missed) return;
    svg.append(shape("rect", { x: at, y: y(missed), width, height: y(0) - y(missed), class: "missed" }));
    if (one.red_lines) svg.append(shape("rect", { x: at, y: y(one.red_lines), width, height: y(0) - y(one.red_lines), class: "red" }));
  });
  hints(found, days, hint);
}
