// Markdown as DOM nodes. `marked` is used for its lexer alone; every node is made here, from a
// closed list of elements, and text is only ever set as text. HTML in an answer is shown as text,
// images are never loaded, and a link goes to http, https or mailto or is no link.

import "/vendor/marked.js";

import { el, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { copyText } from "./clipboard.js";

const LEXER = { gfm: true, breaks: false, pedantic: false, mangle: false, smartLists: true };
const SCHEMES = new Set(["http:", "https:", "mailto:"]);
const NESTING_MAX = 40;

// The same clean-up that the lexer makes, so that its `raw` pieces add up to our text.
export function normalise(text) {
  return text.replace(/\r\n|\r(?!$)/g, "\n")
    .replace(/^( *)(\t+)/gm, (all, spaces, tabs) => spaces + "    ".repeat(tabs.length));
}

// Top-level tokens of normalised text; the last one's `raw` may have a line end too many, as the
// lexer takes a fence that is still open for one only at a line's end. Nesting without end exhausts
// the lexer's stack: such text is shown as it is.
export function lex(text) {
  try {
    return new globalThis.marked.Lexer(LEXER).lex(text.endsWith("\n") ? text : `${text}\n`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [{ type: "html", raw: text, text }];
  }
}

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0",
                   copy: "©", reg: "®", hellip: "…", mdash: "—", ndash: "–", times: "×",
                   rarr: "→", larr: "←", deg: "°", middot: "·" };

function decode(text) {
  return text.replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-z]+));/g,
    (all, decimal, hex, name) => {
      if (name) return Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : all;
      const point = decimal ? parseInt(decimal, 10) : parseInt(hex, 16);
      const valid = point > 0 && point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
      return valid ? String.fromCodePoint(point) : "\ufffd";
    });
}

// The lexer escapes code spans once, whatever is in them.
function unescape(text) {
  return text.replace(/&(amp|lt|gt|quot|#39);/g,
    (all, name) => (name === "#39" ? "'" : ENTITIES[name]));
}

export function blocks(tokens, depth = 0) {
  return tokens.map((token) => block(token, depth)).filter((node) => node !== null);
}

export function block(token, depth = 0) {
  if (depth > NESTING_MAX) return el("p", { class: "raw" }, token.raw);
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "paragraph":
      return el("p", {}, ...inline(token.tokens, depth));
    case "heading":
      // The page has its own h1 and h2.
      return el(`h${Math.min(token.depth + 2, 6)}`, {}, ...inline(token.tokens, depth));
    case "code":
      return codeBlock(token.text, token.lang ?? "");
    case "blockquote":
      return el("blockquote", {}, ...blocks(token.tokens, depth + 1));
    case "list":
      return list(token, depth);
    case "table":
      return table(token, depth);
    case "hr":
      return el("hr");
    case "text":
      return el("p", {}, ...inline(token.tokens ?? [token], depth));
    default:
      return el("p", { class: "raw" }, token.raw.replace(/\n+$/, ""));
  }
}

function list(token, depth) {
  const attributes = token.ordered && token.start !== 1 ? { start: token.start } : {};
  return el(token.ordered ? "ol" : "ul", attributes, ...token.items.map((item) => {
    const row = el("li", item.task ? { class: "task" } : {});
    if (item.task) row.append(el("span", { class: "box" }, item.checked ? "☑ " : "☐ "));
    for (const child of item.tokens) {
      // In a tight list the text stands in the item itself.
      const plain = child.type === "text" && !token.loose;
      if (plain) row.append(...inline(child.tokens ?? [child], depth));
      else row.append(...blocks([child], depth + 1));
    }
    return row;
  }));
}

function table(token, depth) {
  const cell = (tag, content, column) => {
    const align = token.align[column];
    return el(tag, align ? { class: `to-${align}` } : {}, ...inline(content.tokens, depth));
  };
  const head = el("tr", {}, ...token.header.map((content, i) => cell("th", content, i)));
  const rows = token.rows.map((row) => el("tr", {}, ...row.map((c, i) => cell("td", c, i))));
  return el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": t("table") },
            el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
}

export function codeBlock(text, info) {
  const language = info.trim().split(/\s+/)[0].slice(0, 30);
  const code = el("code", {}, text);
  const copy = iconButton("copy", t("copy"), () => copyText(code.textContent, copy), "small");
  return el("div", { class: "code" },
            el("div", { class: "code-top" }, el("span", {}, language || t("code")), copy),
            el("pre", { tabindex: 0, role: "region", "aria-label": t("code") }, code));
}

function inline(tokens, depth) {
  if (depth > NESTING_MAX) return tokens.map((token) => token.raw);
  return tokens.map((token) => {
    const inside = () => inline(token.tokens ?? [], depth + 1);
    switch (token.type) {
      case "strong":
        return el("strong", {}, ...inside());
      case "em":
        return el("em", {}, ...inside());
      case "del":
        return el("del", {}, ...inside());
      case "codespan":
        return el("code", {}, unescape(token.text));
      case "br":
        return el("br");
      case "link":
        return link(token.href, inside(), token.raw);
      case "image":
        return link(token.href, [t("image", { text: decode(token.text) || t("no_words") })],
                    token.raw);
      case "html":
        return /^<br *\/?>$/i.test(token.raw) ? el("br") : token.raw;
      case "text":
      case "escape":
        return decode(token.text);
      default:
        return token.raw;
    }
  });
}

// Where it goes is written beside it, unless the text is that address already.
function link(href, children, raw) {
  let url;
  try {
    url = new URL(decode(href));
  } catch {
    return raw;  // relative, or no address at all
  }
  if (!SCHEMES.has(url.protocol)) return raw;
  const anchor = el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer",
                           title: url.href }, ...children);
  const goal = url.protocol === "mailto:" ? url.pathname : url.host;
  const shown = anchor.textContent.trim();
  const plain = shown === url.href || `${shown}/` === url.href || shown === decode(href) ||
                shown === goal;
  if (plain) return anchor;
  const pair = el("span", { class: "link" }, anchor);
  pair.append(el("span", { class: "goal" }, ` (${goal})`));
  return pair;
}
