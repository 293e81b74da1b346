// Server-sent events out of a byte stream, as the HTML standard says, less `id` and `retry`.

export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // The caller may leave early: the connection must not stay open.
    reader.cancel().catch(() => {});
  }
}

export class EventParser {
  #rest = "";
  #data = [];
  #type = "";

  // The events that this piece completes.
  push(piece) {
    const found = [];
    const text = this.#rest + piece;
    let start = 0;
    for (;;) {
      let end = start;
      while (end < text.length && text[end] !== "\n" && text[end] !== "\r") ++end;
      // A "\r" at the very end may be the first half of "\r\n".
      if (end === text.length || (text[end] === "\r" && end + 1 === text.length)) break;
      this.#line(text.slice(start, end), found);
      start = text[end] === "\r" && text[end + 1] === "\n" ? end + 2 : end + 1;
    }
    this.#rest = text.slice(start);
    return found;
  }

  #line(line, found) {
    if (line === "") {
      if (this.#data.length > 0) {
        found.push({ type: this.#type || "message", data: this.#data.join("\n") });
      }
      this.#data = [];
      this.#type = "";
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
  }
}
