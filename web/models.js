// The menu of models: a name where there is one model, a choice where there are several.

import { listModels } from "./api.js";
import { byId, el } from "./dom.js";
import { t } from "./i18n.js";
import { saveSettings, settings } from "./settings.js";

export class ModelMenu {
  #models = null;  // not known yet
  #locked = false;  // they are for those with a key

  constructor(chat) {
    this.chat = chat;
    byId("model").addEventListener("change", (event) => {
      chat.model = event.target.value;
      saveSettings({ model: chat.model });
    });
  }

  async load() {
    try {
      this.#models = await listModels();
    } catch (error) {
      this.#models = null;  // said in the header; a question will tell the reason
      this.#locked = error.status === 401;
    }
    this.show();
  }

  get known() {
    return this.#models !== null;
  }

  show() {
    const models = this.#models ?? [];
    const name = byId("model-name");
    const several = models.length > 1;
    byId("model-label").hidden = !several;
    name.hidden = several;
    const unknown = t(this.#locked ? "models_key" : "models_failed");
    name.textContent = this.#models === null ? unknown : models[0] ?? "";
    name.title = name.textContent;
    const chosen = models.includes(settings.model) ? settings.model : models[0] ?? "";
    // The one model needs no name: the server takes its first.
    this.chat.model = several ? chosen : "";
    byId("model").replaceChildren(...models.map((id) => el("option", { value: id }, id)));
    byId("model").value = chosen;
  }
}
