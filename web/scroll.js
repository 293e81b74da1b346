// Follows the end of the conversation, but only while the reader is there.

const NEAR_PX = 48;

export class Follower {
  #pinned = true;
  #own = -1;  // where this class has scrolled to

  constructor(scroller, button) {
    this.scroller = scroller;
    this.button = button;
    scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    button.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.follow()).observe(scroller);
  }

  follow() {
    if (this.#pinned) {
      this.scroller.scrollTop = this.scroller.scrollHeight;
      this.#own = this.scroller.scrollTop;  // rounded, and no further than there is text
    }
    this.#show();
  }

  toEnd() {
    this.#pinned = true;
    this.follow();
  }

  #distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #look() {
    // The event comes late: text that has come meanwhile does not mean that the reader left the end.
    if (this.scroller.scrollTop !== this.#own) {
      this.#own = -1;
      this.#pinned = this.#distance() <= NEAR_PX;
    }
    this.#show();
  }

  #show() {
    const hidden = this.#pinned || this.#distance() <= NEAR_PX;
    if (hidden && document.activeElement === this.button) this.scroller.focus();
    this.button.hidden = hidden;
  }
}
