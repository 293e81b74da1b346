"""Many clients at once: open streams, disconnects."""

import json
import random
import select
import socket
import struct
import subprocess
import threading
import time

from serving import Server
from measure import anonymous, settled, wait_idle
from streams import Connection, Reader, allow_descriptors, post

MEBIBYTE = 1 << 20
PAGE_TOKENS = 32  # of the cache; a request may leave its last page unfilled
RUNNING_MAX = 64  # requests computed at a time
# What allocators keep: arenas of the threads that come and go with the work.
ALLOCATOR_NOISE = 16 * MEBIBYTE
# Once that is taken, nothing is added: a leak of 200 bytes a disconnect would be seen.
SECOND_HALF_MAX = MEBIBYTE


class Peak:
    """The most anonymous memory of a process, looked at 50 times a second."""

    def __init__(self, pid):
        self.most = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, args=(pid,))

    def watch(self, pid):
        while not self.stop.wait(0.02):
            self.most = max(self.most, anonymous(pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


# ---- open streams

STREAMS = 1000
STREAM_BYTES = 32 << 10  # of the server for each: 16 KiB to read into, request, text, queue
# Once for all: rows of a pass, logits, arenas of the threads.
SCRATCH = 32 * MEBIBYTE
SUBJECTS = (
    "the sea", "a red bicycle", "old maps", "bread", "the moon", "trains at night", "a small dog",
    "winter", "the number seven", "glass", "a lost key", "rivers", "chess", "an empty house",
    "the colour blue", "salt", "a long letter", "bees", "the north wind", "clocks",
)  # fmt: skip


def chat(number):
    """A streamed request; there are as many different ones as subjects."""
    kind = number % len(SUBJECTS)
    return {
        "model": "default",
        "messages": [{"role": "user", "content": f"Write {3 + kind} words about {SUBJECTS[kind]}."}],
        "max_tokens": 8 + 7 * kind % 25,  # 8 to 32
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def read_chat(connection):
    """Text, finish reason and usage of a stream, each of which it tells exactly once."""
    events = connection.events()
    assert events.count("[DONE]") == 1 and events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert len({chunk["id"] for chunk in chunks}) == 1
    usages = [chunk["usage"] for chunk in chunks if chunk["usage"] is not None]
    assert len(usages) == 1 and chunks[-1]["choices"] == []
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    finishes = [choice["finish_reason"] for choice in choices]
    assert finishes[-1] in ("stop", "length") and set(finishes[:-1]) == {None}
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    del usages[0]["prompt_tokens_details"]  # depends on who asked before
    return text, finishes[-1], usages[0]


def one_chat(port, number):
    connection = Connection(port)
    connection.send(post("/v1/chat/completions", chat(number)))
    while not connection.ended:
        select.select([connection.socket], [], [], 60)
        connection.read()
    connection.close()
    return read_chat(connection)


def stream_all(port, count):
    """That many chats at once: the connections, and how many were open when the last was sent."""
    connections = [Connection(port) for _ in range(count)]
    reader = Reader()
    for number, connection in enumerate(connections):
        reader.add(connection)
        connection.send(post("/v1/chat/completions", chat(number)))
    opened = len(reader)
    while len(reader):
        assert reader.poll(60), f"nothing comes any more, {len(reader)} streams are open"
        # Not more often than the server has a batch ready.
        time.sleep(0.01)
    reader.close()
    for connection in connections:
        connection.close()
    return connections, opened


def test_a_thousand_streams(hearth, model, own_server, record_property):
    """None is lost, none is wrong, and memory stays within what they need."""
    allow_descriptors(STREAMS + 200)
    pid = own_server.process.pid
    alone = []
    for number in range(len(SUBJECTS)):
        alone.append(one_chat(own_server.port, number))
    assert len({text for text, _, _ in alone}) > len(SUBJECTS) // 2
    for number, (_, reason, usage) in enumerate(alone):
        asked = chat(number)["max_tokens"]
        assert usage["completion_tokens"] <= asked
        assert reason == "stop" or usage["completion_tokens"] == asked

    before = anonymous(pid)
    descriptors = own_server.descriptors()
    begin = time.monotonic()
    with Peak(pid) as peak:
        connections, opened = stream_all(own_server.port, STREAMS)
    took = time.monotonic() - begin
    # Those that were answered before the last was sent are at most what a batch holds.
    assert opened >= STREAMS - RUNNING_MAX
    wrong = sum(
        read_chat(connection) != alone[number % len(alone)]
        for number, connection in enumerate(connections)
    )
    assert wrong == 0
    wait_idle(own_server, 10)
    after = anonymous(pid)

    shown = json.loads(subprocess.check_output([hearth, "show", model, "--json"]))
    per_token = shown["layers"] * shown["kv_heads"] * shown["head_dim"] * 2 * 2
    longest = max(usage["total_tokens"] for _, _, usage in alone)
    pages = RUNNING_MAX * -(-longest // PAGE_TOKENS)
    cache = pages * PAGE_TOKENS * per_token
    tokens = sum(
        alone[number % len(alone)][2]["completion_tokens"] for number in range(STREAMS)
    )
    told = {
        "open_at_once": opened,
        "seconds": round(took, 1),
        "tokens_per_s": round(tokens / took),
        "anonymous_mib_before": before >> 20,
        "anonymous_mib_peak": peak.most >> 20,
        "anonymous_mib_after": after >> 20,
        "cache_mib_max": cache >> 20,
    }
    for name, value in told.items():
        record_property(name, value)
    print(f"\n{told}")
    assert peak.most <= before + cache + STREAMS * STREAM_BYTES + SCRATCH
    # Pages that were once filled stay with the cache.
    assert after <= before + cache + SCRATCH
    assert own_server.descriptors() <= descriptors



# ---- disconnects

DISCONNECTS = 10_000
WARM_UP = 1000
AT_ONCE = 128
SEED = 20_261
TOKENS_READ_MAX = 8  # of those that leave in the middle of their streams
CONTEXT = 2048
LEAVE_S_MAX = 120


class Leaver:
    """A client that goes away: after so many bytes of its request, or so many tokens."""

    REQUEST = post(
        "/v1/completions",
        {
            "prompt": "Once upon a time",
            "max_tokens": 1000,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
        },
    )

    def __init__(self, port, draw, mid_stream):
        self.reset = draw.random() < 0.5  # or an orderly close
        self.tokens = draw.randint(1, TOKENS_READ_MAX) if mid_stream else 0
        # Within the head, within the body, or all of it.
        cut = draw.choice((draw.randrange(len(self.REQUEST)), len(self.REQUEST)))
        self.connection = Connection(port)
        self.connection.send(self.REQUEST if mid_stream else self.REQUEST[:cut])

    def content(self):
        return not self.tokens or self.connection.received.count(b"data: {") >= self.tokens

    def leave(self):
        if self.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


def leave_many(port, count, draw):
    """Half leave before an answer, half in its middle; tokens read by these."""
    kinds = [number % 2 == 0 for number in range(count)]
    draw.shuffle(kinds)
    reader = Reader()
    leavers = {}
    tokens = 0
    while kinds or len(reader):
        while kinds and len(reader) < AT_ONCE:
            leaver = Leaver(port, draw, kinds.pop())
            if leaver.content():
                leaver.leave()
            else:
                leavers[leaver.connection] = leaver
                reader.add(leaver.connection)
        ready = reader.poll(60)
        assert ready or not len(reader), "nothing comes any more"
        for connection in ready:
            leaver = leavers[connection]
            assert not connection.ended, bytes(connection.received[:500])
            if leaver.content():
                assert connection.received.startswith(b"HTTP/1.1 200 ")
                tokens += leaver.tokens
                reader.remove(connection)
                leaver.leave()
                del leavers[connection]
    reader.close()
    return tokens


def ask_for_the_whole_context(server):
    """Seconds for an answer that fills it."""
    begin = time.monotonic()
    answer = server.post(
        "/v1/completions",
        {"prompt": [5] * (CONTEXT - 8), "max_tokens": 8, "temperature": 0, "ignore_eos": True},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["total_tokens"] == CONTEXT
    return time.monotonic() - begin


def test_ten_thousand_disconnects(hearth, model, tmp_path, record_property):
    """Everything that they took is given back."""
    # No room in the cache for more than what runs at a time.
    server = Server(hearth, model, tmp_path / "log", "--ctx", str(CONTEXT))
    pid = server.process.pid
    draw = random.Random(SEED)
    ask_for_the_whole_context(server)
    leave_many(server.port, WARM_UP, draw)
    wait_idle(server, 10)

    start, memory_start = settled(server), anonymous(pid)
    begin = time.monotonic()
    tokens = leave_many(server.port, DISCONNECTS // 2, draw)
    took = time.monotonic() - begin
    wait_idle(server, 10)
    settled(server, start)
    memory_middle = anonymous(pid)
    begin = time.monotonic()
    tokens += leave_many(server.port, DISCONNECTS // 2, draw)
    took += time.monotonic() - begin
    idle_after = wait_idle(server, 10)
    assert tokens >= DISCONNECTS // 2
    end = settled(server, start)
    memory_end = anonymous(pid)
    whole = ask_for_the_whole_context(server)
    told = {
        "seed": SEED,
        "seconds": round(took, 1),
        "idle_after_s": round(idle_after, 2),
        "tokens_read": tokens,
        "anonymous_kib": (memory_start >> 10, memory_middle >> 10, memory_end >> 10),
        "whole_context_s": round(whole, 2),
        **end,
    }
    for name, value in told.items():
        record_property(name, value)
    print(f"\n{told}")
    assert end == start
    assert memory_end <= memory_start + ALLOCATOR_NOISE
    assert memory_end < memory_middle + SECOND_HALF_MAX
    assert server.stop() == 0  # also with the pages in order: the engine ends the process if not
    assert "dropped without an answer" not in server.log.read_text()
    assert took < LEAVE_S_MAX
