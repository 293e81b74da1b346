"""`hearth redact` on the labelled set: how much it finds, and how much of that is right."""

import json
import math
import subprocess
import sys

import generate
import pytest

SEED = 20260101
TYPES = ["phone", "bank_card", "id_card", "email"]
RECALL_MIN = 0.999
PRECISION_MIN = 0.99


def wilson(good, total, z=1.96):
    """The 95 % interval of a share (Wilson 1927)."""
    share = good / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    half /= 1 + z * z / total
    return middle - half, middle + half


def found_by(hearth, texts):
    """Per text, what `hearth redact --json` finds in it; one text a line, by bytes."""
    for text in texts:
        assert "\n" not in text["text"]
    lines = [text["text"].encode() for text in texts]
    run = subprocess.run(
        [hearth, "redact", "--json"], input=b"\n".join(lines), capture_output=True, check=True
    )
    document = json.loads(run.stdout)
    matches = iter(document["matches"])
    match = next(matches, None)
    result, begin = [], 0
    for line in lines:
        here = []
        while match is not None and match["begin"] < begin + len(line):
            assert match["end"] <= begin + len(line), "a match over the end of a line"
            here.append((match["type"], match["begin"] - begin, match["end"] - begin))
            match = next(matches, None)
        result.append(here)
        begin += len(line) + 1
    assert match is None
    return result


@pytest.fixture(scope="module")
def measured(hearth):
    texts = generate.make(SEED)
    return texts, found_by(hearth, texts)


def spans_of(text):
    return {(s["type"], s["begin"], s["end"]) for s in text["spans"]}


def test_the_set_is_large_and_the_same_every_time():
    texts = generate.make(SEED)
    assert len(texts) >= 20_000
    for kind in TYPES:
        assert sum(s["type"] == kind for text in texts for s in text["spans"]) >= 3_000
    assert sum(not text["spans"] for text in texts) >= 10_000
    assert texts == generate.make(SEED)


@pytest.mark.parametrize("kind", TYPES)
def test_recall_and_precision(measured, kind):
    texts, found = measured
    wanted = hit = told = right = 0
    missed, wrong = [], []
    for text, matches in zip(texts, found, strict=True):
        spans = {s for s in spans_of(text) if s[0] == kind}
        ours = {m for m in matches if m[0] == kind}
        wanted += len(spans)
        hit += len(spans & ours)
        told += len(ours)
        right += len(spans & ours)
        if spans - ours:
            missed.append((text["text"], matches))
        if ours - spans:
            wrong.append((text["kind"], text["text"], matches))
    recall, precision = hit / wanted, right / told
    low_r, high_r = wilson(hit, wanted)
    low_p, high_p = wilson(right, told)
    print(
        f"\n{kind}: recall {recall:.4%} ({low_r:.4%} to {high_r:.4%}, {wanted} numbers), "
        f"precision {precision:.4%} ({low_p:.4%} to {high_p:.4%}, {told} found)"
    )
    assert recall >= RECALL_MIN, missed[:20]
    assert precision >= PRECISION_MIN, wrong[:20]


def test_what_is_left_alone_by_kind(measured):
    """No kind of hard negative is what the filter mostly gets wrong."""
    texts, found = measured
    for kind in generate.NEGATIVE_KINDS:
        hidden = [
            (text["text"], matches)
            for text, matches in zip(texts, found, strict=True)
            if text["kind"] == kind and matches
        ]
        total = sum(text["kind"] == kind for text in texts)
        print(f"\n{kind}: {len(hidden)} of {total} touched")
        assert len(hidden) <= total / 50, hidden[:20]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-s"]))
