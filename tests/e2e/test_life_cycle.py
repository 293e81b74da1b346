"""How a server starts, is told something new, stops, and is killed."""

import hashlib
import json
import os
import secrets
import signal
import subprocess
import threading
import time

import pytest
import requests
from measure import metric, settled
from serving import STOP_S_MAX, Server, config_file

BROKEN = "broken"
LONG = {"prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True, "stream": True}


def read_stream(response, events):
    """Appends the data of each event; BROKEN for a stream without a proper end."""
    try:
        for line in response.iter_lines():
            if line.startswith(b"data: "):
                events.append(line[6:].decode())
    except requests.exceptions.ChunkedEncodingError:
        events.append(BROKEN)


class OpenStream:
    """A stream that is being read in a thread of its own."""

    def __init__(self, server, document=None):
        self.response = requests.post(
            server.url + "/generate",
            json=document or LONG,
            stream=True,
            timeout=120,
            headers={"Connection": "close"},  # else the client holds it for as long as this object
        )
        assert self.response.status_code == 200
        self.events = []
        self.thread = threading.Thread(target=read_stream, args=(self.response, self.events))
        self.thread.start()
        deadline = time.monotonic() + 30
        while not self.events:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def text(self):
        """After its end: all of it."""
        self.thread.join(60)
        assert not self.thread.is_alive()
        assert self.events[-1] == "[DONE]", self.events[-3:]
        return "".join(json.loads(event).get("text", "") for event in self.events[:-1])


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_sigterm_drains(own_server):
    alone = OpenStream(own_server).text()
    stream = OpenStream(own_server)
    own_server.process.send_signal(signal.SIGTERM)
    # Not ready at once; alive; nothing new is begun.
    assert eventually(lambda: requests.get(own_server.url + "/ready", timeout=5).status_code == 503)
    assert not stream.events[-1] == "[DONE]", "the stream was over before the question was asked"
    assert requests.get(own_server.url + "/ready", timeout=5).json()["status"] == "stopping"
    assert requests.get(own_server.url + "/health", timeout=5).status_code == 200
    refused = own_server.post("/generate", {"prompt": "a", "max_tokens": 1})
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "shutting_down"
    assert refused.headers["Retry-After"]
    assert metric(own_server, "hearth_errors_total", 'code="shutting_down"') == 1
    # What is open ends as if nothing had happened.
    assert stream.text() == alone
    assert own_server.process.wait(STOP_S_MAX) == 0


def test_draining_has_an_end(configured, model):
    entry = f'[[models]]\nmodel = "{model}"\ncache_mib = 256\nctx = 4096\n'
    server, _ = configured("[limits]\ndrain_timeout_ms = 500\n" + entry)
    # Far more than can be made in that time.
    streams = [OpenStream(server, {**LONG, "max_tokens": 4000}) for _ in range(2)]
    begin = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(STOP_S_MAX) == 0
    assert 0.4 < time.monotonic() - begin < 5
    for stream in streams:
        stream.thread.join(30)
    # A part cannot be taken for the whole.
    assert all(stream.events[-1] != "[DONE]" for stream in streams)


def model_entry(model, name, more=""):
    return f'[[models]]\nmodel = "{model}"\nid = "{name}"\ncache_mib = 64\nctx = 512\n{more}\n'


def names(server):
    return [m["id"] for m in requests.get(server.url + "/v1/models", timeout=10).json()["data"]]


def hang_up(server, words):
    """SIGHUP; waits until the log says `words` once more."""
    before = server.log.read_text().count(words)
    server.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: server.log.read_text().count(words) > before), server.log.read_text()


def reloads(server, result):
    return metric(server, "hearth_config_reloads_total", f'result="{result}"')


def test_sighup_reads_the_configuration_again(configured, model):
    first = "[limits]\nbody_bytes_max = 2000\n" + model_entry(model, "a")
    server, path = configured(first)
    long_body = {"prompt": "word " * 600, "max_tokens": 1}
    assert server.post("/generate", long_body).status_code == 413
    stream = OpenStream(server)

    # As editors and orchestrators do it: a new file takes the place of the old one.
    fresh = path.with_suffix(".new")
    fresh.write_text(
        "[limits]\nbody_bytes_max = 100000\n" + model_entry(model, "a") + model_entry(model, "b")
    )
    os.replace(fresh, path)
    hang_up(server, "configuration read again")
    assert names(server) == ["a", "b"]
    assert server.post("/generate", {**long_body, "model": "b"}).status_code == 400  # its context
    assert server.post("/generate", {"prompt": "x", "max_tokens": 1, "model": "b"}).ok

    # Whatever is loaded again, the file's first model is the default.
    path.write_text(
        "[limits]\nbody_bytes_max = 100000\n"
        + model_entry(model, "a", "max_batch_tokens = 64")
        + model_entry(model, "b")
    )
    hang_up(server, "configuration read again")
    assert names(server) == ["a", "b"]

    path.write_text(model_entry(model, "b"))
    hang_up(server, "configuration read again")
    assert names(server) == ["b"]
    assert reloads(server, "ok") == 3 and reloads(server, "refused") == 0
    assert "read at the start only" not in server.log.read_text()
    assert server.post("/generate", {"prompt": "x", "max_tokens": 1, "model": "a"}).status_code == 404
    stream.text()  # which began on a model that has since been unloaded

    # What only a new start can change is said.
    path.write_text("[requests]\nchoices_max = 2\n" + model_entry(model, "b"))
    hang_up(server, "[requests] and text_queue_max are read at the start only")
    assert server.stop() == 0


def test_sighup_with_a_bad_file_changes_nothing(configured, model, key, tmp_path):
    good = model_entry(model, "a") + model_entry(model, "b") + key_entry(key, "use-models")
    server, path = configured(good)
    alone = OpenStream(server).text()
    text = server.post("/generate", {"prompt": "2 + 2 =", "max_tokens": 4, "model": "b"}).json()["text"]
    before = settled(server)
    assert before["pages"] == 0

    broken = tmp_path / "etc" / "broken.gguf"
    broken.write_bytes(b"GGUF\x03\0\0\0")
    # Each would also take the key away, and let no body in.
    bad = "[limits]\nbody_bytes_max = 1024\n"
    cases = [
        (
            "[limits]\nbody_bytes_mx = 1\n",
            f"{path}:2: [limits] has no setting body_bytes_mx; did you mean body_bytes_max?",
        ),
        (None, "cannot be read"),
        (bad + '[[keys]]\nname = "x"\n', f"{path}:3: key x: sha256 must be 64 hex digits"),
        # Well-formed, and yet not to be had.
        (bad + model_entry("no-such-model", "a"), "no-such-model"),
        (bad + model_entry(model, "c") + model_entry(broken, "a"), "broken.gguf"),
        (bad + model_entry(model, "a").replace("64", "16777216"), "MiB are available"),
        (bad + model_entry(model, "c") + model_entry(model, "c"), f"{path}:9: two models are called c"),
    ]
    for number, (content, words) in enumerate(cases, 1):
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        stream = OpenStream(server)
        hang_up(server, "the configuration stays as it was")
        last = server.log.read_text().splitlines()[-1]
        assert "the configuration stays as it was: " in last and words in last, last
        assert stream.text() == alone
        assert names(server) == ["a", "b"]
        assert reloads(server, "refused") == number and reloads(server, "ok") == 0
    assert "unloaded" not in server.log.read_text()
    long_body = {"prompt": "2 + 2 =" + 300 * "        ", "max_tokens": 4}
    assert server.post("/generate", long_body).status_code != 413
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
    answer = server.post("/generate", {"prompt": "2 + 2 =", "max_tokens": 4, "model": "b"}, headers=headers)
    assert answer.ok and answer.json()["text"] == text
    assert requests.get(server.url + "/health", timeout=5).status_code == 200
    assert settled(server, before) == before
    assert server.stop() == 0


def test_a_model_that_fails_to_load_leaves_the_old_one(configured, model, monkeypatch):
    # The third to be loaded: after those of the start, the one that takes the first one's place.
    monkeypatch.setenv("HEARTH_FAULT_POINTS", "model.load=3")
    server, path = configured(model_entry(model, "a") + model_entry(model, "b"))
    expected = server.post("/generate", {"prompt": "2 + 2 =", "max_tokens": 4}).json()["text"]
    path.write_text(model_entry(model, "a", "max_batch_tokens = 64") + model_entry(model, "b"))
    hang_up(server, "the configuration stays as it was: there was no memory left")
    assert names(server) == ["a", "b"]
    assert server.post("/generate", {"prompt": "2 + 2 =", "max_tokens": 4}).json()["text"] == expected
    hang_up(server, "configuration read again")  # now there is
    assert names(server) == ["a", "b"]
    assert server.stop() == 0


@pytest.mark.parametrize(
    "text, words",
    [
        ("[server]\nprot = 1\n", ":2: [server] has no setting prot; did you mean port?"),
        ("[limits]\n\nheader_count_max = 0\n", ":3: limits.header_count_max must be from 8 to"),
        ("[limits\n", ":1: "),
        ('[[keys]]\nname = "x"\nsha256 = "abc"\n', ":1: key x: sha256 must be 64 hex digits"),
        ('\n[[keys]]\nsha256 = "abc"\n', ":2: a key needs a name"),
        ('[[models]]\nmodel = "x"\n[[models]]\nid = "x"\n', ":3: [[models]] must say its model"),
        (
            '[[models]]\nmodel = "x"\nid = "y"\n[[models]]\nmodel = "z"\nid = "y"\n',
            ":4: two models are called y",
        ),
    ],
)
def test_a_bad_configuration_is_one_line_at_the_start(hearth, model, tmp_path, text, words):
    path = config_file(tmp_path / "etc", text)
    done = subprocess.run(
        [hearth, "serve", "--config", str(path), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("hearth: ")]
    assert len(errors) == 1 and words in errors[0], done.stderr


def test_print_config_says_everything_and_can_be_read(hearth, tmp_path):
    printed = subprocess.run(
        [hearth, "serve", "--print-config"], capture_output=True, text=True, check=True
    ).stdout
    settings = [line for line in printed.splitlines() if " = " in line and line[0] not in "#"]
    assert len(settings) > 30
    lines = printed.splitlines()
    for line in settings:
        assert lines[lines.index(line) - 1].startswith("# "), f"no comment above {line}"
    path = config_file(tmp_path / "etc", printed)
    again = subprocess.run(
        [hearth, "serve", "--print-config", "--config", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert again == printed
    port = subprocess.run(
        [hearth, "serve", "--print-config", "--config", str(path), "--port", "1234"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "port = 1234\n" in port and "port = 8080\n" in printed


@pytest.fixture
def key():
    return secrets.token_hex(32)


def key_entry(key, *permissions):
    digest = hashlib.sha256(key.encode()).hexdigest()
    listed = ", ".join(f'"{name}"' for name in permissions)
    return f'[[keys]]\nname = "ops"\nsha256 = "{digest}"\npermissions = [{listed}]\n'


def test_models_come_and_go_by_who_may(configured, model, key, tmp_path):
    server, _ = configured(model_entry(model, "a") + key_entry(key, "manage-models", "use-models"))
    admin = server.url + "/admin/models"
    headers = {"Authorization": f"Bearer {key}"}
    assert requests.get(admin, timeout=10).status_code == 401
    assert requests.get(admin, headers={"Authorization": "Bearer x"}, timeout=10).status_code == 401
    assert server.post("/generate", {"prompt": "x"}, headers={"Authorization": "Bearer x"}).status_code == 401
    before = anonymous_bytes(server)

    loaded = requests.post(admin, headers=headers, json={"model": "smollm2", "id": "b", "ctx": 256}, timeout=120)
    assert loaded.status_code == 200, loaded.text
    assert loaded.json()["max_model_len"] == 256
    assert names(server) == ["a", "b"]
    answer = server.post("/generate", {"prompt": "2 + 2 =", "max_tokens": 4, "model": "b"})
    same = server.post("/generate", {"prompt": "2 + 2 =", "max_tokens": 4, "model": "a"})
    assert answer.ok and answer.json()["text"] == same.json()["text"]
    holding = anonymous_bytes(server)
    # Sanitizers keep what was freed, and shadows of it all.
    counts = "HEARTH_SANITIZER" not in os.environ
    assert holding - before > 60 << 20 or not counts  # its weights are there

    # A name in the store is the only way to say which.
    outside = tmp_path / "model.gguf"
    outside.write_bytes(b"GGUF")
    for name in [str(outside), "../smollm2", "smollm2/../smollm2", "smollm2\u0000", "%2e%2e/x", ""]:
        refused = requests.post(admin, headers=headers, json={"model": name, "id": "c"}, timeout=30)
        assert refused.status_code in (400, 404), (name, refused.text)
    # Nor is there room for just any of them.
    huge = requests.post(
        admin, headers=headers, json={"model": "smollm2", "id": "c", "ctx": 1 << 24}, timeout=120
    )
    assert huge.status_code == 507, huge.text
    assert huge.json()["error"]["code"] == "out_of_memory"
    assert "MiB are available" in huge.json()["error"]["message"]
    assert names(server) == ["a", "b"]

    removed = requests.delete(admin + "/b", headers=headers, timeout=30)
    assert removed.status_code == 200 and removed.json()["deleted"] is True
    assert server.post("/generate", {"prompt": "x", "model": "b"}).status_code == 404
    assert not counts or eventually(lambda: anonymous_bytes(server) - before < 16 << 20), (
        before,
        holding,
        anonymous_bytes(server),
    )
    assert server.stop() == 0


@pytest.mark.parametrize(
    "point, status, code",
    [("thread.start=4", 503, "no_threads"), ("model.load=2", 507, "out_of_memory")],
)
def test_a_load_without_threads_or_memory_hurts_nobody(
    configured, model, key, monkeypatch, point, status, code
):
    # Three threads come before it: one that measures beside the first, and two of the server's own model.
    monkeypatch.setenv("HEARTH_FAULT_POINTS", point)
    server, _ = configured(model_entry(model, "a", "threads = 2") + key_entry(key, "manage-models"))
    alone = OpenStream(server).text()
    before = settled(server)
    assert before["pages"] == 0
    stream = OpenStream(server)
    ask = {"model": "smollm2", "id": "b", "ctx": 256}
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
    refused = requests.post(server.url + "/admin/models", headers=headers, json=ask, timeout=120)
    assert refused.status_code == status, refused.text
    assert refused.json()["error"]["code"] == code
    assert " b" in refused.json()["error"]["message"]
    assert names(server) == ["a"]
    assert stream.text() == alone
    assert settled(server, before) == before
    assert metric(server, "hearth_errors_total", f'code="{code}"') == 1
    loaded = requests.post(server.url + "/admin/models", headers=headers, json=ask, timeout=120)
    assert loaded.status_code == 200, loaded.text
    assert server.post("/generate", {"prompt": "x", "max_tokens": 1, "model": "b"}).ok
    assert server.stop() == 0


def anonymous_bytes(server):
    status = open(f"/proc/{server.process.pid}/status").read()
    return sum(
        int(line.split()[1]) << 10
        for line in status.splitlines()
        if line.startswith(("RssAnon:", "VmSwap:"))
    )


def test_a_model_without_room_is_refused_in_words(hearth, model, tmp_path):
    # A cache that no machine has room for.
    path = config_file(tmp_path / "etc", f'[[models]]\nmodel = "{model}"\ncache_mib = 16777216\n')
    done = subprocess.run(
        [hearth, "serve", "--config", str(path), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "of memory" in done.stderr and "MiB are available" in done.stderr, done.stderr


def test_a_failed_engine_ends_the_process(hearth, model, tmp_path):
    os.environ["HEARTH_FAULT_POINTS"] = "engine.step=60"
    try:
        server = Server(hearth, model, tmp_path / "log")
    finally:
        del os.environ["HEARTH_FAULT_POINTS"]
    response = requests.post(server.url + "/generate", json=LONG, stream=True, timeout=60)
    body = b"".join(response.iter_content(None)).decode()
    # The one terminal error, and neither [DONE] nor a finish.
    assert body.count("event: error") == 1
    assert '"code":"engine_failed"' in body
    assert "[DONE]" not in body and '"finish_reason":"' not in body
    assert server.process.wait(STOP_S_MAX) == 1
    assert "the engine has failed" in server.log.read_text()


def test_kill_9_leaves_nothing_behind_that_hinders_the_next_start(hearth, model, tmp_path):
    first = Server(hearth, model, tmp_path / "log1")
    expected = OpenStream(first).text()
    stream = OpenStream(first)
    first.process.kill()
    assert first.process.wait(STOP_S_MAX) == -signal.SIGKILL
    stream.thread.join(30)
    assert stream.events[-1] == BROKEN  # a part cannot be taken for the whole
    second = Server(hearth, model, tmp_path / "log2", port=first.port)
    assert OpenStream(second).text() == expected
    assert second.stop() == 0
