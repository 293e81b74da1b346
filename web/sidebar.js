// The list of conversations: open, rename, export, delete. On a narrow window it is a drawer.

import { byId, el, iconButton } from "./dom.js";
import { t } from "./i18n.js";

// actions: {open(id), rename(id, title), save(id), remove(id)}
export class Sidebar {
  #renaming = null;

  constructor(actions) {
    this.actions = actions;
    this.list = byId("list");
  }

  show(conversations, current, running) {
    // An update must not take the field away under the reader's hands.
    if (this.#renaming !== null && this.list.contains(this.#renaming)) return;
    const focus = this.list.contains(document.activeElement)
      ? document.activeElement.dataset.focus : undefined;
    if (conversations.length === 0) {
      this.list.replaceChildren(el("li", { class: "quiet none" }, t("none_yet")));
      return;
    }
    this.list.replaceChildren(...conversations.map(
      (conversation) => this.#row(conversation, conversation.id === current,
                                  running.has(conversation.id))));
    if (focus) this.list.querySelector(`[data-focus="${focus}"]`)?.focus();
  }

  #row(conversation, current, running) {
    const { id } = conversation;
    const title = conversation.title || t("new_chat");
    const open = el("button", { type: "button", class: "open", "data-focus": `open-${id}`,
                                title, "aria-current": current ? "page" : null,
                                onclick: () => this.actions.open(id) },
                    el("span", { class: "text", dir: "auto" }, title));
    if (running) {
      open.append(el("span", { class: "dot" }), el("span", { class: "hidden" }, t("running")));
    }
    const row = el("li", {}, open);
    const tool = (name, words, action) => {
      const button = iconButton(name, `${words}: ${title}`, action, "small");
      button.title = words;
      button.dataset.focus = `${name}-${id}`;
      return button;
    };
    row.append(el("div", { class: "row-tools" },
      tool("edit", t("rename"), () => this.#rename(row, conversation)),
      tool("save", t("export"), () => this.actions.save(id)),
      tool("trash", t("remove"), () => this.actions.remove(id))));
    return row;
  }

  #rename(row, conversation) {
    const field = el("input", { type: "text", "aria-label": t("rename_label"), maxlength: 120,
                                autocomplete: "off", dir: "auto" });
    field.value = conversation.title;
    let open = true;
    const close = (keep) => {
      if (!open) return;
      open = false;
      this.#renaming = null;
      this.actions.rename(conversation.id, keep ? field.value.trim() : "");
      this.list.querySelector(`[data-focus="edit-${conversation.id}"]`)?.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") {
        event.preventDefault();  // or it would press the button that gets the focus
        close(true);
      }
      if (event.key === "Escape") {
        event.stopPropagation();
        close(false);
      }
    });
    field.addEventListener("blur", () => close(true));
    row.replaceChildren(field);
    this.#renaming = field;
    field.focus();
    field.select();
  }
}

// The drawer of narrow windows. What lies under it cannot be reached while it is open.
export function drawer() {
  const side = byId("side");
  const body = byId("body");
  const shade = byId("shade");
  const opener = byId("open-side");
  const narrow = matchMedia("(max-width: 760px)");
  let open = false;
  const set = (next) => {
    open = next;
    side.classList.toggle("is-open", open);
    shade.hidden = !(open && narrow.matches);
    side.inert = narrow.matches && !open;
    body.inert = narrow.matches && open;
    opener.setAttribute("aria-expanded", String(open));
  };
  const close = () => {
    if (!open) return false;
    set(false);
    opener.focus();
    return true;
  };
  opener.addEventListener("click", () => {
    set(true);
    byId("close-side").focus();
  });
  byId("close-side").addEventListener("click", close);
  shade.addEventListener("click", close);
  narrow.addEventListener("change", () => set(false));
  set(false);
  return { close };
}
