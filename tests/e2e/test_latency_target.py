"""A running stream keeps its target while long prompts arrive, and they do not wait for ever."""

import itertools
import random
import statistics
import time

import pytest
from measure import Others
from serving import Server
from streams import Connection, Reader, post

TARGET = 5  # times the undisturbed median
# What is asked is 1, and the report tells it; a host whose own stalls are 2.5 times a step (the P99 of
# a stream alone) adds to it. A stream that waits for prompts would have 100.
TARGET_MISSED_MAX = 2
LATER_MAX = 3  # times what a long prompt takes to its first token alone
PROMPT_TOKENS = 2000
PROMPTS = 6
PAUSE_S = 0.2
CALM_TOKENS = 200
PROMPTS_S_MAX = 6  # after that no further one: the machine is slow
GIVE_UP_S = 12
STREAM_TOKENS = 8000  # more than are read
VOCABULARY = range(1000, 40000)
ROUNDS = 3
OTHERS_MAX = 0.05
HOPELESS = 0.3  # a share of others beside which no further round is of use


def stream(prompt, tokens):
    return post(
        "/v1/completions",
        {"prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "stream": True},
    )


def gaps_of(moments):
    return [after - before for before, after in itertools.pairwise(moments)]


def percentile_99(values):
    return sorted(values)[len(values) * 99 // 100]


def calm_gaps(port):
    """Of a stream alone."""
    reader, connection = Reader(), Connection(port)
    reader.add(connection)
    connection.send(stream("Once upon a time", CALM_TOKENS))
    while not connection.ended:
        assert reader.poll(60)
    reader.close()
    connection.close()
    assert len(connection.arrivals) > CALM_TOKENS // 2
    return gaps_of(connection.arrivals[:-1])  # the last one is the end


def long_prompt(port, draw, reader):
    """Seconds to its first token; what else the reader has is read as it comes.

    One that waits for very long is given up; then it is the time until that.
    """
    connection = Connection(port)
    reader.add(connection)
    begin = time.perf_counter()
    connection.send(stream([draw.choice(VOCABULARY) for _ in range(PROMPT_TOKENS)], 2))
    while b"data: {" not in connection.received:
        assert not connection.ended, bytes(connection.received[:500])
        reader.poll(1)
        seconds = time.perf_counter() - begin
        if seconds > GIVE_UP_S:
            break
    if not connection.ended:
        reader.remove(connection)
    connection.close()
    return seconds


def read_for(reader, seconds):
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        reader.poll(left)


def measured_round(server, draw):
    """Gaps of a stream beside long prompts; their times to the first token, alone and beside it."""
    reader = Reader()
    alone = [long_prompt(server.port, draw, reader) for _ in range(3)]
    running = Connection(server.port)
    reader.add(running)
    running.send(stream("The history of tea", STREAM_TOKENS))
    read_for(reader, 2 * PAUSE_S)
    begin, beside = time.perf_counter(), []
    while len(beside) < PROMPTS and time.perf_counter() - begin < PROMPTS_S_MAX:
        beside.append(long_prompt(server.port, draw, reader))
        read_for(reader, PAUSE_S)
    end = time.perf_counter()
    assert not running.ended, "the stream was through too soon"
    running.close()
    reader.close()
    gaps = gaps_of(moment for moment in running.arrivals if begin <= moment <= end)
    assert len(gaps) > 50
    # Each gap is a token: nothing is hidden in events that come together.
    tokens = running.received.count(b"data: {")
    assert tokens <= 1.2 * len(running.arrivals), (tokens, len(running.arrivals))
    return gaps, alone, beside


def test_a_stream_keeps_its_target_beside_long_prompts(hearth, model, tmp_path, record_property):
    """Without guessed tokens, so that a gap is a step; up to three rounds, as clients and server
    share the cores."""
    draw = random.Random(7)
    server = Server(hearth, model, tmp_path / "calm", "--speculation", "off")
    calm_gaps(server.port)
    calm = min((calm_gaps(server.port) for _ in range(3)), key=statistics.median)
    assert server.stop() == 0
    target = TARGET * statistics.median(calm)
    # What the machine itself adds to a P99, with nothing beside the stream.
    stalls = percentile_99(calm) - statistics.median(calm)
    told = [
        f"alone: median {1e3 * statistics.median(calm):.2f} ms, P99 {1e3 * percentile_99(calm):.2f}"
        f" ms; target {1e3 * target:.2f} ms"
    ]

    kept, disturbed = [], []
    share = 0
    while not any(kept) and len(kept) < ROUNDS and share < HOPELESS:
        # A new one each time: what the tuner learnt in a disturbed round stays with it for minutes.
        log = tmp_path / f"round{len(kept)}"
        server = Server(
            hearth, model, log, "--speculation", "off", "--target-tpot-ms", f"{1e3 * target:.3f}"
        )
        try:
            calm_gaps(server.port)
            others = Others(server.process)
            gaps, alone, beside = measured_round(server, draw)
            share = others.share()
        finally:
            assert server.stop() == 0
        slowest = percentile_99(gaps)
        later = statistics.median(beside) / statistics.median(alone)
        kept.append(slowest <= TARGET_MISSED_MAX * target + stalls and later <= LATER_MAX)
        disturbed.append(share > OTHERS_MAX)
        told.append(
            f"{len(gaps)} gaps: median {1e3 * statistics.median(gaps):.2f} ms, "
            f"P99 {1e3 * slowest:.2f} ms ({slowest / target:.2f} of the target), "
            f"most {1e3 * max(gaps):.2f} ms; long prompts {statistics.median(alone):.2f} s "
            f"alone, {statistics.median(beside):.2f} s beside it ({later:.2f} times); "
            f"others took {100 * share:.0f} %"
        )
        print("\n" + told[-1], end="")
    report = "\n".join(told)
    record_property("report", report)
    if any(kept):
        return
    if all(disturbed):
        pytest.skip("other programs run beside:\n" + report)
    pytest.fail(report + "\n" + log.read_text(errors="replace"))
