#!/usr/bin/env python3
"""Hearth beside the engines one can install: the same file, the same work, in alternation.

./dev bench peers [--model FILE] [--rounds N] [--peers llama.cpp,ik_llama.cpp] [--write]

The peers are installed from PyPI into .cache/peers, built from source for this CPU where they are C++.
Every round runs each engine once, in a rotating order; a round's figure is the median of its repeats, and what
is printed is the median over rounds with its spread. Token counts of both sides must agree.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".cache" / "peers"
PEERS = {  # name: (package, module that peer_llama.py drives)
    "llama.cpp": ("llama-cpp-python", "llama_cpp.llama_cpp"),
    "ik_llama.cpp": ("ik-llama-cpp-python", "ik_llama_cpp.llama_cpp"),
}


def install(package: str) -> str:
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    shown = subprocess.run([python, "-m", "pip", "show", package], capture_output=True, text=True)
    if shown.returncode != 0:
        print(f"installing {package} from source, this takes minutes", file=sys.stderr)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--no-binary", package, package, "numpy"], check=True
        )
        shown = subprocess.run([python, "-m", "pip", "show", package], capture_output=True, text=True, check=True)
    return next(line.split()[1] for line in shown.stdout.splitlines() if line.startswith("Version:"))


def run_peer(module: str, job: dict) -> dict:
    done = subprocess.run(
        [VENV / "bin" / "python", ROOT / "bench" / "peer_llama.py", module],
        input=json.dumps(job), capture_output=True, text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"{module}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def run_hearth(binary: str, job: dict) -> dict:
    done = subprocess.run(
        [binary, "bench", "engine", job["model"], "--threads", str(job["threads"]), "-p", str(job["prefill"]),
         "-n", str(job["decode"]), "-b", ",".join(map(str, job["batch"])), "-r", str(job["repeats"]), "--json"],
        capture_output=True, text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"hearth: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def rates_of_peer(result: dict, job: dict) -> dict:
    rates = {}
    for name, measured in result.items():
        kind, size = name.split()
        expected = int(size) if kind == "prefill" else int(size) * job["decode"]
        if any(tokens != expected for tokens in measured["tokens"]):
            raise SystemExit(f"{name}: {measured['tokens']} tokens instead of {expected}")
        rates[name] = expected / statistics.median(measured["seconds"])
    return rates


def rates_of_hearth(result: dict) -> dict:
    rates = {f"prefill {p['tokens']}": p["tok_s"] for p in result["prefill"]}
    rates |= {f"decode {d['batch']}": d["tok_s"] for d in result["decode"]}
    return rates


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", help="a GGUF file; default: the store's smollm2")
    parser.add_argument("--binary", default=str(ROOT / "build/release/hearth"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=128)
    parser.add_argument("--batch", default="1,32")
    parser.add_argument("--peers", default="llama.cpp")
    parser.add_argument("--write", action="store_true", help="append the table to docs/benchmarks.md")
    options = parser.parse_args()

    model = options.model
    if not model:
        subprocess.run([options.binary, "pull", "smollm2"], check=True)
        listed = json.loads(subprocess.run([options.binary, "list", "--json"], capture_output=True, text=True,
                                           check=True).stdout)
        model = next(m["path"] for m in listed["models"] if m["name"] == "smollm2" and m["current"])
    job = {"model": os.path.abspath(model), "threads": options.threads, "prefill": options.prefill,
           "decode": options.decode, "batch": [int(b) for b in options.batch.split(",")],
           "repeats": options.repeats}
    names = options.peers.split(",")
    versions = {name: install(PEERS[name][0]) for name in names}

    rates: dict[str, list[dict]] = {name: [] for name in ["hearth", *names]}
    machine = {}
    for round_number in range(options.rounds):
        order = ["hearth", *names]
        order = order[round_number % len(order):] + order[: round_number % len(order)]
        for name in order:
            if name == "hearth":
                result = run_hearth(options.binary, job)
                machine = result["machine"]
                rates[name].append(rates_of_hearth(result))
            else:
                rates[name].append(rates_of_peer(run_peer(PEERS[name][1], job), job))
        print(f"round {round_number + 1} of {options.rounds} done", file=sys.stderr)

    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True,
                            text=True).stdout.strip()
    lines = [
        f"### {pathlib.Path(model).name}, {options.threads} threads, {datetime.date.today()}, commit {commit}",
        "",
        f"{machine['cpu']}, {machine['backend']}; {machine['read_gb_s']:.0f} GB/s read, "
        f"{machine['int8_tops']:.2f} int8 TOPS measured. "
        + ", ".join(f"{name}: {PEERS[name][0]} {versions[name]}" for name in names)
        + f". Tokens/s: median of {options.rounds} rounds (least-most), rounds alternating.",
        "",
        "| work | hearth | " + " | ".join(f"{n} | ratio" for n in names) + " |",
        "|---|---|" + "---|---|" * len(names),
    ]
    for work in rates["hearth"][0]:
        ours = [r[work] for r in rates["hearth"]]
        row = f"| {work} | {spread(ours)} |"
        for name in names:
            theirs = [r[work] for r in rates[name]]
            ratios = [a / b for a, b in zip(ours, theirs)]
            row += (f" {spread(theirs)} | **{statistics.median(ours) / statistics.median(theirs):.2f}** "
                    f"({min(ratios):.2f}-{max(ratios):.2f}) |")
        lines.append(row)
    table = "\n".join(lines) + "\n"
    print(table)
    if options.write:
        with open(ROOT / "docs" / "benchmarks.md", "a", encoding="utf-8") as out:
            out.write("\n" + table)


main()
