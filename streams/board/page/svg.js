// Shapes of SVG as nodes.

const SVG = "http://www.w3.org/2000/svg";

export function shape(tag, attributes, content) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (content !== undefined) made.textContent = content;
  return made;
}
