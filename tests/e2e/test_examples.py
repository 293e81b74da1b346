"""The programs of examples/, as they stand."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
TIME_S_MAX = 120


def run(command, url):
    done = subprocess.run(
        command,
        cwd=EXAMPLES,
        env={**os.environ, "HEARTH_URL": url},
        capture_output=True,
        text=True,
        timeout=TIME_S_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_chat(lines, named):
    """Lines of "name: text", of which a stream's text may have several."""
    assert lines[0] == f"model: {named}"
    parts = {}
    name = ""
    for line in lines[1:]:
        head, colon, text = line.partition(": ")
        if colon and head in ("answer", "tokens", "stream"):
            name, line = head, text
        parts[name] = (parts.get(name, "") + "\n" + line).strip()
    assert set(parts) == {"answer", "tokens", "stream"}
    assert parts["answer"] and parts["stream"]
    prompt, answer = parts["tokens"].split(" + ")
    assert int(prompt) > 10 and 0 < int(answer) <= 64


@pytest.fixture(scope="module")
def named(client):
    return client.models.list().data[0].id


def test_each_has_a_test_and_its_two_lines():
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    readme = (EXAMPLES / "README.md").read_text()
    own = pathlib.Path(__file__).read_text()
    for name in files - {"README.md"}:
        assert f"`{name}`" in readme
        assert name.endswith(".md") or f'"{name}"' in own


def test_curl(server, named):
    if not shutil.which("curl"):
        pytest.skip("no curl")
    output = run(["sh", "curl.sh"], server.url)
    sections = dict(part.split("\n", 1) for part in output.split("# ") if part)
    models, generated, chat, tokens = sections.values()
    assert json.loads(models)["data"][0]["id"] == named
    assert "Paris" in json.loads(generated)["text"]
    *events, end = [line.removeprefix("data: ") for line in chat.split("\n") if line]
    assert end == "[DONE]"
    texts = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events]
    assert len(texts) > 3 and "Paris" in "".join(texts)
    assert json.loads(tokens)["count"] == len(json.loads(tokens)["tokens"])


def test_curl_tells_of_a_failure(server):
    if not shutil.which("curl"):
        pytest.skip("no curl")
    with pytest.raises(AssertionError):
        run(["sh", "curl.sh"], server.url + "/nothing")


def test_openai_python(server, named):
    check_chat(run([sys.executable, "openai_chat.py"], server.url).splitlines(), named)


def test_langchain(server, named):
    output = run([sys.executable, "langchain_chat.py"], server.url)
    check_chat([f"model: {named}", *output.splitlines()], named)


def test_openai_javascript(server, named):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    probe = [node, "--input-type=module", "--eval", "await import('openai')"]
    if subprocess.run(probe, cwd=EXAMPLES, capture_output=True, check=False).returncode != 0:
        pytest.skip("the npm package openai is missing: npm install --no-save openai in examples/")
    check_chat(run([node, "openai_chat.mjs"], server.url).splitlines(), named)
