"""What the drivers of all peers share: the job on standard input, the result on standard output.

Job: {"model", "threads", "prefill", "decode", "batch": [1, 32], "answer": [prompt, tokens], "repeats"}.
Result: {"settings": in words, "work": {name: {"seconds": [...], "tokens": [...]}}}, as many of each as `repeats`.

serve_peers.py has other jobs: {"model", "threads", "load": {"prompts": [[ids], ...], "warmup": such prompts, "tokens":
of each answer, "sequences": at once at most, "prefix_cache": whether to keep what prompts begin with, "settings": more
of them by the peer's own names}}.
Result: {"settings", "seconds": for all prompts, "answers": tokens of each}.
"""

import json
import random
import sys
import time

RANDOM = random.Random(1)


def read_job() -> dict:
    return json.load(sys.stdin)


def prompt(tokens: int) -> list[int]:
    """Ids that every vocabulary of interest has, none of them special."""
    return [RANDOM.randrange(1000, 30000) for _ in range(tokens)]


def timed(work) -> tuple:
    """Seconds, and what `work` returns: how many tokens it made or read."""
    begin = time.perf_counter()
    made = work()
    return time.perf_counter() - begin, made


def report_load(settings: str, load: dict, generate) -> None:
    """generate(prompts) returns how many tokens it has made after each; it runs for the warm-up first."""
    generate(load["warmup"])
    seconds, answers = timed(lambda: generate(load["prompts"]))
    json.dump({"settings": settings, "seconds": seconds, "answers": answers}, sys.stdout)


def report(settings: str, work: dict, repeats: int, once: tuple[str, ...] = ()) -> None:
    """work: {name: function that returns (seconds, tokens)}; each is run once more, first, to warm up.

    Those in `once` take minutes: they run a single time, when the work before has warmed up everything.
    """
    out = {}
    for name, run in work.items():
        if name not in once:
            run()
        results = [run() for _ in range(1 if name in once else repeats)]
        out[name] = {"seconds": [r[0] for r in results], "tokens": [r[1] for r in results]}
    json.dump({"settings": settings, "work": out}, sys.stdout)
