// The button beside an alert in the list, by which whoever may act acknowledges it without opening its page.
import { entry, send } from "./acts.js";
import { $, element, setText } from "./dom.js";
import { subject } from "./format.js";
import { announce, page } from "./state.js";

// `row` is the alert's link, first in its list item; the button comes and goes with what is so of the alert.
export function quickAcknowledge(row, item, isAcknowledged) {
  const wanted = page.me.may_act && !isAcknowledged && item.state !== "retracted";
  let made = row.nextElementSibling;
  if (!wanted) {
    made?.remove();
    return;
  }
  if (!made) {
    made = element("button", "quick");
    made.type = "button";
    made.tabIndex = row.tabIndex;
    row.after(made);
  }
  setText(made, page.text.acknowledge);
  made.setAttribute("aria-label", `${page.text.acknowledge} ${subject(item)}`);
  made.onclick = () => acknowledge(item, made);
}

async function acknowledge(item, button) {
  if (button.busy) return;
  button.busy = true; // not disabled: that would lose the focus
  const { ack, problem } = await send(item, { action: "acknowledge" });
  button.busy = false;
  setText($("alerts-said"), `${subject(item)}: ${ack ? page.text.done(entry(ack)[0]) : problem()}`);
  const now = page.view.alerts.get(item.alert_id);
  if (!ack || !now) return;
  // At once; the stream brings the same again.
  if (!now.acks.some((one) => one.at === ack.at && one.by === ack.by)) page.view.alerts.set(item.alert_id, { ...now, acks: [...now.acks, ack] });
  announce("view");
}
