// What a person does about an alert: acknowledge, note, assign, silence. A panel for one alert at a time, for any page
// that shows one; read-only with its reason where the server says that nobody who may act is logged in.
import { element, setAttribute, setText } from "./dom.js";
import { full } from "./format.js";
import { announce, now, page } from "./state.js";

const SILENCES = [30, 60, 120, 240, 480, 1440]; // minutes
const MOST_NOTE = 500, MOST_WHO = 100;

export async function readMe() {
  const found = await fetch("/api/me", { redirect: "manual" }).then((answer) => answer.ok ? answer.json() : null).catch(() => null);
  if (found) page.me = found;
  announce("me");
}

// What is so of an alert, by the last of each action.
export const lastOf = (acks, action) => acks.filter((one) => one.action === action).pop();
export function silencedUntil(acks) {
  const found = lastOf(acks, "silence");
  return found && Date.parse(found.until) > (now() ?? 0) && found.until > found.at ? found.until : null;
}

// One entry as [what, the rest], for a list of definitions.
export function entry(ack) {
  const { text } = page;
  const ended = ack.action === "silence" && Date.parse(ack.until) <= Date.parse(ack.at);
  const what = { acknowledge: text.acknowledged, annotate: text.noted, assign: text.assigned, silence: ended ? text.silenceEnded : text.silenced }[ack.action] || ack.action;
  const more = ack.action === "assign" ? `→ ${ack.to}` : ack.action === "silence" && !ended ? text.until(full(ack.until)) : "";
  return [what, [full(ack.at), ack.by, more, ack.note].filter(Boolean).join("  ")];
}

function labelled(name, control) {
  const made = element("label");
  made.append(element("span"), control);
  made.firstChild.dataset.key = name;
  return made;
}

function input(name, most) {
  const made = element("input");
  Object.assign(made, { name, type: "text", maxLength: most, autocomplete: "off", spellcheck: false });
  return made;
}

function button(key, type = "submit") {
  const made = element("button");
  made.type = type;
  made.dataset.key = key;
  return made;
}

function group(key, ...nodes) {
  const made = element("form");
  made.className = key;
  made.append(...nodes);
  return made;
}

// Builds the panel's nodes into an empty container. `show` takes an alert ({alert_id, acks, subject}), or null for none.
export function actPanel(container) {
  const title = element("h3"), reason = element("p", "reason"), said = element("p", "said");
  title.dataset.key = "acts";
  title.id = `${container.id}-title`;
  container.setAttribute("aria-labelledby", title.id);
  said.setAttribute("role", "status");
  const note = input("note", MOST_NOTE), to = input("to", MOST_WHO), length = element("select");
  length.name = "minutes";
  const hint = element("p", "hint");
  hint.dataset.key = "noteHint";
  hint.id = `${container.id}-hint`;
  note.setAttribute("aria-describedby", hint.id);
  const first = button("acknowledge", "button"), end = button("endSilence", "button");
  first.className = "first";
  const controls = element("div", "controls");
  const head = element("div", "head");
  head.append(first, said);
  controls.append(head, group("noting", labelled("note", note), button("addNote")), hint,
    group("assigning", labelled("assignTo", to), button("assign")), group("silencing", labelled("silenceFor", length), button("silence"), end));
  container.append(title, reason, controls);
  let alert = null, busy = false, outcome = null;

  function words() {
    const { text, me } = page;
    for (const node of container.querySelectorAll("[data-key]")) setText(node, text[node.dataset.key]);
    setText(reason, me.may_act ? text.actingAs(me.user) : text.mayNot[me.reason] || me.error || text.mayNot.unknown);
    controls.hidden = !me.may_act;
    if (length.language !== page.language) {
      length.language = page.language;
      const chosen = length.value || "60";
      length.replaceChildren(...SILENCES.map((minutes) => Object.assign(element("option", "", text.minutes(minutes)), { value: minutes })));
      length.value = chosen;
    }
    end.hidden = !alert || !silencedUntil(alert.acks);
    setText(said, outcome ? outcome() : "");
  }

  function show(shown) {
    if (!shown || !alert || shown.alert_id !== alert.alert_id) {
      outcome = null;
      note.value = to.value = "";
    }
    alert = shown;
    container.hidden = !shown;
    words();
  }

  async function act(body) {
    if (busy || !alert) return;
    busy = true;
    const { alert_id } = alert;
    setAttribute(controls, "aria-busy", "true");
    const { ack, problem } = await send(alert, { ...body, ...(note.value.trim() ? { note: note.value } : {}) });
    busy = false;
    setAttribute(controls, "aria-busy", null);
    if (!alert || alert.alert_id !== alert_id) return;
    if (ack) {
      note.value = to.value = "";
      if (!alert.acks.includes(ack)) alert = { ...alert, acks: [...alert.acks, ack] };
    }
    outcome = () => ack ? page.text.done(entry(ack)[0]) : problem();
    words();
  }

  const onSubmit = (name, body) => container.querySelector(name).addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = body();
    if (wanted) act(wanted);
  });
  const needed = (field, key) => {
    if (field.value.trim()) return true;
    outcome = () => page.text[key];
    words();
    field.focus();
    return false;
  };
  first.addEventListener("click", () => act({ action: "acknowledge" }));
  end.addEventListener("click", () => act({ action: "silence", minutes: 0 }));
  onSubmit(".noting", () => needed(note, "noteNeeded") && { action: "annotate" });
  onSubmit(".assigning", () => needed(to, "toNeeded") && { action: "assign", to: to.value });
  onSubmit(".silencing", () => ({ action: "silence", minutes: Number(length.value) }));
  show(null);
  return { show, words };
}

// Sends one act on an alert. Gives {ack}, or {problem}: a function to the words of what went wrong.
export async function send({ alert_id, subject }, body) {
  const { ack, reason, error } = await post({ alert_id, subject, ...body });
  if (ack) announce("acted", ack);
  if (reason === "session") readMe();
  return { ack, problem: () => page.text.failed[reason] || page.text.mayNot[reason] || `${page.text.failed.unknown} ${error}` };
}

async function post(body) {
  try {
    const answer = await fetch("/api/acks", {
      method: "POST", redirect: "manual", body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", "X-Gridclock-Act": "1" },
    });
    if (answer.type === "opaqueredirect" || answer.status === 401) return { reason: "session" };
    return await answer.json();
  } catch (error) {
    return { reason: "unreachable", error: String(error) };
  }
}
