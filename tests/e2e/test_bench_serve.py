"""`hearth bench serve` against a real server, and against what is none."""

import contextlib
import hashlib
import http.server
import json
import os
import pty
import signal
import subprocess
import threading
import time

import pytest
from measure import metric
from serving import free_port

KEY = "hk_bench_0123456789abcdef0123456789abcdef"
DISTRIBUTIONS = ("ttft_ms", "tpot_ms", "itl_ms", "longest_itl_ms", "total_ms")


def bench(hearth, url, *options, **more):
    return subprocess.run(
        [hearth, "bench", "serve", url, *options],
        capture_output=True,
        text=True,
        timeout=300,
        **more,
    )


def report(hearth, url, *options, **more):
    """The JSON document of a run that has succeeded."""
    done = bench(hearth, url, "--json", *options, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def failure(hearth, url, *options, status=1, **more):
    """What a run that fails says, in one line."""
    done = bench(hearth, url, *options, **more)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr


def test_a_closed_loop(hearth, server):
    before = metric(server, "vllm:generation_tokens_total")
    got = report(
        hearth, server.url, "-c", "4", "-n", "12", "--words", "20", "--max-tokens", "10",
        "--ignore-eos", "--warmup", "0", "--target-ttft-ms", "1e6", "--target-tpot-ms", "1e6",
    )  # fmt: skip
    assert (got["requests"], got["succeeded"], got["errors"], got["refused"]) == (12, 12, 0, 0)
    assert got["output_tokens"] == 120  # exactly what was asked for
    assert got["input_tokens"] > 12 * 20
    assert got["without_usage"] == 0
    assert got["first_errors"] == [] and not got["interrupted"]
    assert got["requests_s"] == pytest.approx(12 / got["seconds"])
    assert got["output_tok_s"] == pytest.approx(120 / got["seconds"])
    assert got["goodput_s"] == pytest.approx(got["requests_s"])
    for name in DISTRIBUTIONS:
        ordered = [got[name][p] for p in ("p50", "p90", "p95", "p99", "max")]
        assert ordered == sorted(ordered) and ordered[0] > 0, name
    assert got["ttft_ms"]["p50"] < got["total_ms"]["p50"]
    # Nine tokens after the first lie between it and the end.
    assert 9 * got["tpot_ms"]["max"] < got["total_ms"]["max"]
    deadline = time.monotonic() + 10  # counters are told after a step
    while metric(server, "vllm:generation_tokens_total") - before != 120:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_standard_output_holds_the_document_alone(hearth, server):
    done = bench(hearth, server.url + "/v1/", "-c", "2", "-n", "2", "--max-tokens", "4", "--json")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert "2 of 2 requests, 0 errors, 0 refused" in done.stderr
    assert "\r" not in done.stderr
    table = bench(hearth, server.url, "-c", "2", "-n", "2", "--max-tokens", "4").stdout
    assert "2 answers in" in table and "to the first token" in table


def test_arrivals_at_a_rate(hearth, server):
    got = report(
        hearth, server.url, "--rate", "20", "-n", "20", "--words", "10", "--max-tokens", "4",
        "--api", "completions", "--ignore-eos", "--seed", "1",
    )  # fmt: skip
    assert (got["succeeded"], got["output_tokens"]) == (20, 80)
    assert got["seconds"] > 0.4  # 20 arrivals take a second in the mean; seed 1's take longer than this
    assert got["seed"] == 1


def test_shared_words_are_cached(hearth, server):
    got = report(
        hearth, server.url, "-c", "2", "-n", "8", "--words", "5", "--shared-words", "300",
        "--max-tokens", "2",
    )  # fmt: skip
    assert got["cached_tokens"] > 0.7 * got["input_tokens"]
    alone = report(hearth, server.url, "-c", "2", "-n", "8", "--words", "300", "--max-tokens", "2")
    assert alone["cached_tokens"] < 0.2 * alone["input_tokens"]


def test_lengths_differ(hearth, server):
    got = report(
        hearth, server.url, "-c", "4", "-n", "16", "--words", "lognormal:30,0.8",
        "--max-tokens", "2-9", "--ignore-eos", "--seed", "5",
    )  # fmt: skip
    assert 16 * 2 < got["output_tokens"] < 16 * 9
    again = report(
        hearth, server.url, "-c", "2", "-n", "16", "--words", "lognormal:30,0.8",
        "--max-tokens", "2-9", "--ignore-eos", "--seed", "5", "--warmup", "3",
    )  # fmt: skip
    assert again["output_tokens"] == got["output_tokens"]
    assert again["input_tokens"] == got["input_tokens"]


def test_the_key_is_sent_and_a_wrong_one_is_told(hearth, configured, model, tmp_path):
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    server, _ = configured(
        f'[[models]]\nmodel = "{model}"\n'
        f'[[keys]]\nname = "bench"\nsha256 = "{digest}"\npermissions = ["use-models"]\n'
    )
    load = (server.url, "-n", "2", "-c", "1", "--max-tokens", "2")
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    assert report(hearth, *load, "--api-key", f"file:{path}")["succeeded"] == 2
    from_variable = (*load, "--api-key", "env:BENCH_KEY")
    environment = {**os.environ, "BENCH_KEY": KEY}
    assert report(hearth, *from_variable, env=environment)["succeeded"] == 2

    environment["BENCH_KEY"] = "hk_wrong"
    said = failure(hearth, *from_variable, env=environment)
    assert "the server answers 401" in said and "hk_wrong" not in said and said.count("\n") == 1
    said = failure(hearth, *from_variable, "--model", "default", env=environment)
    assert "the server answers 401" in said
    said = failure(hearth, *from_variable, "--model", "m", "--warmup", "0", env=environment)
    assert "the server answers 401" in said
    assert "no variable BENCH_KEY" in failure(hearth, *from_variable)
    path.write_text(" \n")
    assert "holds no key" in failure(hearth, *load, "--api-key", f"file:{path}")
    assert "/nowhere" in failure(hearth, *load, "--api-key", "file:/nowhere")
    said = failure(hearth, *load, "--api-key", KEY, status=2)
    assert "env:NAME or file:PATH" in said and KEY not in said


def test_a_full_queue(hearth, configured, model):
    server, _ = configured(
        f'[[models]]\nmodel = "{model}"\nrunning_max = 1\nqueue_requests_max = 1\n'
    )
    # All at once: some find no room and are not asked again.
    got = report(
        hearth, server.url, "--rate", "1000", "-n", "20", "--words", "5", "--max-tokens", "50",
        "--ignore-eos",
    )  # fmt: skip
    assert got["refused"] > 0 and got["retries"] == 0 and got["errors"] == 0
    assert got["succeeded"] + got["refused"] == 20
    assert got["output_tokens"] == 50 * got["succeeded"]
    # Four clients where two have room: they wait as they are told.
    got = report(
        hearth, server.url, "-c", "4", "-n", "12", "--words", "5", "--max-tokens", "100",
        "--ignore-eos",
    )  # fmt: skip
    assert got["refused"] > 0 and got["errors"] == 0
    assert got["retries"] <= 1
    assert got["succeeded"] + got["refused"] == got["requests"] == 12


def test_ctrl_c_ends_it_with_a_report(hearth, server):
    running = subprocess.Popen(
        [hearth, "bench", "serve", server.url, "-c", "2", "-n", "100000", "--max-tokens", "4", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    before = metric(server, "vllm:generation_tokens_total")
    deadline = time.monotonic() + 60
    while metric(server, "vllm:generation_tokens_total") < before + 40:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    got = json.loads(out)
    assert got["interrupted"] and "interrupted" in err
    assert got["succeeded"] > 3 and got["errors"] == 0 and 0 < got["unfinished"] <= 2


def test_a_terminal_shows_how_far_it_is(hearth, server):
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [hearth, "bench", "serve", server.url, "--rate", "5", "-n", "12", "--max-tokens", "2", "--seed", "2"],
        stdout=subprocess.PIPE,
        stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other side has ended
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    assert running.communicate(timeout=60)[0] and running.returncode == 0
    assert b"of 12 requests" in shown and b"open," in shown


def test_nobody_is_there(hearth):
    said = failure(hearth, f"http://127.0.0.1:{free_port()}")
    assert "cannot connect to 127.0.0.1" in said and said.count("\n") == 1


class Page(http.server.BaseHTTPRequestHandler):
    """Answers everything with a page."""

    def do_GET(self):  # noqa: N802
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"<html><body>Welcome</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def page():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_of_another_kind(hearth, page):
    said = failure(hearth, page)
    assert "200 with text/html" in said and "OpenAI API" in said and said.count("\n") == 1
    assert "200 with text/html" in failure(hearth, page, "--model", "m")
    done = bench(hearth, page, "--model", "m", "--warmup", "0", "-n", "5", "-c", "2", "--json")
    assert done.returncode == 1
    got = json.loads(done.stdout)
    assert (got["errors"], got["succeeded"], got["requests_s"]) == (5, 0, 0)
    assert len(got["first_errors"]) == 1 and "text/html" in got["first_errors"][0]
    assert "no request was answered" in done.stderr


def test_a_model_that_is_not_there(hearth, server):
    said = failure(hearth, server.url, "--model", "no-such-model", "-n", "2")
    assert "the server answers 404: this model is not served here" in said


def test_time_runs_out(hearth, server):
    said = failure(
        hearth, server.url, "-n", "1", "-c", "1", "--max-tokens", "2000", "--ignore-eos",
        "--timeout", "0.05", "--model", "default",
    )  # fmt: skip
    assert "took too long" in said


@pytest.mark.parametrize(
    "arguments, word",
    [
        ([], "URL"),
        (["127.0.0.1:8080"], "URL"),
        (["https://127.0.0.1:8080"], "plain http"),
        (["http://me:secret@127.0.0.1:8080"], "URL"),
        (["http://127.0.0.1:8080", "-c", "0"], "-c"),
        (["http://127.0.0.1:8080", "--rate", "0"], "--rate"),
        (["http://127.0.0.1:8080", "--words", "9-3"], "--words"),
        (["http://127.0.0.1:8080", "--max-tokens", "lognormal:5"], "--max-tokens"),
        (["http://127.0.0.1:8080", "--api", "soap"], "--api"),
    ],
)
def test_wrong_usage(hearth, arguments, word):
    done = subprocess.run(
        [hearth, "bench", "serve", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert word in done.stderr
