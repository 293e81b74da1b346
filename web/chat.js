// The conversations and what happens to them. Knows nothing of how they look: `view` is told.

import { Run } from "./runs.js";
import { exportText, newConversation, titleFrom } from "./store.js";

export class Chat {
  #runs = new Map();  // by conversation id

  // view: {opened(), listed(), started(run), settled(run)}
  constructor(store, conversations, view) {
    Object.assign(this, { store, conversations, view });
    this.current = newConversation();
    this.model = "";
  }

  running() {
    return new Set(this.#runs.keys());
  }

  run() {
    return this.#runs.get(this.current.id) ?? null;
  }

  find(id) {
    return this.conversations.find((one) => one.id === id);
  }

  startNew() {
    this.current = newConversation();
    this.view.opened();
  }

  open(id) {
    this.current = this.find(id) ?? newConversation();
    this.view.opened();
  }

  // A new question, or from `index` on in place of what was there.
  ask(text, index = this.current.messages.length) {
    if (this.run() !== null) return false;
    const conversation = this.current;
    conversation.messages.length = index;
    conversation.messages.push({ role: "user", content: text, created_ms: Date.now() });
    if (!conversation.renamed) conversation.title = titleFrom(conversation.messages[0].content);
    if (!this.conversations.includes(conversation)) this.conversations.unshift(conversation);
    this.#answer(conversation);
    return true;
  }

  // The answer at `index` once more; what follows it goes.
  again(index) {
    if (this.run() !== null) return;
    this.current.messages.length = index;
    this.#answer(this.current);
  }

  stop() {
    const run = this.run();
    run?.stop();
    return run !== null;
  }

  rename(id, title) {
    const conversation = this.find(id);
    if (conversation && title !== "" && title !== conversation.title) {
      Object.assign(conversation, { title, renamed: true });
      this.#keep(conversation);
    }
    this.view.listed();
  }

  // What is no longer shown is really gone. Returns what brings it back; null: already going.
  async remove(id) {
    const conversation = this.find(id);
    if (conversation.removed) return null;
    conversation.removed = true;
    this.#runs.get(id)?.stop();
    await this.store.remove(id).catch(storageFailed);
    this.conversations = this.conversations.filter((one) => one !== conversation);
    if (this.current === conversation) this.startNew();
    else this.view.listed();
    return () => {
      delete conversation.removed;
      this.conversations.push(conversation);
      this.#keep(conversation);
      this.open(id);
    };
  }

  async removeAll() {
    for (const run of this.#runs.values()) run.stop();
    for (const conversation of this.conversations) conversation.removed = true;
    await this.store.clear().catch(storageFailed);
    this.conversations = this.conversations.filter((one) => !one.removed);
    this.startNew();
  }

  exported(id, system) {
    return exportText(this.find(id), system);
  }

  // Half-made answers, when the page may be about to go.
  saveRunning() {
    for (const run of this.#runs.values()) {
      const { conversation, message } = run;
      if (message.content === "" || conversation.removed) continue;
      const copy = { ...conversation,
                     messages: [...conversation.messages, { ...message, stopped: true }] };
      this.store.put(copy).catch(storageFailed);
    }
  }

  async #answer(conversation) {
    const run = new Run(conversation, this.model);
    this.#runs.set(conversation.id, run);
    this.#touch(conversation);
    this.view.started(run);
    await run.finish();
    const { failure } = run.message;
    if (failure?.retry_after_s > 0) failure.retry_at_ms = Date.now() + failure.retry_after_s * 1000;
    this.#runs.delete(conversation.id);
    conversation.messages.push(run.message);
    if (!conversation.removed) this.#touch(conversation);
    this.view.settled(run);
  }

  #touch(conversation) {
    conversation.updated_ms = Date.now();
    this.#keep(conversation);
  }

  #keep(conversation) {
    this.conversations.sort((a, b) => b.updated_ms - a.updated_ms);
    this.store.put(conversation).catch(storageFailed);
  }
}

// The conversation goes on without being kept; the console has the reason.
function storageFailed(error) {
  console.warn("not kept:", error);
}
