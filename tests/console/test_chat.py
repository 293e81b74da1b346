"""The conversation: asking, stopping, asking again, editing, settings, models, failures."""

import pytest
from playwright.sync_api import expect

import scripted
from steps import answers, ask, done, questions


def test_a_question_is_streamed_and_answered(page, server):
    ask(page, "hello there")
    expect(answers(page)).to_have_text("Answer 1 to “hello there”.")
    expect(questions(page)).to_have_text("hello there")
    sent = server.requests[0]
    assert sent["messages"] == [{"role": "user", "content": "hello there"}]
    assert sent["stream"] is True and sent["stream_options"] == {"include_usage": True}
    assert set(sent) == {"messages", "stream", "stream_options"}


def test_speed_and_tokens_are_shown(page):
    ask(page, "Explain")
    stats = page.locator(".stats")
    expect(stats).to_contain_text("s to the first token")
    expect(stats).to_contain_text("tokens/s")
    expect(stats).to_contain_text(f"{len(scripted.pieces(scripted.GUIDE))} tokens")
    expect(stats).not_to_contain_text("about")


def test_the_conversation_goes_along(page, server):
    ask(page, "one")
    ask(page, "two")
    assert [m["content"] for m in server.requests[1]["messages"]] == [
        "one", "Answer 1 to “one”.", "two"]


def test_examples_start_a_conversation(page, server):
    page.locator(".example").first.click()
    done(page)
    assert "process and a thread" in server.requests[0]["messages"][0]["content"]
    expect(page.locator("#empty")).to_be_hidden()
    expect(answers(page).locator("table")).to_have_count(1)
    expect(answers(page).locator("pre")).to_contain_text("thread.start()")


def test_stop_keeps_what_came_and_tells_the_server(page, server):
    ask(page, "wait", wait=False)
    expect(answers(page)).to_contain_text("Three, four.")
    page.get_by_role("button", name="Stop").click()
    done(page)
    assert server.stopped.wait(5)
    expect(answers(page)).to_contain_text("One. Two.")
    expect(page.locator(".stats")).to_contain_text("Stopped")
    expect(page.locator(".stats")).to_contain_text("about")
    expect(page.locator(".stats")).not_to_contain_text("about 0.")  # that time is exact


def test_escape_stops(page, server):
    ask(page, "wait", wait=False)
    expect(answers(page)).to_contain_text("Three, four.")
    page.keyboard.press("Escape")
    done(page)
    assert server.stopped.wait(5)


def test_shift_enter_makes_a_line(page, server):
    field = page.get_by_role("textbox", name="Your question")
    field.press_sequentially("a")
    page.keyboard.press("Shift+Enter")
    field.press_sequentially("b")
    page.keyboard.press("Enter")
    done(page)
    assert server.requests[0]["messages"][0]["content"] == "a\nb"


def test_enter_of_an_input_method_does_not_send(page, server):
    field = page.get_by_role("textbox", name="Your question")
    field.fill("ni")
    field.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    page.wait_for_timeout(200)
    assert server.requests == []


def test_answer_again_replaces_the_answer(page, server):
    ask(page, "hello")
    page.get_by_role("button", name="Answer again").click()
    expect(answers(page)).to_have_text("Answer 2 to “hello”.")
    assert server.requests[1]["messages"] == [{"role": "user", "content": "hello"}]


def test_editing_an_earlier_question_drops_what_followed(page, server):
    ask(page, "one")
    ask(page, "two")
    page.locator(".message.user").first.hover()
    page.get_by_role("button", name="Edit and ask again").first.click()
    field = page.get_by_role("textbox", name="Edited question")
    expect(field).to_have_value("one")
    field.press("Escape")
    expect(questions(page)).to_have_count(2)
    page.get_by_role("button", name="Edit and ask again").first.click()
    field.fill("uno")
    page.get_by_role("button", name="Ask again", exact=True).click()
    done(page)
    expect(questions(page)).to_have_text(["uno"])
    assert server.requests[2]["messages"] == [{"role": "user", "content": "uno"}]


def test_copying(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    ask(page, "Explain")
    page.locator(".code .icon-button").click()
    expect(page.locator("#status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("import threading\n")
    page.locator(".message.assistant > .tools").get_by_role("button", name="Copy").click()
    page.wait_for_function(
        "async () => (await navigator.clipboard.readText()).startsWith('A **process**')")


def test_system_prompt_and_sampling(page, server):
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("System prompt").fill("Be brief.")
    for name, value in [("Temperature", "0.5"), ("Top p", "0.9"), ("Longest answer", "64"),
                        ("Seed", "7")]:
        page.get_by_label(name).fill(value)
    page.get_by_role("button", name="Done").click()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    ask(page, "hello")
    sent = server.requests[0]
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [sent[name] for name in ("temperature", "top_p", "max_tokens", "seed")] == [
        0.5, 0.9, 64, 7]
    page.get_by_role("button", name="a system prompt is set").click()
    page.get_by_role("button", name="Reset").click()
    page.keyboard.press("Escape")
    ask(page, "again")
    assert "seed" not in server.requests[1]
    assert server.requests[1]["messages"][0]["role"] == "user"


def test_settings_out_of_range_are_not_taken(page, server):
    page.get_by_role("button", name="Settings").click()
    for name, value in [("Temperature", "3"), ("Top p", "much"), ("Longest answer", "1.5"),
                        ("Seed", "-1")]:
        page.get_by_label(name).fill(value)
        expect(page.get_by_label(name)).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Done").click()
    ask(page, "hello")
    assert set(server.requests[0]) == {"messages", "stream", "stream_options"}


def test_several_models_make_a_menu(open_page, server):
    server.models = ["alpha", "beta"]
    page = open_page()
    page.get_by_label("Model").select_option("beta")
    ask(page, "hello")
    assert server.requests[0]["model"] == "beta"
    page.reload()
    expect(page.get_by_label("Model")).to_have_value("beta")


def test_one_model_is_only_named(page):
    expect(page.locator("#model-name")).to_have_text("first-model")
    expect(page.locator("#model")).to_be_hidden()


def test_a_busy_server_is_tried_again_after_the_time_it_names(page, server):
    server.failures_left = 1
    ask(page, "busy")
    expect(page.locator(".failure")).to_contain_text("The server is busy")
    expect(page.locator(".failure")).to_contain_text("too many requests are waiting")
    retry = page.locator(".failure button")
    expect(retry).to_be_disabled()
    expect(retry).to_contain_text("Try again in")
    expect(retry).to_be_enabled(timeout=5000)
    retry.click()
    expect(answers(page)).to_have_text("All is well again.")
    expect(page.locator(".failure")).to_have_count(0)


def test_a_conversation_that_is_too_long_is_told_so(page, server):
    server.failures_left = 1
    ask(page, "context")
    expect(page.locator(".failure")).to_contain_text("longer than the model can read")
    expect(page.locator("#status")).to_contain_text("longer than the model can read")


@pytest.mark.parametrize("question, words", [
    ("failed", "The model has failed on this server"),
    ("stopping", "The server is about to stop"),
    ("overloaded", "The server is busy"),
    ("forbidden", "does not allow this request"),
    ("large", "too large for the server"),
    ("slow", "took too long"),
    ("broken", "went wrong inside the server"),
])
def test_every_refusal_has_its_words(page, question, words):
    ask(page, question)
    status, code, message = scripted.REFUSALS[question]
    failure = page.locator(".failure")
    expect(failure.locator(".headline")).to_contain_text(words)
    expect(failure).to_contain_text(message)
    expect(failure).to_contain_text(f"Status {status}, code {code}")
    expect(failure.get_by_role("button", name="Try again", exact=True)).to_be_enabled()


def test_a_server_that_wants_a_key(open_page, server):
    server.key = "sk-right"
    page = open_page()
    expect(page.locator("#model-name")).to_have_text("API key needed")
    ask(page, "hello")
    expect(page.locator(".failure")).to_contain_text("asks for an API key")
    page.locator(".failure").get_by_role("button", name="Settings").click()
    field = page.get_by_label("API key")
    field.fill("two words")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill(" sk-right ")
    expect(field).to_have_attribute("aria-invalid", "false")
    page.get_by_role("button", name="Done").click()
    expect(page.locator("#model-name")).to_have_text("first-model")
    page.get_by_role("button", name="Try again").click()
    expect(answers(page)).to_have_text("Answer 1 to “hello”.")
    # Known to this tab alone.
    assert "sk-right" not in page.evaluate("JSON.stringify(localStorage)")
    page.reload()
    expect(page.locator("#model-name")).to_have_text("first-model")
    with page.context.expect_page() as event:
        page.evaluate("window.open('/', '_blank', 'noopener')")
    expect(event.value.locator("#model-name")).to_have_text("API key needed")
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("API key").fill("")
    page.get_by_role("button", name="Done").click()
    expect(page.locator("#model-name")).to_have_text("API key needed")
    assert page.evaluate("sessionStorage.length") == 0


def test_no_connection(page, server):
    server.failures_left = 100  # the browser itself tries again
    ask(page, "gone")
    expect(page.locator(".failure")).to_contain_text("cannot be reached")
    server.failures_left = 0
    page.locator(".failure button").click()
    expect(answers(page)).to_have_text("All is well again.")


def test_an_answer_that_breaks_off(page):
    for question, words in [("midstream", "inside the server"), ("lost", "connection was lost"),
                            ("nonsense", "does not understand")]:
        page.keyboard.press("Control+k")
        ask(page, question)
        expect(page.locator(".failure")).to_contain_text(words)
        expect(answers(page)).to_contain_text("The first half of")
        expect(page.locator(".failure button")).to_be_enabled()


def test_after_a_failure_the_sides_still_take_turns(page, server):
    server.failures_left = 1
    ask(page, "context")
    ask(page, "next")
    assert server.requests[1]["messages"] == [{"role": "user", "content": "next"}]


def test_an_answer_at_its_limit_says_so(page):
    ask(page, "cut")
    expect(page.locator(".stats")).to_contain_text("length limit")


def test_events_in_single_bytes(page):
    ask(page, "split")
    expect(answers(page)).to_have_text("a你bc")


def test_two_conversations_answer_at_once(page, server):
    ask(page, "wait", wait=False)
    expect(answers(page)).to_contain_text("Three")
    page.keyboard.press("Control+k")
    ask(page, "other")
    expect(answers(page)).to_contain_text("to “other”")
    page.locator(".open", has_text="wait").click()
    expect(answers(page)).to_contain_text("Three")
    expect(answers(page)).not_to_contain_text("Six.")
    server.go_on.set()
    done(page)
    expect(answers(page)).to_contain_text("Six.")


def test_the_page_follows_only_a_reader_at_the_end(page, server):
    ask(page, "tall", wait=False)
    scroller = page.locator("#scroller")
    distance = "e => e.scrollHeight - e.scrollTop - e.clientHeight"
    expect(answers(page)).to_contain_text("Paragraph 59")
    page.wait_for_timeout(200)
    assert scroller.evaluate(distance) < 5
    scroller.evaluate("e => { e.scrollTop = 300; }")
    expect(page.locator("#to-end")).to_be_visible()
    server.go_on.set()
    done(page)
    page.wait_for_timeout(200)
    assert scroller.evaluate("e => e.scrollTop") == 300
    page.locator("#to-end").focus()
    page.keyboard.press("Enter")
    assert scroller.evaluate(distance) < 5
    expect(page.locator("#to-end")).to_be_hidden()
    expect(scroller).to_be_focused()  # the focus is not lost with the button


def test_text_that_comes_before_the_scroll_event_does_not_end_the_following(page, server):
    ask(page, "tall", wait=False)
    expect(answers(page)).to_contain_text("Paragraph 59")
    page.wait_for_timeout(200)
    # The page scrolls, and more arrives before the browser says so.
    page.evaluate("""() => new Promise((done) => {
      const block = document.createElement("div");
      block.style.height = "400px";
      document.querySelector("#messages").append(block);
      document.querySelector("#scroller").dispatchEvent(new Event("scroll"));
      requestAnimationFrame(() => done(block.remove()));
    })""")
    expect(page.locator("#to-end")).to_be_hidden()
    server.go_on.set()
    done(page)
    page.wait_for_timeout(200)
    distance = "e => e.scrollHeight - e.scrollTop - e.clientHeight"
    assert page.locator("#scroller").evaluate(distance) < 5
