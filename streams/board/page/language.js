// The language of a page: the words that stand in its HTML, and the button that switches it.
import { $, setText } from "./dom.js";
import { page, params, readLanguage } from "./state.js";

// Reads the language from the address and writes the words of the HTML; `words` gives those of this page.
export function translateHtml(words) {
  readLanguage();
  const text = words();
  document.documentElement.lang = page.language === "en" ? "en" : "zh-CN";
  for (const node of document.querySelectorAll("[data-text]")) setText(node, text[node.dataset.text]);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", page.text[node.dataset.label]);
  setText($("lang"), page.text.languageName);
  $("lang").lang = page.text.other === "en" ? "en" : "zh-CN";
}

// Puts the other language into the address's parameters.
export function switchLanguage() {
  if (page.text.other === "zh") params.delete("lang");
  else params.set("lang", page.text.other);
}
