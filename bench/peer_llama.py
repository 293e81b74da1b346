"""Drives llama.cpp (or ik_llama.cpp) through its C API; a child process of peers.py.

Reads {"model", "threads", "prefill", "decode", "batch", "repeats"} from standard input, prints one JSON
document: seconds and token counts of each piece of work, as many as `repeats`.
"""

import ctypes
import importlib
import json
import sys
import time

import numpy as np


def main() -> None:
    job = json.load(sys.stdin)
    lib = importlib.import_module(sys.argv[1])
    lib.llama_backend_init()
    callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
    lib.llama_log_set(callback, None)
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    load = getattr(lib, "llama_model_load_from_file", None) or lib.llama_load_model_from_file
    model = load(job["model"].encode(), params)
    if not model:
        raise SystemExit("the model does not load")
    new_context = getattr(lib, "llama_init_from_model", None) or lib.llama_new_context_with_model

    def context(tokens: int, sequences: int):
        c = lib.llama_context_default_params()
        c.n_ctx = tokens
        c.n_batch = 2048
        c.n_ubatch = 512
        c.n_seq_max = sequences
        c.n_threads = c.n_threads_batch = job["threads"]
        made = new_context(model, c)
        if not made:
            raise SystemExit("no context")
        return made

    vocab_of = getattr(lib, "llama_model_get_vocab", None)
    if vocab_of:
        vocab = lib.llama_vocab_n_tokens(vocab_of(model))
    else:
        vocab = lib.llama_n_vocab(model)
    random = np.random.default_rng(1)

    def fill(batch, rows):
        """rows: (token, position, sequence, wants logits)"""
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i] = int(token)
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = logits

    def decode(ctx, batch):
        if lib.llama_decode(ctx, batch) != 0:
            raise SystemExit("llama_decode failed")

    def best(ctx, row):
        pointer = lib.llama_get_logits_ith(ctx, row)
        return int(np.ctypeslib.as_array(pointer, shape=(vocab,)).argmax())

    def prefill(tokens):
        ctx = context(tokens + 8, 1)
        batch = lib.llama_batch_init(tokens, 0, 1)
        ids = random.integers(0, vocab, tokens)
        fill(batch, [(t, i, 0, i == tokens - 1) for i, t in enumerate(ids)])
        begin = time.perf_counter()
        decode(ctx, batch)
        best(ctx, tokens - 1)
        took = time.perf_counter() - begin
        lib.llama_batch_free(batch)
        lib.llama_free(ctx)
        return took, tokens

    def generate(sequences, tokens):
        ctx = context(sequences * (tokens + 8), sequences)
        batch = lib.llama_batch_init(sequences, 0, 1)
        current = [int(t) for t in random.integers(0, vocab, sequences)]
        made = 0
        begin = 0.0
        for step in range(tokens + 1):
            fill(batch, [(current[s], step, s, True) for s in range(sequences)])
            decode(ctx, batch)
            current = [best(ctx, s) for s in range(sequences)]
            if step == 0:  # the first token of each is not counted, as `hearth bench engine` does
                begin = time.perf_counter()
            else:
                made += sequences
        took = time.perf_counter() - begin
        lib.llama_batch_free(batch)
        lib.llama_free(ctx)
        return took, made

    work = {f"prefill {job['prefill']}": lambda: prefill(job["prefill"])}
    for sequences in job["batch"]:
        work[f"decode {sequences}"] = lambda s=sequences: generate(s, job["decode"])
    out = {}
    for name, run in work.items():
        run()  # warms up
        results = [run() for _ in range(job["repeats"])]
        out[name] = {"seconds": [r[0] for r in results], "tokens": [r[1] for r in results]}
    print(json.dumps(out))


main()
