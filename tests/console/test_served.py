"""The page as `hearth serve` gives it, with a real model behind it."""

import json
import os
import re
import signal
import time

import pytest
import requests
from playwright.sync_api import expect

import dev_server
from access import check
from serving import Server
from steps import answers, ask, done

QUESTION = "What is the capital of France? Answer in one sentence."
STORY = "Tell me a very long story about a lighthouse."
STORY_TOKENS = 400  # it is at least so long
TOKENS = 100
IDLE_S = 1.0
IDLE_CPU_S_MAX = 0.15


@pytest.fixture(scope="module")
def hearth_server(hearth, model, tmp_path_factory):
    running = Server(hearth, model, tmp_path_factory.mktemp("console") / "log", "--ctx", "2048")
    yield running
    assert running.stop() == 0, running.log.read_text(errors="replace")


@pytest.fixture
def real(open_page, hearth_server):
    """The page, with settings under which an answer is always the same."""
    page = open_page(hearth_server.url)
    repeatable(page)
    return page


def repeatable(page, **more):
    page.locator("#open-settings").click()
    for name, value in {"temperature": 0, **more}.items():
        page.locator(f"#sampling-{name}").fill(str(value))
    page.locator("#done-settings").click()


def kept(page):
    """The messages that the page keeps of its newest conversation."""
    page.locator("#list li").first.hover()
    with page.expect_download() as event:
        page.get_by_role("button", name="Export as JSON").first.click()
    return json.loads(event.value.path().read_text(encoding="utf-8"))["messages"]


def chat(server, messages, **fields):
    response = server.post("/v1/chat/completions",
                           {"messages": messages, "temperature": 0, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_development_server_sends_the_same(hearth_server, server):
    paths = ["/" if path.name == "index.html" else f"/{path.name}"
             for path in dev_server.WEB.iterdir()]
    for path in [*paths, "/vendor/marked.js", "/vendor/marked.LICENSE.txt"]:
        sent, scripted = (requests.get(url + path, timeout=10)
                          for url in (hearth_server.url, server.url))
        assert sent.status_code == scripted.status_code == 200, path
        assert sent.content == scripted.content, path
        own = {"date", "x-request-id"}  # of each answer
        assert ({k.lower(): v for k, v in sent.headers.items() if k.lower() not in own} ==
                {k.lower(): v for k, v in scripted.headers.items()}), path
    for path in ("/nothing.js", "/index.html", "/app.css/"):
        assert requests.get(hearth_server.url + path, timeout=10).status_code == 404
        assert requests.get(server.url + path, timeout=10).status_code == 404


def test_an_answer_is_the_api_s_answer(real, hearth_server):
    named = requests.get(hearth_server.url + "/v1/models", timeout=10).json()["data"][0]["id"]
    expect(real.locator("#model-name")).to_have_text(named)
    # How often the answer on the page grew.
    real.evaluate("""() => {
      window.growths = 0;
      let before = 0;
      new MutationObserver(() => {
        const now = document.querySelector(".message.assistant .prose")?.textContent.length ?? 0;
        if (now > before) ++window.growths;
        before = now;
      }).observe(document.getElementById("messages"), {
        childList: true, subtree: true, characterData: true });
    }""")
    repeatable(real, max_tokens=TOKENS)  # enough to be seen coming
    ask(real, STORY)
    assert real.evaluate("window.growths") > 1
    expected = chat(hearth_server, [{"role": "user", "content": STORY}], max_tokens=TOKENS)
    question, answer = kept(real)
    assert question["content"] == STORY
    assert answer["content"] == expected["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == expected["usage"]["completion_tokens"] == TOKENS
    stats = real.locator(".stats").inner_text()
    assert re.fullmatch(r"Ended at its length limit · [\d,.]+ tokens/s · [\d.]+ s to the first token"
                        rf" · {TOKENS} tokens", stats), stats


def test_a_conversation_goes_on_after_a_reload(real, hearth_server):
    ask(real, QUESTION)
    first = answers(real).inner_text()
    real.reload()
    real.locator(".open").click()
    expect(answers(real)).to_have_text(first)
    ask(real, "And of Italy?")
    expect(answers(real)).to_have_count(2)
    before = [{"role": m["role"], "content": m["content"]} for m in kept(real)]
    expected = chat(hearth_server, before[:3])
    assert before[3]["content"] == expected["choices"][0]["message"]["content"]


def test_stop_frees_the_request(real, hearth_server):
    whole = chat(hearth_server, [{"role": "user", "content": STORY}], max_tokens=STORY_TOKENS)
    assert whole["choices"][0]["finish_reason"] == "length"
    ask(real, STORY, wait=False)
    expect(answers(real)).not_to_have_text("")
    real.locator("#stop").click()
    done(real)
    expect(real.locator(".stats")).to_contain_text("Stopped")
    time.sleep(0.2)  # the step that was being computed
    before = cpu_s(hearth_server.process.pid)
    time.sleep(IDLE_S)
    assert cpu_s(hearth_server.process.pid) - before < IDLE_CPU_S_MAX
    answer = kept(real)[1]
    assert answer["stopped"] and 0 < len(answer["content"])
    assert whole["choices"][0]["message"]["content"].startswith(answer["content"])


def test_a_refusal_of_the_server_in_words(real):
    ask(real, "word " * 4000)
    expect(real.locator(".failure .headline")).to_contain_text("longer than the model can read")
    ask(real, QUESTION)
    expect(answers(real)).to_contain_text("Paris")


def test_the_server_dies_in_the_middle_and_comes_back(open_page, hearth, model, tmp_path):
    running = Server(hearth, model, tmp_path / "log")
    page = open_page(running.url)
    repeatable(page)
    ask(page, STORY, wait=False)
    expect(answers(page)).not_to_have_text("")
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    expect(page.locator(".failure .headline")).to_contain_text("connection was lost")
    half = answers(page).inner_text()
    assert half != ""
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".failure .headline")).to_contain_text("cannot be reached")
    again = Server(hearth, model, tmp_path / "again", port=running.port)
    page.get_by_role("button", name="Try again").click()
    expect(answers(page)).to_contain_text(half.split("\n")[0][:20])
    page.locator("#stop").click()
    done(page)
    assert again.stop() == 0


@pytest.mark.parametrize("theme, locale, width", [
    ("light", "en-US", 1200), ("dark", "zh-CN", 1200), ("dark", "en-US", 360),
    ("light", "zh-CN", 360)])
def test_real_answers_for_everybody(open_page, hearth_server, screenshots, theme, locale, width):
    narrow = width < 760
    page = open_page(hearth_server.url, color_scheme=theme, locale=locale,
                     viewport={"width": width, "height": 740 if narrow else 800},
                     has_touch=narrow, is_mobile=narrow)
    repeatable(page, max_tokens=120)
    page.locator(".example").last.click()
    done(page)
    check(page)
    page.screenshot(path=screenshots / f"served-{theme}-{locale[:2]}-{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
