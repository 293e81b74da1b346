// How fast an answer comes, seen from this page. Times are in milliseconds of performance.now().

// What comes all at once says nothing of the speed.
const SPAN_S_MIN = 0.05;

export class Meter {
  #start_ms = performance.now();
  #first_ms = 0;
  #last_ms = 0;
  #pieces = 0;

  piece() {
    this.#last_ms = performance.now();
    if (this.#pieces++ === 0) this.#first_ms = this.#last_ms;
  }

  // With the server's count where there is one; a piece is about a token otherwise.
  result(usage) {
    if (this.#pieces === 0) return null;
    const tokens = usage?.completion_tokens ?? this.#pieces;
    const span_s = (this.#last_ms - this.#first_ms) / 1000;
    return {
      tokens, exact: usage !== null && usage !== undefined,
      first_s: (this.#first_ms - this.#start_ms) / 1000,
      // The first token is the prompt's: the others took the span.
      tokens_s: tokens > 1 && span_s >= SPAN_S_MIN ? (tokens - 1) / span_s : 0,
    };
  }
}
