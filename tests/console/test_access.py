"""For everybody: names, landmarks, contrast, keyboard, narrow windows. Keeps the pictures."""

import pytest
from playwright.sync_api import expect

from access import check
from steps import answers, ask


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
    state("failure")
    page.locator(".message.user").last.locator("button").first.click()
    state("editing")
    page.keyboard.press("Escape")
    if narrow:
        page.locator("#open-side").click()
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
        assert visible, (reached, page.evaluate("document.activeElement.outerHTML"))
        page.keyboard.press("Tab")
        # What the focus scrolls to is told to the page with the next frame: no hand is faster.
        page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
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
