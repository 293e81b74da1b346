"""Errors as the unmodified `openai` client raises them."""

import contextlib
import hashlib
import json
import re
import secrets
import time

import openai
import pytest
import requests
from serving import Server

QUESTION = [{"role": "user", "content": "Tell me a story."}]
LONG = {"model": "default", "prompt": "Once upon a time", "max_tokens": 400, "temperature": 0}


@contextlib.contextmanager
def configured(hearth, folder, text):
    folder.mkdir()
    path = folder / "hearth.toml"
    path.write_text(text)
    server = Server(hearth, None, folder / "log", "--config", str(path))
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def test_a_wrong_key(hearth, model, tmp_path):
    key = secrets.token_hex(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    text = (
        f'[[models]]\nmodel = "{model}"\ncache_mib = 64\nctx = 512\n'
        f'[[keys]]\nname = "someone"\nsha256 = "{digest}"\npermissions = ["use-models"]\n'
    )
    with configured(hearth, tmp_path / "etc", text) as server:
        right = openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0)
        assert right.completions.create(**{**LONG, "max_tokens": 4}).choices[0].text
        for client in (right.with_options(api_key=key[::-1]), right.with_options(api_key="none")):
            for ask in (
                lambda client=client: client.models.list(),
                lambda client=client: client.chat.completions.create(
                    model="default", messages=QUESTION
                ),
                lambda client=client: client.completions.create(**LONG, stream=True),
            ):
                with pytest.raises(openai.AuthenticationError) as caught:
                    ask()
                assert caught.value.status_code == 401
                assert caught.value.code == "invalid_api_key"
                assert key not in str(caught.value)


def waiting(server):
    text = requests.get(server.url + "/metrics", timeout=10).text
    return float(re.search(r"^vllm:num_requests_waiting{[^}]*} (\S+)$", text, re.MULTILINE)[1])


def test_a_full_queue(hearth, model, tmp_path):
    text = (
        f'[[models]]\nmodel = "{model}"\ncache_mib = 64\nctx = 2048\n'
        "running_max = 1\nqueue_requests_max = 1\n"
    )
    with configured(hearth, tmp_path / "etc", text) as server:
        client = server.client()
        running = {**LONG, "max_tokens": 2000, "extra_body": {"ignore_eos": True}, "stream": True}
        with client.completions.create(**running) as stream:
            next(stream)
            # Another one in the queue; its client waits for the first byte.
            body = json.dumps({**LONG, "stream": True}).encode()
            with server.connect() as queued:
                queued.sendall(
                    b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                )
                deadline = time.monotonic() + 10
                while waiting(server) < 1:
                    assert time.monotonic() < deadline
                for streamed in (False, True):
                    with pytest.raises(openai.RateLimitError) as caught:
                        client.completions.create(**LONG, stream=streamed)
                    assert caught.value.status_code == 429
                    assert caught.value.code == "queue_full"
                    assert caught.value.response.headers["retry-after"] in ("1", "2")  # spread
        # Both have left, and there is room again.
        again = client.with_options(max_retries=5).completions.create(**{**LONG, "max_tokens": 4})
        assert again.usage.completion_tokens == 4


def test_an_error_in_the_middle_of_a_stream(hearth, model, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("HEARTH_FAULT_POINTS", "engine.step=40")
        server = Server(hearth, model, tmp_path / "log")
    stream = server.client().chat.completions.create(
        model="default",
        messages=QUESTION,
        temperature=0,
        max_tokens=400,
        extra_body={"ignore_eos": True},
        stream=True,
    )
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            chunks.append(chunk)  # those before the exception are looked at
    assert not isinstance(caught.value, openai.APIStatusError)  # the status was 200
    assert caught.value.code == "engine_failed"
    assert len(chunks) > 5
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)
    assert server.process.wait(60) == 1
