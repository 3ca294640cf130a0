// Times, lengths of time, places and subjects as words in the page's language.
import { DAY, HOUR, LEVELS, page } from "./state.js";

export const translated = (both) => both ? both[page.language] || both.zh || "" : "";
export const subject = (item) => `${page.text.subjects[item.subject.type] || item.subject.type} ${item.subject.id}`;
export const untimedReason = (item) => item.paused ? page.text.paused : page.text.awaiting;
// An organisation by its name, or by its code where the rulebook directory does not name it.
export const organisation = (code) => translated((page.meta.organisations || {})[code]) || code;
export const place = (org) => LEVELS.slice(1).map((level) => org[level]).filter(Boolean).map(organisation).join(" / ") || (org.province ? organisation(org.province) : page.text.noPlace);
// Addresses of other pages, in the page's language. That of a case names its subject: so it is found after it is over, too.
export function inLanguage(path, query = {}) {
  const found = new URLSearchParams(page.language === "en" ? { ...query, lang: "en" } : query).toString();
  return found ? `${path}?${found}` : path;
}
// A browser takes . and .. in a path for directories, however they are written: such an id stands in the query.
export const subjectAddress = (one) => [".", ".."].includes(one.id) ? inLanguage(`/${one.type}/`, { id: one.id }) : inLanguage(`/${one.type}/${encodeURIComponent(one.id)}`);
export const caseAddress = (id, one) => inLanguage(`/case/${encodeURIComponent(id)}`, { [one.type]: one.id });
const two = (n) => String(n).padStart(2, "0");

let wall = null, wallZone = "";

// Where a local time occurs twice (clocks were turned back) its offset stands beside it.
function offsetIfTwice(iso) {
  const zone = page.meta.zone;
  if (!zone) return "";
  if (wallZone !== zone) {
    wall = new Intl.DateTimeFormat("en", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
    wallZone = zone;
  }
  const at = Date.parse(iso), shown = wall.format(at);
  return [-HOUR, -HOUR / 2, HOUR / 2, HOUR].some((ms) => wall.format(at + ms) === shown) ? ` ${iso.slice(-6)}` : "";
}

export function stamp(iso, withDate = true) {
  // An end of day is written 24:00 of that day, as the limits say it.
  let date = iso.slice(0, 10), time = iso.slice(11, 19);
  if (time === "00:00:00") {
    date = new Date(Date.parse(`${date}T00:00:00Z`) - DAY).toISOString().slice(0, 10);
    time = "24:00";
  }
  time += offsetIfTwice(iso);
  return withDate ? `${date.slice(5)} ${time}` : time;
}

export const full = (iso) => iso.slice(0, 19).replace("T", " ") + offsetIfTwice(iso);
export function duration(ms) {
  const seconds = Math.floor(ms / 1000), days = Math.floor(seconds / 86400);
  const rest = `${two(Math.floor(seconds / 3600) % 24)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return days ? `${days}${page.text.day}${rest}` : rest;
}

export function approximately(seconds) {
  const units = page.language === "zh" ? ["秒", "分钟", "小时", "天"] : ["s", "min", "h", "d"];
  const [value, unit] = seconds < 60 ? [seconds, 0] : seconds < 3600 ? [seconds / 60, 1] : seconds < 86400 ? [seconds / 3600, 2] : [seconds / 86400, 3];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
