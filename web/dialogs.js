// The settings, and the question before something that cannot be undone.

import { byId, el } from "./dom.js";
import { number, t } from "./i18n.js";
import {
  SAMPLING, apiKey, keyFits, parseSampling, saveApiKey, saveSettings, settings,
} from "./settings.js";

function samplingField(rule) {
  const id = `sampling-${rule.name}`;
  const input = el("input", {
    id, type: "text", inputmode: rule.whole ? "numeric" : "decimal", autocomplete: "off",
    "aria-describedby": `${id}-more`,
  });
  input.value = settings[rule.name] ?? "";
  const more = el("p", { class: "quiet", id: `${id}-more` }, t(`${rule.name}_more`));
  input.addEventListener("input", () => {
    const value = parseSampling(input.value, rule);
    const wrong = Number.isNaN(value);
    input.setAttribute("aria-invalid", String(wrong));
    more.classList.toggle("wrong", wrong);
    more.textContent = wrong
      ? t(rule.whole ? "whole_number" : "out_of_range",
          { min: number(rule.min), max: number(rule.max) })
      : t(`${rule.name}_more`);
    if (!wrong) saveSettings({ [rule.name]: value });
  });
  return el("div", { class: "field" }, el("label", { for: id }, t(rule.name)), input, more);
}

function keyField(changed) {
  const input = byId("key");
  const more = byId("key-more");
  const show = () => {
    const wrong = !keyFits(input.value);
    input.setAttribute("aria-invalid", String(wrong));
    more.classList.toggle("wrong", wrong);
    more.textContent = t(wrong ? "key_wrong" : "key_more");
    return !wrong;
  };
  input.addEventListener("input", () => {
    if (show()) saveApiKey(input.value);
  });
  input.addEventListener("change", () => {
    if (keyFits(input.value)) changed();
  });
  return () => {
    input.value = apiKey();
    show();
  };
}

// Returns what opens it.
export function settingsDialog({ changed, keyChanged, deleteAll }) {
  const dialog = byId("settings");
  const system = byId("system");
  const fillKey = keyField(keyChanged);
  const fill = () => {
    fillKey();
    system.value = settings.system;
    byId("sampling").replaceChildren(...SAMPLING.map(samplingField));
  };
  system.addEventListener("input", () => {
    saveSettings({ system: system.value });
    changed();
  });
  const open = () => {
    fill();
    dialog.showModal();
  };
  byId("open-settings").addEventListener("click", open);
  for (const id of ["close-settings", "done-settings"]) {
    byId(id).addEventListener("click", () => dialog.close());
  }
  byId("reset-settings").addEventListener("click", () => {
    const empty = Object.fromEntries(SAMPLING.map(({ name }) => [name, undefined]));
    saveSettings({ ...empty, system: "" });
    fill();
    changed();
  });
  byId("delete-all").addEventListener("click", () => {
    dialog.close();
    deleteAll();
  });
  closeOutside(dialog);
  return open;
}

function closeOutside(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

// Resolves to whether the reader agreed.
export function confirmed(question, yes) {
  const dialog = byId("confirm");
  byId("confirm-text").textContent = question;
  const agree = byId("confirm-yes");
  agree.textContent = yes;
  return new Promise((resolve) => {
    let answer = false;
    agree.onclick = () => {
      answer = true;
      dialog.close();
    };
    byId("confirm-no").onclick = () => dialog.close();
    dialog.onclose = () => resolve(answer);
    dialog.showModal();
    byId("confirm-no").focus();
  });
}
