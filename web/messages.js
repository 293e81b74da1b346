// The messages of one conversation on the page, with what can be done to each.

import { copyText } from "./clipboard.js";
import { el, iconButton } from "./dom.js";
import { failureWords } from "./failure.js";
import { icon } from "./icons.js";
import { number, t } from "./i18n.js";
import { StreamView, prose } from "./stream_view.js";

const LIVE_EVERY_MS = 500;

export function statsText(stats) {
  const parts = [];
  // Without the server's count, the page has only counted pieces.
  const counted = (text) => (stats.exact ? text : t("about", { text }));
  if (stats.tokens_s > 0) {
    parts.push(counted(t("speed", { rate: number(stats.tokens_s, stats.tokens_s < 100 ? 1 : 0) })));
  }
  parts.push(t("first", { time: number(stats.first_s, 2) }));
  parts.push(counted(t("tokens", { count: number(stats.tokens) })));
  return parts.join(" · ");
}

// actions: {again(index), ask(index, text), settings()}
export class MessageList {
  constructor(root, follower, actions) {
    Object.assign(this, { root, follower, actions });
    this.timer = 0;
  }

  // `run`: the answer that is being made for this conversation, or null.
  show(conversation, run) {
    clearInterval(this.timer);
    const messages = conversation.messages;
    const last = messages.length - 1;
    this.root.replaceChildren(...messages.map((message, i) => (message.role === "user"
      ? this.#question(message, i, run !== null)
      : this.#answer(message, i, run !== null))));
    if (run !== null) this.#live(run);
    else if (last >= 0 && messages[last].role === "user") this.#unanswered(last);
  }

  #shell(role, index) {
    const heading = role === "user" ? t("you") : t("assistant");
    return el("article", { class: `message ${role}`, "aria-label": heading, "data-index": index });
  }

  #question(message, index, busy) {
    const text = el("div", { class: "bubble", dir: "auto" }, message.content);
    const copy = iconButton("copy", t("copy"), () => copyText(message.content, copy), "small");
    const edit = iconButton("edit", t("edit"), () => this.#edit(shell, message, index), "small");
    edit.disabled = busy;
    const shell = this.#shell("user", index);
    shell.append(text, el("div", { class: "tools" }, edit, copy));
    return shell;
  }

  #edit(shell, message, index) {
    const field = el("textarea", { "aria-label": t("edit_label"), rows: 3, dir: "auto" });
    field.value = message.content;
    const kept = [...shell.childNodes];
    const close = () => {
      shell.classList.remove("editing");
      shell.replaceChildren(...kept);
      shell.querySelector("button")?.focus();
    };
    const ask = () => {
      if (field.value.trim() !== "") this.actions.ask(index, field.value);
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") {
        event.stopPropagation();
        close();
      } else if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        ask();
      }
    });
    shell.classList.add("editing");
    shell.replaceChildren(field, el("p", { class: "quiet" }, t("edit_note")),
      el("div", { class: "edit-end" },
         el("button", { type: "button", class: "plain", onclick: close }, t("cancel")),
         el("button", { type: "button", class: "solid", onclick: ask }, t("ask_again"))));
    field.style.height = `${Math.min(field.scrollHeight + 2, 320)}px`;
    field.focus();
  }

  #answer(message, index, busy) {
    const shell = this.#shell("assistant", index);
    if (message.content !== "") shell.append(prose(message.content));
    if (message.failure) shell.append(this.#failure(message.failure, index));
    const tools = el("div", { class: "tools" });
    if (message.content !== "") {
      const copy = iconButton("copy", t("copy"), () => copyText(message.content, copy), "small");
      tools.append(copy);
    }
    if (!message.failure) {
      const again = iconButton("again", t("again"), () => this.actions.again(index), "small");
      again.disabled = busy;
      tools.append(again);
    }
    const notes = [];
    if (message.stopped) notes.push(t("stopped"));
    if (message.cut) notes.push(t("context_cut"));
    if (message.stats) notes.push(statsText(message.stats));
    tools.prepend(el("span", { class: "stats quiet" }, notes.join(" · ")));
    shell.append(tools);
    return shell;
  }

  #failure(failure, index) {
    const { headline, detail } = failureWords(failure);
    const button = el("button", { type: "button", class: "plain",
                                  onclick: () => this.actions.again(index) }, t("retry"));
    const until_ms = (failure.retry_at_ms ?? 0);
    const tick = () => {
      const seconds = Math.ceil((until_ms - Date.now()) / 1000);
      button.disabled = seconds > 0;
      button.textContent = seconds > 0 ? t("retry_in", { seconds }) : t("retry");
      if (seconds > 0) setTimeout(tick, 250);
    };
    tick();
    const buttons = el("div", { class: "failure-end" }, button);
    if (failure.status === 401) {
      buttons.prepend(el("button", { type: "button", class: "plain",
                                     onclick: () => this.actions.settings() }, t("settings")));
    }
    return el("div", { class: "failure" },
              el("p", { class: "headline" }, headline),
              detail === "" ? null : el("p", { class: "quiet" }, detail), buttons);
  }

  // The page was closed before the answer came.
  #unanswered(index) {
    this.root.append(el("div", { class: "failure" }, el("p", {}, t("unanswered")),
      el("button", { type: "button", class: "plain",
                     onclick: () => this.actions.again(index + 1) }, t("retry"))));
  }

  #live(run) {
    const view = new StreamView(() => this.follower.follow());
    const wait = el("div", { class: "waiting" }, el("span", { class: "dot" }),
                    el("span", { class: "quiet" }, t("thinking")));
    const stats = el("span", { class: "stats quiet" });
    const shell = this.#shell("assistant", run.conversation.messages.length);
    shell.setAttribute("aria-busy", "true");
    shell.append(view.element, wait, el("div", { class: "tools" }, stats));
    view.live();
    this.root.append(shell);
    const first = () => wait.remove();
    if (run.message.content !== "") {
      first();
      view.append(run.message.content);
    }
    run.listen((text) => {
      first();
      view.append(text);
    });
    this.timer = setInterval(() => {
      const result = run.meter.result(null);
      if (result !== null) stats.textContent = statsText(result);
    }, LIVE_EVERY_MS);
    this.live = { view, shell, run };
  }

  // The answer is complete (and in the conversation): its tools come, its text stays as it stands.
  settle(run) {
    clearInterval(this.timer);
    if (this.live?.run !== run) return;
    const { view, shell } = this.live;
    this.live = null;
    view.finish();
    const index = run.conversation.messages.indexOf(run.message);
    const made = this.#answer(run.message, index, false);
    made.querySelector(".prose")?.replaceWith(view.element);
    if (run.message.content === "") view.element.remove();
    shell.replaceChildren(...made.childNodes);
    shell.removeAttribute("aria-busy");
    for (const button of this.root.querySelectorAll(".tools button")) button.disabled = false;
    this.follower.follow();
  }
}

export function examples(root, ask) {
  root.replaceChildren(...["example_1", "example_2", "example_3"].map((key) => {
    const button = el("button", { type: "button", class: "example", onclick: () => ask(t(key)) },
                      el("span", {}, t(key)));
    button.append(icon("send"));
    return button;
  }));
}
