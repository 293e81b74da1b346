"""Drives OpenVINO GenAI on the same GGUF file; a child process of peers.py or serve_peers.py (see peer_job.py).

One sequence goes through LLMPipeline, several through ContinuousBatchingPipeline, both with the settings they have:
no other cache precision, attention backend, group size or bf16 was clearly faster where it was tried.
"""

import time

import numpy as np
import openvino as ov
import openvino_genai as genai
from peer_job import prompt, read_job, report, report_load


def main() -> None:
    job = read_job()
    properties = {"INFERENCE_NUM_THREADS": job["threads"]}

    def pipeline(sequences, **others):
        scheduler = genai.SchedulerConfig()
        scheduler.max_num_seqs = sequences
        scheduler.cache_size = 2  # GB
        for name, value in ({"enable_prefix_caching": False, "max_num_batched_tokens": 4096} | others).items():
            setattr(scheduler, name, value)
        return genai.ContinuousBatchingPipeline(job["model"], scheduler, "CPU", properties)

    def config(tokens):
        c = genai.GenerationConfig()
        c.max_new_tokens = tokens
        c.ignore_eos = True
        c.do_sample = False
        return c

    if load := job.get("load"):
        many = pipeline(load["sequences"], enable_prefix_caching=load["prefix_cache"], **load["settings"])

        def generate_all(prompts):
            ids = [ov.Tensor(np.array([p])) for p in prompts]
            results = many.generate(ids, [config(load["tokens"])] * len(prompts))
            return [len(r.m_generation_ids[0]) for r in results]

        return report_load("ContinuousBatchingPipeline offline", load, generate_all)

    single = genai.LLMPipeline(job["model"], "CPU", **properties)
    many = pipeline(max(job["batch"]))

    def tensor(size):
        return ov.Tensor(np.array([prompt(size)]))

    def one(prompt_size, tokens):
        ids = tensor(prompt_size)
        inputs = genai.TokenizedInputs(ids, ov.Tensor(np.ones((1, prompt_size), dtype=np.int64)))
        begin = time.perf_counter()
        result = single.generate(inputs, config(tokens))
        return time.perf_counter() - begin, result.perf_metrics, len(result.tokens[0])

    def batch(sequences, tokens):
        ids = [tensor(1) for _ in range(sequences)]
        begin = time.perf_counter()
        results = many.generate(ids, [config(tokens)] * sequences)
        took = time.perf_counter() - begin
        # All prompts are one step, so that all have their first token at the same time.
        return took, results[0].perf_metrics, sum(len(r.m_generation_ids[0]) for r in results)

    def prefill(tokens):
        took, metrics, made = one(tokens, 1)
        if made != 1:
            raise SystemExit(f"{made} tokens instead of 1")
        return took, metrics.get_num_input_tokens()

    def generate(sequences, tokens):
        took, metrics, made = one(1, tokens + 1) if sequences == 1 else batch(sequences, tokens + 1)
        return took - metrics.get_ttft().mean / 1000, made - sequences

    work = {f"prefill {job['prefill']}": lambda: prefill(job["prefill"])}
    for sequences in job["batch"]:
        work[f"decode {sequences}"] = lambda s=sequences: generate(s, job["decode"])
    report("LLMPipeline for one sequence, ContinuousBatchingPipeline for many", work, job["repeats"])


main()
