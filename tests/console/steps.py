"""What a reader does, in the words of the tests."""

from playwright.sync_api import expect


def ask(page, text, wait=True):
    page.get_by_role("textbox", name="Your question").fill(text)
    page.keyboard.press("Enter")
    if wait:
        done(page)


def done(page):
    expect(page.locator("#send")).to_be_visible()
    expect(page.locator("[aria-busy]")).to_have_count(0)


def answers(page):
    return page.locator(".message.assistant .prose")


def questions(page):
    return page.locator(".message.user .bubble")
