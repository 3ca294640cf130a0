// A list of rows that keeps its nodes, its focus and one stop for the Tab key while its items change.
import { element } from "./dom.js";
import { page } from "./state.js";

export function renderRows(list, items, key, make, fill) {
  const rows = new Map([...list.children].map((node) => [node.dataset.id, node]));
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("li") : null;
  const place = focused ? [...list.children].indexOf(focused) : -1;
  const wanted = new Set(items.map((item) => item[key]));
  for (const [id, node] of rows) if (!wanted.has(id)) { node.remove(); rows.delete(id); }
  let before = list.firstChild;
  for (const item of items) {
    let node = rows.get(item[key]);
    if (!node) {
      node = element("li");
      node.dataset.id = item[key];
      node.append(make());
    }
    if (node.item !== item || node.language !== page.language) { fill(node.firstChild, item); node.item = item; node.language = page.language; }
    if (node === before) before = before.nextSibling;
    else list.insertBefore(node, before);
  }
  // One stop for the Tab key in each list; the arrow keys move inside it.
  const stop = list.querySelector(".row[tabindex='0']");
  if (!stop && list.firstChild) setStop(list.firstChild.firstChild, 0);
  if (focused) {
    const target = focused.isConnected ? focused : list.children[Math.min(place, list.children.length - 1)];
    if (!target) list.focus();
    else if (!target.contains(document.activeElement)) move(list, target.firstChild);
  }
}

// A row is a link to its case page.
export function rowLink(className) {
  const made = element("a", "row");
  made.tabIndex = -1;
  for (const name of className) made.append(element("span", name));
  return made;
}

// The row that the Tab key stops at, and a button beside it.
function setStop(row, tabIndex) {
  row.tabIndex = tabIndex;
  if (row.nextElementSibling) row.nextElementSibling.tabIndex = tabIndex;
}

function move(list, row) {
  for (const other of list.querySelectorAll(".row[tabindex='0']")) setStop(other, -1);
  setStop(row, 0);
  row.focus();
}

export function moveByKeys(list) {
  list.addEventListener("keydown", (event) => {
    const rows = [...list.querySelectorAll(".row")], at = rows.indexOf(document.activeElement);
    if (at < 0) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + 10, PageUp: at - 10 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(list, rows[Math.max(0, Math.min(rows.length - 1, to))]);
  });
  list.addEventListener("focusin", (event) => {
    const row = event.target.closest(".row");
    if (row && row.tabIndex !== 0) move(list, row);
  });
}
