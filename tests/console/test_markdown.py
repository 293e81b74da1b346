"""Answers as Markdown: what it becomes, and what it can never become."""

import pytest
from playwright.sync_api import expect

import scripted
from steps import answers, ask

# Everything an answer may be made of, with the attributes it may have.
ALLOWED = {
    "p": {"class"}, "h3": set(), "h4": set(), "h5": set(), "h6": set(), "hr": set(), "br": set(),
    "strong": set(), "em": set(), "del": set(), "code": set(), "blockquote": set(),
    "pre": {"tabindex", "role", "aria-label"}, "ul": set(), "ol": {"start"}, "li": {"class"},
    "div": {"class", "tabindex", "role", "aria-label", "dir", "aria-live", "aria-relevant"},
    "span": {"class"}, "a": {"href", "target", "rel", "title"}, "table": set(), "thead": set(),
    "tbody": set(), "tr": set(), "th": {"class"}, "td": {"class"},
    "button": {"type", "class", "aria-label", "title"},
    "svg": {"viewBox", "class", "aria-hidden"}, "path": {"d"},
}

ELEMENTS = """root => [...root.querySelectorAll("*")].map(
  (e) => [e.localName, [...e.attributes].map((a) => a.name)])"""


def check_elements(page):
    for tag, attributes in answers(page).evaluate(ELEMENTS):
        assert tag in ALLOWED, tag
        assert set(attributes) <= ALLOWED[tag], (tag, attributes)


def test_hostile_markdown_stays_text(page):
    ask(page, "hostile")
    check_elements(page)
    assert page.title() == "hostile – Hearth"
    links = answers(page).locator("a")
    assert [link.get_attribute("href") for link in links.all()] == [
        "https://example.org/a?b=1&c=2", "https://example.org/", "mailto:a@example.org",
        "https://tracker.example/pixel.png"]
    for link in links.all():
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert link.get_attribute("target") == "_blank"
    text = answers(page).inner_text()
    assert "<script>document.title='broken'</script>" in text
    assert "good (example.org)" in text and "mail (a@example.org)" in text
    assert "Image: a picture (tracker.example)" in text
    assert "code <b>bold</b>" in text
    assert answers(page).locator("pre code").last.inner_text() == "unclosed(fence"


def test_it_stays_text_after_a_reload(page):
    ask(page, "hostile")
    before = answers(page).inner_text()
    page.reload()
    page.locator(".open").click()
    check_elements(page)
    assert answers(page).inner_text() == before


def test_hostile_questions_and_titles_stay_text(page):
    ask(page, "<img src=x onerror=alert(1)> **no**")
    expect(page.locator(".bubble")).to_have_text("<img src=x onerror=alert(1)> **no**")
    expect(page.locator("h1")).to_have_text("<img src=x onerror=alert(1)> **no**")
    expect(page.locator("img")).to_have_count(0)


def test_nesting_without_end(page):
    ask(page, "deep")
    check_elements(page)
    assert answers(page).inner_text().count(">") > 1000


def test_very_long_lines_stay_inside(page):
    ask(page, "long")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#scroller").evaluate("e => e.scrollWidth <= e.clientWidth")


@pytest.mark.parametrize("text", [
    scripted.GUIDE, scripted.GUIDE_ZH, scripted.HOSTILE,
    "- a\n- b\n\n1. c\n2. d\n\n   e\n\n\ttab\n\ntext\n***\nmore\n\n```\n\tx\n\ny\n```\nend",
    "Title\n=====\n\nparagraph\nline\r\n\r\nnext  \nbroken\n\n~~~c\nint x;\n~~~\n> q\n> r\n\nlast",
    "see [it][1] and [that]\n\nmore text which is long enough\n\n[1]: https://a.example/\n[that]: https://b.example/",
])
def test_a_stream_ends_as_the_whole_text_would(page, text):
    """However the text is cut into pieces, the finished answer is the same."""
    differing = page.evaluate("""async (text) => {
      const { StreamView, prose } = await import("/stream_view.js");
      const { lex, blocks, normalise } = await import("/markdown.js");
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      const whole = document.createElement("div");
      whole.append(...blocks(lex(normalise(text))));
      const wrong = [];
      for (const size of [1, 5, 17]) {
        const view = new StreamView();
        // A frame per piece, as with a slow model.
        for (let i = 0; i < text.length; i += size) {
          view.append(text.slice(i, i + size));
          if (size > 1 || text.length < 400) await frame();
        }
        view.finish();
        if (view.element.firstChild.innerHTML !== whole.innerHTML) wrong.push(size);
        if (view.element.lastChild.childNodes.length !== 0) wrong.push("tail");
      }
      return wrong;
    }""", text)
    assert differing == []


def test_finished_blocks_are_not_made_again(page, server):
    """Long answers stay smooth: a block that is complete keeps its elements while more comes."""
    ask(page, "wait", wait=False)
    expect(answers(page)).to_contain_text("Three, four.")
    first = page.locator(".done > p").first
    expect(first).to_have_text("One. Two.")
    first.evaluate("e => { e.mine = true; }")
    server.go_on.set()
    expect(answers(page)).to_contain_text("Six.")
    expect(page.locator("[aria-busy]")).to_have_count(0)
    assert first.evaluate("e => e.mine === true")


def test_a_long_code_block_grows_in_place(page):
    kept = page.evaluate("""async () => {
      const { StreamView } = await import("/stream_view.js");
      const wait = (ms) => new Promise((done) => setTimeout(done, ms));
      const view = new StreamView();
      document.body.append(view.element);
      view.append("```c\\nint a;\\n");
      await wait(100);
      const pre = view.element.querySelector("pre");
      view.append("int b;\\nint c;");
      await wait(100);
      const same = pre === view.element.querySelector("pre");
      return [same, pre.textContent];
    }""")
    assert kept == [True, "int a;\nint b;\nint c;"]


def test_a_long_answer_is_drawn_quickly(page):
    """200,000 characters in 2,000 pieces: the work grows with the text, not with its square."""
    seconds = page.evaluate("""async () => {
      const { StreamView } = await import("/stream_view.js");
      const view = new StreamView();
      document.getElementById("messages").append(view.element);
      const start = performance.now();
      const piece = "Some **words** with `code` and more of them to read.\\n\\n".repeat(2).slice(0, 100);
      for (let i = 0; i < 2000; ++i) {
        view.append(piece);
        if (i % 10 === 0) await new Promise((done) => requestAnimationFrame(done));
      }
      view.finish();
      return (performance.now() - start) / 1000;
    }""")
    assert seconds < 30
