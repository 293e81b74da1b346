// Answers that are being made, at most one per conversation; they go on when the reader looks at
// another conversation.

import { ApiFailure, streamChat } from "./api.js";
import { Meter } from "./meter.js";
import { samplingFields, settings } from "./settings.js";

export class Run {
  #controller = new AbortController();
  #listener = () => {};

  constructor(conversation, model) {
    this.conversation = conversation;
    this.message = { role: "assistant", content: "", created_ms: Date.now() };
    this.model = model;
    this.meter = new Meter();
  }

  // Called with each new piece of text.
  listen(listener) {
    this.#listener = listener;
  }

  stop() {
    this.#controller.abort();
  }

  // Ends when the answer does; how it ended is in the message.
  async finish() {
    const request = { messages: this.#prompt(), ...samplingFields() };
    if (this.model) request.model = this.model;
    let usage = null;
    try {
      for await (const step of streamChat(request, this.#controller.signal)) {
        if (step.text !== undefined) {
          this.meter.piece();
          this.message.content += step.text;
          this.#listener(step.text);
        } else {
          usage = step.usage;
          if (step.finish_reason === "length") this.message.cut = true;
        }
      }
    } catch (error) {
      if (error.name === "AbortError") {
        this.message.stopped = true;
      } else if (error instanceof ApiFailure) {
        const { kind, status, code, detail, retry_after_s } = error;
        this.message.failure = { kind, status, code, detail, retry_after_s };
      } else {
        throw error;
      }
    }
    const stats = this.meter.result(usage);
    if (stats) this.message.stats = stats;
    if (usage) this.message.usage = usage;
    if (this.model) this.message.model = this.model;
  }

  #prompt() {
    const messages = [];
    if (settings.system.trim() !== "") messages.push({ role: "system", content: settings.system });
    for (const { role, content } of this.conversation.messages) {
      // An answer that failed before its first word is no part of the conversation, nor is its
      // question: many templates insist that the two sides take turns.
      if (content !== "") messages.push({ role, content });
      else messages.pop();
    }
    return messages;
  }
}
