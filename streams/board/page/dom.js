// Small helpers for the page's nodes. Everything from outside goes in as text.

// A part of an address as text; people also type a % that stands for itself, as in 100%.
export function decoded(part) {
  try { return decodeURIComponent(part.replace(/%(?![0-9a-f]{2})/gi, "%25")); } catch { return part; }
}

export const $ = (id) => document.getElementById(id);

export function element(tag, className, content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

export function setText(node, content) { if (node.textContent !== content) node.textContent = content; }
export function setAttribute(node, name, value) {
  if (value === null || value === false) { if (node.hasAttribute(name)) node.removeAttribute(name); }
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function badge(tone, content) {
  const made = element("span", "badge", content);
  made.dataset.tone = tone;
  return made;
}
