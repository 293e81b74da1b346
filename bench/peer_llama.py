"""Drives llama.cpp (or ik_llama.cpp) through its C API; a child of peers.py or serve_peers.py (see peer_job.py)."""

import ctypes
import importlib
import sys

import numpy as np
from peer_job import prompt, read_job, report, report_load, timed


def main() -> None:
    job = read_job()
    lib = importlib.import_module(sys.argv[1])
    lib.llama_backend_init()
    if hasattr(lib, "llama_log_set"):
        silent = lib.llama_log_callback(lambda *_: None)
        lib.llama_log_set(silent, None)
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    model = lib.llama_model_load_from_file(job["model"].encode(), params)
    if not model:
        raise SystemExit("the model does not load")
    # Newer ones choose for themselves; where one must say, attention is faster with it on.
    must_say = not hasattr(lib.llama_context_default_params(), "flash_attn_type")

    def context(tokens: int, sequences: int):
        c = lib.llama_context_default_params()
        c.n_ctx = (tokens + 255) // 256 * 256  # as flash attention wants it
        c.n_batch = 2048
        c.n_ubatch = 512
        c.n_seq_max = sequences
        c.n_threads = c.n_threads_batch = job["threads"]
        if must_say:
            c.flash_attn = sequences == 1  # with several it aborts: GGML_ASSERT(S > 0)
        made = lib.llama_init_from_model(model, c)
        if not made:
            raise SystemExit("no context")
        return made

    vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))

    def fill(batch, rows):
        """rows: (token, position, sequence, wants logits)"""
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = logits

    def decode(ctx, batch):
        if lib.llama_decode(ctx, batch) != 0:
            raise SystemExit("llama_decode failed")

    def best(ctx, row):
        pointer = ctypes.cast(lib.llama_get_logits_ith(ctx, row), ctypes.POINTER(ctypes.c_float))
        return int(np.ctypeslib.as_array(pointer, shape=(vocab,)).argmax())

    def answer_together(ctx, batch, prompts, tokens):
        """Each prompt for itself, then a token of all answers at a time."""
        current = []
        for s, ids in enumerate(prompts):
            fill(batch, [(t, i, s, i == len(ids) - 1) for i, t in enumerate(ids)])
            decode(ctx, batch)
            current.append(best(ctx, len(ids) - 1))
        for made in range(1, tokens):
            fill(batch, [(current[s], len(ids) + made - 1, s, True) for s, ids in enumerate(prompts)])
            decode(ctx, batch)
            current = [best(ctx, s) for s in range(len(prompts))]
        lib.llama_memory_clear(lib.llama_get_memory(ctx), False)
        return [tokens] * len(prompts)

    if load := job.get("load"):
        longest = max(map(len, load["prompts"] + load["warmup"]))
        sequences = load["sequences"]
        ctx = context(sequences * (longest + load["tokens"]), sequences)
        batch = lib.llama_batch_init(max(longest, sequences), 0, 1)

        def generate_all(prompts):
            waves = [prompts[i : i + sequences] for i in range(0, len(prompts), sequences)]
            return [made for wave in waves for made in answer_together(ctx, batch, wave, load["tokens"])]

        return report_load(f"C API offline, batches of {sequences} sequences", load, generate_all)

    def prefill(tokens):
        ctx = context(tokens + 8, 1)
        batch = lib.llama_batch_init(tokens, 0, 1)
        fill(batch, [(t, i, 0, i == tokens - 1) for i, t in enumerate(prompt(tokens))])

        def work():
            decode(ctx, batch)
            best(ctx, tokens - 1)
            return tokens

        took = timed(work)
        lib.llama_batch_free(batch)
        lib.llama_free(ctx)
        return took

    def generate(sequences, tokens):
        ctx = context(sequences * (tokens + 8), sequences)
        batch = lib.llama_batch_init(sequences, 0, 1)
        current = prompt(sequences)

        def step(position):
            nonlocal current
            fill(batch, [(current[s], position, s, True) for s in range(sequences)])
            decode(ctx, batch)
            current = [best(ctx, s) for s in range(sequences)]
            return sequences

        step(0)  # the first token of each is not counted, as `hearth bench engine` does
        took = timed(lambda: sum(step(1 + i) for i in range(tokens)))
        lib.llama_batch_free(batch)
        lib.llama_free(ctx)
        return took

    work = {f"prefill {job['prefill']}": lambda: prefill(job["prefill"])}
    for sequences in job["batch"]:
        work[f"decode {sequences}"] = lambda s=sequences: generate(s, job["decode"])
    report("flash attention " + ("for one sequence" if must_say else "as it chooses itself"), work, job["repeats"])


main()
