"""Hostile model files through the command line: exit status 0 or 1, one clear line, never a signal."""

import json
import os
import pathlib
import struct
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEARTH = os.environ.get("HEARTH_BIN", str(ROOT / "build/release/hearth"))

U32, F32, STRING = 4, 6, 8


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str, kind: int, value) -> bytes:
    packed = {U32: lambda: struct.pack("<I", value), F32: lambda: struct.pack("<f", value), STRING: lambda: text(value)}
    return text(key) + struct.pack("<I", kind) + packed[kind]()


D, FF, VOCAB = 32, 64, 48
TENSORS = [
    ("token_embd.weight", (VOCAB, D)),
    ("output_norm.weight", (D,)),
    ("blk.0.attn_norm.weight", (D,)),
    ("blk.0.attn_q.weight", (D, D)),
    ("blk.0.attn_k.weight", (D // 2, D)),
    ("blk.0.attn_v.weight", (D // 2, D)),
    ("blk.0.attn_output.weight", (D, D)),
    ("blk.0.ffn_norm.weight", (D,)),
    ("blk.0.ffn_gate.weight", (FF, D)),
    ("blk.0.ffn_up.weight", (FF, D)),
    ("blk.0.ffn_down.weight", (D, FF)),
]
METADATA = [
    ("general.architecture", STRING, "llama"),
    ("llama.block_count", U32, 1),
    ("llama.context_length", U32, 64),
    ("llama.embedding_length", U32, D),
    ("llama.feed_forward_length", U32, FF),
    ("llama.attention.head_count", U32, 2),
    ("llama.attention.head_count_kv", U32, 1),
    ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
    ("llama.rope.freq_base", F32, 10000.0),
    ("llama.vocab_size", U32, VOCAB),
]


def model(metadata=None, tensors=None, kinds=None, offsets=None) -> tuple[bytes, int]:
    """A whole one-layer llama in float32, and the size of its header."""
    metadata = METADATA if metadata is None else metadata
    tensors = TENSORS if tensors is None else tensors
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for e in metadata:
        head += entry(*e)
    offset = 0
    data = b""
    for i, (name, shape) in enumerate(tensors):
        head += text(name) + struct.pack("<I", len(shape))
        for d in reversed(shape):
            head += struct.pack("<Q", d & (2**64 - 1))
        head += struct.pack("<I", (kinds or {}).get(name, 0))
        head += struct.pack("<Q", (offsets or {}).get(name, offset))
        count = 1
        for d in shape:
            count *= d if 0 < d < 2**20 else 1
        data += b"".join(struct.pack("<f", ((j * 37 + i * 11) % 101 - 50) / 250) for j in range(count))
        offset = (len(data) + 31) // 32 * 32
        data += b"\0" * (offset - len(data))
    header = len(head)
    head += b"\0" * (-len(head) % 32)
    return head + data, header


@pytest.fixture()
def run(tmp_path):
    tokens = tmp_path / "tokens.json"
    tokens.write_text("[1,2,3]")

    def call(content: bytes):
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return subprocess.run(
            [HEARTH, "generate", path, "--tokens", tokens, "--max-tokens", "2", "--ignore-eos", "--threads", "1",
             "--json"],
            capture_output=True, text=True, timeout=60, errors="replace",
        )

    return call


def refused(done, *words: str) -> None:
    assert done.returncode == 1, (done.returncode, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("hearth: "), done.stderr
    for word in words:
        assert word in lines[0], lines[0]
    assert done.stdout == ""


def test_the_model_itself_works(run):
    done = run(model()[0])
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["tokens"]) == 2


def test_every_header_byte_flipped(run):
    content, header = model()
    outcomes = {0: 0, 1: 0}
    for at in range(header):
        bad = bytearray(content)
        bad[at] ^= 0xFF if at % 2 else 0x01
        done = run(bytes(bad))
        assert done.returncode in (0, 1), f"byte {at}: status {done.returncode}: {done.stderr}"
        outcomes[done.returncode] += 1
        if done.returncode == 1:
            refused(done)
    assert outcomes[1] > header / 2  # some bytes mean little (a rope base), most must not


def test_cut_at_every_header_byte(run):
    content, header = model()
    for size in [*range(0, header + 64), len(content) // 2, len(content) - 64]:
        refused(run(content[:size]))


@pytest.mark.parametrize("size", [0, 2**42 + 1, 2**63 - 1, 2**64 - 1, -32])
def test_wrapping_dimensions(run, size):
    tensors = [(n, (size, D) if n == "token_embd.weight" else s) for n, s in TENSORS]
    refused(run(model(tensors=tensors)[0]), "token_embd.weight")


def test_two_dimensions_whose_product_wraps(run):
    tensors = [(n, (2**63 - 1, 2**63 - 1) if n == "token_embd.weight" else s) for n, s in TENSORS]
    refused(run(model(tensors=tensors)[0]))


@pytest.mark.parametrize("offset", [2**63, 2**64 - 32, 10**9, 32 * 10**6, 7])
def test_tensors_past_the_end(run, offset):
    refused(run(model(offsets={"output_norm.weight": offset})[0]))


def test_overlapping_tensors(run):
    refused(run(model(offsets={"output_norm.weight": 0})[0]))


def test_duplicate_keys_and_names(run):
    refused(run(model(metadata=[*METADATA, METADATA[3]])[0]))
    refused(run(model(tensors=[*TENSORS, TENSORS[1]])[0]))


def test_unknown_architecture_and_kind_are_named(run):
    metadata = [("general.architecture", STRING, "perceiver")] + [
        (k.replace("llama.", "perceiver."), t, v) for k, t, v in METADATA[1:]
    ]
    refused(run(model(metadata=metadata)[0]), "perceiver")
    refused(run(model(kinds={"blk.0.attn_q.weight": 23})[0]), "IQ4_XS")


@pytest.mark.parametrize("heads", [0, 3, 5, 2**31])
def test_impossible_head_counts(run, heads):
    metadata = [(k, t, heads if k.endswith("head_count") else v) for k, t, v in METADATA]
    refused(run(model(metadata=metadata)[0]))


def test_names_never_become_paths(run, tmp_path):
    tensors = [*TENSORS, ("../../escape", (D,))]
    done = run(model(tensors=tensors)[0])
    assert done.returncode in (0, 1)
    assert not (tmp_path.parent / "escape").exists()
