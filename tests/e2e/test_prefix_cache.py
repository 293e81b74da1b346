"""What a prompt has in common with an earlier one of the same identity is not computed again."""

import concurrent.futures
import hashlib

import requests
from measure import metric, settled

HANDBOOK = "Visitors sign the book at the gate and wear their badge where it can be seen. " * 20
QUESTIONS = ["Who signs?", "Where is the badge worn?", "What is signed at the gate?", "Why?"]


def ask(server, content, key=None, history=()):
    answer = requests.post(
        server.url + "/v1/chat/completions",
        json={
            "messages": [*history, {"role": "user", "content": content}],
            "max_tokens": 40,
            "temperature": 0,
        },
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=300,
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    usage = body["usage"]
    return body["choices"][0]["message"]["content"], (
        usage["prompt_tokens_details"]["cached_tokens"],
        usage["prompt_tokens"],
    )


def test_the_beginning_is_computed_once_and_the_text_is_the_same(configured, model):
    entry = f'[[models]]\nmodel = "{model}"\n'
    server, _ = configured(entry + "prefix_cache_mib = 0\n")
    plain = [ask(server, HANDBOOK + question) for question in QUESTIONS]
    assert all(cached == 0 for _, (cached, _) in plain)
    server.stop()

    server, _ = configured(entry)
    text, (cached, asked) = ask(server, HANDBOOK + QUESTIONS[0])
    assert text == plain[0][0] and cached == 0
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda q: ask(server, HANDBOOK + q), QUESTIONS[1:]))
    for (text, (cached, asked)), (plain_text, _) in zip(answers, plain[1:], strict=True):
        assert text == plain_text
        assert asked * 0.8 < cached < asked
    # The next turn of a conversation finds the whole of the last one.
    history = [
        {"role": "user", "content": HANDBOOK + QUESTIONS[0]},
        {"role": "assistant", "content": plain[0][0]},
    ]
    _, (cached, _) = ask(server, "And then?", history=history)
    assert cached > plain[0][1][1] * 0.9
    settled(server)  # counters are told after a step
    assert metric(server, "vllm:prefix_cache_hits_total") > 3 * 0.8 * asked
    assert metric(server, "hearth_kv_pages_kept") > 0


def test_nobody_learns_what_another_has_asked(configured, model):
    keys = {name: f"hk_{name}_0123456789abcdef0123456789abcdef" for name in ("one", "two")}
    entries = "".join(
        f'[[keys]]\nname = "{name}"\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
        f'permissions = ["use-models", "read-metrics"]\n'
        for name, key in keys.items()
    )
    server, _ = configured(f'[[models]]\nmodel = "{model}"\n{entries}')
    assert ask(server, HANDBOOK, keys["one"])[1][0] == 0
    assert ask(server, HANDBOOK, keys["two"])[1][0] == 0
    assert ask(server, HANDBOOK, keys["one"])[1][0] > 0
    assert ask(server, HANDBOOK, keys["two"])[1][0] > 0
