// The page's language: from the settings, else the browser's first that we have, else English.

import { WORDS } from "./words.js";

let language = "en";

export function pickLanguage(saved, preferred) {
  if (saved in WORDS) return saved;
  for (const tag of preferred) {
    const base = tag.toLowerCase().split("-")[0];
    if (base in WORDS) return base;
  }
  return "en";
}

export function t(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

export function currentLanguage() {
  return language;
}

export function number(value, digits = 0) {
  return value.toLocaleString(language === "zh" ? "zh-CN" : "en", {
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
}

export function setLanguage(next) {
  language = next;
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
  translate(document);
}

export function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) {
    const words = t(node.dataset.tLabel);
    node.setAttribute("aria-label", words);
    if (node.tagName === "BUTTON") node.title = words;
  }
  for (const node of root.querySelectorAll("[data-t-placeholder]")) {
    node.placeholder = t(node.dataset.tPlaceholder);
  }
}
