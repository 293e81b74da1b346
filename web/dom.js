// Making elements. Text goes in as text only: nothing here, or elsewhere in this page, parses HTML.

import { icon } from "./icons.js";

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function iconButton(name, label, onclick, more = "") {
  const button = el("button", {
    type: "button", class: `icon-button ${more}`.trim(), "aria-label": label, title: label, onclick,
  });
  button.append(icon(name));
  return button;
}

export const byId = (id) => document.getElementById(id);
