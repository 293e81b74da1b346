// Follows the end of the conversation, but only while the reader is there.

const NEAR_PX = 48;

export class Follower {
  #pinned = true;

  constructor(scroller, button) {
    this.scroller = scroller;
    this.button = button;
    scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    button.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.follow()).observe(scroller);
  }

  follow() {
    if (this.#pinned) this.scroller.scrollTop = this.scroller.scrollHeight;
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
    this.#pinned = this.#distance() <= NEAR_PX;
    this.#show();
  }

  #show() {
    this.button.hidden = this.#pinned || this.#distance() <= NEAR_PX;
  }
}
