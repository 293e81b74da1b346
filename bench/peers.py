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
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import peer_files
import peer_job

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "bench"
PEERS = {  # name: (package, what else it needs, driver and its arguments)
    "llama.cpp": ("llama-cpp-python", ["numpy"], ["peer_llama.py", "llama_cpp.llama_cpp"]),
    "ik_llama.cpp": ("ik-llama-cpp-python", ["numpy"], ["peer_llama.py", "ik_llama_cpp._ctypes_api"]),
    "openvino": ("openvino-genai", ["numpy"], ["peer_openvino.py"]),
    # What a processor without AVX-512 would get of it.
    "llama.cpp-avx2": ("llama-cpp-python", ["numpy"], ["peer_llama.py", "llama_cpp.llama_cpp"]),
    "naive": ("transformers", ["torch", "gguf", "accelerate", "fastapi", "uvicorn"], ["peer_naive.py"]),
}
PATIENCE_S = 3600  # for all the work of a peer in a round
FROM_SOURCE = ("llama-cpp-python", "ik-llama-cpp-python")
AVX2_ONLY = "-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_AVX512=OFF"


def python_of(name: str) -> pathlib.Path:
    return ROOT / ".cache" / "peers" / name / "bin" / "python"


def unpack_source(python: pathlib.Path, package: str, folder: str) -> str:
    """The package's source, made ready for building; the folder it is in."""
    subprocess.run(
        [python, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", package, "-d", folder, package], check=True
    )
    archive = next(pathlib.Path(folder).glob("*.tar.gz"))
    shutil.unpack_archive(archive, folder)
    source = pathlib.Path(folder) / archive.name.removesuffix(".tar.gz")
    # The archive lacks this script, which only tells which build it is.
    for template in source.glob("vendor/*/common/build-info.cpp.in"):
        script = template.parent / "cmake" / "build-info-gen-cpp.cmake"
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            "set(BUILD_NUMBER 0)\nset(BUILD_COMMIT pypi)\nset(BUILD_COMPILER cc)\nset(BUILD_TARGET here)\n"
            'configure_file("${CMAKE_CURRENT_LIST_DIR}/../build-info.cpp.in"'
            ' "${CMAKE_CURRENT_LIST_DIR}/../build-info.cpp")\n'
        )
    return str(source)


def install(name: str) -> str:
    """The version that is there now."""
    package, others, _ = PEERS[name]
    python = python_of(name)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    show = [python, "-m", "pip", "show", package]
    shown = subprocess.run(show, capture_output=True, text=True)
    if shown.returncode != 0:
        print(f"installing {package}", file=sys.stderr)
        pip = [python, "-m", "pip", "install", "-q"]
        if package == "ik-llama-cpp-python":
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([*pip, unpack_source(python, package, folder), *others], check=True)
        elif package in FROM_SOURCE:
            settings = {"CMAKE_ARGS": AVX2_ONLY} if name.endswith("-avx2") else {}
            if "amx_tile" in pathlib.Path("/proc/cpuinfo").read_text():
                # GCC 12 leaves out what is written into the configuration of tiles: it crashes.
                settings |= {"CC": "clang-19", "CXX": "clang++-19"}
            # pip keeps what it has built, for whichever processor that was.
            subprocess.run(
                [*pip, "--no-cache-dir", "--no-binary", package, package, *others], check=True, env=os.environ | settings
            )
        else:  # without pip's cache: PyTorch and its libraries would stay there, some gigabytes
            subprocess.run([*pip, "--no-cache-dir", package, *others], check=True)
        shown = subprocess.run(show, capture_output=True, text=True, check=True)
    return next(line.split()[1] for line in shown.stdout.splitlines() if line.startswith("Version:"))


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
    python = python_of(name)
    driver, *arguments = PEERS[name][2]
    # One of them does not find its own libraries.
    libraries = ":".join(map(str, python.parent.parent.glob("lib/python*/site-packages/*/lib")))
    try:
        done = subprocess.run(
            [python, HERE / driver, *arguments], input=json.dumps(job), capture_output=True, text=True,
            env=os.environ | {"LD_LIBRARY_PATH": libraries}, timeout=PATIENCE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {PATIENCE_S} s") from None
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it failed silently")
    result = json.loads(done.stdout[done.stdout.index('{"settings"') :])
    return rates(result["work"], job), result["settings"]


def hearth_answers(binary: str, job: dict) -> dict:
    """The row that goes over HTTP, to a server of its own."""
    server = subprocess.Popen(
        [binary, "serve", job["model"], "--port", "0", "--threads", str(job["threads"])],
        stderr=subprocess.PIPE, text=True, env=os.environ | job["environment"],
    )  # fmt: skip
    try:
        url = next(line.split()[-1] for line in server.stderr if "ready: http" in line) + "/v1/completions"

        def ask() -> int:
            body = {"prompt": peer_job.prompt(job["answer"][0]), "max_tokens": job["answer"][1], "ignore_eos": True,
                    "temperature": 0}  # fmt: skip
            with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=600) as answer:
                usage = json.load(answer)["usage"]
            if usage["prompt_tokens"] != job["answer"][0]:
                raise RuntimeError(f"{usage['prompt_tokens']} tokens of prompt instead of {job['answer'][0]}")
            return usage["completion_tokens"]

        ask()
        took = [peer_job.timed(ask) for _ in range(job["repeats"])]
        return {"seconds": [t[0] for t in took], "tokens": [t[1] for t in took]}
    finally:
        server.terminate()
        server.wait()


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


def figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(values: list[float]) -> str:
    return f"{figure(statistics.median(values))} ({figure(min(values))}-{figure(max(values))})"


def row(work: str, measured: dict[str, list[dict]]) -> str:
    ours = [r[work] for r in measured["hearth"]]
    line = f"| {work} | {spread(ours)} |"
    for name, rounds in measured.items():
        if name == "hearth":
            continue
        if work not in rounds[0]:
            line += " - | - |"
            continue
        theirs = [r[work] for r in rounds]
        ratios = [a / b for a, b in zip(ours, theirs)]
        ratio = statistics.median(ours) / statistics.median(theirs)
        line += f" {spread(theirs)} | **{ratio:.2f}** ({min(ratios):.2f}-{max(ratios):.2f}) |"
    return line


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
        install("llama.cpp")
        return peer_files.requantized(options.binary, kind, python_of("llama.cpp"))

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


def write_section(title: str, section: str) -> None:
    """Into docs/benchmarks.md, in the place of an older one of the same title."""
    path = ROOT / "docs" / "benchmarks.md"
    text = path.read_text(encoding="utf-8")
    start = text.find(f"\n### {title}\n") + 1
    if start:  # up to the next heading
        end = text.find("\n#", start)
        after = text[end:] if end != -1 else ""
        text = text[:start] + section + after
    else:
        text = f"{text.rstrip()}\n\n{section}"
    path.write_text(text, encoding="utf-8")


def compare(table: Table, options) -> None:
    job = {"model": os.fspath(pathlib.Path(table.model(options)).resolve()), "threads": options.threads,
           "prefill": table.prefill, "decode": options.decode, "batch": list(table.batch),
           "answer": list(table.answer), "repeats": options.repeats, "environment": table.environment}  # fmt: skip
    failed = {}
    versions = {}
    for name in table.peers:
        if options.peers and name not in options.peers.split(","):
            continue
        try:
            versions[name] = install(name)
        except subprocess.CalledProcessError as error:
            failed[name] = f"cannot be installed: {error}"

    measured: dict[str, list[dict]] = {name: [] for name in ["hearth", *versions]}
    settings = {}
    machine = {"int8_tops": 0.0}
    for number in range(options.rounds):
        order = list(measured)
        shift = number % len(order)
        for name in order[shift:] + order[:shift]:
            if name in failed:
                continue
            begin = time.monotonic()
            if name == "hearth":
                result, seen = run_hearth(options.binary, job)
                machine = max(machine, seen, key=lambda m: m["int8_tops"])  # the least disturbed
                measured[name].append(result)
            else:
                try:
                    result, settings[name] = run_peer(name, job)
                    measured[name].append(result)
                except RuntimeError as error:
                    failed[name] = str(error)
            print(f"round {number + 1} of {options.rounds}: {name}, {time.monotonic() - begin:.0f} s", file=sys.stderr)
    measured = {name: rounds for name, rounds in measured.items() if name not in failed}

    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    peers = [name for name in measured if name != "hearth"]
    title = f"{table.title}, {machine['backend']}"  # other processors have sections of their own
    lines = [
        f"### {title}",
        "",
        f"{datetime.date.today()}, commit {commit}. {machine['cpu']}; measured limits: "
        f"{machine['read_gb_s']:.0f} GB/s read, {machine['int8_tops']:.2f} int8 TOPS. "
        + "; ".join(f"{name}: {PEERS[name][0]} {versions[name]}, {settings[name]}" for name in peers)
        + f". Tokens a second (`answer`: answers a second), median of {options.rounds} rounds (least-most).",
        "",
        "| work | hearth | " + " | ".join(f"{name} | ratio" for name in peers) + " |",
        "|---|---|" + "---|---|" * len(peers),
        *(row(work, measured) for work in measured["hearth"][0]),
        *(f"\nNot in the table: {name}, {reason}." for name, reason in failed.items()),
    ]
    section = "\n".join(lines) + "\n"
    print(section)
    if options.write:
        write_section(title, section)


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
