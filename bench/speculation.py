#!/usr/bin/env python3
"""Answers that quote their prompt, and others, with guessed tokens and without: ./dev bench speculation [--rounds N]

Two servers, asked in turn, one request at a time; the texts must be the same. A ratio is that of the medians of
tokens a second from the first token to the last, with the least and greatest of a round.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent

NOTES = (
    "Patient 4417 was admitted on Monday with a fever of 39.2 degrees and a dry cough. Blood was taken at 08:15, the "
    "X-ray of the chest showed no shadow. Ibuprofen 400 mg was given every eight hours. On Tuesday the fever had gone "
    "down to 37.8 degrees, the cough was less, and the patient ate and drank well. He was sent home on Wednesday with "
    "a letter to his doctor, Dr Miller, who will see him again in a week."
)
LEASE = (
    "The tenant pays 850 euros a month, due on the third working day. The deposit is three months of rent. The tenant "
    "may keep a cat or a small dog. Smoking is not allowed inside the flat. The contract begins on the first of March "
    "and can be ended by either side with three months of notice. Repairs under 100 euros are paid by the tenant."
)
COPYING = [
    f"Repeat the following text word for word:\n\n{NOTES}",
    f"Repeat the following text word for word:\n\n{LEASE}",
    f"Here is a note:\n\n{NOTES}\n\nWrite the note again, exactly as it is.",
    f"Here is a contract:\n\n{LEASE}\n\nWrite the contract again, exactly as it is.",
]
OTHER = [
    "Why is the sky blue?",
    "Write a short story about a lighthouse keeper who finds a letter.",
    "Explain to a child how a vaccine works.",
    "What should a small bank do to keep its customers' data safe?",
    "Tell me about the history of tea.",
    "Give advice to somebody who wants to learn to play the violin.",
]


def serve(options, speculation):
    draft = ["--draft-model", options.draft_model] if options.draft_model and speculation == "auto" else []
    child = subprocess.Popen(
        [options.binary, "serve", options.model, "--port", "0", "--speculation", speculation, *draft],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)  # fmt: skip
    for line in child.stderr:
        if "http://" in line:
            return child, line.split("http://")[1].split()[0].rstrip("/.,")
    raise SystemExit("the server did not start")


def ask(address, prompt, temperature, tokens):
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "stream": True,
            "temperature": temperature, "seed": 7, "stream_options": {"include_usage": True}}  # fmt: skip
    request = urllib.request.Request(f"http://{address}/v1/chat/completions", json.dumps(body).encode())
    text, first, last, count = "", None, None, 0
    with urllib.request.urlopen(request) as answer:
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            now = time.monotonic()
            if chunk.get("usage"):
                count = chunk["usage"]["completion_tokens"]
            for choice in chunk["choices"]:
                if choice["delta"].get("content"):
                    text += choice["delta"]["content"]
                    first = first or now
                    last = now
    return text, (count - 1) / (last - first) if count > 8 else None


def quoted(text, prompt):
    """The share of an answer's words that stand in four words in a row of the prompt."""
    words, source = text.split(), prompt.split()
    known = {tuple(source[i : i + 4]) for i in range(len(source) - 3)}
    good = {i + k for i in range(len(words) - 3) if tuple(words[i : i + 4]) in known for k in range(4)}
    return len(good) / max(1, len(words))


def compare(addresses, prompts, temperature, options):
    rates = {"auto": [], "off": []}
    rounds, shares = [], []
    for r in range(options.rounds):
        mine = {"auto": [], "off": []}
        for prompt in prompts:
            texts = {}
            for name in ("auto", "off") if r % 2 else ("off", "auto"):
                texts[name], rate = ask(addresses[name], prompt, temperature, options.tokens)
                if rate:
                    mine[name].append(rate)
            if texts["auto"] != texts["off"]:
                raise SystemExit(f"not the same text for {prompt[:40]!r}: {texts}")
            shares.append(quoted(texts["auto"], prompt))
        for name, values in mine.items():
            rates[name] += values
        rounds.append(statistics.median(mine["auto"]) / statistics.median(mine["off"]))
    each = [statistics.median(rates["auto"][i :: len(prompts)]) / statistics.median(rates["off"][i :: len(prompts)])
            for i in range(len(prompts))]  # fmt: skip
    return statistics.median(rates["auto"]) / statistics.median(rates["off"]), min(rounds), max(rounds), each, shares


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.fspath(ROOT / "build/release/hearth"))
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--draft-model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    options = parser.parse_args()
    children, addresses = [], {}
    try:
        for name in ("auto", "off"):
            child, addresses[name] = serve(options, name)
            children.append(child)
        for what, prompts, temperature in (("copying, greedy", COPYING, 0), ("other text, greedy", OTHER, 0),
                                           ("other text, temperature 0.8", OTHER, 0.8)):  # fmt: skip
            ratio, least, most, each, shares = compare(addresses, prompts, temperature, options)
            print(f"{what}: {ratio:.2f} ({least:.2f}-{most:.2f}); prompt by prompt " + " ".join(f"{x:.2f}" for x in each) +
                  f"; quoted {100 * statistics.mean(shares):.0f} %", flush=True)  # fmt: skip
    finally:
        for child in children:
            child.terminate()
            child.wait()


if __name__ == "__main__":
    sys.exit(main())
