#!/usr/bin/env python3
"""Many users at once: a Hearth that serves them over HTTP beside peers that have all prompts in hand.

./dev bench serve_peers [--rounds N] [--loads nothing-shared,words-shared,words-known] [--peers openvino,...] [--write]

`hearth bench serve` is the client, on the same cores as the server. Which prompts it sends is found out by letting it
talk to a server that only writes them down; the peers get the ids that Hearth makes of them. Each round has prompts of
its own, and runs everything once in a rotating order. What is printed is the median over the rounds with its spread.
"""

import argparse
import dataclasses
import http.server
import json
import math
import os
import pathlib
import statistics
import subprocess
import threading
import time
import urllib.request

import hearth_server
import peer_env
import peer_files
import peer_table

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLIENTS = 32
TOKENS = 64  # of an answer
# Some of the prompts are enough of those who are slow: llama.cpp's batches stay full, the naive server has one at a time.
SHARE = {"llama.cpp": 4, "naive": 32}
# Which is best depends on the processor and the load: each runs in each round, the one with the best median counts.
SETTINGS = {"openvino": [{"max_num_batched_tokens": 256}, {"max_num_batched_tokens": 4096},
                         {"max_num_batched_tokens": 4096, "dynamic_split_fuse": False}]}  # fmt: skip
WARM_UP = {"openvino": CLIENTS}  # prompts; one for the others
UTILISATION_WANTED = "30 %, aim 50 %"


@dataclasses.dataclass
class Load:
    name: str
    words: tuple  # options of `hearth bench serve`
    wanted: dict  # by peer: how many times its requests a second
    prefix_cache: bool = False
    cold: bool = False  # what the prompts share has not been computed when they come
    ids: list = dataclasses.field(default_factory=list)  # by round: the prompts, then those of the warm-up


LOADS = {
    "nothing-shared": Load("128 words", ("--words", "128"),
                           {"openvino": "1.2, aim 1.8", "llama.cpp": "5, aim 8", "naive": "25, aim 50"}),
    "words-shared": Load("300 shared words + 30", ("--shared-words", "300", "--words", "30"),
                         {"openvino": "3, aim 5"}, prefix_cache=True, cold=True),
    "words-known": Load("300 words computed before + 30", ("--shared-words", "300", "--words", "30"),
                        {"openvino": "-"}, prefix_cache=True),
}  # fmt: skip


def bench_serve(options, load: Load, url: str, number: int, clients: int, requests: int) -> dict:
    """The report of the load's round of that number, after as many prompts to warm up as there are clients."""
    if not load.cold:
        return client(options, url, clients, requests, CLIENTS, number + 1, load.words)
    client(options, url, clients, CLIENTS, 0, number + 1001, LOADS["nothing-shared"].words)
    return client(options, url, clients, requests, 0, number + 1, load.words)


def client(options, url: str, clients: int, requests: int, warm_up: int, seed: int, words: tuple) -> dict:
    done = subprocess.run(
        [options.binary, "bench", "serve", url, "--api", "completions", "--ignore-eos", "--json", "-c", str(clients),
         "-n", str(requests), "--warmup", str(warm_up), "--seed", str(seed), "--max-tokens", str(TOKENS), *words],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"hearth bench serve: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


class Recorder(http.server.BaseHTTPRequestHandler):
    """Answers every prompt with one token, and keeps it."""

    protocol_version = "HTTP/1.1"

    def answer(self, kind: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        self.answer("application/json", json.dumps({"object": "list", "data": [{"id": "any", "object": "model"}]}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.prompts.append(request["prompt"])
        chunk = {"choices": [{"index": 0, "text": "a", "finish_reason": "length"}]}
        self.answer("text/event-stream", f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n")

    def log_message(self, *_) -> None:
        pass


def prompts_of(options, load: Load, number: int) -> list[str]:
    """What the client sends in that round: the requests in their order, then the warm-up."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        server.prompts = []
        threading.Thread(target=server.serve_forever).start()
        try:
            # One at a time, so that they come in order; the warm-up is sent first.
            bench_serve(options, load, f"http://127.0.0.1:{server.server_port}", number, 1, options.requests)
        finally:
            server.shutdown()
        if len(server.prompts) != CLIENTS + options.requests:
            raise SystemExit(f"the client sent {len(server.prompts)} prompts")
        return server.prompts[CLIENTS:] + server.prompts[:CLIENTS]


def tokenize(url: str, text: str) -> list[int]:
    request = urllib.request.Request(f"{url}/tokenize", json.dumps({"prompt": text}).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["tokens"]


def operations(model: dict, report: dict) -> float:
    """Useful ones: 2 for each multiply-add of weights with rows that had to be computed; wrong guesses do not count."""
    sizes = {t["name"]: math.prod(t["shape"]) for t in model["tensors"] if len(t["shape"]) == 2}
    layers = sum(size for name, size in sizes.items() if name.startswith("blk."))
    head = sizes.get("output.weight") or sizes["token_embd.weight"]
    # The last token of an answer is never computed, and only what answers are drawn from meets the head.
    rows = report["input_tokens"] - report["cached_tokens"] + report["output_tokens"] - report["succeeded"]
    return 2 * (rows * layers + report["output_tokens"] * head)


class Gauge:
    """hearth_utilisation_arithmetic, asked for once a second."""

    def __init__(self, url: str):
        self.url = url
        self.samples: list[tuple[float, float]] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self) -> None:
        while not self.stop.wait(1):
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
                lines = answer.read().decode().splitlines()
            value = next(line.split()[-1] for line in lines if line.startswith("hearth_utilisation_arithmetic{"))
            self.samples.append((time.monotonic(), float(value)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop.set()
        self.thread.join()

    def median(self, since: float) -> float:
        # A sample tells of the second before it.
        inside = [value for at, value in self.samples if at >= since + 1]
        return statistics.median(inside) if inside else math.nan


def serve(options, load: Load, number: int, clients: int, requests: int, *arguments: str) -> dict:
    """A server of its own for a load."""
    with hearth_server.serving(options.binary, options.model, options.threads, *arguments) as url, Gauge(url) as gauge:
        report = bench_serve(options, load, url, number, clients, requests)
        gauge_median = gauge.median(time.monotonic() - report["seconds"])
    expected = {"succeeded": requests, "errors": 0, "refused": 0, "without_usage": 0, "output_tokens": requests * TOKENS,
                "input_tokens": sum(map(len, load.ids[number][:requests]))}  # fmt: skip
    for what, value in expected.items():
        if report[what] != value:
            raise SystemExit(f"hearth: {what} is {report[what]} instead of {value}")
    operations_s = operations(options.shown, report) / report["seconds"]
    return {"requests_s": report["requests_s"], "operations_s": operations_s, "gauge": gauge_median}


def run_peer(options, name: str, load: Load, number: int, more: dict) -> tuple[float, str]:
    """Requests a second, and how it ran."""
    requests = options.requests // SHARE.get(name, 1)
    if name == "llama.cpp":
        requests = max(requests // CLIENTS, 1) * CLIENTS
    prompts = load.ids[number]
    work = {
        "prompts": prompts[: max(requests, 1)],
        "warmup": prompts[options.requests :][: WARM_UP.get(name, 1)],
        "tokens": TOKENS,
        "sequences": CLIENTS,
        "prefix_cache": load.prefix_cache,
        "settings": more,
    }
    result = peer_env.drive(name, {"model": options.model, "threads": options.threads, "load": work})
    if result["answers"] != [TOKENS] * len(work["prompts"]):
        raise RuntimeError(f"answers of {sorted(set(result['answers']))} tokens instead of {TOKENS}")
    return len(result["answers"]) / result["seconds"], result["settings"]


def machine_of(options) -> dict:
    command = [options.binary, "bench", "engine", options.model, "--threads", str(options.threads), "--json", "-p", "8",
               "-b", "1", "-n", "8", "-r", "1"]  # fmt: skip
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["machine"]


def utilisation_lines(served: dict[str, list[dict]], machine: dict) -> list[str]:
    out = [
        "",
        "| clients | useful operations, 10^9 a second | % of the int8 peak | median of `hearth_utilisation_arithmetic`, % |",
        "|---|---|---|---|",
    ]
    for name, rounds in served.items():
        operations_s = [r["operations_s"] for r in rounds]
        columns = ([x / 1e9 for x in operations_s], [x / machine["int8_tops"] / 1e10 for x in operations_s],
                   [100 * r["gauge"] for r in rounds])  # fmt: skip
        out.append(f"| {name} | " + " | ".join(map(peer_table.spread, columns)) + " |")
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--loads", default=",".join(LOADS), help="default: all")
    parser.add_argument("--binary", default=str(ROOT / "build/release/hearth"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=256, help="of a load; fewer of slow peers and of one client")
    parser.add_argument("--threads", type=int, default=2, help="and cores, for servers, clients and peers alike")
    parser.add_argument("--peers", help="only these: openvino, llama.cpp, naive")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    if options.requests < CLIENTS:
        parser.error(f"--requests: at least {CLIENTS}")
    loads = [LOADS[name] for name in options.loads.split(",")]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    options.model = os.fspath(peer_files.stored(options.binary))
    shown = subprocess.run([options.binary, "show", options.model, "--json"], capture_output=True, text=True, check=True)
    options.shown = json.loads(shown.stdout)

    versions, failed = peer_env.install_all({name: 0 for load in loads for name in load.wanted}, options.peers)
    measured: dict[str, list[dict]] = {name: [{} for _ in range(options.rounds)] for name in ["hearth", *versions]}
    how = {}  # by peer: what its driver says
    best = {}  # by peer and load: which of SETTINGS
    served: dict[str, list[dict]] = {}
    machines = []

    with hearth_server.serving(options.binary, options.model, options.threads) as url:
        for load in loads:
            load.ids = [[tokenize(url, text) for text in prompts_of(options, load, number)]
                        for number in range(options.rounds)]  # fmt: skip

    for load in loads:
        both = (load.name, f"{load.name}, nothing guessed")
        tried: dict[str, list[list[float]]] = {n: [[] for _ in SETTINGS.get(n, [{}])] for n in load.wanted}

        def run(name: str, number: int, load=load, both=both, tried=tried) -> None:
            if name != "hearth":
                for more, rates in zip(SETTINGS.get(name, [{}]), tried[name], strict=True):
                    rate, how[name] = run_peer(options, name, load, number, more)
                    rates.append(rate)
                return
            machines.append(machine_of(options))
            for work, mode in zip(both, ("auto", "off"), strict=True):
                result = serve(options, load, number, CLIENTS, options.requests, "--speculation", mode)
                measured[name][number][work] = result["requests_s"]
                if not load.prefix_cache:
                    served.setdefault(f"{CLIENTS}{work.removeprefix(load.name)}", []).append(result)
            if not load.prefix_cache:
                served.setdefault("1", []).append(serve(options, load, number, 1, options.requests // 8))

        peer_env.in_turn(options.rounds, ["hearth", *(n for n in load.wanted if n in versions)], failed, run)
        for name in load.wanted:
            if name not in versions or name in failed:
                continue
            which = max(range(len(tried[name])), key=lambda i: statistics.median(tried[name][i]))
            if name in SETTINGS:
                best[name, load.name] = SETTINGS[name][which]
            for out, rate in zip(measured[name], tried[name][which], strict=True):
                out |= dict.fromkeys(both, rate)  # what Hearth guesses is nothing to them

    machine = max(machines, key=lambda m: m["int8_tops"])  # the least disturbed
    lengths = [
        f"{load.name}: {statistics.mean(len(p) for ids in load.ids for p in ids[: options.requests]):.0f} tokens"
        for load in loads
    ]
    about = {name: f"{peer_env.PEERS[name][0]} {versions[name]}, {said}" for name, said in how.items()}
    for (name, words), chosen in best.items():
        about[name] += f", {words}: " + " ".join(f"{key}={value}" for key, value in chosen.items())
    what = (
        f"{'; '.join(lengths)}. Requests a second of {TOKENS} tokens each, median of {options.rounds} rounds of "
        f"{options.requests} requests (least-most)."
    )
    after = utilisation_lines(served, machine) if served else ()
    title = f"{CLIENTS} users, SmolLM2-135M Q4_1"
    peer_table.publish(title, machine, about, what, measured, failed, after, options.write)
    for load in loads:
        for name in load.wanted:
            if name in versions and name not in failed:
                print(f"wanted, {load.name}, over {name}: {load.wanted[name]}")
    if served:
        print(f"wanted of the int8 peak: {UTILISATION_WANTED}")


if __name__ == "__main__":
    main()
