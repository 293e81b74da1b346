"""What the browser keeps: conversations, their names, their export; language and theme."""

import json

from playwright.sync_api import expect

from steps import answers, ask, questions


def names(page):
    return page.locator("#list .text")


def test_conversations_survive_a_reload(page):
    ask(page, "first question\nwith a second line")
    page.keyboard.press("Control+k")
    expect(page.locator("#empty")).to_be_visible()
    ask(page, "second question")
    expect(names(page)).to_have_text(["second question", "first question"])
    page.reload()
    expect(names(page)).to_have_text(["second question", "first question"])
    page.locator(".open", has_text="first question").click()
    expect(answers(page)).to_contain_text("Answer 1 to")
    expect(page.locator(".stats")).to_contain_text("tokens")
    expect(page.get_by_role("heading", level=1)).to_have_text("first question")


def test_nothing_of_a_conversation_is_sent_elsewhere(page, server):
    ask(page, "secret")
    assert page.evaluate("document.cookie") == ""
    assert "secret" not in page.evaluate("JSON.stringify(localStorage)")
    assert len(server.requests) == 1


def test_rename(page):
    ask(page, "a question")
    page.locator("#list li").hover()
    page.get_by_role("button", name="Rename: a question").click()
    field = page.get_by_label("Name of the conversation")
    field.fill("My <b>name</b>")
    field.press("Enter")
    expect(names(page)).to_have_text("My <b>name</b>")
    ask(page, "more")  # does not give it another name
    page.reload()
    expect(names(page)).to_have_text("My <b>name</b>")
    page.locator("#list li").hover()
    page.get_by_role("button", name="Rename:").click()
    field.fill("other")
    field.press("Escape")
    expect(names(page)).to_have_text("My <b>name</b>")


def test_delete_and_undo(page):
    ask(page, "a question")
    page.locator("#list li").hover()
    page.get_by_role("button", name="Delete: a question").click()
    expect(names(page)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(names(page)).to_have_text("a question")
    expect(questions(page)).to_have_text("a question")
    page.locator("#list li").hover()
    page.get_by_role("button", name="Delete: a question").click()
    expect(names(page)).to_have_count(0)  # from then on it is gone for good
    page.reload()
    expect(page.locator("#list")).to_contain_text("No conversations yet")


def test_delete_while_it_is_answering(page, server):
    ask(page, "wait", wait=False)
    expect(answers(page)).to_contain_text("Three")
    page.locator("#list li").hover()
    page.get_by_role("button", name="Delete: wait").click()
    assert server.stopped.wait(5)
    expect(names(page)).to_have_count(0)
    page.reload()
    expect(page.locator("#list")).to_contain_text("No conversations yet")


def test_delete_all_asks_first(page):
    ask(page, "one")
    page.keyboard.press("Control+k")
    ask(page, "two")
    for answer, left in [("Cancel", 2), ("Delete", 0)]:
        page.get_by_role("button", name="Settings").click()
        page.get_by_role("button", name="Delete all conversations").click()
        expect(page.locator("#confirm-text")).to_contain_text("all 2 conversations")
        page.locator("#confirm").get_by_role("button", name=answer).click()
        expect(names(page)).to_have_count(left)
    page.reload()
    expect(page.locator("#list")).to_contain_text("No conversations yet")


def test_export(page, tmp_path):
    ask(page, "Größe: 你好?")
    page.locator("#list li").hover()
    with page.expect_download() as event:
        page.get_by_role("button", name="Export as JSON").click()
    assert event.value.suggested_filename == "Größe 你好.json"
    event.value.save_as(tmp_path / "chat.json")
    document = json.loads((tmp_path / "chat.json").read_text(encoding="utf-8"))
    assert [(m["role"], m["content"]) for m in document["messages"]] == [
        ("user", "Größe: 你好?"), ("assistant", "Answer 1 to “Größe: 你好?”.")]
    assert document["messages"][1]["usage"]["prompt_tokens"] == 9
    assert document["format"] == "hearth.conversation" and document["title"] == "Größe: 你好?"


def test_a_question_whose_answer_never_came(page, server):
    ask(page, "wait", wait=False)
    expect(answers(page)).to_contain_text("Three")
    page.reload()
    page.locator(".open").click()
    expect(questions(page)).to_have_text("wait")
    server.go_on.set()
    page.get_by_role("button", name="Try again").or_(
        page.get_by_role("button", name="Answer again")).click()
    expect(answers(page)).to_contain_text("Six.")


def test_without_storage_the_page_still_works(browser, server):
    context = browser.new_context(locale="en-US")
    context.add_init_script(
        "Object.defineProperty(window, 'indexedDB', {get() { throw new Error('forbidden'); }});"
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden'); }});")
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector("html[data-ready]")
    expect(page.locator("#storage-note")).to_contain_text("keeps no data")
    ask(page, "hello")
    expect(answers(page)).to_contain_text("Answer 1")
    context.close()


def test_the_language_follows_the_browser_and_can_be_changed(open_page):
    page = open_page(locale="zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.get_by_role("button", name="新对话")).to_be_visible()
    page.get_by_label("语言").select_option("en")
    expect(page.get_by_role("button", name="New chat")).to_be_visible()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("textbox", name="Your question")).to_be_visible()


def test_other_languages_get_english(open_page):
    expect(open_page(locale="fr-FR").locator("html")).to_have_attribute("lang", "en")


def test_both_dictionaries_have_the_same_words(page):
    assert page.evaluate("""async () => {
      const { WORDS } = await import("/words.js");
      const slots = (text) => [...text.matchAll(/\\{\\w+\\}/g)].map(String).sort().join();
      const shape = (words) => Object.entries(words).map(([k, v]) => k + slots(v)).sort();
      return JSON.stringify(shape(WORDS.en)) === JSON.stringify(shape(WORDS.zh));
    }""")


def test_the_theme_follows_the_system_and_can_be_changed(open_page):
    page = open_page(color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(25, 24, 23)"
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate(colour) == "rgb(253, 252, 250)"
    page.reload()
    assert page.evaluate(colour) == "rgb(253, 252, 250)"
