// An answer on the page while it grows. Blocks that can no longer change are made once; only the
// last one is made again. The finished blocks stand in a polite live region, so a screen reader
// hears each once, and never every token.

import { block, blocks, lex, normalise } from "./markdown.js";
import { el } from "./dom.js";

// A new block that is this long, or has a second line, cannot turn into more of the block before:
// "12" may become "12. item" of the list above it, but a number there has at most nine digits.
const DECIDED = 12;
const LOAD = 4;  // rendering may take one part in this many of the time

export class StreamView {
  #done = el("div", { class: "done" });
  #tail = el("div", { class: "tail" });
  #pending = "";    // normalised text after the finished blocks
  #all = "";
  #definitions = false;
  #frame = 0;
  #next_ms = 0;
  #code = null;     // {node, lang}: an open code block grows in place
  #rendered;

  // `rendered` is called after each change on the page.
  constructor(rendered = () => {}) {
    this.#rendered = rendered;
    this.element = el("div", { class: "prose", dir: "auto" }, this.#done, this.#tail);
  }

  append(text) {
    this.#all += text;
    this.#pending += text;
    if (this.#frame === 0) this.#schedule();
  }

  live() {
    this.#done.setAttribute("aria-live", "polite");
    this.#done.setAttribute("aria-relevant", "additions");
  }

  finish() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#render();
    if (this.#definitions) {
      // A reference may have been defined after its use.
      this.#done.replaceChildren(...blocks(lex(normalise(this.#all))));
    } else {
      this.#done.append(...this.#tail.childNodes);
    }
    this.#tail.replaceChildren();
    this.#code = null;
    this.#rendered();
  }

  #schedule() {
    this.#frame = requestAnimationFrame((now) => {
      if (now < this.#next_ms) {
        this.#schedule();
        return;
      }
      this.#frame = 0;
      const start = performance.now();
      this.#render();
      this.#rendered();
      const end = performance.now();
      this.#next_ms = end + (end - start) * LOAD;
    });
  }

  #render() {
    this.#pending = normalise(this.#pending);
    const tokens = lex(this.#pending);
    // The lexer makes no tokens of definitions: from the first on, everything waits for the end.
    if (Object.keys(tokens.links ?? {}).length > 0) this.#definitions = true;
    const last = tokens.findLastIndex((token) => token.type !== "space");
    if (last < 0) return;
    const decided = tokens[last].raw.trimEnd().length >= DECIDED ||
                    tokens[last].raw.trimEnd().includes("\n");
    const open = last > 0 && decided && !this.#definitions ? last : 0;
    if (open > 0) {
      this.#code = null;
      const finished = tokens.slice(0, open);
      this.#pending = this.#pending.slice(finished.reduce((n, token) => n + token.raw.length, 0));
      this.#done.append(...blocks(finished));
    }
    this.#renderTail(tokens.slice(open));
  }

  #renderTail(tokens) {
    const only = tokens[0];
    if (only.type === "code" && tokens.length === 1) {
      const lang = only.lang ?? "";
      const open = this.#code;
      if (open !== null && open.lang === lang && only.text.startsWith(open.data)) {
        open.node.appendData(only.text.slice(open.data.length));
        open.data = only.text;
        return;
      }
      const made = block(only);
      const code = made.querySelector("code");
      if (code.firstChild === null) code.append(document.createTextNode(""));
      this.#code = { node: code.firstChild, lang, data: only.text };
      this.#tail.replaceChildren(made);
      return;
    }
    this.#code = null;
    this.#tail.replaceChildren(...blocks(tokens));
  }
}

export function prose(text) {
  const view = new StreamView();
  view.append(text);
  view.finish();
  return view.element;
}
