"""Drives OpenVINO GenAI on the same GGUF file; a child process of peers.py (see peer_job.py).

One sequence goes through LLMPipeline, which is the faster of its two for that, several through its continuous
batching. Neither tells when the first token of a batch is done, so that a run of one token is subtracted.
"""

import numpy as np
import openvino as ov
import openvino_genai as genai
from peer_job import prompt, read_job, report, timed


def main() -> None:
    job = read_job()
    properties = {"INFERENCE_NUM_THREADS": job["threads"]}
    single = genai.LLMPipeline(job["model"], "CPU", **properties)
    scheduler = genai.SchedulerConfig()
    scheduler.enable_prefix_caching = False
    scheduler.max_num_batched_tokens = 4096
    scheduler.max_num_seqs = max(job["batch"])
    scheduler.cache_size = 2  # GB
    many = genai.ContinuousBatchingPipeline(job["model"], scheduler, "CPU", properties)

    def config(tokens):
        c = genai.GenerationConfig()
        c.max_new_tokens = tokens
        c.ignore_eos = True
        c.do_sample = False
        return c

    def tensor(size):
        return ov.Tensor(np.array([prompt(size)]))

    def one(prompt_size, tokens):
        ids = tensor(prompt_size)
        inputs = genai.TokenizedInputs(ids, ov.Tensor(np.ones((1, prompt_size), dtype=np.int64)))
        return timed(lambda: len(single.generate(inputs, config(tokens)).tokens[0]))

    def batch(sequences, tokens):
        ids = [tensor(1) for _ in range(sequences)]
        configs = [config(tokens)] * sequences
        return timed(lambda: sum(len(r.m_generation_ids[0]) for r in many.generate(ids, configs)))

    def prefill(tokens):
        took, made = one(tokens, 1)
        if made != 1:
            raise SystemExit(f"{made} tokens instead of 1")
        return took, tokens

    def generate(sequences, tokens):
        run = (lambda n: one(1, n)) if sequences == 1 else (lambda n: batch(sequences, n))
        first, first_made = run(1)
        took, made = run(tokens + 1)
        return took - first, made - first_made

    work = {f"prefill {job['prefill']}": lambda: prefill(job["prefill"])}
    for sequences in job["batch"]:
        work[f"decode {sequences}"] = lambda s=sequences: generate(s, job["decode"])
    report("LLMPipeline for one sequence, ContinuousBatchingPipeline for many", work, job["repeats"])


main()
