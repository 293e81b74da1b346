"""Drives naive_server.py over HTTP; a child process of peers.py or serve_peers.py (see peer_job.py)."""

import json
import pathlib
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from peer_job import prompt, read_job, report, report_load, timed


def main() -> None:
    job = read_job()
    program = pathlib.Path(__file__).with_name("naive_server.py")
    server = subprocess.Popen(
        [sys.executable, program, job["model"], str(job["threads"])], stdout=subprocess.PIPE, text=True
    )
    try:
        line = server.stdout.readline()
        if not line.strip().isdigit():
            raise SystemExit("the naive server does not start")
        url = f"http://127.0.0.1:{line.strip()}/generate"

        def answer(ids, tokens):
            body = json.dumps({"ids": ids, "max_tokens": tokens}).encode()
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=3600) as response:
                return len(json.load(response)["ids"])

        if load := job.get("load"):

            def generate_all(prompts):
                with ThreadPoolExecutor(load["sequences"]) as pool:
                    return list(pool.map(lambda ids: answer(ids, load["tokens"]), prompts))

            return report_load("float32, one request at a time", load, generate_all)

        def ask(prompt_size, tokens):
            return answer(prompt(prompt_size), tokens)

        def prefill(tokens):
            took, made = timed(lambda: ask(tokens, 1))
            if made != 1:
                raise SystemExit(f"{made} tokens instead of 1")
            return took, tokens

        def generate(tokens):
            first, first_made = timed(lambda: ask(1, 1))
            took, made = timed(lambda: ask(1, tokens + 1))
            return took - first, made - first_made

        def clients(sequences, tokens):
            with ThreadPoolExecutor(sequences) as pool:
                return timed(lambda: sum(pool.map(lambda _: ask(1, tokens), range(sequences))))

        prompt_size, answer_size = job["answer"]
        # Each waits for its turn, so that this takes as many times as long as for one.
        many = {f"decode {b}": lambda b=b: clients(b, job["decode"]) for b in job["batch"] if b > 1}
        report(
            "float32, one request at a time",
            {
                f"prefill {job['prefill']}": lambda: prefill(job["prefill"]),
                "decode 1": lambda: generate(job["decode"]),
                f"answer {prompt_size}+{answer_size}": lambda: timed(lambda: ask(prompt_size, answer_size)),
            }
            | many,
            job["repeats"],
            once=tuple(many),
        )
    finally:
        server.terminate()
        server.wait()


main()
