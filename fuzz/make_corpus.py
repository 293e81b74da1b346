#!/usr/bin/env python3
"""Writes the seeds of the file format fuzzers into fuzz/corpus/. Plain Python, no packages."""
import json
import pathlib
import struct

corpus = pathlib.Path(__file__).parent / "corpus"


def write(target, name, content):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def string(text):
    return struct.pack("<Q", len(text)) + text.encode()


U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B",
        U64: "<Q", I64: "<q", F64: "<d"}


def payload(kind, value):
    if kind == STRING:
        return string(value)
    if kind == ARRAY:
        element, items = value
        return struct.pack("<IQ", element, len(items)) + b"".join(payload(element, i) for i in items)
    return struct.pack(PACK[kind], value)


def gguf(entries, tensors=(), version=3, data=0):
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    for key, kind, value in entries:
        out += string(key) + struct.pack("<I", kind) + payload(kind, value)
    for name, dims, kind, offset in tensors:
        out += string(name) + struct.pack("<I", len(dims))
        out += b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)
    if tensors:
        out += b"\0" * (-len(out) % 32 + data)
    return out


def model(architecture, *more):
    entries = [("general.architecture", STRING, architecture)]
    for key, value in [("block_count", 2), ("context_length", 64), ("embedding_length", 32),
                       ("feed_forward_length", 64), ("attention.head_count", 4),
                       ("attention.head_count_kv", 2)]:
        entries.append((f"{architecture}.{key}", U32, value))
    entries.append((f"{architecture}.attention.layer_norm_rms_epsilon", F32, 1e-5))
    return entries + list(more)


TOKENIZER = [
    ("tokenizer.ggml.tokens", ARRAY, (STRING, ["<unk>", "<s>", "</s>", "<end_of_turn>", "a"])),
    ("tokenizer.ggml.token_type", ARRAY, (I32, [2, 3, 3, 3, 1])),
    ("tokenizer.ggml.bos_token_id", U32, 1),
    ("tokenizer.ggml.eos_token_id", U32, 2),
]
write("gguf", "empty", gguf([]))
write("gguf", "v2", gguf([("k", ARRAY, (ARRAY, [(U8, [1, 2]), (STRING, ["x"])]))], version=2))
write("gguf", "kinds", gguf([(f"k{kind}", kind, 1) for kind in PACK]))
write("gguf", "llama", gguf(
    model("llama", ("tokenizer.ggml.model", STRING, "gpt2"), *TOKENIZER,
          ("tokenizer.ggml.merges", ARRAY, (STRING, ["a a"]))),
    [("token_embd.weight", [32, 5], 2, 0), ("rope_freqs.weight", [4], 0, 96)], data=112))
write("gguf", "gemma3", gguf(
    model("gemma3", ("tokenizer.ggml.model", STRING, "llama"), *TOKENIZER,
          ("tokenizer.ggml.scores", ARRAY, (F32, [0, 0, 0, 0, -1])),
          ("gemma3.attention.sliding_window", U32, 16),
          ("gemma3.attention.sliding_window_pattern", ARRAY, (BOOL, [1, 0])),
          ("gemma3.rope.scaling.type", STRING, "linear"),
          ("gemma3.rope.scaling.factor", F32, 8)),
    [("a", [256], 12, 0), ("b", [256], 14, 160)], data=384))
write("gguf", "split", gguf([("split.no", U16, 0), ("split.count", U16, 2),
                             ("split.tensors.count", I32, 1)]))

header = {"__metadata__": {"format": "pt"},
          "a": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
          "b": {"dtype": "BF16", "shape": [8], "data_offsets": [32, 48]}}
text = json.dumps(header)
write("safetensors", "header", text)
write("safetensors", "scalar", '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}')
write("safetensors", "empty", "{}")
write("safetensors", "whole", struct.pack("<Q", len(text)) + text.encode() + b"y" * 48)

llama = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "vocab_size": 256,
         "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
         "rms_norm_eps": 1e-6, "eos_token_id": [2, 3], "bos_token_id": 1, "hidden_act": "silu",
         "max_position_embeddings": 1024, "tie_word_embeddings": False, "attention_bias": True}
write("config", "llama", json.dumps(llama))
write("config", "llama3_rope", json.dumps(llama | {"rope_theta": 500000.0, "rope_scaling": {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256}}))
write("config", "mistral", json.dumps(llama | {"model_type": "mistral", "sliding_window": 16}))
gemma = llama | {"model_type": "gemma3_text", "hidden_act": None, "head_dim": 48,
                 "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 48,
                 "sliding_window": 16, "final_logit_softcapping": 30.0}
write("config", "gemma3", json.dumps(gemma | {
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    "rope_parameters": {"full_attention": {"rope_theta": 1e6, "rope_type": "default"},
                        "sliding_attention": {"rope_theta": 1e4, "rope_type": "linear",
                                              "factor": 2}}}))
write("config", "gemma3_older", json.dumps(gemma | {
    "sliding_window_pattern": 2, "rope_local_base_freq": 10000, "rope_theta": 1e6,
    "rope_scaling": {"type": "linear", "factor": 8}}))

write("json", "values", '{"a":[1,-2,0.5,1e3,true,false,null],"b":{"":18446744073709551615}}')
write("json", "strings", r'["\u00e9\ud83d\ude00\u0000","\"\\\/\b\f\n\r\t","' + "é😀" + '"]')
write("json", "numbers", "[0,-0,1e-320,1.7976931348623157e308,1e999,123456789012345678901234567890]")
write("json", "nested", "[" * 64 + "]" * 64)
write("json", "duplicate", '{"a":1,"a":2}')
write("json", "lone", r'["\ud800"]')
write("json", "bytes", b'["\xff\xc0\x80\xed\xa0\x80\0"]')

messages = [{"role": "system", "content": "brief"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}]
common = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "min_p": 0.1, "seed": 7,
          "stop": ["\n", "END"], "logit_bias": {"5": -100, "6": 1.5}, "ignore_eos": True, "stream": True,
          "repetition_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": -0.3}
openai = common | {"n": 2, "stream_options": {"include_usage": True}, "user": "u"}
write("request", "generate", json.dumps(common | {"prompt": "Zürich", "model": "default"}))
write("request", "completion", json.dumps(openai | {"prompt": [1, 2, 3], "logprobs": 5, "best_of": 2}))
write("request", "chat", json.dumps(openai | {"messages": messages, "logprobs": True, "top_logprobs": 4,
                                              "max_completion_tokens": 9, "tools": [], "tool_choice": "none"}))
write("request", "tokenize", json.dumps({"messages": messages}))
write("request", "detokenize", json.dumps({"tokens": [0, 5, 2147483647]}))
write("request", "template", json.dumps({"prompt": "x", "extra": {"chat_template": "{{ x }}"}}))
write("request", "wrong", json.dumps({"prompt": 1, "max_tokens": -1, "temperature": "hot", "stop": [1]}))

write("sse", "lines", "one\ntwo\r\nthree\rfour\n\n")
write("sse", "fields", "data: x\n\nevent: y\nid: 1\nretry: 0\n:")
write("sse", "ends", "\r\r\n\n\r")

post = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
write("http", "get", "GET /v1/models?a=b%20c HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
write("http", "post", post + "Content-Length: 2\r\n\r\n{}")
write("http", "chunked", post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
write("http", "pipelined", "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
write("http", "cl_te", post + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
write("http", "two_lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")
write("http", "gzip", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
write("http", "expect", post + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n{")
write("http", "old", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
write("http", "escapes", "GET /%2e%2e/%00/%ff/..;/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
write("http", "absolute", "GET http://evil.example/x HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n")
write("http", "headers", "GET / HTTP/1.1\r\nHost: localhost\r\n" + "X: y\r\n" * 120 + "\r\n")
