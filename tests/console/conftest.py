"""A browser, the page in it, and a watch over everything the browser complains about.

HEARTH_CHROMIUM     the browser; default /usr/bin/chromium (Debian's package); none: all are skipped
HEARTH_SCREENSHOTS  a folder that keeps the pictures; default a temporary one
"""

import os
import pathlib
import threading

import pytest
from playwright.sync_api import sync_playwright

from dev_server import Server

CHROMIUM = os.environ.get("HEARTH_CHROMIUM", "/usr/bin/chromium")


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory):
    given = os.environ.get("HEARTH_SCREENSHOTS")
    folder = pathlib.Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# By module: while Playwright runs, no other test of this process could use asyncio.
@pytest.fixture(scope="module")
def browser():
    if not pathlib.Path(CHROMIUM).exists():
        pytest.skip(f"no browser: {CHROMIUM} is missing (Debian's package chromium)")
    with sync_playwright() as playwright:
        # The sandbox of the browser does not work for root, as containers often run.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield running
        running.close()


@pytest.fixture(scope="session")
def scripted_server():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def server(scripted_server):
    scripted_server.reset()
    yield scripted_server
    scripted_server.go_on.set()


# What the browser says by itself about a refused or missing answer, in tests that provoke one.
EXPECTED = ("Failed to load resource",)


@pytest.fixture
def open_page(browser, server):
    """open_page(**context options) gives a page; the test fails on any complaint in one of them."""
    contexts = []
    complaints = []

    def open_one(url=None, **options):
        # Without motion every state is there at once.
        options = {"locale": "en-US", "viewport": {"width": 1200, "height": 800},
                   "reduced_motion": "reduce", **options}
        context = browser.new_context(**options)
        contexts.append(context)
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) =>"
            " console.error('CSP: ' + event.violatedDirective + ' ' + event.blockedURI));"
        )
        page = context.new_page()
        page.set_default_timeout(10_000)
        base = url or server.url
        page.on("console", lambda message: complaints.append(message.text)
                if message.type in ("error", "warning") and
                not message.text.startswith(EXPECTED) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append("request to " + request.url)
                if not request.url.startswith((base, "blob:" + base)) else None)
        page.goto(base)
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page):
    return open_page()
