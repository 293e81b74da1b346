// The field for the question, with its two buttons.

import { byId } from "./dom.js";

const HEIGHT_MAX_PX = 220;

export class Composer {
  #busy = false;

  // send(text) says whether it took the text.
  constructor({ send, stop }) {
    this.field = byId("question");
    this.sendButton = byId("send");
    this.stopButton = byId("stop");
    const submit = () => {
      if (this.#busy || this.field.value.trim() === "") return;
      if (send(this.field.value)) this.fill("");
    };
    this.sendButton.addEventListener("click", submit);
    this.stopButton.addEventListener("click", () => {
      stop();
      this.field.focus();
    });
    this.field.addEventListener("input", () => this.#fit());
    this.field.addEventListener("keydown", (event) => {
      // While an input method is composing, Enter belongs to it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      submit();
    });
  }

  fill(text) {
    this.field.value = text;
    this.#fit();
  }

  // Not where that opens a keyboard on the screen, over what the reader wants to see.
  focus() {
    if (matchMedia("(hover: hover)").matches) this.field.focus({ preventScroll: true });
  }

  busy(is) {
    const held = is ? document.activeElement === this.sendButton
                    : document.activeElement === this.stopButton;
    this.#busy = is;
    this.sendButton.hidden = is;
    this.stopButton.hidden = !is;
    if (held) (is ? this.stopButton : this.field).focus();
  }

  #fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, HEIGHT_MAX_PX)}px`;
    this.sendButton.disabled = this.field.value.trim() === "";
  }
}
