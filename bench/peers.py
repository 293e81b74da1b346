#!/usr/bin/env python3
"""Hearth beside the engines one can install: the same file, the same work, in alternation.

./dev bench peers [--tables smollm2-q4_1,... | --model FILE] [--rounds N] [--peers llama.cpp,openvino,...] [--write]

The peers come from PyPI, each into an environment of its own under .cache/peers; the C++ ones are built from
source for this CPU. Every round runs each engine once, in a rotating order; a round's figure is the median of its
repeats, and what is printed is the median over the rounds with its spread. All are greedy, go on past the end of
the text, and must have made and read as many tokens as the job says.
"""

import argparse
import collections.abc
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import urllib.request

import hearth_server
import peer_env
import peer_files
import peer_job
import peer_table

ROOT = pathlib.Path(__file__).resolve().parent.parent


def expected_tokens(name: str, job: dict) -> int:
    kind, size = name.split()
    if kind == "prefill":
        return int(size)
    if kind == "answer":
        return job["answer"][1]
    return int(size) * job["decode"]


def rates(work: dict, job: dict) -> dict:
    """Tokens a second by name of the work; answers a second for `answer`."""
    out = {}
    for name, measured in work.items():
        expected = expected_tokens(name, job)
        if any(tokens != expected for tokens in measured["tokens"]):
            raise RuntimeError(f"{name}: {measured['tokens']} tokens instead of {expected}")
        units = 1 if name.startswith("answer") else expected
        out[name] = units / statistics.median(measured["seconds"])
    return out


def run_peer(name: str, job: dict) -> tuple[dict, str]:
    result = peer_env.drive(name, job)
    return rates(result["work"], job), result["settings"]


def hearth_answers(binary: str, job: dict) -> dict:
    """The row that goes over HTTP, to a server of its own."""
    with hearth_server.serving(binary, job["model"], job["threads"], environment=job["environment"]) as url:

        def ask() -> int:
            body = {"prompt": peer_job.prompt(job["answer"][0]), "max_tokens": job["answer"][1], "ignore_eos": True,
                    "temperature": 0}  # fmt: skip
            request = urllib.request.Request(f"{url}/v1/completions", json.dumps(body).encode())
            with urllib.request.urlopen(request, timeout=600) as answer:
                usage = json.load(answer)["usage"]
            if usage["prompt_tokens"] != job["answer"][0]:
                raise RuntimeError(f"{usage['prompt_tokens']} tokens of prompt instead of {job['answer'][0]}")
            return usage["completion_tokens"]

        ask()
        took = [peer_job.timed(ask) for _ in range(job["repeats"])]
        return {"seconds": [t[0] for t in took], "tokens": [t[1] for t in took]}


def run_hearth(binary: str, job: dict) -> tuple[dict, dict]:
    done = subprocess.run(
        [binary, "bench", "engine", job["model"], "--threads", str(job["threads"]), "-p", str(job["prefill"]),
         "-n", str(job["decode"]), "-b", ",".join(map(str, job["batch"])), "-r", str(job["repeats"]), "--json"],
        capture_output=True, text=True, env=os.environ | job["environment"],
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"hearth: {done.stderr[-2000:]}")
    result = json.loads(done.stdout)
    out = {f"prefill {p['tokens']}": p["tok_s"] for p in result["prefill"]}
    out |= {f"decode {d['batch']}": d["tok_s"] for d in result["decode"]}
    if job["answer"]:
        name = "answer {}+{}".format(*job["answer"])
        out |= rates({name: hearth_answers(binary, job)}, job)
    return out, result["machine"]


@dataclasses.dataclass
class Table:
    title: str
    model: collections.abc.Callable  # the file, from the options
    peers: tuple
    prefill: int = 512
    batch: tuple = (1, 32)
    answer: tuple = ()
    environment: dict = dataclasses.field(default_factory=dict)


def smollm2(kind: str):
    def model(options):
        peer_env.install("llama.cpp")
        return peer_files.requantized(options.binary, kind, peer_env.python_of("llama.cpp"))

    return model


def shape(name: str, kind: str):
    return lambda options: peer_files.synthetic(options.binary, name, kind)


LLAMAS = ("llama.cpp", "ik_llama.cpp")
TABLES = {
    "smollm2-q4_1": Table("SmolLM2-135M Q4_1", lambda options: peer_files.stored(options.binary),
                          (*LLAMAS, "openvino", "naive"), answer=(300, 60)),
    "smollm2-q4_0": Table("SmolLM2-135M Q4_0", smollm2("Q4_0"), LLAMAS),
    "smollm2-q8_0": Table("SmolLM2-135M Q8_0", smollm2("Q8_0"), LLAMAS),
    "smollm2-q4_k_m": Table("SmolLM2-135M Q4_K_M", smollm2("Q4_K_M"), LLAMAS),
    "smollm2-f16": Table("SmolLM2-135M F16", smollm2("F16"), LLAMAS),
    "1b-q4_0": Table("Llama-3.2-1B's shape, Q4_0", shape("llama-3.2-1b", "Q4_0"), LLAMAS, 256, (1,)),
    "1b-q4_k": Table("Llama-3.2-1B's shape, Q4_K", shape("llama-3.2-1b", "Q4_K"), LLAMAS, 256, (1,)),
    "avx2": Table("SmolLM2-135M Q4_1, without AVX-512", lambda options: peer_files.stored(options.binary),
                  ("llama.cpp-avx2",), environment={"HEARTH_ISA": "avx2"}),
}  # fmt: skip


def compare(table: Table, options) -> None:
    job = {"model": os.fspath(pathlib.Path(table.model(options)).resolve()), "threads": options.threads,
           "prefill": table.prefill, "decode": options.decode, "batch": list(table.batch),
           "answer": list(table.answer), "repeats": options.repeats, "environment": table.environment}  # fmt: skip
    versions, failed = peer_env.install_all(table.peers, options.peers)
    measured: dict[str, list[dict]] = {name: [] for name in ["hearth", *versions]}
    settings = {}
    machine = {"int8_tops": 0.0}

    def run(name: str, _: int) -> None:
        nonlocal machine
        if name == "hearth":
            result, seen = run_hearth(options.binary, job)
            machine = max(machine, seen, key=lambda m: m["int8_tops"])  # the least disturbed
        else:
            result, settings[name] = run_peer(name, job)
        measured[name].append(result)

    peer_env.in_turn(options.rounds, measured, failed, run)
    about = {name: f"{peer_env.PEERS[name][0]} {versions[name]}, {said}" for name, said in settings.items()}
    what = f"Tokens a second (`answer`: answers a second), median of {options.rounds} rounds (least-most)."
    peer_table.publish(table.title, machine, about, what, measured, failed, write=options.write)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", default=",".join(TABLES), help="default: all")
    parser.add_argument("--model", help="a GGUF file of your own, instead of the tables")
    parser.add_argument("--binary", default=str(ROOT / "build/release/hearth"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--peers", help="only these of each table's")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    if options.model:
        name = pathlib.Path(options.model).name
        return compare(Table(name, lambda _: options.model, (*LLAMAS, "openvino", "naive"), answer=(300, 60)), options)
    for name in options.tables.split(","):
        compare(TABLES[name], options)


if __name__ == "__main__":
    main()
