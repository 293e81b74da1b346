#!/usr/bin/env python3
"""Writes the golden data of src/tensor/dtype_test.cc beside itself.

Needs the PyPI packages numpy and gguf (made with gguf 0.19). Per kind:
  KIND.bin      stored blocks: random bytes, with scales kept finite (all kinds)
  KIND.f32      what gguf.quants.dequantize makes of them, float32
  KIND.plain    (kinds gguf can quantize) the blocks it makes of input.f32
"""
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES

here = pathlib.Path(__file__).parent
rng = np.random.default_rng(20240607)
ELEMS = 512
# Offsets of the half-precision scales within a block.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
PLAIN = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]

values = rng.normal(0, 0.05, ELEMS).astype(np.float32)
values[64:96] = 0  # a block of zeros
values[96:128] = 0.25  # a constant block
values[128] = -3
values.tofile(here / "input.f32")

for name in ["F32", *PLAIN[:2], *HALVES]:
    kind = Kind[name]
    block, size = GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (ELEMS // block, size), dtype=np.uint8)
    if name in ("F32", "F16"):
        raw = rng.normal(0, 1, ELEMS).astype(np.float32 if name == "F32" else np.float16).view(np.uint8)
    elif name == "BF16":
        raw = (rng.normal(0, 1, ELEMS).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    else:
        for at in HALVES[name]:
            scale = rng.normal(0, 0.01, len(raw)).astype(np.float16)
            scale[0] = np.float16(6e-6)  # a subnormal half
            raw[:, at:at + 2] = scale.view(np.uint8).reshape(-1, 2)
    raw = np.ascontiguousarray(raw.reshape(-1))
    raw.tofile(here / f"{name}.bin")
    quants.dequantize(raw, kind).astype(np.float32).tofile(here / f"{name}.f32")

for name in PLAIN:
    np.ascontiguousarray(quants.quantize(values, Kind[name])).tofile(here / f"{name}.plain")
