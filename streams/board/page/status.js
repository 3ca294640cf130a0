// Whether the board is connected and how far the data are behind; the server's time.
import { $, setAttribute, setText } from "./dom.js";
import { approximately } from "./format.js";
import { MINUTE, page } from "./state.js";

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
