// New alerts: highlighted and read out to screen readers; with sound and flash only where they are switched on.
import { $, element } from "./dom.js";
import { translated } from "./format.js";
import { page, params } from "./state.js";

const HIGHLIGHT_MS = 6000, NEWS_MS = 5000;
const highlighted = new Map(); // alert_id to the performance time until which its row is marked

let waiting = [], announcedAt = -NEWS_MS, timer = 0;

export function showNews(alerts) {
  const open = alerts.filter((alert) => alert.state === "open")
    .sort((a, b) => Date.parse(a.detected_at) - Date.parse(b.detected_at));
  if (!open.length) return;
  const until = performance.now() + HIGHLIGHT_MS;
  for (const alert of open) highlighted.set(alert.alert_id, until);
  waiting.push(...open.slice(-20));
  if (!timer) timer = setTimeout(readOut, Math.max(0, announcedAt + NEWS_MS - performance.now()));
  if (params.get("flash") === "1") {
    document.body.classList.add("flashing");
    setTimeout(() => document.body.classList.remove("flashing"), 2600);
  }
  if (params.get("sound") === "1") beep(open.some((alert) => alert.severity === "red_line") ? 3 : 1);
}

function readOut() {
  timer = 0;
  announcedAt = performance.now();
  const last = waiting[waiting.length - 1];
  $("live").replaceChildren(element("p", "", page.text.news(waiting.length, translated(last.explanation))));
  waiting = [];
}

let audio = null;

export function allowSound() {
  audio = audio || new AudioContext();
  if (audio.state === "suspended") audio.resume().catch(() => {});
}

function beep(times) {
  allowSound();
  for (let index = 0; index < times; index += 1) {
    const tone = audio.createOscillator(), gain = audio.createGain(), at = audio.currentTime + index * 0.35;
    tone.frequency.value = 880;
    gain.gain.setValueAtTime(0.0001, at);
    gain.gain.exponentialRampToValueAtTime(0.2, at + 0.03);
    gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.28);
    tone.connect(gain).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.3);
  }
}

export function highlight() {
  const at = performance.now();
  for (const [id, until] of highlighted) if (until < at) highlighted.delete(id);
  for (const row of $("alerts").children) row.firstChild.classList.toggle("fresh", highlighted.has(row.dataset.id));
}
