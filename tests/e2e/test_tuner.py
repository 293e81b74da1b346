"""Who moves the limits of the batch: --tuner slo, rule, off, and their targets."""

import concurrent.futures
import itertools
import re
import subprocess
import threading
import time

import pytest
import requests
from serving import Server, config_file

SERIES = re.compile(
    r"^(hearth_limit_running|hearth_limit_prompt_rows|hearth_tuner_decisions_total"
    r'|vllm:num_requests_running)\{(?:[^}]*reason="(\w+)")?[^}]*\} (\S+)$',
    re.MULTILINE,
)
RUNNING_START = 4  # of the rule
PROMPT_ROWS_MIN, PROMPT_ROWS_MOST = 12, 4096
ANSWER_TOKENS = 40


class Look:
    """What one look at /metrics shows."""

    def __init__(self, server):
        text = requests.get(server.url + "/metrics", timeout=30).text
        values = {(name, reason): float(value) for name, reason, value in SERIES.findall(text)}
        self.limit = values["hearth_limit_running", ""]
        self.prompt_rows = values["hearth_limit_prompt_rows", ""]
        self.running = values["vllm:num_requests_running", ""]
        self.reasons = {
            reason: round(value) for (_, reason), value in values.items() if reason
        }


def watch(server, clients, enough, at_most_s, document=None):
    """Looks, 20 a second, while so many clients ask for one answer after the other.

    Until enough(looks) or the time is over; each answer is complete, and there are some.
    """
    stop = threading.Event()
    document = {"max_tokens": ANSWER_TOKENS, "ignore_eos": True, **(document or {})}

    def one_after_the_other(number):
        count = 0
        while not stop.is_set():
            prompt = f"Client {number} asks for the {count}th time:"
            answer = server.post("/v1/completions", {"prompt": prompt, **document})
            assert answer.status_code == 200, answer.text
            assert answer.json()["usage"]["completion_tokens"] == document["max_tokens"]
            count += 1
        return count

    looks = [Look(server)]
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(one_after_the_other, number) for number in range(clients)]
        try:
            deadline = time.monotonic() + at_most_s
            while not enough(looks) and time.monotonic() < deadline:
                time.sleep(0.05)
                looks.append(Look(server))
                for future in running:
                    assert not future.done(), future.result()
        finally:
            stop.set()
        assert all(future.result() > 0 for future in running)
    return looks


def decisions(look):
    return sum(look.reasons.values())


# ---- the rule

FACTORS = {"utilisation_low": 1.5, "utilisation_high": 0.7, "steady": 1, "not_measured": 1}


def states_after(states, fresh, most):
    """Where the rule can be after these decisions, whose order is not known."""
    orders = set(itertools.permutations(fresh))
    after = set()
    for state, order in itertools.product(states, orders):
        for reason in order:
            state = min(most, max(1e-3, state * FACTORS[reason]))
        after.add(round(state, 9))
    return after


@pytest.mark.parametrize("most", [64, 7])
def test_the_rule_moves_as_it_is_written(configured, model, most):
    """One answer at a time leaves the machine idle: up. Each limit is what the decisions make."""
    server, _ = configured(
        f'[[models]]\nmodel = "{model}"\ntuner = "rule"\nrunning_max = {most}\n'
    )
    looks = watch(server, 1, lambda looks: decisions(looks[-1]) >= 4, 20)
    assert looks[0].limit == RUNNING_START and not looks[0].reasons
    states, before, seen = {float(RUNNING_START)}, {}, []
    for look in looks:
        assert set(look.reasons) <= set(FACTORS), look.reasons
        fresh = [
            reason
            for reason, count in look.reasons.items()
            for _ in range(count - before.get(reason, 0))
        ]
        before = look.reasons
        if fresh:
            possible = states_after(states, fresh, most)
            states = {state for state in possible if max(1, int(state)) == look.limit}
            assert states, f"{look.limit} after {seen} and {fresh}: it could be {possible}"
            seen.append((*fresh, look.limit))
        assert max(1, int(next(iter(states)))) == look.limit
        assert 1 <= look.limit <= most
        assert look.prompt_rows == PROMPT_ROWS_MOST
    assert decisions(looks[-1]) >= 3, seen
    # 4, 6, 9, 13.5, 20.25, unless the machine's peak was found to be very low.
    assert looks[-1].reasons.get("utilisation_low", 0) > 0, seen


def test_the_rule_holds_the_batch_to_its_limit(hearth, model, tmp_path):
    server = Server(hearth, model, tmp_path / "log", "--tuner", "rule")
    try:
        looks = watch(server, 12, lambda looks: decisions(looks[-1]) >= 3, 20)
        most = 0
        for look in looks:
            most = max(most, look.limit)
            assert look.running <= most
        # It is the limit that holds them.
        assert any(look.running == look.limit == RUNNING_START for look in looks)
    finally:
        assert server.stop() == 0


# ---- off

def test_off_leaves_what_is_configured(configured, model):
    server, _ = configured(
        f'[[models]]\nmodel = "{model}"\ntuner = "off"\nrunning_max = 3\nmax_batch_tokens = 300\n'
    )
    begin = time.monotonic()
    looks = watch(server, 6, lambda _: time.monotonic() - begin > 2.5, 20)
    for look in looks:
        assert (look.limit, look.prompt_rows) == (3, 300)
        assert look.running <= 3
        assert set(look.reasons) <= {"off"}
    assert any(look.running == 3 for look in looks)


# ---- targets

def test_limits_stay_while_targets_are_kept(configured, model):
    """Targets that any machine keeps: nothing is lowered."""
    server, _ = configured(
        f'[[models]]\nmodel = "{model}"\nrunning_max = 5\n'
        "target_tpot_ms = 60000\ntarget_ttft_ms = 600000\n"
    )
    looks = watch(server, 8, lambda looks: decisions(looks[-1]) >= 3, 20)
    assert looks[0].limit == 5  # the tuner begins with the most
    assert all(look.limit == 5 for look in looks)
    assert all(look.prompt_rows >= looks[0].prompt_rows > PROMPT_ROWS_MIN for look in looks)
    assert set(looks[-1].reasons) <= {"steady", "room", "settling", "idle", "not_measured"}
    assert decisions(looks[-1]) >= 2


def test_an_impossible_target_keeps_serving(configured, model):
    """The least that there is goes on, and the reason says what is wrong."""
    server, _ = configured(
        f'[[models]]\nmodel = "{model}"\nrunning_max = 4\n', "--target-tpot-ms", "0.01"
    )
    words = {"target_impossible", "disturbed"}
    looks = watch(server, 6, lambda looks: words & set(looks[-1].reasons), 25)
    assert words & set(looks[-1].reasons), looks[-1].reasons
    assert all(look.limit >= 1 and look.prompt_rows >= 1 for look in looks)
    # Two: beside a long answer a prompt gets on.
    assert looks[-1].limit == 2 and looks[-1].prompt_rows == PROMPT_ROWS_MIN
    # A prompt of many times that is read all the same.
    answer = server.post(
        "/v1/completions", {"prompt": "word " * 600, "max_tokens": 3, "ignore_eos": True}
    )
    assert answer.json()["usage"]["completion_tokens"] == 3
    assert "the target is too low" in server.log.read_text() or "disturbed" in looks[-1].reasons


def test_every_move_is_a_line_in_the_log(configured, model):
    server, _ = configured(f'[[models]]\nmodel = "{model}"\ntuner = "rule"\n')
    looks = watch(
        server, 1, lambda looks: looks[-1].reasons.get("utilisation_low", 0) >= 2, 20
    )
    server.stop()
    moves = [
        (int(before), int(after))
        for before, after in re.findall(
            r"tuner: running (\d+) -> (\d+), prompt_rows \d+ -> \d+: ", server.log.read_text()
        )
        if before != after
    ]
    assert [before for before, _ in moves[1:]] == [after for _, after in moves[:-1]]
    limits = [look.limit for look in looks]
    seen = [limit for limit, _ in itertools.groupby(limits)]
    told = [RUNNING_START, *(after for _, after in moves)]
    assert told[: len(seen)] == seen  # a last one may have come after the last look


# ---- settings

def serve(hearth, *options):
    done = subprocess.run(
        [hearth, "serve", *options, "--port", "0"], capture_output=True, text=True, timeout=60
    )
    assert "ready" not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("--target-tpot-ms", "0", "not in range"),
        ("--target-tpot-ms", "-1", "not in range"),
        ("--target-tpot-ms", "abc", "not in range"),
        ("--target-tpot-ms", "inf", "not in range"),
        ("--target-ttft-ms", "0", "not in range"),
        ("--target-ttft-ms", "1e99", "not in range"),
        ("--tuner", "fast", "slo,rule,off"),
        ("--speculation", "maybe", "auto,off"),
    ],
)
def test_bad_options_are_wrong_usage(hearth, option, value, words):
    done = serve(hearth, option, value)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{option}: ") and words in done.stderr, done.stderr
    assert value in done.stderr


@pytest.mark.parametrize("option", ["--target-tpot-ms", "--target-ttft-ms"])
def test_a_target_that_is_no_number_is_refused(hearth, option):
    done = serve(hearth, option, "nan")
    assert done.returncode in (1, 2)
    assert "nan" in done.stderr and len(done.stderr.splitlines()) <= 2, done.stderr


@pytest.mark.parametrize(
    "setting, words",
    [
        ("target_tpot_ms = 0", "models.target_tpot_ms must be from 0.01 to 1000000, not 0"),
        ("target_tpot_ms = -1", "models.target_tpot_ms must be from 0.01 to 1000000, not -1"),
        ("target_tpot_ms = nan", "models.target_tpot_ms must be from 0.01 to 1000000, not nan"),
        ("target_tpot_ms = inf", "models.target_tpot_ms must be from 0.01 to 1000000, not inf"),
        ('target_tpot_ms = "abc"', "models.target_tpot_ms must be a number"),
        ("target_ttft_ms = nan", "models.target_ttft_ms must be from 0.01 to 100000000, not nan"),
        ('tuner = "fast"', "models.tuner must be one of: slo, rule, off"),
        ('speculation = "maybe"', "models.speculation must be one of: auto, off"),
        ("target_tpot = 5", "[models] has no setting target_tpot; did you mean target_tpot_ms?"),
    ],
)
def test_bad_settings_are_one_line(hearth, tmp_path, setting, words):
    path = config_file(tmp_path / "etc", f'[[models]]\nmodel = "smollm2"\n{setting}\n')
    done = serve(hearth, "--config", str(path))
    assert done.returncode == 1
    assert done.stderr.startswith("hearth: ") and len(done.stderr.splitlines()) == 1
    assert f":3: {words}" in done.stderr, done.stderr


def test_print_config_tells_what_was_chosen(hearth, tmp_path):
    def printed(*options):
        return subprocess.run(
            [hearth, "serve", "--print-config", *options],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    text = printed(
        "--tuner", "rule", "--target-tpot-ms", "12.5", "--target-ttft-ms", "750.25",
        "--speculation", "off",
    )  # fmt: skip
    chosen = {'tuner = "rule"', "target_tpot_ms = 12.5", "target_ttft_ms = 750.25"}
    chosen.add('speculation = "off"')
    assert chosen <= set(text.splitlines())
    defaults = {'tuner = "slo"', "target_tpot_ms = 250", "target_ttft_ms = 5000"}
    assert defaults | {'speculation = "auto"'} <= set(printed().splitlines())
    path = config_file(tmp_path / "etc", text)
    assert printed("--config", str(path)) == text
    # The command line wins over the file.
    again = printed("--config", str(path), "--tuner", "off")
    assert again == text.replace('tuner = "rule"', 'tuner = "off"')
