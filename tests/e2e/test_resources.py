"""Memory, time to start, speed of a stream, limits of the process, and synthetic models."""

import concurrent.futures
import json
import operator
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import time

import pytest
from measure import Others, between, memory
from serving import Server

MEGABYTE = 1_000_000
PAGE_TOKENS = 32  # tokens share a page of the cache; a request may leave its last one unfilled

READY_S_MAX = 2.0
STARTS = 5

RATE_TOKENS = 128
RATE_PAIRS = 6
RATE_ROUNDS = 3  # so many times more pairs until the two agree
RATE_DIFFERENCE_MAX = 0.10
RATE_DISTURBED_MAX = 3  # pairs one after the other; then the machine is not one to measure on
OTHERS_MAX = 0.05  # of the machine's time, while a pair is measured

KINDS = ("f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k")
SHAPE = "smollm2-135m"
# Of that shape, from its config.json.
PARAMETERS = 134_515_008
EMBEDDING = 49152 * 576


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def run_json(*command):
    done = run(*command)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def describe(hearth, model):
    return run_json(hearth, "show", model, "--json")


# ---- memory


def test_resident_memory(hearth, model, own_server):
    """At most 1.15 times the file, 150 MB, and the part of the cache that was filled."""
    shown = describe(hearth, model)
    pid = own_server.process.pid
    cached_tokens = 0

    def ask(words, answer):
        response = own_server.post(
            "/generate", {"prompt": "word " * words, "max_tokens": answer, "ignore_eos": True}
        )
        assert response.status_code == 200
        usage = response.json()["usage"]
        assert usage["prompt_tokens"] >= words and usage["completion_tokens"] == answer
        return usage["prompt_tokens"] + usage["completion_tokens"] + PAGE_TOKENS

    for words, answer in ((1, 8), (100, 32), (3000, 8)):
        cached_tokens += ask(words, answer)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        cached_tokens += sum(pool.map(lambda n: ask(10 * n + 1, 16), range(16)))

    # Keys and values, two bytes each.
    per_token = shown["layers"] * shown["kv_heads"] * shown["head_dim"] * 2 * 2
    cache = cached_tokens * per_token
    # And never more than the whole cache, of which the server tells.
    log = own_server.log.read_text()
    whole = int(re.search(r"(\d+) MiB for keys and values", log).group(1)) << 20
    bound = 1.15 * shown["file_bytes"] + 150 * MEGABYTE + min(cache, whole)
    resident, peak = memory(pid, "VmRSS"), memory(pid, "VmHWM")
    print(
        f"\nresident {resident / 1e6:.0f} MB, at most {peak / 1e6:.0f} MB, file "
        f"{shown['file_bytes'] / 1e6:.0f} MB, filled cache {min(cache, whole) / 1e6:.0f} MB, "
        f"bound {bound / 1e6:.0f} MB"
    )
    assert resident > shown["file_bytes"] / 2  # the weights are there
    assert resident <= bound
    assert peak <= bound


def test_a_small_context_bounds_the_cache(hearth, model, tmp_path):
    """What is told is what 64 requests of this context need, and int8 takes half of it."""
    shown = describe(hearth, model)
    halves = shown["layers"] * shown["kv_heads"] * shown["head_dim"] * 2 * 2

    def told(*options):
        server = Server(hearth, model, tmp_path / "log", "--ctx", "128", *options)
        log = server.log.read_text()
        assert server.stop() == 0
        assert "context 128," in log
        return int(re.search(r"(\d+) MiB for keys and values", log).group(1)) << 20

    f16 = told()
    assert f16 <= 64 * (128 + PAGE_TOKENS) * halves
    assert told("--kv-type", "bf16") == f16
    assert 0.4 * f16 < told("--kv-type", "int8") < 0.6 * f16


# ---- time to start


def test_ready_in_two_seconds(hearth, model, tmp_path):
    """From the start of the process, with the model's file in the page cache."""
    pathlib.Path(describe(hearth, model)["path"]).read_bytes()
    times = []
    for _ in range(STARTS):
        begin = time.monotonic()
        server = Server(hearth, model, tmp_path / "log")
        times.append(time.monotonic() - begin)
        assert server.stop() == 0
    print("\nready after " + ", ".join(f"{seconds:.2f}" for seconds in times) + " s")
    assert min(times) < READY_S_MAX


# ---- speed


def streamed_rate(server, tokens):
    """Tokens a second in one stream, from the arrival of the first to the last.

    Read from the socket and counted afterwards: a client that parses takes the core from the
    server.
    """
    body = json.dumps(
        {
            "prompt": [1],  # as many tokens of context as `bench engine` starts with
            "max_tokens": tokens + 1,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
        }
    ).encode()
    arrivals = []
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        while data := connection.recv(65536):
            arrivals.append((time.perf_counter(), data))
    assert arrivals[0][1].startswith(b"HTTP/1.1 200")
    received = b"".join(data for _, data in arrivals)
    assert b"data: [DONE]" in received
    moments = [moment for moment, data in arrivals for _ in range(data.count(b"data: {"))]
    # One event for each token (some may hold back half a character), and one that tells the end.
    assert tokens - 8 <= len(moments) <= tokens + 2
    return tokens / (moments[-1] - moments[0])


def bench_rate(hearth, model, *options):
    document = run_json(
        hearth, "bench", "engine", model, "-p", 1, "-n", RATE_TOKENS, "-b", 1, "-r", 1,
        "--json", *options,
    )  # fmt: skip
    (decode,) = document["decode"]
    assert decode["batch"] == 1
    return decode["tok_s"], document["machine"]["threads"]


def test_a_stream_is_as_fast_as_bench_engine(hearth, model, tmp_path):
    """Pair by pair, each `bench engine` between two streams: the machine's own speed drifts.

    Pairs that other programs disturb do not count, for they say nothing either way.
    """
    threads = len(os.sched_getaffinity(0))
    streams, benches, told = [], [], []
    disturbed = 0
    for _ in range(RATE_ROUNDS):
        # Guessed tokens hang on the text: bench engine measures without.
        server = Server(hearth, model, tmp_path / "log", "--threads", str(threads), "--speculation", "off")
        streamed_rate(server, RATE_TOKENS)
        wanted = len(streams) + RATE_PAIRS
        while len(streams) < wanted and disturbed < RATE_DISTURBED_MAX:
            others = Others(server.process)
            before = streamed_rate(server, RATE_TOKENS)
            bench, used = bench_rate(hearth, model, "--threads", threads)
            after = streamed_rate(server, RATE_TOKENS)
            assert used == threads
            share = others.share()
            told.append(
                f"streams {before:.0f} and {after:.0f} tokens/s, bench engine {bench:.0f}, "
                f"others took {100 * share:.0f} %"
            )
            print("\n" + told[-1], end="")
            disturbed = disturbed + 1 if share > OTHERS_MAX else 0
            if not disturbed:
                streams.append(statistics.mean((before, after)))
                benches.append(bench)
        assert server.stop() == 0
        if disturbed == RATE_DISTURBED_MAX:
            pytest.skip("other programs run beside:\n" + "\n".join(told))
        ratio = statistics.median(map(operator.truediv, streams, benches))
        told.append(
            f"medians: stream {statistics.median(streams):.0f} tokens/s, bench engine "
            f"{statistics.median(benches):.0f}, ratio of a pair {ratio:.3f}"
        )
        print("\n" + told[-1])
        if abs(ratio - 1) <= RATE_DIFFERENCE_MAX:
            return
    # Other guests of the same host are not seen: only a clear difference tells of the server.
    least, most = between(list(map(operator.truediv, streams, benches)))
    told.append(f"the median is between {least:.3f} and {most:.3f}")
    if least <= 1 + RATE_DIFFERENCE_MAX and most >= 1 - RATE_DIFFERENCE_MAX:
        pytest.skip("this machine's speed changes by more:\n" + "\n".join(told))
    pytest.fail("\n".join(told))


# ---- the process


def test_no_core_dumps(server):
    limits = pathlib.Path(f"/proc/{server.process.pid}/limits").read_text()
    soft, hard = re.search(r"^Max core file size\s+(\S+)\s+(\S+)", limits, re.MULTILINE).groups()
    assert (soft, hard) == ("0", "0")


def test_a_signal_during_streams_of_several_ends_with_0(own_server):
    """All of them come to their end first, and nobody new is let in."""

    def stream(number):
        response = own_server.post(
            "/generate",
            {"prompt": f"{number} is", "max_tokens": 100, "ignore_eos": True, "stream": True},
            stream=True,
        )
        lines = response.iter_lines()
        first = next(lines)
        return first, lines

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        streams = list(pool.map(stream, range(4)))
        assert all(first.startswith(b"data: {") for first, _ in streams)
        own_server.process.send_signal(signal.SIGTERM)
        rests = list(pool.map(lambda pair: list(pair[1]), streams))
    for rest in rests:
        data = [line for line in rest if line]
        assert data[-1] == b"data: [DONE]"
        last = json.loads(data[-2][len(b"data: ") :])
        assert last["usage"]["completion_tokens"] == 100
    assert own_server.process.wait(30) == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", own_server.port), timeout=5).close()


# ---- random weights, and what is measured on them


@pytest.mark.parametrize("kind", KINDS)
def test_synth_of_each_kind(hearth, tmp_path, kind):
    path = tmp_path / "model.gguf"
    done = run(hearth, "synth", path, "--shape", SHAPE, "--type", kind)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""

    shown = describe(hearth, path)
    assert shown["file_bytes"] == path.stat().st_size
    assert shown["parameters"] == PARAMETERS == sum(shown["quantisation"].values())
    assert (shown["architecture"], shown["layers"], shown["d_model"]) == ("llama", 30, 576)
    assert shown["tokenizer"] is None
    types = {tensor["name"]: tensor["type"] for tensor in shown["tensors"]}
    wanted = kind.upper()
    # Rows of 576 are no whole number of the blocks of 256 that the K kinds have; 1536 are.
    rows_of_576 = "Q8_0" if kind.endswith("_k") else wanted
    assert types["blk.0.ffn_down.weight"] == wanted
    assert types["blk.29.attn_q.weight"] == rows_of_576
    assert types["output_norm.weight"] == "F32"

    measured = run_json(
        hearth, "bench", "engine", path, "-p", 4, "-n", 4, "-b", "1,2", "-r", 1, "--json"
    )
    path.unlink()  # up to half a gigabyte
    assert measured["machine"]["threads"] >= 1
    assert measured["machine"]["read_gb_s"] > 0 and measured["machine"]["int8_tops"] > 0
    assert [one["tokens"] for one in measured["prefill"]] == [4]
    assert [one["batch"] for one in measured["decode"]] == [1, 2]
    for one in measured["prefill"] + measured["decode"]:
        assert one["tok_s"] > 0
        assert one["peak_share"] > 0
    # All of the file but its header is read for a step.
    decode = measured["decode"][0]
    assert decode["gb_s"] * 1e9 / decode["tok_s"] == pytest.approx(shown["file_bytes"], rel=0.01)


def test_synth_seed(hearth, tmp_path):
    def synth(name, seed):
        path = tmp_path / name
        done = run(hearth, "synth", path, "--shape", SHAPE, "--type", "q4_0", "--seed", seed)
        assert done.returncode == 0, done.stderr
        return path.read_bytes()

    first = synth("a", 1)
    assert synth("a", 1) == first
    assert synth("a", 2) != first


@pytest.mark.parametrize(
    "options, told",
    [
        (("--shape", "nonsense"), SHAPE),  # what there is instead
        (("--shape", SHAPE, "--type", "q9"), "q9"),
    ],
)
def test_synth_refuses(hearth, tmp_path, options, told):
    done = run(hearth, "synth", tmp_path / "x.gguf", *options)
    assert done.returncode == 2
    assert told in done.stderr.splitlines()[0]


def test_synth_without_a_shape_is_wrong_usage(hearth, tmp_path):
    assert run(hearth, "synth", tmp_path / "x.gguf").returncode == 2
    assert list(tmp_path.iterdir()) == []


# ---- kinds of keys and values

CONTEXT = "The capital of France is Paris. The capital of Germany is"


@pytest.fixture(scope="module")
def tokens(hearth, model, tmp_path_factory):
    ids = run_json(hearth, "tokenize", model, "--text", CONTEXT, "--json")["tokens"]
    path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    path.write_text(json.dumps(ids))
    return path


def test_kv_types_agree(hearth, model, tokens):
    def generate(kind):
        document = run_json(
            hearth, "generate", model, "--tokens", tokens, "--max-tokens", 16, "--ignore-eos",
            "--json", "--kv-type", kind,
        )  # fmt: skip
        assert len(document["tokens"]) == 16
        return document["tokens"]

    halves = generate("f16")
    assert generate("bf16")[:8] == halves[:8]
    assert generate("int8")[:8] == halves[:8]


def test_kv_types_are_what_they_say(hearth, model, tokens):
    """Each rounds in its own way: a little, and not at all alike."""

    def last(kind):
        document = run_json(
            hearth, "logits", model, "--tokens", tokens, "--top", 100, "--json",
            "--kv-type", kind,
        )  # fmt: skip
        return {token: logit for token, logit in document["top"][-1]}

    def distance(one, other):
        common = one.keys() & other.keys()
        assert len(common) > 80
        return statistics.mean(abs(one[token] - other[token]) for token in common)

    f16, bf16, int8 = last("f16"), last("bf16"), last("int8")
    told = [distance(f16, bf16), distance(f16, int8), distance(bf16, int8)]
    print("\nf16 to bf16 {:.4f}, f16 to int8 {:.4f}, bf16 to int8 {:.4f}".format(*told))
    assert all(0 < one < 1 for one in told)  # of logits that spread over about ten


@pytest.mark.parametrize("command", ["generate", "logits", "serve", "run", "bench"])
def test_an_unknown_kv_type_is_wrong_usage(hearth, model, tokens, command):
    arguments = {
        "generate": ["generate", model, "--tokens", tokens, "--max-tokens", 4],
        "logits": ["logits", model, "--tokens", tokens],
        "bench": ["bench", "engine", model],
    }.get(command, [command, model])
    done = run(hearth, *arguments, "--kv-type", "q4")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "q4" in done.stderr
    assert all(kind in done.stderr for kind in ("f16", "bf16", "int8"))
