// Short notices: for screen readers alone, or for everybody with perhaps something to do.

import { byId } from "./dom.js";

const TOAST_MS = 7000;
let timer = 0;

export function say(text) {
  byId("status").textContent = text;
}

export function toast(text, label = "", action = null) {
  const box = byId("toast");
  const button = byId("toast-action");
  byId("toast-text").textContent = text;
  button.textContent = label;
  button.hidden = action === null;
  const close = () => {
    clearTimeout(timer);
    box.hidden = true;
  };
  button.onclick = () => {
    close();
    action();
  };
  box.hidden = false;
  say(text);
  clearTimeout(timer);
  // Whoever is on the button gets the time to press it.
  const later = () => {
    timer = setTimeout(() => {
      if (box.matches(":hover, :focus-within")) later();
      else close();
    }, TOAST_MS);
  };
  later();
}
