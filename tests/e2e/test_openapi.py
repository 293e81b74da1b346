"""/openapi.json: valid, and what the server really does, by thousands of generated requests.

Of the checks that schemathesis has, these run: no 5xx, no status, content type or document that is
not described, and no invalid request accepted. That valid requests are accepted is checked here,
as a few reasons for refusing them cannot be said in a JSON Schema: REASONS.
"""

import collections
import copy
import hashlib
import os
import random
import re
import secrets

import openapi_spec_validator
import pytest
import requests
import schemathesis
from serving import Server
from schemathesis.config import (
    ChecksConfig,
    CoveragePhaseConfig,
    ExamplesPhaseConfig,
    FuzzingPhaseConfig,
    GenerationConfig,
    NotAServerErrorConfig,
    PhasesConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
    SimpleCheckConfig,
    StatefulPhaseConfig,
)
from schemathesis.engine import events, from_schema

CASES_MIN = 2000
FIXED_SEED = 20240229
TOKENS = 1000  # no model has fewer

GENERATING = ("/generate", "/v1/completions", "/v1/chat/completions")

# (code, field) of refusals of well-formed requests; None: whatever the field.
REASONS = {
    ("context_length_exceeded", None),  # how many tokens a text has
    ("model_not_found", None),  # which models are served
    ("invalid_prompt", None),  # how many tokens the model knows; a prompt without a token
    ("template_error", None),  # what conversations the model's template takes
    ("invalid_value", "logit_bias"),  # how many tokens the model knows
    ("invalid_value", "n"),  # n * max_tokens * (1 + logprobs)
    ("invalid_value", "stream_options"),  # only with stream
    ("invalid_value", "top_logprobs"),  # only with logprobs
    ("unsupported_field", "best_of"),  # only if it equals n
    ("invalid_value", "id"),  # which characters it takes
    ("invalid_name", None),  # likewise
    ("model_exists", None),  # which models are loaded
}
KEY = secrets.token_hex(32)


@schemathesis.check
def valid_data_is_accepted(_context, response, case):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code < 400 or response.status_code == 405:
        return
    error = response.json()["error"]
    known = {(error["code"], error["param"]), (error["code"], None)} & REASONS
    assert known, f"refused though the document allows it: {error}"


@schemathesis.hook
def before_call(_context, case, _kwargs):
    if isinstance(case.body, dict):
        case.body = eased(case.body, case.path)
    if case.query:
        case.query = eased(case.query, case.path)
    # A made-up key is refused; what comes behind it is of more interest.
    if "Authorization" in (case.headers or {}):
        case.headers["Authorization"] = f"Bearer {KEY}"


def eased(fields, path):
    """The same request where it is wrong; where it is well-formed, without what REASONS lists, so
    that it cannot be refused for another reason than the one it was made for. And answers stay
    short: what is generated is not the matter here."""
    fields = dict(fields)

    def has(name, kind, least, most):
        return type(fields.get(name)) is kind and least <= fields[name] <= most

    if path in GENERATING and fields.get("max_tokens") is None:
        fields["max_tokens"] = 4
    for name in ("max_tokens", "max_completion_tokens"):
        if has(name, int, 5, 2**31 - 1):
            fields[name] = 4
    for name in ("n", "best_of"):
        if has(name, int, 1, 128):
            fields[name] = min(fields[name], 2)
    if has("best_of", int, 1, 2) and (fields.get("n") is None or has("n", int, 1, 2)):
        fields["n"] = fields["best_of"]
    if isinstance(fields.get("stream_options"), dict) and fields.get("stream") in (None, False):
        fields["stream"] = True
    if has("top_logprobs", int, 1, 20) and fields.get("logprobs") in (None, False):
        fields["logprobs"] = True
    name = fields.get("model")
    if isinstance(name, str) and len(name) > 2 and "\0" not in name:
        fields["model"] = "default"
    if isinstance(fields.get("logit_bias"), dict):
        fields["logit_bias"] = {known(key): value for key, value in fields["logit_bias"].items()}
    if fields.get("prompt") == "":
        fields["prompt"] = "x"
    for name in ("prompt", "tokens"):
        if isinstance(fields.get(name), list):
            fields[name] = [known_deep(item) for item in fields[name]]
    return fields


def known(token):
    """A token of the model in place of one that it may not have; "123" or 123."""
    if isinstance(token, str) and re.fullmatch("0|[1-9][0-9]{0,8}", token, re.ASCII):
        return str(int(token) % TOKENS)
    if type(token) is int and 0 <= token < 2**31:
        return token % TOKENS
    return token


def known_deep(item):
    return [known(token) for token in item] if isinstance(item, list) else known(item)


def as_two(document):
    """The document with the body of /generate, and one with its query: a request has one of them,
    which OpenAPI cannot say."""
    body = copy.deepcopy(document)
    body["paths"]["/generate"]["post"].pop("parameters")
    body["paths"]["/generate"]["post"]["requestBody"]["required"] = True
    query = copy.deepcopy(document)
    query["paths"] = {"/generate": query["paths"]["/generate"]}
    operation = query["paths"]["/generate"]["post"]
    operation.pop("requestBody")
    for parameter in operation["parameters"]:
        parameter["required"] = parameter["name"] == "prompt"
    return body, query


def run(document, url, seed, examples, coverage=True):
    """Runs schemathesis; counts cases by operation and status, and gives what failed."""
    off = SimpleCheckConfig(enabled=False)
    checks = ChecksConfig(
        not_a_server_error=NotAServerErrorConfig(),
        positive_data_acceptance=PositiveDataAcceptanceConfig(enabled=False),
        use_after_free=off,
        ensure_resource_availability=off,
        ignored_auth=off,
    )
    project = ProjectConfig(
        base_url=url,
        continue_on_failure=True,
        checks=checks,
        request_timeout=60,
        generation=GenerationConfig(max_examples=examples, database="none"),
        phases=PhasesConfig(
            examples=ExamplesPhaseConfig(enabled=False),
            coverage=CoveragePhaseConfig(enabled=coverage),
            fuzzing=FuzzingPhaseConfig(),
            stateful=StatefulPhaseConfig(enabled=False),
        ),
    )
    config = SchemathesisConfig(seed=seed, projects=ProjectsConfig(default=project))
    schema = schemathesis.openapi.from_dict(document, config=config)
    counts = collections.Counter()
    failures = []
    for event in from_schema(schema).execute():
        if isinstance(event, (events.NonFatalError, events.FatalError)):
            failures.append(repr(getattr(event, "value", None) or event))
        if not isinstance(event, events.ScenarioFinished):
            continue
        for case_id, interaction in event.recorder.interactions.items():
            answer = interaction.response
            counts[event.recorder.label, answer.status_code if answer else None] += 1
            for check in event.recorder.checks.get(case_id, []):
                if check.failure_info is not None:
                    failures.append(
                        f"{check.name}: {check.failure_info.failure}\n"
                        f"{check.failure_info.code_sample}\n{answer.text[:300] if answer else ''}"
                    )
    return counts, failures


@pytest.fixture(scope="module")
def small(hearth, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    config = folder / "hearth.toml"
    config.write_text(
        f'[[keys]]\nname = "test"\nsha256 = "{digest}"\n'
        'permissions = ["manage-models", "use-models", "read-metrics"]\n'
    )
    server = Server(hearth, model, folder / "log", "--ctx", "128", "--config", str(config))
    yield server
    assert server.process.poll() is None, server.log.read_text(errors="replace")
    assert server.stop() == 0


@pytest.fixture(scope="module")
def document(small):
    answer = requests.get(small.url + "/openapi.json", timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_the_document_is_valid(document):
    openapi_spec_validator.validate(document)


def test_generated_requests(small, document):
    seed = int(os.environ.get("HEARTH_TEST_SEED", random.randrange(2**32)))
    print(f"HEARTH_TEST_SEED={seed}")
    counts = collections.Counter()
    failures = []
    body, query = as_two(document)
    for number, examples, coverage in ((FIXED_SEED, 40, True), (seed, 80, False)):
        for form in (body, query):
            more, failed = run(form, small.url, number, examples, coverage)
            counts += more
            failures += failed
    for (operation, status), count in sorted(counts.items(), key=str):
        print(f"{count:6} {status} {operation}")
    assert not failures, f"seed {seed}, {len(failures)} failures:\n" + "\n\n".join(failures[:20])
    assert sum(counts.values()) >= CASES_MIN
    # The checks have seen answers of every kind.
    for path in (*GENERATING, "/tokenize"):
        assert counts[f"POST {path}", 200] >= 20
        assert counts[f"POST {path}", 400] >= 20
