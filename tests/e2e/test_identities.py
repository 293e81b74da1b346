"""Who may do what, as a configuration and `hearth keys create` say it."""

import json
import os
import signal
import subprocess
import time

import openai
import pytest
import requests
from identities import Site
from measure import metric


def ask(server, key, path="/v1/completions", method="POST", **fields):
    headers = {"Connection": "close"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    body = {"prompt": "Once upon a time", "max_tokens": 2, **fields} if method == "POST" else None
    return requests.request(method, server.url + path, json=body, headers=headers, timeout=60)


def code(answer):
    return answer.json()["error"]["code"]


def entry(model, name="small"):
    return f'[[models]]\nmodel = "{model}"\nid = "{name}"\ncache_mib = 64\nctx = 512\n'


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_a_key_as_the_command_makes_it(hearth, configured, model, tmp_path):
    """Shown once, with the entry to be copied; the second time the secret is the same."""
    environment = {**os.environ, "HEARTH_HOME": str(tmp_path / "home")}

    def create(*arguments, status=0):
        done = subprocess.run(
            [hearth, "keys", "create", *arguments], capture_output=True, text=True, env=environment
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    first = create("ward", "--expires", "2099-12-31", "--role", "user")
    key = first.splitlines()[0].split()[-1]
    assert key.startswith("hk_") and len(key) == 84
    second = json.loads(create("ward", "--json"))
    secret = tmp_path / "home" / "site.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert key not in "".join(first.splitlines()[1:]) and second["key"] not in second["hash"]
    rest = f'[[keys]]\nid = "{second["id"]}"\nidentity = "ward"\nhash = "{second["hash"]}"\n'
    text = (
        f'{entry(model)}[security]\nsite_secret = "file:{secret}"\n'
        f'[[identities]]\nname = "ward"\nroles = ["user", "model-admin"]\n{first}{rest}'
    )
    server, _ = configured(text)
    assert ask(server, key).status_code == 200
    assert ask(server, second["key"]).status_code == 200
    # The first is for one of the two roles only.
    assert ask(server, key, "/admin/models", "GET").status_code == 403
    assert ask(server, second["key"], "/admin/models", "GET").status_code == 200
    assert "neither a date" in create("ward", "--expires", "soon", status=1)
    assert "file:PATH" in create("ward", "--site-secret", "x", status=1)


def test_offices_are_apart(configured, model, site):
    roles = ["user", "model-admin", "system-admin", "security-admin", "auditor"]
    keys = {role: site.add(role, role) for role in roles}
    server, _ = configured(entry(model) + site.toml())
    may = {
        ("POST", "/v1/completions"): {"user"},
        ("GET", "/v1/models"): {"user", "model-admin", "system-admin"},
        ("GET", "/admin/models"): {"model-admin"},
        ("GET", "/admin/keys"): {"security-admin", "auditor"},
        ("GET", "/metrics"): {"model-admin", "system-admin", "auditor"},
    }
    for (method, path), allowed in may.items():
        for role, key in keys.items():
            answer = ask(server, key, path, method)
            assert answer.status_code == (200 if role in allowed else 403), (path, role)
    listed = ask(server, keys["auditor"], "/admin/keys", "GET").json()["data"]
    assert {entry["identity"] for entry in listed} == set(roles)
    assert all(abs(entry["last_used_at"] - time.time()) < 60 for entry in listed)
    assert not any(key in json.dumps(listed) for key in keys.values())


def test_two_offices_in_one_hand_are_refused(hearth, model, tmp_path, site):
    site.add("boss", "system-admin", "auditor")
    path = tmp_path / "hearth.toml"
    path.write_text(entry(model) + site.toml())
    done = subprocess.run(
        [hearth, "serve", "--config", path, "--port", "0"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "boss: nobody may both manage config and read audit" in done.stderr


def test_models_are_for_those_they_are_for(configured, model, site):
    keys = {
        "all": site.add("all", "user"),
        "one": site.add("one", "user", models=["sm*"]),
        "none": site.add("none", "user", models=["large"]),
    }
    server, _ = configured(entry(model, "small") + entry(model, "other") + site.toml())
    sees = {"all": ["small", "other"], "one": ["small"], "none": []}
    for name, key in keys.items():
        listed = ask(server, key, "/v1/models", "GET").json()["data"]
        assert [each["id"] for each in listed] == sees[name]
        for wanted in ("small", "other", "nobody"):
            for path in ("/v1/completions", "/generate", "/tokenize", "/v1/embeddings"):
                more = {"input": "x"} if path == "/v1/embeddings" else {}
                answer = ask(server, key, path, model=wanted, **more)
                if wanted in sees[name]:
                    assert answer.status_code in (200, 400), answer.text
                else:
                    assert (answer.status_code, code(answer)) == (404, "model_not_found")
    # The default is a model like any other.
    assert ask(server, keys["none"]).status_code == 404


def test_keys_end(configured, model, site):
    over = site.add("app", "user", expires="2020-01-01")
    good = site.add("app", "user", expires="2099-01-01T00:00:00Z")
    server, _ = configured(entry(model) + site.toml())
    assert ask(server, good).status_code == 200
    answer = ask(server, over)
    assert (answer.status_code, code(answer)) == (401, "key_expired")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=server.url + "/v1", api_key=over, max_retries=0).models.list()


def test_quotas(configured, model, site):
    few = site.add("few", "user", requests_per_minute=3)
    tokens = site.add("tokens", "user", tokens_per_day=30)
    short = site.add("short", "user", context_max=16)
    free = site.add("free", "user")
    server, _ = configured(entry(model) + site.toml())
    assert [ask(server, few).status_code for _ in range(3)] == [200] * 3
    answer = ask(server, few)
    assert (answer.status_code, code(answer)) == (429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 20
    assert "on this instance" in answer.json()["error"]["message"]

    used = 0
    while used < 30:
        answer = ask(server, tokens, max_tokens=8, ignore_eos=True)
        assert answer.status_code == 200
        used += answer.json()["usage"]["total_tokens"]
    answer = ask(server, tokens)
    assert (answer.status_code, code(answer)) == (429, "rate_limited")
    assert int(answer.headers["Retry-After"]) <= 24 * 3600

    answer = ask(server, short, max_tokens=100, ignore_eos=True)
    assert answer.json()["usage"]["total_tokens"] == 16
    answer = ask(server, short, prompt="word " * 30)
    assert (answer.status_code, code(answer)) == (400, "context_length_exceeded")
    # The others do not notice.
    assert ask(server, free, max_tokens=100, ignore_eos=True).json()["usage"]["completion_tokens"] == 100
    assert metric(server, "hearth_errors_total", 'code="rate_limited"') == 2


def test_one_at_a_time(configured, model, site):
    key = site.add("one", "user", concurrent_requests=1)
    server, _ = configured(entry(model) + site.toml())
    stream = requests.post(
        server.url + "/v1/completions",
        json={"prompt": "Once", "max_tokens": 400, "ignore_eos": True, "stream": True},
        headers={"Authorization": f"Bearer {key}"}, stream=True, timeout=60,
    )  # fmt: skip
    lines = stream.iter_lines()
    assert next(lines).startswith(b"data:")
    answer = ask(server, key)
    assert (answer.status_code, code(answer)) == (429, "rate_limited")
    stream.close()  # whoever leaves gives his place back
    deadline = time.monotonic() + 20
    while ask(server, key).status_code != 200:
        assert time.monotonic() < deadline
    # And whoever has heard the end can ask at once.
    for _ in range(20):
        assert ask(server, key).status_code == 200


def test_a_reload_takes_keys_away_and_brings_them(configured, model, site):
    first = site.add("a", "user")
    before = site.toml()
    second = site.add("b", "user")
    server, path = configured(entry(model) + before)
    assert ask(server, second).status_code == 401

    def change(text, least):
        path.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while metric(server, "hearth_config_reloads_total", 'result="taken"') < least:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    change(entry(model) + site.toml(), 1)
    assert ask(server, second).status_code == 200
    site.keys = site.keys[1:]
    change(entry(model) + site.toml(), 2)
    assert ask(server, first).status_code == 401
    assert ask(server, second).status_code == 200
