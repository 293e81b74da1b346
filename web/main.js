// Puts the parts together.

import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { confirmed, settingsDialog } from "./dialogs.js";
import { byId } from "./dom.js";
import { currentLanguage, pickLanguage, setLanguage, t } from "./i18n.js";
import { failureWords } from "./failure.js";
import { placeIcons } from "./icons.js";
import { MessageList, examples } from "./messages.js";
import { ModelMenu } from "./models.js";
import { say, toast } from "./notice.js";
import { Follower } from "./scroll.js";
import { saveSettings, settings } from "./settings.js";
import { Sidebar, drawer } from "./sidebar.js";
import { Store } from "./store.js";

placeIcons(document);
setLanguage(pickLanguage(settings.language, navigator.languages ?? [navigator.language]));

const store = await Store.open();
const follower = new Follower(byId("scroller"), byId("to-end"));
const side = drawer();

const messages = new MessageList(byId("messages"), follower, {
  again: (index) => chat.again(index),
  ask: (index, text) => {
    chat.ask(text, index);
    composer.focus();
  },
  settings: () => openSettings(),
});

const sidebar = new Sidebar({
  open: (id) => {
    side.close();
    chat.open(id);
    composer.focus();
  },
  rename: (id, title) => chat.rename(id, title),
  save: (id) => download(id),
  remove: async (id) => {
    const title = chat.find(id).title;
    const undo = await chat.remove(id);
    if (undo === null) return;
    byId("new-chat").focus();
    toast(t("removed", { title }), t("undo"), undo);
  },
});

const chat = new Chat(store, await store.all(), { opened, listed, started, settled });
const models = new ModelMenu(chat);
const composer = new Composer({
  send: (text) => chat.ask(text),
  stop: () => chat.stop(),
});

function listed() {
  sidebar.show(chat.conversations, chat.current.id, chat.running());
  const title = chat.current.title || t("new_chat");
  byId("title").textContent = title;
  byId("title").title = title;
  document.title = chat.current.title ? `${chat.current.title} – Hearth` : "Hearth";
}

function opened() {
  listed();
  const run = chat.run();
  byId("empty").hidden = chat.current.messages.length > 0;
  messages.show(chat.current, run);
  composer.busy(run !== null);
  follower.toEnd();
}

function started(run) {
  if (run.conversation !== chat.current) return;
  say(t("answering"));
  opened();
  if (!models.known) models.load();
}

function settled(run) {
  listed();
  if (run.conversation !== chat.current) return;
  messages.settle(run);
  composer.busy(false);
  const { failure, stopped } = run.message;
  say(failure ? failureWords(failure).headline : t(stopped ? "stopped" : "answered"));
}

function download(id) {
  const { title } = chat.find(id);
  const blob = new Blob([chat.exported(id, settings.system)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${title.replace(/[^\p{L}\p{N} _-]/gu, "").trim().slice(0, 60) || "chat"}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function startNew() {
  side.close();
  chat.startNew();
  composer.focus();
}

function showSettings() {
  const button = byId("open-settings");
  const active = settings.system.trim() !== "";
  button.classList.toggle("active", active);
  button.title = t(active ? "system_active" : "settings");
  button.setAttribute("aria-label", button.title);
}

function inWords() {
  setLanguage(currentLanguage());
  byId("storage-note").textContent = t(store.persistent ? "stays_here" : "not_kept");
  examples(byId("examples"), (text) => chat.ask(text));
  showSettings();
  models.show();
  opened();
}

const openSettings = settingsDialog({
  changed: showSettings,
  keyChanged: () => models.load(),
  deleteAll: async () => {
    const count = chat.conversations.length;
    if (await confirmed(t("delete_all_sure", { count }), t("remove"))) await chat.removeAll();
  },
});

byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("question").focus();
});
byId("new-chat").addEventListener("click", startNew);

byId("theme").value = settings.theme;
byId("theme").addEventListener("change", (event) => {
  const theme = event.target.value;
  saveSettings({ theme });
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
});

byId("language").value = currentLanguage();
byId("language").addEventListener("change", (event) => {
  saveSettings({ language: event.target.value });
  setLanguage(event.target.value);
  inWords();
});

document.addEventListener("keydown", (event) => {
  if (event.isComposing || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey &&
      event.key.toLowerCase() === "k") {
    event.preventDefault();
    startNew();
  } else if (event.key === "Escape" && !side.close()) {
    chat.stop();
  }
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") chat.saveRunning();
});

inWords();
composer.focus();
document.documentElement.dataset.ready = "";
await models.load();
