#!/usr/bin/env python3
"""Loading a sealed model beside loading the same model as it is: `hearth generate` of one token, in alternation.

From the page cache, and with the cache emptied of both files. At most 1.15 of the plain model's time is wanted, at about 1 GB.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import peer_files

ROOT = pathlib.Path(__file__).resolve().parent.parent


def forget(path):
    """Puts the file out of the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def remember(path):
    with open(path, "rb") as file:
        while file.read(1 << 24):
            pass


WARM = """
import ctypes, mmap, sys
n = int(sys.argv[1])
m = mmap.mmap(-1, n, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m.madvise(mmap.MADV_HUGEPAGE)
ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(m)), 1, n)
"""


def warm_memory(size):
    """The host of a virtual machine takes back memory that was free for two seconds, and finding it again would be
    most of what is measured: both loads begin with as much that was just in use."""
    subprocess.run([sys.executable, "-c", WARM, str(size)], check=True)


def spread(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=str(ROOT / "build/release/hearth"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--shape", default="tinyllama-1.1b")
    parser.add_argument("--type", default="q8_0")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    plain = peer_files.synthetic(options.binary, options.shape, options.type)
    size = plain.stat().st_size
    with tempfile.TemporaryDirectory(dir=plain.parent) as folder:
        folder = pathlib.Path(folder)
        key = folder / "key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        sealed = folder / "sealed"
        opens = ["--key", f"file:{key}"]
        begin = time.monotonic()
        subprocess.run([options.binary, "seal", plain, sealed, *opens], check=True)
        print(f"{options.shape} {options.type}, {size / 1e9:.2f} GB; sealed in {time.monotonic() - begin:.1f} s")
        tokens = folder / "tokens.json"
        tokens.write_text("[1]")

        def load(model, *more):
            command = [options.binary, "generate", model, "--tokens", tokens, "--max-tokens", "1", "--ctx", "64",
                       "--threads", str(options.threads), "--json", *more]  # fmt: skip
            begin = time.monotonic()
            child = subprocess.Popen(command, stdout=subprocess.PIPE)
            answer = json.load(child.stdout)
            _, status, usage = os.wait4(child.pid, 0)
            if status != 0:
                raise SystemExit("it does not load")
            return time.monotonic() - begin, usage.ru_maxrss * 1024, answer

        for name, prepare in (("cached", remember), ("cold", forget)):
            times = {plain: [], sealed: []}
            memory = {}
            for turn in range(options.rounds):
                answers = []
                for model in (plain, sealed) if turn % 2 == 0 else (sealed, plain):
                    prepare(model)
                    warm_memory(5 * size // 2)
                    seconds, memory[model], answer = load(model, *(opens if model == sealed else ()))
                    times[model].append(seconds)
                    answers.append(answer)
                assert answers[0] == answers[1]
            ratios = [s / p for s, p in zip(times[sealed], times[plain], strict=True)]
            ratio = statistics.median(times[sealed]) / statistics.median(times[plain])
            print(f"{name}: plain {spread(times[plain])} s, sealed {spread(times[sealed])} s, "
                  f"ratio of medians {ratio:.3f}, of pairs {spread(ratios)}; wanted at most 1.15")  # fmt: skip
            print(f"  memory: plain {memory[plain] / size:.2f}, sealed {memory[sealed] / size:.2f} of the file")


if __name__ == "__main__":
    main()
