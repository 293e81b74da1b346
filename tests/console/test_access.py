"""For everybody: names, landmarks, contrast, keyboard, narrow windows. Keeps the pictures."""

import pytest
from playwright.sync_api import expect

from steps import answers, ask

# Every text on the page against what is painted behind it (WCAG 2.2, 1.4.3): what falls short.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
  const behind = (element) => {
    if (element === null) return [255, 255, 255];
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(element.parentElement));
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map(
      (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const low = [];
  let seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== "");
    const field = element.matches("select, input, textarea");
    if (!(own || field) || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.matches(":disabled, option") || element.closest(".hidden, [inert], noscript")) continue;
    const back = behind(element);
    const colours = [getComputedStyle(element).color];
    if (element.placeholder) colours.push(getComputedStyle(element, "::placeholder").color);
    for (const colour of colours) {
      const [a, b] = [light(over(rgba(colour), back)), light(back)].sort((x, y) => y - x);
      ++seen;
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) low.push([element.className || element.localName, ratio]);
    }
  }
  return { low, seen };
}"""

STRUCTURE = """() => {
  const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest("[inert]");
  const label = (e) => (e.getAttribute("aria-label") ?? "").trim() ||
    (e.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean)
      .map((id) => document.getElementById(id)?.textContent.trim()).join("") ||
    [...(e.labels ?? [])].map((l) => l.textContent.trim()).join("") ||
    (e.matches("button, a") ? e.innerText.trim() : "");
  const controls = [...document.querySelectorAll("button, a, input, select, textarea, [tabindex]")];
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  return {
    nameless: controls.filter((e) => shown(e) && label(e) === "").map((e) => e.outerHTML.slice(0, 120)),
    positive: controls.filter((e) => e.tabIndex > 0).length,
    h1: document.querySelectorAll("h1").length,
    landmarks: ["header", "main", "nav", "aside"].map((t) => document.querySelectorAll(t).length),
    twice: ids.filter((id, i) => ids.indexOf(id) !== i),
    styles: [...document.querySelectorAll("[style]:not(textarea, [style=''])")].map((e) => e.outerHTML.slice(0, 160)),
    lang: document.documentElement.lang, title: document.title,
    levels: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter((h) => h.checkVisibility())
      .map((h) => Number(h.localName[1])),
  };
}"""


def check(page):
    # The drawer and the buttons come in gently.
    page.wait_for_timeout(350)
    contrast = page.evaluate(CONTRAST)
    assert contrast["low"] == []
    assert contrast["seen"] >= 5
    structure = page.evaluate(STRUCTURE)
    assert structure["nameless"] == []
    assert structure["positive"] == 0
    assert structure["h1"] == 1
    assert structure["landmarks"] == [1, 1, 1, 1]
    assert structure["twice"] == []
    assert structure["styles"] == []
    assert structure["lang"] in ("en", "zh-CN") and structure["title"]
    assert structure["levels"][0] == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("width", [1200, 360])
def test_every_state_of_the_page(open_page, server, screenshots, theme, locale, width):
    narrow = width < 760
    page = open_page(color_scheme=theme, locale=locale,
                     viewport={"width": width, "height": 740 if narrow else 800},
                     has_touch=narrow, is_mobile=narrow)

    def state(name):
        page.screenshot(path=screenshots / f"{name}-{theme}-{locale[:2]}-{width}.png")
        check(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#scroller").evaluate("e => e.scrollWidth <= e.clientWidth")

    expect(page.locator("#model-name")).to_have_text("first-model")
    state("empty")
    page.locator(".example").first.click()
    expect(page.locator(".message.assistant .stats")).not_to_have_text("")
    expect(page.locator("[aria-busy]")).to_have_count(0)
    page.wait_for_timeout(200)
    state("answer")
    page.locator("#question").fill("wait")
    page.keyboard.press("Enter")
    expect(answers(page).last).to_contain_text("Three")
    state("answering")
    page.locator("#stop").click()
    server.failures_left = 1
    page.locator("#question").fill("context")
    page.keyboard.press("Enter")
    expect(page.locator(".failure")).to_be_visible()
    page.wait_for_timeout(200)
    state("failure")
    page.locator(".message.user").last.locator("button").first.click()
    state("editing")
    page.keyboard.press("Escape")
    if narrow:
        page.locator("#open-side").click()
        page.wait_for_timeout(300)
        state("drawer")
        page.keyboard.press("Escape")
    page.locator("#open-settings").click()
    page.locator("#sampling-temperature").fill("9")
    state("settings")


def test_the_tab_key_reaches_everything_in_order(page):
    ask(page, "Explain")
    wanted = page.evaluate("""() => [...document.querySelectorAll(
      "button, a, input, select, textarea, [tabindex='0']")].filter((e) =>
        e.checkVisibility({ visibilityProperty: true }) && !e.disabled && !e.closest("[inert], dialog"))
      .map((e, i) => { e.mark = i; return i; })""")
    page.evaluate("document.activeElement.blur()")
    page.locator("#skip").evaluate("e => e.focus()")
    reached = []
    for _ in range(len(wanted)):
        reached.append(page.evaluate("document.activeElement.mark"))
        visible = page.evaluate("""() => {
          const e = document.activeElement;
          const around = [e, e.closest(".composer") ?? e].map((x) => getComputedStyle(x));
          return around.some((s) => s.outlineStyle !== "none" || s.boxShadow.includes("1px"));
        }""")
        assert visible, reached
        page.keyboard.press("Tab")
    assert reached == wanted


def test_the_skip_link(page):
    page.locator("#skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_be_focused()


def test_new_chat_by_keyboard(page):
    ask(page, "hello")
    page.locator("#scroller").focus()
    page.keyboard.press("Control+k")
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#question")).to_be_focused()


def test_the_drawer(open_page):
    page = open_page(viewport={"width": 360, "height": 740})
    ask(page, "hello")
    side = page.locator("#side")
    expect(side).to_be_hidden()
    page.get_by_role("button", name="Open the list").click()
    expect(side).to_be_visible()
    assert page.locator("#body").evaluate("e => e.inert")
    page.keyboard.press("Escape")
    expect(side).to_be_hidden()
    expect(page.get_by_role("button", name="Open the list")).to_be_focused()
    page.get_by_role("button", name="Open the list").click()
    page.get_by_role("button", name="New chat").click()
    expect(side).to_be_hidden()
    expect(page.locator("#empty")).to_be_visible()


def test_answers_are_announced_once_by_blocks(page, server):
    ask(page, "wait", wait=False)
    expect(page.locator("#status")).to_have_text("Answering")
    expect(page.locator(".done")).to_have_attribute("aria-live", "polite")
    expect(page.locator(".done > *")).to_have_text(["One. Two."])
    assert page.locator(".tail").evaluate("e => e.closest('[aria-live]') === null")
    server.go_on.set()
    expect(page.locator("#status")).to_have_text("The answer is complete.")
    expect(page.locator(".done > *")).to_have_text(
        ["One. Two.", "Three, four. Five.", "Six."])
