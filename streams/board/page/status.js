// Whether the board is connected and how far the data are behind; the server's time.
import { $, setAttribute, setText } from "./dom.js";
import { approximately, stamp } from "./format.js";
import { MINUTE, page } from "./state.js";
import { number } from "./texts.js";

const SLOW_SECONDS = 5, BAD_SECONDS = 60;

function levelAndWords() {
  const { text } = page;
  if (page.refused) return ["bad", text.refused(page.refused)];
  if (page.broken) return ["bad", text.broken];
  if (!page.clock) return ["wait", text.connecting];
  if (page.loading) return ["wait", text.loading];
  const { current, count } = page.partitions;
  const missing = current < count ? ` · ${text.partitions(current, count)}` : "";
  if (page.delay === null) return ["slow", text.noData + missing];
  if (page.delay < SLOW_SECONDS && !missing) return ["good", text.live(approximately(page.delay))];
  return [page.delay < BAD_SECONDS && !missing ? "slow" : "bad", text.delayed(approximately(page.delay)) + missing];
}

export function renderStatus() {
  const [level, words] = levelAndWords(), status = $("status");
  // A changing figure must not be read out every second: the role speaks only when the kind of news changes.
  setAttribute(status, "aria-live", status.dataset.level === level ? "off" : "polite");
  setAttribute(status, "data-level", level);
  setText($("status-text"), words);
}

export function renderTime(at) {
  const local = new Date(at + page.clock.offset * MINUTE).toISOString();
  setText($("time"), local.slice(11, 19));
  setText($("date"), local.slice(0, 10));
}

// What an answer of the server says that may be wrong or missing in its figures.
export function noticesOf({ incomplete: { count, causes, since }, unknown_rules }) {
  const { text } = page, found = [];
  if (unknown_rules.length) found.push(text.unknownRules(unknown_rules.join(text.list)));
  if (count) {
    const named = causes.map((one) => text.causes[one.cause](one.source || `${one.subject.type} ${one.subject.id}`, number(one.count)));
    found.push(text.mayBeIncomplete(since ? stamp(since) : "", named.join(text.semicolon) + (count > causes.length ? " …" : "")));
  }
  return found;
}
