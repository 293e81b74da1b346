"""POST /generate and plain HTTP behaviour of `hearth serve`."""

import json
import time

import pytest
import requests


def events(response):
    assert response.headers["content-type"].startswith("text/event-stream")
    for line in response.iter_lines():
        if line.startswith(b"data: "):
            yield line[len(b"data: ") :].decode()


def test_defaults(server):
    answer = server.post("/generate", {"prompt": "The capital of France is"})
    assert answer.status_code == 200
    document = answer.json()
    assert "Paris" in document["text"]
    assert document["finish_reason"] in ("stop", "length")
    assert document["usage"]["completion_tokens"] <= 200
    assert document["timings"]["decode_ms"] >= 0
    assert server.post("/generate", {"prompt": "The capital of France is"}).json()["text"] == (
        document["text"]
    )


def test_query_scalars(server):
    body = server.post("/generate", {"prompt": "Once upon", "max_tokens": 8, "ignore_eos": True})
    query = requests.post(
        server.url + "/generate?prompt=Once+upon&max_tokens=8&ignore_eos=true", timeout=60
    )
    assert query.status_code == 200
    assert query.json()["text"] == body.json()["text"]
    assert query.json()["usage"]["completion_tokens"] == 8


def test_content_type_does_not_matter(server):
    answer = requests.post(
        server.url + "/generate",
        data=json.dumps({"prompt": "x", "max_tokens": 1}),
        headers={"Content-Type": "text/plain"},
        timeout=60,
    )
    assert answer.status_code == 200


def test_stream(server):
    fields = {"prompt": "Once upon a time", "max_tokens": 24}
    whole = server.post("/generate", fields).json()
    with server.post("/generate", fields | {"stream": True}, stream=True) as response:
        data = list(events(response))
    assert data[-1] == "[DONE]"
    documents = [json.loads(text) for text in data[:-1]]
    assert "".join(document["text"] for document in documents) == whole["text"]
    assert documents[-1]["finish_reason"] == whole["finish_reason"]
    assert documents[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert len(documents) > 10  # piece by piece


@pytest.mark.parametrize(
    "body, status, code",
    [
        ("{", 400, "invalid_json"),
        ('{"prompt": "x", "prompt": "y"}', 400, "invalid_json"),
        ('{"prompt": "x", "temperature": 1e999}', 400, "invalid_json"),
        ('{"prompt": ' + "[" * 100_000 + "}", 400, "json_too_deep"),
        ('{"prompt": "\\ud800"}', 400, "invalid_json"),
        ('{"prompt": "a\\u0000b"}', 400, "invalid_value"),
        ('{"prompt": "x", "max_tokens": -5}', 400, "invalid_value"),
        ('{"prompt": "x", "what": 1}', 400, "unknown_field"),
        ("{}", 400, "missing_field"),
        ('{"prompt": "' + "\\n" * 5_000_000 + '"}', 413, "body_too_large"),
        ('{"prompt": "' + "word " * 400_000 + '"}', 400, "context_length_exceeded"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_bad_bodies(server, body, status, code):
    answer = requests.post(server.url + "/generate", data=body, timeout=60)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.headers["x-request-id"]


def test_host_and_origin(server):
    assert requests.get(server.url + "/health", headers={"Host": "evil.example"}).status_code == 421
    assert (
        requests.get(server.url + "/health", headers={"Origin": "http://evil.example"}).status_code
        == 403
    )


def test_smuggling(server):
    with server.connect() as connection:
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        connection.shutdown(1)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1") == 1


def test_disconnects_leave_nothing_behind(server):
    def idle():
        return server.descriptors()

    time.sleep(0.2)
    before = idle()
    body = json.dumps({"prompt": "x", "max_tokens": 4000, "ignore_eos": True, "stream": True})
    for _ in range(8):
        connection = server.connect()
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body.encode())
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.close()
    deadline = time.monotonic() + 10
    while idle() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert idle() <= before
    # The engine is free again: one short answer comes quickly.
    begin = time.monotonic()
    assert server.post("/generate", {"prompt": "x", "max_tokens": 1}).status_code == 200
    assert time.monotonic() - begin < 5


def test_sigterm_drains(own_server):
    with own_server.post(
        "/generate",
        {"prompt": "Once upon a time", "max_tokens": 64, "ignore_eos": True, "stream": True},
        stream=True,
    ) as response:
        stream = events(response)
        next(stream)
        own_server.process.terminate()
        rest = list(stream)
    assert rest[-1] == "[DONE]"
    assert json.loads(rest[-2])["usage"]["completion_tokens"] == 64
    assert own_server.process.wait(30) == 0
