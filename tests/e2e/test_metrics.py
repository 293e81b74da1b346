"""/metrics of the real server, as prometheus_client and promtool read it."""

import json
import re
import shutil
import subprocess
import time

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

# What promtool says against vLLM's names, which are kept on purpose.
COLON = re.compile(r"^vllm:\w+ metric names should not contain ':'$")
VLLM_SUFFIX = re.compile(
    r'^vllm:iteration_tokens_total non-counter metrics should not have "_total" suffix$'
)


def scrape(server):
    """The text."""
    answer = requests.get(server.url + "/metrics", timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def samples(server):
    """{(name, (label, value), ...): number}."""
    found = {}
    for family in text_string_to_metric_families(scrape(server)):
        for sample in family.samples:
            assert family.type != "unknown", sample
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def total(found, name, **labels):
    """The sum over the series of that name that have these labels."""
    return sum(
        value
        for (series, *pairs), value in found.items()
        if series == name and labels.items() <= dict(pairs).items()
    )


def after(server, condition):
    """The samples, as soon as they fulfil the condition: what ends an answer is counted after it."""
    deadline = time.monotonic() + 20
    while True:
        found = samples(server)
        if condition(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def test_a_request_moves_what_it_should(own_server):
    before = samples(own_server)
    answer = own_server.post(
        "/generate", {"prompt": "One, two, three,", "max_tokens": 12, "ignore_eos": True}
    ).json()
    prompt = answer["usage"]["prompt_tokens"]
    found = after(own_server, lambda now: total(now, "vllm:generation_tokens_total") == 12)

    def moved(name, **labels):
        return total(found, name, **labels) - total(before, name, **labels)

    assert moved("vllm:prompt_tokens_total") == prompt
    assert moved("vllm:request_success_total", finished_reason="length") == 1
    assert moved("vllm:request_success_total") == 1
    assert moved("vllm:request_prompt_tokens_sum") == prompt
    assert moved("vllm:request_generation_tokens_sum") == 12
    assert moved("vllm:inter_token_latency_seconds_count") == 11
    # The prompt's step, then one for each further token.
    assert moved("vllm:iteration_tokens_total_count") == 12
    assert moved("vllm:iteration_tokens_total_sum") == prompt + 11
    for name in (
        "time_to_first_token",
        "e2e_request_latency",
        "request_queue_time",
        "request_prefill_time",
        "request_decode_time",
        "request_time_per_output_token",
    ):
        assert moved(f"vllm:{name}_seconds_count") == 1, name
    timings = answer["timings"]
    assert moved("vllm:request_prefill_time_seconds_sum") * 1000 == pytest.approx(
        timings["prefill_ms"], abs=0.01
    )
    assert moved("vllm:request_decode_time_seconds_sum") * 1000 == pytest.approx(
        timings["decode_ms"], abs=0.01
    )
    first = moved("vllm:time_to_first_token_seconds_sum")
    whole = moved("vllm:e2e_request_latency_seconds_sum")
    assert 0 < first < whole < 60
    gaps = moved("vllm:inter_token_latency_seconds_sum")
    assert first + gaps == pytest.approx(whole, abs=1e-6)
    assert moved("hearth_http_requests_total", route="/generate", status="200") == 1
    assert total(found, "vllm:num_requests_running") == 0
    assert total(found, "hearth_kv_pages_used") == 0
    assert total(found, "vllm:kv_cache_usage_perc") == 0


def test_errors_and_disconnects(own_server):
    own_server.post("/generate", {"prompt": "x", "unknown_member": 1})
    own_server.post("/no/such/path", {})
    with own_server.connect() as refused:
        refused.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert refused.recv(4096).startswith(b"HTTP/1.1 421 ")
    body = json.dumps(
        {"prompt": "Tell me", "stream": True, "max_tokens": 4000, "ignore_eos": True}
    ).encode()
    with own_server.connect() as leaver:
        leaver.sendall(
            b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        while b"data:" not in leaver.recv(4096):
            pass
        busy = after(own_server, lambda now: total(now, "hearth_kv_pages_used") > 0)
        assert total(busy, "vllm:num_requests_running") == 1
        assert 0 < total(busy, "vllm:kv_cache_usage_perc") <= 1
    found = after(
        own_server,
        lambda now: total(now, "hearth_client_disconnects_total") == 1
        and total(now, "vllm:request_success_total", finished_reason="abort") == 1,
    )
    assert total(found, "hearth_errors_total", code="unknown_field") == 1
    assert total(found, "hearth_errors_total", code="unknown_route") == 1
    assert total(found, "hearth_errors_total", code="host_not_allowed") == 1
    assert total(found, "hearth_http_requests_total", route="unknown", status="404") == 1
    assert total(found, "hearth_http_requests_total", route="refused", status="421") == 1


def test_the_process_is_told_from_within_its_sandbox(server):
    found = samples(server)
    # /proc gives the same figures from outside; they move a little in between.
    status = open(f"/proc/{server.process.pid}/status").read()

    def kilobytes(field):
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE).group(1))

    for kind, field in (("anonymous", "RssAnon"), ("file", "RssFile"), ("swap", "VmSwap")):
        told = total(found, "hearth_process_memory_bytes", kind=kind)
        assert told == pytest.approx(kilobytes(field) * 1024, rel=0.05, abs=4 << 20), kind
    assert total(found, "hearth_process_memory_bytes", kind="anonymous") > 20 << 20
    assert total(found, "process_open_fds") == pytest.approx(server.descriptors(), abs=3)
    assert total(found, "hearth_process_threads") >= 3
    assert 0 < total(found, "process_start_time_seconds") < time.time()
    assert total(found, "process_cpu_seconds_total") > 0.05
    version = subprocess.run(
        [server.process.args[0], "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert total(found, "hearth_build_info", version=version) == 1


def test_promtool_has_nothing_to_say(server):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: package prometheus)")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=scrape(server), capture_output=True, text=True
    )
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if line]
    assert [c for c in complaints if not COLON.match(c) and not VLLM_SUFFIX.match(c)] == []
    assert done.returncode in (0, 3)  # 3: there were complaints, 1: it could not be read
