// Copying, also where the Clipboard API is missing (plain http beyond localhost).

import { icon } from "./icons.js";
import { t } from "./i18n.js";
import { say, toast } from "./notice.js";

const SHOWN_MS = 1500;

async function write(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused: the older way may still be allowed.
    }
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  document.body.append(field);
  const focused = document.activeElement;
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return done;
}

export async function copyText(text, button) {
  if (!await write(text)) {
    toast(t("copy_failed"));
    return;
  }
  say(t("copied"));
  button.replaceChildren(icon("check"));
  setTimeout(() => button.replaceChildren(icon("copy")), SHOWN_MS);
}
