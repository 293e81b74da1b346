#!/usr/bin/env python3
"""clang-format and clang-tidy over the tracked sources: ./dev lint.

    lint.py BUILD_FOLDER [--changed [BASE]] [--budget SECONDS] [FILE...]

Formatting is checked on all files. clang-tidy takes the files named; with --changed those that
differ from BASE (origin/main by default); else all, those of the newest commits first. --budget
stops starting new files when the time is used up and says how many are left: a file that changed
lately is never among them for long.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
GIB_PER_JOB = 2  # a file with coroutines and Beast


def git(*arguments):
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout


def sources():
    return [
        name
        for name in git("ls-files", "-co", "--exclude-standard", "*.h", "*.cc").splitlines()
        if (ROOT / name).exists()
    ]


def newest_first(names):
    """Files of recent commits first, then the others; tests, which take longest, last."""
    order = {}
    for line in git("log", "-n", "200", "--name-only", "--format=").splitlines():
        order.setdefault(line, len(order))
    return sorted(names, key=lambda name: ("_test" in name, order.get(name, len(order)), name))


def changed_since(base, names):
    if not git("branch", "-a", "--list", base, f"remotes/{base}", "--format=x").strip():
        print(f"lint: there is no {base} here: what is not committed yet")
        base = "HEAD"
    changed = set(git("diff", "--name-only", f"{base}...HEAD").splitlines())
    changed |= set(git("diff", "--name-only", "HEAD").splitlines())
    return [name for name in names if name in changed]


def job_count():
    memory_kib = next(
        int(line.split()[1])
        for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    return max(1, min(len(os.sched_getaffinity(0)), memory_kib // (GIB_PER_JOB << 20)))


def check_format(names):
    command = ["clang-format-19", "--dry-run", "--Werror", *names]
    return subprocess.run(command, cwd=ROOT).returncode == 0


def tidy(build, name):
    begin = time.monotonic()
    result = subprocess.run(
        ["clang-tidy-19", "--quiet", "-p", str(build), name],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return name, result.returncode, result.stdout, time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--changed", nargs="?", const="origin/main")
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()

    names = sources()
    formatted = check_format(names)
    commands = json.loads((options.build / "compile_commands.json").read_text())
    compiled = {os.path.relpath(os.path.realpath(c["file"]), ROOT) for c in commands}
    todo = [name for name in newest_first(names) if name in compiled]
    if options.files:
        todo = [name for name in todo if name in set(options.files)]
    elif options.changed:
        todo = changed_since(options.changed, todo)

    deadline = time.monotonic() + options.budget
    failed, left = [], 0
    with concurrent.futures.ThreadPoolExecutor(job_count()) as pool:

        def run(name):
            return tidy(options.build, name) if time.monotonic() < deadline else None

        for outcome in pool.map(run, todo):
            if outcome is None:
                left += 1
                continue
            name, status, output, seconds = outcome
            print(f"{'ok ' if status == 0 else 'BAD'} {seconds:5.1f} s  {name}", flush=True)
            if status != 0:
                failed.append(name)
                print(output, flush=True)
    print(
        f"lint: formatting {'ok' if formatted else 'WRONG'}; clang-tidy: {len(todo) - left} files,"
        f" {len(failed)} with findings" + (f"; {left} not reached in time" if left else "")
    )
    return 0 if formatted and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
